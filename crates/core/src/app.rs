//! An app: a folder, its manifest, its name.

use std::fmt;
use std::path::PathBuf;

use crate::Manifest;

/// An app as it is known to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// The folder with the manifest and the code.
    pub folder: PathBuf,
    /// What the manifest says, or the defaults where there is none.
    pub manifest: Manifest,
    /// The main file, relative to the folder, with `/`; `None` for an app of static files only.
    pub main: Option<String>,
}

impl App {
    /// The main files that are looked for, in this order, where the manifest names none.
    pub const MAIN_FILES: [&str; 4] = ["index.js", "index.mjs", "index.wasm", "app.wasm"];
    /// How the names of main files end: JavaScript modules and WebAssembly.
    pub const MAIN_ENDINGS: [&str; 3] = [".js", ".mjs", ".wasm"];
    /// How the names of the modules end that `[[routes]]` lead to.
    pub const MODULE_ENDINGS: [&str; 2] = [".js", ".mjs"];

    /// The path of a main file in its normal form, without a leading `./`.
    ///
    /// # Errors
    /// Why no app can have this main file, in one line: it may lie outside of the app's folder, or its
    /// name does not end in one of [`MAIN_ENDINGS`](Self::MAIN_ENDINGS).
    pub fn main_file(path: &str) -> Result<String, String> {
        crate::schema::main_file(path)
    }

    /// The app's name.
    pub fn name(&self) -> &AppName {
        &self.manifest.name
    }
}

/// An app's name: 1 to 63 of `a-z 0-9 - _ .`, the first a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppName(Box<str>);

impl AppName {
    /// The longest name, in characters.
    pub const MAX: usize = 63;

    /// The name, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let first = text.bytes().next()?.is_ascii_alphanumeric();
        let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
        (first && text.len() <= Self::MAX && text.bytes().all(fine)).then(|| Self(text.into()))
    }

    /// The name that a folder gives its app: in lower case, with `-` for what a name does not hold;
    /// `None` if that leaves no letter and no digit.
    pub fn from_folder(folder: &str) -> Option<Self> {
        let fine = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
        let name: String = folder.to_lowercase().chars().map(fine).collect();
        let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        // All of it is ASCII by now, so any byte is a place to cut.
        let name = name[..name.len().min(Self::MAX)].trim_end_matches('-');
        Self::parse(name)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AppName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_short_and_plain() {
        for fine in ["a", "0", "my-app_2.x", &"a".repeat(63)] {
            assert!(AppName::parse(fine).is_some(), "{fine}");
        }
        for bad in ["", "-a", ".a", "A", "a b", "ä", "a/b", &"a".repeat(64)] {
            assert!(AppName::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_folder_gives_its_app_a_name() {
        for (folder, name) in
            [("shop", "shop"), ("My App!", "my-app"), ("_x", "x"), (".Hidden", "hidden"), ("a b", "a-b")]
        {
            assert_eq!(AppName::from_folder(folder).unwrap().as_str(), name, "{folder}");
        }
        for none in ["", "...", "日本語", "-"] {
            assert_eq!(AppName::from_folder(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn a_folder_with_a_letter_gives_a_name(before in "\\PC{0,10}", letter in "[a-zA-Z0-9]", after in "\\PC{0,90}") {
            let folder = format!("{before}{letter}{after}");
            prop_assert!(AppName::from_folder(&folder).is_some());
        }
    }
}
