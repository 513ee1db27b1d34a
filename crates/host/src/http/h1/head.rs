//! A request's head, read and checked (RFC 9112 sections 2 to 6).

use std::mem::MaybeUninit;

use httparse::{Error, Header, Status};
use nexus_guest::{HeaderList, Method, RequestId};

use super::super::fields;
use super::super::fields::MAX_FIELDS;
use super::super::identity::brought_id;
use super::super::target::{self, Target};
use super::super::{Refusal, ServerConfig};

/// The most options of a request's `connection` fields: each is a field to look for and remove.
const MAX_OPTIONS: usize = 32;

/// The longest method that a partial head is taken for before its target is found to be too long.
const METHOD_ALLOWANCE: usize = 64;

/// What the head says.
#[derive(Debug)]
pub(super) struct Head {
    pub method: Method,
    /// Absolute, with scheme `http`.
    pub url: String,
    pub headers: HeaderList,
    /// The id that the request brings.
    pub id: Option<RequestId>,
    pub framing: Framing,
    /// HTTP/1.0.
    pub is_old: bool,
    /// Whether the client wants the connection to go on.
    pub keep_alive: bool,
    /// `expect: 100-continue`.
    pub expects_continue: bool,
}

/// How the body's end is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body.
    None,
    /// So many bytes, at least 1.
    Length(u64),
    Chunked,
}

/// The limits that concern a head.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadLimits {
    pub max_head: usize,
    pub max_url: usize,
}

impl From<&ServerConfig> for HeadLimits {
    fn from(config: &ServerConfig) -> Self {
        Self { max_head: config.largest_head(), max_url: config.longest_url() }
    }
}

/// The head at the start of `input` and its length in bytes; `None` if its end is not there yet.
/// Empty lines before it are the caller's to skip.
///
/// # Errors
/// The refusal that the client gets.
pub(super) fn parse(input: &[u8], limits: HeadLimits) -> Result<Option<(Head, usize)>, Refusal> {
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(input, &mut fields) {
        Ok(Status::Complete(length)) if length <= limits.max_head => length,
        Ok(Status::Partial) if input.len() < limits.max_head => {
            let first_line_goes_on =
                input.len() > limits.max_url + METHOD_ALLOWANCE && !input.contains(&b'\n');
            return if first_line_goes_on { Err(Refusal::UrlTooLong(limits.max_url)) } else { Ok(None) };
        }
        Ok(_) => return Err(too_large(input, limits)),
        Err(error) => return Err(refusal(error, input)),
    };
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(Refusal::Malformed("the request line is incomplete"));
    };
    check_line_ends(input, length, request.headers)?;
    if target.len() > limits.max_url {
        return Err(Refusal::UrlTooLong(limits.max_url));
    }
    if method == "CONNECT" {
        return Err(Refusal::NotImplemented("the method CONNECT"));
    }
    let target = target::parse_target(target).ok_or(Refusal::Malformed("the request target is not valid"))?;
    if target == Target::Asterisk && method != "OPTIONS" {
        return Err(Refusal::Malformed("the request target `*` is for OPTIONS only"));
    }

    let is_old = version == 0;
    let mut fields = Fields::read(request.headers, target, is_old, length)?;
    let framing = fields.framing(is_old)?;
    let host = fields.host.unwrap_or(target::DEFAULT_HOST);
    let url = match target {
        Target::Origin(path) => target::absolute_url("http", host, path),
        Target::Absolute(host, path) => target::absolute_url("http", host, path),
        Target::Asterisk => target::absolute_url("http", host, ""),
    };
    let keep_alive = fields.connection(is_old);
    let head = Head {
        method: nexus_guest::method(method),
        url,
        id: brought_id(fields.traceparent, fields.request_id),
        headers: fields.list,
        framing,
        is_old,
        keep_alive,
        expects_continue: fields.expects_continue,
    };
    Ok(Some((head, length)))
}

