//! A reply's head, written, and how its body is framed (RFC 9112 section 6, RFC 9110 section 6.4).

use bytes::Bytes;
use http::StatusCode;
use nexus_guest::{Body, BodySource, HeaderList, Reply, RequestId};

use super::super::date::with_date;
use super::super::fields;

/// What of the request decides the shape of its response.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// The request's id, which goes back.
    pub id: RequestId,
    /// The method was HEAD.
    pub is_head: bool,
    /// HTTP/1.0.
    pub is_old: bool,
    /// Whether the connection is to go on.
    pub keep_alive: bool,
}

/// A reply whose head was written.
pub(super) struct Begun {
    pub status: u16,
    pub body: Rest,
    /// Whether the connection can go on after it.
    pub keep_alive: bool,
}

/// What is to follow the head.
pub(super) enum Rest {
    Nothing,
    Full(Bytes),
    Stream(Box<dyn BodySource>, Transfer),
}

/// How a stream's end is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transfer {
    /// After so many more bytes.
    Length(u64),
    Chunked,
    /// By closing the connection.
    UntilClose,
}

/// Writes the head of `reply` to `out`.
pub(super) fn begin(reply: Reply, asked: &Asked, out: &mut Vec<u8>) -> Begun {
    let Reply { status, headers, body } = reply;
    // Interim and unknown statuses are none that a guest can end a request with.
    let status = if (200..=599).contains(&status) { status } else { 500 };
    let mut keep_alive = asked.keep_alive;

    status_line(status, out);
    let own = guest_fields(&headers, out);

    let has_body = !asked.is_head && !fields::is_bodiless(status);
    let transfer = match fields::response_length(status, asked.is_head, &body, own.length) {
        Some(length) => Some(Transfer::Length(length)),
        None if fields::is_bodiless(status) || matches!(body, Body::Empty) => None,
        None if asked.is_old => {
            keep_alive = false;
            Some(Transfer::UntilClose)
        }
        None => Some(Transfer::Chunked),
    };
    match transfer {
        Some(Transfer::Length(length)) => {
            out.extend_from_slice(b"content-length: ");
            decimal(length, out);
            out.extend_from_slice(b"\r\n");
        }
        Some(Transfer::Chunked) => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Some(Transfer::UntilClose) | None => {}
    }
    out.extend_from_slice(b"x-request-id: ");
    out.extend_from_slice(asked.id.as_bytes());
    out.extend_from_slice(b"\r\n");
    end(!own.has_date, keep_alive, asked.is_old, out);

    let body = match (body, transfer) {
        (Body::Full(bytes), _) if has_body => Rest::Full(bytes),
        (Body::Stream(source), Some(transfer)) if has_body => Rest::Stream(source, transfer),
        _ => Rest::Nothing,
    };
    Begun { status, body, keep_alive }
}

/// Writes a whole response of the server's own, after which the connection is closed: `why`, as a line of text. Gives
/// the body's length.
pub(in crate::http) fn last_words(
    status: u16,
    why: &dyn std::fmt::Display,
    id: RequestId,
    out: &mut Vec<u8>,
) -> usize {
    let text = format!("{why}\n");
    status_line(status, out);
    out.extend_from_slice(b"content-type: ");
    out.extend_from_slice(fields::PLAIN_TEXT);
    out.extend_from_slice(b"\r\ncontent-length: ");
    decimal(text.len() as u64, out);
    out.extend_from_slice(b"\r\nx-request-id: ");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b"\r\n");
    end(true, false, false, out);
    out.extend_from_slice(text.as_bytes());
    text.len()
}

