//! Cleartext HTTP/2, by a client that is not ours.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use harness::{DEADLINE, Folder, Nexus};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::sync::mpsc;

const APP: &str = r#"
let made = 0;
export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/about":
        return Response.json({ method: request.method, url: request.url, cookie: request.headers.get("cookie"), body: await request.text(), client: ctx.client.address });
      case "/echo": return new Response(request.body, { headers: { connection: "close", "x-own": "1" } });
      case "/endless": return new Response(new ReadableStream({ pull(c) { made += 65536; c.enqueue(new Uint8Array(65536)); } }));
      case "/made": return new Response(String(made));
      case "/wait": console.log("waiting"); while (!request.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 10));
      case "/throw": throw new Error("on purpose");
    }
    return new Response("hello");
  },
};
"#;

type Outgoing = BoxBody<Bytes, Infallible>;

fn none() -> Outgoing {
    Empty::new().boxed()
}

fn bytes(bytes: impl Into<Bytes>) -> Outgoing {
    Full::new(bytes.into()).boxed()
}

/// A body that is sent part by part.
struct Parts(mpsc::Receiver<Bytes>);

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|part| part.map(|part| Ok(Frame::data(part))))
    }
}

/// A connection.
struct Client(SendRequest<Outgoing>);

impl Client {
    async fn connect(address: &str) -> Self {
        let socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        body: Outgoing,
    ) -> impl Future<Output = Response<Incoming>> + use<> {
        let mut sender = self.0.clone();
        let request =
            Request::builder().method(method).uri(format!("http://localhost{path}")).body(body).unwrap();
        async move { sender.send_request(request).await.unwrap() }
    }

    async fn json(&self, method: &str, path: &str, body: Outgoing) -> Value {
        let response = self.request(method, path, body).await;
        serde_json::from_slice(&text(response).await).unwrap()
    }
}

async fn text(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// Runs a test against the app, with a deadline.
fn with_app(toml: &str, test: impl AsyncFnOnce(&Nexus, Client)) {
    let folder = Folder::app(APP);
    folder.write("app/nexus.toml", toml);
    let nexus = Nexus::serve(folder.path());
    let address = nexus.address("app");
    // The tests wait within their thread, too; the connections go on in another.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let run = async { test(&nexus, Client::connect(&address).await).await };
    runtime.block_on(async { tokio::time::timeout(DEADLINE, run).await.expect("the test ends in time") });
}

#[test]
fn requests_and_bodies_go_both_ways() {
    with_app("", async |_, client| {
        let about = client.json("POST", "/about?q=1", bytes("body")).await;
        assert_eq!((&about["method"], &about["body"]), (&json!("POST"), &json!("body")));
        assert_eq!(
            (&about["url"], &about["client"]),
            (&json!("http://localhost/about?q=1"), &json!("127.0.0.1"))
        );
        assert_eq!(client.json("BREW", "/about", none()).await["method"], "BREW");
        let response = client.request("POST", "/echo", bytes(vec![b'x'; 3_000_000])).await;
        assert!(response.headers().get("connection").is_none(), "a field of HTTP/1 only");
        assert_eq!(response.headers()["x-own"], "1");
        assert_eq!(text(response).await.len(), 3_000_000);
        let head = client.request("HEAD", "/", none()).await;
        assert_eq!((head.status().as_u16(), text(head).await.len()), (200, 0));
    });
}

#[test]
fn many_requests_share_a_connection_and_none_waits_for_another() {
    with_app("", async |nexus, client| {
        let waiting = tokio::spawn(client.request("GET", "/wait", none()));
        let many: Vec<_> = (0..50).map(|_| tokio::spawn(client.request("GET", "/", none()))).collect();
        for one in many {
            assert_eq!(text(one.await.unwrap()).await, "hello");
        }
        assert!(!waiting.is_finished());
        assert_eq!(nexus.metric("nexus_connections{app=\"app\"}"), 1.0);
        waiting.abort();
    });
}

#[test]
fn a_body_goes_back_while_it_still_comes() {
    with_app("", async |_, client| {
        let (parts, body) = mpsc::channel(1);
        parts.send(Bytes::from("first")).await.unwrap();
        let mut response = client.request("POST", "/echo", Parts(body).boxed()).await;
        let first = response.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "first");
        parts.send(Bytes::from("second")).await.unwrap();
        assert_eq!(response.frame().await.unwrap().unwrap().into_data().unwrap(), "second");
        drop(parts);
        assert_eq!(text(response).await, "");
    });
}

