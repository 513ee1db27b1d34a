//! Rounds of the event loop: what comes together is handed to the guest together, and nobody pays for it.
#![allow(missing_docs, clippy::unwrap_used)]

mod lab;

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lab::{Client, Lab, until, with_app};

const NEVER: &str = "[limits]\nwall = \"60 s\"\ncpu = \"60 s\"\n";

/// Has these requests come while the worker's thread is busy, so that the event loop finds all of them at once.
fn together(lab: &Lab, address: &str, paths: &[&str]) -> Vec<Client> {
    let mut clients: Vec<_> = paths.iter().map(|_| Client::connect(address)).collect();
    for client in &mut clients {
        assert_eq!(client.get("now").body, "now");
    }
    let mut busy = Client::ask(address, "stick");
    until("the worker is busy", || lab.seen.lock().unwrap().last().is_some_and(|path| path == "stick"));
    for (client, path) in clients.iter_mut().zip(paths) {
        client.send(path);
        // In their order.
        std::thread::sleep(Duration::from_millis(10));
    }
    lab.stuck_end.store(true, Ordering::SeqCst);
    assert_eq!(busy.answer().body, "back");
    clients
}

#[test]
fn all_that_come_together_are_answered() {
    with_app(NEVER, |lab, _, address| {
        let paths: Vec<_> = (0..100).map(|number| format!("turn/{number}")).collect();
        let paths: Vec<_> = paths.iter().map(String::as_str).collect();
        for mut client in together(lab, address, &paths) {
            assert_eq!(client.answer().body, "turn");
            assert_eq!(client.get("again").body, "again");
        }
    });
}

#[test]
fn a_response_is_not_held_back_by_the_long_turns_after_it() {
    with_app(NEVER, |lab, _, address| {
        let mut clients = together(lab, address, &["burn/5", "gate/20000"]);
        // It has to be here before the next one's turn is over, for that one waits for it.
        assert_eq!(clients[0].answer().body, "burnt");
        lab.gate_is_open.store(true, Ordering::SeqCst);
        assert_eq!(clients[1].answer().body, "open");
    });
}

#[test]
fn an_app_with_long_turns_has_each_response_written_before_the_next_turn() {
    with_app(NEVER, |lab, _, address| {
        let mut clients = together(lab, address, &["burn/5", "quick", "gate/20000"]);
        assert_eq!(clients[0].answer().body, "burnt");
        assert_eq!(clients[1].answer().body, "quick");
        lab.gate_is_open.store(true, Ordering::SeqCst);
        assert_eq!(clients[2].answer().body, "open");
    });
}

#[test]
fn whoever_is_not_answered_in_its_round_is_watched_from_then_on() {
    with_app(NEVER, |lab, _, address| {
        let clients = together(lab, address, &["hold", "hold"]);
        until("both are held", || lab.held.load(Ordering::SeqCst) == 2);
        drop(clients);
        until("their going is seen", || lab.aborted.lock().unwrap().len() == 2);
    });
}

#[test]
fn a_request_outside_of_rounds_has_its_own_begin() {
    with_app("[limits]\nwall = \"5 s\"\n", |lab, _, address| {
        let upload = |path: &str| {
            let mut client = Client::connect(address);
            let head = format!("POST /{path} HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\nbegun");
            client.0.write_all(head.as_bytes()).unwrap();
            client
        };
        assert_eq!(upload("first").answer().body, "first");
        // The limit counts from when a request came, not from when the one before did.
        std::thread::sleep(Duration::from_millis(5200));
        let mut held = upload("hold");
        until("it is held", || lab.held.load(Ordering::SeqCst) == 1);
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(Client::connect(address).get("release").body, "done");
        assert_eq!(held.answer().body, "released");
    });
}
