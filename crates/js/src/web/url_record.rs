//! A URL record, its serialisation, and its setters. <https://url.spec.whatwg.org/#url-representation>

use std::borrow::Cow;

use super::url_canonical::Components;
use super::{url_host, url_parser};

/// A percent-encode set is a bit in [`SETS`].
pub(crate) const C0_CONTROL: u8 = 1;
pub(crate) const FRAGMENT: u8 = 2;
pub(crate) const QUERY: u8 = 4;
pub(crate) const SPECIAL_QUERY: u8 = 8;
pub(crate) const PATH: u8 = 16;
pub(crate) const USERINFO: u8 = 32;

/// Which percent-encode sets a byte of UTF-8 is in.
const SETS: [u8; 256] = {
    let mut sets = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        sets[byte] = match byte as u8 {
            0..=0x1f | 0x7f..=0xff => C0_CONTROL | FRAGMENT | QUERY | SPECIAL_QUERY | PATH | USERINFO,
            b' ' | b'"' | b'<' | b'>' => FRAGMENT | QUERY | SPECIAL_QUERY | PATH | USERINFO,
            b'`' => FRAGMENT | PATH | USERINFO,
            b'#' => QUERY | SPECIAL_QUERY | PATH | USERINFO,
            b'\'' => SPECIAL_QUERY,
            b'?' | b'^' | b'{' | b'}' => PATH | USERINFO,
            b'/' | b':' | b';' | b'=' | b'@' | b'[' | b'\\' | b']' | b'|' => USERINFO,
            _ => 0,
        };
        byte += 1;
    }
    sets
};

/// UTF-8 percent-encode.
pub(crate) fn encode(out: &mut String, text: &str, set: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut clean = 0;
    for (at, &byte) in text.as_bytes().iter().enumerate() {
        if SETS[usize::from(byte)] & set == 0 {
            continue;
        }
        // What is clean is ASCII, so that both its ends are characters'.
        if clean < at {
            out.push_str(&text[clean..at]);
        }
        out.push('%');
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
        clean = at + 1;
    }
    if clean < text.len() {
        out.push_str(&text[clean..]);
    }
}

/// Without ASCII tabs and newlines.
pub(crate) fn without_tabs(text: &str) -> Cow<'_, str> {
    let is_tab = |c: char| matches!(c, '\t' | '\n' | '\r');
    if text.bytes().any(|byte| matches!(byte, b'\t' | b'\n' | b'\r')) {
        Cow::Owned(text.replace(is_tab, ""))
    } else {
        Cow::Borrowed(text)
    }
}

/// A special scheme's default port, 0 for `file`; `None` if the scheme is not special.
fn special(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        "ftp" => Some(21),
        "file" => Some(0),
        _ => None,
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) scheme: String,
    pub(crate) username: String,
    pub(crate) password: String,
    /// Serialised.
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    /// Serialised: a slash before each segment, so that the path without segments is empty.
    pub(crate) path: String,
    pub(crate) opaque: bool,
    pub(crate) query: Option<String>,
    pub(crate) fragment: Option<String>,
}

impl Record {
    pub(crate) fn is_special(&self) -> bool {
        special(&self.scheme).is_some()
    }

    pub(crate) fn is_file(&self) -> bool {
        self.scheme == "file"
    }

    fn has_credentials(&self) -> bool {
        !self.username.is_empty() || !self.password.is_empty()
    }

    fn takes_no_credentials(&self) -> bool {
        self.host.as_deref().is_none_or(str::is_empty) || self.is_file()
    }

    /// Sets a port, which goes without saying if it is the default one.
    pub(crate) fn put_port(&mut self, port: u16) {
        self.port = (special(&self.scheme) != Some(port) || self.is_file()).then_some(port);
    }

    /// Shortens the path.
    pub(crate) fn shorten(&mut self) {
        let is_drive =
            |path: &str| matches!(path.as_bytes(), [b'/', letter, b':'] if letter.is_ascii_alphabetic());
        if !(self.is_file() && is_drive(&self.path)) {
            self.path.truncate(self.path.rfind('/').unwrap_or(0));
        }
    }

    pub(crate) fn put_query(&mut self, text: &str) {
        let mut query = String::with_capacity(text.len());
        encode(&mut query, text, if self.is_special() { SPECIAL_QUERY } else { QUERY });
        self.query = Some(query);
    }

    pub(crate) fn put_fragment(&mut self, text: &str) {
        let mut fragment = String::with_capacity(text.len());
        encode(&mut fragment, text, FRAGMENT);
        self.fragment = Some(fragment);
    }

    /// How many bytes the serialisation has at most.
    pub(crate) fn size(&self) -> usize {
        let length = |part: &Option<String>| part.as_ref().map_or(0, String::len);
        // The marks, and the port.
        16 + self.scheme.len()
            + self.username.len()
            + self.password.len()
            + length(&self.host)
            + self.path.len()
            + length(&self.query)
            + length(&self.fragment)
    }

