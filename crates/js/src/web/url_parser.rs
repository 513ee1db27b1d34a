//! The basic URL parser. <https://url.spec.whatwg.org/#concept-basic-url-parser>
//!
//! Each function is one state of the standard's machine, or some that follow each other. As all that a state looks for
//! is ASCII, it finds the end of its component and takes that as a whole, instead of going from character to character.

use super::url_host;
use super::url_record::{C0_CONTROL, PATH, Record, USERINFO, encode, without_tabs};

/// Parses a URL. `None` if it is invalid.
pub(crate) fn parse(input: &str, base: Option<&Record>) -> Option<Record> {
    let input = without_tabs(input.trim_matches(|c| c <= ' '));
    let mut url = Record::default();
    let colon = scheme_end(&input).filter(|&end| input.as_bytes().get(end) == Some(&b':'));
    let Some(colon) = colon else { return without_scheme(url, &input, base?) };
    url.scheme = input[..colon].to_ascii_lowercase();
    let rest = &input[colon + 1..];
    if url.is_file() {
        return file(url, rest, base);
    }
    if url.is_special() {
        return match base {
            Some(base) if base.scheme == url.scheme && !rest.starts_with("//") => relative(url, rest, base),
            _ => authority(url, rest.trim_start_matches(['/', '\\'])),
        };
    }
    match rest.strip_prefix('/') {
        Some(rest) => match rest.strip_prefix('/') {
            Some(rest) => authority(url, rest),
            None => path(url, rest),
        },
        None => Some(opaque_path(url, rest)),
    }
}

/// Where the scheme ends, if there is one: the place of the first character that cannot be in it.
pub(crate) fn scheme_end(input: &str) -> Option<usize> {
    let bytes = input.as_bytes();
    if !bytes.first()?.is_ascii_alphabetic() {
        return None;
    }
    let is_in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    Some(bytes.iter().position(|&byte| !is_in_scheme(byte)).unwrap_or(bytes.len()))
}

/// The no scheme state.
fn without_scheme(mut url: Record, input: &str, base: &Record) -> Option<Record> {
    if base.opaque {
        let fragment = input.strip_prefix('#')?;
        url.clone_from(base);
        url.put_fragment(fragment);
        return Some(url);
    }
    if base.is_file() { file(url, input, Some(base)) } else { relative(url, input, base) }
}

/// The relative and relative slash states.
fn relative(mut url: Record, rest: &str, base: &Record) -> Option<Record> {
    let special = base.is_special();
    let is_slash = |c: char| c == '/' || special && c == '\\';
    if let Some(rest) = rest.strip_prefix(is_slash) {
        url.scheme.clone_from(&base.scheme);
        if let Some(rest) = rest.strip_prefix(is_slash) {
            return authority(url, if special { rest.trim_start_matches(is_slash) } else { rest });
        }
        url.username.clone_from(&base.username);
        url.password.clone_from(&base.password);
        url.host.clone_from(&base.host);
        url.port = base.port;
        return path(url, rest);
    }
    url.clone_from(base);
    url.fragment = None;
    match rest.as_bytes() {
        [] => Some(url),
        [b'?' | b'#', ..] => Some(query_and_fragment(url, rest)),
        _ => {
            url.query = None;
            url.shorten();
            path(url, rest)
        }
    }
}

/// The authority, host and port states.
fn authority(mut url: Record, rest: &str) -> Option<Record> {
    let special = url.is_special();
    let is_end = |byte: u8| matches!(byte, b'/' | b'?' | b'#') || special && byte == b'\\';
    let (authority, rest) = rest.split_at(rest.bytes().position(is_end).unwrap_or(rest.len()));
    let mut host = authority;
    if let Some((credentials, after)) = authority.rsplit_once('@') {
        if after.is_empty() {
            return None;
        }
        let (username, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        encode(&mut url.username, username, USERINFO);
        encode(&mut url.password, password, USERINFO);
        host = after;
    }
    let (end, has_port) = host_end(host, special);
    if end == 0 && (special || has_port) {
        return None;
    }
    url.host = Some(url_host::parse(&host[..end], !special)?);
    if has_port && end + 1 < host.len() {
        url.put_port(port(&host[end + 1..])?);
    }
    path_start(url, rest)
}

/// Where the host ends at which this begins, and whether a port follows.
pub(crate) fn host_end(text: &str, special: bool) -> (usize, bool) {
    let mut inside_brackets = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b':' if !inside_brackets => return (at, true),
            b'/' | b'?' | b'#' => return (at, false),
            b'\\' if special => return (at, false),
            b'[' => inside_brackets = true,
            b']' => inside_brackets = false,
            _ => {}
        }
    }
    (text.len(), false)
}

