//! Recognises URLs that are their own serialisation without parsing them in full.
//!
//! Nearly every URL that a guest parses is one that the host has made: `new URL(request.url)`. For those a single
//! pass finds the components, and no string is made. What this module does not recognise goes to the parser; that
//! both agree is a property test.

/// Where the components begin, in bytes of the serialisation, which is ASCII.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Components {
    pub(crate) scheme_end: u32,
    pub(crate) username_end: u32,
    pub(crate) host_start: u32,
    pub(crate) host_end: u32,
    pub(crate) path_start: u32,
    /// The question mark's place; 0 if there is no query.
    pub(crate) query_start: u32,
    /// The number sign's place; 0 if there is no fragment.
    pub(crate) fragment_start: u32,
}

const HOST: u8 = 1;
const PATH: u8 = 2;
const QUERY: u8 = 4;

/// Which characters stand for themselves, where.
const CLASSES: [u8; 128] = {
    let mut classes = [0; 128];
    let mut c = 0x21;
    while c < 0x7f {
        classes[c] = match c as u8 {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' => HOST | PATH | QUERY,
            b'A'..=b'Z'
            | b'_'
            | b'~'
            | b'!'
            | b'$'
            | b'&'
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b','
            | b';'
            | b'='
            | b':'
            | b'@'
            | b'/'
            | b'%' => PATH | QUERY,
            b'\'' => PATH,
            b'?' | b'[' | b']' => QUERY,
            _ => 0,
        };
        c += 1;
    }
    classes
};

fn is(class: u8, byte: u8) -> bool {
    CLASSES.get(usize::from(byte)).is_some_and(|classes| classes & class != 0)
}

/// The components of an http or https URL without user, fragment, dot segments or anything to escape; `None` for
/// all others, valid or not.
pub(crate) fn components(url: &[u8]) -> Option<Components> {
    let (scheme_end, default_port) = match url {
        [b'h', b't', b't', b'p', b':', b'/', b'/', ..] => (4, 80),
        [b'h', b't', b't', b'p', b's', b':', b'/', b'/', ..] => (5, 443),
        _ => return None,
    };
    if u32::try_from(url.len()).is_err() {
        return None;
    }
    let host_start = scheme_end + 3;
    let host_end = host_start + url[host_start..].iter().position(|&b| !is(HOST, b))?;
    if !is_plain_host(&url[host_start..host_end]) {
        return None;
    }
    let mut path_start = host_end;
    if url[host_end] == b':' {
        let digits = url[host_end + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        let port = &url[host_end + 1..host_end + 1 + digits];
        if digits == 0 || digits > 5 || port[0] == b'0' {
            return None;
        }
        let port = port.iter().fold(0, |port, digit| port * 10 + u32::from(digit - b'0'));
        if port > 65535 || port == default_port {
            return None;
        }
        path_start += 1 + digits;
    }
    if url.get(path_start) != Some(&b'/') {
        return None;
    }
    let mut at = path_start + 1;
    let mut before = b'/';
    while let Some(&byte) = url.get(at) {
        if !is(PATH, byte) {
            break;
        }
        // A segment that begins with a dot, or has an escaped one, may be "." or "..".
        if byte == b'.' && before == b'/'
            || byte == b'%' && matches!(url.get(at + 1..at + 3), Some([b'2', b'e' | b'E']))
        {
            return None;
        }
        before = byte;
        at += 1;
    }
    let mut query_start = 0;
    if url.get(at) == Some(&b'?') {
        query_start = at;
        at += url[at..].iter().take_while(|&&b| is(QUERY, b)).count();
    }
    (at == url.len()).then_some(Components {
        scheme_end: scheme_end as u32,
        username_end: host_start as u32,
        host_start: host_start as u32,
        host_end: host_end as u32,
        path_start: path_start as u32,
        query_start: query_start as u32,
        fragment_start: 0,
    })
}

/// Whether this is a domain, or an IPv4 address, that the host parser leaves alone. Only HOST characters get here.
fn is_plain_host(host: &[u8]) -> bool {
    let mut labels = 0;
    let mut last: &[u8] = &[];
    let mut all_octets = true;
    for label in host.split(|&b| b == b'.') {
        // Punycode is verified by the parser.
        if label.is_empty() || label.starts_with(b"xn--") {
            return false;
        }
        labels += 1;
        last = label;
        all_octets &= is_octet(label);
    }
    // A last label that looks like a number makes the host an IPv4 address, in one of many spellings.
    match last {
        [b'0'..=b'9', ..] => labels == 4 && all_octets,
        [_, ..] => true,
        [] => false,
    }
}

fn is_octet(label: &[u8]) -> bool {
    let plain =
        label.len() <= 3 && label.iter().all(u8::is_ascii_digit) && (label.len() == 1 || label[0] != b'0');
    plain && label.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')) < 256
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::url::components_of;
    use proptest::prelude::*;
    use url::Url;

    fn agrees(text: &str) -> Result<(), TestCaseError> {
        if let Some(found) = components(text.as_bytes()) {
            let url = Url::parse(text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
            prop_assert_eq!(url.as_str(), text);
            prop_assert_eq!(components_of(&url), found, "{}", text);
        }
        Ok(())
    }

    #[test]
    fn a_requests_url_is_recognised() {
        for url in [
            "http://localhost/",
            "http://127.0.0.1:8080/",
            "https://example.com/a/b.txt?x=1&y=a%20b",
            "http://a-b.example:65535//?",
            "http://e/it's?a[]=1",
        ] {
            assert!(components(url.as_bytes()).is_some(), "{url}");
        }
    }

    #[test]
    fn what_the_parser_would_change_or_refuse_is_not() {
        for url in [
            "",
            "http:",
            "http://",
            "http:///",
            "http://a",
            "http://A/",
            "http://a:80/",
            "https://a:443/",
            "http://a:/",
            "http://a:080/",
            "http://a:65536/",
            "http://a:99999999999/",
            "http://1/",
            "http://1.2.3/",
            "http://0x7f.1/",
            "http://1.2.3.256/",
            "http://1.2.3.04/",
            "http://a.0x1/",
            "http://a..b/",
            "http://a./",
            "http://.a/",
            "http://xn--a/",
            "http://a/./b",
            "http://a/../b",
            "http://a/%2e/b",
            "http://a/.%2E/b",
            "http://a/ b",
            "http://a/b\\c",
            "http://a/b#c",
            "http://a/b?c#d",
            "http://a/?'",
            "http://u@a/",
            "http://a/{}",
            "ftp://a/",
            " http://a/",
            "http://a/\u{e9}",
        ] {
            assert_eq!(components(url.as_bytes()), None, "{url}");
        }
    }

    proptest! {
        #[test]
        fn the_parser_agrees_on_what_looks_like_a_url(
            text in "(http|https|ftp)://[a-z0-9.%x-]{0,12}(:[0-9]{0,6})?(/[!-~]{0,12}){0,3}(\\?[!-~]{0,12})?"
        ) {
            agrees(&text)?;
        }

        #[test]
        fn the_parser_agrees_on_numeric_hosts(text in "http://[0-9x.]{1,12}/") {
            agrees(&text)?;
        }

        #[test]
        fn the_parser_agrees_on_common_urls(
            text in "https?://[a-z]{1,6}(\\.[a-z0-9]{1,4}){0,2}(:[1-9][0-9]{0,4})?/[a-zA-Z0-9._~%/-]{0,16}(\\?[a-z0-9=&%+.'-]{0,16})?"
        ) {
            agrees(&text)?;
        }
    }
}
