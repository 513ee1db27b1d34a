//! Clients that open, send or ask for much more than they mean to use.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::ServerConfig;
use super::super::testing::{Harness, SOON, with_server};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types and flags of frames (RFC 9113 section 6).
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Longer than anything here takes.
const TOO_LONG: Duration = Duration::from_secs(15);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A GET's head (RFC 7541): method and scheme from the static table, the path and the host as they are.
fn head(path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    [&[0x82, 0x86, 0x04, length], path.as_bytes(), &[0x01, 4], b"test"].concat()
}

async fn connect(harness: &Harness, settings: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(harness.address).await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, settings)).await.unwrap();
    stream
}

/// Sends what `next` gives until the server has had enough of it, or there is no more. Says whether the server closed.
async fn flood(mut stream: TcpStream, next: impl Fn(u32) -> Option<Vec<u8>>) -> bool {
    let mut read = vec![0; 64 * 1024];
    for number in 0.. {
        let Some(bytes) = next(number) else { break };
        if !matches!(timeout(TOO_LONG, stream.write_all(&bytes)).await, Ok(Ok(()))) {
            return true;
        }
        while let Ok(count) = stream.try_read(&mut read) {
            if count == 0 {
                return true;
            }
        }
    }
    timeout(TOO_LONG, async { while matches!(stream.read(&mut read).await, Ok(1..)) {} }).await.is_ok()
}

#[test]
fn streams_that_are_reset_as_soon_as_they_are_opened_close_the_connection() {
    with_server(ServerConfig::default(), async |harness| {
        let stream = connect(harness, &[]).await;
        let cancelled = 8_u32.to_be_bytes();
        let closed = flood(stream, |number| {
            let id = 2 * number + 1;
            let head = frame(HEADERS, END_HEADERS | END_STREAM, id, &head("/hold"));
            (number < 50_000).then(|| [head, frame(RST_STREAM, 0, id, &cancelled)].concat())
        });
        assert!(closed.await);
        assert!(harness.service.calls.get() < 1000, "{} calls", harness.service.calls.get());
        assert_eq!(harness.connect().await.get("/hello").await.text(), "hello");
    });
}

#[test]
fn streams_that_are_reset_once_their_guest_has_them_close_the_connection_too() {
    with_server(ServerConfig::default(), async |harness| {
        let mut stream = connect(harness, &[]).await;
        let mut closed = false;
        for number in 0..2000_u32 {
            let id = 2 * number + 1;
            let calls = harness.service.calls.get();
            let head = frame(HEADERS, END_HEADERS | END_STREAM, id, &head("/hold"));
            if stream.write_all(&head).await.is_err() {
                closed = true;
                break;
            }
            let mut read = vec![0; 4096];
            let mut waited = 0;
            while harness.service.calls.get() == calls && !closed {
                closed = matches!(stream.try_read(&mut read), Ok(0)) || waited > 10_000;
                waited += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if closed || stream.write_all(&frame(RST_STREAM, 0, id, &8_u32.to_be_bytes())).await.is_err() {
                closed = true;
                break;
            }
        }
        assert!(closed);
        let calls = harness.service.calls.get();
        assert!((100..200).contains(&calls), "{calls} calls");
    });
}

#[test]
fn a_client_that_gives_up_less_than_it_lets_be_served_is_none_of_these() {
    with_server(ServerConfig::default(), async |harness| {
        let mut stream = connect(harness, &[]).await;
        let mut id = 1;
        for _ in 0..150 {
            for path in ["/hello", "/hello", "/hold"] {
                let calls = harness.service.calls.get();
                stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, id, &head(path))).await.unwrap();
                harness.service.until(|service| service.calls.get() > calls).await;
                if path == "/hold" {
                    let reset = frame(RST_STREAM, 0, id, &8_u32.to_be_bytes());
                    stream.write_all(&reset).await.unwrap();
                }
                let mut read = vec![0; 4096];
                while matches!(stream.try_read(&mut read), Ok(1..)) {}
                id += 2;
            }
        }
        let ended = |service: &super::super::testing::TestService| service.outcomes.borrow().len() == 450;
        harness.service.until(ended).await;
        assert!(!matches!(stream.try_read(&mut [0; 4096]), Ok(0)), "it is open");
    });
}

#[test]
fn a_head_without_an_end_closes_the_connection() {
    with_server(ServerConfig::default(), async |harness| {
        // Fields that are fine each for itself: literals that are not to be indexed, `a: aaa…`.
        let field = [&[0x00, 1, b'a', 100][..], &[b'a'; 100]].concat();
        for (piece, most) in [(field.repeat(100), 20_000), (Vec::new(), 200_000)] {
            let stream = connect(harness, &[]).await;
            let closed = flood(stream, |number| match number {
                0 => Some(frame(HEADERS, END_STREAM, 1, &head("/hello"))),
                number => (number < most).then(|| frame(CONTINUATION, 0, 1, &piece)),
            });
            assert!(closed.await, "pieces of {} bytes", piece.len());
        }
        assert_eq!(harness.service.calls.get(), 0);
        assert_eq!(harness.connect().await.get("/hello").await.text(), "hello");
    });
}

#[test]
fn many_streams_with_tiny_windows_hold_little_and_not_for_ever() {
    let config = ServerConfig { write_timeout: 5 * SOON, ..ServerConfig::default() };
    with_server(config, async |harness| {
        // SETTINGS_INITIAL_WINDOW_SIZE 1.
        let mut stream = connect(harness, &[0, 4, 0, 0, 0, 1]).await;
        let open = |id| frame(HEADERS, END_HEADERS | END_STREAM, id, &head("/endless"));
        let heads: Vec<u8> = (0..100).flat_map(|number| open(2 * number + 1)).collect();
        stream.write_all(&heads).await.unwrap();
        harness.service.until(|service| service.calls.get() == 100).await;
        let mut read = vec![0; 64 * 1024];
        let closing = async { while matches!(stream.read(&mut read).await, Ok(1..)) {} };
        timeout(TOO_LONG, closing).await.expect("it is closed");
        harness.service.until(|service| service.outcomes.borrow().len() == 100).await;
        assert!(harness.service.outcomes.borrow().iter().all(|outcome| !outcome.complete));
        let given = harness.service.given.get();
        assert!(given < 32 << 20, "{given} bytes were made for a hundred streams of a byte");
    });
}

#[test]
fn a_client_that_pings_and_does_not_read_is_closed_or_not_read_either() {
    with_server(ServerConfig::default(), async |harness| {
        let mut stream = connect(harness, &[]).await;
        let pings = frame(PING, 0, 0, &[0; 8]).repeat(1000);
        let mut sent = 0;
        while let Ok(Ok(written)) = timeout(SOON, stream.write(&pings)).await {
            sent += written;
            assert!(sent < 256 << 20, "{sent} bytes of pings were taken");
        }
        assert_eq!(harness.connect().await.get("/hello").await.text(), "hello");
    });
}

#[test]
fn a_flood_of_fields_costs_a_refusal_and_no_more() {
    let config = ServerConfig { linger_timeout: SOON, ..ServerConfig::default() };
    with_server(config, async |harness| {
        let mut client = harness.connect().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n").await;
        let line = "X: y\r\n".repeat(1000);
        let flooding = async {
            while client.stream.write_all(line.as_bytes()).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        timeout(TOO_LONG, flooding).await.expect("it is closed");
        let statuses: Vec<_> =
            harness.service.refusals.borrow().iter().map(|refused| refused.refusal.status()).collect();
        assert_eq!(statuses, [431]);
        assert_eq!(harness.connect().await.get("/hello").await.text(), "hello");
    });
}
