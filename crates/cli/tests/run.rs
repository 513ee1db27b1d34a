//! `nexus run`: WebAssembly programs, as the shell sees them.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use harness::{Folder, Output};

/// What all tests run: as a component, and as a core module of WASI preview 1. Its source is beside it.
const PROGRAMS: [&str; 2] = ["command.component.wasm", "command.wasm"];

/// A core module without imports:
///
/// ```wat
/// (module
///   (memory (export "memory") 1)
///   (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
///   (func (export "div") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
///   (func (export "grow")
///     (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable)
///   (func (export "_start") (loop $again (br $again))))
/// ```
const MODULE: &[u8] = b"\
    \0asm\x01\0\0\0\x01\x0a\x02`\x02\x7f\x7f\x01\x7f`\0\0\x03\x05\x04\0\0\x01\x01\x05\x03\x01\0\x01\x07&\x05\
    \x06memory\x02\0\x03add\0\0\x03div\0\x01\x04grow\0\x02\x06_start\0\x03\x0a)\x04\x07\0 \0 \x01j\x0b\x07\0 \
    \0 \x01m\x0b\x0f\0\x03@A\x01@\0A\x7fG\x0d\0\x0b\0\x0b\x07\0\x03@\x0c\0\x0b\x0b";

/// ```wat
/// (module (func $deep (export "deep") (param i32) (result i32)
///   (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
///     (else (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1))))))))
/// ```
const DEEP: &[u8] = b"\
    \0asm\x01\0\0\0\x01\x06\x01`\x01\x7f\x01\x7f\x03\x02\x01\0\x07\x08\x01\x04deep\0\0\x0a\x17\x01\x15\0 \0E\
    \x04\x7fA\0\x05A\x01 \0A\x01k\x10\0j\x0b\x0b";

fn folder() -> Folder {
    let folder =
        Folder::new(&[("data/in.txt", "what is in it\n"), ("data/sub/b", ""), ("secret.txt", "secret")]);
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wasm");
    for program in PROGRAMS {
        folder.write(program, std::fs::read(programs.join(program)).unwrap());
    }
    folder.write("module.wasm", MODULE);
    folder
}

/// Compiled code is kept by the folder that the tests were built in: one compilation for all of them.
fn nexus(folder: &Folder) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nexus"));
    command.arg("run").current_dir(folder.path());
    command.env("NEXUS_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("run-cache"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[track_caller]
fn run(folder: &Folder, args: &[&str]) -> Output {
    let output = nexus(folder).args(args).output().unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A run that does what it should: what it prints.
#[track_caller]
fn prints(folder: &Folder, args: &[&str]) -> String {
    let output = run(folder, args);
    assert_eq!((output.code, &*output.stderr), (Some(0), ""), "{args:?}: {output:?}");
    output.stdout
}

/// A run that nexus refuses: in one line.
#[track_caller]
fn refused(folder: &Folder, args: &[&str]) -> String {
    let output = run(folder, args);
    assert_eq!((output.code, &*output.stdout), (Some(2), ""), "{args:?}: {output:?}");
    let line = output.stderr.strip_prefix("error: ").unwrap().trim_end().to_owned();
    assert!(!line.contains('\n'), "{line}");
    line
}

#[test]
fn arguments_input_and_output_are_the_programs() {
    let folder = folder();
    for program in PROGRAMS {
        let args = ["args", "--env", "-x", "", "ä b", "--help"];
        let printed = prints(&folder, &[&[program], &args[..]].concat());
        assert_eq!(printed, "--env\n-x\n\nä b\n--help\n");
        assert_eq!(run(&folder, &[program, "stderr", "to stderr"]).stderr, "to stderr\n");
        let mut child = nexus(&folder).args([program, "cat"]).stdin(Stdio::piped()).spawn().unwrap();
        let text = "no newline at the end of 100 KB".repeat(3000);
        let mut stdin = child.stdin.take().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut read = String::new();
            stdout.read_to_string(&mut read).unwrap();
            read
        });
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        assert_eq!((child.wait().unwrap().code(), reader.join().unwrap() == text), (Some(0), true));
        assert_eq!(prints(&folder, &[program, "random"]).trim().len(), 32);
        assert!(prints(&folder, &[program, "clock"]).starts_with("wall "));
    }
}

#[test]
fn only_granted_variables_are_seen() {
    let folder = folder();
    for program in PROGRAMS {
        assert_eq!(prints(&folder, &[program, "env"]), "");
        let args =
            ["--env", "A=1", "--env", "OWN", "--env", "NOT_SET_ANYWHERE", "--env", "E=", "--env", "A=b=c"];
        let mut command = nexus(&folder);
        let output = command.args(args).args([program, "env"]).env("OWN", "own").output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "OWN=own\nE=\nA=b=c\n");
    }
}

