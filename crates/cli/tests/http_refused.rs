//! HTTP/1.1 requests that are too large, or none.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Folder, Nexus};

/// Answers with the body of `/text`, and greets otherwise.
const APP: &str = r#"
export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    return new Response(pathname === "/text" ? await request.text() : "hello");
  },
};
"#;

fn serve() -> (Folder, Nexus) {
    let folder = Folder::app(APP);
    let nexus = Nexus::serve(folder.path());
    (folder, nexus)
}

#[test]
fn what_is_too_large_is_refused_with_a_number_of_its_own() {
    let (folder, nexus) = serve();
    drop(nexus);
    folder.write("app/nexus.toml", "[limits]\nbody = 1000\nheaders = \"8 KB\"\nurl = 1000\n");
    let nexus = Nexus::serve(folder.path());
    let long = "x".repeat(9000);
    let body = "the request's body is too large (limit: body 1000 B)\n";
    let head = "the request's head is too large (limit: headers 8 KB)\n";
    let url = "the request's URL is too long (limit: url 1000 B)\n";
    let fields = "the request has more than 256 header fields\n";
    let cases = [
        (414, url, format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "u".repeat(1000))),
        (414, url, format!("GET /{long}")),
        (431, head, format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n")),
        (431, fields, format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(300))),
        (413, body, "POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n".into()),
        (
            413,
            body,
            format!(
                "POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n{}\r\n1\r\nx\r\n0\r\n\r\n",
                "x".repeat(1000)
            ),
        ),
        // Nothing of the chunk has come.
        (
            413,
            body,
            "POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n".to_owned(),
        ),
    ];
    for (status, text, request) in cases {
        let mut client = nexus.client("app");
        client.send(&request);
        let response = client.response();
        assert_eq!(response.status, status, "{request:.80}");
        assert_eq!(response.header("connection"), Some("close"));
        assert_eq!(response.text(), text);
        assert_eq!(response.header("x-request-id").unwrap().len(), 32);
        assert!(client.is_closed());
    }
    let mut client = nexus.client("app");
    client.send("POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n");
    client.send("x".repeat(1000) + "\r\n0\r\n\r\n");
    assert_eq!(client.response().body.len(), 1000, "as much as the limit passes");
    assert_eq!(nexus.metric("nexus_requests_refused_total{app=\"app\",status=\"431\"}"), 2.0);
}

#[test]
fn malformed_requests_get_400_and_what_follows_them_is_not_served() {
    let (_folder, nexus) = serve();
    let smuggled = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
    for (status, request) in [
        (400, "nonsense\r\n\r\n".to_owned()),
        (400, "GET /hello HTTP/1.1\r\n\r\n".into()),
        (400, "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into()),
        (400, "GET /hello HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n".into()),
        (400, "GET /hello HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n".into()),
        (400, "GET /hello HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n".into()),
        (400, "GET /hello HTTP/1.1\nHost: a\n\n".into()),
        (400, "GET hello HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (
            400,
            format!(
                "POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n{smuggled}"
            ),
        ),
        (400, "POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n".into()),
        (400, "POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello".into()),
        (
            400,
            format!(
                "POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
            ),
        ),
        (400, "POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n".into()),
        (
            400,
            "POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n".into(),
        ),
        (501, "POST /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".into()),
        (501, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n".into()),
        (505, "GET /hello HTTP/3.0\r\nHost: a\r\n\r\n".into()),
        (414, format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(20_000))),
    ] {
        let mut client = nexus.client("app");
        client.send(&request);
        let response = client.response();
        assert_eq!(response.status, status, "{request:?}: {}", response.text());
        assert!(response.text().len() < 200 && response.text().ends_with('\n'));
        assert_eq!(client.rest(), b"", "{request:?}");
    }
    assert_eq!(nexus.get("app", "/hello").text(), "hello");
}

#[test]
fn bytes_that_are_no_http_harm_nobody() {
    let (_folder, mut nexus) = serve();
    // The beginning of a TLS handshake, zeros, and lines without an end.
    for bytes in
        [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &[0; 100], &[b'\r'; 70_000], &[0xff; 70_000]]
    {
        let mut client = nexus.client("app");
        client.try_send(bytes);
        client.end();
        let answer = client.rest();
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(nexus.get("app", "/hello").text(), "hello");
    assert!(nexus.runs());
}
