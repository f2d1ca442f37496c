//! `cargo xtask check-cuda`: the code for CUDA devices on a machine without one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::Failure;

/// The least GPU that kernels are made for, as `nvidia-smi` would tell it: an A100.
const CAPABILITY: &str = "80";

/// Checks the types of the code, with a stand-in for NVIDIA's compiler. It says nothing about kernels.
pub(crate) fn check(root: &Path) -> Result<(), Failure> {
    let target = target(root).join("check-cuda");
    let tools = target.join("stand-in");
    let nvcc = tools.join("nvcc");
    script(&nvcc, include_str!("nvcc.sh"))?;
    let mut cargo = cargo(root, "check", &target);
    cargo.env("NVCC", &nvcc).env("PATH", before(&tools)?);
    run(cargo, "the code for CUDA devices is at fault")
}

/// Compiles the kernels and links the executable, with the toolkit as Python packages and a stub of the driver. It needs
/// `python3` with `venv`, `gcc`, a package index, 4 GB of disk and ten minutes of two cores. What comes out starts
/// nowhere but under a driver.
pub(crate) fn build(root: &Path) -> Result<(), Failure> {
    let target = target(root).join("build-cuda");
    let toolkit = target.join("toolkit");
    let install = target.join("toolkit.sh");
    script(&install, include_str!("toolkit.sh"))?;
    let mut command = Command::new("sh");
    command.arg(&install).arg(&toolkit).arg(driver_symbols(root)?);
    run(command, "the toolkit cannot be set up")?;

    let home = toolkit.join("home");
    let tools = home.join("bin");
    let mut cargo = cargo(root, "build", &target);
    cargo.env("CUDA_HOME", &home).env("NVCC", tools.join("nvcc")).env("PATH", before(&tools)?);
    run(cargo, "the executable for CUDA devices cannot be built")
}

/// A cargo command on the companion, in a target folder of its own: its variables would have the other one built anew.
fn cargo(root: &Path, command: &str, target: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args([command, "-p", "llmplan", "--features", "cuda", "--bin", "llmplan-cuda"]);
    cargo.arg("--target-dir").arg(target).env("CUDA_COMPUTE_CAP", CAPABILITY);
    cargo
}

/// The file of `cudarc` that declares the functions of the driver, from which the stub is made.
fn driver_symbols(root: &Path) -> Result<PathBuf, Failure> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(["metadata", "--format-version", "1", "--features", "llmplan/cuda"]);
    let output = cargo.output().map_err(|error| Failure::Trouble(format!("cargo metadata: {error}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let manifest = text
        .split("\"manifest_path\":\"")
        .filter_map(|rest| rest.split('"').next())
        .find(|path| path.rsplit('/').nth(1).is_some_and(|folder| folder.starts_with("cudarc-")));
    match manifest.and_then(|path| Path::new(path).parent()) {
        Some(folder) => Ok(folder.join("src/driver/sys/mod.rs")),
        None => Err(Failure::Trouble("cargo knows no crate `cudarc`".to_owned())),
    }
}

/// Where cargo builds.
fn target(root: &Path) -> PathBuf {
    // What cargo runs is told no such folder, but where an environment names one.
    let folder =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder));
    fs::canonicalize(&folder).unwrap_or(folder)
}

/// The search path with a folder in front.
fn before(folder: &Path) -> Result<OsString, Failure> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = [folder.to_owned()].into_iter().chain(env::split_paths(&path));
    env::join_paths(folders).map_err(|error| Failure::Trouble(format!("{}: {error}", folder.display())))
}

/// Writes a script that can be run. One that is there already keeps its age: cargo would build what rests on it anew.
fn script(path: &Path, text: &str) -> Result<(), Failure> {
    if fs::read_to_string(path).is_ok_and(|current| current == text) {
        return Ok(());
    }
    let trouble = |error: std::io::Error| Failure::Trouble(format!("{}: {error}", path.display()));
    fs::create_dir_all(path.parent().unwrap_or(path)).map_err(trouble)?;
    fs::write(path, text).map_err(trouble)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(trouble)?;
    }
    Ok(())
}

fn run(mut command: Command, otherwise: &str) -> Result<(), Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Failure::Found(otherwise.to_owned())),
        Err(error) => Err(Failure::Trouble(format!("{program}: {error}"))),
    }
}
