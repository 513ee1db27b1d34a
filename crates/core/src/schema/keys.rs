//! Every key of `nexus.toml` and `nexus-host.toml`: its kind with its range, its default, what it says,
//! and why the default is what it is.

mod host;
mod manifest;

use super::kind::Kind;
use crate::limits::{self, Limit};
pub(crate) use host::HOST;
pub(crate) use manifest::MANIFEST;

/// What a file may hold.
pub(crate) struct Schema {
    /// The file's usual name.
    pub(crate) file: &'static str,
    /// What the file is for.
    pub(crate) doc: &'static str,
    /// Its tables, in the order of the documentation.
    pub(crate) tables: &'static [Table],
}

/// A table of a file.
pub(crate) struct Table {
    /// Its name, with dots: `defaults.limits`.
    pub(crate) path: &'static str,
    /// What it is for.
    pub(crate) doc: &'static str,
    /// Its keys.
    pub(crate) keys: Keys,
}

/// The keys of a table.
pub(crate) enum Keys {
    /// These and no others.
    Listed(&'static [Key]),
    /// An array of tables, `[[path]]`, each with these keys and no others.
    Each(&'static [Key]),
    /// Variables of any name that is a variable's, each with text.
    Variables,
    /// Tables of any name that is one, each with one of the keys `one_of`, if there are any, and with others of these.
    Named { names: Names, keys: &'static [Key], one_of: &'static [&'static str] },
}

/// What the names of tables may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// Those of variables.
    Variables,
    /// As apps' names.
    Plain,
}

/// A key of a table.
pub(crate) struct Key {
    /// Its name.
    pub(crate) name: &'static str,
    /// What its value may be.
    pub(crate) kind: Kind,
    /// What holds where it is not set.
    pub(crate) fallback: Fallback,
    /// What it says, in one sentence.
    pub(crate) doc: &'static str,
    /// Why the default is what it is, in one sentence.
    pub(crate) reason: &'static str,
}

/// What holds where a key is not set.
#[derive(Clone, Copy)]
pub(crate) enum Fallback {
    /// Its table must set it.
    Required,
    /// No value; the words say what then holds.
    Nothing(&'static str),
    /// This value, in TOML.
    Value(&'static str),
}

const HOUR: u64 = 3600 * 1000;
const DAY: u64 = 24 * HOUR;

/// The most workers of an app that can be asked for.
const MOST_WORKERS: i64 = 32;

static LIMITS: [Key; Limit::ALL.len()] = limits::keys(false);

impl Schema {
    /// The table of that path.
    pub(crate) fn table(&self, path: &str) -> Option<&'static Table> {
        self.tables.iter().find(|table| table.path == path)
    }

    /// The key of that path: `http.port`, `bindings.CACHE.access`.
    pub(crate) fn key(&self, path: &str) -> Option<&'static Key> {
        let (table, name) = path.rsplit_once('.')?;
        let named = || {
            let parent = self.table(table.rsplit_once('.')?.0)?;
            matches!(parent.keys, Keys::Named { .. }).then_some(parent)
        };
        self.table(table).or_else(named)?.key(name)
    }
}

impl Table {
    /// The listed keys.
    pub(crate) fn listed(&self) -> &'static [Key] {
        match &self.keys {
            Keys::Listed(keys) | Keys::Each(keys) | Keys::Named { keys, .. } => keys,
            Keys::Variables => &[],
        }
    }

    /// Its header: `[http]`, `[[routes]]`.
    pub(crate) fn header(&self) -> String {
        match self.keys {
            Keys::Each(_) => format!("[[{}]]", self.path),
            _ => format!("[{}]", self.path),
        }
    }

    /// The listed key of that name.
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.listed().iter().find(|key| key.name == name)
    }
}
