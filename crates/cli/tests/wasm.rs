//! Apps that are WebAssembly components, as clients and the log see them.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::path::{Path, PathBuf};
use std::time::Instant;

use harness::{Client, Folder, Nexus, Start, until};
use serde_json::Value;

/// The guest of all tests, which does what the path says; its source is beside it.
fn guest() -> Vec<u8> {
    file("http.wasm")
}

fn file(name: &str) -> Vec<u8> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wasm");
    std::fs::read(folder.join(name)).unwrap()
}

/// An app with these lines in its manifest beside a quiet neighbour in JavaScript.
fn folder(manifest: &str) -> Folder {
    let quiet = "export default { fetch: () => new Response('quiet') };";
    let folder = Folder::new(&[("quiet/index.js", quiet)]);
    folder.write("app/app.wasm", guest());
    folder.write("app/nexus.toml", format!("[project]\nmain = \"app.wasm\"\n{manifest}"));
    folder
}

fn serve(manifest: &str) -> (Folder, Nexus) {
    let folder = folder(manifest);
    let cache = folder.path().join("cache").to_str().unwrap().to_owned();
    std::fs::create_dir(folder.path().join("apps")).unwrap();
    for app in ["app", "quiet"] {
        std::fs::rename(folder.path().join(app), folder.path().join("apps").join(app)).unwrap();
    }
    let nexus = Start::in_folder(folder.path()).path("apps").env("NEXUS_CACHE", &cache).start();
    (folder, nexus)
}

fn is_quiet(nexus: &Nexus) {
    assert_eq!(nexus.get("quiet", "/").text(), "quiet");
}

