//! A JavaScript guest through the seam alone, without a host: what the host relies on.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::future::poll_fn;
use std::time::Duration;

use harness::direct::{load, main_file};
use nexus_guest::{Body, FailureKind, StopReason, pipe};

#[tokio::test]
async fn a_handler_that_returns_a_response_answers_within_its_first_turn() {
    let guest = main_file(
        "export default { fetch(request, env, ctx) {
            return new Response(`${request.method} ${request.url} ${env.GREETING} ${request.headers.get('X-A')} ${ctx.client.address}`,
                { status: 201, headers: { 'X-B': 'two' } }); } }",
    )
    .await;
    let (_, mut pending) = guest.start("/path?q=1", Body::Empty);
    let reply = pending.try_take().expect("an answer at once").unwrap();
    assert_eq!(reply.status, 201);
    assert_eq!(reply.headers.get_str("x-b"), Some("two"));
    assert_eq!(reply.headers.get_str("content-type"), Some("text/plain;charset=UTF-8"));
    assert_eq!(guest.read(reply.body).await, "GET http://localhost/path?q=1 hello 1 127.0.0.1");
    guest.assert_nothing_is_held();
}

#[tokio::test]
async fn an_async_handler_may_wait_for_timers_and_modules() {
    let guest = load(&[
        (
            "index.js",
            "import { name } from './lib.js'; import data from './data.json' with { type: 'json' };
             import words from './words.txt' with { type: 'text' };
             const later = await new Promise((resolve) => setTimeout(resolve, 5, 'evaluated'));
             export default { async fetch() {
                await new Promise((resolve) => setTimeout(resolve, 5));
                const { late } = await import('./late.js');
                return Response.json({ name, data, words, later, late, url: import.meta.url }); } }",
        ),
        ("lib.js", "export const name = 'lib';"),
        ("late.js", "export const late = import.meta.url;"),
        ("data.json", "{\"a\": [1]}"),
        ("words.txt", "some words"),
    ])
    .await
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        guest.text("/").await,
        r#"{"name":"lib","data":{"a":[1]},"words":"some words","later":"evaluated","late":"file:///late.js","url":"file:///index.js"}"#
    );
    guest.assert_nothing_is_held();
}

#[tokio::test]
async fn what_a_handler_does_wrong_fails_its_request_and_is_logged_with_its_id() {
    let guest = main_file(
        "export default { fetch(request) {
            switch (new globalThis.Array(...request.url.split('/')).at(-1)) {
                case 'throws': throw new TypeError('on purpose');
                case 'rejects': return Promise.reject(new Error('later'));
                case 'nothing': return;
                case 'string': return 'text';
                case 'hangs': return new Promise(() => {});
            } } }",
    )
    .await;
    for (url, kind, message) in [
        ("/throws", FailureKind::Threw, "TypeError: on purpose"),
        ("/rejects", FailureKind::Threw, "Error: later"),
        ("/nothing", FailureKind::NotAResponse, "must return a Response"),
        ("/string", FailureKind::NotAResponse, "must return a Response"),
        ("/hangs", FailureKind::Hung, "can never settle"),
    ] {
        let failure = guest.fetch(url, Body::Empty).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{url}");
        let record = guest.log.0.borrow_mut().pop().unwrap();
        assert!(record.message.contains(message), "{url}: {record:?}");
        assert_eq!(record.request.map(|id| id.to_string()).as_deref(), Some("req-1"), "{url}");
        assert!(guest.messages().is_empty(), "{url}: one line only: {:?}", guest.messages());
    }
    guest.assert_nothing_is_held();
}

#[tokio::test]
async fn bodies_stream_in_both_directions() {
    let guest = main_file(
        "export default { async fetch(request) {
            if (request.url.endsWith('/echo')) return new Response(request.body);
            if (request.url.endsWith('/json')) return Response.json({ got: await request.json() });
            if (request.url.endsWith('/again')) {
                const other = new Response(request.body), before = request.bodyUsed, text = other.text();
                const states = [before, request.bodyUsed, request.body.locked, other.bodyUsed];
                const again = await request.text().catch((error) => error.name);
                return Response.json([await text, ...states, again]);
            }
            const reader = request.body.getReader(); const sizes = [];
            for (;;) { const { done, value } = await reader.read(); if (done) break; sizes.push(value.length); }
            return new Response(new ReadableStream({ start(controller) {
                for (const size of sizes) controller.enqueue(new Uint8Array(size).fill(65));
                controller.close(); } })); } }",
    )
    .await;
    for (url, chunks, expected) in [
        ("/echo", &["ab", "cde"][..], "abcde"),
        ("/json", &["{\"a\"", ":1}"], "{\"got\":{\"a\":1}}"),
        ("/sizes", &["xy", "z"], "AAA"),
        ("/again", &["ab", "cd"], "[\"abcd\",false,true,true,true,\"TypeError\"]"),
    ] {
        let (writer, body) = pipe(64, None);
        let (_, pending) = guest.start(url, body);
        let write = async {
            for chunk in chunks {
                tokio::time::sleep(Duration::from_millis(2)).await;
                writer.write((*chunk).into());
            }
            writer.finish();
        };
        let (reply, ()) = guest.drive(futures_util::future::join(pending, write)).await;
        assert_eq!(guest.read(reply.unwrap().body).await, expected, "{url}");
    }
    guest.turns(3).await;
    guest.assert_nothing_is_held();
}

