//! HTTP/1.1, as much of it as the tests' server speaks. What it sends is written by hand, for tests want to see what no
//! library would send.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The largest head of a request, in bytes, and the most fields in it.
const LARGEST_HEAD: usize = 128 << 10;
const MOST_FIELDS: usize = 256;
/// The largest body of a request, in bytes.
const LARGEST_BODY: usize = 32 << 20;

/// The side of a connection that requests come from, with what was read of the next one.
pub(super) struct Incoming {
    pub(super) stream: TcpStream,
    buffer: Vec<u8>,
}

/// A request that came whole.
pub(super) struct Request {
    pub(super) method: String,
    /// As it was sent, with `/` in front and without the query.
    pub(super) path: String,
    /// Without the `?`.
    pub(super) query: String,
    /// Names and values as they were sent.
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

/// Why there is no request.
pub(super) enum Refused {
    /// The connection is broken.
    Broken(io::Error),
    /// It is answered with this status.
    With(u16),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Refused::Broken(error)
    }
}

impl Refused {
    /// What the client is told, if it can be told anything.
    pub(super) fn told(self) -> io::Result<Reply> {
        match self {
            Refused::Broken(error) => Err(error),
            Refused::With(status) => Ok(Reply::plain(status, "")),
        }
    }
}

impl Request {
    /// The first field of this name, in lower case.
    pub(super) fn field(&self, name: &str) -> Option<&[u8]> {
        let mut fields = self.fields.iter();
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// The fields of this name, with commas in between.
    pub(super) fn joined(&self, name: &str) -> Option<Vec<u8>> {
        let fields = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let values: Vec<&[u8]> = fields.map(|(_, value)| &**value).collect();
        (!values.is_empty()).then(|| values.join(&b", "[..]))
    }

    /// Whether the client may go on with this connection.
    pub(super) fn keeps(&self) -> bool {
        !self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"))
    }

    /// The first value of the query's parameter of this name, decoded.
    pub(super) fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.parameters().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| value)
    }

    /// The same as text; empty if it is not there.
    pub(super) fn text(&self, name: &str) -> String {
        self.get(name).map_or_else(String::new, |value| String::from_utf8_lossy(&value).into_owned())
    }

    /// The same as a number, if it is one.
    pub(super) fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.text(name).parse().ok()
    }

    /// All parameters of the query, in order.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        })
    }
}

/// Undoes percent-encoding; in queries a `+` is a space.
pub(super) fn decode(text: &str, is_query: bool) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.filter(|_| *byte == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        at += if code.is_some() { 3 } else { 1 };
        out.push(code.unwrap_or(if *byte == b'+' && is_query { b' ' } else { *byte }));
    }
    out
}

/// Percent-encodes a parameter of a query.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'.' | b'-' | b'~' => out.push(*byte as char),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A response that is sent whole.
pub(super) struct Reply {
    status: u16,
    reason: Vec<u8>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    /// Sent as it is: head, body, and whatever it says of its framing.
    raw: bool,
}

impl Reply {
    /// A response of this status, with its usual reason.
    pub(super) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, reason: reason(status).into(), fields: Vec::new(), body: body.into(), raw: false }
    }

    /// A response of plain text.
    pub(super) fn plain(status: u16, text: &str) -> Self {
        Self::new(status, text).with("Content-Type", "text/plain")
    }

    /// What is sent as it is; the connection ends with it.
    pub(super) fn raw(bytes: Vec<u8>) -> Self {
        Self { raw: true, ..Self::new(200, bytes) }
    }

    /// With one more field.
    pub(super) fn with(mut self, name: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// With a field instead of those of the same name.
    pub(super) fn setting(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.fields.retain(|(known, _)| !known.eq_ignore_ascii_case(name.as_bytes()));
        self.with(name, value)
    }

    /// With another status and reason.
    pub(super) fn at_status(mut self, status: u16, reason: Option<Vec<u8>>) -> Self {
        self.status = status;
        self.reason = reason.unwrap_or_else(|| self::reason(status).into());
        self
    }

    /// With another body, made of the one that it has.
    pub(super) fn map(mut self, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Self {
        self.body = change(self.body);
        self
    }

    /// Whether the connection may go on after it.
    pub(super) fn keeps(&self) -> bool {
        !self.raw
    }

    /// The head alone, for a body that ends with the connection, or says itself where it ends.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {} ", self.status).into_bytes();
        // A line break in it would be the head's.
        let line = |bytes: &[u8]| -> Vec<u8> {
            bytes.iter().map(|byte| if matches!(byte, b'\r' | b'\n' | 0) { b' ' } else { *byte }).collect()
        };
        out.extend(line(&self.reason));
        for (name, value) in &self.fields {
            out.extend_from_slice(b"\r\n");
            out.extend(line(name));
            out.extend_from_slice(b": ");
            out.extend(line(value));
        }
        out.extend_from_slice(b"\r\n\r\n");
        out
    }
}

/// The usual reason of a status.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        _ => "",
    }
}

/// A line's end within a chunked body: where it is, if it came.
fn line_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\r\n")
}

