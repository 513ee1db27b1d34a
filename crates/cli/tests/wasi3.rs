//! Services and commands of WASI 0.3, as clients, the log and the shell see them. Their guest is `tests/wasm/p3`.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::{Client, Folder, Nexus, Start};

const OPTED_IN: &str = "[wasm]\nwasi = \"0.3\"\n";
const ROOMS: &str = "[wasm]\nwasi = \"0.3\"\nreuse = 1000\nconcurrency = 10\n";

fn file(name: &str) -> Vec<u8> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wasm");
    std::fs::read(folder.join(name)).unwrap()
}

/// An app of the guest with these lines in its manifest, beside a quiet neighbour.
fn serve(manifest: &str) -> (Folder, Nexus) {
    serve_guest("p3-service.wasm", manifest)
}

fn serve_guest(guest: &str, manifest: &str) -> (Folder, Nexus) {
    let folder =
        Folder::new(&[("apps/quiet/index.js", "export default { fetch: () => new Response('quiet') };")]);
    folder.write("apps/app/app.wasm", file(guest));
    folder.write("apps/app/nexus.toml", manifest);
    let cache = folder.path().join("cache").to_str().unwrap().to_owned();
    let nexus = Start::in_folder(folder.path()).path("apps").env("NEXUS_CACHE", &cache).start();
    (folder, nexus)
}

/// Asks on connections of their own, all at once; gives the statuses and bodies in this order.
fn ask_at_once(address: &str, paths: &[&str]) -> Vec<(u16, String)> {
    let mut clients: Vec<Client> = paths.iter().map(|_| Client::connect(address)).collect();
    for (client, path) in clients.iter_mut().zip(paths) {
        client.send_request("GET", path, &[], b"");
        // In this order, also at the host.
        std::thread::sleep(Duration::from_millis(20));
    }
    clients.iter_mut().map(Client::response).map(|answer| (answer.status, answer.text())).collect()
}

