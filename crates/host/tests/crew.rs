//! Workers that are lost, full, or too much for the process, and those who come in their place.
#![allow(missing_docs, clippy::unwrap_used)]

mod lab;

use std::sync::atomic::Ordering;
use std::time::Duration;

use lab::{Client, Lab, until, with_app, with_apps};
use nexus_core::HostConfig;
use nexus_host::Happening;

const MB: u64 = 1 << 20;

/// Asks on a connection of its own.
fn get(address: &str, path: &str) -> (u16, String) {
    let answer = Client::connect(address).get(path);
    (answer.status, answer.body)
}

fn ok(text: &str) -> (u16, String) {
    (200, text.into())
}

fn loaded(lab: &Lab) -> usize {
    lab.loaded.load(Ordering::SeqCst)
}

fn spent(lab: &Lab) -> Vec<String> {
    let happenings = lab.happenings.lock().unwrap();
    happenings
        .iter()
        .filter_map(|happening| match happening {
            Happening::Spent(why) => Some(why.clone()),
            Happening::App(_) | Happening::Drain => None,
        })
        .collect()
}

#[test]
fn a_lost_worker_has_a_successor_on_the_same_socket_and_nobody_waits_for_it() {
    let left = with_apps(
        |_| {},
        &[("a", ""), ("b", "")],
        |lab, log, addresses| {
            let mut neighbour = Client::connect(&addresses[1]);
            neighbour.get("hello");
            assert_eq!(get(&addresses[0], "grow/7"), ok("grown"));
            assert_eq!(get(&addresses[0], "lose").0, 503);
            assert_eq!(get(&addresses[0], "hello"), ok("hello"));
            assert_eq!(loaded(lab), 3);
            assert_eq!(neighbour.get("hello").body, "hello", "the connection is the same");
            let metrics = ["lost_workers_total", "lost_workers_memory_bytes", "connections"];
            let values = metrics.map(|name| lab.metric(&format!("nexus_{name}{{app=\"a\"}}")));
            assert_eq!(values[..2], [1.0, (7 * MB) as f64]);
            assert_eq!(lab.metric("nexus_lost_workers_total{app=\"b\"}"), 0.0);
            assert_eq!(lab.metric("nexus_worker_replacements_total{app=\"a\",reason=\"lost\"}"), 1.0);
            assert_eq!(lab.metric("nexus_guest_stops_total{app=\"a\",reason=\"memory\"}"), 1.0);
            assert_eq!(
                lab.metric("nexus_requests_total{app=\"a\",status=\"2xx\"}"),
                2.0,
                "nothing is forgotten"
            );
            assert_eq!(lab.metric("nexus_app_up{app=\"a\"}"), 1.0);
            until("its connections are gone", || lab.metric("nexus_connections{app=\"a\"}") == 0.0);
            let line = log.line("its line", |line| {
                line["message"]
                    .as_str()
                    .is_some_and(|text| text.starts_with("a worker's thread is lost, with 7 MB"))
            });
            assert_eq!((&line["app"], &line["level"]), (&"a".into(), &"error".into()));
            assert_eq!(spent(lab), [""; 0]);
        },
    );
    assert_eq!(left, 0);
}

#[test]
fn an_app_that_is_lost_again_and_again_waits_and_says_so() {
    with_app("", |lab, _, address| {
        assert_eq!(get(address, "lose").0, 503);
        assert_eq!(get(address, "hello"), ok("hello"), "the first time it is there at once");
        assert_eq!(get(address, "lose").0, 503);
        assert_eq!(get(address, "hello"), (503, "the app is not available\n".into()));
        assert_eq!(loaded(lab), 2);
        until("it is back", || get(address, "hello").0 == 200);
        assert_eq!(loaded(lab), 3);
    });
}

#[test]
fn a_process_whose_lost_workers_hold_too_much_says_so_once() {
    let budget = |config: &mut HostConfig| config.process.memory = Some(100 * MB);
    with_apps(budget, &[("a", ""), ("b", ""), ("c", "")], |lab, _, addresses| {
        for (app, mb) in [(0, 20), (1, 6), (2, 6)] {
            assert_eq!(get(&addresses[app], &format!("grow/{mb}")), ok("grown"));
            assert_eq!(get(&addresses[app], "lose").0, 503);
            assert_eq!(get(&addresses[app], "hello"), ok("hello"));
        }
        until("all are counted", || lab.metric("nexus_memory_held_bytes") == (32 * MB) as f64);
        assert_eq!(spent(lab), ["2 lost workers hold 26 MB of the process's 100 MB"]);
    });
}

#[test]
fn an_engine_that_is_worn_out_has_the_process_replaced_and_serves_until_then() {
    with_app("", |lab, _, address| {
        for _ in 0..2 {
            assert_eq!(get(address, "wear"), ok("worn"));
        }
        until("it is told", || !spent(lab).is_empty());
        assert_eq!(get(address, "hello"), ok("hello"));
        assert_eq!(spent(lab), ["the lab is worn out"]);
        assert_eq!(loaded(lab), 1);
    });
}