/// A port from its digits, of which there is one at least.
pub(crate) fn port(digits: &str) -> Option<u16> {
    if digits.is_empty() {
        return None;
    }
    digits.bytes().try_fold(0_u16, |port, byte| {
        if !byte.is_ascii_digit() {
            return None;
        }
        port.checked_mul(10)?.checked_add(u16::from(byte - b'0'))
    })
}

/// The file and file slash states.
fn file(mut url: Record, rest: &str, base: Option<&Record>) -> Option<Record> {
    const SLASHES: [char; 2] = ['/', '\\'];
    let base = base.filter(|base| base.is_file());
    if let Some(rest) = rest.strip_prefix(SLASHES) {
        url.scheme = "file".to_owned();
        url.host = Some(String::new());
        if let Some(rest) = rest.strip_prefix(SLASHES) {
            return file_authority(url, rest);
        }
        if let Some(base) = base {
            url.host.clone_from(&base.host);
            let drive =
                base.path.get(..3).filter(|_| matches!(base.path.as_bytes().get(3), None | Some(b'/')));
            if let Some(drive @ [b'/', letter, b':']) = drive.map(str::as_bytes)
                && letter.is_ascii_alphabetic()
                && !starts_with_drive_letter(rest)
            {
                url.path.extend(drive.iter().map(|&byte| char::from(byte)));
            }
        }
        return path(url, rest);
    }
    let Some(base) = base else {
        url.scheme = "file".to_owned();
        url.host = Some(String::new());
        return path(url, rest);
    };
    url.clone_from(base);
    url.fragment = None;
    match rest.as_bytes() {
        [] => Some(url),
        [b'?' | b'#', ..] => Some(query_and_fragment(url, rest)),
        _ => {
            url.query = None;
            if starts_with_drive_letter(rest) {
                url.path.clear();
            } else {
                url.shorten();
            }
            path(url, rest)
        }
    }
}

/// The file host state.
fn file_authority(mut url: Record, rest: &str) -> Option<Record> {
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    if is_drive_letter(&rest[..end]) {
        return path(url, rest);
    }
    url.host = Some(file_host(&rest[..end])?);
    path_start(url, &rest[end..])
}

/// The host of a `file` URL.
pub(crate) fn file_host(input: &str) -> Option<String> {
    if input.is_empty() {
        return Some(String::new());
    }
    let mut host = url_host::parse(input, false)?;
    if host == "localhost" {
        host.clear();
    }
    Some(host)
}

fn is_drive_letter(text: &str) -> bool {
    matches!(text.as_bytes(), [letter, b':' | b'|'] if letter.is_ascii_alphabetic())
}

fn starts_with_drive_letter(text: &str) -> bool {
    text.get(..2).is_some_and(is_drive_letter)
        && matches!(text.as_bytes().get(2), None | Some(b'/' | b'\\' | b'?' | b'#'))
}

/// The path start state, without a state override.
fn path_start(url: Record, rest: &str) -> Option<Record> {
    if url.is_special() {
        return path(url, rest.strip_prefix(['/', '\\']).unwrap_or(rest));
    }
    match rest.strip_prefix('/') {
        Some(rest) => path(url, rest),
        None => Some(query_and_fragment(url, rest)),
    }
}

/// The path state, without a state override.
fn path(mut url: Record, rest: &str) -> Option<Record> {
    let (text, rest) =
        rest.split_at(rest.bytes().position(|b| matches!(b, b'?' | b'#')).unwrap_or(rest.len()));
    segments(&mut url, text);
    Some(query_and_fragment(url, rest))
}

