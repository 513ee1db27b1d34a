//! Apps that nobody asks for anything go from memory, and are there again for the next request.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::sync::Barrier;
use std::thread::sleep;
use std::time::Duration;

use harness::{Client, Folder, Nexus, Start, until};

const COUNTER: &str = "let n = 0; export default { fetch: () => new Response(String(++n)) };";

fn asleep(nexus: &Nexus, app: &str) {
    nexus.await_metric(&format!("nexus_app_asleep{{app=\"{app}\"}}"), 1.0);
    nexus.await_metric(&format!("nexus_draining_workers{{app=\"{app}\"}}"), 0.0);
}

#[test]
fn an_idle_app_falls_asleep_and_wakes_for_who_connects() {
    let folder = Folder::new(&[
        ("sleeper/index.js", COUNTER),
        ("sleeper/nexus.toml", "[scale]\nidle = \"200 ms\"\n"),
        ("kept/index.js", COUNTER),
        ("kept/nexus.toml", "[scale]\nidle = \"200 ms\"\nmin_workers = 1\n"),
        ("awake/index.js", COUNTER),
        ("awake/nexus.toml", "[scale]\nidle = \"never\"\n"),
    ]);
    let mut nexus = Nexus::serve(folder.path());
    for app in ["sleeper", "kept", "awake"] {
        assert_eq!(nexus.get(app, "/").text(), "1");
    }
    asleep(&nexus, "sleeper");
    assert_eq!(nexus.metric("nexus_guest_memory_bytes{app=\"sleeper\"}"), 0.0);
    assert_eq!(nexus.metric("nexus_app_up{app=\"sleeper\"}"), 1.0, "it is served all the same");
    assert_eq!(nexus.admin_get("/ready").status, 200);
    assert_eq!(nexus.get("sleeper", "/").text(), "1", "it is a fresh guest");
    for app in ["kept", "awake"] {
        assert_eq!(nexus.get(app, "/").text(), "2", "{app} is the same guest");
        assert_eq!(nexus.metric(&format!("nexus_app_sleeps_total{{app=\"{app}\"}}")), 0.0);
    }
    asleep(&nexus, "sleeper");
    assert_eq!(nexus.metric("nexus_app_sleeps_total{app=\"sleeper\"}"), 2.0);
    assert_eq!(nexus.stop(), Some(0));
    assert!(nexus.messages("worker").is_empty(), "sleep is no fault: {:?}", nexus.messages("worker"));
}

#[test]
fn an_open_connection_outlasts_the_sleep_and_wakes_the_app_by_its_next_request() {
    let folder =
        Folder::new(&[("app/index.js", COUNTER), ("app/nexus.toml", "[scale]\nidle = \"200 ms\"\n")]);
    let mut nexus = Nexus::serve(folder.path());
    let mut clients: Vec<Client> = (0..5).map(|_| nexus.client("app")).collect();
    // One has sent nothing so far, one a part of a request.
    let mut silent = nexus.client("app");
    let mut partial = nexus.client("app");
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    asleep(&nexus, "app");
    assert_eq!(nexus.metric("nexus_connections{app=\"app\"}"), 7.0);
    partial.send("GET / HT");
    until("the app to wake", || (nexus.metric("nexus_app_asleep{app=\"app\"}") == 0.0).then_some(()));
    partial.send("TP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(partial.response().text(), "1");
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.get("/").text(), (n + 2).to_string());
    }
    assert_eq!(silent.get("/").text(), "7");
    asleep(&nexus, "app");
    // Who leaves wakes nobody.
    drop((clients, silent, partial));
    nexus.await_metric("nexus_connections{app=\"app\"}", 0.0);
    assert_eq!(nexus.metric("nexus_app_asleep{app=\"app\"}"), 1.0);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn what_is_under_way_keeps_an_app_awake() {
    let folder = Folder::new(&[
        (
            "app/index.js",
            r#"
            const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
            export default {
              async fetch(request, env, ctx) {
                const { pathname } = new URL(request.url);
                if (pathname === "/slow") { await sleep(900); return new Response("slow"); }
                if (pathname === "/tail") { ctx.waitUntil(sleep(900).then(() => console.log("tail done"))); }
                return new Response("ok");
              },
            };"#,
        ),
        ("app/nexus.toml", "[scale]\nidle = \"100 ms\"\n"),
    ]);
    let mut nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.get("app", "/slow").text(), "slow");
    assert_eq!(nexus.get("app", "/tail").text(), "ok");
    nexus.message("tail done");
    asleep(&nexus, "app");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn an_app_that_sleeps_and_wakes_all_the_time_loses_no_request() {
    let folder = Folder::new(&[("app/index.js", COUNTER), ("app/nexus.toml", "[scale]\nidle = \"30 ms\"\n")]);
    let mut nexus = Nexus::serve(folder.path());
    let address = nexus.address("app");
    let together = Barrier::new(4);
    std::thread::scope(|scope| {
        for seed in 0..4u64 {
            let (address, together) = (&address, &together);
            scope.spawn(move || {
                let mut kept = Client::connect(address);
                for n in 0..60 {
                    assert_eq!(kept.get("/").status, 200);
                    assert_eq!(Client::connect(address).get("/").status, 200);
                    together.wait();
                    // Some of them come at the very time at which it falls asleep.
                    sleep(Duration::from_millis(20 + n % 30 + seed));
                }
            });
        }
    });
    assert!(nexus.metric("nexus_app_sleeps_total{app=\"app\"}") >= 5.0);
    assert_eq!(nexus.metric("nexus_requests_total{app=\"app\",status=\"2xx\"}"), 480.0);
    for part in ["panicked", "lost", "cut off"] {
        assert!(nexus.messages(part).is_empty(), "{:?}", nexus.messages(part));
    }
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn an_app_that_cannot_be_loaded_any_more_answers_503_and_is_back_once_it_can() {
    let folder =
        Folder::new(&[("app/index.js", COUNTER), ("app/nexus.toml", "[scale]\nidle = \"100 ms\"\n")]);
    let mut nexus = Nexus::serve(folder.path());
    asleep(&nexus, "app");
    folder.write("app/index.js", "throw new Error('broken');");
    assert_eq!(nexus.get("app", "/").status, 503);
    nexus.message("cannot be loaded any more");
    folder.write("app/index.js", COUNTER);
    until("it is back", || (nexus.get("app", "/").status == 200).then_some(()));
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_sleeping_app_is_served_by_the_host_that_takes_over_and_stops_with_it() {
    let folder =
        Folder::new(&[("app/index.js", COUNTER), ("app/nexus.toml", "[scale]\nidle = \"100 ms\"\n")]);
    let mut nexus = Start::in_folder(folder.path()).start();
    asleep(&nexus, "app");
    nexus.kill_host("KILL");
    until("the next host", || (nexus.get("app", "/").status == 200).then_some(()));
    asleep(&nexus, "app");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn open_connections_of_a_sleeping_app_may_send_another_request_to_a_host_that_is_replaced() {
    let folder =
        Folder::new(&[("app/index.js", COUNTER), ("app/nexus.toml", "[scale]\nidle = \"100 ms\"\n")]);
    let mut nexus = Start::in_folder(folder.path()).start();
    let mut clients: Vec<Client> = (0..3).map(|_| nexus.client("app")).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").status, 200);
    }
    asleep(&nexus, "app");
    nexus.signal("USR2");
    nexus.message("a fresh host has taken over");
    for client in &mut clients {
        sleep(Duration::from_millis(300));
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(nexus.get("app", "/").status, 200);
    assert_eq!(nexus.stop(), Some(0));
}
