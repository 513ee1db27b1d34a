//! HTTP/1.1 as clients see it: framing, bodies, deadlines, who the client is.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use harness::{Client, Folder, Nexus};
use serde_json::json;

/// Answers by the path.
const APP: &str = r#"
let made = 0, taken = 0, opened = false;
const pass = async () => { while (!opened) await new Promise((resolve) => setTimeout(resolve, 5)); };
export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    switch (url.pathname) {
      case "/about":
        return Response.json({ method: request.method, url: request.url, headers: [...request.headers], body: await request.text() });
      case "/client": return Response.json({ ...ctx.client, url: request.url });
      case "/text": return new Response(await request.text());
      case "/echo": return new Response(request.body);
      case "/hello": return new Response("hello");
      case "/empty": return new Response(null, { status: Number(url.searchParams.get("status")) });
      case "/headers": return new Response("x", { headers: [["X-Two", "1"], ["x-two", "2"], ["connection", "close"],
        ["transfer-encoding", "chunked"], ["x-request-id", "forged"]] });
      case "/blob": return new Response(new Blob([new Uint8Array(900000), new Blob([new Uint8Array(900000).fill(1)])]));
      case "/length": return new Response("0123456789", { headers: { "content-length": "5" } });
      case "/stream": {
        let n = 0;
        return new Response(new ReadableStream({ async pull(c) {
          if (n === 3) return c.close();
          c.enqueue(new TextEncoder().encode(`part ${n++}\n`));
        } }));
      }
      case "/broken": {
        let n = 0;
        return new Response(new ReadableStream({ pull(c) {
          if (n++ > 0) throw new Error("the stream broke");
          c.enqueue(new TextEncoder().encode("begun"));
        } }));
      }
      case "/endless": {
        const chunk = new Uint8Array(65536);
        return new Response(new ReadableStream({ pull(c) { made += chunk.length; c.enqueue(chunk.slice()); } }));
      }
      case "/made": return new Response(String(made));
      case "/taken": return new Response(String(taken));
      case "/open": opened = true; return new Response("open");
      case "/slow-reader": {
        const reader = request.body.getReader();
        for (let first = true; ; first = false) {
          const { done, value } = await reader.read();
          if (done) return new Response(String(taken));
          taken += value.length;
          if (first) await pass();
        }
      }
    }
    return new Response("no such path", { status: 404 });
  },
};
"#;

fn serve() -> (Folder, Nexus) {
    let folder = Folder::app(APP);
    // What the guest counts is of one guest.
    folder.write("app/nexus.toml", "[scale]\nworkers = 1\n");
    let nexus = Nexus::serve(folder.path());
    (folder, nexus)
}

#[test]
fn a_request_comes_to_the_guest_as_it_was_sent() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    let about = client.request(
        "POST",
        "/about?q=%20x&a[]=1",
        &["X-A: 1", "x-a:  2 ", "Cookie: a=b", "Content-Type: text/plain"],
        "h\u{e9}".as_bytes(),
    );
    let about = about.json();
    assert_eq!(about["method"], "POST");
    assert_eq!(about["url"], "http://localhost/about?q=%20x&a[]=1");
    assert_eq!(about["body"], "h\u{e9}");
    let headers = about["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["x-a", "1, 2"])), "{headers:?}");
    assert!(headers.contains(&json!(["cookie", "a=b"])) && headers.contains(&json!(["host", "localhost"])));
}

#[test]
fn usual_methods_and_those_that_nobody_knows_go_to_the_guest() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    let methods = "GET POST PUT DELETE OPTIONS PATCH BREW PROPFIND M-SEARCH QUERY get x!#$%&'*+-.^_`|~9";
    for method in methods.split(' ') {
        assert_eq!(client.request(method, "/about", &[], b"").json()["method"], method);
    }
}

