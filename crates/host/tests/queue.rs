//! A worker's places: how many requests its guest has at a time, and what becomes of the others.
#![allow(missing_docs, clippy::unwrap_used)]

mod lab;

use std::io::Read;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lab::{Client, until, with_app};

/// So long that nothing which a test does in between comes to it.
const NEVER: &str = "queue_wait = \"60 s\"\nwall = \"60 s\"\n";

#[test]
fn no_more_than_the_limit_are_in_the_guest_and_the_others_follow_in_order() {
    with_app(&format!("[limits]\nrequests = 3\n{NEVER}"), |lab, _, address| {
        let mut first: Vec<_> = (0..2).map(|_| Client::ask(address, "hold")).collect();
        until("two are held", || lab.held.load(Ordering::SeqCst) == 2);
        // Below the limit nobody waits.
        let mut free = Client::connect(address);
        assert_eq!(free.get("now").body, "now");
        first.push(Client::ask(address, "hold"));
        until("three are held", || lab.held.load(Ordering::SeqCst) == 3);

        let mut waiting: Vec<_> = (0..20)
            .map(|number| {
                let client = Client::ask(address, &format!("turn/{number}"));
                // One after the other, as connections are accepted in their order but read in any.
                lab.until_waiting(number + 1);
                client
            })
            .collect();
        assert!(!lab.seen.lock().unwrap().iter().any(|path| path.starts_with("turn")), "no place is free");
        // One that leaves makes a place, which all others use in turn.
        drop(first.remove(0));
        for (number, client) in waiting.iter_mut().enumerate() {
            assert_eq!(client.answer().status, 200, "{number}");
        }
        let seen = lab.seen.lock().unwrap().clone();
        let turns: Vec<_> = seen.iter().filter_map(|path| path.strip_prefix("turn/")).collect();
        assert_eq!(turns, (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
    });
}

#[test]
fn a_response_that_streams_has_its_place_to_its_end() {
    with_app(&format!("[limits]\nrequests = 1\n{NEVER}"), |lab, _, address| {
        let mut streaming = Client::ask(address, "stream");
        assert!(streaming.head().starts_with("HTTP/1.1 200"));
        let mut next = Client::ask(address, "next");
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(*lab.seen.lock().unwrap(), ["stream"]);
        // Its client leaves: the place is the next one's.
        drop(streaming);
        assert_eq!(next.answer().body, "next");
        assert_eq!(lab.aborted.lock().unwrap().len(), 1);
    });
}

#[test]
fn a_full_queue_answers_503_with_the_limit_and_when_to_come_again() {
    with_app(&format!("[limits]\nrequests = 1\nqueue = 2\n{NEVER}"), |lab, log, address| {
        let mut held = Client::ask(address, "hold");
        until("it is held", || lab.held.load(Ordering::SeqCst) == 1);
        let gone = Client::ask(address, "gone");
        let mut patient = Client::ask(address, "patient");
        lab.until_waiting(2);
        let mut refused = Client::connect(address);
        let answer = refused.get("refused");
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
        assert_eq!(answer.body, "the app has too many requests (limit: queue 2)\n");
        assert_eq!(answer.field("connection"), None, "the connection goes on");
        let id = answer.field("x-request-id").unwrap().to_owned();
        let line =
            log.line("its access line", |line| line["kind"] == "access" && line["request_id"] == id.as_str());
        assert_eq!((&line["status"], &line["path"]), (&503.into(), &"/refused".into()));

        // Whoever leaves makes room.
        drop(gone);
        log.line("it left", |line| {
            line["kind"] == "access" && line["path"] == "/gone" && line["status"].is_null()
        });
        refused.send("release");
        lab.until_waiting(2);
        assert_eq!(Client::connect(address).get("again").status, 503, "and the room is taken");
        // The held one cannot be released by requests that wait: its client leaves.
        let _ = held.0.shutdown(std::net::Shutdown::Both);
        assert_eq!(patient.answer().body, "patient");
        assert_eq!(refused.answer().body, "done");
        assert!(held.is_closed());
        assert!(!lab.seen.lock().unwrap().contains(&"gone".to_owned()));
    });
}

#[test]
fn who_has_waited_too_long_gets_503_and_the_rest_goes_on() {
    with_app("[limits]\nrequests = 1\nqueue_wait = \"150 ms\"\nwall = \"60 s\"\n", |lab, _, address| {
        let held = Client::ask(address, "hold");
        until("it is held", || lab.held.load(Ordering::SeqCst) == 1);
        let mut waiting: Vec<_> = (0..5).map(|_| Client::ask(address, "late")).collect();
        for client in &mut waiting {
            let answer = client.answer();
            assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
            assert_eq!(answer.body, "the app has too many requests (limit: queue_wait 150 ms)\n");
        }
        drop(held);
        // The same connections, once there is a place.
        until("there is a place", || waiting[0].get("now").status == 200);
        assert!(!lab.seen.lock().unwrap().contains(&"late".to_owned()));
    });
}

#[test]
fn the_time_in_the_queue_counts_towards_the_wall_limit() {
    with_app("[limits]\nrequests = 1\nwall = \"200 ms\"\n", |lab, log, address| {
        // A stream has had its response's head: the wall limit is not for it.
        let mut streaming = Client::ask(address, "stream");
        streaming.head();
        let mut waiting = Client::ask(address, "waits");
        let answer = waiting.answer();
        assert_eq!(answer.status, 504);
        assert_eq!(answer.body, "the app did not respond in time (limit: wall 200 ms)\n");
        let id = answer.field("x-request-id").unwrap().to_owned();
        log.line("the log says so", |line| {
            line["request_id"] == id.as_str()
                && line["message"] == "no response within the wall limit of 200 ms"
        });
        drop(streaming);
        until("there is a place", || waiting.get("now").status == 200);
        assert!(!lab.seen.lock().unwrap().contains(&"waits".to_owned()));
        assert_eq!(lab.aborted.lock().unwrap().len(), 1, "only the stream was the guest's to abort");
    });
}

#[test]
fn requests_wait_for_a_guest_that_is_loaded_anew_within_the_same_limits() {
    with_app(&format!("[limits]\nrequests = 1\nqueue = 3\n{NEVER}"), |lab, _, address| {
        lab.loading_waits.store(true, Ordering::SeqCst);
        let answer = Client::connect(address).get("stop");
        assert_eq!(answer.status, 503);
        let mut waiting: Vec<_> = (0..3)
            .map(|number| {
                let client = Client::ask(address, &format!("new/{number}"));
                lab.until_waiting(number + 1);
                client
            })
            .collect();
        let answer = Client::connect(address).get("refused");
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (503, "the app has too many requests (limit: queue 3)\n")
        );
        lab.loading_waits.store(false, Ordering::SeqCst);
        for client in &mut waiting {
            assert_eq!(client.answer().status, 200);
        }
        assert_eq!(*lab.seen.lock().unwrap(), ["stop", "new/0", "new/1", "new/2"]);
        assert_eq!(lab.loaded.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn a_stream_of_a_guest_that_has_gone_aborts_nothing_of_the_next() {
    with_app("", |lab, _, address| {
        let mut streaming = Client::ask(address, "stream");
        streaming.head();
        assert_eq!(Client::connect(address).get("stop").status, 503);
        // Its stream broke off.
        let mut rest = Vec::new();
        let _ = streaming.0.read_to_end(&mut rest);
        assert!(!rest.ends_with(b"0\r\n\r\n"));
        let mut held = Client::ask(address, "hold");
        until("it is held", || lab.held.load(Ordering::SeqCst) == 1);
        assert_eq!(Client::connect(address).get("release").body, "done");
        assert_eq!(held.answer().body, "released");
        assert!(lab.aborted.lock().unwrap().is_empty());
    });
}

#[test]
fn a_thousand_clients_that_come_and_leave_leave_every_place_free() {
    with_app(&format!("[limits]\nrequests = 4\nqueue = 50\n{NEVER}"), |lab, log, address| {
        for round in 0..20 {
            let clients: Vec<_> = (0..50).map(|_| Client::ask(address, "hold")).collect();
            if round % 2 == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
            drop(clients);
        }
        until("all have left", || {
            log.lines().iter().filter(|line| line["kind"] == "access" && line["path"] == "/hold").count()
                == 1000
        });
        let mut held: Vec<_> = (0..4).map(|_| Client::ask(address, "stream")).collect();
        for client in &mut held {
            assert!(client.head().starts_with("HTTP/1.1 200"), "each has a place");
        }
        let mut fifth = Client::ask(address, "fifth");
        std::thread::sleep(Duration::from_millis(50));
        assert!(!lab.seen.lock().unwrap().contains(&"fifth".to_owned()), "and there are no more");
        drop(held);
        assert_eq!(fifth.answer().body, "fifth");
    });
}
