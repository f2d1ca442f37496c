//! The executable that has the code for CUDA devices. It is linked with the driver and does not start without one, so
//! that it cannot be this one.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use llmplan_exec::device::Target;

use crate::exit::Exit;
use crate::load;
use crate::output::Output;

/// The executable's name, without the ending that it has on Windows.
const NAME: &str = "llmplan-cuda";

/// What the companion says to `--version`, where it is of this version. This executable says something else under
/// whatever name it is found, and so never starts itself.
const VERSION: &str = concat!("llmplan ", env!("CARGO_PKG_VERSION"), " (cuda)");

const BUILD: &str = "`cargo build --release --features cuda --bin llmplan-cuda` makes it; that needs nvcc";
const NEEDS: &str = "it runs where NVIDIA's driver, the libraries of the CUDA toolkit and a GPU are";
const HERE: &str = "`--device cpu` runs on every machine";

/// Runs the companion with the arguments and the streams of this process, and ends as it ends.
pub(crate) fn run(target: Target, arguments: &[OsString], output: &mut Output<'_>) -> Exit {
    let Some(companion) = find() else {
        output.trouble(&format!(
            "device `{target}` needs the executable `{NAME}`, which is neither beside `llmplan` nor on the PATH"
        ));
        return refuse(&[BUILD, NEEDS, HERE], output);
    };
    let name = load::shown(&companion.to_string_lossy());
    if let Err(words) = answers(&companion) {
        // Loaders begin with the name that has just been said.
        let own = format!("{}: ", companion.display());
        let words = words.strip_prefix(&own).unwrap_or(&words);
        output.trouble(&format!("`{name}` does not start: {words}"));
        return refuse(&[NEEDS, BUILD, HERE], output);
    }
    let status = match Command::new(&companion).args(arguments).status() {
        Ok(status) => status,
        Err(error) => {
            output.trouble(&format!("`{name}` does not start: {}", load::words(&error)));
            return Exit::Trouble;
        }
    };
    let ends = [Exit::Fine, Exit::PlanAtFault, Exit::Trouble, Exit::Bug];
    ends.into_iter().find(|end| status.code() == Some(u8::from(*end).into())).unwrap_or_else(|| {
        output.trouble(&format!("`{name}` has not ended by itself: {status}"));
        Exit::Trouble
    })
}

fn refuse(advice: &[&str], output: &mut Output<'_>) -> Exit {
    for advice in advice {
        output.advice(advice);
    }
    Exit::Trouble
}

/// The companion: beside this executable, else in the first folder of the PATH that has it.
fn find() -> Option<PathBuf> {
    let name = format!("{NAME}{}", env::consts::EXE_SUFFIX);
    let own = env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(Path::to_owned);
    let path = env::var_os("PATH").unwrap_or_default();
    // A folder without a name is the current one, where anybody may have put anything.
    let folders =
        beside.into_iter().chain(env::split_paths(&path).filter(|folder| !folder.as_os_str().is_empty()));
    folders.map(|folder| folder.join(&name)).find(|file| file.is_file())
}

/// Whether an executable starts and is the companion of this version.
///
/// # Errors
/// What it says instead, in one line.
fn answers(companion: &Path) -> Result<(), String> {
    let asked = Command::new(companion).arg("--version").stdin(Stdio::null()).output();
    let asked = asked.map_err(|error| load::words(&error))?;
    let said =
        |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().trim().to_owned();
    if !asked.status.success() {
        // The loader tells which library is missing.
        let words = said(&asked.stderr);
        return Err(if words.is_empty() { asked.status.to_string() } else { words });
    }
    match said(&asked.stdout) {
        version if version == VERSION => Ok(()),
        version => Err(format!("it is `{version}`, not `{VERSION}`")),
    }
}
