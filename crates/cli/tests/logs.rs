//! The log: JSON lines, request ids, `console`, access lines, floods.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Folder, Nexus, Start};
use serde_json::Value;

const APP: &str = r#"
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
console.info("evaluated");
const bag = new Map();
export default {
  async fetch(request, env, ctx) {
    const { pathname, searchParams } = new URL(request.url);
    switch (pathname) {
      case "/levels":
        console.debug("at debug"); console.log("at log"); console.info("at info"); console.warn("at warn"); console.error("at error");
        console.log("a %s of %d", "format", 7, { deep: [1, new Map([["k", 2]])] });
        console.log("two\nlines \x1b[31mred \u2028 \"quoted\" \\");
        break;
      case "/hops": {
        const n = searchParams.get("n");
        console.log(`hop 1 of ${n}`);
        await sleep(Math.random() * 20);
        console.log(`hop 2 of ${n}`);
        queueMicrotask(() => console.log(`hop 3 of ${n}`));
        await request.text();
        setTimeout(() => console.log(`hop 4 of ${n}`), 1);
        await sleep(10);
        ctx.waitUntil(sleep(5).then(() => console.log(`hop 5 of ${n}`)));
        break;
      }
      case "/flood":
        for (let i = 0; i < 60000; i++) console.log("flood", i, "x".repeat(100));
        return new Response("survived");
      case "/throw": throw new Error("thrown\n{\"kind\":\"host\"}");
      case "/bytes": return new Response("x".repeat(1234));
      case "/pending": console.log("pending"); for (;;) await sleep(10);
      case "/id": return new Response(ctx.requestId);
    }
    return new Response("ok");
  },
};
"#;

fn serve(args: &[&str]) -> (Folder, Nexus) {
    let folder = Folder::app(APP);
    let nexus = Start::in_folder(folder.path()).args(args).start();
    (folder, nexus)
}

#[test]
fn every_line_is_one_json_object_with_time_level_app_worker_request_id_and_message() {
    let (_folder, mut nexus) = serve(&["--access-log"]);
    let mut client = nexus.client("app");
    let levels = client.get("/levels");
    client.get("/throw");
    let id = levels.header("x-request-id").unwrap().to_owned();
    nexus.message("thrown");
    assert_eq!(nexus.stop(), Some(0));
    for line in nexus.lines() {
        let line: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let time = line["time"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
        assert!(["debug", "info", "warn", "error"].contains(&line["level"].as_str().unwrap()));
        assert!(line["message"].is_string());
        match line["kind"].as_str().unwrap() {
            "host" => {}
            "app" | "access" => assert!(line["app"] == "app" && line["worker"] == 1, "{line}"),
            other => panic!("{other}"),
        }
    }
    let of = |message: &str| nexus.log().into_iter().find(|line| line["message"] == message);
    assert!(of("at debug").is_none(), "the level is info unless it is asked for");
    for (message, level) in
        [("at log", "info"), ("at info", "info"), ("at warn", "warn"), ("at error", "error")]
    {
        let line = of(message).unwrap();
        assert_eq!((line["level"].as_str(), line["request_id"].as_str()), (Some(level), Some(id.as_str())));
    }
    assert!(of("two\nlines \u{1b}[31mred \u{2028} \"quoted\" \\").is_some());
    let formatted = nexus.messages("a format of 7").remove(0);
    assert!(formatted["message"].as_str().unwrap().contains("deep"), "{formatted}");
    assert_eq!(of("evaluated").unwrap()["request_id"], Value::Null);
}

#[test]
fn the_least_level_is_chosen() {
    for (level, wanted, unwanted) in [
        ("debug", Some("at debug"), None),
        ("warn", Some("at warn"), Some("at info")),
        ("error", Some("at error"), Some("at warn")),
    ] {
        let folder = Folder::app(APP);
        // Below the level that is wanted the address would not be told.
        let mut nexus = Start::in_folder(folder.path())
            .without_admin()
            .args(&["--log-level", level, "--listen", "unix:app.sock"])
            .start();
        let mut client = harness::Client::connect_when_open(&folder.path().join("app.sock"));
        assert_eq!(client.get("/levels").status, 200);
        assert_eq!(nexus.stop(), Some(0));
        assert!(wanted.is_none_or(|message| !nexus.messages(message).is_empty()), "{:?}", nexus.lines());
        assert!(unwanted.is_none_or(|message| nexus.messages(message).is_empty()), "{:?}", nexus.lines());
    }
}

#[test]
fn the_request_id_is_the_one_that_is_brought_or_new_and_goes_back() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    let (_folder, nexus) = serve(&[]);
    let mut client = nexus.client("app");
    let traceparent = format!("traceparent: 00-{TRACE}-00f067aa0ba902b7-01");
    let mut id = |headers: &[&str]| {
        let response = client.request("GET", "/id", headers, b"");
        let id = response.header("x-request-id").unwrap().to_owned();
        assert_eq!(response.text(), id, "the guest knows it too");
        id
    };
    assert_eq!(id(&[&traceparent]), TRACE);
    assert_eq!(id(&[&traceparent, "X-Request-Id: mine"]), TRACE);
    assert_eq!(id(&["X-Request-Id: mine-1_2.3"]), "mine-1_2.3");
    assert_eq!(id(&["traceparent: 00-nonsense", "X-Request-Id: mine"]), "mine");
    let mut new = vec![id(&[]), id(&[])];
    let long = format!("X-Request-Id: {}", "x".repeat(1000));
    for bad in
        ["X-Request-Id: with space", "X-Request-Id: \"quote", "X-Request-Id: \u{e9}", "X-Request-Id:", &long]
    {
        new.push(id(&[bad]));
    }
    for id in &new {
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
    }
    new.sort();
    new.dedup();
    assert_eq!(new.len(), 7, "each is another");
}

