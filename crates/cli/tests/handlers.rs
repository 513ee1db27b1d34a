//! Handlers that fail, wait, outlive their response or lose their client; and that nothing of them stays.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Folder, Nexus, Response};
use serde_json::json;

const APP: &str = r#"
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const never = () => new Promise(() => {});
// Pending for ever, and something might still happen: the host cannot know better.
const pending = async () => { for (;;) await sleep(5); };
const watching = async (request) => { for (;;) { await sleep(5); request.signal.throwIfAborted(); } };
let opened = false;
const opening = async () => { while (!opened) await sleep(5); };
let config;
const load = async () => { console.log("loading"); await opening(); return "loaded"; };

export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    const handler = handlers[pathname.slice(1)];
    return handler(request, env, ctx);
  },
};

const handlers = {
  ok: () => new Response("ok"),
  throws: () => { throw new TypeError("secret detail", { cause: new RangeError("the cause") }); },
  rejects: async () => { await sleep(1); throw new Error("secret later"); },
  string: () => { throw "secret string"; },
  nothing: () => {},
  null: () => null,
  text: () => "just text",
  object: () => ({ status: 200, body: "x" }),
  error: () => Response.error(),
  used: async () => { const response = new Response("x"); await response.text(); return response; },
  never: () => never(),
  hostile: () => { throw { get message() { throw 1; }, toString() { throw 2; } }; },
  newline: () => new Response("x", { headers: { "x-a": "b\r\nx-forged: 1" } }),
  pending: () => pending(),
  stray: () => { Promise.reject(new Error("nobody hears this")); return new Response("ok"); },

  client: (request, env, ctx) => Response.json({ ...ctx.client, id: ctx.requestId, keys: Object.keys(env) }),
  after: (request, env, ctx) => {
    ctx.waitUntil(sleep(20).then(() => console.log("waited")));
    return new Response("ok");
  },
  afterfails: (request, env, ctx) => {
    ctx.waitUntil(sleep(1).then(() => { throw new Error("failed afterwards"); }));
    return new Response("ok");
  },
  late: (request, env, ctx) => {
    setTimeout(() => { try { ctx.waitUntil(sleep(1)); console.log("kept"); } catch (error) { console.log("refused:", error.message); } }, 50);
    ctx.waitUntil(sleep(1));
    return new Response("ok");
  },

  aborts: (request) => new Promise((resolve) => {
    request.signal.addEventListener("abort", () => {
      console.log("aborted:", request.signal.reason.name, request.signal.aborted);
      resolve(new Response("to nobody"));
    });
    console.log("listening");
    setInterval(() => {}, 10);
  }),
  aborted: async (request) => {
    console.log("started");
    while (!request.signal.aborted) await sleep(5);
    console.log("saw the abort");
    return new Response(new ReadableStream({ pull(c) { c.enqueue(new Uint8Array(10)); }, cancel() { console.log("stream cancelled"); } }));
  },
  watches: (request) => watching(request),
  streams: (request) => {
    let n = 0;
    request.signal.addEventListener("abort", () => console.log("signal after", n > 0));
    return new Response(new ReadableStream({
      async pull(controller) { n++; controller.enqueue(new Uint8Array(100)); await sleep(1); },
      cancel(reason) { console.log("cancelled:", reason.name); },
    }));
  },
  uploads: async (request, env, ctx) => {
    const reader = request.body.getReader();
    const read = (async () => {
      try {
        for (;;) { const { done } = await reader.read(); if (done) break; console.log("a part"); }
      } catch (error) { console.log("upload broke:", error.name, error.message); }
    })();
    if (new URL(request.url).search === "?kept") ctx.waitUntil(read);
    await read;
    return new Response("all");
  },
  kept: async (request, env, ctx) => {
    ctx.waitUntil((async () => { console.log("waiting"); await opening(); console.log("ran to its end", request.signal.aborted); })());
    return watching(request);
  },
  shared: async () => new Response(await (config ??= load())),
  open: () => { opened = true; return new Response("open"); },
};
"#;

fn serve() -> (Folder, Nexus) {
    let folder = Folder::app(APP);
    let nexus = Nexus::serve(folder.path());
    (folder, nexus)
}

#[track_caller]
fn assert_failure(response: &Response, status: u16, body: &str) {
    assert_eq!((response.status, response.text()), (status, format!("{body}\n")));
    assert!(response.header("content-type").unwrap().starts_with("text/plain"));
}

