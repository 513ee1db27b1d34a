//! `fetch`: peers that misbehave, and apps that want too much.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use harness::fetching::{app, echo, serve, serve_with};
use harness::{Asked, Folder, Nexus, Start, Upstream, until};
use serde_json::json;

#[test]
fn peers_that_misbehave_are_type_errors_whose_cause_names_what_failed() {
    let upstream = Upstream::new(|asked| {
        asked.close();
        match asked.path() {
            "/close" => {}
            "/garbage" => {
                asked.write("HELLO there\r\n\r\n");
            }
            "/large" => {
                asked.write(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(100_000)));
            }
            "/short" => {
                asked.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
            }
            "/chunk" => {
                asked.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n");
            }
            "/cut" => {
                asked.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab");
            }
            "/late" => asked.await_close(),
            _ => {
                asked.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
                asked.await_close();
            }
        }
    });
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = Folder::app(&app(
        &upstream,
        &format!(
            "async () => {{
                const told = async (url) => {{
                    try {{ const r = await fetch(url); try {{ return await r.text(); }} catch (e) {{ return ['body', e.name, e.cause.code]; }} }}
                    catch (e) {{ return ['head', e.name, e.cause.code]; }}
                }};
                const paths = ['close', 'garbage', 'large', 'short', 'chunk', 'cut', 'late', 'still'];
                const all = await Promise.all(paths.map((path) => told(U + '/' + path)));
                all.push(await told('http://{dead}/'), await told('http://nowhere.invalid/'));
                return all;
            }}"
        ),
    ));
    folder.write(
        "app/nexus.toml",
        format!(
            "[permissions]\nnet = [\"{}\", \"{dead}\", \"nowhere.invalid\"]\n[limits]\nfirst_byte = \"300 ms\"\nidle = \"300 ms\"\n\
             outbound_connections = 20\n",
            upstream.address()
        ),
    );
    let nexus = Nexus::serve(folder.path());
    let told = nexus.client("app").get("/").json();
    let expected = json!([
        ["head", "TypeError", "ECONNRESET"],
        ["head", "TypeError", "EPROTO"],
        ["head", "TypeError", "ELIMIT"],
        ["body", "TypeError", "ECONNRESET"],
        ["body", "TypeError", "EPROTO"],
        ["body", "TypeError", "ECONNRESET"],
        ["head", "TypeError", "ETIMEDOUT"],
        ["body", "TypeError", "ETIMEDOUT"],
        ["head", "TypeError", "ECONNREFUSED"],
        ["head", "TypeError", "ENOTFOUND"],
    ]);
    assert_eq!(told, expected);
    nexus.await_metric("nexus_subrequests_total{app=\"app\",result=\"failed\"}", 6.0);
    until("nothing is left", || (upstream.open() == 0).then_some(()));
}

#[test]
fn requests_run_beside_each_other_and_beside_the_event_loop() {
    let gate = Arc::new(Barrier::new(100));
    // Nobody is answered before all have asked.
    let upstream = Upstream::new(move |asked| {
        gate.wait();
        asked.reply("200 OK", &[], "through");
    });
    let (_folder, nexus) = serve_with(
        &upstream,
        "[limits]\nsubrequests = 100\noutbound_connections = 100\n",
        "async () => {
            const all = await Promise.all(Array.from({ length: 100 }, async () => (await fetch(U)).text()));
            return all.filter((text) => text === 'through').length;
        }",
    );
    assert_eq!(nexus.client("app").get("/").json(), 100);
    assert_eq!(upstream.accepted(), 100);
}

#[test]
fn connections_are_used_again_and_no_more_are_open_than_the_limit_says() {
    let most = Arc::new(AtomicUsize::new(0));
    let inside = Arc::new(AtomicUsize::new(0));
    let seen = most.clone();
    let upstream = Upstream::new(move |asked| {
        seen.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(5));
        inside.fetch_sub(1, Ordering::SeqCst);
        asked.reply("200 OK", &[], "x");
    });
    let (_folder, nexus) = serve_with(
        &upstream,
        "[limits]\noutbound_connections = 3\n",
        "async () => (await Promise.all(Array.from({ length: 30 }, async () => (await fetch(U)).text()))).join('')",
    );
    assert_eq!(nexus.client("app").get("/").json(), "x".repeat(30));
    assert_eq!((most.load(Ordering::SeqCst), upstream.accepted()), (3, 3));
}

