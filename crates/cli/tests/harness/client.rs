//! An HTTP/1.1 client that does what it is told, right or wrong.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::{DEADLINE, until};

/// What follows the scheme in a URL: `127.0.0.1:8080`; a `unix:` address as it is.
pub(crate) fn split_url(url: &str) -> &str {
    url.strip_prefix("http://").unwrap_or(url)
}

trait Socket: Read + Write + Send {
    fn end(&self);
}

impl Socket for TcpStream {
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Socket for UnixStream {
    fn end(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// A connection.
pub(crate) struct Client {
    socket: Box<dyn Socket>,
    /// What was read and not yet taken.
    read: Vec<u8>,
    local: Option<SocketAddr>,
}

/// A response.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The value of the header that comes once.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} comes twice: {:?}", self.headers);
        value
    }

    /// The body as text.
    #[track_caller]
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Client {
    /// Connects to `IP:PORT` or `unix:PATH`.
    #[track_caller]
    pub(crate) fn connect(address: &str) -> Self {
        match address.strip_prefix("unix:") {
            Some(path) => {
                Self::over(UnixStream::connect(path).unwrap_or_else(|error| panic!("{address}: {error}")))
            }
            None => {
                let socket = TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
                socket.set_nodelay(true).unwrap();
                socket.set_read_timeout(Some(DEADLINE)).unwrap();
                socket.set_write_timeout(Some(DEADLINE)).unwrap();
                let local = socket.local_addr().ok();
                Self { socket: Box::new(socket), read: Vec::new(), local }
            }
        }
    }

    /// Connects to a Unix socket as soon as somebody listens there: a socket that is bound is a file before it listens.
    #[track_caller]
    pub(crate) fn connect_when_open(socket: &Path) -> Self {
        Self::over(until("the socket", || UnixStream::connect(socket).ok()))
    }

    fn over(socket: UnixStream) -> Self {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        Self { socket: Box::new(socket), read: Vec::new(), local: None }
    }

    /// This end's address.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local.unwrap()
    }

    /// Sends these bytes as they are.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends what may be refused by then: says whether all of it went out.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.socket.write_all(bytes.as_ref()).is_ok()
    }

    /// Ends the writing direction.
    pub(crate) fn end(&self) {
        self.socket.end();
    }

    /// Sends a request with these header lines, which may be empty, and a body of a known length.
    #[track_caller]
    pub(crate) fn send_request(&mut self, method: &str, path: &str, headers: &[&str], body: &[u8]) {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        if !body.is_empty() {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        let mut bytes = (request + "\r\n").into_bytes();
        bytes.extend_from_slice(body);
        self.send(bytes);
    }

    /// Sends a request and reads its response.
    #[track_caller]
    pub(crate) fn request(&mut self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Response {
        self.send_request(method, path, headers, body);
        if method == "HEAD" { self.head() } else { self.response() }
    }

    /// A GET without further headers.
    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    /// A GET for another host than the one that the client has connected to.
    #[track_caller]
    pub(crate) fn get_of(&mut self, host: &str, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        self.response()
    }

    /// Reads a response's head; the body is left where it is.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Response {
        let head = self.take_through(b"\r\n\r\n");
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap();
        let status = status.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("no status line: {status}"));
        let status = status[..3].parse().unwrap();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line}"));
            assert_eq!(name, name.to_ascii_lowercase());
            (name.to_owned(), value.to_owned())
        });
        Response { status, headers: headers.collect(), body: Vec::new() }
    }

    /// Reads a response with its body.
    #[track_caller]
    pub(crate) fn response(&mut self) -> Response {
        let mut response = self.head();
        response.body = self.body(&response);
        response
    }

    /// Reads the body that follows this head.
    #[track_caller]
    pub(crate) fn body(&mut self, head: &Response) -> Vec<u8> {
        if matches!(head.status, 100..200 | 204 | 304) {
            return Vec::new();
        }
        if head.header("transfer-encoding") == Some("chunked") {
            let mut body = Vec::new();
            while let Some(chunk) = self.chunk() {
                body.extend_from_slice(&chunk);
            }
            return body;
        }
        match head.header("content-length") {
            Some(length) => self.take(length.parse().unwrap()),
            None => self.rest(),
        }
    }

    /// Reads the body that follows this head, and nothing does after it; says whether it came to its end.
    #[track_caller]
    pub(crate) fn is_whole(&mut self, head: &Response) -> bool {
        let length = head.header("content-length").map(|length| length.parse::<usize>().unwrap());
        loop {
            let has_ended = match length {
                Some(length) => self.read.len() >= length,
                None => self.read.ends_with(b"0\r\n\r\n"),
            };
            if has_ended || !self.fill() {
                return has_ended;
            }
        }
    }

    /// Reads a chunk of a body; `None` for the last, empty one.
    #[track_caller]
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = self.take_through(b"\r\n");
        let size = usize::from_str_radix(std::str::from_utf8(&size).unwrap().trim_end(), 16).unwrap();
        let chunk = self.take(size);
        assert_eq!(self.take(2), b"\r\n");
        (size > 0).then_some(chunk)
    }

    /// Reads all up to the connection's end; a reset counts as one.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.read)
    }

    /// Whether the connection has ended, with nothing left to read.
    #[track_caller]
    pub(crate) fn is_closed(&mut self) -> bool {
        self.read.is_empty() && !self.fill()
    }

    /// Reads so many bytes, and keeps none of them.
    #[track_caller]
    pub(crate) fn skip(&mut self, mut count: usize) {
        while count > 0 {
            assert!(!self.read.is_empty() || self.fill(), "the connection ended {count} bytes early");
            let here = self.read.len().min(count);
            self.read.drain(..here);
            count -= here;
        }
    }

    #[track_caller]
    fn take(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            assert!(self.fill(), "the connection ended {} bytes early", count - self.read.len());
        }
        self.read.drain(..count).collect()
    }

    #[track_caller]
    fn take_through(&mut self, end: &[u8]) -> Vec<u8> {
        let mut from = 0;
        loop {
            if let Some(at) = self.read[from..].windows(end.len()).position(|window| window == end) {
                return self.take(from + at + end.len());
            }
            from = self.read.len().saturating_sub(end.len() - 1);
            let read = String::from_utf8_lossy(&self.read).into_owned();
            assert!(self.fill(), "the connection ended after {read:?}");
        }
    }

    /// Reads what is there; says whether there was something.
    #[track_caller]
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        match self.socket.read(&mut buffer) {
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                count > 0
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("nothing came in time; what came before: {:?}", String::from_utf8_lossy(&self.read))
            }
            Err(_) => false,
        }
    }
}

/// Waits until nothing listens at `address` any more.
#[track_caller]
pub(crate) fn until_refused(address: &str) {
    until("connections to be refused", || TcpStream::connect(address).is_err().then_some(()));
}