#[test]
fn every_way_to_fail_gives_a_clean_500_and_a_log_line_with_the_whole_story() {
    const THREW: &str = "the app failed to handle this request";
    const NO_RESPONSE: &str = "the app did not return a Response";
    let (_folder, nexus) = serve();
    // One connection: a failure costs nobody else anything.
    let mut client = nexus.client("app");
    for (path, body, told) in [
        ("/throws", THREW, "TypeError: secret detail"),
        ("/rejects", THREW, "Error: secret later"),
        ("/string", THREW, "secret string"),
        ("/nosuchhandler", THREW, "TypeError: handler is not a function"),
        ("/used", THREW, "read already"),
        ("/newline", THREW, "TypeError"),
        ("/hostile", THREW, ""),
        ("/nothing", NO_RESPONSE, "undefined"),
        ("/null", NO_RESPONSE, "null"),
        ("/text", NO_RESPONSE, "string"),
        ("/never", "the app's response would never have come", "can never settle"),
    ] {
        let response = client.get(path);
        assert_failure(&response, 500, body);
        let id = response.header("x-request-id").unwrap();
        let line = nexus.line(path, |line| line["request_id"] == id && line["level"] == "error");
        let message = line["message"].as_str().unwrap();
        assert!(message.contains(told), "{path}: {told:?} is not in {message:?}");
        assert_eq!((line["app"].as_str(), line["kind"].as_str()), (Some("app"), Some("app")));
        assert_eq!(client.get("/ok").text(), "ok", "after {path}");
    }
    let line = nexus.message("TypeError: secret detail");
    let stack = line["stack"].as_str().unwrap();
    assert!(stack.contains("index.js:") && stack.contains("Caused by: RangeError: the cause"), "{stack}");
    nexus.await_nothing_held("app");
    assert_eq!(nexus.metric("nexus_requests_total{app=\"app\",status=\"5xx\"}"), 11.0);
    assert_eq!(nexus.metric("nexus_cold_starts_total{app=\"app\"}"), 1.0, "it is still the same guest");
}

#[test]
fn an_object_that_is_no_response_is_told_to_be_an_object_and_an_error_response_to_be_one() {
    let (_folder, nexus) = serve();
    for (path, told) in [("/object", "bject"), ("/error", "Response.error()")] {
        let response = nexus.get("app", path);
        assert_failure(&response, 500, "the app did not return a Response");
        let id = response.header("x-request-id").unwrap();
        let line = nexus.line(path, |line| line["request_id"] == id);
        let message = line["message"].as_str().unwrap();
        assert!(message.contains(told), "{path}: {told:?} is not in {message:?}");
    }
}

#[test]
fn a_response_that_does_not_come_in_time_is_a_504() {
    let folder = Folder::app(APP);
    folder.write("app/nexus.toml", "[limits]\nwall = \"200 ms\"\n");
    let nexus = Nexus::serve(folder.path());
    let mut client = nexus.client("app");
    let response = client.get("/pending");
    assert_failure(&response, 504, "the app did not respond in time (limit: wall 200 ms)");
    let line = nexus.message("no response within the wall limit of 200 ms");
    assert_eq!(line["request_id"].as_str(), response.header("x-request-id"));
    assert_eq!(client.get("/ok").text(), "ok");
    // The endless loop of timers was this request's, and ended with it.
    nexus.await_nothing_held("app");
}

#[test]
fn the_time_that_a_streaming_body_takes_is_not_bounded_by_the_wall_limit() {
    let folder = Folder::app(APP);
    folder.write("app/nexus.toml", "[limits]\nwall = \"2 s\"\n");
    let nexus = Nexus::serve(folder.path());
    let mut client = nexus.client("app");
    client.send_request("GET", "/streams", &[], b"");
    assert_eq!(client.head().status, 200);
    // At a millisecond a chunk this takes longer than the time-out.
    for _ in 0..2_500 {
        assert!(client.chunk().is_some());
    }
}

#[test]
fn a_rejection_that_nobody_hears_is_logged_and_harms_nobody() {
    let (_folder, nexus) = serve();
    let response = nexus.get("app", "/stray");
    assert_eq!(response.text(), "ok");
    let line = nexus.message("Uncaught (in promise) Error: nobody hears this");
    assert_eq!(line["request_id"].as_str(), response.header("x-request-id"));
    assert_eq!(nexus.get("app", "/ok").text(), "ok");
}

#[test]
fn the_context_knows_the_client_and_the_request_id() {
    let folder = Folder::app(APP);
    folder.write("app/nexus.toml", "[env]\nB = \"1\"\nA = \"2\"\n");
    let nexus = Nexus::serve(folder.path());
    let mut client = nexus.client("app");
    let port = client.local().port();
    let response = client.get("/client");
    let id = response.header("x-request-id").unwrap();
    assert_eq!(
        response.json(),
        json!({ "address": "127.0.0.1", "port": port, "id": id, "keys": ["B", "A"] })
    );
}

#[test]
fn wait_until_goes_on_after_the_response_under_the_requests_id() {
    let (_folder, nexus) = serve();
    let response = nexus.get("app", "/after");
    assert_eq!(response.text(), "ok");
    let line = nexus.message("waited");
    assert_eq!(line["request_id"].as_str(), response.header("x-request-id"));
    let response = nexus.get("app", "/afterfails");
    let line = nexus.message("failed afterwards");
    assert_eq!(line["level"], "error");
    assert_eq!(line["request_id"].as_str(), response.header("x-request-id"));
    nexus.await_nothing_held("app");
}

