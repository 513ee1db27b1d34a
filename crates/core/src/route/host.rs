//! Patterns of hosts.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::{PatternError, no};
use crate::schema::shortened;

/// The longest name of a host, in characters (RFC 1035 section 2.3.4, without the dot at the end).
pub(super) const MOST: usize = 253;
/// The longest label of one.
const MOST_LABEL: usize = 63;

/// A pattern of hosts: an exact name or address, like `shop.example` or `[::1]`, or `*.shop.example`, which
/// is every name with one label or more in front of `.shop.example`, and not that name itself. Letter case
/// does not matter.
///
/// ```
/// use nexus_core::HostPattern;
///
/// let pattern: HostPattern = "*.Shop.Example".parse().unwrap();
/// assert_eq!(pattern.to_string(), "*.shop.example");
/// assert!("shop.example:80".parse::<HostPattern>().unwrap_err().to_string().contains("without a port"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPattern {
    wildcard: bool,
    /// In lower case, without `*.` and without a dot at the end.
    name: Box<str>,
}

impl HostPattern {
    /// Whether it is a wildcard.
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// The exact name or address, or what comes after `*.`, as [`name_of`] writes it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.wildcard { "*." } else { "" }, self.name)
    }
}

impl FromStr for HostPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() || text == "*" {
            return no("any host is what holds if no `hosts` are named");
        }
        if !text.is_ascii() {
            return no("a host's name is ASCII; an international one is written in its `xn--` form");
        }
        if text.contains('/') {
            return no("a host is written without scheme and path, as `shop.example`; paths go into `paths`");
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Ok(ip) = bare.unwrap_or(text).parse::<Ipv6Addr>() {
            return Ok(Self { wildcard: false, name: format!("[{ip}]").into() });
        }
        let port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        match text.rsplit_once(':') {
            Some((host, number)) if port(number) && (host.ends_with(']') || !host.contains(':')) => {
                let host = shortened(host);
                return no(format!(
                    "a host is written without a port, as `{host}`; that is `port` under [http]"
                ));
            }
            Some(_) => return no("this is no IPv6 address, and a name holds no `:`"),
            None => {}
        }
        let lower = text.to_ascii_lowercase();
        let (wildcard, name) = match lower.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, lower.as_str()),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        check_name(name)?;
        // The URL Standard takes every name for an IPv4 address whose last label is a number.
        let last = name.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|byte| byte.is_ascii_digit()) {
            if name.parse::<Ipv4Addr>().is_err() {
                return no("a host whose last label is a number is an IPv4 address, like `127.0.0.1`");
            }
            if wildcard {
                return no("an IP address has no names below it");
            }
        }
        Ok(Self { wildcard, name: name.into() })
    }
}

fn check_name(name: &str) -> Result<(), PatternError> {
    if name.contains('*') {
        return no("`*` stands for whole labels in front, as in `*.shop.example`, and nowhere else");
    }
    if name.len() > MOST {
        return no(format!("a host's name has at most {MOST} characters, this one {}", name.len()));
    }
    for label in name.split('.') {
        if label.is_empty() {
            return no("a host's name has no empty label: no dot in front, and no two dots in a row");
        }
        if label.len() > MOST_LABEL {
            return no(format!("a label, between two dots, has at most {MOST_LABEL} characters"));
        }
        let fine = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if let Some(c) = label.chars().find(|c| !fine(c)) {
            let c = c.escape_debug();
            return no(format!("`{c}` is in no host's name: it holds letters, digits, `-`, `_` and dots"));
        }
    }
    Ok(())
}

