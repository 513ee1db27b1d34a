//! What `nexus run` lets programs send to others: requests, and what goes over sockets of theirs, as far as `--allow-net`
//! grants it. The guests' sources and subcommands are in tests/wasm.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};

use harness::{Asked, Folder, Output, Upstream};

const PROGRAM: &str = "net.wasm";
/// A command of WASI 0.3: `connect` tries port 9 of 127.0.0.1.
const OF_0_3: &str = "p3-command.wasm";
/// A core module of WASI preview 1.
const MODULE: &str = "command.wasm";

/// Compiled code is kept by the folder that the tests were built in: one compilation for all of them.
#[track_caller]
fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nexus"));
    command.arg("run").args(args).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wasm"));
    command.env("NEXUS_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("run-cache"));
    let output = command.stdin(Stdio::null()).output().unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A run with these grants.
#[track_caller]
fn granted(grants: &[&str], args: &[&str]) -> Output {
    let options: Vec<&str> = grants.iter().flat_map(|grant| ["--allow-net", grant]).collect();
    run(&[&options[..], args].concat())
}

/// A run that is granted all that it asks for: what it prints.
#[track_caller]
fn prints(grants: &[&str], args: &[&str]) -> String {
    let output = granted(grants, args);
    assert_eq!((output.code, &*output.stderr), (Some(0), ""), "{args:?}: {output:?}");
    output.stdout
}

/// A run that is denied something, prints this, and says how to grant it.
#[track_caller]
fn is_denied(grants: &[&str], args: &[&str], printed: &str, missing: &str) {
    let output = granted(grants, args);
    assert_eq!((output.code, output.stdout.trim_end()), (Some(1), printed), "{args:?}: {output:?}");
    let line = output.stderr.strip_prefix("nexus: denied: ").unwrap_or_else(|| panic!("{output:?}"));
    assert!(line.ends_with(&format!("to grant it, add `--allow-net {missing}`\n")), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}

fn upstream() -> Upstream {
    Upstream::new(|asked| asked.reply("200 OK", &[], b"from there"))
}

/// Answers what each connection sends first with `pong`.
fn ponging() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut asked = [0; 4];
            if stream.read_exact(&mut asked).is_ok() && &asked == b"ping" {
                stream.write_all(b"pong").unwrap();
            }
        }
    });
    address
}

fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap()
}

#[test]
fn a_request_goes_where_it_is_granted() {
    let upstream = upstream();
    let address = upstream.address();
    let port = upstream.port();
    let got = "status 200\nfrom there";
    assert_eq!(prints(&[&address], &[PROGRAM, "get", &address]), got);
    assert_eq!(prints(&["example.com", "127.0.0.1"], &[PROGRAM, "get", &address]), got);
    assert_eq!(prints(&[&format!("127.0.0.0/8:{port}")], &[PROGRAM, "get", &address]), got);
    let name = format!("localhost:{port}");
    assert_eq!(prints(&[&name], &[PROGRAM, "get", &name]), got);
    assert_eq!(upstream.asked().len(), 4);
}

#[test]
fn a_request_that_is_not_granted_is_denied_and_the_option_named() {
    let upstream = upstream();
    let address = upstream.address();
    let (port, denied) = (upstream.port(), "HTTP-request-denied");
    is_denied(&[], &[PROGRAM, "get", &address], denied, &address);
    is_denied(&["example.com", "127.0.0.1:9"], &[PROGRAM, "get", &address], denied, &address);
    // All that is public, which this machine is not.
    is_denied(&["*"], &[PROGRAM, "get", &address], denied, &address);
    let name = format!("localhost:{port}");
    is_denied(&["*"], &[PROGRAM, "get", &name], denied, &name);
    is_denied(&[&address], &[PROGRAM, "get", &name], denied, &name);
    assert_eq!(upstream.accepted(), 0);
}

#[test]
fn a_request_to_nobody_fails_by_its_code() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let output = granted(&[&nobody], &[PROGRAM, "get", &nobody]);
    let seen = (output.code, &*output.stdout, &*output.stderr);
    assert_eq!(seen, (Some(1), "connection-refused\n", ""));
}

#[test]
fn sockets_lead_where_they_are_granted() {
    let tcp = ponging();
    assert_eq!(prints(&[&tcp], &[PROGRAM, "talk", &tcp]), "pong\n");
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = udp.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut asked = [0; 16];
        while let Ok((length, from)) = udp.recv_from(&mut asked) {
            udp.send_to(&[&asked[..length], b" back"].concat(), from).unwrap();
        }
    });
    assert_eq!(prints(&[&address], &[PROGRAM, "udp", &address]), "ping back\n");
    assert_eq!(prints(&["localhost"], &[PROGRAM, "look-up", "localhost"]), "127.0.0.1\n");
}

