//! Namespaces in memory: for tests, and for what need not outlast the process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use nexus_core::{AppName, Resource, ResourcePart};
use nexus_guest::{
    Answer, CapabilityError, KvAnswer, KvEntry, KvKey, KvList, KvListed, KvOperation, KvPage, KvTransaction,
    KvVersion, KvWritten,
};

use super::plan::{From, Old, Rows, begin, entry_cost, page, plan};
use super::{KvEngine, MOST_PURGED, Work, cost, fits, has_expired, now};

/// Keeps namespaces in memory.
#[derive(Default)]
pub struct MemoryKv(Mutex<HashMap<AppName, Arc<Mutex<Space>>>>);

/// All namespaces of an app.
#[derive(Default)]
struct Space {
    namespaces: HashMap<ResourcePart, Namespace>,
    bytes: u64,
    version: u64,
}

#[derive(Default)]
struct Namespace {
    entries: BTreeMap<Box<str>, KvEntry>,
    /// When which key expires.
    ends: BTreeSet<(u64, Box<str>)>,
}

impl fmt::Debug for MemoryKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryKv")
    }
}

impl KvEngine for MemoryKv {
    fn call(&self, namespace: &Resource, quota: u64, operation: KvOperation, _: Work) -> Answer<KvAnswer> {
        // No app waits for what another one does.
        let space = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(namespace.owner.clone())
            .or_default()
            .clone();
        let mut space = space.lock().unwrap_or_else(PoisonError::into_inner);
        Answer::Now(match operation {
            KvOperation::Get(keys) => {
                let kept = space.namespaces.get(&namespace.part);
                let entry = |key: &KvKey| {
                    let entry = kept?.entries.get(key.as_str())?;
                    (!has_expired(entry.expires, now())).then(|| entry.clone())
                };
                let entries: Vec<Option<KvEntry>> = keys.iter().map(entry).collect();
                let bytes = entries.iter().flatten().map(|entry| entry.value.len()).sum();
                fits(bytes).map(|()| KvAnswer::Entries(entries))
            }
            KvOperation::List(list) => {
                let kept = space.namespaces.get(&namespace.part);
                Ok(KvAnswer::Page(
                    kept.map_or(KvPage { keys: Vec::new(), next: None }, |kept| kept.list(&list)),
                ))
            }
            KvOperation::Write(transaction) => {
                space.write(&namespace.part, quota, transaction).map(KvAnswer::Written)
            }
        })
    }

    fn release(&self, owner: &AppName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(owner);
    }
}

impl Space {
    fn write(
        &mut self,
        namespace: &ResourcePart,
        quota: u64,
        transaction: KvTransaction,
    ) -> Result<KvWritten, CapabilityError> {
        let now = now();
        let Self { namespaces, bytes, version } = self;
        let mut most = MOST_PURGED;
        for kept in namespaces.values_mut() {
            *bytes -= kept.purge(now, &mut most);
        }
        let kept = namespaces.entry(namespace.clone()).or_default();
        let plan = plan(transaction, KvVersion(*version + 1), now, (*bytes, quota), &View(kept))?;
        *bytes = plan.bytes;
        *version += 1;
        for (key, _, new) in plan.changes {
            kept.set(key.as_str().into(), new);
        }
        Ok(plan.written)
    }
}

impl Namespace {
    fn list(&self, list: &KvList) -> KvPage {
        let from: Bound<&str> = match begin(list) {
            From::At(key) => Bound::Included(key),
            From::Behind(key) => Bound::Excluded(key),
        };
        let listed = |key: &str, entry: &KvEntry| {
            let (metadata, expires) = (entry.metadata.clone(), entry.expires);
            Ok::<_, std::convert::Infallible>(KvListed { key: key.into(), metadata, expires })
        };
        let rows =
            self.entries.range::<str, _>((from, Bound::Unbounded)).map(|(key, entry)| listed(key, entry));
        page(list, now(), rows).unwrap_or_else(|never| match never {})
    }

    fn set(&mut self, key: Box<str>, entry: Option<KvEntry>) {
        let expires = entry.as_ref().and_then(|entry| entry.expires);
        let before = match entry {
            Some(entry) => self.entries.insert(key.clone(), entry),
            None => self.entries.remove(&key),
        };
        if let Some(at) = before.and_then(|before| before.expires) {
            self.ends.remove(&(at, key.clone()));
        }
        if let Some(at) = expires {
            self.ends.insert((at, key));
        }
    }

    /// Lets go of what has expired, no more entries than `most`; gives what that counted.
    fn purge(&mut self, now: u64, most: &mut usize) -> u64 {
        let mut freed = 0;
        while *most > 0
            && let Some((_, key)) = self.ends.first().filter(|(at, _)| has_expired(Some(*at), now)).cloned()
        {
            if let Some(entry) = self.entries.get(&key) {
                freed +=
                    cost(key.len(), entry.value.len(), entry.metadata.as_ref().map_or(0, |text| text.len()));
            }
            self.set(key, None);
            *most -= 1;
        }
        freed
    }
}

struct View<'a>(&'a Namespace);

impl Rows for View<'_> {
    type Fault = CapabilityError;

    fn old(&self, key: &KvKey) -> Result<Option<Old>, CapabilityError> {
        let Self(kept) = self;
        Ok(kept.entries.get(key.as_str()).map(|entry| Old {
            version: entry.version,
            expires: entry.expires,
            metadata: entry.metadata.clone(),
            cost: entry_cost(key, entry),
            is_long: false,
        }))
    }

    fn value(&self, key: &KvKey) -> Result<Option<Bytes>, CapabilityError> {
        Ok(self.0.entries.get(key.as_str()).map(|entry| entry.value.clone()))
    }
}
