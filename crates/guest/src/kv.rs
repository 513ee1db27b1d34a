//! The `kv` capability: a namespace of a key-value store.
//!
//! Keys are in the order of their UTF-8 bytes. A read sees every write that was answered before. What is written in one
//! call is written whole or not at all, and is on disk when it is answered, if the provider keeps anything there.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use nexus_core::Access;

use crate::{Answer, Hold, RequestId};

/// A namespace, as one binding of one worker's guest has it.
pub trait Kv {
    /// Has an operation carried out, in the name of this request; `None` while the app is loaded, and of its own. What the
    /// operation brings is in `hold` already; what it gives comes to it.
    fn call(
        &self,
        caller: Option<RequestId>,
        operation: KvOperation,
        hold: Box<dyn Hold>,
    ) -> Answer<KvAnswer>;
}

/// What is asked of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvOperation {
    /// The entries of these keys. Answered with [`KvAnswer::Entries`].
    Get(Vec<KvKey>),
    /// Keys in order. Answered with [`KvAnswer::Page`].
    List(KvList),
    /// Changes, all of them or none. Answered with [`KvAnswer::Written`].
    Write(KvTransaction),
}

impl KvOperation {
    /// The most keys that are asked for at once, and the most changes and checks of a transaction.
    pub const MOST_KEYS: usize = 100;
    /// The most keys of a page.
    pub const MOST_LISTED: usize = 1000;

    /// Its name in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            KvOperation::Get(_) => "get",
            KvOperation::List(_) => "list",
            KvOperation::Write(_) => "write",
        }
    }

    /// What it needs.
    pub fn access(&self) -> Access {
        match self {
            KvOperation::Get(_) | KvOperation::List(_) => Access::Read,
            KvOperation::Write(_) => Access::Write,
        }
    }
}

/// What comes of a [`KvOperation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvAnswer {
    /// For each key its entry, or that there is none.
    Entries(Vec<Option<KvEntry>>),
    /// A page of keys.
    Page(KvPage),
    /// What was written.
    Written(KvWritten),
}

/// A key: 1 to 512 bytes of UTF-8, and neither `.` nor `..`, as with Workers KV.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KvKey(Box<str>);

impl KvKey {
    /// The longest key, in bytes.
    pub const MAX: usize = 512;

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KvKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is no [`KvKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvKeyError {
    /// It is empty.
    Empty,
    /// It has so many bytes.
    Long(usize),
    /// It is `.` or `..`.
    Dots,
}

impl fmt::Display for KvKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KvKeyError::Empty => f.write_str("a key is not empty"),
            KvKeyError::Long(length) => write!(f, "a key has at most {} bytes, not {length}", KvKey::MAX),
            KvKeyError::Dots => f.write_str("a key is neither `.` nor `..`"),
        }
    }
}

impl std::error::Error for KvKeyError {}

impl FromStr for KvKey {
    type Err = KvKeyError;

    fn from_str(text: &str) -> Result<Self, KvKeyError> {
        match text {
            "" => Err(KvKeyError::Empty),
            "." | ".." => Err(KvKeyError::Dots),
            long if long.len() > Self::MAX => Err(KvKeyError::Long(long.len())),
            fine => Ok(Self(fine.into())),
        }
    }
}

/// A version of an entry. Each write has a greater one than all writes before it in the same namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KvVersion(pub u64);

impl fmt::Display for KvVersion {
    /// 16 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a key has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvEntry {
    /// The value.
    pub value: Bytes,
    /// What was put beside it: JSON.
    pub metadata: Option<Box<str>>,
    /// When it is no more, in seconds since 1970.
    pub expires: Option<u64>,
    /// The write that made it.
    pub version: KvVersion,
}

impl KvEntry {
    /// The largest value, in bytes.
    pub const MAX_VALUE: usize = 25 << 20;
    /// The largest metadata, in bytes.
    pub const MAX_METADATA: usize = 1024;
}

/// Which keys are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvList {
    /// How they begin.
    pub prefix: String,
    /// Behind which one the page begins: any text, which need not be a key.
    pub after: Option<String>,
    /// How many at most, from 1 to [`KvOperation::MOST_LISTED`].
    pub limit: usize,
}

/// Keys in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvPage {
    /// The keys.
    pub keys: Vec<KvListed>,
    /// Behind which text the next page begins; `None` if this is the last. A page may have fewer keys than were asked for,
    /// or none, and not be the last: what has expired takes time to pass, too.
    pub next: Option<Box<str>>,
}

/// A key of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvListed {
    /// The key.
    pub key: Box<str>,
    /// As of the entry.
    pub metadata: Option<Box<str>>,
    /// As of the entry.
    pub expires: Option<u64>,
}

/// Changes that are made together, if all checks hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KvTransaction {
    /// The versions that keys must have; `None` is no entry.
    pub checks: Vec<(KvKey, Option<KvVersion>)>,
    /// The changes, in order: a later one of the same key sees the earlier.
    pub changes: Vec<(KvKey, KvChange)>,
}

impl KvTransaction {
    /// How many bytes it brings.
    pub fn size(&self) -> usize {
        let checks = self.checks.iter().map(|(key, _)| key.as_str().len() + 16);
        let changes = self.changes.iter().map(|(key, change)| key.as_str().len() + 32 + change.size());
        checks.chain(changes).sum()
    }
}

/// A change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvChange {
    /// A value, in place of whatever there is.
    Put {
        /// The value.
        value: Bytes,
        /// What is put beside it: JSON.
        metadata: Option<Box<str>>,
        /// When it is to be no more, in seconds since 1970.
        expires: Option<u64>,
    },
    /// Away with it.
    Delete,
    /// So much is added to the number that the value is, in decimal ASCII; none is 0. The entry keeps its metadata and its
    /// end. A sum beyond 64 bits fails.
    Add(i64),
}

impl KvChange {
    fn size(&self) -> usize {
        match self {
            KvChange::Put { value, metadata, .. } => {
                value.len() + metadata.as_ref().map_or(0, |text| text.len())
            }
            KvChange::Delete | KvChange::Add(_) => 0,
        }
    }
}

/// What came of a [`KvTransaction`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvWritten {
    /// The version of all that was put; `None` if a check did not hold, and nothing was written.
    pub version: Option<KvVersion>,
    /// The sums, one for each [`KvChange::Add`].
    pub sums: Vec<i64>,
}
