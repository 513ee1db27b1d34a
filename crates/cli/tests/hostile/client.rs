//! A client that takes whatever an attacked app answers, and judges nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::attack::Attack;
use super::harness::DEADLINE;

/// What a client waits for that leaves streams without an end, and the most that any client reads.
const PATIENCE: Duration = Duration::from_secs(2);
const ENOUGH: usize = 16 << 20;

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Whole,
    /// The connection ended before the response did.
    Cut,
    /// The client had enough.
    Left,
    /// The client waited in vain.
    Late,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: Option<u16>,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

/// Asks once, on a connection of its own.
pub(crate) fn attempt(address: &str, path: &str, attack: &Attack) -> Outcome {
    let mut read = Vec::new();
    let end = exchange(address, path, attack, &mut read);
    let Some(head) = read.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Outcome { status: None, body: Vec::new(), end };
    };
    let text = String::from_utf8_lossy(&read[..head]).into_owned();
    let status = text.get(9..12).and_then(|status| status.parse().ok());
    let mut body = read.split_off(head + 4);
    let chunked = text.contains("\r\ntransfer-encoding: chunked");
    let length = text.split("\r\ncontent-length: ").nth(1).and_then(|rest| rest.lines().next());
    let whole = match length.and_then(|length| length.parse::<usize>().ok()) {
        Some(length) => body.len() == length,
        None if chunked => body.ends_with(b"0\r\n\r\n"),
        None => true,
    };
    let end = if end == End::Whole && !whole { End::Cut } else { end };
    body.truncate(1 << 20);
    Outcome { status, body, end }
}

/// Reads up to the connection's end, which the request asks for.
fn exchange(address: &str, path: &str, attack: &Attack, read: &mut Vec<u8>) -> End {
    let start = Instant::now();
    let Ok(mut socket) = TcpStream::connect(address) else { return End::Cut };
    let _ = socket.set_write_timeout(Some(DEADLINE));
    let body = if attack.stalled { "Content-Length: 1000\r\n" } else { "" };
    let method = if attack.stalled { "POST" } else { "GET" };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{body}\r\n");
    if socket.write_all(head.as_bytes()).is_err() {
        return End::Cut;
    }
    let patience = if attack.may_leave { PATIENCE } else { DEADLINE };
    let late = if attack.may_leave { End::Left } else { End::Late };
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Some(left) = patience.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) else {
            return late;
        };
        let _ = socket.set_read_timeout(Some(left));
        match socket.read(&mut buffer) {
            Ok(0) => return End::Whole,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return late,
            Err(_) => return End::Cut,
        }
        if read.len() > ENOUGH {
            return End::Left;
        }
    }
}
