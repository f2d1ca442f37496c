//! Runs the binary in a folder of its own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The executable that is tested.
pub(crate) const TOOL: &str = env!("CARGO_BIN_EXE_llmplan");

/// A plan with a model alone.
pub(crate) const MODEL: &str = "\
model tiny {
  layers = 2
  d_model = 64
  vocab = 1000

  attention {
    heads = 4
  }
}
";

/// A model that is worth dividing over devices.
pub(crate) const WIDE: &str = "\
model tiny {
  layers = 6
  d_model = 4096
  vocab = 50_304

  attention {
    heads = 32
  }
}
";

/// A device of its own: constants of the catalog are fitted anew now and then.
pub(crate) const DEVICE: &str = "
device mine {
  memory = 80 GB
  memory_bandwidth = 2 TB/s
  link = 300 GB/s
  network = 25 GB/s
  host_link = 32 GB/s
  host_memory = 2 TB
  host_memory_bandwidth = 400 GB/s
  generation = mine

  peak {
    bf16 = 312 TFLOP/s
  }
}

generation mine {
  matmul = 80%
  matmul_fp8 = 60%
  matmul_fp4 = 45%
  depth = 256
  processors = 108
  attention_forward = 60%
  attention_backward = 55%
  memory = 75%
  launch = 5 us
  link = 75%
  link_latency = 4 us
  network = 75%
  network_latency = 10 us
}
";

/// Blocks that make [`MODEL`] a training plan.
pub(crate) const TRAINING: &str = "
data {
  tokens = 1B
}

hardware {
  device = h100-sxm
  devices = 8
  price = $2.00 / h
}

training {
  sequence = 2048
  global_batch = 64 sequences
  micro_batch = 1
  mfu = 40%
}
";

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// An empty folder for one test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The folder of a test; what an earlier run left in it is gone.
    pub(crate) fn new(test: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        // Imports stay in here.
        fs::create_dir(path.join(".git")).unwrap();
        Folder(path)
    }

    /// Writes a file, with the folders it needs.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> &Folder {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The command, not yet started; its environment says nothing about colour or width.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_of(Path::new(TOOL), args)
    }

    /// The same of another executable.
    pub(crate) fn command_of(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.0).args(args).stdin(Stdio::null());
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "TERM", "RUST_BACKTRACE"] {
            command.env_remove(variable);
        }
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Run {
        finished(self.command(args).output().unwrap())
    }

    /// Runs with a text on standard input.
    pub(crate) fn pipe(&self, args: &[&str], stdin: &[u8]) -> Run {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that does not read all of it is no fault of the test's.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        finished(child.wait_with_output().unwrap())
    }
}

pub(crate) fn finished(output: Output) -> Run {
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Exit code and both streams as one text, for snapshots.
pub(crate) fn shown(run: &Run) -> String {
    let mut text = format!("exit code {}\n", run.code);
    for (name, stream) in [("stdout", &run.stdout), ("stderr", &run.stderr)] {
        if !stream.is_empty() {
            text.push_str(&format!("--- {name}\n{stream}"));
        }
    }
    text
}