#[test]
fn responses_that_nobody_reads_do_not_hold_up_others_for_good() {
    let upstream = Upstream::new(|asked| {
        asked.write("HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n");
        while asked.write([b'x'; 65536]) {}
        asked.close();
    });
    let (_folder, nexus) = serve(
        &upstream,
        "async () => {
            const responses = [];
            for (let i = 0; i < 8; i++) responses.push(await fetch(U + '/' + i));
            const told = [];
            for (const r of [responses[0], responses[1]]) {
                try { await r.text(); } catch (e) { told.push([e.name, e.cause.code]); }
            }
            return [responses.map((r) => r.status), told, (await responses[7].body.getReader().read()).value.length > 0];
        }",
    );
    assert_eq!(
        nexus.client("app").get("/").json(),
        json!([
            [200, 200, 200, 200, 200, 200, 200, 200],
            [["TypeError", "ECANCELED"], ["TypeError", "ECANCELED"]],
            true
        ])
    );
    let warning = nexus.message("nobody read its body");
    assert_eq!((warning["level"].as_str(), warning["app"].as_str()), (Some("warn"), Some("app")));
    until("nothing is left", || (upstream.open() == 0).then_some(()));
}

#[test]
fn a_request_sends_so_many_requests_and_no_more() {
    let upstream = Upstream::new(|asked| match asked.path() {
        "/again" => asked.reply("302 Found", &["location: /again"], ""),
        _ => asked.reply("200 OK", &[], "x"),
    });
    let (_folder, nexus) = serve_with(
        &upstream,
        "[limits]\nsubrequests = 5\n",
        "async (request) => {
            let sent = 0;
            try {
                const again = request.url.endsWith('/again');
                for (;; sent++) await (await fetch(U + (again ? '/again' : '/'))).text();
            } catch (e) { return [sent, e.name, e.cause.code, e.cause.message]; }
        }",
    );
    let beyond = json!(["TypeError", "ELIMIT", "too many requests (limit: subrequests 5)"]);
    for _ in 0..2 {
        let told = nexus.client("app").get("/").json();
        assert_eq!((&told[0], &told.as_array().unwrap()[1..]), (&json!(5), &beyond.as_array().unwrap()[..]));
    }
    let told = nexus.client("app").get("/again").json();
    assert_eq!((&told[0], &told.as_array().unwrap()[1..]), (&json!(0), &beyond.as_array().unwrap()[..]));
    assert_eq!(upstream.asked().len(), 15);
}

#[test]
fn by_default_a_request_sends_50_requests_at_once_by_6_connections() {
    let upstream = Upstream::new(|asked| asked.reply("200 OK", &[], "x"));
    let (_folder, nexus) = serve(
        &upstream,
        "async () => {
            const all = await Promise.allSettled(Array.from({ length: 51 }, async () => (await fetch(U)).text()));
            const { name, cause } = all[50].reason ?? {};
            return [all.filter(({ value }) => value === 'x').length, name, cause?.code, cause?.message];
        }",
    );
    // The next one has as many.
    for asked in [50, 100] {
        let beyond = "too many requests (limit: subrequests 50)";
        assert_eq!(nexus.client("app").get("/").json(), json!([50, "TypeError", "ELIMIT", beyond]));
        assert_eq!(upstream.asked().len(), asked);
    }
    assert!(upstream.accepted() <= 6, "{} connections", upstream.accepted());
}

#[test]
fn apps_share_no_connections() {
    let upstream = Upstream::new(|asked| {
        let port = asked.from();
        asked.reply("200 OK", &[], port.to_string());
    });
    let source = app(&upstream, "async () => (await fetch(U)).json()");
    let manifest = format!("[permissions]\nnet = [\"{}\"]\n", upstream.address());
    let folder = Folder::new(&[
        ("one/index.js", &source),
        ("one/nexus.toml", &manifest),
        ("other/index.js", &source),
        ("other/nexus.toml", &manifest),
    ]);
    let nexus = Start::in_folder(folder.path()).start();
    let from = |app| nexus.client(app).get("/").json();
    let (one, other) = (from("one"), from("other"));
    assert_ne!(one, other);
    // Each has kept its own.
    for _ in 0..3 {
        assert_eq!((from("one"), from("other")), (one.clone(), other.clone()));
    }
    assert_eq!(upstream.accepted(), 2);
}

