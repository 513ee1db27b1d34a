//! The supervisor of `nexus serve`: hosts that die, are replaced, and end.
#![allow(missing_docs, clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod harness;

use harness::{
    Client, Folder, Nexus, OWN_GROUP, Start, await_answers, send_signal, under_load, until, until_refused,
};

const APP: &str = r#"
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
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
    return new Response("ok" + await request.text());
  },
};
"#;

/// Lets a guest compute for longer than any test runs.
const PATIENT: &str = "[limits]\ncpu = \"30s\"\nwall = \"10m\"\n";

/// Two apps.
fn apps() -> Folder {
    Folder::new(&[
        ("app/index.js", APP),
        ("app/nexus.toml", PATIENT),
        ("neighbour/index.js", APP),
        ("neighbour/nexus.toml", PATIENT),
    ])
}

#[test]
fn a_host_that_is_killed_is_followed_by_another_one_and_no_connection_is_refused() {
    let folder = apps();
    let mut nexus = Nexus::serve(folder.path());
    under_load(&nexus, &["app", "neighbour"], true, |answered| {
        for round in 1..=2 {
            await_answers(answered);
            let killed = nexus.kill_host("KILL");
            until("the report", || (nexus.messages("the host died of SIGKILL").len() == round).then_some(()));
            assert_ne!(nexus.host(), killed);
            await_answers(answered);
        }
    });
    let line = nexus.message("the host died of SIGKILL");
    assert_eq!((line["level"].as_str(), line["kind"].as_str()), (Some("error"), Some("host")));
    assert_eq!((line["signal"].as_str(), line["restart_ms"].as_f64()), (Some("SIGKILL"), Some(0.0)));
    assert_eq!(nexus.hosts().len(), 1, "the dead ones are waited for");
    assert_eq!(nexus.stop(), Some(0));
}

/// Has the app compute, and ends the host in the middle of it.
#[track_caller]
fn die_while_executing(nexus: &Nexus, round: usize) {
    let mut client = nexus.client("app");
    client.send_request("GET", "/loop", &[], b"");
    until("the turn", || (nexus.messages("looping").len() == round).then_some(()));
    nexus.kill_host("ABRT");
    until("the report", || (nexus.messages("the host died of SIGABRT").len() == round).then_some(()));
    assert_eq!(client.rest(), b"");
}

