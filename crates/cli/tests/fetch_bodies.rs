//! `fetch`: bodies that stream, that are encoded, that are cut off.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use harness::fetching::{GZIP, echo, result, serve, serve_with};
use harness::{Upstream, until};
use serde_json::json;

#[test]
fn what_is_encoded_is_decoded_and_goes_on_as_it_came_to_those_who_take_it() {
    let gzip = GZIP;
    let upstream = Upstream::new(move |asked| match asked.path() {
        "/gzip" => asked.reply("200 OK", &["content-encoding: GZIP", "content-type: a/b"], gzip),
        "/cut" => asked.reply("200 OK", &["content-encoding: gzip"], &gzip[..20]),
        "/lie" => asked.reply("200 OK", &["content-encoding: gzip"], "this is not gzip"),
        "/none" => asked.reply("200 OK", &["content-encoding: gzip"], ""),
        "/odd" => asked.reply("200 OK", &["content-encoding: rot13"], "uryyb"),
        _ => {
            let text = asked.field("accept-encoding").to_owned();
            asked.reply("200 OK", &[], text);
        }
    });
    let (_folder, nexus) = serve(
        &upstream,
        "async (request) => {
            const { pathname } = new URL(request.url);
            if (pathname === '/pass') return fetch(U + '/gzip');
            if (pathname === '/wrap') { const r = await fetch(U + '/gzip'); return new Response(r.body, r); }
            const told = async (path, how = 'text') => {
                try {
                    const r = await fetch(U + path);
                    return [r.headers.get('content-encoding'), r.headers.has('content-length'), await r[how]()];
                } catch (e) { return [e.name, e.cause.code, e.message]; }
            };
            const chunks = [];
            for await (const chunk of (await fetch(U + '/gzip')).body) chunks.push(...chunk);
            const clone = (await fetch(U + '/gzip')).clone();
            return [
                await told('/gzip'), String.fromCharCode(...chunks), await clone.text(), await told('/none'), await told('/odd'),
                await told('/cut'), (await told('/lie')).slice(0, 2), (await told('/asks'))[2],
            ];
        }",
    );
    let text = "hello, hello, hello";
    let result = nexus.client("app").get("/").json();
    assert_eq!(
        result,
        json!([
            [null, false, text],
            text,
            text,
            ["gzip", true, ""],
            ["rot13", true, "uryyb"],
            [
                "TypeError",
                "EPROTO",
                "the response's body cannot be read: the body is malformed: its content-encoding is corrupt, or ends too early"
            ],
            ["TypeError", "EPROTO"],
            "gzip, br, zstd, deflate",
        ])
    );
    for path in ["/pass", "/wrap"] {
        let coded = nexus.client("app").request("GET", path, &["accept-encoding: br, gzip"], b"");
        assert_eq!((coded.header("content-encoding"), &coded.body[..]), (Some("gzip"), gzip), "{path}");
        let plain = nexus.client("app").get(path);
        assert_eq!((plain.header("content-encoding"), plain.text().as_str()), (None, text), "{path}");
        assert_eq!(plain.header("content-type"), Some("a/b"));
    }
}

#[test]
fn what_was_encoded_is_sent_on_decoded() {
    let gzip = GZIP;
    let upstream = Upstream::new(move |asked| match asked.path() {
        "/gzip" => asked.reply("200 OK", &["content-encoding: gzip"], gzip),
        _ => echo(asked),
    });
    let (_folder, nexus) = serve(
        &upstream,
        "async (request) => {
            const { pathname } = new URL(request.url);
            const got = await fetch(U + '/gzip');
            if (pathname === '/own') return new Response(got.body, { headers: { 'content-encoding': 'identity' } });
            const init = { method: 'POST', body: got.body, duplex: 'half' };
            return (await fetch(pathname === '/request' ? new Request(U, init) : U, pathname === '/request' ? {} : init)).json();
        }",
    );
    for path in ["/", "/request"] {
        assert_eq!(nexus.client("app").get(path).json()["body"], "hello, hello, hello", "{path}");
    }
    let own = nexus.client("app").request("GET", "/own", &["accept-encoding: gzip"], b"");
    assert_eq!(
        (own.header("content-encoding"), own.text().as_str()),
        (Some("identity"), "hello, hello, hello")
    );
}

