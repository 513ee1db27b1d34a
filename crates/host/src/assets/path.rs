//! From a request's path to the path of a file beneath the assets' folder.

use crate::percent;

/// What a request's path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AssetPath {
    /// The file's path from the assets' folder: for a path that ends in `/` the folder's index.
    pub(super) file: String,
    /// Whether the path ended in `/`.
    pub(super) folder: bool,
}

/// The file that a folder's URL shows.
pub(super) const INDEX: &str = "index.html";

/// The path of a request's target (still percent-encoded, without the query); `None` if no asset can have it.
///
/// It is decoded once. Refused are segments that are empty (so that a redirect never starts with `//`, which would name
/// a host), `.`, `..`, or hidden (with a dot in front; but `/.well-known/` of RFC 8615 is there to be seen), and
/// slashes, backslashes and control characters from encoding.
pub(super) fn parse(path: &str) -> Option<AssetPath> {
    let path = path.strip_prefix('/')?;
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let folder = path.is_empty() || path.ends_with('/');
    let mut file = String::with_capacity(path.len() + INDEX.len());
    let inner = path.strip_suffix('/').unwrap_or(path);
    if !inner.is_empty() || path == "/" {
        for (at, segment) in inner.split('/').enumerate() {
            let segment = percent::decode(segment)?;
            let hidden = segment.starts_with('.') && !(at == 0 && segment == ".well-known");
            let unfit = |c: char| matches!(c, '/' | '\\') || c.is_control();
            if segment.is_empty() || hidden || segment.contains(unfit) {
                return None;
            }
            if at > 0 {
                file.push('/');
            }
            file.push_str(&segment);
        }
    }
    if folder {
        if !file.is_empty() {
            file.push('/');
        }
        file.push_str(INDEX);
    }
    Some(AssetPath { file, folder })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_is_decoded_once_and_a_folder_is_its_index() {
        for (path, file) in [
            ("/", "index.html"),
            ("/a.txt", "a.txt"),
            ("/sub/", "sub/index.html"),
            ("/a%20b/%c3%a4%2525.txt", "a b/ä%25.txt"),
            ("/.well-known/security.txt", ".well-known/security.txt"),
        ] {
            assert_eq!(parse(path).unwrap().file, file, "{path}");
        }
    }

    #[test]
    fn what_no_asset_can_be_called_is_refused() {
        for path in [
            "",
            "a",
            "*",
            "//",
            "//evil.example",
            "/a//b",
            "/.",
            "/..",
            "/../a",
            "/a/..",
            "/%2e%2e/a",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/%0a",
            "/.git/config",
            "/a/.hidden",
            "/%2ehidden",
            "/a/.well-known/x",
            "/%ff",
            "/%zz",
            "/ä",
            "/a b",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_files_path_is_relative_and_plain(path in "(/|/(%[0-9a-fA-F]{2}|[.a/\\\\%]){0,12})") {
            if let Some(AssetPath { file, .. }) = parse(&path) {
                prop_assert!(file.split('/').all(|s| !s.is_empty() && !s.starts_with('.')), "{} {}", path, file);
                prop_assert!(!file.contains(['\\', '\0']));
            }
        }
    }
}