#[test]
fn what_a_request_leaves_behind_without_wait_until_ends_with_it() {
    let (_folder, nexus) = serve();
    assert_eq!(nexus.get("app", "/late").text(), "ok");
    nexus.await_nothing_held("app");
    assert!(nexus.messages("kept").is_empty() && nexus.messages("refused").is_empty());
}

#[test]
fn the_signal_aborts_when_the_client_goes_away() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    client.send_request("GET", "/aborts", &[], b"");
    nexus.message("listening");
    drop(client);
    let line = nexus.message("aborted:");
    assert_eq!(line["message"], "aborted: AbortError true");
    assert!(line["request_id"].is_string());
    nexus.await_nothing_held("app");
    assert_eq!(nexus.metric("nexus_responses_aborted_total{app=\"app\"}"), 1.0);
}

#[test]
fn what_a_guest_sends_to_a_client_that_has_gone_goes_nowhere() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    client.send_request("GET", "/streams", &[], b"");
    client.head();
    client.chunk();
    drop(client);
    nexus.message("cancelled: AbortError");
    nexus.message("signal after true");
    nexus.await_nothing_held("app");
}

#[test]
fn an_upload_that_breaks_off_is_an_error_for_its_reader_and_leaves_nothing_behind() {
    for path in ["/uploads?kept", "/uploads"] {
        let (_folder, nexus) = serve();
        let mut client = nexus.client("app");
        client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\npart"));
        nexus.message("a part");
        drop(client);
        nexus.message("upload broke:");
        nexus.await_nothing_held("app");
    }
}

#[test]
fn wait_until_keeps_a_request_whose_client_has_gone() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    client.send_request("GET", "/kept", &[], b"");
    nexus.message("waiting");
    drop(client);
    nexus.await_metric("nexus_connections{app=\"app\"}", 0.0);
    assert_eq!(nexus.metric("nexus_request_scopes{app=\"app\"}"), 1.0);
    assert_eq!(nexus.get("app", "/open").text(), "open");
    nexus.message("ran to its end true");
    nexus.await_nothing_held("app");
}

#[test]
fn what_a_request_has_begun_for_all_comes_although_its_client_has_gone() {
    let (_folder, nexus) = serve();
    let mut first = nexus.client("app");
    first.send_request("GET", "/shared", &[], b"");
    nexus.message("loading");
    drop(first);
    nexus.await_metric("nexus_connections{app=\"app\"}", 0.0);
    let mut second = nexus.client("app");
    second.send_request("GET", "/shared", &[], b"");
    nexus.await_metric("nexus_request_scopes{app=\"app\"}", 2.0);
    assert_eq!(nexus.get("app", "/open").text(), "open");
    assert_eq!(second.response().text(), "loaded");
    assert_eq!(nexus.messages("loading").len(), 1);
    nexus.await_nothing_held("app");
}

#[test]
fn hundreds_of_clients_that_go_away_leave_nothing_behind() {
    let (_folder, nexus) = serve();
    for round in 0..100 {
        let mut clients: Vec<_> = (0..4).map(|_| nexus.client("app")).collect();
        for (client, path) in clients.iter_mut().zip(["/aborts", "/streams", "/aborted", "/watches"]) {
            client.send_request("GET", path, &[], b"");
        }
        if round % 2 == 0 {
            clients[1].head();
            clients[1].chunk();
        }
    }
    nexus.await_nothing_held("app");
    nexus.await_metric("nexus_connections{app=\"app\"}", 0.0);
    assert_eq!(nexus.get("app", "/ok").text(), "ok");
    assert_eq!(nexus.metric("nexus_cold_starts_total{app=\"app\"}"), 1.0);
}

#[test]
fn the_first_responses_of_a_fresh_guest_have_all_their_fields() {
    // Guests start from a snapshot in which requests have been answered.
    let answers = [
        ("new Response('x')", &[("content-type", "text/plain;charset=UTF-8")][..]),
        (
            "new Response('x', { headers: { 'content-type': 'text/plain' } })",
            &[("content-type", "text/plain")],
        ),
        ("Response.json({})", &[("content-type", "application/json")]),
        ("new Response(null)", &[]),
        (
            "new Response('x', { headers: { 'x-a': '1' } })",
            &[("x-a", "1"), ("content-type", "text/plain;charset=UTF-8")],
        ),
        (
            "new Response(new Uint8Array(3), { headers: { 'content-type': 'image/png' } })",
            &[("content-type", "image/png")],
        ),
    ];
    let folder = Folder::new(&[]);
    for (number, (answer, _)) in answers.iter().enumerate() {
        folder
            .write(&format!("app-{number}/index.js"), format!("export default {{ fetch: () => {answer} }};"));
    }
    let nexus = Nexus::serve(folder.path());
    for (number, (answer, fields)) in answers.iter().enumerate() {
        for _ in 0..3 {
            let response = nexus.get(&format!("app-{number}"), "/");
            let own = ["content-length", "x-request-id", "date"];
            let mut found: Vec<(&str, &str)> = response.headers.iter().map(|(n, v)| (&**n, &**v)).collect();
            found.retain(|(name, _)| !own.contains(name));
            assert_eq!(found, *fields, "{answer}");
        }
    }
}