#[test]
fn a_body_that_is_cut_off_is_never_taken_for_a_whole_one() {
    let upstream = Upstream::new(|asked| {
        asked.write("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nbeginning");
        asked.await_close();
    });
    let (_folder, nexus) = serve(
        &upstream,
        "async (request) => {
            const { pathname, search } = new URL(request.url);
            const how = search.slice(1);
            const read = async (r) => {
                try {
                    if (how === 'stream') { for await (const chunk of r.body) console.log('a chunk'); return 'the end'; }
                    return [await r[how]()];
                } catch (e) { return [e.name, e.message.slice(0, 45)]; }
            };
            if (pathname === '/fetch') {
                globalThis.shared = await fetch(U);
                console.log('fetched', how);
                while (!globalThis.reading) await sleep(2);
                globalThis.reading = false;
                return 'over';
            }
            if (pathname === '/read') {
                const reading = read(globalThis.shared);
                await sleep(20);
                globalThis.reading = true;
                return reading;
            }
            // The upload fails when the response has begun.
            const body = new ReadableStream({ async pull(c) { await sleep(20); if (!globalThis.begun) c.enqueue(bytes('x')); else c.error(new RangeError('mine')); } });
            globalThis.begun = false;
            const r = await fetch(U, { method: 'POST', body, duplex: 'half' });
            globalThis.begun = true;
            return read(r);
        }",
    );
    for how in ["text", "bytes", "stream"] {
        let mut first = nexus.client("app");
        first.send_request("GET", &format!("/fetch?{how}"), &[], b"");
        nexus.message(&format!("fetched {how}"));
        let told = nexus.client("app").get(&format!("/read?{how}")).json();
        assert_eq!(
            told,
            json!(["TypeError", "the response's body cannot be read any more: "[..45]]),
            "{how}"
        );
        assert_eq!(first.response().json(), "over");
        let told = nexus.client("app").get(&format!("/upload?{how}")).json();
        assert_eq!(told, json!(["TypeError", "fetch: the request's body failed"]), "{how}");
    }
}

#[test]
fn uploads_flow_no_faster_than_they_are_read() {
    let (go, wait) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (opened, looked) = (go.clone(), wait.clone());
    let upstream = Upstream::new(move |asked| {
        if asked.path() == "/held" {
            // Nothing is read before the test has looked.
            opened.wait();
            looked.wait();
        }
        let body = asked.body();
        asked.reply("200 OK", &[], body.len().to_string());
    });
    let (_folder, nexus) = serve(
        &upstream,
        "async (request) => {
            const { pathname } = new URL(request.url);
            if (pathname === '/pulls') return globalThis.pulls;
            globalThis.pulls = 0;
            const body = new ReadableStream({
                async pull(c) {
                    if (globalThis.pulls++ < 1000) c.enqueue(new Uint8Array(65536)); else c.close();
                },
            }, { highWaterMark: 0 });
            return (await fetch(U + '/held', { method: 'POST', body, duplex: 'half' })).json();
        }",
    );
    let mut client = nexus.client("app");
    client.send_request("GET", "/", &[], b"");
    go.wait();
    let pulls = || nexus.client("app").get("/pulls").json().as_u64().unwrap();
    let stalled = until("it stalls", || {
        let before = pulls();
        std::thread::sleep(Duration::from_millis(200));
        (pulls() == before).then_some(before)
    });
    assert!(stalled < 500, "{stalled} chunks were taken of 1000");
    wait.wait();
    assert_eq!(client.response().json(), 65_536_000);
}

