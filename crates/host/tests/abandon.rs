//! A worker whose thread never comes back from a guest's turn, as its clients and its log see it.
#![allow(missing_docs, clippy::unwrap_used)]

mod lab;

use std::sync::atomic::Ordering;

use lab::{Client, until, with_app};

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
        let mut queued: Vec<_> = ["one", "lose"].map(|path| Client::ask(address, path)).into();
        std::thread::sleep(std::time::Duration::from_millis(50));
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
