#!/bin/sh
# Stands in for NVIDIA's compiler where only Rust code is to be checked: it tells a version, and writes empty outputs.
folder=. output= source= ptx=
while [ $# -gt 0 ]; do
  case $1 in
  --version)
    # The fourth line is the one that is read.
    printf '%s\n' 'nvcc: NVIDIA (R) Cuda compiler driver' 'a stand-in that compiles nothing' '' \
      'Cuda compilation tools, release 13.2, V13.2.0'
    exit
    ;;
  --ptx) ptx=yes ;;
  --output-directory) folder=$2 && shift ;;
  -o) output=$2 && shift ;;
  *.cu) source=$1 ;;
  esac
  shift
done
if [ -z "$output" ] && [ -n "$ptx" ]; then
  output=$folder/$(basename "$source" .cu).ptx
fi
[ -z "$output" ] || : >"$output"
