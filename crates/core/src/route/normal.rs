//! The one form of a path that patterns are compared with.

use std::borrow::Cow;

/// A request's path in its normal form, for matching only: what a guest sees is not changed. It is borrowed
/// where the path is normal already, as nearly all are.
///
/// - It ends before the first `?` or `#`, and begins with `/`.
/// - Dot segments are resolved as the URL Standard does it (path state): `/a/../b` is `/b`, also where the
///   dots are written `%2e`, and `\` separates segments like `/`. Tabs and line breaks, which the standard's
///   parser drops, are dropped.
/// - Escapes of unreserved characters (RFC 3986 section 2.3) are decoded: `/%61` is `/a`. Others stay, with
///   upper-case digits: `%2F` is never a `/`.
/// - What no path holds unescaped is escaped: `/é` is `/%C3%A9`, and a `%` that begins no escape is `%25`.
/// - An empty segment is one: `/a//b` has three segments, and is not `/a/b`.
///
/// ```
/// use nexus_core::normal_path;
///
/// assert_eq!(normal_path("/api/users?page=2"), "/api/users");
/// assert_eq!(normal_path("/public/%2e%2E/%61dmin"), "/admin");
/// assert_eq!(normal_path("/a%2fb"), "/a%2Fb");
/// ```
pub fn normal_path(path: &str) -> Cow<'_, str> {
    match normal_length(path.as_bytes()) {
        Some(length) => Cow::Borrowed(&path[..length]),
        None => Cow::Owned(resolved(path)),
    }
}

/// How much of `target` is its path, if that is normal.
fn normal_length(target: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(byte) = target.get(at) {
        match byte {
            b'?' | b'#' => break,
            b'/' if begins_with_dot_segment(&target[at + 1..]) => return None,
            b'/' => {}
            b'%' if is_normal_escape(&target[at..]) => at += 2,
            byte if !is_plain(*byte) => return None,
            _ => {}
        }
        at += 1;
    }
    target.starts_with(b"/").then_some(at)
}

fn begins_with_dot_segment(rest: &[u8]) -> bool {
    let dots = rest.iter().take_while(|byte| **byte == b'.').count();
    matches!(dots, 1 | 2) && matches!(rest.get(dots), None | Some(b'/' | b'?' | b'#'))
}

fn resolved(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = path.replace(['\t', '\n', '\r'], "");
    let inner = path.strip_prefix(['/', '\\']).unwrap_or(&path);
    let mut normal = String::with_capacity(path.len() + 1);
    let mut segments = inner.split(['/', '\\']).peekable();
    while let Some(segment) = segments.next() {
        let start = normal.len();
        normal.push('/');
        push_segment(&mut normal, segment);
        let kept = match &normal[start + 1..] {
            "." => start,
            // The segment before goes as well, an empty one too; above the first there is none.
            ".." => normal[..start].rfind('/').unwrap_or(0),
            _ => continue,
        };
        normal.truncate(kept);
        if segments.peek().is_none() {
            normal.push('/');
        }
    }
    normal
}

/// Adds a segment in its normal form.
pub(super) fn push_segment(normal: &mut String, segment: &str) {
    let bytes = segment.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match (byte, escaped(&bytes[at..])) {
            (_, Some(byte)) => {
                if is_unreserved(byte) {
                    normal.push(char::from(byte));
                } else {
                    push_escape(normal, byte);
                }
                at += 2;
            }
            (byte, None) if is_plain(byte) => normal.push(char::from(byte)),
            (byte, None) => push_escape(normal, byte),
        }
        at += 1;
    }
}