#[test]
fn downloads_flow_no_faster_than_they_are_read_and_take_no_memory() {
    const PIECE: usize = 1 << 20;
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    let upstream = Upstream::new(move |asked| {
        let pieces = if asked.line.contains("/gigabyte") { 1024 } else { 256 };
        asked.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", pieces * PIECE));
        for _ in 0..pieces {
            if !asked.write(vec![b'x'; PIECE]) {
                return asked.close();
            }
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let (_folder, nexus) = serve_with(
        &upstream,
        "[limits]\nmemory = \"32 MB\"\n",
        "async (request) => {
            const { pathname } = new URL(request.url);
            if (pathname === '/pass') return fetch(U + '/gigabyte');
            const { body } = await fetch(U);
            if (pathname === '/wait') { await sleep(300); return 'waited'; }
            let length = 0;
            for await (const chunk of body) length += chunk.length;
            return length;
        }",
    );
    assert_eq!(nexus.client("app").get("/").json(), 256 * PIECE);
    written.store(0, Ordering::SeqCst);
    assert_eq!(nexus.client("app").get("/wait").json(), "waited");
    assert!(written.load(Ordering::SeqCst) < 100, "{written:?} MB were taken that nobody read");
    // From socket to socket: more than the guest may hold, and than its process has.
    let mut client = nexus.client("app");
    client.send_request("GET", "/pass", &[], b"");
    let head = client.head();
    assert_eq!(head.header("content-length"), Some(&*(1024 * PIECE).to_string()));
    client.skip(1024 * PIECE);
    let status = std::fs::read_to_string(format!("/proc/{}/status", nexus.host())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: usize = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 400 << 10, "{peak} KiB at its peak");
}

#[test]
fn a_request_that_is_passed_on_streams_both_ways() {
    let upstream = Upstream::new(|asked| {
        // Each chunk is answered before the next one is there.
        asked.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        while let Some(chunk) = asked.chunk() {
            asked.write(format!("{:x}\r\n", chunk.len()));
            asked.write(chunk);
            asked.write("\r\n");
        }
        asked.write("0\r\n\r\n");
    });
    let (_folder, nexus) = serve(&upstream, "(request) => fetch(U + '/on', request)");
    let mut client = nexus.client("app");
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    client.send("3\r\none\r\n");
    let head = client.head();
    assert_eq!((head.status, client.chunk().as_deref()), (200, Some(&b"one"[..])));
    client.send("3\r\ntwo\r\n");
    assert_eq!(client.chunk().as_deref(), Some(&b"two"[..]));
    client.send("0\r\n\r\n");
    assert_eq!(client.chunk(), None);
    assert_eq!(upstream.asked(), ["POST /on HTTP/1.1"]);
}

#[test]
fn an_upload_whose_stream_fails_breaks_the_request_off() {
    let upstream = Upstream::new(|asked| {
        while asked.chunk().is_some() {}
        asked.await_close();
    });
    let told = result(
        &upstream,
        "async () => {
            const body = new ReadableStream({ async pull(c) { await sleep(5); c.enqueue(bytes('x')); await sleep(5); c.error(new RangeError('mine')); } });
            try { await fetch(U, { method: 'POST', body, duplex: 'half' }); } catch (e) { return [e.name, e.cause.name, e.cause.message]; }
        }",
    );
    assert_eq!(told, json!(["TypeError", "RangeError", "mine"]));
    until("nothing is left", || (upstream.open() == 0).then_some(()));
}

#[test]
fn a_body_that_was_read_from_ends_or_fails_without_being_asked() {
    let upstream = Upstream::new(|asked| {
        let end = match asked.path() {
            "/whole" => "0\r\n\r\n",
            "/more" => "1\r\ny\r\n0\r\n\r\n",
            _ => "garbage",
        };
        asked.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n");
        std::thread::sleep(Duration::from_millis(20));
        asked.write(end);
    });
    let told = result(
        &upstream,
        "async () => {
            const told = async (path, more) => {
                const reader = (await fetch(U + path)).body.getReader();
                try {
                    const first = String.fromCharCode(...(await reader.read()).value);
                    if (more) await sleep(60);
                    const second = more ? String.fromCharCode(...(await reader.read()).value) : '';
                    await reader.closed;
                    return first + second + (await reader.read()).done;
                } catch (e) { return e.name; }
            };
            return [await told('/whole'), await told('/broken'), await told('/more', true)];
        }",
    );
    assert_eq!(told, json!(["xtrue", "TypeError", "xytrue"]));
}