#[test]
fn sockets_that_are_not_granted_are_denied_and_the_option_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let port = port(&address);
    for grants in [&["127.0.0.1:9"][..], &["*"], &["10.0.0.0/8"]] {
        is_denied(grants, &[PROGRAM, "talk", &address], "finish: access-denied", &address);
        is_denied(grants, &[PROGRAM, "udp", &address], "send: access-denied", &address);
    }
    is_denied(&[], &[PROGRAM, "talk", &address], "create: access-denied", "HOST:PORT");
    is_denied(&[], &[PROGRAM, "udp", &address], "create: access-denied", "HOST:PORT");
    let look_up = [PROGRAM, "look-up", "db.example"];
    is_denied(&[&format!("127.0.0.1:{port}")], &look_up, "look-up: access-denied", "db.example");
    assert!(listener.accept().is_err(), "somebody connected");
}

#[test]
fn a_program_of_0_3_has_sockets_by_the_same_grants() {
    let output = granted(&["127.0.0.1:9"], &[OF_0_3, "connect"]);
    // Somebody may listen there.
    assert!(["connect: another error", "connected"].contains(&&*output.stdout), "{output:?}");
    assert_eq!(output.stderr, "");
    let denied = |grants: &[&str], printed: &str, missing: &str| {
        let output = granted(grants, &[OF_0_3, "connect"]);
        assert_eq!(output.stdout, printed);
        assert!(output.stderr.contains(&format!("`--allow-net {missing}`")), "{output:?}");
    };
    denied(&["127.0.0.1:10"], "connect: access-denied", "127.0.0.1:9");
    denied(&[], "create: access-denied", "HOST:PORT");
}

#[test]
fn a_program_that_waits_for_a_silent_server_ends_at_its_limit_of_time() {
    let upstream = Upstream::new(Asked::await_close);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = (silent.local_addr().unwrap().to_string(), silent);
    for (what, address) in [("get", &upstream.address()), ("talk", &silent.0)] {
        let output = run(&["--wall", "300ms", "--allow-net", address, PROGRAM, what, address]);
        assert_eq!((output.code, &*output.stdout), (Some(1), ""), "{output:?}");
        let line = output.stderr.lines().next().unwrap();
        assert_eq!(line, "nexus: the guest reached its wall limit of 300 ms");
    }
    harness::until("the connection closed", || (upstream.open() == 0).then_some(()));
}

#[test]
fn a_request_goes_on_while_its_program_asks_without_waiting() {
    let upstream = upstream();
    let address = upstream.address();
    assert_eq!(prints(&[&address], &[PROGRAM, "spin", &address]), "status 200\nfrom there");
}

#[test]
fn sockets_are_bounded_and_count_as_memory() {
    let hoard = |options: &[&str]| {
        let args = ["--allow-net", "127.0.0.1:9", PROGRAM, "hoard", "200"];
        run(&[options, &args].concat()).stdout
    };
    assert_eq!(hoard(&[]), "128 sockets, then new-socket-limit\n");
    let few = hoard(&["--memory", "3MB"]);
    assert!(few.ends_with(" sockets, then out-of-memory\n"), "{few}");
}

#[test]
fn a_core_module_is_not_run_with_it() {
    for args in [&[MODULE, "env"][..], &["--invoke", "_start", MODULE]] {
        let output = granted(&["*"], args);
        assert_eq!((output.code, &*output.stdout), (Some(2), ""), "{output:?}");
        let line = output.stderr.trim_end();
        assert!(line.starts_with("error: command.wasm is a core module") && !line.contains('\n'), "{line}");
        assert!(line.contains("--allow-net"), "{line}");
    }
    assert_eq!(run(&[MODULE, "env"]).code, Some(0));
}

#[test]
fn a_grant_that_is_none_is_an_error() {
    for (grant, part) in [
        ("", "a grant is a host"),
        ("https://example.com", "without a scheme"),
        ("example.com/path", "paths cannot be granted"),
        ("example.com:0", "a port is a number"),
        ("example.com:70000", "a port is a number"),
        ("10.0.0.0/33", "10.0.0.0/33"),
        ("a.*.com", "whole labels"),
        ("::1:80:x", "in brackets"),
    ] {
        let output = granted(&[grant], &[PROGRAM, "get", "127.0.0.1:9"]);
        assert_eq!((output.code, &*output.stdout), (Some(2), ""), "{grant}: {output:?}");
        assert!(output.stderr.contains("--allow-net") && output.stderr.contains(part), "{output:?}");
    }
}

#[test]
fn help_and_completions_teach_it() {
    let folder = Folder::new(&[]);
    let help = harness::run(folder.path(), &["run", "--help"]).stdout;
    assert!(help.contains("--allow-net <HOST[:PORT]>"), "{help}");
    for shell in ["bash", "zsh", "fish"] {
        let script = harness::run(folder.path(), &["completions", shell]).stdout;
        assert!(script.contains("allow-net"), "{shell}");
    }
}
