//! `llmplan validate` up to the run itself: devices, files, limits, and the companion for CUDA devices.

use insta::assert_snapshot;

use crate::support::{Folder, MODEL, shown};

#[cfg(feature = "validate")]
mod with_the_feature {
    use super::*;

    #[test]
    fn a_plan_runs_on_the_processor() {
        let folder = Folder::new("validate-runs");
        folder.write("a.llm", MODEL);
        let run = folder.run(&["validate", "a.llm", "--budget", "20s"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(run.stdout.starts_with("OK tiny: all "), "{}", run.stdout);
        assert!(run.stdout.contains("  plan      a.llm\n"), "{}", run.stdout);
        // Talk is no data.
        assert!(!run.stderr.is_empty() && !run.stderr.contains('\u{1b}'), "{}", run.stderr);
    }

    #[test]
    fn what_cannot_be_run_is_told_in_one_error() {
        let folder = Folder::new("validate-refuses");
        folder.write("a.llm", MODEL).write("b.llm", MODEL.replace("tiny", "small")).write("empty.llm", "");
        folder.write("wrong.llm", "model {\n  layers = 0\n}\n");
        let cases: [&[&str]; 8] = [
            &["a.llm", "--device", "gpu"],
            &["a.llm", "--device", "metal"],
            &["a.llm", "none.llm", "--plan", "other"],
            &["a.llm", "b.llm", "--plan", "other"],
            &["a.llm", "b.llm", "--write", "c.llm"],
            &["a.llm", "--write", "./a.llm"],
            &["empty.llm"],
            &["wrong.llm"],
        ];
        let mut all = String::new();
        for args in cases {
            let run = folder.run(&[&["validate"], args].concat());
            assert!(run.stdout.is_empty() && run.code > 0, "{args:?}: {}", run.stdout);
            all.push_str(&format!("$ llmplan validate {}\n{}\n", args.join(" "), shown(&run)));
        }
        if !cfg!(any(feature = "metal", feature = "cuda")) {
            assert_snapshot!("validate_refuses", all);
        }
        assert_eq!(folder.read("a.llm"), MODEL);
    }

    #[cfg(all(unix, not(feature = "cuda")))]
    mod companion {
        use std::fs;
        use std::os::unix::fs::PermissionsExt;

        use std::process::Command;

        use crate::support::{Folder, MODEL, Run, TOOL, finished};

        /// A companion that is a script, in `bin/` of the folder. The tool itself is in `own/`, with nothing beside it.
        fn companion(test: &str, version: &str, body: &str) -> Folder {
            let folder = Folder::new(test);
            folder.write("a.llm", MODEL).write("own/nothing", "");
            script(&folder, "bin/llmplan-cuda", version, body);
            let (tool, own) = (fs::canonicalize(TOOL).unwrap(), folder.path().join("own/llmplan"));
            fs::hard_link(&tool, &own).or_else(|_| fs::copy(&tool, &own).map(drop)).unwrap();
            folder
        }

        fn script(folder: &Folder, name: &str, version: &str, body: &str) {
            let text = format!("#!/bin/sh\nif [ \"$1\" = --version ]; then {version}; exit; fi\n{body}\n");
            folder.write(name, text);
            fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }

        fn right() -> String {
            format!("echo 'llmplan {} (cuda)'", env!("CARGO_PKG_VERSION"))
        }

        /// The tool with nothing but `bin/` and what scripts need on the PATH.
        fn command(folder: &Folder, args: &[&str]) -> Command {
            let mut command = folder.command_of(&folder.path().join("own/llmplan"), args);
            command.env("PATH", format!("{}:/usr/bin:/bin", folder.path().join("bin").display()));
            command
        }

        fn run(folder: &Folder, args: &[&str]) -> Run {
            finished(command(folder, args).output().unwrap())
        }

        const ARGS: [&str; 6] = ["validate", "a.llm", "--device", "cuda:1", "--set", "model.layers= 3"];

        #[test]
        fn it_gets_the_arguments_and_the_streams_and_gives_the_exit_code() {
            for code in [0, 1, 2, 101] {
                let body = format!("printf '<%s>' \"$@\"; echo talk >&2; exit {code}");
                let run = run(&companion(&format!("companion-{code}"), &right(), &body), &ARGS);
                assert_eq!(run.code, code);
                assert_eq!(run.stdout, "<validate><a.llm><--device><cuda:1><--set><model.layers= 3>");
                assert_eq!(run.stderr, "talk\n");
            }
        }

        #[test]
        fn it_reads_standard_input() {
            let folder = companion("companion-stdin", &right(), "cat");
            let input = fs::File::open(folder.path().join("a.llm")).unwrap();
            let args = ["validate", "-", "--device", "cuda"];
            let run = finished(command(&folder, &args).stdin(input).output().unwrap());
            assert_eq!((run.code, run.stdout.as_str()), (0, MODEL));
        }

        /// What was installed together belongs together.
        #[test]
        fn the_one_beside_the_tool_comes_first() {
            let folder = companion("companion-beside", &right(), "echo other");
            script(&folder, "own/llmplan-cuda", &right(), "echo beside");
            assert_eq!(run(&folder, &ARGS).stdout, "beside\n");
        }

        #[test]
        fn where_there_is_none_it_is_said_how_to_get_it() {
            let folder = companion("companion-none", &right(), "");
            fs::remove_file(folder.path().join("bin/llmplan-cuda")).unwrap();
            insta::assert_snapshot!("companion_none", refused(&folder));
        }

        /// What the loader does where a library is missing.
        #[test]
        fn one_that_does_not_start_is_told_with_the_loaders_words() {
            let version = "echo 'llmplan-cuda: no libcuda.so.1' >&2; exit 127";
            let said = refused(&companion("companion-loader", version, "exit 0"));
            insta::assert_snapshot!("companion_loader", said);
        }

        #[test]
        fn one_of_another_version_or_without_cuda_is_not_run() {
            for (at, version) in ["0.0.1 (cuda)", env!("CARGO_PKG_VERSION"), ""].iter().enumerate() {
                let answer = format!("echo llmplan '{version}'");
                let said = refused(&companion(&format!("companion-version-{at}"), &answer, "echo ran"));
                assert!(said.contains("does not start: it is `llmplan"), "{said}");
            }
            // A copy of this executable under the other name would start itself for ever.
            let folder = companion("companion-self", "", "");
            fs::copy(TOOL, folder.path().join("bin/llmplan-cuda")).unwrap();
            assert!(refused(&folder).contains("it is `llmplan"));
        }

        #[test]
        fn one_that_is_killed_is_told() {
            let run = run(&companion("companion-killed", &right(), "kill -9 $$"), &ARGS);
            assert_eq!((run.code, run.stdout.as_str()), (2, ""));
            assert!(run.stderr.contains("has not ended by itself: signal: 9"), "{}", run.stderr);
        }

        /// What is said where the companion is not run, without the folder's own path.
        fn refused(folder: &Folder) -> String {
            let run = run(folder, &ARGS);
            assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{}", run.stderr);
            assert_eq!(run.stderr.matches("error:").count(), 1, "{}", run.stderr);
            run.stderr.replace(&folder.path().display().to_string(), "FOLDER")
        }
    }
}

#[cfg(not(feature = "validate"))]
#[test]
fn a_build_without_the_feature_says_so() {
    let folder = Folder::new("validate-unable");
    folder.write("a.llm", MODEL);
    assert_snapshot!("validate_unable", shown(&folder.run(&["validate", "a.llm"])));
    assert_snapshot!("validate_unable", shown(&folder.run(&["validate", "none.llm", "--device", "cuda"])));
}