#[test]
fn a_service_of_0_3_is_served_to_who_opts_in() {
    let (_folder, mut nexus) = serve(OPTED_IN);
    let mut client = nexus.client("app");
    assert_eq!(client.get("/hello").text(), "hello from 0.3\n");
    assert_eq!(client.get("/no-such").status, 404);
    for _ in 0..3 {
        assert_eq!(client.get("/counter").text(), "1", "an instance for each request");
    }
    assert_eq!(client.get("/error").status, 500);
    nexus.message("the guest answered with an error: ErrorCode::InternalError");
    assert_eq!(client.get("/send").text(), "denied");
    nexus.message("denied: a connection to 127.0.0.1:9");
    let trap = client.get("/trap");
    assert_eq!((trap.status, &*trap.text()), (500, "the app failed to handle this request\n"));
    assert_eq!(client.get("/hello").status, 200);
    assert_eq!(nexus.get("quiet", "/").text(), "quiet");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn without_opting_in_it_is_not_served_and_told_how() {
    let folder = Folder::new(&[]);
    folder.write("app.wasm", file("p3-service.wasm"));
    let output = harness::run(folder.path(), &["serve", "app.wasm"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    let told = format!("{}{}", output.stdout, output.stderr);
    assert!(told.contains("is of WASI 0.3, which is experimental"), "{told}");
    assert!(told.contains(r#"wasi = \"0.3\"` under [wasm]"#), "{told}");
}

#[test]
fn who_opts_in_may_also_serve_what_is_of_0_2() {
    let folder = Folder::new(&[]);
    folder.write("app/app.wasm", file("http.wasm"));
    folder.write("app/nexus.toml", ROOMS);
    let nexus = Start::in_folder(folder.path()).path("app").env("NEXUS_CACHE", "").start();
    let mut client = nexus.client("app");
    assert_eq!(client.get("/hello").text(), "hello from wasm\n");
    assert_eq!(["1", "2"], [client.get("/counter").text().trim(), client.get("/counter").text().trim()]);
}

#[test]
fn bodies_stream_in_both_directions() {
    for manifest in [OPTED_IN, ROOMS] {
        let (_folder, nexus) = serve(&format!("{manifest}[limits]\ncpu = \"5 s\"\n"));
        let mut client = nexus.client("app");
        let body: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        assert_eq!(client.request("POST", "/count", &[], &body).text(), "3000000");
        for path in ["/echo", "/pass"] {
            assert!(client.request("POST", path, &[], &body).body == body, "{path}");
        }
        client.send_request("GET", "/stream", &[], b"");
        assert_eq!(client.head().status, 200);
        let mut chunks = Vec::new();
        while let Some(chunk) = client.chunk() {
            chunks.push(String::from_utf8(chunk).unwrap());
        }
        assert_eq!(chunks.len(), 5, "each is there before the next one: {chunks:?}");
        // Half an upload, and half a download.
        let mut left = nexus.client("app");
        left.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf");
        drop(left);
        let mut left = nexus.client("app");
        left.send_request("GET", "/drip", &[], b"");
        left.head();
        left.chunk();
        drop(left);
        nexus.await_nothing_held("app");
        assert_eq!(client.get("/hello").status, 200);
    }
}

#[test]
fn what_a_guest_does_after_its_response_goes_on_and_is_limited() {
    for manifest in [OPTED_IN, ROOMS] {
        let (_folder, nexus) = serve(&format!("{manifest}[limits]\ncpu = \"2 s\"\n"));
        assert_eq!(nexus.get("app", "/after").text(), "before\n");
        nexus.message("afterwards");
        assert_eq!(nexus.get("app", "/tail").text(), "before\n");
        nexus.await_metric("nexus_guest_stops_total{app=\"app\",reason=\"cpu\"}", 1.0);
        nexus.await_nothing_held("app");
        assert_eq!(nexus.get("app", "/hello").status, 200);
    }
}

#[test]
fn what_a_guest_waits_for_after_its_response_is_given_up_in_time() {
    const GIVEN_UP: &str = "what the guest did after its response did not end within 30 s";
    let served: Vec<_> = [("http.wasm", ""), ("p3-service.wasm", OPTED_IN), ("p3-service.wasm", ROOMS)]
        .into_iter()
        .map(|(guest, manifest)| serve_guest(guest, manifest))
        .collect();
    for (_, nexus) in &served {
        assert!(nexus.get("app", "/wait-after").text().ends_with('\n'));
    }
    for (_, nexus) in &served {
        assert_eq!(nexus.get("app", "/hello").status, 200);
        nexus.await_metric("nexus_requests_in_flight{app=\"app\"}", 1.0);
        assert!(nexus.messages(GIVEN_UP).is_empty());
    }
    for (_, nexus) in &served {
        nexus.message(GIVEN_UP);
        nexus.await_nothing_held("app");
        assert_eq!(nexus.get("app", "/hello").status, 200);
    }
}

#[test]
fn output_becomes_log_lines() {
    let (_folder, nexus) = serve(OPTED_IN);
    let answer = nexus.get("app", "/log");
    let line = nexus.message("out line");
    assert_eq!(line["request_id"], answer.header("x-request-id").unwrap());
    assert_eq!(nexus.message("err line")["level"], "warn");
}

#[test]
fn an_instance_serves_as_many_at_once_as_the_manifest_says() {
    let (_folder, nexus) = serve("[wasm]\nwasi = \"0.3\"\nreuse = 8\nconcurrency = 3\n");
    let answers = ask_at_once(&nexus.address("app"), &["/at-once?6000"; 5]);
    let texts: Vec<&str> = answers.iter().map(|(_, text)| text.as_str()).collect();
    // The first of three may have its answer when the others are counted.
    for text in &texts {
        let (before, _) = text.split_once(" of ").unwrap();
        assert!((1..=3).contains(&before.parse::<u32>().unwrap()), "{texts:?}");
    }
    assert_eq!(texts.iter().filter(|text| text.starts_with("3 of")).count(), 1, "{texts:?}");
    assert_eq!(texts.iter().filter(|text| text.starts_with("1 of")).count(), 2, "two instances: {texts:?}");
    let mut client = nexus.client("app");
    let counts: Vec<u32> = (0..20).map(|_| client.get("/counter").text().parse().unwrap()).collect();
    assert!(counts.iter().all(|count| *count <= 8) && counts.contains(&8), "{counts:?}");
    nexus.await_nothing_held("app");
}

#[test]
fn a_request_at_its_limit_ends_its_instance_and_is_the_one_that_is_blamed() {
    let (_folder, nexus) = serve(&format!("{ROOMS}[limits]\ncpu = \"100 ms\"\n"));
    let answers = ask_at_once(&nexus.address("app"), &["/at-once?20000", "/loop", "/at-once?2000"]);
    // The third may have come when the instance had ended; then it is alone in the next one.
    assert!(answers[..2].iter().all(|(status, _)| *status == 503), "{answers:?}");
    assert!([200, 503].contains(&answers[2].0), "{answers:?}");
    let named: Vec<bool> = answers.iter().map(|(_, text)| text.contains("(limit: cpu 100 ms)")).collect();
    assert!(named[1] && !named[0], "{answers:?}");
    nexus.await_metric("nexus_guest_stops_total{app=\"app\",reason=\"cpu\"}", 1.0);
    nexus.message("its instance has ended, with all requests that it served");
    assert_eq!(nexus.get("app", "/counter").text(), "1", "the next one is fresh");
    assert_eq!(nexus.get("quiet", "/").text(), "quiet");
    nexus.await_nothing_held("app");
}

#[test]
fn cpu_time_is_on_the_account_of_the_request_that_takes_it() {
    let (_folder, nexus) = serve(&format!("{ROOMS}[limits]\ncpu = \"300 ms\"\n"));
    let mut waiting = nexus.client("app");
    waiting.send_request("GET", "/at-once?800", &[], b"");
    // Together far beyond the limit of one.
    let mut client = nexus.client("app");
    for _ in 0..8 {
        assert_eq!(client.get("/burn?60").text(), "burnt");
    }
    let answer = waiting.response();
    assert_eq!((answer.status, &*answer.text()), (200, "1 of 1"));
}

/// Runs the command, with this standard input.
fn run(folder: &Folder, input: &str, args: &[&str]) -> harness::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nexus"));
    command.arg("run").args(args).current_dir(folder.path());
    command.env("NEXUS_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("run-cache"));
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    // One that does not read it may be gone.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    harness::Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn command() -> Folder {
    let folder = Folder::new(&[("data/in.txt", "what is in it\n"), ("secret.txt", "secret")]);
    folder.write("p3.wasm", file("p3-command.wasm"));
    folder
}

#[test]
fn a_command_of_0_3_has_its_streams_arguments_variables_and_exit_codes() {
    let folder = command();
    let echo = run(&folder, "a\nb", &["p3.wasm", "echo"]);
    assert_eq!((echo.code, &*echo.stdout, &*echo.stderr), (Some(0), "a\nb", "echoed\n"));
    assert_eq!(run(&folder, "", &["p3.wasm", "args", "x", "--y"]).stdout, "[\"args\", \"x\", \"--y\"]\n");
    assert_eq!(run(&folder, "", &["--env", "A=b", "p3.wasm", "env"]).stdout, "A=b\n");
    assert_eq!(run(&folder, "", &["p3.wasm", "env"]).stdout, "");
    for code in [0, 1, 42, 255] {
        assert_eq!(run(&folder, "", &["p3.wasm", "exit", &code.to_string()]).code, Some(code));
    }
    assert_eq!(run(&folder, "", &["p3.wasm", "fail"]).code, Some(1));
    assert_eq!(run(&folder, "", &["p3.wasm", "wait", "30"]).code, Some(0));
}

#[test]
fn a_command_of_0_3_reaches_what_it_is_granted() {
    let folder = command();
    let read = |options: &[&str], path: &str| {
        run(&folder, "", &[options, &["p3.wasm", "read", path]].concat()).stdout
    };
    assert_eq!(read(&["--allow-read", "data"], "data/in.txt"), "what is in it\n");
    assert_eq!(read(&["--allow-read", "data=/d"], "/d/in.txt"), "what is in it\n");
    assert_eq!(read(&[], "data/in.txt"), "not granted");
    assert_eq!(read(&["--allow-read", "data"], "data/no.txt"), "no-entry");
    assert_eq!(read(&["--allow-read", "data"], "data/../secret.txt"), "not-permitted");
    symlink(folder.path().join("secret.txt"), folder.path().join("data/link")).unwrap();
    assert_eq!(read(&["--allow-read", "data"], "data/link"), "not-permitted");
    let write =
        |option: &str| run(&folder, "", &[option, "data", "p3.wasm", "write", "data/out.txt", "text"]).stdout;
    assert_ne!(write("--allow-read"), "written");
    assert!(!folder.path().join("data/out.txt").exists());
    assert_eq!(write("--allow-write"), "written");
    assert_eq!(std::fs::read_to_string(folder.path().join("data/out.txt")).unwrap(), "text");
    assert!(run(&folder, "", &["p3.wasm", "connect"]).stdout.ends_with(": access-denied"));
}

#[test]
fn a_command_of_0_3_ends_at_its_limits() {
    let folder = command();
    let looped = run(&folder, "", &["--cpu", "100ms", "p3.wasm", "loop"]);
    assert_eq!(looped.code, Some(1));
    assert!(looped.stderr.contains("the guest reached its cpu limit of 100 ms"), "{looped:?}");
    let waited = run(&folder, "", &["--wall", "200ms", "p3.wasm", "wait", "60000"]);
    assert!(waited.stderr.contains("the guest reached its wall limit of 200 ms"), "{waited:?}");
    let trapped = run(&folder, "", &["p3.wasm", "trap"]);
    assert_eq!(trapped.code, Some(1));
    assert!(trapped.stderr.starts_with("nexus: trap: "), "{trapped:?}");
    let compiled = harness::run(folder.path(), &["compile", "p3.wasm"]);
    assert_eq!(compiled.code, Some(0), "{compiled:?}");
}
