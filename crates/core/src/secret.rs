//! `[secrets]`: values that an app finds in `env` and no file of the app's holds.

use std::fmt;
use std::str::FromStr;

use crate::env_file::is_variable_name;
use crate::schema::Values;

/// An entry of `[secrets]`: a name under which the app finds a value, and where the host has that from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSetting {
    /// The name, as a variable's.
    pub name: Box<str>,
    /// Where the value comes from.
    pub from: SecretSource,
}

impl SecretSetting {
    pub(crate) fn read(values: &Values) -> Vec<Self> {
        let secret = |(name, path): (String, String)| {
            Some(Self { name: name.into(), from: values.secret(&format!("{path}.from"))? })
        };
        values.named("secrets").into_iter().filter_map(secret).collect()
    }
}

/// Where a secret's value comes from: `file:token`, or `env:TOKEN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file of the app's in the host's storage folder.
    File(SecretFile),
    /// A variable of the host's environment.
    Env(VariableName),
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::File(file) => write!(f, "file:{file}"),
            SecretSource::Env(name) => write!(f, "env:{name}"),
        }
    }
}

impl FromStr for SecretSource {
    type Err = SecretSourceError;

    fn from_str(text: &str) -> Result<Self, SecretSourceError> {
        match text.split_once(':') {
            Some(("file", name)) => name.parse().map(Self::File).map_err(|_| SecretSourceError::File),
            Some(("env", name)) => name.parse().map(Self::Env).map_err(|_| SecretSourceError::Env),
            _ => Err(SecretSourceError::Kind),
        }
    }
}

/// Why a text is no [`SecretSource`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretSourceError {
    /// It begins with neither of the two words.
    Kind,
    /// The file's name is none.
    File,
    /// The variable's name is none.
    Env,
}

impl fmt::Display for SecretSourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSourceError::Kind => f.write_str(
                "write `file:NAME` for a file that `nexus secret put` makes, or `env:NAME` for a variable of the host",
            ),
            SecretSourceError::File => SecretFileError.fmt(f),
            SecretSourceError::Env => VariableNameError.fmt(f),
        }
    }
}

impl std::error::Error for SecretSourceError {}

/// The name of a secret's file, which is no path: 1 to 128 of `A-Z a-z 0-9 . _ -`, the first no dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretFile(Box<str>);

impl SecretFile {
    /// The longest name, in characters.
    pub const MAX: usize = 128;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SecretFile {
    type Err = SecretFileError;

    fn from_str(text: &str) -> Result<Self, SecretFileError> {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let is_name =
            (1..=Self::MAX).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(fine);
        is_name.then(|| Self(text.into())).ok_or(SecretFileError)
    }
}

/// A text that is no [`SecretFile`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretFileError;

impl fmt::Display for SecretFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a secret's file is no path: its name is 1 to 128 of `A-Z a-z 0-9 . _ -`, the first no dot",
        )
    }
}

impl std::error::Error for SecretFileError {}

/// The name of a variable: letters, digits and `_`, the first no digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VariableName(Box<str>);

impl VariableName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for VariableName {
    type Err = VariableNameError;

    fn from_str(text: &str) -> Result<Self, VariableNameError> {
        is_variable_name(text).then(|| Self(text.into())).ok_or(VariableNameError)
    }
}

/// A text that is no [`VariableName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VariableNameError;

impl fmt::Display for VariableNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a variable's name holds letters, digits and `_`, and starts with no digit")
    }
}

impl std::error::Error for VariableNameError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_source_is_a_file_by_a_plain_name_or_a_variable() {
        for fine in ["file:token", "file:Token_2.txt", "file:-", "env:TOKEN", "env:_"] {
            assert_eq!(fine.parse::<SecretSource>().unwrap().to_string(), fine);
        }
        let long = format!("file:{}", "a".repeat(129));
        for (bad, error) in [
            ("", SecretSourceError::Kind),
            ("token", SecretSourceError::Kind),
            ("File:token", SecretSourceError::Kind),
            ("file:", SecretSourceError::File),
            ("file:..", SecretSourceError::File),
            ("file:.token", SecretSourceError::File),
            ("file:a/b", SecretSourceError::File),
            ("file:/etc/passwd", SecretSourceError::File),
            ("file:a\\b", SecretSourceError::File),
            ("file:a b", SecretSourceError::File),
            (&long, SecretSourceError::File),
            ("env:", SecretSourceError::Env),
            ("env:1A", SecretSourceError::Env),
            ("env:A-B", SecretSourceError::Env),
        ] {
            assert_eq!(bad.parse::<SecretSource>(), Err(error), "{bad}");
            assert!(!error.to_string().is_empty());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_source_or_an_error(text in "((file|env):)?(\\PC{0,12}|[A-Za-z0-9._/-]{0,140})") {
            if let Ok(source) = text.parse::<SecretSource>() {
                prop_assert_eq!(source.to_string(), text);
                if let SecretSource::File(file) = source {
                    let path = std::path::Path::new(file.as_str());
                    prop_assert_eq!(path.components().count(), 1);
                    prop_assert!(matches!(path.components().next(), Some(std::path::Component::Normal(_))));
                }
            }
        }
    }
}
