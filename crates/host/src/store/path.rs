//! Paths within an app's folder, as strangers send them.

use std::fmt;

use super::UploadLimits;

/// The longest name of a file or folder, in bytes: what file systems take.
const NAME: usize = 255;

/// How many characters of a path an error shows.
const SHOWN: usize = 200;

/// A path that leads to a place in the app's folder whatever it is joined to: relative, with `/`, of names
/// that are neither empty nor `.` nor `..`, without a backslash or a control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EntryPath(String);

/// Why a path is none that can be deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PathError {
    /// It is none that an app's folder can have.
    Wrong(&'static str),
    /// It is over a limit.
    Over(String),
}

impl EntryPath {
    /// The path, if it is one and within the limits.
    ///
    /// # Errors
    /// Why it is not, as the rest of a sentence that starts with the path.
    pub(super) fn parse(path: &[u8], limits: &UploadLimits) -> Result<Self, PathError> {
        if path.len() > limits.path {
            return Err(PathError::Over(format!("is longer than {} bytes", limits.path)));
        }
        let path = str::from_utf8(path).map_err(|_| PathError::Wrong("is not UTF-8"))?;
        if path.is_empty() {
            return Err(PathError::Wrong("is empty"));
        }
        if path.starts_with('/') {
            return Err(PathError::Wrong("is absolute"));
        }
        if path.contains('\\') {
            return Err(PathError::Wrong("has a backslash"));
        }
        if path.contains(char::is_control) {
            return Err(PathError::Wrong("has a control character"));
        }
        for name in path.split('/') {
            match name {
                "" => return Err(PathError::Wrong("has an empty name")),
                "." => return Err(PathError::Wrong("has a `.`")),
                ".." => return Err(PathError::Wrong("has a `..`")),
                name if name.len() > NAME => {
                    return Err(PathError::Over(format!("has a name longer than {NAME} bytes")));
                }
                _ => {}
            }
        }
        if path.split('/').count() > limits.depth {
            return Err(PathError::Over(format!("is more than {} folders deep", limits.depth)));
        }
        Ok(Self(path.to_owned()))
    }

    /// The path as text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The folders on the way, from the top.
    pub(super) fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(end, _)| &self.0[..end])
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(why) => f.write_str(why),
            Self::Over(why) => f.write_str(why),
        }
    }
}

/// A path for an error, whatever it holds: in one line, and not too long.
pub(super) fn shown(path: &[u8]) -> String {
    // A character has four bytes at most, so this cuts none of those that are shown.
    let start = String::from_utf8_lossy(&path[..path.len().min(4 * SHOWN)]).into_owned();
    let cut = start.chars().nth(SHOWN).is_some();
    let start: String = start.chars().take(SHOWN).collect();
    format!("`{}{}`", start.escape_debug(), if cut { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    fn parse(path: &str) -> Result<EntryPath, PathError> {
        EntryPath::parse(path.as_bytes(), &UploadLimits::default())
    }

    #[test]
    fn a_path_is_relative_and_plain() {
        for fine in ["a", "a/b.js", "a b/ä.js", "...", "..a/b..", ".well-known/x", &"a/".repeat(31).add("a")]
        {
            assert_eq!(parse(fine).unwrap().as_str(), fine);
        }
        for (bad, why) in [
            ("", "is empty"),
            ("/etc/passwd", "is absolute"),
            ("//a", "is absolute"),
            ("..", "has a `..`"),
            ("a/../../b", "has a `..`"),
            ("./a", "has a `.`"),
            ("a/.", "has a `.`"),
            ("a//b", "has an empty name"),
            ("a/", "has an empty name"),
            ("..\\a", "has a backslash"),
            ("a\0b", "has a control character"),
            ("a\nb", "has a control character"),
            ("a\u{85}", "has a control character"),
            (&"a/".repeat(32).add("a"), "is more than 32 folders deep"),
            (&"a".repeat(256), "has a name longer than 255 bytes"),
            (&"a".repeat(513), "is longer than 512 bytes"),
        ] {
            assert_eq!(parse(bad).unwrap_err().to_string(), why, "{bad:?}");
        }
        let error = EntryPath::parse(b"a\xff", &UploadLimits::default()).unwrap_err();
        assert_eq!(error.to_string(), "is not UTF-8");
    }

    #[test]
    fn the_folders_on_the_way_come_from_the_top() {
        let path = parse("a/b c/d.js").unwrap();
        assert_eq!(path.folders().collect::<Vec<_>>(), ["a", "a/b c"]);
        assert_eq!(parse("a").unwrap().folders().count(), 0);
    }

    #[test]
    fn a_path_is_shown_in_one_short_line() {
        assert_eq!(shown(b"a\n\x1b[2J"), "`a\\n\\u{1b}[2J`");
        assert!(shown(&[0xff; 5000]).len() < 1000);
        assert!(shown("ä".repeat(5000).as_bytes()).ends_with("ä…`"));
    }

    trait Add {
        fn add(self, end: &str) -> String;
    }

    impl Add for String {
        fn add(mut self, end: &str) -> String {
            self.push_str(end);
            self
        }
    }

    proptest! {
        #[test]
        fn what_is_a_path_stays_beneath_the_folder(path in "[a/.\\\\\0ä\u{202e} ]{0,12}") {
            if let Ok(path) = parse(&path) {
                let normal = |component| matches!(component, Component::Normal(_));
                prop_assert!(Path::new(path.as_str()).components().all(normal));
                prop_assert_eq!(Path::new(path.as_str()).components().count(), path.folders().count() + 1);
            }
        }
    }
}