fn status_line(status: u16, out: &mut Vec<u8>) {
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(u64::from(status), out);
    out.push(b' ');
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    out.extend_from_slice(reason.unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// What the guest's own fields say.
#[derive(Clone, Copy)]
struct Own {
    length: Option<u64>,
    has_date: bool,
}

/// A list of fields as it is written, kept with lists that many replies share.
struct Written {
    bytes: Vec<u8>,
    own: Own,
}

/// Writes the guest's fields, except for those that are the connection's business.
fn guest_fields(headers: &HeaderList, out: &mut Vec<u8>) -> Own {
    let written = headers.kept(|headers| {
        let mut bytes = Vec::with_capacity(headers.byte_length() + 4 * headers.len());
        let own = write_fields(headers, &mut bytes);
        Written { bytes, own }
    });
    match written {
        Some(Written { bytes, own }) => {
            out.extend_from_slice(bytes);
            *own
        }
        None => write_fields(headers, out),
    }
}

fn write_fields(headers: &HeaderList, out: &mut Vec<u8>) -> Own {
    let mut own = Own { length: None, has_date: false };
    for (name, value) in headers.iter() {
        match name {
            b"content-length" => {
                own.length = fields::content_length(value);
                continue;
            }
            b"date" => own.has_date = true,
            b"x-request-id" => continue,
            name if fields::ends_at_the_connection(name) => continue,
            _ => {}
        }
        if !fields::is_safe_value(value) {
            continue;
        }
        out.extend_from_slice(name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }
    own
}

fn end(with_own_date: bool, keep_alive: bool, is_old: bool, out: &mut Vec<u8>) {
    if with_own_date {
        out.extend_from_slice(b"date: ");
        with_date(|date| out.extend_from_slice(date));
        out.extend_from_slice(b"\r\n");
    }
    if !keep_alive {
        out.extend_from_slice(b"connection: close\r\n");
    } else if is_old {
        out.extend_from_slice(b"connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes the line before a chunk's data: its size in hexadecimal digits.
pub(super) fn chunk_size(size: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let nibbles = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    for nibble in (0..nibbles).rev() {
        out.push(DIGITS[(size >> (4 * nibble)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexus_guest::pipe;

    fn get() -> Asked {
        Asked { id: RequestId::from_u128(7), is_head: false, is_old: false, keep_alive: true }
    }

    /// The head without the date, and how the body follows.
    fn head(status: u16, fields: &[(&str, &str)], body: Body, asked: Asked) -> (String, String) {
        let mut out = Vec::new();
        let headers = fields.iter().copied().collect();
        let begun = begin(Reply { status, headers, body }, &asked, &mut out);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> =
            text.lines().filter(|line| !line.starts_with("date: ") && !line.is_empty()).collect();
        let body = match begun.body {
            Rest::Nothing => "nothing".to_owned(),
            Rest::Full(bytes) => format!("{} bytes", bytes.len()),
            Rest::Stream(_, transfer) => format!("{transfer:?}"),
        };
        (lines.join("|").replace(&format!("|x-request-id: {}", get().id), ""), body)
    }

    #[test]
    fn the_framing_follows_from_the_body() {
        let (stream, fixed) = (|| pipe(1, None).1, || pipe(1, Some(9)).1);
        let full = || Body::Full(Bytes::from_static(b"abc"));
        let old = Asked { is_old: true, ..get() };
        let head_of = Asked { is_head: true, ..get() };
        let cases = [
            (head(200, &[], full(), get()), "HTTP/1.1 200 OK|content-length: 3", "3 bytes"),
            (head(200, &[], Body::Empty, get()), "HTTP/1.1 200 OK|content-length: 0", "nothing"),
            (head(200, &[], fixed(), get()), "HTTP/1.1 200 OK|content-length: 9", "Length(9)"),
            (head(200, &[], stream(), get()), "HTTP/1.1 200 OK|transfer-encoding: chunked", "Chunked"),
            (
                head(200, &[("content-length", "4")], stream(), get()),
                "HTTP/1.1 200 OK|content-length: 4",
                "Length(4)",
            ),
            (
                head(200, &[("content-length", "4")], full(), get()),
                "HTTP/1.1 200 OK|content-length: 3",
                "3 bytes",
            ),
            (head(200, &[], stream(), old), "HTTP/1.1 200 OK|connection: close", "UntilClose"),
            (
                head(200, &[], full(), old),
                "HTTP/1.1 200 OK|content-length: 3|connection: keep-alive",
                "3 bytes",
            ),
            (head(200, &[], full(), head_of), "HTTP/1.1 200 OK|content-length: 3", "nothing"),
            (head(200, &[], stream(), head_of), "HTTP/1.1 200 OK|transfer-encoding: chunked", "nothing"),
            (head(200, &[], Body::Empty, head_of), "HTTP/1.1 200 OK", "nothing"),
            (
                head(200, &[("content-length", "4")], Body::Empty, head_of),
                "HTTP/1.1 200 OK|content-length: 4",
                "nothing",
            ),
            (head(204, &[("content-length", "4")], full(), get()), "HTTP/1.1 204 No Content", "nothing"),
            (head(205, &[], full(), get()), "HTTP/1.1 205 Reset Content|content-length: 0", "nothing"),
            (head(304, &[], full(), get()), "HTTP/1.1 304 Not Modified", "nothing"),
            (
                head(101, &[], Body::Empty, get()),
                "HTTP/1.1 500 Internal Server Error|content-length: 0",
                "nothing",
            ),
            (head(299, &[], Body::Empty, get()), "HTTP/1.1 299 |content-length: 0", "nothing"),
        ];
        for ((head, body), expected_head, expected_body) in cases {
            assert_eq!((head.as_str(), body.as_str()), (expected_head, expected_body));
        }
    }

    #[test]
    fn the_connections_own_fields_and_split_values_are_dropped() {
        let fields = [
            ("connection", "upgrade"),
            ("transfer-encoding", "gzip"),
            ("keep-alive", "timeout=1"),
            ("upgrade", "x"),
            ("x-request-id", "other"),
            ("x-split", "a\r\nset-cookie: b"),
            ("x-kept", "c"),
        ];
        let (head, _) = head(200, &fields, Body::Empty, get());
        assert_eq!(head, "HTTP/1.1 200 OK|x-kept: c|content-length: 0");
    }

    #[test]
    fn a_list_that_replies_share_is_written_like_any_other() {
        let fields = [("x-a", "b"), ("te", "c"), ("content-length", "7"), ("date", "then")];
        let mut headers: HeaderList = fields.into_iter().collect();
        let write = |headers: HeaderList| {
            let mut out = Vec::new();
            begin(Reply { status: 304, headers, body: Body::Empty }, &get(), &mut out);
            String::from_utf8(out).unwrap()
        };
        let expected = write(headers.clone());
        assert!(expected.contains("x-a: b\r\ndate: then\r\ncontent-length: 7\r\n"), "{expected}");
        headers.share();
        assert_eq!([write(headers.clone()), write(headers)], [expected.clone(), expected]);
    }

    #[test]
    fn a_guests_date_is_respected() {
        let mut out = Vec::new();
        let headers = [("date", "then")].into_iter().collect();
        begin(Reply { status: 200, headers, body: Body::Empty }, &get(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap().matches("date: ").collect::<Vec<_>>().len(), 1);
    }

    #[test]
    fn numbers_are_written_in_full() {
        let text = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap()
        };
        for number in [0, 7, 10, 65_536, u64::MAX] {
            assert_eq!(text(&|out| decimal(number, out)), number.to_string());
            assert_eq!(text(&|out| chunk_size(number as usize, out)), format!("{number:x}\r\n"));
        }
    }
}