#[tokio::test]
async fn a_full_pipe_holds_the_guests_stream_back() {
    let guest = main_file(
        "let pulled = 0;
         export default { fetch(request) {
            if (request.url.endsWith('/pulled')) return new Response(String(pulled));
            return new Response(new ReadableStream({ pull(controller) {
                pulled++; controller.enqueue(new Uint8Array(16384)); if (pulled === 100) controller.close(); } })); } }",
    )
    .await;
    let reply = guest.fetch("/", Body::Empty).await.unwrap();
    guest.turns(20).await;
    let pulled: usize = guest.text("/pulled").await.parse().unwrap();
    assert!((4..=8).contains(&pulled), "{pulled} chunks of 16 KB were pulled for a pipe of 64 KB");
    assert_eq!(guest.read(reply.body).await.len(), 100 * 16384);
    guest.turns(3).await;
    guest.assert_nothing_is_held();
}

#[tokio::test]
async fn wait_until_keeps_a_request_after_its_response_and_nothing_else_does() {
    let guest = main_file(
        "let done = [];
         export default { fetch(request, env, ctx) {
            if (request.url.endsWith('/done')) return new Response(done.join());
            if (request.url.endsWith('/kept')) ctx.waitUntil(new Promise((resolve) => setTimeout(() => { done.push('kept'); resolve(); }, 10)));
            else setTimeout(() => done.push('lost'), 10);
            return new Response('ok'); } }",
    )
    .await;
    assert_eq!(guest.text("/kept").await, "ok");
    assert_eq!(guest.guest.in_flight(), 1);
    assert_eq!(guest.text("/lost").await, "ok");
    guest.turns(20).await;
    assert_eq!(guest.text("/done").await, "kept");
    guest.assert_nothing_is_held();
}

#[tokio::test]
async fn a_guest_at_its_memory_limit_ends_and_fails_its_requests_with_503() {
    let guest = main_file(
        "export default { async fetch(request) {
            if (!request.url.endsWith('/eat')) return new Promise((resolve) => setTimeout(resolve, 100000));
            const hoard = []; for (;;) hoard.push(new Array(1000).fill({})); } }",
    )
    .await;
    let (_, mut quiet) = guest.start("/quiet", Body::Empty);
    let (_, mut greedy) = guest.start("/eat", Body::Empty);
    let stop = poll_fn(|cx| guest.guest.poll(cx)).await;
    assert_eq!(stop.reason, StopReason::Memory);
    for pending in [&mut quiet, &mut greedy] {
        assert_eq!(pending.try_take().unwrap().unwrap_err().kind.status(), 503);
    }
    guest.assert_nothing_is_held();
}

#[tokio::test]
async fn a_guest_in_an_endless_loop_is_stopped_from_another_thread() {
    for (source, delay) in [
        ("for (;;);", 50),
        // Optimised by then, and without a call that V8 would check the stack for.
        (
            "const h = []; for (;;) { h.push(new Array(1000).fill({})); if (h.length > 100) h.length = 0; }",
            1500,
        ),
    ] {
        let guest = main_file(&format!("export default {{ fetch() {{ {source} }} }}")).await;
        let stopper = guest.guest.stopper();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(delay));
            stopper.stop(StopReason::Cpu);
        });
        let (_, mut pending) = guest.start("/", Body::Empty);
        thread.join().unwrap();
        assert_eq!(poll_fn(|cx| guest.guest.poll(cx)).await.reason, StopReason::Cpu);
        assert_eq!(pending.try_take().unwrap().unwrap_err().kind, FailureKind::Stopped);
    }
}