#[test]
fn exit_codes_are_the_programs() {
    let folder = folder();
    let module = PROGRAMS[1];
    for code in [0, 1, 3, 42, 255] {
        let output = run(&folder, &[module, "exit", &code.to_string()]);
        assert_eq!((output.code, &*output.stderr), (Some(code), ""));
    }
    // What this component was made with tells no more than success or failure.
    let component = PROGRAMS[0];
    assert_eq!(run(&folder, &[component, "exit", "0"]).code, Some(0));
    assert_eq!(run(&folder, &[component, "exit", "3"]).code, Some(1));
    assert_eq!(run(&folder, &[module]).code, Some(2), "its own usage");
}

#[test]
fn clocks_stand_still_and_random_numbers_come_again_where_that_is_asked_for() {
    let folder = folder();
    for program in PROGRAMS {
        let random = |options: &[&str]| prints(&folder, &[options, &[program, "random"]].concat());
        assert_eq!(random(&["--seed", "7"]), random(&["--seed", "7"]), "{program}");
        assert_ne!(random(&["--seed", "7"]), random(&["--seed", "8"]), "{program}");
        assert_ne!(random(&[]), random(&[]), "{program}");
        assert!(prints(&folder, &["--no-clocks", program, "clock"]).starts_with("wall 0"), "{program}");
    }
}

