//! `[providers]` of the host's configuration: what keeps data for apps, and how.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::ResourcePart;
use crate::schema::Values;

/// An entry of `[providers]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its name.
    pub name: ResourcePart,
    /// How it is.
    pub config: ProviderConfig,
}

/// What a provider is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderConfig {
    /// What carries its calls out.
    pub kind: ProviderKind,
    /// How long a call may take.
    pub timeout: Duration,
    /// Where it keeps what it keeps, if that is said.
    pub folder: Option<PathBuf>,
}

impl Default for ProviderConfig {
    fn default() -> Self {
        Self { kind: ProviderKind::Redb, timeout: Self::TIMEOUT, folder: None }
    }
}

impl ProviderConfig {
    /// How long a call may take if nobody says otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(5);
}

/// What carries a provider's calls out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProviderKind {
    /// A key-value store in redb's files.
    Redb,
    /// A key-value store in memory, which ends with the host.
    Memory,
    /// Databases in SQLite's files.
    Sqlite,
    /// Databases in memory, which end with the host.
    SqliteMemory,
}

impl ProviderKind {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Redb, Self::Memory, Self::Sqlite, Self::SqliteMemory];
    /// Their words.
    pub(crate) const WORDS: [&str; 4] = ["redb", "memory", "sqlite", "sqlite-memory"];
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProviderKind::Redb => "redb",
            ProviderKind::Memory => "memory",
            ProviderKind::Sqlite => "sqlite",
            ProviderKind::SqliteMemory => "sqlite-memory",
        })
    }
}

/// A word that names no [`ProviderKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderKindError;

impl fmt::Display for ProviderKindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a provider's type is one of: {}", ProviderKind::WORDS.join(", "))
    }
}

impl std::error::Error for ProviderKindError {}

impl FromStr for ProviderKind {
    type Err = ProviderKindError;

    fn from_str(word: &str) -> Result<Self, ProviderKindError> {
        Self::ALL.into_iter().find(|kind| kind.to_string() == word).ok_or(ProviderKindError)
    }
}

impl Provider {
    pub(crate) fn read(values: &Values) -> Vec<Self> {
        let provider = |(name, path): (String, String)| {
            let key = |key: &str| format!("{path}.{key}");
            let config = ProviderConfig {
                kind: values.text(&key("type"))?.parse().ok()?,
                timeout: values.time(&key("timeout"))?,
                folder: values.text(&key("folder")).map(PathBuf::from),
            };
            Some(Self { name: name.parse().ok()?, config })
        };
        values.named("providers").into_iter().filter_map(provider).collect()
    }
}