    /// The serialisation, and where its components begin.
    pub(crate) fn serialize(&self) -> (String, Components) {
        let mut out = String::with_capacity(self.size());
        out.push_str(&self.scheme);
        let scheme_end = out.len() as u32;
        out.push(':');
        let (mut username_end, mut host_start) = (out.len() as u32, out.len() as u32);
        if let Some(host) = &self.host {
            out.push_str("//");
            out.push_str(&self.username);
            username_end = out.len() as u32;
            if !self.password.is_empty() {
                out.push(':');
                out.push_str(&self.password);
            }
            if self.has_credentials() {
                out.push('@');
            }
            host_start = out.len() as u32;
            out.push_str(host);
        }
        let host_end = out.len() as u32;
        if let Some(port) = self.port {
            out.push(':');
            out.push_str(&port.to_string());
        }
        if self.host.is_none() && !self.opaque && self.path.starts_with("//") {
            out.push_str("/.");
        }
        let path_start = out.len() as u32;
        out.push_str(&self.path);
        let mut part = |mark: char, text: &Option<String>| {
            let Some(text) = text else { return 0 };
            let start = out.len() as u32;
            out.push(mark);
            out.push_str(text);
            start
        };
        let query_start = part('?', &self.query);
        let fragment_start = part('#', &self.fragment);
        let components = Components {
            scheme_end,
            username_end,
            host_start,
            host_end,
            path_start,
            query_start,
            fragment_start,
        };
        (out, components)
    }

    // The setters. `None` says that the value was refused, which the `URL` class does not care about.

    pub(crate) fn set_protocol(&mut self, value: &str) -> Option<()> {
        let value = without_tabs(value);
        let end = url_parser::scheme_end(&value)?;
        if !matches!(value.as_bytes().get(end), None | Some(b':')) {
            return None;
        }
        let scheme = value[..end].to_ascii_lowercase();
        let refused = special(&scheme).is_some() != self.is_special()
            || scheme == "file" && (self.has_credentials() || self.port.is_some())
            || self.is_file() && self.host.as_deref() == Some("");
        if !refused {
            self.scheme = scheme;
            if let Some(port) = self.port {
                self.put_port(port);
            }
        }
        Some(())
    }

    pub(crate) fn set_username(&mut self, value: &str) {
        if !self.takes_no_credentials() {
            self.username.clear();
            encode(&mut self.username, value, USERINFO);
        }
    }

    pub(crate) fn set_password(&mut self, value: &str) {
        if !self.takes_no_credentials() {
            self.password.clear();
            encode(&mut self.password, value, USERINFO);
        }
    }

    pub(crate) fn set_host(&mut self, value: &str, hostname_only: bool) -> Option<()> {
        if self.opaque {
            return None;
        }
        let value = without_tabs(value);
        if self.is_file() {
            let end = value.find(['/', '\\', '?', '#']).unwrap_or(value.len());
            self.host = Some(url_parser::file_host(&value[..end])?);
            return Some(());
        }
        let special = self.is_special();
        let (end, port) = url_parser::host_end(&value, special);
        let host = &value[..end];
        if host.is_empty() && (special || port || self.has_credentials() || self.port.is_some())
            || port && hostname_only
        {
            return None;
        }
        self.host = Some(url_host::parse(host, !special)?);
        if port { self.change_port(&value[end + 1..]) } else { Some(()) }
    }

    pub(crate) fn set_port(&mut self, value: &str) -> Option<()> {
        if self.takes_no_credentials() {
            return None;
        }
        if value.is_empty() {
            self.port = None;
            return Some(());
        }
        self.change_port(&without_tabs(value))
    }

    /// The port state with a state override: what follows the digits does not matter.
    pub(crate) fn change_port(&mut self, value: &str) -> Option<()> {
        let end = value.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(value.len());
        self.put_port(url_parser::port(&value[..end])?);
        Some(())
    }

    pub(crate) fn set_pathname(&mut self, value: &str) {
        if self.opaque {
            return;
        }
        let value = without_tabs(value);
        self.path.clear();
        if self.is_special() {
            url_parser::segments(self, value.strip_prefix(['/', '\\']).unwrap_or(&value));
        } else if !value.is_empty() {
            url_parser::segments(self, value.strip_prefix('/').unwrap_or(&value));
        } else if self.host.is_none() {
            self.path.push('/');
        }
    }

    pub(crate) fn set_search(&mut self, value: &str) {
        if value.is_empty() {
            self.query = None;
        } else {
            self.put_query(&without_tabs(value.strip_prefix('?').unwrap_or(value)));
        }
    }

    pub(crate) fn set_hash(&mut self, value: &str) {
        if value.is_empty() {
            self.fragment = None;
        } else {
            self.put_fragment(&without_tabs(value.strip_prefix('#').unwrap_or(value)));
        }
    }
}
