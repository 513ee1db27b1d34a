//! A guest that must be stopped is replaced, and only its own requests notice.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Folder, Nexus};

const APP: &str = r#"
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let count = 0;
export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/count": return new Response(String(++count));
      case "/pending": console.log("pending"); for (;;) await sleep(10);
      case "/stream": {
        let n = 0;
        return new Response(new ReadableStream({ async pull(c) { if (n++ > 0) await sleep(10); c.enqueue(new TextEncoder().encode("part ")); } }));
      }
      case "/after": ctx.waitUntil((async () => { for (;;) await sleep(10); })()); return new Response("ok");
      case "/eat": {
        const kept = [];
        for (;;) kept.push(new Array(1000).fill(0).map((_, i) => ({ i })));
      }
      case "/eatlater": {
        const kept = [];
        for (;;) { await sleep(0); for (let i = 0; i < 100; i++) kept.push(new Array(1000).fill(0).map((_, i) => ({ i }))); }
      }
      case "/microtasks": { const kept = []; for (;;) { await 1; kept.push(new Array(100).fill(kept.length)); } }
    }
    return new Response("no such path", { status: 404 });
  },
};
"#;

const STOPPED: (u16, &str) = (503, "the app was stopped while it handled this request\n");

fn serve() -> (Folder, Nexus) {
    let folder = Folder::new(&[
        ("app/index.js", APP),
        ("neighbour/index.js", APP),
        ("nexus-host.toml", "[workers]\nmemory = \"32 MB\"\n"),
    ]);
    let nexus = Nexus::serve(folder.path());
    (folder, nexus)
}

#[test]
fn a_guest_at_its_memory_limit_is_replaced_its_requests_get_503_and_connections_survive() {
    let (_folder, mut nexus) = serve();
    assert_eq!(nexus.metric("nexus_heap_limit_bytes{app=\"app\"}"), 32.0 * 1024.0 * 1024.0);
    let mut idle = nexus.client("app");
    assert_eq!(idle.get("/count").text(), "1");
    assert_eq!(idle.get("/count").text(), "2");
    let mut neighbour = nexus.client("neighbour");
    assert_eq!(neighbour.get("/count").text(), "1");
    assert_eq!(idle.get("/after").text(), "ok");
    let mut waiting = nexus.client("app");
    waiting.send_request("GET", "/pending", &[], b"");
    nexus.message("pending");
    let mut stream = nexus.client("app");
    stream.send_request("GET", "/stream", &[], b"");
    assert_eq!(stream.head().status, 200);
    assert_eq!(stream.chunk().unwrap(), b"part ");
    let mut upload = nexus.client("app");
    upload.send("POST /pending HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");

    let mut eater = nexus.client("app");
    let eaten = eater.get("/eat");
    assert_eq!((eaten.status, eaten.text().as_str()), STOPPED);
    let pending = waiting.response();
    assert_eq!((pending.status, pending.text().as_str()), STOPPED);
    let rest = stream.rest();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a stream that was cut off is not complete");

    // The connections are the worker's, and serve the next guest.
    assert_eq!(idle.get("/count").text(), "1", "a fresh guest");
    assert_eq!(eater.get("/count").text(), "2");
    assert_eq!(waiting.get("/count").text(), "3");
    assert_eq!(neighbour.get("/count").text(), "2", "the neighbour's is the same as before");
    let line = nexus.message("the guest was stopped: the app reached its memory limit of 32 MB");
    assert_eq!((&line["app"], &line["level"]), (&"app".into(), &"error".into()));
    drop(upload);
    nexus.await_nothing_held("app");
    assert_eq!(nexus.metric("nexus_guest_stops_total{app=\"app\",reason=\"memory\"}"), 1.0);
    assert_eq!(nexus.metric("nexus_cold_starts_total{app=\"app\"}"), 2.0);
    assert_eq!(nexus.metric("nexus_cold_starts_total{app=\"neighbour\"}"), 1.0);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_guest_is_replaced_as_often_as_it_must_be_however_it_eats() {
    let (_folder, mut nexus) = serve();
    let mut client = nexus.client("app");
    for (round, path) in ["/eat", "/eatlater", "/microtasks", "/eat", "/eatlater"].into_iter().enumerate() {
        let response = client.get(path);
        assert_eq!((response.status, response.text().as_str()), STOPPED, "{path}");
        assert_eq!(client.get("/count").text(), "1", "{path}");
        let stops = nexus.metric("nexus_guest_stops_total{app=\"app\",reason=\"memory\"}");
        assert_eq!(stops, (round + 1) as f64);
    }
    assert_eq!(nexus.get("neighbour", "/count").text(), "1");
    nexus.await_nothing_held("app");
    assert!(nexus.runs());
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_neighbour_goes_on_while_a_guest_is_stopped_again_and_again() {
    let (_folder, nexus) = serve();
    std::thread::scope(|scope| {
        let eater = scope.spawn(|| {
            for _ in 0..3 {
                assert_eq!(nexus.get("app", "/eat").status, 503);
            }
        });
        let mut neighbour = nexus.client("neighbour");
        let mut count = 0;
        while !eater.is_finished() || count < 50 {
            count += 1;
            assert_eq!(neighbour.get("/count").text(), count.to_string());
        }
    });
}

#[test]
fn requests_that_come_while_a_guest_is_replaced_wait_for_the_next_one() {
    let folder = Folder::new(&[
        ("app/index.js", &format!("await new Promise((resolve) => setTimeout(resolve, 300));\n{APP}")),
        ("nexus-host.toml", "[workers]\nmemory = \"32 MB\"\n"),
    ]);
    let nexus = Nexus::serve(folder.path());
    let mut clients: Vec<_> = (0..10).map(|_| nexus.client("app")).collect();
    assert_eq!(nexus.get("app", "/eat").status, 503);
    for client in &mut clients {
        client.send_request("GET", "/count", &[], b"");
    }
    let mut counts: Vec<u32> =
        clients.iter_mut().map(|client| client.response().text().parse().unwrap()).collect();
    counts.sort();
    assert_eq!(counts, (1..=10).collect::<Vec<_>>());
}

#[test]
fn an_app_that_cannot_be_loaded_any_more_answers_503_and_is_tried_again() {
    let (folder, nexus) = serve();
    assert_eq!(nexus.get("app", "/count").text(), "1");
    folder.write("app/index.js", "throw new Error('broken meanwhile')");
    assert_eq!(nexus.get("app", "/eat").status, 503);
    nexus.message("the app cannot be loaded any more: Error: broken meanwhile");
    let mut client = nexus.client("app");
    let response = client.get("/count");
    assert_eq!((response.status, response.text().as_str()), (503, "the app is not available\n"));
    folder.write("app/index.js", APP);
    harness::until("the app to be back", || (client.get("/count").status == 200).then_some(()));
    assert_eq!(nexus.get("neighbour", "/count").text(), "1");
}