#[test]
fn a_worker_near_its_memory_limit_drains_while_a_fresh_one_serves() {
    with_app("[limits]\nmemory = \"32 MB\"\n", |lab, _, address| {
        let mut held = Client::ask(address, "hold");
        until("it is held", || lab.held.load(Ordering::SeqCst) == 1);
        let mut idle = Client::connect(address);
        assert_eq!(idle.get("grow/28").body, "grown");
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(loaded(lab), 1, "below 90 % nothing happens");
        assert_eq!(idle.get("grow/30").body, "grown");
        until("a fresh one is there", || {
            get(address, "hello");
            loaded(lab) == 2
        });
        until("it serves", || lab.metric("nexus_draining_workers{app=\"app\"}") == 1.0);
        assert_eq!(lab.metric("nexus_workers"), 1.0);
        assert_eq!(get(address, "grow/1"), ok("grown"));
        let memory = "nexus_guest_memory_bytes{app=\"app\"}";
        assert_eq!(lab.metric(memory), (31 * MB) as f64, "both count");
        // What was in flight goes on, and the connections go on at the fresh one.
        let answer = idle.get("release");
        assert_eq!((answer.status, answer.field("connection")), (200, None));
        let answer = held.answer();
        assert_eq!((&*answer.body, answer.field("connection")), ("released", None));
        assert_eq!((held.get("hello").body, idle.get("hello").body), ("hello".into(), "hello".into()));
        until("the old one is gone", || lab.metric("nexus_draining_workers{app=\"app\"}") == 0.0);
        assert_eq!(lab.metric(memory), MB as f64);
        assert_eq!(lab.metric("nexus_worker_replacements_total{app=\"app\",reason=\"memory\"}"), 1.0);
        assert_eq!(loaded(lab), 2);
    });
}

#[test]
fn near_the_memory_limit_requests_wait_for_the_fresh_worker() {
    with_app("[limits]\nmemory = \"32 MB\"\n", |lab, _, address| {
        lab.loading_waits.store(true, Ordering::SeqCst);
        let mut client = Client::connect(address);
        assert_eq!(client.get("grow/30").body, "grown");
        client.send("hello");
        let waiting = "nexus_requests_waiting{app=\"app\"}";
        until("it waits", || lab.metric(waiting) == 1.0);
        assert!(!lab.seen.lock().unwrap().contains(&"hello".to_owned()), "the full guest did not get it");
        lab.loading_waits.store(false, Ordering::SeqCst);
        assert_eq!(client.answer().status, 200);
        assert_eq!(client.get("again").body, "again", "the connection stays");
        assert_eq!(loaded(lab), 2);
    });
}

#[test]
fn near_the_memory_limit_requests_do_not_wait_for_ever() {
    with_app("[limits]\nmemory = \"32 MB\"\n", |lab, _, address| {
        lab.loading_waits.store(true, Ordering::SeqCst);
        let mut client = Client::connect(address);
        assert_eq!(client.get("grow/30").body, "grown");
        assert_eq!(client.get("hello").body, "hello");
        assert_eq!(loaded(lab), 1, "the fresh worker did not come");
        // It has been waited for once, which is enough.
        assert_eq!(client.get("again").body, "again");
        assert_eq!(client.get("grow/1").body, "grown");
        lab.loading_waits.store(false, Ordering::SeqCst);
    });
}

#[test]
fn a_worker_that_drains_ends_after_the_time_of_a_request() {
    let grace = |config: &mut HostConfig| config.shutdown.grace = Duration::from_millis(100);
    with_apps(
        grace,
        &[("app", "[limits]\nmemory = \"32 MB\"\nwall = \"200 ms\"\n")],
        |lab, log, addresses| {
            let address = &addresses[0];
            let mut endless = Client::ask(address, "stream");
            endless.head();
            get(address, "grow/30");
            until("a fresh one is there", || {
                get(address, "hello");
                loaded(lab) == 2
            });
            assert!(!endless.is_closed(), "what it had written comes first");
            let mut rest = Vec::new();
            let _ = std::io::Read::read_to_end(&mut endless.0, &mut rest);
            assert!(!rest.ends_with(b"0\r\n\r\n"), "it was cut off");
            log.line("its line", |line| {
                line["message"]
                    .as_str()
                    .is_some_and(|text| text.contains("still had in flight when it retired is cut off"))
            });
            until("it is gone", || lab.metric("nexus_draining_workers{app=\"app\"}") == 0.0);
            assert_eq!(get(address, "hello"), ok("hello"));
        },
    );
}