#[test]
fn a_connection_is_kept_until_one_side_says_otherwise() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    for _ in 0..5 {
        let response = client.get("/hello");
        assert_eq!((response.status, response.text().as_str()), (200, "hello"));
        assert_eq!(response.header("connection"), None);
        assert_eq!(client.request("POST", "/text", &[], b"body").text(), "body");
    }
    let response = client.request("GET", "/hello", &["Connection: close"], b"");
    assert_eq!((response.text().as_str(), response.header("connection")), ("hello", Some("close")));
    assert!(client.is_closed());
}

#[test]
fn http_1_0_is_answered_and_closed_unless_it_asks_to_be_kept() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    client.send("GET /stream HTTP/1.0\r\n\r\n");
    let text = String::from_utf8(client.rest()).unwrap();
    assert!(text.contains("connection: close\r\n") && !text.contains("chunked"), "{text}");
    assert!(text.ends_with("\r\n\r\npart 0\npart 1\npart 2\n"), "{text}");
    let mut client = nexus.client("app");
    client.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(client.response().header("connection"), Some("keep-alive"));
    assert_eq!(client.get("/hello").text(), "hello");
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    let mut all = String::new();
    for n in 0..50 {
        let body = format!("number {n}");
        let path = if n % 2 == 0 { "/text" } else { "/echo" };
        all += &format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    }
    client.send(all);
    for n in 0..50 {
        assert_eq!(client.response().text(), format!("number {n}"));
    }
}

#[test]
fn a_response_to_head_has_the_fields_and_no_body() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    let head = client.request("HEAD", "/hello", &[], b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
    assert_eq!(head.header("content-type"), Some("text/plain;charset=UTF-8"));
    assert_eq!(client.request("HEAD", "/stream", &[], b"").status, 200);
    assert_eq!(client.get("/hello").text(), "hello", "nothing of a body was in between");
}

#[test]
fn responses_without_a_body_say_so() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    for status in [204, 205, 304] {
        let response = client.get(&format!("/empty?status={status}"));
        assert_eq!((response.status, response.header("transfer-encoding")), (status, None));
        assert_ne!(response.header("content-length"), Some("5"));
    }
    let response = client.get("/empty?status=200");
    assert_eq!(response.header("content-length"), Some("0"));
    assert_eq!(client.get("/hello").text(), "hello");
}

#[test]
fn a_guest_sets_its_own_headers_but_not_the_connections() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    let response = client.get("/headers");
    let two: Vec<_> = response.headers.iter().filter(|(name, _)| name == "x-two").collect();
    assert!(two.len() == 2 || response.header("x-two") == Some("1, 2"), "{response:?}");
    assert_eq!(response.header("connection"), None);
    assert_eq!(response.header("transfer-encoding"), None);
    assert_ne!(response.header("x-request-id"), Some("forged"));
    assert_eq!(client.get("/hello").text(), "hello", "and the connection goes on");
}

#[test]
fn a_large_blob_of_several_parts_goes_out_with_its_length() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    let head = client.request("HEAD", "/blob", &[], b"");
    assert_eq!(head.header("content-length"), Some("1800000"));
    let response = client.get("/blob");
    assert_eq!(response.header("content-length"), Some("1800000"));
    assert_eq!(response.header("transfer-encoding"), None);
    assert!(response.body[..900_000].iter().all(|&byte| byte == 0));
    assert!(response.body[900_000..].iter().all(|&byte| byte == 1) && response.body.len() == 1_800_000);
    assert_eq!(client.get("/hello").text(), "hello", "and the connection goes on");
}

#[test]
fn a_content_length_of_the_guest_never_breaks_the_framing() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    let response = client.get("/length");
    let length: usize = response.header("content-length").unwrap().parse().unwrap();
    assert_eq!(response.body.len(), length);
    // Closed, or ready for the next request: never with bytes left over.
    client.try_send("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let rest = String::from_utf8(client.rest()).unwrap();
    assert!(
        rest.is_empty() || (rest.starts_with("HTTP/1.1 200") && rest.ends_with("\r\n\r\nhello")),
        "{rest}"
    );
}