#[tokio::test]
async fn what_cannot_be_loaded_says_where_and_why() {
    for (files, message, place) in [
        (
            &[("index.js", "export default {\n  fetch() { retrun 1 }\n}")][..],
            "SyntaxError",
            Some(("index.js", 2)),
        ),
        (&[("index.js", "\nundefined.x;")], "TypeError: Cannot read properties", Some(("index.js", 2))),
        (&[("index.js", "import './gone.js';")], "imported by index.js", Some(("index.js", 1))),
        (
            &[("index.js", "import './a.js';"), ("a.js", "\nimport {x} from './b.js';"), ("b.js", "")],
            "does not provide an export",
            Some(("a.js", 2)),
        ),
        (
            &[("index.js", "import x from './a.json' with { type: 'css' };"), ("a.json", "1")],
            "\"css\" is not supported",
            Some(("index.js", 1)),
        ),
        (
            &[("index.js", "import x from './a.json' with { type: 'json' };"), ("a.json", "{")],
            "not valid JSON",
            Some(("index.js", 1)),
        ),
        (&[("index.js", "export const x = 1;")], "no default export", None),
        (&[("index.js", "export default {};")], "no fetch handler", None),
        (&[("index.js", "await new Promise(() => {});")], "can never settle", None),
        (&[("index.js", "eval('1')")], "EvalError", Some(("index.js", 1))),
        (&[("index.js", "new Function('return 1')")], "EvalError", Some(("index.js", 1))),
    ] {
        let Err(error) = load(files).await else { panic!("{files:?} was loaded") };
        assert!(error.message.contains(message), "{error}");
        let excerpt = error.excerpt.as_ref().map(|excerpt| (excerpt.file.as_str(), excerpt.line));
        assert_eq!(excerpt, place, "{error}");
    }
}

#[tokio::test]
async fn the_log_knows_the_request_across_awaits_and_timers() {
    let guest = main_file(
        "export default { async fetch() {
            await 1; setTimeout(() => { Promise.reject(new Error('in a timer')); }, 1);
            await new Promise((resolve) => setTimeout(resolve, 10));
            Promise.reject('a string');
            return new Response(); } }",
    )
    .await;
    guest.fetch("/", Body::Empty).await.unwrap();
    let records = guest.log.0.borrow().clone();
    let messages: Vec<_> = records.iter().map(|record| record.message.as_str()).collect();
    assert_eq!(messages, ["Uncaught (in promise) Error: in a timer", "Uncaught (in promise) a string"]);
    assert!(records.iter().all(|record| record.request.is_some_and(|id| id.as_str() == "req-1")));
}

#[tokio::test]
async fn a_module_may_import_itself_while_it_is_being_evaluated() {
    let guest = load(&[
        (
            "index.js",
            "import './a.js'; export const own = import('./index.js').then((self) => typeof self.default.fetch);
             export default { async fetch() { return new Response(await own); } }",
        ),
        ("a.js", "export const main = import('./index.js');"),
    ])
    .await
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(guest.text("/").await, "function");
}

#[tokio::test]
async fn webassembly_that_compiles_in_the_background_is_waited_for() {
    let guest = main_file(
        "const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
         await WebAssembly.compile(bytes);
         export default { async fetch() {
            const { instance } = await WebAssembly.instantiate(bytes);
            return new Response(String(instance)); } }",
    )
    .await;
    for _ in 0..5 {
        assert_eq!(guest.text("/").await, "[object WebAssembly.Instance]");
    }
}

#[tokio::test]
async fn a_wait_until_that_can_never_settle_keeps_nothing() {
    let guest =
        main_file("export default { fetch(request, env, ctx) { ctx.waitUntil(new Promise(() => {})); return new Response(); } }")
            .await;
    guest.fetch("/", Body::Empty).await.unwrap();
    guest.turns(3).await;
    guest.assert_nothing_is_held();
    assert!(guest.messages()[0].contains("waitUntil() can never settle"), "{:?}", guest.messages());
}

#[tokio::test]
async fn internal_lists_that_a_guest_tampers_with_cost_the_host_nothing() {
    let guest = main_file(
        "export default { fetch() {
            Object.defineProperty(Array.prototype, 0, { configurable: true, set() { this.length = 4294967294; } });
            const response = new Response(null, { headers: { a: 'b' } });
            delete Array.prototype[0];
            return response; } }",
    )
    .await;
    assert_eq!(guest.fetch("/", Body::Empty).await.unwrap_err().kind, FailureKind::Threw);
}

#[tokio::test]
async fn a_rejection_belongs_to_the_request_whose_code_rejected() {
    let guest = main_file(
        "let resume;
         export default { async fetch(request) {
            if (request.url.endsWith('/two')) { resume(); return new Response(); }
            new Promise((resolve) => { resume = resolve; }).then(() => { Promise.reject(new Error('one')); });
            await new Promise((resolve) => setTimeout(resolve, 50)); return new Response(); } }",
    )
    .await;
    let (_, one) = guest.start("/one", Body::Empty);
    guest.fetch("/two", Body::Empty).await.unwrap();
    guest.drive(one).await.unwrap();
    // Both requests have the same id here; that the line is written at all and once is what counts.
    assert_eq!(guest.messages(), ["Uncaught (in promise) Error: one"]);
}

