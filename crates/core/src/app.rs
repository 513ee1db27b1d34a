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
    /// The app's name.
    pub fn name(&self) -> &AppName {
        &self.manifest.name
    }
}

/// An app's name: 1 to 63 of `a-z 0-9 - _ .`, the first a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppName(Box<str>);

impl AppName {
    /// The name, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let first = text.bytes().next()?.is_ascii_alphanumeric();
        let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
        (first && text.len() <= 63 && text.bytes().all(fine)).then(|| Self(text.into()))
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
