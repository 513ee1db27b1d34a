//! Secure connections that break: after every byte, and at every frame of HTTP/2.

#![allow(clippy::unwrap_used)]

mod common;

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use common::secure::*;
use common::*;
use nexus_guest::{BodyError, HttpError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";

/// How many bytes of a handshake lie between two that it breaks off after.
const STRIDE: usize = 29;

/// A connection that takes so many bytes of what is written and no more.
struct Cut {
    tcp: Option<TcpStream>,
    left: usize,
    counts: Counts,
}

/// What was written, and whether there was more to write.
#[derive(Clone, Default)]
struct Counts {
    written: Rc<Cell<usize>>,
    is_cut: Rc<Cell<bool>>,
}

impl Cut {
    /// It is reset when it is dropped, or closed.
    fn new(tcp: TcpStream, left: usize, reset: bool, counts: Counts) -> Self {
        if reset {
            tcp.set_zero_linger().unwrap();
        }
        Self { tcp: Some(tcp), left, counts }
    }

    fn tcp(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.tcp.as_mut().unwrap())
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        let mut tcp = self.tcp.take().unwrap();
        let resets = tcp.linger().unwrap().is_some();
        if !resets {
            // What is not read yet would have it reset.
            spawn_local(async move {
                let _ = tcp.shutdown().await;
                closed(&mut tcp).await;
            });
        }
    }
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.tcp().poll_read(cx, buf)
    }
}

impl AsyncWrite for Cut {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let most = buf.len().min(self.left);
        if most == 0 {
            self.counts.is_cut.set(true);
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let polled = self.tcp().poll_write(cx, &buf[..most]);
        if let Poll::Ready(Ok(written)) = polled {
            self.left -= written;
            self.counts.written.set(self.counts.written.get() + written);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What came of a request: its body and how that ended, or why there is no response.
type Came = Result<(String, Result<(), BodyError>), HttpError>;

/// Two requests, of which the second one must be answered. Gives what came of the first one.
async fn ask_twice(authority: &Authority, peer: &Peer) -> Came {
    let (client, url) = (authority.client(&[]), secure_url(peer, "/"));
    let came = match client.get(&url).await {
        Ok(response) => Ok(read(response.body).await),
        Err(error) => Err(error),
    };
    assert_eq!(client.text(&url).await, "hello");
    came
}

/// What came of a request over a connection that broke off.
struct Broken {
    came: Came,
    /// How many bytes the peer wrote of the handshake, if it got to its end.
    handshake: Option<usize>,
    /// Whether there was more to write than the connection took.
    is_cut: bool,
}

/// Sends a request over HTTP/1.1 whose connection breaks off after so many bytes, and one more.
async fn cut_http1(
    authority: &Authority,
    acceptor: &TlsAcceptor,
    answer: &'static str,
    cut: usize,
    reset: bool,
) -> Broken {
    let (counts, handshake) = (Counts::default(), Rc::new(Cell::new(None)));
    let (counted, shaken, acceptor) = (counts.clone(), handshake.clone(), acceptor.clone());
    let peer = peer(move |number, tcp| {
        let (counts, shaken, acceptor) = (counted.clone(), shaken.clone(), acceptor.clone());
        async move {
            if number > 0 {
                let mut stream = acceptor.accept(tcp).await.unwrap();
                head(&mut stream).await;
                return say(&mut stream, HELLO).await;
            }
            let Ok(mut stream) = acceptor.accept(Cut::new(tcp, cut, reset, counts.clone())).await else {
                return;
            };
            shaken.set(Some(counts.written.get()));
            head(&mut stream).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.flush().await;
        }
    })
    .await;
    let came = ask_twice(authority, &peer).await;
    assert_eq!(peer.connections.get(), 2, "{cut}");
    Broken { came, handshake: handshake.get(), is_cut: counts.is_cut.get() }
}

/// Without tickets, which would be a part of neither the handshake nor the answer.
fn plain_acceptor(authority: &Authority, protocol: &str) -> TlsAcceptor {
    let mut config = (**authority.acceptor(&[protocol], |_| {}).config()).clone();
    config.send_tls13_tickets = 0;
    TlsAcceptor::from(Arc::new(config))
}

#[test]
fn http1_over_tls_that_breaks_off_anywhere_ends() {
    let authority = authority("cut");
    let acceptor = plain_acceptor(&authority, "http/1.1");
    for answer in [HELLO, CHUNKED] {
        for reset in [false, true] {
            let (mut cut, mut step, mut whole) = (0, STRIDE, false);
            while !whole {
                run(async {
                    let broken = cut_http1(&authority, &acceptor, answer, cut, reset).await;
                    whole = step == 1 && !broken.is_cut;
                    match (broken.came, broken.handshake) {
                        (Err(HttpError::Tls(why)), None) => {
                            let closed = "localhost: the peer closed the connection during the handshake";
                            assert!(why == closed || reset && why.starts_with("localhost: "), "{cut}: {why}");
                        }
                        (Err(error), Some(_)) => {
                            assert!(
                                error == HttpError::Closed && (reset || broken.is_cut),
                                "{cut}: {error:?}"
                            );
                        }
                        (Ok((text, end)), Some(_)) => {
                            assert!("hello".starts_with(&text), "{cut}: {text}");
                            match end {
                                Ok(()) => assert_eq!(text, "hello", "{cut}"),
                                Err(error) => {
                                    assert!(
                                        error == BodyError::Disconnected && (reset || broken.is_cut),
                                        "{cut}"
                                    );
                                }
                            }
                        }
                        (came, None) => panic!("{cut}: the handshake broke off, and {came:?} came"),
                    }
                    cut = match broken.handshake {
                        // Back to its last bytes: the length of its signature varies by some.
                        Some(length) if step > 1 => {
                            step = 1;
                            length - 4
                        }
                        _ => cut + step,
                    };
                });
            }
            assert!(cut > 10 * STRIDE + answer.len(), "{cut}");
        }
    }
}

#[test]
fn a_body_that_ends_with_its_connection_is_whole_only_if_tls_says_so() {
    let authority = authority("truncated");
    for (says_so, expected) in [(true, Ok(())), (false, Err(BodyError::Disconnected))] {
        run(async {
            let peer = secure(authority.acceptor(&["http/1.1"], |_| {}), move |mut stream| async move {
                head(&mut stream).await;
                say(&mut stream, "HTTP/1.1 200 OK\r\n\r\nhello").await;
                if says_so {
                    stream.shutdown().await.unwrap();
                }
            })
            .await;
            let response = authority.client(&[]).get(&secure_url(&peer, "/")).await.unwrap();
            assert_eq!(read(response.body).await, ("hello".to_owned(), expected.clone()));
        });
    }
}

/// What the peer says for one request over HTTP/2: its settings, that it has ours, a head and a body in two parts.
fn frames(stream: u8, is_first: bool) -> Vec<Vec<u8>> {
    let frame = |kind, flags, stream, payload: &[u8]| {
        let mut frame = vec![0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream];
        frame.extend_from_slice(payload);
        frame
    };
    // As many streams at once as there may be; `:status: 200`.
    let settings = [frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]), frame(4, 1, 0, &[])];
    let answer = [frame(1, 4, stream, &[0x88]), frame(0, 0, stream, b"hel"), frame(0, 1, stream, b"lo")];
    settings.into_iter().filter(|_| is_first).chain(answer).collect()
}

/// Waits for the head of the next request over HTTP/2, and gives its stream.
async fn h2_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<u8> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).await.ok()?;
        if head[3] == 1 {
            return Some(head[8]);
        }
    }
}

