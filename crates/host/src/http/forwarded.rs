//! Who asks, and by which scheme, behind proxies that are trusted.
//!
//! Every proxy adds the address of its own client at the right end of `x-forwarded-for` (or
//! `forwarded`, RFC 7239), so the list is believed from the right, as long as what it names is a
//! trusted proxy itself: whatever stands further to the left a client could have written.
//! `x-forwarded-for` comes first where both fields are there, for it is the one that proxies manage
//! by default.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use nexus_guest::{ClientAddress, HeaderList};

use super::Trust;

/// The client of a request that came from `peer`, a trusted proxy.
pub(super) fn client(peer: ClientAddress, trust: &Trust, headers: &HeaderList) -> ClientAddress {
    let mut entries: Vec<Option<IpAddr>> = Vec::new();
    if headers.contains("x-forwarded-for") {
        for value in headers.get_all("x-forwarded-for") {
            entries.extend(value.split(|byte| *byte == b',').map(address));
        }
    } else {
        for value in headers.get_all("forwarded") {
            entries.extend(split_unquoted(value, b',').map(|element| {
                let node = split_unquoted(element, b';').find_map(|pair| named(pair, b"for="))?;
                address(&unquoted(node))
            }));
        }
    }
    let mut client = peer;
    for entry in entries.into_iter().rev() {
        // What cannot be read (`unknown`, an obfuscated name) ends the chain at who is known.
        let Some(ip) = entry else { break };
        client = ClientAddress::Ip(ip, None);
        if !trust.includes(client) {
            break;
        }
    }
    client
}

/// The scheme that the closest proxy says its client used; `None` where it says none that is known.
pub(super) fn scheme(headers: &HeaderList) -> Option<&'static str> {
    let value = headers.get_all("x-forwarded-proto").last()?;
    let last = value.rsplit(|byte| *byte == b',').next()?.trim_ascii();
    if last.eq_ignore_ascii_case(b"https") {
        Some("https")
    } else if last.eq_ignore_ascii_case(b"http") {
        Some("http")
    } else {
        None
    }
}

/// An address with or without a port, an IPv6 address with or without brackets.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(bracketed)
        .map(|ip| ip.to_canonical())
}

/// The value of a `name=value` pair with this name (which ends in `=`, in lower case).
fn named<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let pair = pair.trim_ascii();
    let (start, value) = pair.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

/// The parts of `text` between separators that are outside quoted strings.
fn split_unquoted(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            byte => return !quoted && *byte == separator,
        }
        false
    })
}

/// A quoted string's content, or the token itself.
fn unquoted(text: &[u8]) -> Vec<u8> {
    let Some(inside) = text.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else {
        return text.to_vec();
    };
    let mut escaped = false;
    let keep = |byte: &&u8| {
        escaped = !escaped && **byte == b'\\';
        !escaped
    };
    inside.iter().filter(keep).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trust() -> Trust {
        Trust::of(|address| {
            matches!(address, ClientAddress::Unix)
                || matches!(address, ClientAddress::Ip(IpAddr::V4(ip), _) if ip.octets()[0] == 10)
        })
    }

    fn client_of(fields: &[(&str, &str)]) -> String {
        let headers: HeaderList = fields.iter().copied().collect();
        client(ClientAddress::Unix, &trust(), &headers).to_string()
    }

    #[test]
    fn the_client_is_the_right_most_address_that_is_no_trusted_proxy() {
        assert_eq!(client_of(&[]), "unix");
        assert_eq!(client_of(&[("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.1")]), "1.2.3.4");
        assert_eq!(
            client_of(&[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.2.3.4:55")]),
            "1.2.3.4"
        );
        assert_eq!(client_of(&[("x-forwarded-for", "10.0.0.2,10.0.0.1")]), "10.0.0.2");
        assert_eq!(client_of(&[("x-forwarded-for", "6.6.6.6, unknown, 10.0.0.1")]), "10.0.0.1");
        assert_eq!(client_of(&[("x-forwarded-for", "::ffff:1.2.3.4")]), "1.2.3.4");
    }

    #[test]
    fn the_forwarded_field_is_read_with_its_quotes() {
        let value = r#"for=6.6.6.6, proto=https;For="[2001:db8::1]:80";by=10.0.0.9, for=10.0.0.1"#;
        assert_eq!(client_of(&[("forwarded", value)]), "2001:db8::1");
        assert_eq!(client_of(&[("forwarded", r#"for="1.2.3.4\:80, for=6.6.6.6""#)]), "unix");
        assert_eq!(client_of(&[("forwarded", "for=_hidden")]), "unix");
        assert_eq!(client_of(&[("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "1.2.3.4")]), "1.2.3.4");
    }

    #[test]
    fn only_http_and_https_are_schemes() {
        let scheme_of = |value: &str| scheme(&[("x-forwarded-proto", value)].into_iter().collect());
        assert_eq!(scheme_of("https"), Some("https"));
        assert_eq!(scheme_of("http, HTTPS"), Some("https"));
        assert_eq!(scheme_of("gopher"), None);
    }

    proptest! {
        #[test]
        fn no_field_makes_the_parser_panic(xff: Vec<u8>, forwarded: Vec<u8>) {
            let mut headers = HeaderList::new();
            headers.push(b"forwarded", &forwarded);
            client(ClientAddress::Unix, &trust(), &headers);
            headers.push(b"x-forwarded-for", &xff);
            headers.push(b"x-forwarded-proto", &xff);
            client(ClientAddress::Unix, &trust(), &headers);
            scheme(&headers);
        }
    }
}