fn too_large(input: &[u8], limits: HeadLimits) -> Refusal {
    let first_line = &input[..input.len().min(limits.max_head)];
    if first_line.contains(&b'\n') {
        Refusal::HeadTooLarge(limits.max_head)
    } else {
        Refusal::UrlTooLong(limits.max_url)
    }
}

fn refusal(error: Error, input: &[u8]) -> Refusal {
    match error {
        Error::TooManyHeaders => Refusal::TooManyFields(MAX_FIELDS),
        Error::Version if names_a_version(input) => Refusal::Version,
        Error::Version => Refusal::Malformed("the HTTP version is not valid"),
        Error::HeaderName => Refusal::Malformed("a field name is not valid"),
        Error::HeaderValue => Refusal::Malformed("a field value is not valid"),
        Error::NewLine => Refusal::Malformed("a line does not end in CR LF"),
        Error::Status | Error::Token => Refusal::Malformed("the request line is not valid"),
    }
}

/// Whether the request line has three parts and the last is something like `HTTP/3.0`.
fn names_a_version(input: &[u8]) -> bool {
    let line = input.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    let mut parts = line.split(|byte| *byte == b' ');
    let version = parts.nth(2).and_then(|version| version.strip_prefix(b"HTTP/"));
    matches!(version, Some([b'0'..=b'9', b'.', b'0'..=b'9'])) && parts.next().is_none()
}

