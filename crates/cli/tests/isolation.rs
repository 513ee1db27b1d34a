//! `isolation = "request"`: each request has a guest of its own, and nothing survives it.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Client, Folder, Nexus, until};

const APP: &str = r#"
let n = 0;
globalThis.kept ??= [];
export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    n++;
    kept.push(n);
    Array.prototype.poisoned = (Array.prototype.poisoned ?? 0) + 1;
    if (pathname === "/wait") await new Promise((resolve) => setTimeout(resolve, 200));
    if (pathname === "/tail") ctx.waitUntil(new Promise((resolve) => setTimeout(() => { console.log("tail of", n); resolve(); }, 300)));
    if (pathname === "/throw") throw new Error("on purpose");
    if (pathname === "/spin") for (;;);
    if (pathname === "/stream") {
      let parts = 0;
      return new Response(new ReadableStream({ async pull(c) { await 1; c.enqueue(new TextEncoder().encode(String(n))); if (++parts === 3) c.close(); } }));
    }
    return new Response([n, kept.length, [].poisoned].join());
  },
};
"#;

fn serve(more: &str) -> (Folder, Nexus) {
    let folder = Folder::new(&[
        ("app/index.js", APP),
        ("app/nexus.toml", &format!("[project]\nisolation = \"request\"\n{more}")),
        ("neighbour/index.js", APP),
    ]);
    let nexus = Nexus::serve(folder.path());
    (folder, nexus)
}

#[test]
fn nothing_of_a_request_survives_it() {
    let (_folder, mut nexus) = serve("");
    let mut client = nexus.client("app");
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "1,1,1");
    }
    for path in ["/throw", "/stream", "/", "/tail", "/wait", "/"] {
        let response = client.get(path);
        let expected = match path {
            "/throw" => "the app failed to handle this request\n",
            "/stream" => "111",
            _ => "1,1,1",
        };
        assert_eq!(response.text(), expected, "{path}");
    }
    nexus.message("tail of 1");
    assert_eq!(nexus.messages("tail of 1").len(), 1, "waitUntil is waited for");
    assert_eq!(nexus.get("neighbour", "/").text(), "1,1,1");
    assert_eq!(nexus.get("neighbour", "/").text(), "2,2,2", "by default a guest is used again");
    nexus.await_nothing_held("app");
    assert!(nexus.messages("was stopped").is_empty());
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn requests_at_once_have_a_guest_each_and_wait_for_it() {
    let (_folder, mut nexus) = serve("[scale]\nworkers = 2\n");
    let address = nexus.address("app");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = Client::connect(&address);
                for _ in 0..5 {
                    assert_eq!(client.get("/wait").text(), "1,1,1");
                }
            });
        }
    });
    assert_eq!(nexus.metric("nexus_requests_total{app=\"app\",status=\"2xx\"}"), 40.0);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_request_that_is_stopped_or_left_takes_nobody_else_with_it() {
    let (_folder, mut nexus) = serve("[limits]\ncpu = \"200 ms\"\n[scale]\nworkers = 1\n");
    let mut client = nexus.client("app");
    let mut waiting = nexus.client("app");
    client.send_request("GET", "/spin", &[], b"");
    waiting.send_request("GET", "/", &[], b"");
    assert_eq!(client.response().status, 503);
    assert_eq!(waiting.response().text(), "1,1,1");
    client.send_request("GET", "/wait", &[], b"");
    until("it is there", || (nexus.metric("nexus_requests_in_flight{app=\"app\"}") == 1.0).then_some(()));
    drop(client);
    assert_eq!(waiting.get("/").text(), "1,1,1");
    nexus.await_nothing_held("app");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn it_is_for_javascript_only() {
    let folder =
        Folder::new(&[("app/nexus.toml", "[project]\nmain = \"app.wasm\"\nisolation = \"request\"\n")]);
    folder.write("app/app.wasm", b"\0asm\x01\0\0\0");
    let output = harness::run(folder.path(), &["check", "app"]);
    assert_eq!(output.code, Some(2));
    let said = output.stdout + &output.stderr;
    assert!(said.contains("nexus.toml:3") && said.contains("[wasm]"), "{said}");
}