#[test]
fn a_component_answers_requests_and_sees_them_as_they_were_sent() {
    let (_folder, mut nexus) = serve("[env]\nGREETING = \"hi\"\n");
    let hello = nexus.get("app", "/hello");
    assert_eq!((hello.status, &*hello.text()), (200, "hello from wasm\n"));
    assert_eq!(hello.header("content-type"), Some("text/plain"));
    // What is there at once is not chunked. On a busy machine the guest may have to pause before it has written it.
    until("an answer of a known length", || {
        (nexus.get("app", "/hello").header("content-length") == Some("16")).then_some(())
    });
    let mut client = nexus.client("app");
    let seen = client.request("PUT", "/headers?a=%20b&<c>", &["X-One: 1", "X-Two: a, b"], b"body").text();
    for line in ["PUT", "/headers?a=%20b&%3Cc%3E", "x-one: 1", "x-two: a, b"] {
        assert!(seen.lines().any(|seen| seen.contains(line)), "{line} in\n{seen}");
    }
    let set = client.get("/set-headers");
    assert_eq!(set.headers.iter().filter(|(name, _)| name == "set-cookie").count(), 2, "{:?}", set.headers);
    assert_eq!(client.get("/status/404").status, 404);
    assert_eq!(client.get("/env").text().trim(), "GREETING=hi");
    assert_eq!(client.get("/no-such").status, 404);
    is_quiet(&nexus);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn bodies_stream_in_both_directions() {
    let (_folder, nexus) = serve("");
    let mut client = nexus.client("app");
    let body: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    assert_eq!(client.request("POST", "/count", &[], &body).text().trim(), "3000000");
    let echo = client.request("POST", "/echo", &["Content-Type: x/y"], &body[..100_000]);
    assert_eq!((echo.header("content-type"), echo.body.len()), (Some("x/y"), 100_000));
    assert!(echo.body == body[..100_000]);
    // A chunk is there before the next one is written.
    client.send_request("GET", "/stream", &[], b"");
    assert_eq!(client.head().status, 200);
    let start = Instant::now();
    let mut times = Vec::new();
    while let Some(chunk) = client.chunk() {
        times.push((start.elapsed(), String::from_utf8(chunk).unwrap()));
    }
    assert_eq!(times.len(), 5, "{times:?}");
    assert!(times[4].0 > times[0].0);
    nexus.await_nothing_held("app");
}

#[test]
fn each_request_has_an_instance_of_its_own() {
    let (_folder, nexus) = serve("");
    let mut client = nexus.client("app");
    let first = client.get("/counter").text();
    for _ in 0..5 {
        assert_eq!(client.get("/counter").text(), first);
    }
}

#[test]
fn output_becomes_log_lines_of_the_request() {
    let (_folder, nexus) = serve("[limits]\nlog = \"1 KB\"\n");
    let answer = nexus.get("app", "/log");
    let id = answer.header("x-request-id").unwrap();
    let line = nexus.message("out line");
    assert_eq!((&line["level"], &line["app"]), (&Value::from("info"), &Value::from("app")));
    assert_eq!(line["request_id"], id);
    assert_eq!(nexus.message("err line")["level"], "warn");
    nexus.get("app", "/flood");
    nexus.message("has logged as much as it may (1 KB)");
}

#[test]
fn failures_are_short_for_the_client_and_whole_in_the_log() {
    let (_folder, nexus) = serve("[limits]\ncpu = \"1 s\"\n");
    let mut client = nexus.client("app");
    for (path, status, text, logged) in [
        ("/trap", 500, "the app failed to handle this request\n", "trap: "),
        ("/recurse", 500, "the app failed to handle this request\n", "trap: call stack exhausted"),
        ("/exit/3", 500, "the app failed to handle this request\n", "exited with"),
        ("/silent", 500, "the app did not return a Response\n", "response-outparam"),
        ("/error", 500, "the app failed to handle this request\n", "answered with an error"),
    ] {
        let answer = client.get(path);
        assert_eq!((answer.status, &*answer.text()), (status, text), "{path}");
        nexus.message(logged);
    }
    let stack = nexus.message("trap: call stack exhausted");
    assert!(stack["stack"].as_str().is_some_and(|stack| stack.contains("    at ")), "{stack}");
    assert_eq!(client.get("/hello").status, 200, "the connection and the app go on");
}

#[test]
fn a_request_at_its_cpu_limit_is_stopped_alone() {
    let (_folder, nexus) = serve("[limits]\ncpu = \"50 ms\"\n");
    let mut slow = nexus.client("app");
    slow.send_request("GET", "/sleep/400", &[], b"");
    let answer = nexus.get("app", "/spin");
    let text = "the app was stopped while it handled this request (limit: cpu 50 ms)\n";
    assert_eq!((answer.status, &*answer.text()), (503, text));
    let line = nexus.message("the app reached its cpu limit of 50 ms");
    assert_eq!((&line["app"], &line["level"]), (&Value::from("app"), &Value::from("error")));
    assert_eq!(slow.response().text().trim(), "slept", "another request of the same worker");
    nexus.await_metric("nexus_guest_stops_total{app=\"app\",reason=\"cpu\"}", 1.0);
    // The tail has as much again, and no more.
    assert_eq!(nexus.get("app", "/spin-after").text(), "answered\n");
    nexus.await_metric("nexus_guest_stops_total{app=\"app\",reason=\"cpu\"}", 2.0);
    is_quiet(&nexus);
    nexus.await_nothing_held("app");
}

#[test]
fn a_request_at_the_memory_limit_gets_503_and_a_refusal_it_can_bear_does_not() {
    let (_folder, nexus) = serve("[limits]\nmemory = \"32 MB\"\ncpu = \"2 s\"\n");
    let mut client = nexus.client("app");
    let answer = client.get("/grow");
    let text = "the app was stopped while it handled this request (limit: memory 32 MB)\n";
    assert_eq!((answer.status, &*answer.text()), (503, text));
    assert_eq!(client.get("/grow/8").text().trim(), "grown");
    assert_eq!(client.get("/grow/64").text().trim(), "refused");
    nexus.await_metric("nexus_guest_stops_total{app=\"app\",reason=\"memory\"}", 1.0);
    nexus.await_metric("nexus_guest_memory_bytes{app=\"app\"}", 0.0);
    is_quiet(&nexus);
}

#[test]
fn the_wall_limit_and_a_client_that_leaves_end_a_request() {
    let (_folder, nexus) = serve("[limits]\nwall = \"300 ms\"\n");
    assert_eq!(nexus.get("app", "/sleep/60000").status, 504);
    nexus.await_nothing_held("app");
    is_quiet(&nexus);
    let (_folder, nexus) = serve("");
    let mut client = nexus.client("app");
    client.send_request("GET", "/drip", &[], b"");
    assert_eq!(client.head().status, 200);
    client.chunk();
    drop(client);
    nexus.await_nothing_held("app");
    is_quiet(&nexus);
}

#[test]
fn resources_and_output_cannot_be_piled_up() {
    let (_folder, nexus) = serve("[limits]\ncpu = \"5 s\"\n");
    let answer = nexus.get("app", "/resources");
    assert!(matches!(answer.status, 200 | 500 | 503), "{}", answer.status);
    is_quiet(&nexus);
    nexus.await_nothing_held("app");
    assert_eq!(nexus.get("app", "/open").text().trim(), "no preopens");
}

#[test]
fn what_is_no_service_is_refused_in_one_line_and_others_are_served() {
    let text = "(module)";
    let folder = Folder::new(&[("quiet/index.js", "export default { fetch: () => new Response('quiet') };")]);
    let whole = guest();
    for (name, content) in [
        ("core", file("command.wasm")),
        ("command", file("command.component.wasm")),
        ("text", text.as_bytes().to_vec()),
        ("empty", Vec::new()),
        ("cut", whole[..whole.len() / 2].to_vec()),
    ] {
        folder.write(&format!("{name}/app.wasm"), content);
        folder.write(&format!("{name}/nexus.toml"), "[project]\nmain = \"app.wasm\"\n");
    }
    let nexus = Start::in_folder(folder.path()).path(".").env("NEXUS_CACHE", "").start();
    for (name, part) in [
        ("core", "is a core WebAssembly module"),
        ("command", "is a command, not a service"),
        ("text", "is no WebAssembly"),
        ("empty", "is no WebAssembly"),
        ("cut", "is no valid component"),
    ] {
        let line = nexus.line(name, |line| {
            line["app"] == name && line["message"].as_str().is_some_and(|text| text.starts_with("not served"))
        });
        let message = line["message"].as_str().unwrap();
        assert!(message.contains(part) && !message.contains('\n'), "{message}");
    }
    is_quiet(&nexus);
}

#[test]
fn compiled_code_is_kept_and_found_and_may_be_removed() {
    let (folder, mut nexus) = serve("");
    let kept = || std::fs::read_dir(folder.path().join("cache/wasm")).unwrap().count();
    assert_eq!(nexus.get("app", "/hello").status, 200);
    assert_eq!(kept(), 1);
    std::fs::remove_dir_all(folder.path().join("cache/wasm")).unwrap();
    assert_eq!(nexus.get("app", "/hello").status, 200, "who has it mapped keeps it");
    assert_eq!(nexus.stop(), Some(0));
    let cache = folder.path().join("cache").to_str().unwrap().to_owned();
    for _ in 0..2 {
        let mut nexus = Start::in_folder(folder.path()).path("apps").env("NEXUS_CACHE", &cache).start();
        assert_eq!(nexus.get("app", "/hello").status, 200);
        assert_eq!((kept(), nexus.stop()), (1, Some(0)));
    }
}

#[test]
fn many_clients_are_answered_at_once() {
    let (_folder, nexus) = serve("");
    let address = nexus.address("app");
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut client = Client::connect(&address);
                for _ in 0..20 {
                    assert_eq!(client.get("/hello").text(), "hello from wasm\n");
                }
            });
        }
    });
    nexus.await_nothing_held("app");
}