/// A segment that is normal, without its escapes. Bytes that are no UTF-8 become U+FFFD.
pub(super) fn decoded(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escaped = escaped(&bytes[at..]);
        plain.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn push_escape(normal: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    normal.push('%');
    normal.push(char::from(DIGITS[usize::from(byte >> 4)]));
    normal.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// The byte that the escape at the beginning of `rest` stands for; `None` if there is no escape.
pub(super) fn escaped(rest: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = rest else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

fn is_normal_escape(rest: &[u8]) -> bool {
    escaped(rest).is_some_and(|byte| !is_unreserved(byte)) && !rest[1..3].iter().any(u8::is_ascii_lowercase)
}

/// RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What a segment holds unescaped (RFC 3986 section 3.3: `pchar`).
pub(super) const fn is_plain(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_plain_path_is_not_copied() {
        for path in
            ["/", "/api", "/a/b.c/d-e_f~g", "/a//b/", "/...", "/.a/..b", "/a%2Fb%C3%A9", "/x!$&'()*+,;=:@"]
        {
            assert!(matches!(normal_path(path), Cow::Borrowed(same) if same == path), "{path}");
            for rest in ["?", "?a=/../b", "#/..", "?%61\\"] {
                let target = format!("{path}{rest}");
                assert!(matches!(normal_path(&target), Cow::Borrowed(same) if same == path), "{target}");
            }
        }
    }

    #[test]
    fn dot_segments_are_resolved_as_urls_resolve_them() {
        for (path, normal) in [
            ("/a/../b", "/b"),
            ("/a/./b", "/a/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/..", "/"),
            ("/.", "/"),
            ("/../../a", "/a"),
            ("/a/..", "/"),
            ("/a/../..", "/"),
            ("/a//../b", "/a/b"),
            ("//../a", "/a"),
            ("/a/%2e%2e/b", "/b"),
            ("/a/.%2E/b", "/b"),
            ("/a/%2e./b", "/b"),
            ("/a/%2e/b", "/a/b"),
            ("/a\\..\\b", "/b"),
            ("\\a\\b", "/a/b"),
            ("/a/.\t./b", "/b"),
            ("\n/a", "/a"),
            ("/a/..?x", "/"),
            ("/a/.#x", "/a/"),
            ("/a/...", "/a/..."),
            ("/a/..%2Fb", "/a/..%2Fb"),
            ("/a/..%5Cb", "/a/..%5Cb"),
            ("", "/"),
            ("?a", "/"),
            ("a", "/a"),
            ("*", "/*"),
        ] {
            assert_eq!(normal_path(path), normal, "{path:?}");
        }
    }

    #[test]
    fn only_what_needs_no_escape_is_decoded_and_what_needs_one_is_escaped() {
        for (path, normal) in [
            ("/%61%2D%2e%5F%7e%39", "/a-._~9"),
            ("/%2f%3a%c3%a9", "/%2F%3A%C3%A9"),
            ("/é <", "/%C3%A9%20%3C"),
            ("/100%", "/100%25"),
            ("/%zz%4", "/%25zz%254"),
            ("/%%361", "/%2561"),
            ("/%2561", "/%2561"),
        ] {
            assert_eq!(normal_path(path), normal, "{path:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_decoded_to_the_replacement_character() {
        assert_eq!(decoded("a%2Fb%25%C3%A9"), "a/b%é");
        assert_eq!(decoded("%FFa"), "\u{fffd}a");
    }

    /// Paths that are rich in what is special.
    const RICH: &str = "(/|\\\\|\\.|%2e|%2E|%|%2f|%5c|%61|2|e|a|\\?|#|\t|é|\\PC){0,16}";

    proptest! {
        #[test]
        fn the_normal_form_of_a_normal_form_is_itself(path in RICH) {
            let once = normal_path(&path);
            prop_assert!(matches!(normal_path(&once), Cow::Borrowed(same) if same == once), "{}", once);
        }

        #[test]
        fn a_normal_form_has_no_dot_segment_and_nothing_that_could_be_read_as_one(path in RICH) {
            let normal = normal_path(&path);
            prop_assert!(normal.starts_with('/'));
            for segment in normal.split('/') {
                prop_assert!(segment != "." && segment != "..", "{}", normal);
                prop_assert!(!segment.to_lowercase().contains("%2e"), "{}", normal);
            }
            let fine = |byte| is_plain(byte) || matches!(byte, b'/' | b'%');
            prop_assert!(normal.bytes().all(fine), "{}", normal);
        }

        #[test]
        fn a_path_of_plain_segments_is_its_segments(
            segments in prop::collection::vec("[a-z~:@]{0,3}", 1..6),
        ) {
            let path = format!("/{}", segments.join("/"));
            prop_assert_eq!(normal_path(&path), path.as_str());
        }

        #[test]
        fn an_escaped_letter_is_the_letter(
            before in "/[a-z]{0,3}", letter in "[A-Za-z0-9~_-]", after in "[a-z/]{0,3}",
        ) {
            let escape = format!("%{:02x}", letter.as_bytes()[0]);
            let (escaped, plain) = (format!("{before}{escape}{after}"), format!("{before}{letter}{after}"));
            prop_assert_eq!(normal_path(&escaped), normal_path(&plain));
        }
    }
}
