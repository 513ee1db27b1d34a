//! What a transaction comes to, and what a page holds: the same for all engines.

use std::collections::HashMap;

use bytes::Bytes;
use nexus_core::Limit;
use nexus_guest::{
    CapabilityError, KvChange, KvEntry, KvKey, KvList, KvListed, KvPage, KvTransaction, KvVersion, KvWritten,
};

use super::{cost, has_expired};

/// What there is of a key before a transaction. Expired entries are there as well.
pub(super) struct Old {
    pub(super) version: KvVersion,
    pub(super) expires: Option<u64>,
    pub(super) metadata: Option<Box<str>>,
    /// What it counts.
    pub(super) cost: u64,
    /// Whether its value is kept apart.
    pub(super) is_long: bool,
}

/// Where transactions find what there is.
pub(super) trait Rows {
    /// Why it is not to be had, or why the transaction is refused.
    type Fault: std::convert::From<CapabilityError>;

    fn old(&self, key: &KvKey) -> Result<Option<Old>, Self::Fault>;

    fn value(&self, key: &KvKey) -> Result<Option<Bytes>, Self::Fault>;
}

/// What is to be done for a transaction.
pub(super) struct Plan {
    /// Each key that changes, once, with what there was and what there is to be.
    pub(super) changes: Vec<(KvKey, Option<Old>, Option<KvEntry>)>,
    /// How many bytes the owner's namespaces have afterwards.
    pub(super) bytes: u64,
    pub(super) written: KvWritten,
}

/// What a transaction comes to, which is to have this version, where the owner's namespaces have `bytes` of `quota`.
pub(super) fn plan<R: Rows>(
    transaction: KvTransaction,
    version: KvVersion,
    now: u64,
    (bytes, quota): (u64, u64),
    rows: &R,
) -> Result<Plan, R::Fault> {
    for (key, expected) in &transaction.checks {
        let old = rows.old(key)?.filter(|old| !has_expired(old.expires, now));
        if old.map(|old| old.version) != *expected {
            let written = KvWritten { version: None, sums: Vec::new() };
            return Ok(Plan { changes: Vec::new(), bytes, written });
        }
    }
    let mut changes: Vec<(KvKey, Option<Old>, Option<KvEntry>)> =
        Vec::with_capacity(transaction.changes.len());
    let mut places: HashMap<KvKey, usize> = HashMap::new();
    let mut sums = Vec::new();
    for (key, change) in transaction.changes {
        let (place, is_first) = match places.get(&key) {
            Some(place) => (*place, false),
            None => {
                let old = rows.old(&key)?;
                places.insert(key.clone(), changes.len());
                changes.push((key.clone(), old, None));
                (changes.len() - 1, true)
            }
        };
        let entry = match change {
            KvChange::Put { value, metadata, expires } => Some(KvEntry { value, metadata, expires, version }),
            KvChange::Delete => None,
            KvChange::Add(number) => {
                let (_, old, new) = &changes[place];
                let live = old.as_ref().filter(|old| is_first && !has_expired(old.expires, now));
                let (value, metadata, expires) = match (live, new) {
                    (Some(old), _) => (rows.value(&key)?, old.metadata.clone(), old.expires),
                    (None, Some(new)) => (Some(new.value.clone()), new.metadata.clone(), new.expires),
                    (None, None) => (None, None, None),
                };
                let sum = add(value.as_deref(), number)?;
                sums.push(sum);
                Some(KvEntry { value: sum.to_string().into(), metadata, expires, version })
            }
        };
        changes[place].2 = entry;
    }
    let freed: u64 = changes.iter().filter_map(|(_, old, _)| old.as_ref()).map(|old| old.cost).sum();
    let taken: u64 =
        changes.iter().filter_map(|(key, _, new)| new.as_ref().map(|new| entry_cost(key, new))).sum();
    let after = bytes.saturating_sub(freed).saturating_add(taken);
    if after > quota && taken > freed {
        return Err(CapabilityError::Full(Limit::KvStorage, quota).into());
    }
    Ok(Plan { changes, bytes: after, written: KvWritten { version: Some(version), sums } })
}

/// What an entry counts.
pub(super) fn entry_cost(key: &KvKey, entry: &KvEntry) -> u64 {
    cost(key.as_str().len(), entry.value.len(), entry.metadata.as_ref().map_or(0, |text| text.len()))
}

fn add(value: Option<&[u8]>, number: i64) -> Result<i64, CapabilityError> {
    let invalid = |why: &str| CapabilityError::Invalid(why.to_owned());
    let before = match value {
        None => 0,
        Some(value) => {
            let text = std::str::from_utf8(value).ok();
            text.and_then(|text| text.parse().ok()).ok_or_else(|| invalid("the value is no number"))?
        }
    };
    number.checked_add(before).ok_or_else(|| invalid("the sum is beyond 64 bits"))
}

/// How many entries a page goes through at most: those that have expired may be many.
const MOST_SEEN: usize = 10_000;

/// The first key that a page may have.
pub(super) enum From<'a> {
    /// This, or what comes behind it.
    At(&'a str),
    /// What comes behind this.
    Behind(&'a str),
}

/// Where a page begins.
pub(super) fn begin(list: &KvList) -> From<'_> {
    match &list.after {
        Some(after) if *after >= list.prefix => From::Behind(after),
        _ => From::At(&list.prefix),
    }
}

/// A page of the entries that `rows` gives from its [`begin`] on, in order.
pub(super) fn page<E>(
    list: &KvList,
    now: u64,
    rows: impl Iterator<Item = Result<KvListed, E>>,
) -> Result<KvPage, E> {
    let mut keys = Vec::new();
    let mut last: Option<Box<str>> = None;
    for (seen, row) in rows.enumerate() {
        let row = row?;
        if !row.key.starts_with(&*list.prefix) {
            break;
        }
        if keys.len() == list.limit || seen == MOST_SEEN {
            return Ok(KvPage { keys, next: last });
        }
        last = Some(row.key.clone());
        if !has_expired(row.expires, now) {
            keys.push(row);
        }
    }
    Ok(KvPage { keys, next: None })
}