/// The name or address of a request's host, which may come with a port: in lower case, without a dot at the
/// end, and an IPv6 address in its shortest form. A plain name is borrowed.
pub(super) fn name_of(host: &str) -> Cow<'_, str> {
    if let Some((inside, _)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return match inside.parse::<Ipv6Addr>() {
            Ok(ip) => Cow::Owned(format!("[{ip}]")),
            Err(_) => Cow::Borrowed(host),
        };
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(text: &str) -> String {
        text.parse::<HostPattern>().unwrap_err().to_string()
    }

    #[test]
    fn a_host_is_a_name_an_address_or_a_wildcard() {
        for (text, shown) in [
            ("shop.example", "shop.example"),
            ("Shop.EXAMPLE.", "shop.example"),
            ("*.Shop.example", "*.shop.example"),
            ("*.example", "*.example"),
            ("localhost", "localhost"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("_a-b.c", "_a-b.c"),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "[::1]"),
            ("[0:0::1]", "[::1]"),
            ("2001:DB8::80", "[2001:db8::80]"),
            ("1.example", "1.example"),
        ] {
            let pattern: HostPattern = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(pattern.to_string(), shown);
            assert_eq!(pattern.is_wildcard(), text.starts_with('*'));
        }
    }

    #[test]
    fn a_wrong_host_is_told_how_it_is_right() {
        for (text, told) in [
            ("", "if no `hosts` are named"),
            ("*", "if no `hosts` are named"),
            ("bücher.example", "`xn--` form"),
            ("https://shop.example", "without scheme and path"),
            ("shop.example/api", "paths go into `paths`"),
            ("shop.example:80", "without a port, as `shop.example`"),
            ("[::1]:80", "without a port, as `[::1]`"),
            ("[::g]", "no IPv6 address"),
            ("a:b", "no IPv6 address"),
            ("*shop.example", "whole labels in front"),
            ("a.*.example", "whole labels in front"),
            ("*.*.example", "whole labels in front"),
            (".example", "no empty label"),
            ("*.", "no empty label"),
            ("a..b", "no empty label"),
            ("a b", "` ` is in no host's name"),
            ("user@a", "`@` is in no host's name"),
            ("256.0.0.1", "an IPv4 address"),
            ("a.1", "an IPv4 address"),
            ("*.127.0.0.1", "no names below"),
        ] {
            assert!(error(text).contains(told), "{text}: {}", error(text));
        }
        assert!(error(&"a".repeat(64)).contains("at most 63 characters"));
        assert!(error(&"a.".repeat(130)).contains("at most 253 characters, this one 259"));
        assert!(format!("{}a", "a.".repeat(126)).parse::<HostPattern>().is_ok());
    }

    #[test]
    fn a_requests_host_is_its_name_in_lower_case_without_port() {
        for (host, name) in [
            ("shop.example", "shop.example"),
            ("shop.example:8080", "shop.example"),
            ("shop.example.", "shop.example"),
            ("Shop.Example.:80", "shop.example"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[0:0:0::1]:80", "[::1]"),
            ("[x]:1", "[x]:1"),
            ("", ""),
            (":80", ""),
        ] {
            assert_eq!(name_of(host), name);
        }
        for plain in ["shop.example", "shop.example:8080", "shop.example."] {
            assert!(matches!(name_of(plain), Cow::Borrowed(_)), "{plain}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_host_or_an_error(text in "(\\*\\.|\\.|:|\\[|\\]|[a-zA-Z0-9]|\\PC){0,12}") {
            match text.parse::<HostPattern>() {
                Ok(pattern) => prop_assert_eq!(pattern.to_string().parse(), Ok(pattern)),
                Err(error) => prop_assert!(!error.to_string().contains('\n')),
            }
            let _ = name_of(&text);
        }

        #[test]
        fn a_request_for_an_exact_host_has_its_name(
            text in "([a-zA-Z][a-zA-Z0-9_-]{0,5}\\.){1,4}[a-zA-Z]{1,5}\\.?",
            port in prop::option::of(any::<u16>()),
        ) {
            let pattern: HostPattern = text.parse().unwrap();
            let host = port.map_or(text.clone(), |port| format!("{text}:{port}"));
            prop_assert_eq!(name_of(&host), pattern.name());
        }
    }
}
