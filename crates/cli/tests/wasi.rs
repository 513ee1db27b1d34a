//! WASI preview 1 call by call, as modules of `nexus run` find it. What each check looks at is in tests/wasm/wasi.c and
//! the files beside it.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use harness::{Folder, Output};

const FILES: [&str; 8] =
    ["open_flags", "append", "sizes", "positions", "offsets", "timestamps", "syncs", "descriptors"];
const FOLDERS: [&str; 5] = ["create_and_remove", "rename_and_unlink", "links", "listing", "paths"];
const ESCAPES: [&str; 1] = ["escapes"];
const CLOCKS: [&str; 4] = ["clocks", "random_numbers", "poll_clock", "poll_nothing"];
const INPUT: [&str; 2] = ["poll_input", "poll_no_input"];
const DESCRIPTORS: [&str; 4] = ["poll_output", "sockets", "streams", "granted"];

/// A folder `granted` for the program, with an empty one in it for the check, and one beside that.
fn folder() -> Folder {
    let folder = Folder::new(&[("granted/outside/file", "untouched")]);
    std::fs::create_dir(folder.path().join("granted/inside")).unwrap();
    for program in ["wasi.wasm", "command.wasm"] {
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wasm").join(program);
        folder.write(program, std::fs::read(built).unwrap());
    }
    folder
}

/// Compiled code is kept by the folder that the tests were built in: one compilation for all of them.
fn start(folder: &Folder, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nexus"));
    command.arg("run").args(args).current_dir(folder.path());
    command.env("NEXUS_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("run-cache"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[track_caller]
fn output(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[track_caller]
fn run(folder: &Folder, args: &[&str]) -> Output {
    output(start(folder, args))
}

fn check(folder: &Folder, check: &str) -> Child {
    start(folder, &["--allow-write", "granted=/", "wasi.wasm", check])
}

#[track_caller]
fn passes(child: Child, check: &str) -> String {
    let output = output(child);
    assert_eq!((output.code, &*output.stderr), (Some(0), ""), "{check}");
    output.stdout
}

#[track_caller]
fn all_pass(checks: &[&str]) {
    for name in checks {
        let folder = folder();
        passes(check(&folder, name), name);
    }
}

#[test]
fn every_check_is_in_a_test() {
    let printed = run(&folder(), &["--allow-write", "granted=/", "wasi.wasm"]);
    let here = [&FILES[..], &FOLDERS, &ESCAPES, &CLOCKS, &INPUT, &DESCRIPTORS].concat();
    assert_eq!(printed.stdout.lines().collect::<BTreeSet<_>>(), here.into_iter().collect::<BTreeSet<_>>());
}

#[test]
fn files_are_opened_read_written_and_stamped_as_preview_1_says() {
    all_pass(&FILES);
}

#[test]
fn folders_names_and_links_are_as_preview_1_says() {
    all_pass(&FOLDERS);
}

#[test]
fn clocks_random_numbers_and_waiting_are_as_preview_1_says() {
    all_pass(&CLOCKS);
}

#[test]
fn streams_sockets_and_granted_folders_are_as_preview_1_says() {
    all_pass(&DESCRIPTORS);
    assert_eq!(passes(check(&folder(), "streams"), "streams"), "once\n", "no buffer is written twice");
}

#[test]
fn no_call_leads_out_of_a_folder() {
    let folder = folder();
    let granted = folder.path().join("granted");
    symlink("../outside", granted.join("inside/relative")).unwrap();
    symlink(granted.join("outside"), granted.join("inside/absolute")).unwrap();
    passes(check(&folder, "escapes"), "escapes");
    let outside: Vec<_> = std::fs::read_dir(granted.join("outside")).unwrap().collect();
    assert_eq!(outside.len(), 1);
    assert_eq!(std::fs::read_to_string(granted.join("outside/file")).unwrap(), "untouched");
    assert_eq!(std::fs::read_dir(&granted).unwrap().count(), 2);
}

#[test]
fn waiting_for_input_ends_when_there_is_some_or_its_end_or_at_the_clock() {
    let folder = folder();
    let mut with_input = check(&folder, "poll_input");
    let mut stdin = with_input.stdin.take().unwrap();
    stdin.write_all(b"x").unwrap();
    passes(with_input, "poll_input with a byte");
    drop(stdin);
    let mut at_its_end = check(&folder, "poll_input");
    drop(at_its_end.stdin.take());
    passes(at_its_end, "poll_input at the end");
    let mut without = check(&folder, "poll_no_input");
    let stdin = without.stdin.take();
    passes(without, "poll_no_input");
    drop(stdin);
}

#[test]
fn exit_codes_are_the_lowest_eight_bits_of_what_a_module_says() {
    let folder = folder();
    for (code, seen) in [("126", 126), ("127", 127), ("128", 128), ("256", 0), ("257", 1), ("-1", 255)] {
        let output = run(&folder, &["command.wasm", "exit", code]);
        assert_eq!((output.code, &*output.stderr), (Some(seen), ""), "{code}");
    }
}

#[test]
fn long_arguments_and_variables_arrive() {
    let folder = folder();
    let long = "x".repeat(100_000);
    assert_eq!(run(&folder, &["command.wasm", "args", &long, "", "\"quoted\"\n"]).stdout, {
        format!("{long}\n\n\"quoted\"\n\n")
    });
    let many: Vec<String> = (0..5000).map(|number| number.to_string()).collect();
    let args: Vec<&str> =
        ["command.wasm", "args"].into_iter().chain(many.iter().map(String::as_str)).collect();
    assert_eq!(run(&folder, &args).stdout.lines().collect::<Vec<_>>(), many);
    let variable = format!("LONG={long}");
    let with = ["--env", &variable, "--env", "LINES=a\nb \"c\"", "command.wasm", "env"];
    assert_eq!(run(&folder, &with).stdout, format!("{variable}\nLINES=a\nb \"c\"\n"));
}

#[test]
fn a_module_that_waits_ends_at_its_wall_limit() {
    let folder = folder();
    let mut child = start(&folder, &["--wall", "100ms", "command.wasm", "cat"]);
    let stdin = child.stdin.take();
    let output = output(child);
    assert_eq!(
        (output.code, output.stderr.lines().next()),
        (Some(1), Some("nexus: the guest reached its wall limit of 100 ms"))
    );
    drop(stdin);
}