#[tokio::test]
async fn there_is_no_memory_to_share_and_no_way_to_block() {
    let guest = main_file(
        "export default { fetch() { return new Response(`${typeof SharedArrayBuffer} ${typeof Atomics.wait} ${typeof Atomics.waitAsync}`); } }",
    )
    .await;
    assert_eq!(guest.text("/").await, "undefined undefined undefined");
}

#[tokio::test(flavor = "current_thread")]
async fn a_requests_url_is_serialised_and_parses_to_the_same_parts_as_any_other() {
    let guest = main_file(
        r#"
        const parts = (url) =>
          [url.href, url.origin, url.protocol, url.host, url.hostname, url.port, url.pathname, url.search, url.hash, url.username];
        let before = "http://before.example/x?y";
        export default {
          async fetch(request) {
            const known = [parts(new URL(request.url)), parts(URL.parse(request.url))];
            // The same string, but not the last request's any more, or never one.
            await null;
            const parsed = parts(new URL(" " + request.url));
            const same = known.every((list) => list.join() === parsed.join());
            // The previous request's is parsed as any other, as is this one's against a base.
            const other = new URL(before).href === before && new URL(request.url, "ftp://base/").href === request.url;
            const changed = new URL(request.url);
            changed.search = "?changed";
            before = request.url;
            return new Response([same, other, new URL(changed).search, request.url].join(" "));
          },
        };
        "#,
    )
    .await;
    let long = format!("/{}?q", "a".repeat(70_000));
    for (path, serialised) in [
        ("/", "/"),
        ("/a/b.c?d=e&f", "/a/b.c?d=e&f"),
        ("/a/../b/./c", "/b/c"),
        ("/%2e%2e/x", "/x"),
        ("/a b?c d", "/a%20b?c%20d"),
        ("/é?é", "/%C3%A9?%C3%A9"),
        ("//double//", "//double//"),
        ("/?", "/?"),
        ("/'?'", "/'?%27"),
        (":8080/", ":8080/"),
        (":80/", "/"),
        (".example:81/x?y", ".example:81/x?y"),
        (&long, &long),
    ] {
        assert_eq!(
            guest.text(path).await,
            format!("true true ?changed http://localhost{serialised}"),
            "{path}"
        );
    }
    // What is no URL stays as it is.
    assert!(guest.fetch(":99999/", Body::Empty).await.is_err());
    assert!(
        guest
            .log
            .0
            .borrow()
            .iter()
            .any(|record| record.message.contains(r#"Invalid URL: "http://localhost:99999/""#))
    );
}

#[tokio::test(flavor = "current_thread")]
async fn header_lists_that_come_again_are_told_apart() {
    let guest = main_file(
        r#"
        const shared = new Response("x", { headers: { a: "shared" } });
        export default {
          fetch(request) {
            const n = Number(new URL(request.url).searchParams.get("n"));
            if (n % 7 === 0) {
              // Changed after it was sent once: what was kept of it must not change along, nor be sent again.
              shared.headers.set("a", `shared ${n}`);
              return shared.clone();
            }
            const headers = new Headers();
            for (let i = 0; i < n % 12; i++) headers.append(n % 3 === 0 ? "set-cookie" : `x-${i}`, n % 5 === 0 ? `${n}` : "same");
            if (n % 11 === 0) headers.set("long", "v".repeat(2000));
            return new Response(null, { headers });
          },
        };
        "#,
    )
    .await;
    for n in (0..400).chain(0..400) {
        let reply = guest.fetch(&format!("/?n={n}"), Body::Empty).await.unwrap();
        let got: Vec<(String, String)> = reply
            .headers
            .iter()
            .map(|(name, value)| [name, value].map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).into())
            .collect();
        let mut wanted: Vec<(String, String)> = Vec::new();
        if n % 7 == 0 {
            wanted.push(("a".into(), format!("shared {n}")));
            wanted.push(("content-type".into(), "text/plain;charset=UTF-8".into()));
        } else {
            for i in 0..n % 12 {
                let name = if n % 3 == 0 { "set-cookie".into() } else { format!("x-{i}") };
                wanted.push((name, if n % 5 == 0 { n.to_string() } else { "same".into() }));
            }
            if n % 11 == 0 {
                wanted.push(("long".into(), "v".repeat(2000)));
            }
        }
        assert_eq!(got, wanted, "{n}");
    }
}