#[test]
fn console_lines_carry_their_own_requests_id_across_awaits() {
    let (_folder, nexus) = serve(&[]);
    let mut clients: Vec<_> = (0..20).map(|_| nexus.client("app")).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send_request(
            "POST",
            &format!("/hops?n={n}."),
            &[&format!("X-Request-Id: request-{n}")],
            b"body",
        );
    }
    for client in &mut clients {
        assert_eq!(client.response().text(), "ok");
    }
    for n in 0..20 {
        for hop in 1..=5 {
            let line = nexus.message(&format!("hop {hop} of {n}."));
            assert_eq!(line["request_id"], format!("request-{n}"), "hop {hop}");
        }
    }
}

#[test]
fn the_access_log_adds_a_line_a_request() {
    let (_folder, nexus) = serve(&["--access-log"]);
    let mut client = nexus.client("app");
    let response = client.request("GET", "/bytes?a=1", &["X-Request-Id: first"], b"");
    client.request("DELETE", "/throw", &["X-Request-Id: second"], b"");
    client.request("GET", "/%1b[31m\"\\{", &["X-Request-Id: odd"], b"");
    client.send_request("GET", "/pending", &["X-Request-Id: third"], b"");
    nexus.message("pending");
    drop(client);
    let access = |id: &str| nexus.line(id, |line| line["kind"] == "access" && line["request_id"] == id);
    let line = access("first");
    assert_eq!(response.status, 200);
    assert_eq!((&line["app"], &line["worker"], &line["level"]), (&"app".into(), &1.into(), &"info".into()));
    assert_eq!((&line["method"], &line["path"]), (&"GET".into(), &"/bytes?a=1".into()));
    assert_eq!((&line["status"], &line["bytes"]), (&200.into(), &1234.into()));
    assert_eq!((&line["complete"], &line["client"]), (&true.into(), &line["client"]));
    assert!(line["client"].as_str().unwrap().starts_with("127.0.0.1"), "{line}");
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0 && line["cpu_ms"].as_f64().unwrap() > 0.0, "{line}");
    let line = access("second");
    assert_eq!((&line["method"], &line["status"]), (&"DELETE".into(), &500.into()));
    assert_eq!(access("odd")["path"], "/%1b[31m\"\\{");
    let line = access("third");
    assert_eq!((&line["status"], &line["complete"]), (&Value::Null, &false.into()));
}

