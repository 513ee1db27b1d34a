//! Requests that WebAssembly apps send to others, as far as they are granted. The guests' sources and paths are in
//! tests/wasm.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use harness::outgoing::{OF_0_3, ROOMS, serve};
use harness::{Asked, Folder, Nexus, Upstream, until};

/// The guest that asks others, granted the upstream.
fn outbound(upstream: &Upstream, manifest: &str) -> (Folder, Nexus) {
    serve("outbound.wasm", &[&upstream.address()], manifest)
}

/// Answers with the request line, some fields, and the body as it came.
fn echo(asked: &mut Asked) {
    let body = asked.body();
    let told = format!(
        "told: {}; host {}; length {}; coding {}; one {}",
        asked.line,
        asked.field("host"),
        asked.field("content-length"),
        asked.field("transfer-encoding"),
        asked.field("x-one"),
    );
    asked.reply("201 Made", &["x-a: 1", "x-a: 2", &told], body);
}

/// An upstream that never answers.
fn silent() -> Upstream {
    Upstream::new(Asked::await_close)
}

#[test]
fn a_guest_forwards_requests_with_their_bodies_and_hands_the_responses_on() {
    let upstream = Upstream::new(echo);
    let (_folder, nexus) = outbound(&upstream, "[limits]\ncpu = \"10 s\"\n");
    let address = upstream.address();
    let mut client = nexus.client("app");
    let got = client.request("GET", &format!("/forward/{address}/a%20b"), &["X-One: 1"], b"");
    assert_eq!((got.status, got.body.len()), (201, 0));
    assert_eq!(got.headers.iter().filter(|(name, _)| name == "x-a").count(), 2, "{:?}", got.headers);
    // It has no body, so nothing says how long it is.
    let told = format!("GET /a%20b HTTP/1.1; host {address}; length ; coding ; one 1");
    assert_eq!(got.header("told"), Some(&*told));
    // Of a known length.
    let body: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    for body in [&b"small"[..], &body] {
        let got = client.request("POST", &format!("/forward/{address}/"), &["X-One: 2"], body);
        let told = format!("POST / HTTP/1.1; host {address}; length {}; coding ; one 2", body.len());
        assert_eq!((got.status, got.header("told")), (201, Some(&*told)));
        assert!(got.body == body);
    }
    // Of no known length: in chunks.
    let head = format!("PUT /forward/{address}/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(head);
    for at in 0..100 {
        client.send(format!("2710\r\n{}\r\n", String::from(char::from(b'a' + at % 26)).repeat(10_000)));
    }
    client.send("0\r\n\r\n");
    let got = client.response();
    assert_eq!((got.status, got.body.len()), (201, 1_000_000));
    assert!(got.header("told").unwrap().contains("coding chunked"), "{:?}", got.header("told"));
    nexus.await_metric("nexus_subrequests_total{app=\"app\",result=\"answered\"}", 4.0);
    nexus.await_nothing_held("app");
}

#[test]
fn a_small_body_of_no_known_length_is_sent_whole() {
    let upstream = Upstream::new(echo);
    let (_folder, nexus) = outbound(&upstream, "");
    let mut client = nexus.client("app");
    client.send(format!(
        "POST /forward/{}/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsmall\r\n0\r\n\r\n",
        upstream.address()
    ));
    let got = client.response();
    assert_eq!((got.status, got.body.as_slice()), (201, &b"small"[..]));
}

#[test]
fn a_request_that_is_not_granted_is_denied_and_told_once() {
    let forbidden = TcpListener::bind("127.0.0.1:0").unwrap();
    forbidden.set_nonblocking(true).unwrap();
    let address = forbidden.local_addr().unwrap().to_string();
    let port = forbidden.local_addr().unwrap().port();
    let upstream = Upstream::new(echo);
    let (_folder, nexus) = outbound(&upstream, "");
    let answer = nexus.get("app", &format!("/outbound/{address}"));
    assert_eq!(answer.text(), "HTTP-request-denied");
    let line = nexus.message("denied: ");
    assert_eq!((line["level"].as_str(), line["app"].as_str()), (Some("warn"), Some("app")));
    assert_eq!(line["request_id"], answer.header("x-request-id").unwrap());
    assert!(line["message"].as_str().unwrap().contains(&format!("net = [\"{address}\"]")), "{line}");
    // The same place by other names, and names that could be read as another place.
    for (authority, code) in [
        (format!("localhost:{port}"), "HTTP-request-denied"),
        (format!("[::ffff:127.0.0.1]:{port}"), "HTTP-request-denied"),
        ("169.254.169.254".into(), "HTTP-request-denied"),
        (format!("2130706433:{port}"), "HTTP-request-URI-invalid"),
        (format!("0x7f.1:{port}"), "HTTP-request-URI-invalid"),
        (format!("{}@{address}", upstream.address().replace(':', "%3A")), "HTTP-request-URI-invalid"),
    ] {
        let told = nexus.get("app", &format!("/outbound/{authority}")).text();
        assert_eq!(told, code, "{authority}");
    }
    nexus.await_metric("nexus_subrequests_total{app=\"app\",result=\"denied\"}", 4.0);
    assert!(forbidden.accept().is_err(), "somebody connected");
    assert_eq!(nexus.messages("denied: ").len(), 4, "{:?}", nexus.messages("denied: "));
    assert_eq!(nexus.get("app", &format!("/outbound/{}", upstream.address())).text(), "status 201");
}

#[test]
fn what_goes_wrong_is_told_to_the_guest_by_its_code() {
    let upstream = Upstream::new(|asked| {
        asked.body();
        match asked.path() {
            "/breaks" => {
                asked.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n");
                asked.close();
            }
            "/stops" => {
                asked.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n");
                asked.await_close();
            }
            "/closes" => asked.close(),
            "/mad" => {
                asked.write("this is no HTTP\r\n\r\n");
                asked.close();
            }
            _ => asked.await_close(),
        }
    });
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (_folder, nexus) = serve("outbound.wasm", &[&upstream.address(), &refusing], "");
    let mut client = nexus.client("app");
    for (path, status, text) in [
        ("/breaks", 200, "first[HTTP-response-incomplete]"),
        ("/stops?between=100", 200, "first[connection-read-timeout]"),
        ("/slow?first=100", 502, "HTTP-response-timeout"),
        ("/closes", 502, "connection-terminated"),
        ("/mad", 502, "HTTP-protocol-error"),
    ] {
        let got = client.get(&format!("/forward/{}{path}", upstream.address()));
        assert_eq!((got.status, &*got.text()), (status, text), "{path}");
    }
    assert_eq!(client.get(&format!("/outbound/{refusing}")).text(), "connection-refused");
    nexus.await_metric("nexus_subrequests_total{app=\"app\",result=\"failed\"}", 4.0);
    until("the upstream's connections closed", || (upstream.open() == 0).then_some(()));
}

#[test]
fn a_body_that_its_guest_gives_up_does_not_look_whole() {
    let (tell, told) = mpsc::channel();
    let upstream = Upstream::new(move |asked| {
        let length = asked.field("content-length").to_owned();
        asked.await_close();
        tell.send(length).unwrap();
    });
    let (_folder, nexus) = outbound(&upstream, "");
    let text = nexus.get("app", &format!("/half/{}", upstream.address())).text();
    assert_eq!(text, "HTTP-protocol-error");
    // It waits for the rest until the connection is closed.
    assert_eq!(told.recv_timeout(harness::DEADLINE).unwrap(), "10");
}

#[test]
fn whoever_leaves_ends_what_was_sent_for_them_and_neighbours_go_on() {
    let upstream = silent();
    let (_folder, nexus) = outbound(&upstream, "");
    let path = format!("/forward/{}/", upstream.address());
    let mut leaving: Vec<_> = (0..5).map(|_| nexus.client("app")).collect();
    for client in &mut leaving {
        client.send_request("GET", &path, &[], b"");
    }
    until("all have asked", || (upstream.asked().len() == 5).then_some(()));
    assert_eq!(nexus.get("quiet", "/").text(), "quiet");
    drop(leaving);
    until("the upstream's connections closed", || (upstream.open() == 0).then_some(()));
    nexus.await_nothing_held("app");
    assert_eq!(nexus.get("quiet", "/").text(), "quiet");
}

#[test]
fn a_response_in_the_middle_ends_with_its_client() {
    let upstream = Upstream::new(|asked| {
        asked.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        // Until nobody takes it any more: both ends and all in between are full before.
        while asked.write(format!("2710\r\n{}\r\n", "x".repeat(10_000))) {}
        asked.close();
    });
    let (_folder, nexus) = outbound(&upstream, "[limits]\ncpu = \"1 m\"\n");
    let mut client = nexus.client("app");
    client.send_request("GET", &format!("/forward/{}/", upstream.address()), &[], b"");
    assert_eq!(client.head().status, 200);
    client.chunk();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(upstream.open(), 1);
    drop(client);
    until("the upstream's connection closed", || (upstream.open() == 0).then_some(()));
    nexus.await_nothing_held("app");
}

#[test]
fn what_a_guest_drops_is_broken_off_while_it_goes_on() {
    let upstream = Upstream::new(|asked| {
        if asked.path() == "/head" {
            asked.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome");
        }
        asked.await_close();
    });
    let (_folder, nexus) = outbound(&upstream, "");
    for path in ["drop", "unread"] {
        let before = upstream.asked().len();
        let mut client = nexus.client("app");
        client.send_request("GET", &format!("/{path}/{}/head", upstream.address()), &[], b"");
        until("it was asked", || (upstream.asked().len() > before).then_some(()));
        until("its connection closed", || (upstream.open() == 0).then_some(()));
    }
}

#[test]
fn nothing_that_a_request_has_sent_outlives_it_even_where_its_instance_does() {
    let upstream = silent();
    let (_folder, nexus) = outbound(&upstream, "[wasm]\nreuse = 100\n[scale]\nworkers = 1\n");
    let mut client = nexus.client("app");
    for asked in 1..=3 {
        assert_eq!(client.get(&format!("/leave/{}", upstream.address())).text(), "left");
        until("it was asked", || (upstream.asked().len() == asked).then_some(()));
        until("its connection closed", || (upstream.open() == 0).then_some(()));
    }
}

#[test]
fn each_request_may_send_as_many_as_the_limit_says() {
    let upstream = Upstream::new(echo);
    for reuse in [1, 100] {
        let manifest = format!("[limits]\nsubrequests = 3\n[wasm]\nreuse = {reuse}\n");
        let (_folder, nexus) = outbound(&upstream, &manifest);
        let mut client = nexus.client("app");
        for _ in 0..2 {
            assert_eq!(
                client.get(&format!("/many/5/{}", upstream.address())).text(),
                "3 answered, last error: internal-error: too many requests (limit: subrequests 3)"
            );
        }
        nexus.await_metric("nexus_subrequests_total{app=\"app\",result=\"answered\"}", 6.0);
    }
}

#[test]
fn services_of_0_3_send_requests_too() {
    let upstream = Upstream::new(|asked| match asked.path() {
        "/never" => asked.await_close(),
        _ => echo(asked),
    });
    for manifest in [OF_0_3, ROOMS] {
        let manifest = format!("{manifest}[limits]\ncpu = \"10 s\"\n");
        let (_folder, nexus) = serve("p3-client.wasm", &[&upstream.address()], &manifest);
        let address = upstream.address();
        let mut client = nexus.client("app");
        let got = client.get(&format!("/{address}/a?b"));
        assert_eq!((got.status, got.body.len()), (201, 0));
        assert!(got.header("told").unwrap().starts_with("GET /a?b HTTP/1.1"), "{:?}", got.header("told"));
        assert_eq!(nexus.message("sent")["message"], "sent");
        let body: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        let got = client.request("POST", &format!("/{address}/"), &[], &body);
        assert_eq!((got.status, got.body.len()), (201, body.len()), "{manifest}");
        assert!(got.body == body);
        let denied = nexus.client("app").get("/127.0.0.1:9/");
        assert_eq!(denied.text(), "denied");
        let line = nexus.message("denied: a connection to 127.0.0.1:9 is not granted");
        assert_eq!(line["request_id"], denied.header("x-request-id").unwrap());
        let asked = upstream.asked().len();
        let mut leaving = nexus.client("app");
        leaving.send_request("GET", &format!("/{address}/never"), &[], b"");
        until("it was asked", || (upstream.asked().len() > asked).then_some(()));
        drop(leaving);
        nexus.await_nothing_held("app");
        drop(client);
        let of_it = |line: &String| line.contains("/never");
        assert!(upstream.asked().iter().any(of_it));
        // What is left is idle, and nexus's to keep.
        until("the one that never ends closed", || (upstream.open() <= 2).then_some(()));
        assert_eq!(nexus.get("quiet", "/").text(), "quiet");
    }
}

#[test]
fn what_a_guest_keeps_of_responses_counts_as_memory() {
    let upstream = Upstream::new(|asked| asked.reply("200 OK", &[], vec![b'x'; 64 << 10]));
    let manifest = "[limits]\nmemory = \"16 MB\"\nsubrequests = 400\ncpu = \"10 s\"\n[scale]\nworkers = 1\n";
    let (_folder, nexus) = outbound(&upstream, manifest);
    let mut client = nexus.client("app");
    for _ in 0..3 {
        let told = client.get(&format!("/hoard/400/{}", upstream.address())).text();
        assert!(told.contains("last error: internal-error: no memory for "), "{told}");
        assert!(told.contains("(limit: memory 16 MB)"), "{told}");
        let kept = told.split(' ').next().unwrap().parse().unwrap();
        assert!((100..240).contains(&kept), "{told}");
    }
    nexus.await_nothing_held("app");
}