impl Incoming {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Reads on. False at the connection's end.
    async fn more(&mut self) -> io::Result<bool> {
        self.buffer.reserve(8 << 10);
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    /// Reads on within a message.
    async fn rest(&mut self) -> io::Result<()> {
        if self.more().await? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// The next request; `None` if there is no more.
    pub(super) async fn request(&mut self) -> Result<Option<Request>, Refused> {
        let mut request = loop {
            let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
            let mut head = httparse::Request::new(&mut fields);
            match head.parse(&self.buffer) {
                Ok(httparse::Status::Complete(length)) => {
                    let request = request_of(&head);
                    self.buffer.drain(..length);
                    break request;
                }
                Ok(httparse::Status::Partial) if self.buffer.len() > LARGEST_HEAD => {
                    return Err(Refused::With(431));
                }
                Ok(httparse::Status::Partial) if self.more().await? => {}
                Ok(httparse::Status::Partial) => return Ok(None),
                Err(_) => return Err(Refused::With(400)),
            }
        };
        let chunked =
            request.field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case(b"chunked"));
        request.body = if chunked {
            self.chunks().await?
        } else {
            let length = request.field("content-length").map_or(Some(0), number);
            self.bytes(length.ok_or(Refused::With(400))?).await?
        };
        Ok(Some(request))
    }

    async fn bytes(&mut self, length: usize) -> Result<Vec<u8>, Refused> {
        if length > LARGEST_BODY {
            return Err(Refused::With(413));
        }
        while self.buffer.len() < length {
            self.rest().await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    async fn line(&mut self) -> Result<Vec<u8>, Refused> {
        loop {
            if let Some(end) = line_end(&self.buffer) {
                let mut line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                line.truncate(end);
                return Ok(line);
            }
            if self.buffer.len() > LARGEST_HEAD {
                return Err(Refused::With(400));
            }
            self.rest().await?;
        }
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, Refused> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size =
                line.split(|byte| *byte == b';').next().and_then(|text| std::str::from_utf8(text).ok());
            let size = size
                .and_then(|text| usize::from_str_radix(text.trim(), 16).ok())
                .ok_or(Refused::With(400))?;
            if size == 0 {
                // Trailers are nobody's here.
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            if size > LARGEST_BODY - body.len() {
                return Err(Refused::With(413));
            }
            body.extend(self.bytes(size).await?);
            self.line().await?;
        }
    }

    /// Sends a whole response.
    pub(super) async fn answer(&mut self, reply: Reply, keep: bool, is_head: bool) -> io::Result<()> {
        if reply.raw {
            self.stream.write_all(&reply.body).await?;
            return self.stream.shutdown().await;
        }
        let has_body = reply.status >= 200 && reply.status != 204 && reply.status != 304;
        let length = reply.body.len().to_string();
        let says =
            |name: &str| reply.fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        let framed = says("content-length") || says("transfer-encoding") || !has_body;
        let mut reply = if framed { reply } else { reply.with("Content-Length", length) };
        if !keep {
            reply = reply.with("Connection", "close");
        }
        let mut out = reply.head();
        if has_body && !is_head {
            out.append(&mut reply.body);
        }
        self.stream.write_all(&out).await?;
        if keep { Ok(()) } else { self.stream.shutdown().await }
    }
}

fn number(bytes: &[u8]) -> Option<usize> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn request_of(head: &httparse::Request<'_, '_>) -> Request {
    let target = head.path.unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        fields: head.headers.iter().map(|field| (field.name.to_owned(), field.value.to_vec())).collect(),
        body: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(query: &str) -> Request {
        let fields = vec![("A".to_owned(), b"1".to_vec()), ("a".to_owned(), b"2".to_vec())];
        Request { method: "GET".into(), path: "/".into(), query: query.into(), fields, body: Vec::new() }
    }

    #[test]
    fn parameters_are_decoded() {
        let request = request("a=1+2%20%zz&b&c=%e4&a=3");
        assert_eq!(request.get("a").as_deref(), Some(&b"1 2 %zz"[..]));
        assert_eq!(request.get("b").as_deref(), Some(&b""[..]));
        assert_eq!(request.get("c").as_deref(), Some(&b"\xe4"[..]));
        assert_eq!(request.get("d"), None);
        assert_eq!(encode(b"a b/\xe4"), "a+b%2F%E4");
    }

    #[test]
    fn fields_are_known_in_any_case() {
        let request = request("");
        assert_eq!(request.field("a"), Some(&b"1"[..]));
        assert_eq!(request.joined("A").as_deref(), Some(&b"1, 2"[..]));
        assert!(request.keeps());
    }

    #[test]
    fn no_line_break_gets_into_a_head() {
        let reply = Reply::plain(200, "").at_status(299, Some(b"a\r\nb: c".to_vec())).with("x", "y\nz");
        let head = String::from_utf8(reply.head()).unwrap();
        assert_eq!(head, "HTTP/1.1 299 a  b: c\r\nContent-Type: text/plain\r\nx: y z\r\n\r\n");
    }
}
