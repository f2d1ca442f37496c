#!/bin/sh
# usage: toolkit.sh FOLDER SYMBOLS
# Makes FOLDER/home what CUDA_HOME should name, on a machine without GPU or driver: compiler and libraries from NVIDIA's
# packages for Python, and a stub of the driver for the linker with the functions that the Rust source SYMBOLS declares.
set -eu
mkdir -p "$1"
folder=$(cd "$1" && pwd)
symbols=$2
home=$folder/home

[ -x "$folder/venv/bin/pip" ] || python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  'nvidia-cuda-nvcc==13.2.*' 'nvidia-nvvm==13.2.*' 'nvidia-cuda-crt==13.2.*' 'nvidia-cuda-runtime==13.2.*' \
  'nvidia-cuda-nvrtc==13.2.*' nvidia-cuda-cccl nvidia-curand nvidia-cublas
set -- "$folder"/venv/lib/python3*/site-packages/nvidia/cu13
packages=$1

rm -rf "$home"
mkdir -p "$home/lib64/stubs"
for part in bin nvvm include; do
  ln -s "$packages/$part" "$home/$part"
done
for library in "$packages"/lib/lib*.so.*; do
  name=$(basename "$library")
  ln -s "$library" "$home/lib64/$name"
  # The linker looks for the name without a version.
  ln -sf "$library" "$home/lib64/${name%%.so.*}.so"
done
for library in "$packages"/lib/*.a; do
  ln -s "$library" "$home/lib64/"
done

# Every function of the stub says that there is no device.
grep -o 'fn cu[A-Z][A-Za-z0-9_]*' "$symbols" | sort -u |
  sed 's/^fn \(.*\)$/int \1(void) { return 100; }/' >"$folder/libcuda.c"
gcc -shared -fPIC -w -Wl,-soname,libcuda.so.1 -o "$home/lib64/stubs/libcuda.so" "$folder/libcuda.c"