#[test]
fn what_the_host_holds_of_requests_and_responses_is_the_guests_memory() {
    let upstream = Upstream::new(|asked| match asked.path() {
        "/never" => asked.await_close(),
        // So small that it is read ahead.
        _ => asked.reply("200 OK", &[], [b'x'; 60_000]),
    });
    let (_folder, nexus) = serve_with(
        &upstream,
        "[limits]\nmemory = \"32 MB\"\nsubrequests = 100000\noutbound_connections = 1000\noutbound_headers = \"256 KB\"\n",
        "async (request) => {
            const { pathname } = new URL(request.url);
            if (pathname === '/head') {
                try { await fetch(U, { headers: { 'x-large': 'a'.repeat(300000) } }); } catch (e) { return [e.name, e.cause.code]; }
            }
            const kept = [];
            try {
                for (let i = 0; i < 2000; i++) {
                    if (pathname === '/heads') {
                        const sent = fetch(U + '/never', { headers: { 'x-large': 'a'.repeat(100000) } });
                        await Promise.race([sent, sleep(0)]);
                        kept.push(sent);
                    } else kept.push(await fetch(U));
                }
            } catch (e) { return [e.name, kept.length < 700]; }
        }",
    );
    let mut client = nexus.client("app");
    assert_eq!(client.get("/head").json(), json!(["TypeError", "ELIMIT"]));
    for path in ["/heads", "/bodies"] {
        let response = client.get(path);
        // It gets an error, or is stopped: both are fine, and neither is the host's memory.
        if response.status == 200 {
            assert_eq!(response.json(), json!(["RangeError", true]), "{path}");
        } else {
            assert_eq!(response.status, 503, "{path}");
        }
    }
}

#[test]
fn an_app_that_opens_all_it_can_leaves_its_neighbours_alone() {
    let upstream = Upstream::new(Asked::await_close);
    let quick = Upstream::new(echo);
    let folder = Folder::new(&[
        (
            "greedy/index.js",
            &app(
                &upstream,
                "async () => { const all = []; for (let i = 0; i < 1000; i++) all.push(fetch(U).catch((e) => e.cause.code)); return Promise.race(all); }",
            ),
        ),
        ("quiet/index.js", &app(&quick, "async () => (await fetch(U)).status")),
    ]);
    for (name, upstream) in [("greedy", &upstream), ("quiet", &quick)] {
        folder.write(
            &format!("{name}/nexus.toml"),
            format!("[permissions]\nnet = [\"{}\"]\n", upstream.address()),
        );
    }
    let nexus = Start::in_folder(folder.path()).start();
    for _ in 0..20 {
        assert_eq!(nexus.client("greedy").get("/").json(), "ELIMIT");
        assert_eq!(nexus.client("quiet").get("/").json(), 200);
    }
    assert!(upstream.accepted() <= 20 * 6, "{} connections", upstream.accepted());
    // What its requests had under way went with them.
    until("nothing is left", || (upstream.open() == 0).then_some(()));
    nexus.await_metric("nexus_operations{app=\"greedy\"}", 0.0);
}

#[test]
fn a_signal_that_lives_on_keeps_no_exchange() {
    // Nobody reads the body, so that the exchange has no end of its own.
    let upstream = Upstream::new(|asked| asked.reply("200 OK", &[], [b'x'; 100_000]));
    let (_folder, nexus) = serve_with(
        &upstream,
        "[limits]\nmemory = \"32 MB\"\n",
        "(() => {
            const stop = new AbortController();
            let count = 0;
            return async () => {
                const response = await fetch(U, { signal: stop.signal });
                response.large = new Uint8Array(1_000_000);
                return ++count;
            };
        })()",
    );
    let mut client = nexus.client("app");
    for count in 1..=100 {
        assert_eq!(client.get("/").json(), count, "the worker is another one");
    }
}
