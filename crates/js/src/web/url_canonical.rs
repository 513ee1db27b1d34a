//! Recognises URLs that are their own serialisation without parsing them in full.
//!
//! For those a single pass finds the components, and no string is made. What this module does not recognise goes to
//! the parser; that both agree is a property test.
//!
//! Nearly every URL that a guest parses is one that the host has made: `new URL(request.url)`. So each request's URL
//! goes to the guest together with its [layout](Layouts), with which JavaScript takes it apart by itself.

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
const FRAGMENT: u8 = 8;

/// Which characters stand for themselves, where.
const CLASSES: [u8; 128] = {
    let mut classes = [0; 128];
    let mut c = 0x21;
    while c < 0x7f {
        classes[c] = match c as u8 {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' => HOST | PATH | QUERY | FRAGMENT,
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
            | b'%' => PATH | QUERY | FRAGMENT,
            b'\'' => PATH | FRAGMENT,
            b'?' | b'[' | b']' => QUERY | FRAGMENT,
            _ => 0,
        };
        c += 1;
    }
    classes
};

fn is(class: u8, byte: u8) -> bool {
    CLASSES.get(usize::from(byte)).is_some_and(|classes| classes & class != 0)
}

/// The components of an http or https URL without user, dot segments or anything to escape; `None` for all others,
/// valid or not.
pub(crate) fn components(url: &[u8]) -> Option<Components> {
    u32::try_from(url.len()).ok()?;
    let Origin { scheme_end, host_end, path_start } = origin(url)?;
    let (query_start, end) = path(url, path_start)?;
    let fragment_start = match url.get(end) {
        None => 0,
        Some(b'#') if url[end + 1..].iter().all(|&byte| is(FRAGMENT, byte)) => end,
        Some(_) => return None,
    };
    let host_start = scheme_end + 3;
    Some(Components {
        scheme_end: scheme_end as u32,
        username_end: host_start as u32,
        host_start: host_start as u32,
        host_end: host_end as u32,
        path_start: path_start as u32,
        query_start: query_start as u32,
        fragment_start: fragment_start as u32,
    })
}

/// Where the parts of a URL before its path end.
#[derive(Debug, Clone, Copy)]
struct Origin {
    scheme_end: usize,
    host_end: usize,
    path_start: usize,
}

/// Scheme, host and port; a slash follows them.
fn origin(url: &[u8]) -> Option<Origin> {
    let (scheme_end, default_port) = match url {
        [b'h', b't', b't', b'p', b':', b'/', b'/', ..] => (4, 80),
        [b'h', b't', b't', b'p', b's', b':', b'/', b'/', ..] => (5, 443),
        _ => return None,
    };
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
    (url.get(path_start) == Some(&b'/')).then_some(Origin { scheme_end, host_end, path_start })
}

/// Checks path and query. Gives the question mark's place, 0 if there is none, and that of the first character which
/// is of neither of them.
fn path(url: &[u8], path_start: usize) -> Option<(usize, usize)> {
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
    Some((query_start, at))
}

/// Finds the layouts of requests' URLs.
///
/// A layout is a number of 30 bits that says where the components of a recognised URL begin: bit 0: whether the
/// scheme is https; bits 1 to 10: the host's end; bits 11 to 13: the length of the port and its colon; bits 14 to
/// 29: the place of the question mark, from the path's start on, or 0. `url.js` reads it. A URL that is not
/// recognised, or in which some part is too long for its bits, has the layout 0.
///
/// What was found for an origin is kept for the next URL: a guest's requests mostly have the same one.
#[derive(Default)]
pub(crate) struct Layouts {
    /// The last recognised URL up to and with the path's slash.
    last: Vec<u8>,
    /// Its layout.
    bits: u32,
}