/// The path state for a whole path, without its first slash: appends segments.
pub(crate) fn segments(url: &mut Record, mut text: &str) {
    let special = url.is_special();
    let file = url.is_file();
    url.path.reserve(text.len() + 1);
    loop {
        let end = text.bytes().position(|byte| byte == b'/' || special && byte == b'\\');
        let segment = &text[..end.unwrap_or(text.len())];
        match dots(segment) {
            2 => {
                url.shorten();
                if end.is_none() {
                    url.path.push('/');
                }
            }
            1 => {
                if end.is_none() {
                    url.path.push('/');
                }
            }
            _ => {
                let drive = file && url.path.is_empty() && is_drive_letter(segment);
                url.path.push('/');
                if drive {
                    url.path.push_str(&segment[..1]);
                    url.path.push(':');
                } else {
                    encode(&mut url.path, segment, PATH);
                }
            }
        }
        let Some(end) = end else { return };
        text = &text[end + 1..];
    }
}

/// 1 for a single-dot URL path segment, 2 for a double-dot one, else 0.
fn dots(segment: &str) -> u8 {
    let mut rest = segment.as_bytes();
    let mut dots = 0;
    loop {
        rest = match rest {
            [] => return dots,
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] if dots < 2 => rest,
            _ => return 0,
        };
        dots += 1;
    }
}

/// The opaque path state.
pub(crate) fn opaque_path(mut url: Record, rest: &str) -> Record {
    url.opaque = true;
    let (text, rest) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    // A space just before a query or a fragment would be lost with them.
    match text.strip_suffix(' ').filter(|_| !rest.is_empty()) {
        Some(text) => {
            encode(&mut url.path, text, C0_CONTROL);
            url.path.push_str("%20");
        }
        None => encode(&mut url.path, text, C0_CONTROL),
    }
    query_and_fragment(url, rest)
}

/// The query and fragment states; a question mark or a number sign comes first, if anything does.
fn query_and_fragment(mut url: Record, rest: &str) -> Record {
    let (query, fragment) = match rest.split_once('#') {
        Some((query, fragment)) => (query, Some(fragment)),
        None => (rest, None),
    };
    if let Some(query) = query.strip_prefix('?') {
        url.put_query(query);
    }
    if let Some(fragment) = fragment {
        url.put_fragment(fragment);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn href(input: &str, base: Option<&str>) -> Option<String> {
        let base = match base {
            Some(base) => Some(parse(base, None)?),
            None => None,
        };
        Some(parse(input, base.as_ref())?.serialize().0)
    }

    #[test]
    fn drive_letters_stay() {
        for (input, base, expected) in [
            ("..", "file:///C:/", "file:///C:/"),
            ("../..", "file:///C:/a/b", "file:///C:/"),
            ("/d", "file://h/C:/a", "file://h/C:/d"),
            ("/D:/x", "file://h/C:/a", "file://h/D:/x"),
            ("C|", "file://h/a/b", "file://h/C:"),
            ("C|a", "file://h/a/b", "file://h/a/C|a"),
            ("//C|/x", "file://h/a", "file:///C:/x"),
            ("\\\\\\C|\\x", "file://h/a", "file:///C:/x"),
            ("?q", "file://h/a?b#c", "file://h/a?q"),
            ("", "file://h/a?b#c", "file://h/a?b"),
            ("#d", "file://h/a?b#c", "file://h/a?b#d"),
            ("file:", "file://h/a?b#c", "file://h/a?b"),
            ("file:x", "http://h/a", "file:///x"),
        ] {
            assert_eq!(href(input, Some(base)).as_deref(), Some(expected), "{input} on {base}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for input in [
            "",
            "a",
            "//h",
            "1:a",
            "http:",
            "http:?",
            "http://@",
            "http://u@",
            "a://u@",
            "a://:1",
            "http://:1",
            "http://h:1a",
            "http://h:65536",
            "a://h h",
            "http://[::1",
            "http://[1]",
            "http://[::1]a",
        ] {
            assert_eq!(href(input, None), None, "{input}");
        }
        assert_eq!(href("x", Some("mailto:a")), None);
        assert_eq!(href("//", Some("http://h/")), None);
    }
}