/// The parser takes a bare LF for a line's end; other parsers do not, so here it is an error. Each
/// field's name stands at the start of a line, so what is before it ends one.
fn check_line_ends(input: &[u8], length: usize, headers: &[Header<'_>]) -> Result<(), Refusal> {
    let start = input.as_ptr() as usize;
    let line_starts = headers.iter().map(|header| header.name.as_ptr() as usize - start);
    let ends_fine = line_starts.chain([length]).all(|at| input[..at].ends_with(b"\r\n"));
    // The empty line at the end; the line before it has an end of its own.
    if ends_fine && input[..length].ends_with(b"\r\n\r\n") {
        Ok(())
    } else {
        Err(Refusal::Malformed("a line does not end in CR LF"))
    }
}

/// What the fields say about the message, beside the list of those that are passed on.
struct Fields<'a> {
    list: HeaderList,
    host: Option<&'a str>,
    content_length: Option<u64>,
    is_chunked: bool,
    close: bool,
    keep_alive: bool,
    /// The fields that `connection` names: they end here, too.
    options: Vec<&'a [u8]>,
    expects_continue: bool,
    traceparent: Option<&'a [u8]>,
    request_id: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn read(
        headers: &[Header<'a>],
        target: Target<'a>,
        is_old: bool,
        length: usize,
    ) -> Result<Self, Refusal> {
        let mut fields = Self {
            list: HeaderList::with_capacity(headers.len(), length),
            host: None,
            content_length: None,
            is_chunked: false,
            close: false,
            keep_alive: false,
            options: Vec::new(),
            expects_continue: false,
            traceparent: None,
            request_id: None,
        };
        for header in headers {
            let mut value = header.value;
            match Known::of(header.name.as_bytes()) {
                Known::Other => {}
                Known::Dropped => continue,
                Known::Host => {
                    let host = target::checked_host(value)
                        .ok_or(Refusal::Malformed("the host field is not valid"))?;
                    if fields.host.replace(host).is_some() {
                        return Err(Refusal::Malformed("there are several host fields"));
                    }
                    // A target with a host overrides the field (RFC 9112 section 3.2.2).
                    if let Target::Absolute(host, _) = target {
                        value = host.as_bytes();
                    }
                }
                Known::ContentLength => {
                    let length = fields::content_length(value)
                        .ok_or(Refusal::Malformed("the content-length is not a number"))?;
                    match fields.content_length.replace(length) {
                        None => {}
                        Some(before) if before == length => continue,
                        Some(_) => return Err(Refusal::Malformed("there are several content-lengths")),
                    }
                }
                Known::TransferEncoding => {
                    fields.transfer_encoding(value, is_old)?;
                    continue;
                }
                Known::Connection => {
                    fields.read_connection(value)?;
                    continue;
                }
                Known::Expect => {
                    if !is_old {
                        if !value.eq_ignore_ascii_case(b"100-continue") {
                            return Err(Refusal::Expectation);
                        }
                        fields.expects_continue = true;
                    }
                    continue;
                }
                Known::Traceparent => fields.traceparent = Some(value),
                Known::RequestId => fields.request_id = Some(value),
            }
            fields.list.push(header.name.as_bytes(), value);
        }
        if fields.host.is_none() && !is_old {
            return Err(Refusal::Malformed("the host field is missing"));
        }
        Ok(fields)
    }

    /// Only `chunked`, once, and not in HTTP/1.0, whose recipients need not know it.
    fn transfer_encoding(&mut self, value: &[u8], is_old: bool) -> Result<(), Refusal> {
        if is_old {
            return Err(Refusal::Malformed("HTTP/1.0 has no transfer-encoding"));
        }
        if self.is_chunked {
            return Err(Refusal::Malformed("there are several transfer-encodings"));
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            let codings = || value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
            let ends_chunked = codings().next_back().is_some_and(|last| is_chunked(&last));
            return Err(if ends_chunked && codings().filter(is_chunked).count() == 1 {
                Refusal::NotImplemented("transfer codings other than chunked")
            } else {
                Refusal::Malformed("the transfer-encoding is not chunked")
            });
        }
        self.is_chunked = true;
        Ok(())
    }

    fn read_connection(&mut self, value: &'a [u8]) -> Result<(), Refusal> {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if !option.is_empty() {
                self.options.push(option);
            }
        }
        if self.options.len() > MAX_OPTIONS {
            return Err(Refusal::Malformed("there are too many connection options"));
        }
        Ok(())
    }

    fn framing(&self, is_old: bool) -> Result<Framing, Refusal> {
        match (self.is_chunked, self.content_length) {
            (true, Some(_)) => Err(Refusal::Malformed("both content-length and transfer-encoding are there")),
            (true, None) => {
                debug_assert!(!is_old, "refused when the field was read");
                Ok(Framing::Chunked)
            }
            (false, None | Some(0)) => Ok(Framing::None),
            (false, Some(length)) => Ok(Framing::Length(length)),
        }
    }

    /// Whether the connection goes on. Removes the fields that the `connection` field names.
    fn connection(&mut self, is_old: bool) -> bool {
        for option in &self.options {
            let name = String::from_utf8_lossy(option).to_ascii_lowercase();
            // The host is what the URL was made of: no client may take it away.
            if name != "host" {
                self.list.remove(&name);
            }
        }
        !self.close && (!is_old || self.keep_alive)
    }
}

/// The fields that the server looks at.
#[derive(Clone, Copy)]
enum Known {
    Host,
    Connection,
    ContentLength,
    TransferEncoding,
    Expect,
    Traceparent,
    RequestId,
    /// Ends at the connection.
    Dropped,
    Other,
}

impl Known {
    fn of(name: &[u8]) -> Self {
        let candidates: &[(&[u8], Self)] = match name.len() {
            2 => &[(b"te", Self::Dropped)],
            4 => &[(b"host", Self::Host)],
            6 => &[(b"expect", Self::Expect)],
            7 => &[(b"upgrade", Self::Dropped), (b"trailer", Self::Dropped)],
            10 => &[(b"connection", Self::Connection), (b"keep-alive", Self::Dropped)],
            11 => &[(b"traceparent", Self::Traceparent)],
            12 => &[(b"x-request-id", Self::RequestId)],
            14 => &[(b"content-length", Self::ContentLength)],
            16 => &[(b"proxy-connection", Self::Dropped)],
            17 => &[(b"transfer-encoding", Self::TransferEncoding)],
            _ => return Self::Other,
        };
        let found = candidates.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        found.map_or(Self::Other, |(_, known)| *known)
    }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