impl Layouts {
    /// The layout of `url`.
    pub(crate) fn of(&mut self, url: &[u8]) -> u32 {
        if self.last.is_empty() || !url.starts_with(&self.last) {
            let Some(Origin { scheme_end, host_end, path_start }) = origin(url) else { return 0 };
            if host_end >= 1 << 10 {
                return 0;
            }
            self.bits =
                (scheme_end as u32 - 4) | (host_end as u32) << 1 | ((path_start - host_end) as u32) << 11;
            self.last.clear();
            self.last.extend_from_slice(&url[..=path_start]);
        }
        let path_start = self.last.len() - 1;
        match path(url, path_start) {
            Some((_, end)) if end < url.len() => 0,
            Some((0, _)) => self.bits,
            Some((query, _)) if query - path_start < 1 << 16 => {
                self.bits | ((query - path_start) as u32) << 14
            }
            _ => 0,
        }
    }
}

/// Whether this is a domain, or an IPv4 address, that the host parser leaves alone. Only HOST characters get here.
fn is_plain_host(host: &[u8]) -> bool {
    let mut labels = 0;
    let mut last: &[u8] = &[];
    let mut all_octets = true;
    for label in host.split(|&b| b == b'.') {
        if label.is_empty() {
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
    use crate::web::url_parser;
    use proptest::prelude::*;

    /// As `url.js` does.
    fn unpack(layout: u32) -> Components {
        let scheme_end = 4 + (layout & 1);
        let host_end = (layout >> 1) & 1023;
        let path_start = host_end + ((layout >> 11) & 7);
        let query = layout >> 14;
        Components {
            scheme_end,
            username_end: scheme_end + 3,
            host_start: scheme_end + 3,
            host_end,
            path_start,
            query_start: if query == 0 { 0 } else { path_start + query },
            fragment_start: 0,
        }
    }

    fn agrees(text: &str) -> Result<(), TestCaseError> {
        let mut layouts = Layouts::default();
        // Once for a new origin and once for a known one.
        let (first, again) = (layouts.of(text.as_bytes()), layouts.of(text.as_bytes()));
        prop_assert_eq!(first, again);
        let found = components(text.as_bytes()).filter(|found| found.fragment_start == 0);
        prop_assert_eq!((first != 0).then(|| unpack(first)), found, "{}", text);
        if let Some(found) = components(text.as_bytes()) {
            let url = url_parser::parse(text, None).ok_or_else(|| TestCaseError::fail(text.to_owned()))?;
            prop_assert_eq!(url.serialize(), (text.to_owned(), found));
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
            "http://xn--a/",
            "http://e/#",
            "http://e/a?b#c?/'[]",
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
            "http://a/./b",
            "http://a/../b",
            "http://a/%2e/b",
            "http://a/.%2E/b",
            "http://a/ b",
            "http://a/b\\c",
            "http://a/b#c`",
            "http://a/b?c#d#",
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

    #[test]
    fn a_layout_fits_thirty_bits_or_is_none() {
        let mut layouts = Layouts::default();
        let long = "a".repeat(1 << 16);
        let url = format!("https://{}.example:65535/{}?q", "a".repeat(63), &long[2..]);
        let layout = layouts.of(url.as_bytes());
        assert_eq!(Some(unpack(layout)), components(url.as_bytes()));
        assert!(layout < 1 << 30);
        for long in [format!("http://a/{long}?q"), format!("http://{}a/", "a.".repeat(600))] {
            assert!(components(long.as_bytes()).is_some());
            assert_eq!(layouts.of(long.as_bytes()), 0);
        }
        assert_eq!(Some(unpack(layouts.of(b"http://a:8080/?q"))), components(b"http://a:8080/?q"));
    }

    proptest! {
        #[test]
        fn one_origin_after_another(
            urls in proptest::collection::vec("https?://[ab.]{1,2}(:[189]{1,2})?/?[a./?]{0,3}", 1..6)
        ) {
            let mut layouts = Layouts::default();
            for url in &urls {
                let layout = layouts.of(url.as_bytes());
                prop_assert_eq!((layout != 0).then(|| unpack(layout)), components(url.as_bytes()), "{}", url);
            }
        }

        #[test]
        fn the_parser_agrees_on_what_looks_like_a_url(
            text in "(http|https|ftp)://[a-z0-9.%x-]{0,12}(:[0-9]{0,6})?(/[!-~]{0,12}){0,3}(\\?[!-~]{0,12})?(#[!-~]{0,12})?"
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
