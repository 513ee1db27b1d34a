//! The head parser against good, bad and treacherous heads.

use proptest::prelude::*;

use super::*;

const LIMITS: HeadLimits = HeadLimits { max_head: 64 * 1024, max_url: 16 * 1024 };

fn head(text: &str) -> Head {
    parse(text.as_bytes(), LIMITS).unwrap().unwrap().0
}

fn status(bytes: &[u8]) -> u16 {
    match parse(bytes, LIMITS) {
        Err(refusal) => refusal.status(),
        Ok(Some(_)) => 200,
        Ok(None) => 0,
    }
}

#[test]
fn a_plain_request_is_read() {
    let text = "GET /a?b=c HTTP/1.1\r\nHost: example.com:8080\r\nX-Custom:  v \r\nAccept: */*\r\n\r\nrest";
    let (head, length) = parse(text.as_bytes(), LIMITS).unwrap().unwrap();
    assert_eq!(&text[length..], "rest");
    assert_eq!(&*head.method, "GET");
    assert_eq!(head.url, "http://example.com:8080/a?b=c");
    assert_eq!(head.headers.get_str("x-custom"), Some("v"));
    assert_eq!(head.headers.get_str("host"), Some("example.com:8080"));
    assert_eq!(head.framing, Framing::None);
    assert!(head.keep_alive && !head.is_old && !head.expects_continue && head.id.is_none());
}

#[test]
fn unknown_methods_are_the_guests_matter() {
    assert_eq!(&*head("BREW-it /pot HTTP/1.1\r\nHost: a\r\n\r\n").method, "BREW-it");
}

#[test]
fn each_form_of_a_target_gives_an_absolute_url() {
    let url = |line: &str| head(&format!("{line}\r\nHost: field\r\n\r\n")).url;
    assert_eq!(url("GET / HTTP/1.1"), "http://field/");
    assert_eq!(url("GET //x HTTP/1.1"), "http://field//x");
    assert_eq!(url("GET http://target?q HTTP/1.1"), "http://target/?q");
    assert_eq!(url("OPTIONS * HTTP/1.1"), "http://field/");
    let absolute = head("GET http://target:1/x HTTP/1.1\r\nHost: field\r\n\r\n");
    assert_eq!(absolute.headers.get_str("host"), Some("target:1"));
    assert_eq!(head("GET /x HTTP/1.0\r\n\r\n").url, "http://localhost/x");
}

#[test]
fn fields_that_end_at_the_connection_are_not_passed_on() {
    let head = head(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Hop, close, host\r\nX-Hop: 1\r\nKeep-Alive: x\r\nTE: x\r\n\
         Upgrade: h2c\r\nProxy-Connection: x\r\nTrailer: x\r\nX-End: 2\r\n\r\n",
    );
    let names: Vec<_> =
        head.headers.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
    assert_eq!(names, ["host", "x-end"]);
    assert!(!head.keep_alive);
}