#[test]
fn whoever_gives_a_response_up_closes_its_connection_at_once() {
    let upstream = Upstream::new(|asked| {
        if asked.path() == "/silent" {
            return asked.await_close();
        }
        asked.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n");
        asked.await_close();
    });
    let (_folder, nexus) = serve(
        &upstream,
        "async (request) => {
            const { pathname } = new URL(request.url);
            const controller = new AbortController();
            const { signal } = controller;
            const told = async (promise) => { try { return await promise; } catch (e) { return e.message; } };
            switch (pathname) {
                case '/abort': {
                    const sent = told(fetch(U + '/silent', { signal }));
                    await sleep(20);
                    controller.abort(new Error('enough'));
                    return sent;
                }
                case '/before': controller.abort(); return told(fetch(U, { signal }));
                case '/timeout': return told(fetch(U + '/silent', { signal: AbortSignal.timeout(20) }));
                case '/body': {
                    const r = await fetch(U, { signal });
                    const reader = r.body.getReader();
                    await reader.read();
                    const next = told(reader.read());
                    controller.abort(new Error('enough'));
                    return [await next, await told(reader.closed)];
                }
                case '/text': {
                    const r = await fetch(U, { signal });
                    const text = told(r.text());
                    await sleep(20);
                    controller.abort(new Error('enough'));
                    return text;
                }
                case '/cancel': {
                    const reader = (await fetch(U)).body.getReader();
                    await reader.read();
                    await reader.cancel();
                    return (await reader.read()).done;
                }
                case '/forget': await fetch(U); return 'forgotten';
                case '/client': console.log('sent'); return fetch(U + '/silent', request);
                case '/stream': return fetch(U);
            }
        }",
    );
    for (path, told) in [
        ("/abort", json!("enough")),
        ("/before", json!("This operation was aborted")),
        ("/timeout", json!("The operation timed out")),
        ("/body", json!(["enough", "enough"])),
        ("/text", json!("enough")),
        ("/cancel", json!(true)),
        ("/forget", json!("forgotten")),
    ] {
        assert_eq!(nexus.client("app").get(path).json(), told, "{path}");
        until(path, || (upstream.open() == 0).then_some(()));
    }
    // A client that leaves, before there is a response and in the middle of it.
    let mut client = nexus.client("app");
    client.send_request("GET", "/client", &[], b"");
    until("it is asked", || (upstream.open() == 1).then_some(()));
    drop(client);
    until("the client's request is given up", || (upstream.open() == 0).then_some(()));
    let mut client = nexus.client("app");
    client.send_request("GET", "/stream", &[], b"");
    client.head();
    drop(client);
    until("the client's response is given up", || (upstream.open() == 0).then_some(()));
    nexus.await_metric("nexus_request_scopes{app=\"app\"}", 0.0);
}

#[test]
fn a_stream_that_nobody_takes_any_more_is_cancelled() {
    // The response comes before the request's body has.
    let upstream = Upstream::new(|asked| {
        asked.reply("200 OK", &[], "early");
        asked.close();
    });
    let told = result(
        &upstream,
        "async () => {
            const told = [];
            const upload = (url, what) => {
                const body = new ReadableStream({
                    pull: () => new Promise(() => {}),
                    cancel(reason) { told.push(what, reason.name); },
                });
                return fetch(url, { method: 'POST', duplex: 'half', body });
            };
            await upload('http://127.0.0.1:1/', 'denied').catch(() => {});
            told.push(await (await upload(U, 'answered')).text());
            await (await upload(U, 'not read')).body.cancel();
            await sleep(0);
            return told;
        }",
    );
    let expected = ["denied", "AbortError", "answered", "AbortError", "early", "not read", "AbortError"];
    assert_eq!(told, json!(expected));
}

#[test]
fn a_part_of_an_encoded_body_is_not_decoded() {
    let upstream = Upstream::new(|asked| {
        let range = format!("content-range: bytes 5-14/{}", GZIP.len());
        asked.reply("206 Partial Content", &["content-encoding: gzip", &range], &GZIP[5..15]);
    });
    let (_folder, nexus) = serve(
        &upstream,
        "async (request) => {
            const { headers, body } = await fetch(U, request);
            if (new URL(request.url).pathname === '/pass') return new Response(body, { status: 206, headers });
            const bytes = new Uint8Array(await new Response(body).arrayBuffer());
            return [headers.get('content-encoding'), headers.get('content-length'), [...bytes]];
        }",
    );
    let mut client = nexus.client("app");
    assert_eq!(client.get("/").json(), json!(["gzip", "10", GZIP[5..15]]));
    let passed = client.request("GET", "/pass", &["accept-encoding: gzip"], b"");
    assert_eq!((passed.status, passed.header("content-encoding")), (206, Some("gzip")));
    assert_eq!(passed.body, GZIP[5..15]);
}