#[test]
fn a_client_that_expects_100_gets_it_before_its_body_is_read_and_not_when_it_is_refused() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    client.send("POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.head().status, 100);
    client.send("body");
    assert_eq!(client.response().text(), "body");

    client
        .send("POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().status, 413);
    assert!(client.is_closed());

    // Nobody wants the body: the answer comes at once.
    let mut client = nexus.client("app");
    client.send("POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (200, "hello"));

    let mut client = nexus.client("app");
    client.send("POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: the-best\r\n\r\n");
    assert_eq!(client.response().status, 417);
}

#[test]
fn bodies_of_known_and_unknown_length_come_whole() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    let large = "0123456789abcdef".repeat(64 * 1024);
    for path in ["/text", "/echo"] {
        assert!(client.request("POST", path, &[], large.as_bytes()).text() == large, "{path}");
        client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
        client.send("5;ext=\"1\"\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n");
        assert_eq!(client.response().text(), "hello 0123456789");
        client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(client.response().text(), "");
    }
    let response = client.get("/stream");
    assert_eq!(response.header("transfer-encoding"), Some("chunked"));
    assert_eq!(response.text(), "part 0\npart 1\npart 2\n");
}

#[test]
fn a_body_goes_back_while_it_still_comes() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.chunk().unwrap(), b"first");
    client.send("6\r\nsecond\r\n");
    assert_eq!(client.chunk().unwrap(), b"second");
    client.send("0\r\n\r\n");
    assert_eq!(client.chunk(), None);
    assert_eq!(client.get("/hello").text(), "hello");
}

#[test]
fn a_stream_that_breaks_never_looks_complete() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    client.send_request("GET", "/broken", &[], b"");
    let head = client.head();
    assert_eq!(head.status, 200);
    let rest = client.rest();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{:?}", String::from_utf8_lossy(&rest));
    let line = nexus.message("the stream broke");
    assert_eq!(line["level"], "error");
    assert_eq!(line["request_id"].as_str(), head.header("x-request-id"));
}

#[test]
fn a_client_that_does_not_read_holds_the_guest_back() {
    let (_folder, nexus) = serve();
    nexus.get("app", "/hello");
    let before = nexus.resident();
    let mut clients: Vec<Client> = (0..4).map(|_| nexus.client("app")).collect();
    for client in &mut clients {
        client.send_request("GET", "/endless", &[], b"");
        client.head();
    }
    let made = stalled(|| nexus.get("app", "/made").text().parse().unwrap());
    assert!(made > 0 && made < 64 << 20, "{made} bytes were made though nobody reads");
    let growth = nexus.resident().saturating_sub(before);
    assert!(growth < 96 << 20, "the process grew by {growth} bytes");
    drop(clients);
    nexus.await_nothing_held("app");
}

#[test]
fn a_guest_that_does_not_read_holds_the_client_back() {
    const SIZE: u64 = 96 << 20;
    let folder = Folder::app(APP);
    // Of a debug build it asks much.
    folder.write("app/nexus.toml", "[limits]\ncpu = \"60 s\"\n[scale]\nworkers = 1\n");
    let nexus = Nexus::serve(folder.path());
    nexus.get("app", "/hello");
    let before = nexus.resident();
    let mut client = nexus.client("app");
    client.send(format!("POST /slow-reader HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n"));
    let sent = Arc::new(AtomicU64::new(0));
    let counter = sent.clone();
    let sender = std::thread::spawn(move || {
        let block = vec![b'x'; 64 * 1024];
        for _ in 0..SIZE / block.len() as u64 {
            client.send(&block);
            counter.fetch_add(block.len() as u64, Ordering::SeqCst);
        }
        client.response()
    });
    let stalled_at = stalled(|| sent.load(Ordering::SeqCst));
    assert!(stalled_at < 48 << 20, "{stalled_at} bytes were taken though nobody reads");
    let growth = nexus.resident().saturating_sub(before);
    assert!(growth < 48 << 20, "the process grew by {growth} bytes");
    assert_eq!(nexus.get("app", "/open").text(), "open");
    assert_eq!(sender.join().unwrap().text(), SIZE.to_string());
}

