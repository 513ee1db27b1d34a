//! The host parser. <https://url.spec.whatwg.org/#host-parsing>
//!
//! What is beyond ASCII goes through UTS #46, and IPv6 addresses through a parser, both of the `url` crate.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use url::Host;

use super::url_record::{C0_CONTROL, encode};

/// Whether this is a forbidden host code point.
fn is_forbidden(byte: u8) -> bool {
    matches!(
        byte,
        0 | b'\t'
            | b'\n'
            | b'\r'
            | b' '
            | b'#'
            | b'/'
            | b':'
            | b'<'
            | b'>'
            | b'?'
            | b'@'
            | b'['
            | b'\\'
            | b']'
            | b'^'
            | b'|'
    )
}

/// Whether this is a forbidden domain code point.
fn is_forbidden_in_domains(byte: u8) -> bool {
    byte <= 0x1f || byte == b'%' || byte == 0x7f || is_forbidden(byte)
}

/// A host, serialised; `None` if it is invalid.
pub(crate) fn parse(input: &str, opaque: bool) -> Option<String> {
    if input.starts_with('[') {
        return Some(Host::parse(input).ok()?.to_string());
    }
    if opaque {
        if input.bytes().any(is_forbidden) {
            return None;
        }
        let mut host = String::with_capacity(input.len());
        encode(&mut host, input, C0_CONTROL);
        return Some(host);
    }
    let decoded = if input.contains('%') {
        Cow::Owned(percent_decode(input.as_bytes()))
    } else {
        Cow::Borrowed(input.as_bytes())
    };
    // UTS #46 keeps ASCII characters, so none of these can be in a valid domain; but less-than and greater-than signs
    // become others with the combining solidus of U+0338, and it refuses them by itself where they do not. Neither can
    // U+FFFD be in one, which is what would become of bytes that are no UTF-8.
    let is_ascii = decoded.is_ascii();
    if decoded.iter().any(|&byte| is_forbidden_in_domains(byte) && (is_ascii || !matches!(byte, b'<' | b'>')))
    {
        return None;
    }
    let mut domain = match decoded {
        Cow::Borrowed(_) => input.to_owned(),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok()?,
    };
    if domain.is_ascii() {
        domain.make_ascii_lowercase();
    } else {
        match Host::parse(&domain).ok()? {
            Host::Domain(ascii) => domain = ascii,
            address => return Some(address.to_string()),
        }
    }
    if domain.is_empty() {
        return None;
    }
    if ends_in_a_number(&domain) {
        return Some(ipv4(&domain)?.to_string());
    }
    Some(domain)
}

/// The ends in a number checker.
fn ends_in_a_number(domain: &str) -> bool {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let last = domain.rsplit('.').next().unwrap_or_default();
    !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) || number(last).is_some()
}

/// The IPv4 parser.
fn ipv4(domain: &str) -> Option<Ipv4Addr> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let mut address = 0_u64;
    let mut parts = domain.split('.');
    for index in 0..4_u32 {
        let part = number(parts.next()?)?;
        if parts.clone().next().is_none() {
            if part >= 256_u64.pow(4 - index) {
                return None;
            }
            return u32::try_from(address + part).ok().map(Ipv4Addr::from);
        }
        if part > 255 {
            return None;
        }
        address += part * 256_u64.pow(3 - index);
    }
    None
}

/// The IPv4 number parser. What is beyond 64 bits becomes the greatest number, which no address has room for either.
fn number(part: &str) -> Option<u64> {
    let (digits, radix) = match part.as_bytes() {
        [] => return None,
        [b'0', b'x' | b'X', ..] => (&part[2..], 16),
        [b'0', _, ..] => (&part[1..], 8),
        _ => (part, 10),
    };
    digits.chars().try_fold(0_u64, |value, c| {
        let digit = c.to_digit(radix)?;
        Some(value.saturating_mul(u64::from(radix)).saturating_add(u64::from(digit)))
    })
}

/// Replaces each percent sign with two hexadecimal digits by its byte.
pub(crate) fn percent_decode(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|&b| char::from(b).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if byte == b'%'
            && let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2))
        {
            out.push((high * 16 + low) as u8);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(input: &str) -> Option<String> {
        parse(input, false)
    }

    #[test]
    fn a_stray_percent_sign_stays() {
        assert_eq!(percent_decode(b"%41%4%zz%"), b"A%4%zz%");
    }

    #[test]
    fn numbers_at_the_end_make_an_ipv4_address() {
        for (input, address) in [
            ("1", "0.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
            ("0X", "0.0.0.0"),
            ("%30", "0.0.0.0"),
            ("1.2.3.4.", "1.2.3.4"),
            ("0300.168.0xF0", "192.168.0.240"),
            ("4294967295", "255.255.255.255"),
            ("１.2", "1.0.0.2"),
        ] {
            assert_eq!(domain(input).as_deref(), Some(address), "{input}");
        }
        for input in [
            "4294967296",
            "1.2.3.256",
            "1.256.3",
            "1.2.3.4.5",
            "a.1",
            "09",
            "a.0x1",
            "1.2..3",
            "99999999999999999999999999",
            "0xfffffffffffffffffffff.1",
        ] {
            assert_eq!(domain(input), None, "{input}");
        }
        assert_eq!(domain("1.a").as_deref(), Some("1.a"));
        assert_eq!(domain("0x1g").as_deref(), Some("0x1g"));
    }

    #[test]
    fn a_domain_is_lowercased_and_beyond_ascii_checked() {
        assert_eq!(domain("EXAMPLE.com").as_deref(), Some("example.com"));
        assert_eq!(domain("fa\u{df}.de").as_deref(), Some("xn--fa-hia.de"));
        assert_eq!(domain("xn--a").as_deref(), Some("xn--a"));
        assert_eq!(domain("%C3%BC").as_deref(), Some("xn--tda"));
        assert_eq!(domain("<\u{ad}\u{338}").as_deref(), Some("xn--gdh"));
        assert_eq!(domain("%3E\u{338}").as_deref(), Some("xn--hdh"));
        for input in [
            "xn--a.\u{df}",
            "a%00b",
            "a^b",
            "%",
            "%25",
            "a%2541\u{e9}",
            "\u{ad}",
            "%FF",
            "\u{fffd}",
            "\u{ff05}a",
            "<\u{e9}",
            "%3c\u{e9}",
            "%5B::1%5D",
        ] {
            assert_eq!(domain(input), None, "{input}");
        }
    }

    #[test]
    fn an_opaque_host_keeps_its_case_and_digits() {
        let opaque = |input| parse(input, true);
        assert_eq!(opaque("EXAMPLE%2e\u{e9}").as_deref(), Some("EXAMPLE%2e%C3%A9"));
        assert_eq!(opaque("0x7f").as_deref(), Some("0x7f"));
        assert_eq!(opaque("").as_deref(), Some(""));
        assert_eq!(opaque("[0:0::1]").as_deref(), Some("[::1]"));
        for input in ["a b", "a^b", "[::1", "[::%31]", "a|b"] {
            assert_eq!(opaque(input), None, "{input}");
        }
    }
}