#[test]
fn above_the_budget_an_idle_guest_gives_way_and_a_busy_one_does_not() {
    let budget = |config: &mut HostConfig| config.process.memory = Some(100 * MB);
    let keep = "[scale]\nmin_workers = 1\n";
    with_apps(budget, &[("busy", ""), ("idle", keep)], |lab, _, addresses| {
        assert_eq!(lab.metric("nexus_memory_budget_bytes"), (100 * MB) as f64);
        let mut held = Client::ask(&addresses[0], "hold");
        until("it is held", || lab.held.load(Ordering::SeqCst) == 1);
        assert_eq!(get(&addresses[0], "grow/60"), ok("grown"));
        let mut client = Client::connect(&addresses[1]);
        assert_eq!(client.get("grow/45").body, "grown");
        until("it gave way", || loaded(lab) == 3);
        assert_eq!(lab.metric("nexus_memory_shortages_total{app=\"idle\",action=\"idle\"}"), 1.0);
        assert_eq!(lab.metric("nexus_memory_shortages_total{app=\"busy\",action=\"largest\"}"), 0.0);
        assert_eq!(lab.metric("nexus_guest_stops_total{app=\"idle\",reason=\"host\"}"), 1.0);
        assert_eq!(client.get("hello").body, "hello", "its connections stay");
        assert_eq!(get(&addresses[0], "release"), ok("done"));
        assert_eq!(held.answer().body, "released");
    });
}

#[test]
fn above_the_budget_an_idle_app_falls_asleep() {
    let budget = |config: &mut HostConfig| config.process.memory = Some(100 * MB);
    with_apps(budget, &[("busy", ""), ("idle", "")], |lab, _, addresses| {
        let mut held = Client::ask(&addresses[0], "hold");
        until("it is held", || lab.held.load(Ordering::SeqCst) == 1);
        assert_eq!(get(&addresses[0], "grow/60"), ok("grown"));
        let mut client = Client::connect(&addresses[1]);
        assert_eq!(client.get("grow/45").body, "grown");
        until("it sleeps", || lab.metric("nexus_app_asleep{app=\"idle\"}") == 1.0);
        until("it is gone", || lab.metric("nexus_guest_memory_bytes{app=\"idle\"}") == 0.0);
        assert_eq!((loaded(lab), lab.metric("nexus_app_up{app=\"idle\"}")), (2, 1.0));
        assert_eq!(lab.metric("nexus_guest_stops_total{app=\"idle\",reason=\"host\"}"), 0.0);
        assert_eq!(client.get("hello").body, "hello", "its connections stay");
        assert_eq!(loaded(lab), 3);
        assert_eq!(get(&addresses[0], "release"), ok("done"));
        assert_eq!(held.answer().body, "released");
    });
}

#[test]
fn where_all_are_busy_the_largest_is_stopped() {
    let budget = |config: &mut HostConfig| config.process.memory = Some(100 * MB);
    with_apps(budget, &[("large", ""), ("small", "")], |lab, _, addresses| {
        let mut held = [0, 1].map(|app| Client::ask(&addresses[app], "hold"));
        until("both are held", || lab.held.load(Ordering::SeqCst) == 2);
        assert_eq!(get(&addresses[0], "grow/60"), ok("grown"));
        assert_eq!(get(&addresses[1], "grow/45"), ok("grown"));
        assert_eq!(held[0].answer().status, 503);
        until("it is loaded anew", || loaded(lab) == 3);
        assert_eq!(lab.metric("nexus_memory_shortages_total{app=\"large\",action=\"largest\"}"), 1.0);
        assert_eq!(lab.metric("nexus_memory_shortages_total{app=\"small\",action=\"largest\"}"), 0.0);
        assert_eq!(get(&addresses[0], "hello"), ok("hello"));
        assert_eq!(get(&addresses[1], "release"), ok("done"));
        assert_eq!(held[1].answer().body, "released");
    });
}

#[test]
fn without_room_for_a_guest_its_requests_get_503_until_there_is() {
    let budget = |config: &mut HostConfig| config.process.memory = Some(100 * MB);
    with_apps(budget, &[("a", ""), ("b", "")], |lab, _, addresses| {
        // What is within the budget stays, but leaves no room for another one.
        assert_eq!(get(&addresses[1], "grow/95"), ok("grown"));
        until("it is known", || lab.metric("nexus_memory_held_bytes") == (95 * MB) as f64);
        assert_eq!(get(&addresses[0], "stop").0, 503);
        let mut client = Client::connect(&addresses[0]);
        let refused = "the host has no memory left for the app\n";
        until("it is refused", || client.get("hello").body == refused);
        let answer = client.get("hello");
        assert_eq!((answer.status, &*answer.body), (503, refused));
        assert!(answer.field("retry-after").is_some());
        assert_eq!(lab.metric("nexus_memory_shortages_total{app=\"a\",action=\"refused\"}"), 1.0);
        assert_eq!(get(&addresses[1], "grow/1"), ok("grown"));
        until("it is there again", || client.get("hello").status == 200);
        assert_eq!(lab.metric("nexus_memory_shortages_total{app=\"b\",action=\"idle\"}"), 0.0);
    });
}
