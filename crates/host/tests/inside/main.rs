//! Apps that call each other within the process.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod bench;
mod guest;
#[path = "../lab/mod.rs"]
mod lab;

use std::io::Read;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bench::{Bench, Setup, with, with_setup};
use lab::until;

const CALLS: &str = "[bindings]\nOTHER = { app = \"b\" }\n";

/// Two apps, of which the first may call the second.
fn with_two(callee: &str, test: impl FnOnce(&Bench) + Send + 'static) {
    with(&[("a", CALLS), ("b", callee)], test);
}

#[test]
fn an_app_gets_what_it_would_get_over_http_and_no_more() {
    for callee in ["", "[http]\nhosts = [\"b.example\"]\n"] {
        with_two(callee, |bench| {
            let seen = bench.told("call/see?x=1");
            let (start, headers) = seen.rsplit_once(' ').unwrap();
            let words: Vec<&str> = start.split(' ').collect();
            assert_eq!(words[..6], ["200", "b", "GET", "http://other.example/see?x=1", "inside", "1"]);
            assert_eq!(headers, "host=other.example,x-own=1");
            assert!(bench.told("secure/see").contains(" https://other.example:8443/see "));
            let line = bench
                .log
                .line("the callee's", |line| line["request_id"] == words[6] && line["path"] == "/see?x=1");
            assert_eq!((&line["app"], &line["client"]), (&"b".into(), &"inside".into()));
            // The caller's own id is the first part of it.
            let (id, _) = words[6].rsplit_once('.').unwrap();
            bench.log.line("the caller's", |line| line["request_id"] == id && line["app"] == "a");
            assert_eq!(bench.metric("nexus_requests_total{app=\"b\",status=\"2xx\"}"), Some(2.0));
        });
    }
}

#[test]
fn bodies_stream_both_ways() {
    with_two("", |bench| {
        let sum = (0..200u64).sum::<u64>() * 10_000;
        assert!(bench.told("upload/sum").ends_with(&format!("200 2000000 {sum} None")));
        assert!(bench.told("upload/echo").starts_with(&format!("{} 200 ", 4 + echoed())));
    });
}

/// How long two megabytes are as the text of what was echoed: bytes that are no text become three each.
fn echoed() -> usize {
    let bytes: Vec<u8> = (0..200u8).flat_map(|n| vec![n; 10_000]).collect();
    String::from_utf8_lossy(&bytes).trim_end().len()
}

#[test]
fn who_does_not_read_holds_the_writer_back_and_who_goes_away_ends_it() {
    with_two("", |bench| {
        let mut client = bench.ask(0, "through/flood");
        client.head();
        let mut last = 0;
        until("it is held back", || {
            std::thread::sleep(Duration::from_millis(100));
            let written = bench.seen.written.load(Ordering::SeqCst);
            std::mem::replace(&mut last, written) == written
        });
        assert!(last < 64 << 20, "{last}");
        assert_eq!(bench.seen.running("flood"), 1);
        drop(client);
        until("it has ended", || bench.seen.running("flood") == 0);
    });
}

#[test]
fn a_call_that_is_not_granted_is_denied_and_told_of() {
    with_two("", |bench| {
        assert_eq!(bench.told("call/hello"), "200 hello from b");
        bench.manage("DELETE", "/v1/apps/a/grants?capability=app&resource=b");
        let denied = "EPERM the app may not call app `b` by its binding OTHER: the host does not grant it; \
                      `nexus grants add a app b` does";
        assert_eq!(bench.told("call/hello"), denied);
        let line = bench
            .log
            .line("it is told", |line| line["message"].to_string().contains("denied: the app may not"));
        assert_eq!((&line["app"], &line["level"]), (&"a".into(), &"warn".into()));
        bench.manage("PUT", "/v1/apps/a/grants?capability=app&resource=b");
        assert_eq!(bench.told("call/hello"), "200 hello from b");
        let calls = |result| {
            let labels = format!(
                "app=\"a\",provider=\"apps\",capability=\"app\",operation=\"fetch\",result=\"{result}\""
            );
            bench.metric(&format!("nexus_capability_calls_total{{{labels}}}"))
        };
        assert_eq!((calls("ok"), calls("denied")), (Some(2.0), Some(1.0)));
    });
}

#[test]
fn an_app_that_is_not_there_is_told_of_at_once() {
    with(&[("a", CALLS)], |bench| {
        let told = bench.told("call/hello");
        assert_eq!(
            told,
            "ECONNREFUSED no connection: the app `b`, of the binding OTHER, is not on this host"
        );
    });
    with_two("", |bench| {
        bench.manage("POST", "/v1/apps/b/stop");
        let told = bench.told("call/hello");
        assert_eq!(told, "ECONNREFUSED no connection: the app `b`, of the binding OTHER, is stopped");
        bench.manage("POST", "/v1/apps/b/start");
        assert_eq!(bench.told("call/hello"), "200 hello from b");
    });
}

