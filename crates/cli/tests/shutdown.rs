//! How `nexus serve` ends.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::os::unix::process::ExitStatusExt;

use harness::{Client, Folder, Nexus, Start, until_refused};

const APP: &str = r#"
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    if (pathname === "/later") {
      ctx.waitUntil(sleep(5000).then(() => console.log("ran out")));
      return new Response("ok");
    }
    if (pathname === "/tail") {
      ctx.waitUntil(sleep(700).then(() => { for (;;); }));
      return new Response("ok");
    }
    if (pathname === "/pending") {
      console.log("pending");
      for (;;) await sleep(10);
    }
    if (pathname === "/loop") {
      console.log("looping");
      for (;;);
    }
    if (pathname === "/stream") {
      let n = 0;
      return new Response(new ReadableStream({ async pull(c) {
        await sleep(50);
        if (n === 10) return c.close();
        c.enqueue(new TextEncoder().encode(`${n++} `));
      } }));
    }
    return new Response(await request.text());
  },
};
"#;

#[test]
fn sigterm_refuses_new_connections_finishes_what_is_in_flight_and_ends_with_0() {
    for signal in ["TERM", "INT"] {
        let folder = Folder::app(APP);
        let mut nexus = Nexus::serve(folder.path());
        let address = nexus.address("app");
        let mut idle = nexus.client("app");
        assert_eq!(idle.get("/").status, 200);
        let mut stream = nexus.client("app");
        stream.send_request("GET", "/stream", &[], b"");
        assert_eq!(stream.head().status, 200);
        // This request ends when its client wants it to.
        let mut busy = nexus.client("app");
        busy.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(busy.head().status, 100);
        busy.send("half");

        nexus.signal(signal);
        nexus.message("stopping: requests in flight may finish");
        until_refused(&address);
        assert!(idle.is_closed());
        assert!(nexus.runs());
        let ready = nexus.admin_get("/ready");
        assert_eq!((ready.status, ready.text().as_str()), (503, "stopping\n"));
        assert_eq!(nexus.admin_get("/health").status, 200);

        busy.send("done");
        let response = busy.response();
        assert_eq!((response.text().as_str(), response.header("connection")), ("halfdone", Some("close")));
        assert!(busy.is_closed());
        let mut text = Vec::new();
        while let Some(chunk) = stream.chunk() {
            text.extend(chunk);
        }
        assert_eq!(text, b"0 1 2 3 4 5 6 7 8 9 ");
        assert_eq!(nexus.wait().code(), Some(0));
        assert_finished(&nexus);
    }
}

/// Nothing was cut off, and nothing went wrong.
#[track_caller]
fn assert_finished(nexus: &Nexus) {
    let log = nexus.log();
    assert!(log.iter().all(|line| line["level"] == "info"), "{log:#?}");
}

#[test]
fn what_is_stopped_after_its_connection_is_gone_is_told() {
    let folder = Folder::app(APP);
    folder.write("app/nexus.toml", "[limits]\ncpu = \"500 ms\"\n");
    let mut nexus = Nexus::serve(folder.path());
    let mut client = nexus.client("app");
    assert_eq!(client.get("/tail").text(), "ok");
    nexus.signal("TERM");
    assert!(client.is_closed());
    nexus.line("the tail's end", |line| {
        line["app"] == "app"
            && line["level"] == "error"
            && line["message"].as_str().is_some_and(|text| {
                text.starts_with("the guest was stopped: ") && text.contains("its cpu limit")
            })
    });
    assert_eq!(nexus.wait().code(), Some(0));
}

#[test]
fn wait_until_runs_out_before_the_end() {
    let folder = Folder::app(APP);
    let mut nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.get("app", "/later").text(), "ok");
    assert_eq!(nexus.stop(), Some(0));
    let messages: Vec<_> = nexus.log().iter().map(|line| line["message"].to_string()).collect();
    let place = |part: &str| messages.iter().position(|message| message.contains(part));
    assert!(place("stopping") < place("ran out"), "{messages:?}");
    assert_finished(&nexus);
}

#[test]
fn an_idle_host_ends_at_once_also_with_a_long_grace() {
    let folder = Folder::app(APP);
    let mut nexus = Start::in_folder(folder.path()).args(&["--grace", "1h"]).start();
    let mut idle = nexus.client("app");
    idle.get("/");
    assert_eq!(nexus.stop(), Some(0));
    assert!(idle.is_closed());
    assert_finished(&nexus);
}

#[test]
fn what_is_not_done_within_the_grace_is_cut_off_and_told() {
    for path in ["/pending", "/loop"] {
        let folder = Folder::app(APP);
        folder.write("app/nexus.toml", "[limits]\ncpu = \"30s\"\n");
        let mut nexus = Start::in_folder(folder.path()).args(&["--grace", "300ms"]).start();
        let mut client = nexus.client("app");
        client.send_request("GET", path, &[], b"");
        nexus.message(if path == "/loop" { "looping" } else { "pending" });
        assert_eq!(nexus.stop(), Some(0));
        let line = nexus.message("cut off");
        assert_eq!(line["level"], "warn");
        assert_eq!(client.rest(), b"");
    }
}

#[test]
fn the_grace_is_read_from_the_hosts_configuration_too() {
    let folder = Folder::app(APP);
    folder.write("nexus-host.toml", "[shutdown]\ngrace = 0\n");
    let mut nexus = Nexus::serve(folder.path());
    let mut client = nexus.client("app");
    client.send_request("GET", "/pending", &[], b"");
    nexus.message("pending");
    assert_eq!(nexus.stop(), Some(0));
    assert_eq!(nexus.message("stopping")["grace_ms"], 0.0);
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    for first in ["INT", "TERM"] {
        let folder = Folder::app(APP);
        let mut nexus = Start::in_folder(folder.path()).args(&["--grace", "1h"]).start();
        let mut client = nexus.client("app");
        client.send_request("GET", "/pending", &[], b"");
        nexus.message("pending");
        nexus.signal(first);
        nexus.message("stopping");
        assert!(nexus.runs());
        nexus.signal("INT");
        let status = nexus.wait();
        // As a shell tells of a program that SIGINT ended.
        assert!(status.code() == Some(130) || status.signal() == Some(2), "{status}");
    }
}

#[test]
fn a_host_whose_app_is_still_starting_can_be_stopped() {
    let folder =
        Folder::app("await new Promise((resolve) => setTimeout(resolve, 3_600_000)); export default {};");
    let start = Start::in_folder(folder.path()).without_admin().args(&["--admin", "unix:admin.sock"]);
    let mut nexus = start.start();
    let admin = folder.path().join("admin.sock");
    let response = harness::until("the host to be starting", || {
        Some(Client::connect_when_open(&admin).get("/ready"))
            .filter(|ready| ready.text().starts_with("starting"))
    });
    assert_eq!(response.status, 503);
    assert_eq!(nexus.stop(), Some(0));
}