/// How a connection ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// As TLS wants it.
    Told,
    /// Without a word of TLS.
    Closed,
    Reset,
}

/// A peer that answers over HTTP/2. It says what a test makes of the frames of the very first answer, and goes on if
/// that says so.
async fn h2_frames(
    authority: &Authority,
    end: End,
    first: impl Fn(Vec<Vec<u8>>) -> (Vec<u8>, bool) + 'static,
) -> Peer {
    let (acceptor, first) = (plain_acceptor(authority, "h2"), Rc::new(first));
    peer(move |number, tcp| {
        let (acceptor, first) = (acceptor.clone(), first.clone());
        async move {
            if end == End::Reset && number == 0 {
                tcp.set_zero_linger().unwrap();
            }
            let mut stream = acceptor.accept(tcp).await.unwrap();
            let mut preface = [0; 24];
            stream.read_exact(&mut preface).await.unwrap();
            let (mut is_first, mut goes_on) = (true, true);
            while goes_on && let Some(id) = h2_head(&mut stream).await {
                let mut bytes = frames(id, is_first).concat();
                if number == 0 && is_first {
                    (bytes, goes_on) = first(frames(id, true));
                }
                is_first = false;
                stream.write_all(&bytes).await.unwrap();
                stream.flush().await.unwrap();
            }
            let _ = match end {
                End::Reset if number == 0 => return,
                End::Closed => stream.get_mut().0.shutdown().await,
                _ => stream.shutdown().await,
            };
            closed(&mut stream).await;
        }
    })
    .await
}

