//! A request of HTTP/1.1 and its response, on a connection of its own.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nexus_core::AdminAddress;

/// How long a connection may take to come about, and each piece of an upload to be taken.
const WAIT: Duration = Duration::from_secs(30);
/// The longest line of a response's head or of a chunk, in bytes, and the most lines of a head.
const LONGEST_LINE: u64 = 16 * 1024;
const MOST_LINES: usize = 100;

/// How many bytes are sent, and what writes them.
pub(super) type Upload<'a> = (u64, &'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>);

/// A connection.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn set_timeouts(&self, read: Duration, write: Duration) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => {
                stream.set_read_timeout(Some(read)).and_then(|()| stream.set_write_timeout(Some(write)))
            }
            Stream::Unix(stream) => {
                stream.set_read_timeout(Some(read)).and_then(|()| stream.set_write_timeout(Some(write)))
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = match self {
            Stream::Tcp(stream) => stream.read(into),
            Stream::Unix(stream) => stream.read(into),
        };
        // What the system says of a time-out tells nobody anything.
        read.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "nothing came for too long"),
            _ => error,
        })
    }
}

impl Write for Stream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(from),
            Stream::Unix(stream) => stream.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Connects.
pub(super) fn connect(address: &AdminAddress) -> io::Result<Stream> {
    Ok(match address {
        AdminAddress::Tcp(address) => Stream::Tcp(TcpStream::connect_timeout(address, WAIT)?),
        AdminAddress::Unix(path) => Stream::Unix(UnixStream::connect(path)?),
    })
}

/// Sends a request and reads the response's head, for which and for each piece after it `wait` is the longest time.
pub(super) fn ask(
    mut stream: Stream,
    method: &str,
    path: &str,
    token: Option<&str>,
    wait: Duration,
    body: Option<Upload<'_>>,
) -> io::Result<Reply> {
    stream.set_timeouts(wait, WAIT)?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: nexus\r\nconnection: close\r\n");
    if let Some(token) = token {
        head.push_str(&format!("authorization: Bearer {token}\r\n"));
    }
    if let Some((length, _)) = &body {
        head.push_str(&format!("content-type: application/x-tar\r\ncontent-length: {length}\r\n"));
    }
    head.push_str("\r\n");
    let sent = stream.write_all(head.as_bytes()).and_then(|()| match body {
        Some((_, send)) => send(&mut stream),
        None => Ok(()),
    });
    // A host that has seen enough answers before it has read all.
    match (Reply::read(stream), sent) {
        (Ok(reply), _) => Ok(reply),
        (Err(_), Err(error)) => Err(error),
        (Err(error), Ok(())) => Err(error),
    }
}

/// A response, whose body is still to be read.
pub(crate) struct Reply {
    pub(super) status: u16,
    from: BufReader<Stream>,
    body: Body,
}

enum Body {
    /// So many bytes are left.
    Length(u64),
    /// So many bytes of a chunk are left; `None` before the first one.
    Chunks(Option<u64>),
    /// It ends with the connection.
    Connection,
    Over,
}

impl Reply {
    fn read(stream: Stream) -> io::Result<Self> {
        let mut from = BufReader::new(stream);
        let first = line(&mut from)?;
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| wrong("that is no HTTP"))?;
        let mut body = Body::Connection;
        for _ in 0..MOST_LINES {
            let field = line(&mut from)?;
            if field.is_empty() {
                return Ok(Self { status, from, body });
            }
            let (name, value) = field.split_once(':').ok_or_else(|| wrong("that is no HTTP"))?;
            match name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    let length = value.trim().parse().map_err(|_| wrong("its length is no number"))?;
                    body = Body::Length(length);
                }
                "transfer-encoding" => body = Body::Chunks(None),
                _ => {}
            }
        }
        Err(wrong("its head does not end"))
    }

    /// Makes sure that there is something to read, or nothing any more. Gives how much there is at most.
    fn left(&mut self) -> io::Result<u64> {
        if let Body::Chunks(left @ (None | Some(0))) = &self.body {
            if left.is_some() {
                line(&mut self.from)?;
            }
            let size = line(&mut self.from)?;
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| wrong("a chunk has no size"))?;
            self.body = if size == 0 { Body::Over } else { Body::Chunks(Some(size)) };
        }
        Ok(match &self.body {
            Body::Length(left) => *left,
            Body::Chunks(left) => left.unwrap_or_default(),
            Body::Connection => u64::MAX,
            Body::Over => 0,
        })
    }
}

impl BufRead for Reply {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let left = usize::try_from(self.left()?).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(&[]);
        }
        let must_come = !matches!(self.body, Body::Connection);
        let there = self.from.fill_buf()?;
        if there.is_empty() && must_come {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(&there[..there.len().min(left)])
    }

    fn consume(&mut self, count: usize) {
        self.from.consume(count);
        if let Body::Length(left) | Body::Chunks(Some(left)) = &mut self.body {
            *left = left.saturating_sub(count as u64);
        }
    }
}

impl Read for Reply {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let there = self.fill_buf()?;
        let count = there.len().min(into.len());
        into[..count].copy_from_slice(&there[..count]);
        self.consume(count);
        Ok(count)
    }
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    from.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(wrong("the connection ended"));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| wrong("that is no HTTP"))
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> io::Result<(u16, String)> {
        let (here, mut there) = UnixStream::pair().unwrap();
        there.write_all(text.as_bytes()).unwrap();
        drop(there);
        let mut reply = Reply::read(Stream::Unix(here))?;
        let mut body = String::new();
        reply.read_to_string(&mut body)?;
        Ok((reply.status, body))
    }

    #[test]
    fn a_body_ends_where_its_head_says() {
        let fine = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc", (200, "ab")),
            (
                "HTTP/1.1 404 \r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n",
                (404, "abc"),
            ),
            ("HTTP/1.1 200 OK\r\n\r\nabc", (200, "abc")),
        ];
        for (text, (status, body)) in fine {
            assert_eq!(reply(text).unwrap(), (status, body.to_owned()), "{text}");
        }
        for text in [
            "",
            "SSH-2.0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
        ] {
            assert!(reply(text).is_err(), "{text}");
        }
    }
}
