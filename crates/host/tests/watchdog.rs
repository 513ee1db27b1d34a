//! The watchdog, as guests feel it.
#![allow(missing_docs, clippy::unwrap_used)]

mod lab;

use std::sync::atomic::Ordering;
use std::time::Duration;

use lab::{Client, until, with_app};

#[test]
fn a_turn_that_goes_on_is_poked_and_what_waits_is_not() {
    with_app("", |lab, _, address| {
        let mut held = Client::ask(address, "hold");
        until("it is held", || lab.held.load(Ordering::SeqCst) == 1);
        let mut client = Client::connect(address);
        assert_eq!(client.get("hello").body, "hello");
        assert_eq!(lab.pokes.load(Ordering::SeqCst), 0, "a request that waits takes no time");
        assert_eq!(client.get("spin/5").body, "poked");
        assert!(lab.metric("nexus_watchdog_pokes_total") >= 5.0);
        // A look that had begun may come a little later than the turn's end.
        std::thread::sleep(Duration::from_millis(20));
        let pokes = lab.pokes.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(lab.pokes.load(Ordering::SeqCst), pokes);
        client.get("release");
        assert_eq!(held.answer().body, "released");
    });
}

#[test]
fn a_sleeping_watchdog_wakes_with_its_workers() {
    with_app("", |_, _, address| {
        let mut client = Client::connect(address);
        // It falls asleep after some 50 ms: before, meanwhile, and after.
        for pause in [0, 40, 48, 50, 52, 54, 56, 60, 100, 300, 47, 49, 51, 53, 55, 57] {
            std::thread::sleep(Duration::from_millis(pause));
            assert_eq!(client.get("spin/2").body, "poked", "after {pause} ms");
        }
    });
}

#[test]
fn a_watchdog_that_panics_goes_on() {
    with_app("", |lab, log, address| {
        let mut client = Client::connect(address);
        for round in 1..=3 {
            lab.poke_panics.store(true, Ordering::SeqCst);
            assert_eq!(client.get("spin/4").body, "poked");
            assert!(!lab.poke_panics.load(Ordering::SeqCst));
            assert_eq!(lab.metric("nexus_watchdog_panics_total"), f64::from(round));
        }
        log.line("the log's line", |line| {
            line["message"].as_str().is_some_and(|text| text.starts_with("the watchdog panicked"))
        });
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_turn_far_beyond_its_limit_comes_last_until_it_ends() {
    fn share(thread: i32) -> i32 {
        let thread = rustix::process::Pid::from_raw(thread);
        rustix::process::getpriority_process(thread).unwrap()
    }

    with_app("[limits]\ncpu = \"1 ms\"\n", |lab, log, address| {
        let mut client = Client::connect(address);
        client.get("hello");
        let thread = lab.thread.load(Ordering::SeqCst);
        let before = share(thread);
        // Short enough not to be given up, however little it gets.
        client.send("burn/200");
        until("it is slow", || share(thread) == 19);
        assert_eq!(client.answer().body, "burnt");
        assert_eq!(lab.metric("nexus_slowed_turns_total{app=\"app\"}"), 1.0);
        log.line("the log's line", |line| {
            line["message"].as_str().is_some_and(|text| text.starts_with("a turn does not stop"))
        });
        // Only who is privileged gives it its share back; else a fresh worker takes over.
        let replaced = "nexus_worker_replacements_total{app=\"app\",reason=\"slow\"}";
        until("it is as before, or replaced", || {
            Client::connect(address).get("hello");
            share(thread) == before || lab.metric(replaced) == 1.0
        });
    });
}

#[test]
fn a_turn_above_its_memory_limit_comes_last_however_much_time_it_may_take() {
    with_app("[limits]\ncpu = \"1 m\"\nmemory = \"32 MB\"\n", |lab, _, address| {
        let mut client = Client::connect(address);
        assert_eq!(client.get("burn/400").body, "burnt");
        assert_eq!(lab.metric("nexus_slowed_turns_total{app=\"app\"}"), 0.0);
        client.get("grow/33");
        assert_eq!(client.get("burn/200").body, "burnt");
        assert_eq!(lab.metric("nexus_slowed_turns_total{app=\"app\"}"), 1.0);
    });
}

#[test]
fn a_turn_within_twice_its_limit_keeps_its_share() {
    with_app("[limits]\ncpu = \"1 s\"\n", |lab, _, address| {
        assert_eq!(Client::connect(address).get("burn/400").body, "burnt");
        assert!(lab.pokes.load(Ordering::SeqCst) > 0);
        assert_eq!(lab.metric("nexus_slowed_turns_total{app=\"app\"}"), 0.0);
    });
}
