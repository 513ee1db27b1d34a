//! A worker whose thread never comes back from a guest's turn, as its clients and its log see it.
#![allow(missing_docs, clippy::unwrap_used)]

mod lab;

use std::sync::atomic::Ordering;

use lab::{Client, until, with_app, with_apps};

#[test]
fn the_clients_of_a_lost_worker_are_answered_and_its_requests_are_logged() {
    with_app("[limits]\nrequests = 2\nmemory = \"16 MB\"\n", |lab, log, address| {
        let mut idle = Client::connect(address);
        assert_eq!(idle.get("hello").body, "hello");
        let mut streaming = Client::ask(address, "stream");
        streaming.head();
        let mut loser = Client::ask(address, "hold");
        until("it is held", || lab.held.load(Ordering::SeqCst) == 1);
        // Both places are taken: these wait.
        let mut queued = Vec::new();
        for path in ["one", "lose"] {
            queued.push(Client::ask(address, path));
            lab.until_waiting(queued.len());
        }
        // It leaves, and those who wait follow, one of them to the thread's end.
        let _ = loser.0.shutdown(std::net::Shutdown::Both);
        assert!(loser.is_closed());
        assert_eq!(queued.remove(0).answer().body, "one");
        let answer = queued[0].answer();
        assert_eq!((answer.status, answer.field("connection")), (503, Some("close")));
        assert_eq!(answer.body, "the app was stopped while it handled this request (limit: memory 16 MB)\n");
        assert!(queued[0].is_closed() && idle.is_closed());
        assert!(!streaming.is_closed(), "what it had written comes first");

        let id = answer.field("x-request-id").unwrap().to_owned();
        let line = log.line("its line", |line| line["kind"] == "access" && line["request_id"] == id.as_str());
        assert_eq!((&line["status"], &line["path"]), (&503.into(), &"/lose".into()));
        log.line("the stream's line", |line| {
            line["kind"] == "access" && line["path"] == "/stream" && line["complete"] == false
        });
    });
}

#[test]
fn a_turn_that_does_not_stop_is_given_up_and_a_successor_serves_while_it_goes_on() {
    let hung = "[scale]\nworkers = 1\n[limits]\nrequests = 2\ncpu = \"10 ms\"\n";
    let left = with_apps(
        |_| {},
        &[("hung", hung), ("other", "")],
        |lab, log, addresses| {
            let address = &addresses[0];
            let mut other = Client::connect(&addresses[1]);
            other.get("hello");
            let mut idle = Client::connect(address);
            assert_eq!(idle.get("hello").body, "hello");
            let mut streaming = Client::ask(address, "stream");
            streaming.head();
            let mut sticks = Client::ask(address, "stick");
            until("it has begun", || lab.seen.lock().unwrap().contains(&"stick".to_owned()));
            let mut late = Client::ask(address, "late");
            let answer = sticks.answer();
            assert_eq!((answer.status, answer.field("connection")), (503, Some("close")));
            assert_eq!(answer.body, "the app was stopped while it handled this request (limit: cpu 10 ms)\n");
            assert!(sticks.is_closed() && idle.is_closed());
            assert!(!streaming.is_closed(), "what it had written comes first");
            let mut rest = Vec::new();
            let _ = std::io::Read::read_to_end(&mut streaming.0, &mut rest);
            assert!(!rest.ends_with(b"0\r\n\r\n"), "it does not look complete");
            // It was in the socket's backlog.
            assert_eq!(late.answer().body, "late");
            assert_eq!(Client::connect(address).get("hello").body, "hello");
            assert_eq!(lab.loaded.load(Ordering::SeqCst), 3);
            assert_eq!(other.get("hello").body, "hello", "the connection is the same");

            let metric = |name: &str| lab.metric(&format!("nexus_{name}"));
            assert_eq!(metric("lost_workers_total{app=\"hung\"}"), 1.0);
            let held = metric("lost_workers_memory_bytes{app=\"hung\"}");
            assert_eq!(held, f64::from(8 << 20), "what it holds is not known, but not nothing");
            assert_eq!(metric("guest_stops_total{app=\"hung\",reason=\"cpu\"}"), 1.0);
            assert_eq!(metric("worker_replacements_total{app=\"hung\",reason=\"lost\"}"), 1.0);
            assert_eq!(metric("requests_total{app=\"hung\",status=\"5xx\"}"), 1.0);
            assert_eq!(metric("lost_workers_total{app=\"other\"}"), 0.0);
            let id = answer.field("x-request-id").unwrap().to_owned();
            let line =
                log.line("its line", |line| line["kind"] == "access" && line["request_id"] == id.as_str());
            assert_eq!((&line["status"], &line["path"]), (&503.into(), &"/stick".into()));
            log.line("the stream's line", |line| {
                line["kind"] == "access" && line["path"] == "/stream" && line["complete"] == false
            });

            // It comes to its end at last, and its thread sleeps there.
            assert!(!lab.came_back.load(Ordering::SeqCst));
            lab.stuck_end.store(true, Ordering::SeqCst);
            log.line("its end", |line| {
                line["message"]
                    .as_str()
                    .is_some_and(|text| text.starts_with("the turn that was given up is over"))
            });
            assert!(!lab.came_back.load(Ordering::SeqCst), "it must not reach its event loop again");
            assert_eq!(Client::connect(address).get("hello").body, "hello");
        },
    );
    assert_eq!(left, 0, "nobody waits for it");
}
