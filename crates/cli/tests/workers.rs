//! A guest that must be stopped is replaced, and only its own requests notice.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Folder, Nexus, Start};

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

const STOPPED: (u16, &str) =
    (503, "the app was stopped while it handled this request (limit: memory 32 MB)\n");

fn serve() -> (Folder, Nexus) {
    let folder = Folder::new(&[
        ("app/index.js", APP),
        // A guest that eats for long would be helped by another one.
        ("app/nexus.toml", "[scale]\nworkers = 1\n"),
        ("neighbour/index.js", APP),
        ("nexus-host.toml", "[defaults.limits]\nmemory = \"32 MB\"\ncpu = \"1 m\"\n"),
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
    for (round, path) in ["/eat", "/eatlater", "/microtasks", "/eat", "/eatlater"].into_iter().enumerate() {
        // A guest that eats slowly is relieved before: its worker ends, and its connections with it.
        let response = nexus.get("app", path);
        assert_eq!((response.status, response.text().as_str()), STOPPED, "{path}");
        assert_eq!(nexus.get("app", "/count").text(), "1", "{path}");
        nexus.await_metric("nexus_guest_stops_total{app=\"app\",reason=\"memory\"}", (round + 1) as f64);
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
        ("app/nexus.toml", "[scale]\nworkers = 1\n"),
        ("nexus-host.toml", "[defaults.limits]\nmemory = \"32 MB\"\ncpu = \"1 m\"\n"),
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

/// Keeps a megabyte for each request to `/keep`, or a hundred to `/keep/100`.
const KEEPER: &str = r#"
const kept = [];
export default {
  fetch(request) {
    const [, what, number] = new URL(request.url).pathname.split("/");
    if (what === "keep") for (let n = 0; n < Number(number ?? 1); n++) kept.push(new Uint8Array(1 << 20).fill(n));
    if (what === "array") new Array(1e8).fill(1.5);
    return new Response(String(kept.length));
  },
};
"#;

#[test]
fn a_worker_near_its_memory_limit_is_relieved_without_a_failed_request() {
    let folder = Folder::new(&[
        ("app/index.js", KEEPER),
        ("nexus-host.toml", "[defaults.limits]\nmemory = \"64 MB\"\ncpu = \"1 m\"\n"),
    ]);
    let nexus = Nexus::serve(folder.path());
    let mut old = nexus.client("app");
    // From 57.6 MB on the worker is full.
    assert_eq!(old.get("/keep/58").text(), "58");
    let fresh = harness::until("a fresh worker", || {
        let answer = nexus.get("app", "/count");
        assert_eq!(answer.status, 200);
        (answer.text() == "0").then_some(answer)
    });
    assert_eq!(fresh.header("connection"), None);
    let last = old.get("/count");
    assert_eq!((last.text().as_str(), last.header("connection")), ("0", None), "the connection has moved");
    nexus.await_metric("nexus_worker_replacements_total{app=\"app\",reason=\"memory\"}", 1.0);
    nexus.await_metric("nexus_draining_workers{app=\"app\"}", 0.0);
    assert_eq!(nexus.metric("nexus_guest_stops_total{app=\"app\",reason=\"memory\"}"), 0.0);
    assert!(nexus.metric("nexus_guest_memory_bytes{app=\"app\"}") < 20e6);
}

#[test]
fn a_worker_that_v8_cannot_give_back_is_lost_and_its_app_is_there_at_once() {
    let folder = Folder::new(&[
        ("app/index.js", KEEPER),
        ("neighbour/index.js", KEEPER),
        ("nexus-host.toml", "[defaults.limits]\nmemory = \"64 MB\"\ncpu = \"1 m\"\n"),
    ]);
    let mut nexus = Nexus::serve(folder.path());
    let host = nexus.host();
    let mut neighbour = nexus.client("neighbour");
    assert_eq!(neighbour.get("/keep").text(), "1");
    let answer = nexus.get("app", "/array");
    assert_eq!(answer.text(), "the app was stopped while it handled this request (limit: memory 64 MB)\n");
    harness::until("it is back", || (nexus.get("app", "/count").text() == "0").then_some(()));
    assert_eq!(neighbour.get("/count").text(), "1");
    assert_eq!(nexus.host(), host, "the process is the same");
    assert_eq!(nexus.metric("nexus_lost_workers_total{app=\"app\"}"), 1.0);
    let held = nexus.metric("nexus_lost_workers_memory_bytes{app=\"app\"}");
    assert!(held > 64e6 && nexus.metric("nexus_memory_held_bytes") > held);
    assert_eq!(nexus.metric("nexus_guest_stops_total{app=\"app\",reason=\"memory\"}"), 1.0);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_process_at_its_memory_budget_ends_its_idle_guests() {
    let apps: Vec<String> = (0..5).map(|number| format!("app{number}")).collect();
    let files: Vec<_> = apps.iter().map(|app| format!("{app}/index.js")).collect();
    let mut files: Vec<_> = files.iter().map(|file| (file.as_str(), KEEPER)).collect();
    files.push(("nexus-host.toml", "[defaults.limits]\ncpu = \"1 m\"\n"));
    let folder = Folder::new(&files);
    let nexus = Start::in_folder(folder.path()).args(&["--memory", "120MB"]).start();
    assert_eq!(nexus.metric("nexus_memory_budget_bytes"), 120.0 * 1024.0 * 1024.0);
    for app in &apps {
        assert_eq!(nexus.get(app, "/keep/50").text(), "50");
    }
    harness::until("they hold less", || {
        (nexus.metric("nexus_memory_held_bytes") < 120.0 * 1024.0 * 1024.0).then_some(())
    });
    let ended = |app: &String| {
        nexus.metric(&format!("nexus_memory_shortages_total{{app=\"{app}\",action=\"idle\"}}"))
    };
    let sum: f64 = apps.iter().map(ended).sum();
    assert!((3.0..=4.0).contains(&sum), "two of 50 MB fit, and one had to go at a time: {sum}");
    // One whose guest has gone may have none until there is room for another.
    for app in &apps {
        harness::until("it answers", || (nexus.get(app, "/count").status == 200).then_some(()));
    }
}