#[test]
fn an_app_that_sleeps_is_woken() {
    for callee in ["", "[http]\nhosts = [\"b.example\"]\n"] {
        with_two(&format!("{callee}[scale]\nidle = \"1s\"\n"), |bench| {
            let asleep = || bench.metric("nexus_app_asleep{app=\"b\"}") == Some(1.0);
            for _ in 0..2 {
                until("it sleeps", asleep);
                assert_eq!(bench.told("call/hello"), "200 hello from b");
                assert!(!asleep());
            }
        });
    }
}

#[test]
fn who_asks_no_more_is_noticed_by_the_app_that_was_asked() {
    with_two("", |bench| {
        for path in ["hold", "begin"] {
            let client = bench.ask(0, &format!("through/{path}"));
            until("it is asked", || bench.seen.running(path) == 1);
            drop(client);
            until("it is told", || bench.seen.running(path) == 0);
        }
    });
}

#[test]
fn an_app_that_comes_to_an_end_meanwhile_gives_an_error() {
    with_two("", |bench| {
        let stopped = "503 the app was stopped while it handled this request";
        for path in ["die", "lose"] {
            assert_eq!(bench.told(&format!("call/{path}")), stopped, "{path}");
            until("it is back", || bench.told("call/hello") == "200 hello from b");
        }
        for path in ["die", "lose"] {
            let mut client = bench.ask(0, "call/begin");
            until("it has begun", || bench.seen.running("begin") == 1);
            // So that the caller has the head.
            std::thread::sleep(Duration::from_millis(50));
            assert_eq!(bench.get(1, path).0, 503);
            assert_eq!(client.answer().body, "200 begun Aborted");
            until("it is back", || bench.told("call/hello") == "200 hello from b");
        }
        assert_eq!(bench.told("call/panic"), stopped);
        until("it is back", || bench.told("call/hello") == "200 hello from b");
    });
}

#[test]
fn a_caller_that_is_lost_asks_no_more() {
    with_two("", |bench| {
        for path in ["hold", "begin"] {
            let _client = bench.ask(0, &format!("through/{path}"));
            until("it is asked", || bench.seen.running(path) == 1);
            std::thread::sleep(Duration::from_millis(50));
            assert_eq!(bench.get(0, "lose").0, 503);
            until("it is told", || bench.seen.running(path) == 0);
            until("the caller is back", || bench.get(0, "hello").0 == 200);
        }
    });
}

#[test]
fn a_caller_that_is_lost_in_the_midst_of_it_keeps_nobody_from_the_other_app() {
    // No other worker is to come to help.
    with(&[("a", CALLS), ("b", "[scale]\nworkers = 1\n"), ("c", CALLS)], |bench| {
        let hello = (200, "200 hello from b".to_owned());
        assert_eq!(bench.get(2, "call/hello"), hello);
        for _ in 0..3 {
            assert_eq!(bench.get(0, "ask-lose").0, 503);
            assert_eq!(bench.get(2, "call/hello"), hello);
            until("the caller is back", || bench.get(0, "hello").0 == 200);
        }
    });
}

#[test]
fn apps_call_one_another_eight_deep() {
    with(&[("a", "[bindings]\nOTHER = { app = \"a\" }\n")], |bench| {
        let told = bench.told("loop");
        let expected =
            "0 200 1 200 2 200 3 200 4 200 5 200 6 200 7 200 8 ELOOP apps call one another more than 8 deep";
        assert_eq!(told, expected);
        assert_eq!(bench.told("alone/loop"), expected.replacen("0 ", "", 1));
    });
    with(&[("a", CALLS), ("b", "[bindings]\nOTHER = { app = \"a\" }\n")], |bench| {
        assert!(bench.told("loop").ends_with("8 ELOOP apps call one another more than 8 deep"));
    });
}

#[test]
fn who_waits_for_its_own_place_is_refused_in_time() {
    for (http, limits) in [("", "requests = 1"), ("[http]\nhosts = [\"test\"]\n", "requests = 1")] {
        let manifest = format!(
            "{http}[bindings]\nOTHER = {{ app = \"a\" }}\n[limits]\n{limits}\nqueue_wait = \"300ms\"\n"
        );
        with(&[("a", &manifest)], |bench| {
            let begun = Instant::now();
            let told = bench.told("call/hello");
            assert_eq!(told, "503 retry the app has too many requests (limit: queue_wait 300 ms)");
            assert!(begun.elapsed() < Duration::from_secs(3));
        });
    }
}

