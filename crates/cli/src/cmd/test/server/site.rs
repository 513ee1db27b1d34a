//! The checkout's files, with the fields of their `.headers` files, filled in and sent as their pipes say.
//! <https://web-platform-tests.org/writing-tests/server-features.html>

use std::path::{Path, PathBuf};

use nexus_js::testing;

use super::handlers::missing;
use super::message::{Reply, Request};
use crate::cmd::test::files::fill_in;

/// The largest file that is served, in bytes.
const LARGEST: u64 = 64 << 20;

/// What each ending is sent as.
const TYPES: &[(&str, &str)] = &[
    ("css", "text/css"),
    ("event_stream", "text/event-stream"),
    ("gif", "image/gif"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("idl", "text/plain"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("mjs", "text/javascript"),
    ("mp3", "audio/mpeg"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("xhtml", "application/xhtml+xml"),
    ("xht", "application/xhtml+xml"),
    ("xml", "application/xml"),
];

/// A file of the checkout, or why there is none.
pub(super) async fn file(request: &Request, path: &str, root: &Path) -> Reply {
    let (root, name) = (root.to_owned(), path.to_owned());
    let read = tokio::task::spawn_blocking(move || Found::read(&root, &name)).await;
    let Ok(Some(found)) = read else {
        return missing(request, ", which is not in this checkout");
    };
    if path.ends_with(".asis") {
        return Reply::raw(found.bytes);
    }
    if !matches!(&*request.method, "GET" | "HEAD" | "OPTIONS") {
        return Reply::plain(405, "a file takes GET and HEAD");
    }
    let is_template = path.rsplit('/').next().is_some_and(|file| file.contains(".sub."));
    let given = |what: &str| of_request(request, what);
    let mut reply = Reply::new(200, if is_template { fill_in(&found.bytes, &given) } else { found.bytes });
    let ending = path.rsplit('.').next().unwrap_or_default();
    let kind = TYPES.iter().find(|(known, _)| *known == ending).map(|(_, kind)| *kind);
    reply = reply.with("Content-Type", kind.unwrap_or("application/octet-stream"));
    for line in found.headers {
        if let Some((name, value)) = line.split_once(':') {
            let value = fill_in(value.trim().as_bytes(), &given);
            // Two of a file's own are two.
            let is_type = name.trim().eq_ignore_ascii_case("content-type");
            reply = if is_type { reply.setting(name.trim(), value) } else { reply.with(name.trim(), value) };
        }
    }
    let pipes = request.text("pipe");
    for pipe in split(&pipes, '|').into_iter().filter(|pipe| !pipe.trim().is_empty()) {
        reply = match piped(reply, pipe.trim(), &given) {
            Some(reply) => reply,
            None => return missing(request, &format!("piped through {}", ascii(pipe))),
        };
    }
    reply
}

/// A pipe's name as a field's value can have it.
fn ascii(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(100).collect()
}

/// What a template's `{{…}}` stands for, as far as that is said by the request.
fn of_request(request: &Request, what: &str) -> Option<String> {
    let argument = |name: &str| what.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']');
    if let Some(name) = argument("GET") {
        return Some(request.text(name));
    }
    if let Some(name) = argument("headers") {
        return Some(String::from_utf8_lossy(&request.joined(name)?).into_owned());
    }
    match what {
        "location[path]" | "location[pathname]" => Some(request.path.clone()),
        "location[query]" => Some(format!("?{}", request.query)),
        _ => {
            let inner = what.strip_prefix("header_or_default(")?.strip_suffix(')')?;
            let (name, other) = inner.split_once(',')?;
            let value = request.joined(name.trim());
            Some(value.map_or_else(
                || other.trim().to_owned(),
                |value| String::from_utf8_lossy(&value).into_owned(),
            ))
        }
    }
}

/// A file of the checkout, with what its `.headers` files say.
struct Found {
    bytes: Vec<u8>,
    headers: Vec<String>,
}

impl Found {
    fn read(root: &Path, name: &str) -> Option<Self> {
        let bytes = match inside(root, name) {
            Some(path) => std::fs::read(path).ok()?,
            None => testing::stand_in(name)?.into(),
        };
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        let (stem, ending) = file.rsplit_once('.').unwrap_or((file, ""));
        let mut headers = Vec::new();
        // A file's own come last, and so hold.
        for sidecar in [
            format!("{folder}/__dir__.headers"),
            format!("{folder}/{file}.headers"),
            format!("{folder}/{file}.sub.headers"),
            format!("{folder}/{stem}.sub.{ending}.headers"),
        ] {
            let path = inside(root, sidecar.trim_start_matches('/'));
            let bytes = path.and_then(|path| std::fs::read(path).ok());
            // Latin-1, as fields are; they are sent as they stand.
            let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
            headers.extend(text.lines().map(str::to_owned));
        }
        Some(Self { bytes, headers })
    }
}

/// A file's path, if there is such a file, not too large, in this folder: no `..` and no link leads out of it.
fn inside(root: &Path, name: &str) -> Option<PathBuf> {
    if name.split(['/', '\\']).any(|part| part == ".." || part.starts_with(".git")) || name.contains('\0') {
        return None;
    }
    let path = root.join(name.trim_start_matches('/')).canonicalize().ok()?;
    let meta = path.metadata().ok()?;
    (path.starts_with(root) && meta.is_file() && meta.len() <= LARGEST).then_some(path)
}

/// Splits at a character that is in no parentheses, and that no `\` is in front of.
fn split(text: &str, at: char) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut escaped) = (Vec::new(), 0, 0usize, false);
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if c == at && depth == 0 => {
                parts.push(&text[start..index]);
                start = index + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A response behind a pipe; `None` if there is no such pipe here.
fn piped(reply: Reply, pipe: &str, given: &dyn Fn(&str) -> Option<String>) -> Option<Reply> {
    let (name, rest) = pipe.split_once('(').unwrap_or((pipe, ""));
    let arguments = rest.strip_suffix(')').unwrap_or(rest);
    let plain = |text: &str| text.trim().replace('\\', "");
    match name {
        "sub" => Some(reply.map(|body| fill_in(&body, given))),
        "status" => Some(reply.at_status(arguments.trim().parse().ok()?, None)),
        "header" => {
            let arguments = split(arguments, ',');
            let (name, value) = (plain(arguments.first()?), plain(arguments.get(1)?));
            let appends = arguments.get(2).is_some_and(|flag| plain(flag).eq_ignore_ascii_case("true"));
            Some(if appends { reply.with(name, value) } else { reply.setting(&name, value) })
        }
        "slice" => {
            let bound = |text: Option<&&str>| {
                text.map(|text| text.trim()).filter(|text| *text != "null")?.parse().ok()
            };
            let arguments = split(arguments, ',');
            let (from, to): (Option<usize>, Option<usize>) =
                (bound(arguments.first()), bound(arguments.get(1)));
            Some(reply.map(|body| {
                let to = to.unwrap_or(body.len()).min(body.len());
                body[from.unwrap_or(0).min(to)..to].to_vec()
            }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_are_split_outside_of_parentheses() {
        assert_eq!(split("a(1|2)|b", '|'), ["a(1|2)", "b"]);
        assert_eq!(split("a,b\\,c", ','), ["a", "b\\,c"]);
    }

    #[test]
    fn only_files_within_the_checkout_are_served() {
        let folder = std::env::temp_dir().join(format!("nexus-site-{}", std::process::id()));
        let root = folder.join("root");
        std::fs::create_dir_all(root.join(".git")).unwrap();
        for name in ["root/a.txt", "root/.git/config", "secret"] {
            std::fs::write(folder.join(name), "x").unwrap();
        }
        std::os::unix::fs::symlink(folder.join("secret"), root.join("link")).unwrap();
        let root = root.canonicalize().unwrap();
        assert!(inside(&root, "a.txt").is_some());
        for name in ["", "../secret", "/../secret", "link", ".git/config", "a.txt\0", "/etc/passwd", "."] {
            assert!(inside(&root, name).is_none(), "{name:?}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