#[test]
fn http2_that_breaks_off_anywhere_ends() {
    let authority = authority("h2-cut");
    let length = frames(1, true).concat().len();
    for cut in 0..=length {
        for end in [End::Told, End::Closed, End::Reset] {
            run(async {
                let peer =
                    h2_frames(&authority, end, move |frames| (frames.concat()[..cut].to_vec(), false)).await;
                match ask_twice(&authority, &peer).await {
                    Ok((text, Ok(()))) => assert!(text == "hello" && cut == length, "{cut}: {text}"),
                    Ok((text, Err(error))) => {
                        assert!("hello".starts_with(&text), "{cut}: {text}");
                        assert_eq!(error, BodyError::Disconnected, "{cut}");
                        assert!(cut < length || end == End::Reset, "{cut}");
                    }
                    Err(error) => {
                        assert_eq!(error, HttpError::Closed, "{cut}");
                        assert!(cut < length || end == End::Reset, "{cut}");
                    }
                }
                assert_eq!(peer.connections.get(), 2, "{cut}");
            });
        }
    }
}

/// RST_STREAM, with this code.
fn reset(code: u8) -> Vec<u8> {
    vec![0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, code]
}

/// GOAWAY, with this code: no stream after `last` was looked at.
fn go_away(last: u8, code: u8) -> Vec<u8> {
    vec![0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, last, 0, 0, 0, code]
}

/// What came of a request in whose answer this frame comes after `at` others, with the rest of them or without; and how
/// many connections there were for it and the next.
async fn interrupted(authority: &Authority, at: usize, frame: Vec<u8>, goes_on: bool) -> (Came, usize) {
    let peer = h2_frames(authority, End::Told, move |mut frames| {
        frames.insert(at, frame.clone());
        frames.truncate(if goes_on { frames.len() } else { at + 1 });
        (frames.concat(), true)
    })
    .await;
    (ask_twice(authority, &peer).await, peer.connections.get())
}

/// The code that says that nothing was done about a request: it is sent again.
const REFUSED: u8 = 7;

/// What comes where there are no more than so many frames of an answer, and this code.
fn after(at: usize, code: u8) -> Came {
    match at {
        0..=2 if code == REFUSED => after(5, code),
        0..=2 => Err(HttpError::Closed),
        3 => Ok((String::new(), Err(BodyError::Disconnected))),
        4 => Ok(("hel".to_owned(), Err(BodyError::Disconnected))),
        _ => Ok(("hello".to_owned(), Ok(()))),
    }
}

#[test]
fn an_http2_stream_that_is_reset_at_any_frame_ends_alone() {
    // Each code of RFC 9113, and one that nobody knows.
    let authority = authority("h2-reset");
    for (at, code) in (0..=5).flat_map(|at| (0..=14).map(move |code| (at, code))) {
        run(async {
            let (came, connections) = interrupted(&authority, at, reset(code), false).await;
            assert_eq!((came, connections), (after(at, code), 1), "{at} {code}");
        });
    }
}

#[test]
fn an_http2_connection_that_goes_away_at_any_frame_ends_with_what_it_has() {
    let authority = authority("h2-away");
    for (at, code) in (0..=5).flat_map(|at| [0, 1, 2, REFUSED, 11, 14].map(move |code| (at, code))) {
        run(async {
            for (last, goes_on, expected) in
                [(1, true, after(5, code)), (0, true, after(at, code)), (0, false, after(at, code))]
            {
                let (came, connections) = interrupted(&authority, at, go_away(last, code), goes_on).await;
                assert_eq!((came, connections), (expected, 2), "{at} {code} {last} {goes_on}");
            }
        });
    }
}

#[test]
fn an_http2_connection_that_goes_away_and_closes_breaks_its_streams_off() {
    let authority = authority("h2-gone");
    for (at, code) in (0..=5).flat_map(|at| [0, 1, 11].map(move |code| (at, code))) {
        for end in [End::Told, End::Closed, End::Reset] {
            run(async {
                let peer = h2_frames(&authority, end, move |mut frames| {
                    frames.insert(at, go_away(1, code));
                    frames.truncate(at + 1);
                    (frames.concat(), false)
                })
                .await;
                let came = ask_twice(&authority, &peer).await;
                // A reset may overtake what was read last.
                if end != End::Reset {
                    assert_eq!(came, after(at, code), "{at} {code}");
                }
                assert!(at == 5 || !matches!(came, Ok((_, Ok(())))), "{at} {code}: {came:?}");
                assert_eq!(peer.connections.get(), 2, "{at} {code}");
            });
        }
    }
}