#[test]
fn what_the_other_app_does_not_take_is_answered_as_over_http() {
    let limits = "[limits]\nrequests = 1\nqueue = 1\nwall = \"400ms\"\nbody = 1000\nurl = 100\n";
    with_two(&format!("{limits}[assets]\nfolder = \"public\"\n"), |bench| {
        assert_eq!(bench.told("call/asset.txt"), "200 an asset");
        let late = "504 the app did not respond in time (limit: wall 400 ms)";
        assert_eq!(bench.told("call/hold"), late);
        until("its place is free", || bench.seen.running("hold") == 0);
        let _held = bench.ask(1, "hold");
        until("its place is taken", || bench.seen.running("hold") == 1);
        let mut waiting: Vec<_> = (0..4).map(|_| bench.ask(0, "call/hello")).collect();
        let told: Vec<String> = waiting.iter_mut().map(|client| client.answer().body).collect();
        let full = "503 retry the app has too many requests (limit: queue 1)";
        assert!(told.iter().any(|told| told == full), "{told:?}");
        let long = "x".repeat(100);
        let told = bench.told(&format!("call/{long}"));
        assert_eq!(told, "414 the request's URL is too long (limit: url 100 B)");
        let told = bench.told("upload/sum");
        assert!(told.ends_with("Some(TooLarge { limit: 1000 })"), "{told}");
    });
}

#[test]
fn a_caller_has_its_own_patience() {
    with_two("", |bench| {
        let told = bench.told("impatient/hold");
        assert_eq!(told, "ETIMEDOUT the request's own deadline is over: first byte");
        until("it is told", || bench.seen.running("hold") == 0);
    });
    let caller = format!("{CALLS}[limits]\nfirst_byte = \"200ms\"\nidle = \"200ms\"\n");
    with(&[("a", &caller), ("b", "")], |bench| {
        let told = bench.told("call/hold");
        assert_eq!(told, "ETIMEDOUT the response took too long (limit: first_byte 200 ms)");
        assert_eq!(bench.told("call/begin"), "200 begun TimedOut");
        until("both are told", || bench.seen.running("hold") + bench.seen.running("begin") == 0);
    });
}

#[test]
fn an_app_that_gives_nothing_of_a_body_is_cut_off() {
    with_two("[limits]\nidle = \"200ms\"\n", |bench| {
        assert_eq!(bench.told("call/begin"), "200 begun TimedOut");
        bench.log.line("it is told", |line| {
            line["app"] == "b"
                && line["message"].to_string().contains("no byte of the response's body within")
        });
        // Nor does one go on whose caller reads nothing.
        let mut client = bench.ask(0, "through/flood");
        client.head();
        until("it is cut off", || bench.seen.running("flood") == 0);
        let mut rest = Vec::new();
        let _ = client.0.read_to_end(&mut rest);
    });
}

#[test]
fn a_host_that_stops_lets_apps_ask_for_what_they_need_to_finish() {
    for http in [["", ""], ["[http]\nhosts = [\"test\"]\n", ""], ["", "[http]\nhosts = [\"b.example\"]\n"]] {
        let (tell, told) = std::sync::mpsc::channel();
        with(&[("a", &format!("{}{CALLS}", http[0])), ("b", http[1])], move |bench| {
            let mut client = bench.ask(0, "later/hello");
            until("it is asked", || bench.seen.running("later") == 1);
            std::thread::spawn(move || tell.send(client.answer().body));
        });
        assert_eq!(told.recv().unwrap(), "200 hello from b");
    }
}

#[test]
fn no_call_is_lost_while_an_app_changes() {
    for callee in ["", "[http]\nhosts = [\"b.example\"]\n"] {
        with_setup(Setup { access: true, watch: true }, &[("a", CALLS), ("b", callee)], |bench| {
            let versions = || bench.metric("nexus_cold_start_seconds_count{app=\"b\"}").unwrap_or_default();
            for version in 2..5 {
                std::fs::write(bench.folder.join("b/index.js"), format!("// {version}")).unwrap();
                until("it is another version", || {
                    assert_eq!(bench.told("call/hello"), "200 hello from b");
                    versions() >= f64::from(version)
                });
            }
        });
    }
}

/// Not a test: how long a call takes, and the same over HTTP.
#[test]
#[ignore = "it measures; run it alone, built for release"]
fn measure() {
    let quiet = Setup { access: false, watch: false };
    with_setup(quiet, &[("a", &format!("{CALLS}[limits]\nwall = \"5m\"\n")), ("b", "")], |bench| {
        for at_once in [1, 16, 64] {
            let count = 100_000;
            let inside = bench.told(&format!("many/{count}/{at_once}"));
            let over = bench.told(&format!("over/{}/{count}/{at_once}", bench.addresses[1]));
            println!("{at_once} at once, time and CPU time of each in ns: inside {inside}, over HTTP {over}");
        }
    });
}