#[test]
fn the_stack_is_as_large_as_asked_for() {
    let folder = folder();
    folder.write("deep.wasm", DEEP);
    let deep =
        |options: &[&str]| run(&folder, &[options, &["--invoke", "deep", "deep.wasm", "30000"]].concat());
    assert_eq!(deep(&["--stack", "4MB"]).stdout, "30000\n");
    let trapped = deep(&["--stack", "64KB"]);
    assert_eq!(trapped.code, Some(1), "{trapped:?}");
    assert!(trapped.stderr.contains("call stack exhausted"), "{trapped:?}");
    let refused = deep(&["--stack", "1GB"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("a stack has 16 KB to 4 MB"), "{refused:?}");
}

#[test]
fn a_trap_is_told_with_the_stack() {
    let folder = folder();
    for program in PROGRAMS {
        let output = run(&folder, &[program, "trap"]);
        let mut lines = output.stderr.lines();
        assert_eq!(lines.next(), Some("nexus: trap: wasm `unreachable` instruction executed"), "{output:?}");
        assert!(lines.clone().count() > 0 && lines.all(|line| line.starts_with("    at ")), "{output:?}");
        assert_eq!(output.code, Some(1));
    }
}

#[test]
fn without_a_grant_there_are_no_files() {
    let folder = folder();
    for program in PROGRAMS {
        for args in [["read", "data/in.txt"], ["read", "/etc/passwd"], ["ls", "."], ["ls", "/"]] {
            let output = run(&folder, &[&[program], &args[..]].concat());
            assert_eq!((output.code, &*output.stdout), (Some(1), ""), "{args:?}: {output:?}");
        }
    }
}

#[test]
fn granted_folders_are_read_or_written_as_granted() {
    let folder = folder();
    let read_only = ["--allow-read", "data"];
    let other_name = ["--allow-write", "data=/mnt"];
    for program in PROGRAMS {
        let granted = |grant: &[&str], args: &[&str]| run(&folder, &[grant, &[program], args].concat());
        assert_eq!(granted(&read_only, &["read", "data/in.txt"]).stdout, "what is in it\n");
        assert_eq!(granted(&read_only, &["ls", "data"]).stdout, "in.txt\nsub\n");
        for path in ["data/new.txt", "data/in.txt"] {
            assert_eq!(granted(&read_only, &["write", path, "x"]).code, Some(1), "{path}");
        }
        assert_eq!(std::fs::read_to_string(folder.path().join("data/in.txt")).unwrap(), "what is in it\n");
        assert_eq!(granted(&other_name, &["write", "/mnt/sub/new.txt", "written"]).code, Some(0));
        assert_eq!(granted(&other_name, &["read", "/mnt/sub/new.txt"]).stdout, "written");
        assert_eq!(
            granted(&other_name, &["read", "data/in.txt"]).code,
            Some(1),
            "by the name it was given only"
        );
        let new = folder.path().join("data/sub/new.txt");
        assert_eq!(std::fs::read_to_string(&new).unwrap(), "written");
        std::fs::remove_file(new).unwrap();
        let both = ["--allow-read", "data", "--allow-write", "data"];
        assert_eq!(granted(&both, &["write", "data/w.txt", "x"]).code, Some(0), "granted both, it may write");
        std::fs::remove_file(folder.path().join("data/w.txt")).unwrap();
    }
    assert!(refused(&folder, &["--allow-read", "no-such", PROGRAMS[0], "env"]).contains("no-such"));
    assert!(refused(&folder, &["--allow-read", "secret.txt", PROGRAMS[0], "env"]).contains("secret.txt"));
}

#[test]
fn nothing_leads_out_of_a_granted_folder() {
    let folder = folder();
    let outside = folder.path().join("secret.txt");
    let data = folder.path().join("data");
    symlink("../secret.txt", data.join("relative")).unwrap();
    symlink(&outside, data.join("absolute")).unwrap();
    symlink("..", data.join("up")).unwrap();
    symlink("in.txt", data.join("within")).unwrap();
    for program in PROGRAMS {
        let granted = |args: &[&str]| run(&folder, &[&["--allow-write", "data", program], args].concat());
        assert_eq!(
            granted(&["read", "data/within"]).stdout,
            "what is in it\n",
            "a link within it is followed"
        );
        let absolute = outside.to_str().unwrap();
        for path in [
            "data/../secret.txt",
            "data/sub/../../secret.txt",
            "data/relative",
            "data/absolute",
            "data/up/secret.txt",
            absolute,
        ] {
            let read = granted(&["read", path]);
            assert_eq!((read.code, &*read.stdout), (Some(1), ""), "{path}: {read:?}");
            assert_eq!(granted(&["write", path, "changed"]).code, Some(1), "{path}");
        }
        assert_eq!(granted(&["ls", "data/.."]).code, Some(1));
        assert_eq!(std::fs::read_to_string(&outside).unwrap(), "secret");
    }
}

#[test]
fn at_a_limit_a_program_ends_with_one_line() {
    let folder = folder();
    for (args, line) in [
        (&["--cpu", "50ms", "module.wasm"][..], "nexus: the guest reached its cpu limit of 50 ms"),
        (&["--wall", "50ms", "module.wasm"], "nexus: the guest reached its wall limit of 50 ms"),
        (
            &["--cpu", "50ms", "--invoke", "_start", "module.wasm"],
            "nexus: the guest reached its cpu limit of 50 ms",
        ),
        (
            &["--memory", "4MB", "--invoke", "grow", "module.wasm"],
            "nexus: the guest reached its memory limit of 4 MB",
        ),
        (&["--memory", "64KB", PROGRAMS[0], "env"], "nexus: the guest reached its memory limit of 64 KB"),
    ] {
        let output = run(&folder, args);
        assert_eq!((output.code, output.stderr.lines().next()), (Some(1), Some(line)), "{output:?}");
    }
    // Waiting for input costs no CPU time, and ends at the limit on the wall.
    let mut command = nexus(&folder);
    command.args(["--cpu", "100ms", "--wall", "200ms", PROGRAMS[0], "cat"]).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdin = child.stdin.take();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(
        (child.wait().unwrap().code(), &*stderr),
        (Some(1), "nexus: the guest reached its wall limit of 200 ms\n")
    );
    drop(stdin);
}

#[test]
fn an_export_of_a_module_is_called_by_name() {
    let folder = folder();
    fn invoke<'a>(args: &[&'a str]) -> Vec<&'a str> {
        [&["--invoke"], args].concat()
    }
    assert_eq!(prints(&folder, &invoke(&["add", "module.wasm", "2", "-3"])), "-1\n");
    assert_eq!(prints(&folder, &invoke(&["add", "module.wasm", "0xffffffff", "2"])), "1\n");
    let output = run(&folder, &invoke(&["div", "module.wasm", "1", "0"]));
    assert_eq!(
        (output.code, output.stderr.lines().next()),
        (Some(1), Some("nexus: trap: integer divide by zero"))
    );
    let text = refused(&folder, &invoke(&["ad", "module.wasm", "1", "2"]));
    assert!(text.contains("no function ad (did you mean add?): it exports add, div, grow, _start"), "{text}");
    let text = refused(&folder, &invoke(&["add", "module.wasm", "1"]));
    assert!(text.contains("add takes 2 arguments, not 1: add is func(i32, i32) -> i32"), "{text}");
    let text = refused(&folder, &invoke(&["add", "module.wasm", "1", "x"]));
    assert!(text.contains("\"x\" is no i32"), "{text}");
    let text = refused(&folder, &invoke(&["ran", PROGRAMS[0]]));
    assert!(text.contains("#run"), "{text}");
    let run = run(&folder, &invoke(&["run", PROGRAMS[0]]));
    assert!(run.code == Some(1) && run.stderr.starts_with("usage: "), "it exits by itself: {run:?}");
}