#[test]
fn a_client_that_does_not_read_holds_the_guest_back_and_not_its_other_requests() {
    with_app("", async |nexus, client| {
        let mut endless = client.request("GET", "/endless", none()).await;
        poll_fn(|cx| Pin::new(endless.body_mut()).poll_frame(cx)).await.unwrap().unwrap();
        let (mut last, mut still) = (0, 0);
        while still < 10 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            let made: u64 =
                String::from_utf8(text(client.request("GET", "/made", none()).await).await.to_vec())
                    .unwrap()
                    .parse()
                    .unwrap();
            assert!(made < 64 << 20, "{made} bytes were made though nobody reads");
            still = if made == last { still + 1 } else { 0 };
            last = made;
        }
        drop(endless);
        nexus.await_nothing_held("app");
    });
}

#[test]
fn failures_and_refusals_have_their_statuses() {
    with_app("[limits]\nbody = 1000\n", async |nexus, client| {
        let response = client.request("GET", "/throw", none()).await;
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(response.status(), 500);
        assert_eq!(text(response).await, "the app failed to handle this request\n");
        assert_eq!(nexus.message("on purpose")["request_id"], id);
        let response = client.request("POST", "/echo", bytes(vec![b'x'; 1001])).await;
        assert_eq!(response.status(), 413);
        assert_eq!(response.headers()["x-request-id"].len(), 32);
        assert_eq!(text(response).await, "the request's body is too large (limit: body 1000 B)\n");
        assert_eq!(client.request("GET", "/", none()).await.status(), 200, "and the connection goes on");
    });
}

#[test]
fn requests_that_find_no_place_and_no_room_get_503_each_for_itself() {
    with_app("[limits]\nrequests = 2\nqueue = 3\n", async |nexus, client| {
        let waiting: Vec<_> = (0..2).map(|_| tokio::spawn(client.request("GET", "/wait", none()))).collect();
        while nexus.messages("waiting").len() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let others: Vec<_> = (0..10).map(|_| tokio::spawn(client.request("GET", "/", none()))).collect();
        // Three wait, seven are refused.
        while others.iter().filter(|other| other.is_finished()).count() < 7 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        // Their client gives up, and the next have their places.
        for one in &waiting {
            one.abort();
        }
        let mut statuses = Vec::new();
        for other in others {
            let response = other.await.unwrap();
            let status = response.status().as_u16();
            if status == 503 {
                assert_eq!(response.headers()["retry-after"], "1");
                assert_eq!(text(response).await, "the app has too many requests (limit: queue 3)\n");
            }
            statuses.push(status);
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 200, 503, 503, 503, 503, 503, 503, 503]);
        nexus.await_nothing_held("app");
    });
}

#[test]
fn a_stream_that_the_client_resets_aborts_its_request_alone() {
    with_app("", async |nexus, client| {
        let waiting = tokio::spawn(client.request("GET", "/wait", none()));
        while nexus.messages("waiting").is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        waiting.abort();
        nexus.await_nothing_held("app");
        assert_eq!(client.request("GET", "/", none()).await.status(), 200);
    });
}

#[test]
fn sigterm_lets_requests_finish_and_refuses_others() {
    let folder = Folder::app(APP);
    let mut nexus = Nexus::serve(folder.path());
    let address = nexus.address("app");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::connect(&address).await;
        let (parts, body) = mpsc::channel(1);
        parts.send(Bytes::from("half")).await.unwrap();
        let response = client.request("POST", "/echo", Parts(body).boxed()).await;
        nexus.signal("TERM");
        nexus.message("stopping");
        parts.send(Bytes::from("done")).await.unwrap();
        drop(parts);
        let text = tokio::time::timeout(DEADLINE, text(response)).await.unwrap();
        assert_eq!(text, "halfdone");
        let ended = tokio::time::timeout(DEADLINE, async {
            while !client.0.is_closed() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        });
        ended.await.unwrap();
    });
    assert_eq!(nexus.wait().code(), Some(0));
    assert!(nexus.messages("cut off").is_empty());
}

#[test]
fn a_broken_preface_harms_nobody() {
    let folder = Folder::app(APP);
    let nexus = Nexus::serve(folder.path());
    for bytes in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame at all, that is what this is"[..],
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut client = nexus.client("app");
        client.try_send(bytes);
        client.rest();
    }
    assert_eq!(nexus.get("app", "/").text(), "hello");
}