/// Where a number ends up that grows for a while, once it has stood still for a second.
fn stalled(number: impl Fn() -> u64) -> u64 {
    let (mut last, mut still) = (0, 0);
    harness::until("it to stand still", || {
        std::thread::sleep(std::time::Duration::from_millis(90));
        let now = number();
        still = if now == last && now > 0 { still + 1 } else { 0 };
        last = now;
        (still == 10).then_some(now)
    })
}

#[test]
fn slow_heads_get_408_and_silent_connections_are_closed() {
    let (_folder, nexus) = serve();
    let mut silent = nexus.client("app");
    let mut slow = nexus.client("app");
    slow.send("GET /hello HTTP/1.1\r\nHost:");
    let mut second = nexus.client("app");
    assert_eq!(second.get("/hello").status, 200);
    second.send("GET /hello HT");
    for client in [&mut slow, &mut second] {
        let response = client.response();
        assert_eq!(response.status, 408);
        assert_eq!(response.text(), "the request's head did not come within 10 s\n");
        assert!(client.is_closed());
    }
    assert!(silent.is_closed(), "without a word");
    assert_eq!(nexus.metric("nexus_requests_refused_total{app=\"app\",status=\"408\"}"), 2.0);
    nexus.await_metric("nexus_connections{app=\"app\"}", 0.0);
}

#[test]
fn a_client_that_ends_in_the_middle_of_its_request_is_closed() {
    let (_folder, nexus) = serve();
    for part in ["GET /hel", "POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"] {
        let mut client = nexus.client("app");
        client.send(part);
        client.end();
        assert_eq!(client.rest(), b"", "{part}");
    }
    nexus.await_nothing_held("app");
    assert_eq!(nexus.get("app", "/hello").status, 200);
}

#[test]
fn absolute_targets_and_stars_are_understood() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    let about = client.request("GET", "http://example.com:81/about?x", &[], b"").json();
    assert_eq!(about["url"], "http://example.com:81/about?x");
    assert_eq!(client.request("OPTIONS", "*", &[], b"").status, 404, "the guest answered");
}

#[test]
fn an_upgrade_to_http2_is_not_made_and_the_request_served() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    let headers = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"];
    assert_eq!(client.request("GET", "/hello", &headers, b"").text(), "hello");
}

#[test]
fn the_client_is_who_connected_and_forwarded_headers_of_strangers_are_not_believed() {
    let (_folder, nexus) = serve();
    let mut client = nexus.client("app");
    let who =
        client.request("GET", "/client", &["X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https"], b"");
    let port = client.local().port();
    assert_eq!(who.json(), json!({ "address": "127.0.0.1", "port": port, "url": "http://localhost/client" }));
}

#[test]
fn forwarded_headers_are_believed_from_trusted_proxies_up_to_the_first_stranger() {
    let folder = Folder::app(APP);
    folder.write(
        "nexus-host.toml",
        "[listen]\ntrusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n[log]\naccess = true\n",
    );
    let nexus = Nexus::serve(folder.path());
    let mut client = nexus.client("app");
    let mut address = |headers: &[&str]| {
        let who = client.request("GET", "/client", headers, b"").json();
        (who["address"].as_str().unwrap().to_owned(), who["url"].as_str().unwrap().to_owned())
    };
    let plain = "http://localhost/client".to_owned();
    assert_eq!(address(&[]), ("127.0.0.1".into(), plain.clone()));
    assert_eq!(address(&["X-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.1.2.3"]), ("2.2.2.2".into(), plain.clone()));
    assert_eq!(address(&["Forwarded: for=\"[2001:db8::1]:99\";proto=https"]).0, "2001:db8::1");
    assert_eq!(address(&["X-Forwarded-For: nonsense"]), ("127.0.0.1".into(), plain));
    let https = address(&["X-Forwarded-For: 3.3.3.3", "X-Forwarded-Proto: https"]);
    assert_eq!(https, ("3.3.3.3".into(), "https://localhost/client".into()));
    nexus.line("the log has it too", |line| line["kind"] == "access" && line["client"] == "3.3.3.3");
}