#[test]
fn what_cannot_be_run_is_refused_in_one_line() {
    let folder = folder();
    folder.write("text.wasm", "(module)");
    folder.write("empty.wasm", "");
    let whole = std::fs::read(folder.path().join(PROGRAMS[0])).unwrap();
    folder.write("cut.wasm", &whole[..whole.len() / 2]);
    folder.write("cut-module.wasm", &MODULE[..MODULE.len() - 2]);
    let services = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wasm/http.wasm");
    folder.write("service.wasm", std::fs::read(services).unwrap());
    for (file, part) in [
        ("text.wasm", "is no WebAssembly"),
        ("empty.wasm", "is no WebAssembly"),
        ("cut.wasm", "is no valid component"),
        ("cut-module.wasm", "is no valid module"),
        ("service.wasm", "is a service, not a command"),
        ("no-such.wasm", "cannot be read"),
        ("data", "cannot be read"),
    ] {
        let text = refused(&folder, &[file]);
        assert!(text.starts_with(file) && text.contains(part), "{text}");
        refused(&folder, &["--invoke", "add", file]);
    }
    for args in [&["--memory", "x"][..], &["--cpu", "1"], &["--env", "=x"], &["--allow-read", "=x"], &[]] {
        assert_eq!(run(&folder, args).code, Some(2), "{args:?}");
    }
}

#[test]
fn a_reader_that_is_gone_is_no_panic() {
    let folder = folder();
    for args in [&[PROGRAMS[1], "args", "a"][..], &["--invoke", "add", "module.wasm", "1", "2"]] {
        let mut child = nexus(&folder).args(args).spawn().unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert!(child.wait().unwrap().code().is_some_and(|code| code < 2), "{stderr}");
        assert!(!stderr.contains("panic"), "{stderr}");
    }
}

#[test]
fn an_interrupt_ends_it_at_once() {
    use std::os::unix::process::ExitStatusExt;
    let folder = folder();
    let nexus = nexus(&folder);
    // Whoever runs the tests in the background has them, and all that they start, ignore it.
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(nexus.get_program()).args(nexus.get_args());
    command.envs(nexus.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(folder.path()).args([PROGRAMS[1], "cat"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // More than once: it may still be `env` that is told, and has not done its part.
    let status = harness::until("it ends", || {
        harness::send_signal("INT", &child.id().to_string());
        child.try_wait().unwrap()
    });
    assert_eq!(status.signal(), Some(2));
}

#[test]
fn help_and_completions_know_it() {
    let folder = folder();
    let help = harness::run(folder.path(), &["--help"]).stdout;
    assert!(help.contains("\n  run ") && help.contains("nexus run"), "{help}");
    let help = harness::run(folder.path(), &["run", "--help"]).stdout;
    for part in ["nexus run [OPTIONS] <FILE> [ARGS]...", "--allow-read", "--invoke", "[default: 1GB]"] {
        assert!(help.contains(part), "{part} in\n{help}");
    }
    let script = harness::run(folder.path(), &["completions", "bash"]).stdout;
    assert!(script.contains("--allow-write"), "{script}");
}

#[test]
fn what_was_compiled_ahead_of_time_is_there_for_the_run() {
    let folder = folder();
    let nexus = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nexus"));
        let output =
            command.args(args).current_dir(folder.path()).env("NEXUS_CACHE", "cache").output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let kept = || std::fs::read_dir(folder.path().join("cache/wasm")).unwrap().count();
    let (code, text) = nexus(&["compile", PROGRAMS[0], PROGRAMS[1]]);
    assert_eq!((code, text.lines().count(), kept()), (Some(0), 2, 2), "{text}");
    assert!(text.starts_with("command.component.wasm: compiled in "), "{text}");
    let (_, text) = nexus(&["compile", "--json", PROGRAMS[0], PROGRAMS[1]]);
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    for compiled in list.as_array().unwrap() {
        assert_eq!(compiled["was_there"], true, "{text}");
        let path = folder.path().join(compiled["path"].as_str().unwrap());
        assert_eq!(std::fs::metadata(path).unwrap().len(), compiled["bytes"].as_u64().unwrap());
    }
    for program in PROGRAMS {
        assert_eq!(nexus(&["run", program, "args", "a"]).1, "a\n");
    }
    assert_eq!(kept(), 2, "nothing is compiled again");
    assert_eq!(nexus(&["compile", "data/in.txt"]).0, Some(2));
    folder.write("nothing.wasm", b"\0asm\x01\0\0\0");
    assert_eq!(nexus(&["compile", "nothing.wasm", "module.wasm"]).0, Some(0));
}