#[test]
fn an_instance_serves_as_many_requests_as_the_manifest_says() {
    let (_folder, nexus) = serve("[wasm]\nreuse = 3\n[limits]\ncpu = \"2 s\"\n");
    let mut client = nexus.client("app");
    let counts: Vec<String> = (0..7).map(|_| client.get("/counter").text().trim().to_owned()).collect();
    assert_eq!(counts, ["1", "2", "3", "1", "2", "3", "1"]);
    // One that traps serves nobody any more, and output goes to the request that it is of.
    assert_eq!(client.get("/trap").status, 500);
    assert_eq!(client.get("/counter").text().trim(), "1");
    let answer = client.get("/log");
    assert_eq!(nexus.message("out line")["request_id"], answer.header("x-request-id").unwrap());
    assert_eq!(client.get("/spin").status, 503);
    assert_eq!(client.get("/hello").status, 200);
}

#[test]
fn every_compiler_runs_the_same_component() {
    for compiler in ["cranelift", "winch", "pulley"] {
        let (_folder, nexus) =
            serve(&format!("[wasm]\ncompiler = \"{compiler}\"\n[limits]\ncpu = \"500 ms\"\n"));
        assert_eq!(nexus.get("app", "/hello").text(), "hello from wasm\n", "{compiler}");
        assert_eq!(nexus.get("app", "/spin").status, 503, "{compiler}");
        assert_eq!(nexus.get("app", "/trap").status, 500, "{compiler}");
    }
}

#[test]
fn a_guest_finds_the_folders_that_it_is_granted_and_no_others() {
    let (folder, nexus) = serve("[permissions]\nread = [\"data\"]\n");
    nexus.line("the folder is not there", |line| {
        line["message"].as_str().is_some_and(|text| text.contains("data"))
    });
    drop(nexus);
    folder.write("apps/app/data/secret.txt", "granted");
    folder.write("apps/app/secret.txt", "not granted");
    let nexus = Start::in_folder(folder.path()).path("apps").env("NEXUS_CACHE", "").start();
    assert_eq!(nexus.message("granted: ")["message"], "granted: data (read)");
    let read = nexus.get("app", "/open").text();
    assert!(read.contains("granted") && !read.contains("not granted"), "{read}");
}

#[test]
fn a_file_is_served_by_itself() {
    let folder = Folder::new(&[]);
    folder.write("shop.wasm", guest());
    let nexus = Start::in_folder(folder.path()).path("shop.wasm").env("NEXUS_CACHE", "").start();
    assert_eq!(nexus.get("shop", "/hello").status, 200);
}