#[test]
fn http_1_0_goes_on_only_if_asked_to() {
    assert!(!head("GET / HTTP/1.0\r\n\r\n").keep_alive);
    assert!(head("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
    assert!(!head("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n").keep_alive);
}

#[test]
fn the_body_is_framed_by_its_length_or_by_chunks() {
    let framing = |field: &str| head(&format!("POST / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n")).framing;
    assert_eq!(framing("Content-Length: 5"), Framing::Length(5));
    assert_eq!(framing("Content-Length: 0"), Framing::None);
    assert_eq!(framing("Content-Length: 5\r\ncontent-length: 5"), Framing::Length(5));
    assert_eq!(framing("Transfer-Encoding: Chunked"), Framing::Chunked);
    let twice = head("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(twice.headers.get_all("content-length").count(), 1);
}

#[test]
fn the_request_brings_its_id() {
    let id = |fields: &str| head(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")).id.unwrap();
    assert_eq!(id("X-Request-Id: abc").as_str(), "abc");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    assert_eq!(
        id(&format!("x-request-id: abc\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-01")).as_str(),
        trace
    );
}

/// Heads that some servers and proxies read differently, each with the status that it gets.
#[test]
fn whatever_could_be_read_in_two_ways_is_refused() {
    let with = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    let vectors: Vec<(u16, String)> = vec![
        (400, with("Content-Length: 5\r\nTransfer-Encoding: chunked")),
        (400, with("Transfer-Encoding: chunked\r\nContent-Length: 5")),
        (400, with("Content-Length: 5\r\nContent-Length: 6")),
        (400, with("Content-Length: 5, 5")),
        (400, with("Content-Length: +5")),
        (400, with("Content-Length: -5")),
        (400, with("Content-Length: 0x5")),
        (400, with("Content-Length: 5 5")),
        (400, with("Content-Length:")),
        (400, with("Content-Length: 99999999999999999999")),
        (400, with("Content-Length : 5")),
        (400, with(" Content-Length: 5")),
        (400, with("Transfer-Encoding : chunked")),
        (400, with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")),
        (400, with("Transfer-Encoding: chunked, chunked")),
        (400, with("Transfer-Encoding: xchunked")),
        (400, with("Transfer-Encoding: chunked, identity")),
        (400, with("Transfer-Encoding: \"chunked\"")),
        (400, with("Transfer-Encoding: chunked;q=1")),
        (400, with("Transfer-Encoding:")),
        (400, with("Transfer-Encoding: identity")),
        (400, with("Transfer-Encoding: \x0bchunked")),
        (400, with("Transfer-Encoding:\r\n chunked")),
        (501, with("Transfer-Encoding: gzip, chunked")),
        (400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into()),
        (400, with("X: a\r\n b")),
        (400, with("X: a\rb")),
        (400, with("X: a\0b")),
        (400, with("X\0: a")),
        (400, with("X Y: a")),
        (400, with(": a")),
        (400, with("no colon")),
        (400, "GET / HTTP/1.1\nHost: a\n\n".into()),
        (400, "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n".into()),
        (400, "GET / HTTP/1.1\nHost: a\r\n\r\n".into()),
        (400, "GET / HTTP/1.1\r\nHost: a\r\n\n".into()),
        (400, "GET / HTTP/1.1\r\nHost: a\n\r\n".into()),
        (400, "GET / HTTP/1.0\n\r\n".into()),
        (400, "GET / HTTP/1.1\r\n\r\n".into()),
        (400, with("Host: a")),
        (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n".into()),
        (400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n".into()),
        (400, "GET / HTTP/1.1\r\nHost:\r\n\r\n".into()),
        (400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n".into()),
        (400, "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n".into()),
        (400, line("GET  / HTTP/1.1")),
        (400, line("GET / HTTP/1.1 ")),
        (400, line("GET /a b HTTP/1.1")),
        (400, line("GET /a#b HTTP/1.1")),
        (400, line("GET a HTTP/1.1")),
        (400, line("GET * HTTP/1.1")),
        (400, line("GET ftp://a/ HTTP/1.1")),
        (400, line("GET / HTTX/1.1")),
        (400, line("GET / http/1.1")),
        (400, line("GET /")),
        (400, line("GE(T / HTTP/1.1")),
        (400, line(" GET / HTTP/1.1")),
        (501, line("CONNECT a:443 HTTP/1.1")),
        (505, line("GET / HTTP/2.0")),
        (505, line("GET / HTTP/1.2")),
        (505, line("GET / HTTP/0.9")),
        (400, with(&format!("Connection: {}", "x, ".repeat(33)))),
        (417, with("Expect: 200-ok")),
        (400, "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0".into()),
    ];
    for (expected, text) in vectors {
        assert_eq!(status(text.as_bytes()), expected, "{text:?}");
    }
}

#[test]
fn a_head_over_its_limits_is_refused() {
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(LIMITS.max_url));
    assert_eq!(status(long_target.as_bytes()), 414);
    let endless_target = format!("GET /{}", "a".repeat(LIMITS.max_url + 100));
    assert_eq!(status(endless_target.as_bytes()), 414);
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(LIMITS.max_head));
    assert_eq!(status(large.as_bytes()), 431);
    assert_eq!(status(&large.as_bytes()[..LIMITS.max_head]), 431);
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(MAX_FIELDS));
    assert_eq!(status(many.as_bytes()), 431);
}

/// Heads that get past the first byte more often than random ones do.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"GET / HTTP/1.1\r\n".to_vec()),
        Just(b"POST http://x/y?z HTTP/1.0\r\n".to_vec()),
        Just(b"Host: a\r\n".to_vec()),
        Just(b"Content-Length: 3\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
        Just(b"Connection: close, x\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"X: ".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

/// The outcome as far as two runs can be compared.
fn summary(outcome: &Result<Option<(Head, usize)>, Refusal>) -> Option<String> {
    match outcome {
        Ok(None) => None,
        Ok(Some((head, length))) => Some(format!("{length} {head:?}")),
        Err(refusal) => Some(format!("{refusal:?}")),
    }
}

proptest! {
    #[test]
    fn no_input_makes_the_parser_panic(input: Vec<u8>) {
        let _ = parse(&input, LIMITS);
    }

    #[test]
    fn a_head_that_comes_in_pieces_is_read_like_one_that_comes_at_once(input in plausible()) {
        let whole = parse(&input, LIMITS);
        let in_pieces = (0..=input.len()).map(|end| parse(&input[..end], LIMITS)).find(|o| !matches!(o, Ok(None)));
        match (&whole, in_pieces) {
            // An error may show before the end, or be another one there; it is an error all the same.
            (Err(_), Some(outcome)) => prop_assert!(outcome.is_err() || summary(&outcome) == summary(&whole)),
            (whole, in_pieces) => {
                prop_assert_eq!(in_pieces.as_ref().and_then(summary), summary(whole));
            }
        }
    }

    #[test]
    fn what_is_accepted_has_an_absolute_url_and_plain_fields(input in plausible()) {
        if let Ok(Some((head, length))) = parse(&input, LIMITS) {
            prop_assert!(length <= input.len());
            prop_assert!(head.url.starts_with("http://"));
            for (name, value) in head.headers.iter() {
                prop_assert!(!fields::ends_at_the_connection(name));
                prop_assert!(fields::is_safe_value(value));
            }
        }
    }
}