#[test]
fn an_app_that_is_executing_in_three_deaths_is_set_aside_and_its_neighbour_is_not() {
    let folder = apps();
    let mut nexus = Nexus::serve(folder.path());
    for round in 1..=3 {
        assert_eq!(nexus.get("neighbour", "/").text(), "ok");
        assert_eq!(nexus.get("app", "/").text(), "ok");
        die_while_executing(&nexus, round);
        let line = nexus.messages("the host died of SIGABRT")[round - 1].clone();
        assert_eq!(line["apps"], "app", "{line}");
        assert!(line["message"].as_str().unwrap().contains("executing: app;"), "{line}");
        let told = nexus.messages("the app is set aside");
        assert!(round == 3 || told.is_empty(), "{told:?}");
    }
    // It follows the third host's report in a line of its own.
    assert_eq!(nexus.message("the app is set aside")["app"], "app");
    // The next host says so, too.
    let line = nexus.message("not served: it is set aside");
    assert_eq!((line["app"].as_str(), line["level"].as_str()), (Some("app"), Some("error")));
    for (method, body) in [("GET", &b""[..]), ("GET", b""), ("POST", b"body")] {
        let mut client = nexus.client("app");
        let response = client.request(method, "/", &[], body);
        assert_eq!((response.status, response.header("connection")), (503, Some("close")));
        assert!(response.text().contains("set aside"), "{}", response.text());
        assert!(client.is_closed());
    }
    assert_eq!(nexus.get("neighbour", "/").text(), "ok");

    // Whoever has the host replaced gives it another chance.
    let old = nexus.host();
    nexus.signal("USR2");
    until("the fresh host", || (!nexus.hosts().contains(&old)).then_some(()));
    assert_eq!(nexus.get("app", "/").text(), "ok");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_host_whose_only_app_is_set_aside_goes_on_answering() {
    let folder = Folder::new(&[("app/index.js", APP), ("app/nexus.toml", PATIENT)]);
    let mut nexus = Nexus::serve(folder.path());
    for round in 1..=3 {
        die_while_executing(&nexus, round);
    }
    nexus.message("the app is set aside");
    assert_eq!(nexus.get("app", "/").status, 503);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_replacement_under_load_loses_no_request_and_refuses_no_connection() {
    let folder = apps();
    let mut nexus = Nexus::serve(folder.path());
    let mut stream = nexus.client("app");
    let mut upload = nexus.client("neighbour");
    under_load(&nexus, &["app", "neighbour"], false, |answered| {
        for round in 0..3 {
            await_answers(answered);
            let old = nexus.host();
            if round == 0 {
                stream.send_request("GET", "/stream", &[], b"");
                assert_eq!(stream.head().status, 200);
                upload
                    .send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n");
                assert_eq!(upload.head().status, 100);
            }
            nexus.signal("USR2");
            let told = || (nexus.messages("a fresh host has taken over").len() > round).then_some(());
            until("the fresh host", told);
            assert!(round > 0 || nexus.hosts().contains(&old), "it has requests in flight");
            await_answers(answered);
            if round == 0 {
                // What was in flight is the old one's, to its end.
                upload.send("uploaded");
                assert_eq!(upload.response().text(), "okuploaded");
                let mut text = Vec::new();
                while let Some(chunk) = stream.chunk() {
                    text.extend(chunk);
                }
                assert_eq!(text, b"0 1 2 3 4 5 6 7 8 9 ");
            }
            until("the old host's end", || (!nexus.hosts().contains(&old)).then_some(()));
            assert_eq!(nexus.hosts().len(), 1);
        }
    });
    let bad: Vec<_> = nexus.log().into_iter().filter(|line| line["level"] != "info").collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_replacement_loads_the_apps_anew_and_the_admin_address_is_ready_throughout() {
    let folder = apps();
    folder.write("broken/index.js", "throw new Error('not yet')");
    let mut nexus = Start::in_folder(folder.path()).start();
    let broken = nexus.line("broken", |line| line["app"] == "broken" && line["level"] == "error");
    assert!(broken["message"].as_str().unwrap().contains("not yet"), "{broken}");
    let admin = nexus.admin();
    folder.write("broken/index.js", "export default { fetch() { return new Response('mended') } }");
    folder.write("app/index.js", "export default { fetch() { return new Response('new') } }");
    let old = nexus.host();
    nexus.signal("USR2");
    until("the fresh host", || {
        let ready = Client::connect(&admin).get("/ready");
        assert_eq!((ready.status, ready.text().as_str()), (200, "ready\n"));
        (!nexus.hosts().contains(&old)).then_some(())
    });
    assert_eq!(nexus.get("app", "/").text(), "new");
    // Its socket was closed, and is open again.
    assert_eq!(nexus.get("broken", "/").text(), "mended");
    assert_eq!(nexus.stop(), Some(0));
}

/// An app that logs more at a time than a pipe takes.
const TALKATIVE: &str = "const guest = String(Math.random());
export default { async fetch(request) {
  if (request.url.endsWith('/wait')) await new Promise(() => {});
  for (let n = 0; n < 20; n++) console.log('x'.repeat(20_000));
  return new Response(guest);
} };";

/// Serves the talkative app, and reads no more of the log once the app has filled the pipe: the host waits within a
/// line.
fn serve_within_a_line() -> (Folder, Nexus, String) {
    let folder = Folder::app(TALKATIVE);
    folder.write("app/nexus.toml", PATIENT);
    let nexus = Start::in_folder(folder.path()).without_admin().start();
    nexus.address("app");
    nexus.hold_output(true);
    let guest = nexus.get("app", "/").text();
    nexus.await_full_output();
    (folder, nexus, guest)
}

/// The lines that are not records of the log: how each starts, and how long it is.
fn torn(nexus: &Nexus) -> Vec<(String, usize)> {
    let mut lines = nexus.lines();
    lines.retain(|line| !line.is_empty() && serde_json::from_str::<serde_json::Value>(line).is_err());
    lines.iter().map(|line| (line.chars().take(100).collect(), line.len())).collect()
}

#[test]
fn a_replacement_tears_no_line_of_a_host_that_is_writing() {
    let (_folder, mut nexus, old) = serve_within_a_line();
    // While it has a request, the old host stays.
    let mut waiting = nexus.client("app");
    waiting.send_request("GET", "/wait", &[], b"");
    nexus.signal("USR2");
    // It has something to say, too, and the supervisor tells of it.
    until("the fresh host", || (nexus.get("app", "/").text() != old).then_some(()));
    nexus.hold_output(false);
    nexus.message("a fresh host has taken over");
    until("all that both have to say", || (nexus.messages("xxx").len() >= 40).then_some(()));
    assert_eq!(torn(&nexus), []);
    drop(waiting);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn the_line_that_a_dying_host_leaves_unfinished_spoils_no_other() {
    // One that is killed may be between two lines.
    until("a host to die within a line", || {
        let (_folder, mut nexus, _) = serve_within_a_line();
        let killed = nexus.kill_host("KILL");
        until("the next host", || nexus.hosts().iter().any(|host| *host != killed).then_some(()));
        nexus.hold_output(false);
        nexus.message("the host died of SIGKILL");
        until("the next host's line", || (nexus.messages("serving").len() == 2).then_some(()));
        assert_eq!(nexus.stop(), Some(0));
        let torn = torn(&nexus);
        assert!(torn.len() <= 1 && torn.iter().all(|(_, length)| *length < 20_000), "{torn:#?}");
        (torn.len() == 1).then_some(())
    });
}

#[test]
fn a_replacement_that_cannot_serve_leaves_the_old_host_at_work() {
    let folder = Folder::app(APP);
    let mut nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.get("app", "/").text(), "ok");
    let old = nexus.host();
    folder.write("app/index.js", "throw new Error('a mistake')");
    nexus.signal("USR2");
    let line = nexus.message("the host that was to take over ended by code 1");
    assert!(line["message"].as_str().unwrap().ends_with("the old one goes on serving"), "{line}");
    assert_eq!(nexus.host(), old);
    assert_eq!(nexus.get("app", "/").text(), "ok");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn unix_sockets_outlive_hosts_and_go_with_the_supervisor() {
    let folder = Folder::new(&[("a/index.js", APP), ("b/index.js", "throw new Error('not yet')")]);
    let start = Start::in_folder(folder.path()).without_admin();
    let mut nexus = start.args(&["--listen", "unix:run", "--admin", "unix:admin.sock"]).start();
    nexus.address("a");
    let path = folder.path().join("run/a.sock");
    let a = format!("unix:{}", path.display());
    assert_eq!(Client::connect(&a).get("/").text(), "ok");
    nexus.kill_host("KILL");
    assert_eq!(Client::connect(&a).get("/").text(), "ok", "it waits for the next host");
    folder.write("b/index.js", APP);
    let old = nexus.host();
    nexus.signal("USR2");
    until("the fresh host", || (!nexus.hosts().contains(&old)).then_some(()));
    assert_eq!(Client::connect(&a).get("/").text(), "ok");
    let b = format!("unix:{}", folder.path().join("run/b.sock").display());
    assert_eq!(Client::connect(&b).get("/").text(), "ok");
    assert!(path.exists());
    assert_eq!(nexus.stop(), Some(0));
    assert!(!path.exists() && !folder.path().join("run/b.sock").exists());
    assert!(!folder.path().join("admin.sock").exists());
}

#[test]
fn a_ctrl_c_that_reaches_the_whole_group_counts_once() {
    let folder = Folder::app(APP);
    let mut nexus = Start::in_folder(folder.path()).start_by(&OWN_GROUP);
    let mut busy = nexus.client("app");
    busy.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(busy.head().status, 100);
    let group = format!("-{}", nexus.pid());
    send_signal("INT", &group);
    nexus.message("stopping: requests in flight may finish");
    until_refused(&nexus.address("app"));
    assert!(nexus.runs());
    busy.send("done");
    assert_eq!(busy.response().text(), "okdone");
    assert_eq!(nexus.wait().code(), Some(0));

    let mut nexus = Start::in_folder(folder.path()).args(&["--grace", "1h"]).start_by(&OWN_GROUP);
    let mut busy = nexus.client("app");
    busy.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(busy.head().status, 100);
    let group = format!("-{}", nexus.pid());
    send_signal("INT", &group);
    nexus.message("stopping: requests in flight may finish");
    send_signal("INT", &group);
    assert_eq!(nexus.wait().code(), Some(130));
}

#[test]
fn a_host_does_not_outlive_its_supervisor() {
    let folder = Folder::app(APP);
    let mut nexus = Nexus::serve(folder.path());
    let address = nexus.address("app");
    let host = nexus.host();
    nexus.signal("KILL");
    assert_eq!(nexus.wait().code(), None);
    until("the host's end", || (!std::path::Path::new(&format!("/proc/{host}")).exists()).then_some(()));
    until_refused(&address);
}

#[test]
fn hosts_that_die_before_they_serve_are_given_up() {
    let folder =
        Folder::app("await new Promise((resolve) => setTimeout(resolve, 3_600_000)); export default {};");
    let mut nexus = Nexus::serve(folder.path());
    let mut last = 0;
    while !nexus.has_ended() {
        // Each one once, and only those that are there: the last one's successor never comes.
        if let [host] = nexus.hosts()[..]
            && host != last
        {
            last = host;
            send_signal("KILL", &host.to_string());
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(nexus.wait().code(), Some(3));
    assert!(nexus.errors().contains("before it had served") && nexus.errors().contains("giving up"));
    assert_eq!(nexus.messages("the host died of SIGKILL").len(), 4);
}

#[test]
fn a_supervisor_whose_next_host_waits_can_be_stopped() {
    let folder = Folder::app(APP);
    let mut nexus = Nexus::serve(folder.path());
    let address = nexus.address("app");
    let mut deaths = 0;
    loop {
        assert_eq!(Client::connect(&address).get("/").text(), "ok");
        nexus.kill_host("KILL");
        deaths += 1;
        until("the report", || (nexus.messages("the host died").len() == deaths).then_some(()));
        if nexus.messages("the host died")[deaths - 1]["restart_ms"].as_f64() >= Some(800.0) {
            break;
        }
    }
    assert_eq!(nexus.stop(), Some(0));
    assert_eq!(nexus.hosts().len(), 0);
    until_refused(&address);
}

#[test]
fn the_supervisor_is_small_and_has_one_thread() {
    let folder = apps();
    let nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.get("app", "/").text(), "ok");
    // The rest are pages of the program's file, which the host has anyway.
    let own = |pid: u32| -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let size = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).unwrap();
        size.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let (supervisor, host) = (own(nexus.pid()), own(nexus.host()));
    assert!(supervisor < 1024 && supervisor < host, "{supervisor} kB to {host} kB");
    let threads = std::fs::read_dir(format!("/proc/{}/task", nexus.pid())).unwrap().count();
    assert_eq!(threads, 1);
}

#[test]
fn without_a_supervisor_there_is_one_process_which_dies_alone() {
    let folder = Folder::app(APP);
    let mut nexus = Start::in_folder(folder.path()).args(&["--no-supervisor"]).start();
    assert_eq!(nexus.get("app", "/").text(), "ok");
    assert_eq!(nexus.hosts().len(), 0);
    let address = nexus.address("app");
    nexus.signal("KILL");
    assert_eq!(nexus.wait().code(), None);
    until_refused(&address);

    let mut nexus = Start::in_folder(folder.path()).args(&["--no-supervisor"]).start();
    assert_eq!(nexus.get("app", "/").text(), "ok");
    assert_eq!(nexus.stop(), Some(0));
}
