//! Hosts and request targets (RFC 9110 section 7.2, RFC 9112 section 3.2), and the absolute URL
//! that a guest gets.

use std::net::Ipv6Addr;

/// The host of a request that names none, as HTTP/1.0 allows.
pub(super) const DEFAULT_HOST: &str = "localhost";

/// `host[:port]`, checked: no user information, no percent-encoding (nobody sends it, and URL parsers
/// disagree about it), nothing that ends an authority.
pub(super) fn checked_host(host: &[u8]) -> Option<&str> {
    let (name_end, is_literal) = match host.strip_prefix(b"[") {
        Some(rest) => (1 + rest.iter().position(|byte| *byte == b']')? + 1, true),
        None => (host.iter().position(|byte| *byte == b':').unwrap_or(host.len()), false),
    };
    let (name, port) = host.split_at(name_end);
    let name_fine = if is_literal {
        let inside = std::str::from_utf8(&name[1..name.len() - 1]).ok()?;
        inside.parse::<Ipv6Addr>().is_ok()
    } else {
        !name.is_empty() && name.iter().all(|byte| HOST_BYTES[usize::from(*byte)])
    };
    let port_fine = match port.split_first() {
        None => true,
        Some((b':', digits)) => digits.iter().all(u8::is_ascii_digit) && port_number(digits) <= 65_535,
        Some(_) => false,
    };
    if name_fine && port_fine { std::str::from_utf8(host).ok() } else { None }
}

fn port_number(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |port, digit| (port * 10 + u32::from(digit - b'0')).min(100_000))
}

/// Unreserved characters and sub-delimiters of RFC 3986.
const HOST_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b','
                    | b';'
                    | b'='
            );
        byte += 1;
    }
    table
};

/// A request target, by its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// `/path?query`: the host is in the `host` field.
    Origin(&'a str),
    /// `http://host/path?query`: the host is this one; the path may be empty.
    Absolute(&'a str, &'a str),
    /// `*`: the server itself, for OPTIONS only.
    Asterisk,
}

/// The target, if it has one of the three forms and no fragment.
pub(super) fn parse_target(target: &str) -> Option<Target<'_>> {
    if target.bytes().any(|byte| byte == b'#') {
        return None;
    }
    if target.starts_with('/') {
        return Some(Target::Origin(target));
    }
    if target == "*" {
        return Some(Target::Asterisk);
    }
    let colon = target.find(':')?;
    let (scheme, rest) = target.split_at(colon);
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let rest = rest.strip_prefix("://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    Some(Target::Absolute(checked_host(authority.as_bytes())?, path))
}

/// The absolute URL of `path`, which starts with `/` or `?` or is empty, at `host`.
pub(super) fn absolute_url(scheme: &str, host: &str, path: &str) -> String {
    let mut url = String::with_capacity(scheme.len() + 3 + host.len() + 1 + path.len());
    url.push_str(scheme);
    url.push_str("://");
    url.push_str(host);
    if !path.starts_with('/') {
        url.push('/');
    }
    url.push_str(path);
    url
}

/// The path of an absolute URL, with the query.
pub(crate) fn path_of(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    url[after_scheme..].find('/').map_or("/", |at| &url[after_scheme + at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_an_optional_port() {
        for good in ["a", "example.com", "example.com:80", "127.0.0.1:8080", "[::1]", "[::1]:80", "a_b", "a:"]
        {
            assert_eq!(checked_host(good.as_bytes()), Some(good));
        }
        let bad = [
            "",
            ":80",
            "a:b",
            "a:65536",
            "a:99999999999",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "u@a",
            "a\\b",
            "[::1",
            "[::1]x",
            "[x]",
            "[]",
            "::1",
            "a%41",
            "ü",
            "a,b/c",
            "a\t",
            "[::1%25eth0]",
        ];
        for bad in bad {
            assert_eq!(checked_host(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_target_has_one_of_three_forms() {
        assert_eq!(parse_target("/a?b"), Some(Target::Origin("/a?b")));
        assert_eq!(parse_target("//a"), Some(Target::Origin("//a")));
        assert_eq!(parse_target("*"), Some(Target::Asterisk));
        assert_eq!(parse_target("http://a/b"), Some(Target::Absolute("a", "/b")));
        assert_eq!(parse_target("HTTPS://a:1?b"), Some(Target::Absolute("a:1", "?b")));
        for bad in
            ["", "a", "a:80", "*a", "/a#b", "ftp://a/", "http:/a", "http://", "http:///a", "http://u@a/"]
        {
            assert_eq!(parse_target(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_url_always_has_a_path() {
        assert_eq!(absolute_url("http", "a", ""), "http://a/");
        assert_eq!(absolute_url("http", "a:1", "?b"), "http://a:1/?b");
        assert_eq!(absolute_url("https", "a", "/b"), "https://a/b");
    }
}