#[test]
fn requests_that_no_guest_sees_have_their_lines_and_ids_too() {
    let folder = Folder::app(APP);
    folder.write(
        "app/nexus.toml",
        "[limits]\ncpu = \"10 s\"\nbody = 10\nheaders = \"1 KB\"\nurl = 100\nrequests = 1\nqueue = 0\n",
    );
    let nexus = Start::in_folder(folder.path()).args(&["--access-log"]).start();
    let mut pending = nexus.client("app");
    pending.send_request("GET", "/pending", &[], b"");
    nexus.message("pending");
    let long = "x".repeat(2000);
    for (status, method, path, request) in [
        (400, "GET", "/no-host", "GET /no-host HTTP/1.1\r\n\r\n".to_owned()),
        (400, "", "", "\x16\x03\x01\r\n\r\n".into()),
        (408, "GET", "/slow?a", "GET /slow?a HTTP/1.1\r\nHost:".into()),
        (
            413,
            "PUT",
            "/large",
            "PUT /large HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nX-Request-Id: mine\r\n\r\n".into(),
        ),
        (414, "GET", &*format!("/{}", &long[..1023]), format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
        (431, "GET", "/", format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n")),
        (503, "GET", "/full", "GET /full HTTP/1.1\r\nHost: a\r\n\r\n".into()),
    ] {
        let mut client = nexus.client("app");
        client.send(&request);
        let response = client.response();
        assert_eq!(response.status, status, "{request:.60}");
        let id = response.header("x-request-id").unwrap();
        assert_eq!(id == "mine", status == 413);
        let line = nexus.line(id, |line| line["kind"] == "access" && line["request_id"] == id);
        assert_eq!((&line["status"], &line["app"]), (&status.into(), &"app".into()));
        assert_eq!((line["method"].as_str(), line["path"].as_str()), (Some(method), Some(path)));
        assert_eq!((&line["bytes"], &line["complete"]), (&response.body.len().into(), &true.into()));
        assert!(line["client"].as_str().unwrap().starts_with("127.0.0.1"), "{line}");
        let took = line["duration_ms"].as_f64().unwrap();
        assert!(status != 408 || took >= 10_000.0, "{line}");
    }
}

#[test]
fn without_it_requests_have_no_lines() {
    let (_folder, mut nexus) = serve(&[]);
    assert_eq!(nexus.get("app", "/").status, 200);
    assert_eq!(nexus.stop(), Some(0));
    assert!(nexus.log().iter().all(|line| line["kind"] != "access"));
}

#[test]
fn a_flood_of_lines_blocks_nobody_and_what_is_dropped_is_counted_and_told() {
    let folder = Folder::new(&[("noisy/index.js", APP), ("quiet/index.js", APP)]);
    folder.write("noisy/nexus.toml", "[limits]\ncpu = \"60 s\"\nlog = \"1 GB\"\n");
    let nexus = Nexus::serve(folder.path());
    nexus.address("noisy");
    nexus.address("quiet");
    nexus.admin();
    assert_eq!(nexus.metric("nexus_log_lines_dropped_total"), 0.0);
    // Nobody reads the log: the pipe fills up.
    nexus.hold_output(true);
    assert_eq!(nexus.get("noisy", "/flood").text(), "survived");
    assert_eq!(nexus.get("quiet", "/levels").text(), "ok");
    let dropped = nexus.metric("nexus_log_lines_dropped_total");
    assert!(dropped > 10_000.0, "{dropped}");
    nexus.hold_output(false);
    nexus.message("log lines were dropped");
    let line = nexus.message("at error");
    assert_eq!(line["app"], "quiet", "a neighbour's lines had their place");
}

#[test]
fn the_end_of_the_log_is_written_before_the_process_ends() {
    let (_folder, mut nexus) = serve(&[]);
    for n in 0..50 {
        nexus.get("app", &format!("/hops?n={n}."));
    }
    assert_eq!(nexus.stop(), Some(0));
    for n in 0..50 {
        assert_eq!(nexus.messages(&format!("hop 5 of {n}.")).len(), 1);
    }
}

#[test]
fn pretty_lines_are_for_people_and_cannot_be_forged() {
    let folder = Folder::app(APP);
    let args = ["--log-format", "pretty", "--access-log", "--listen", "unix:app.sock"];
    let mut nexus = Start::in_folder(folder.path()).plain().args(&args).start();
    let mut client = harness::Client::connect_when_open(&folder.path().join("app.sock"));
    client.request("GET", "/levels", &["X-Request-Id: mine"], b"");
    client.get("/throw");
    assert_eq!(nexus.stop(), Some(0));
    let lines = nexus.lines();
    let line = |part: &str| {
        lines.iter().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {lines:#?}"))
    };
    assert!(
        line("at warn").contains("WARN ")
            && line("at warn").contains("app")
            && line("at warn").ends_with("(mine)")
    );
    assert!(line("GET /levels").contains(" 200 ") && line("GET /levels").contains("cpu"));
    assert!(line("lines ").starts_with("    ") && line("lines ").contains("\\u{1b}[31mred"));
    assert!(lines.iter().any(|line| line.trim_start().starts_with("at ") && line.contains("index.js:")));
    assert!(!lines.iter().any(|line| line.contains('\x1b') || line.starts_with('{')), "{lines:#?}");
}

/// Runs the rest of its arguments on a terminal of their own, which ends with it and ends them, also below `nohup`.
const TERMINAL: &str =
    "import pty, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL); pty.spawn(sys.argv[1:])";

#[test]
fn on_a_terminal_lines_are_pretty_by_default_and_coloured_unless_the_user_minds() {
    for minds in [false, true] {
        let folder = Folder::app(APP);
        let mut start = Start::in_folder(folder.path()).plain();
        if minds {
            start = start.env("NO_COLOR", "1");
        }
        let nexus = start.start_by(&["python3", "-c", TERMINAL]);
        let line = nexus.text_line("evaluated", |line| line.contains("evaluated"));
        assert!(!line.starts_with('{'));
        nexus.text_line("the table", |line| line.contains("APP") && line.contains("MAIN"));
        let text = nexus.lines().join("\n");
        assert_eq!(text.contains("\x1b["), !minds, "{text}");
    }
}
