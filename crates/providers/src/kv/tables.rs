//! What is in an app's file, and how it is read and written.
//!
//! ```text
//! heads of NAMESPACE    key ─► version, end, length, metadata, and the value if it is short
//! values of NAMESPACE   key ─► the value if it is long, so that a list does not read it
//! ends                  when, namespace, key: what expires
//! state                 bytes, version, when the first entry expires
//! ```

use std::io;
use std::path::Path;

use ::redb::{
    Database, Error, ReadableDatabase, ReadableTable, Table, TableDefinition, TableError, WriteTransaction,
};
use bytes::Bytes;
use nexus_core::ResourcePart;
use nexus_guest::{
    CapabilityError, Hold, KvAnswer, KvEntry, KvKey, KvList, KvListed, KvOperation, KvPage, KvTransaction,
    KvVersion,
};

use super::head::{Head, SHORT};
use super::plan::{From, Old, Plan, Rows, begin, page, plan};
use super::{MOST_PURGED, fits, has_expired, now};

const ENDS: TableDefinition<'_, (u64, &str, &str), ()> = TableDefinition::new("ends");
const STATE: TableDefinition<'_, (), (u64, u64, u64)> = TableDefinition::new("state");
/// So many bytes are read on the caller's thread; more takes about a millisecond.
const QUICK: usize = 256 << 10;

type Heads<'a> = Table<'a, &'static str, &'static [u8]>;

fn heads(namespace: &str) -> String {
    format!("heads of {namespace}")
}

fn values(namespace: &str) -> String {
    format!("values of {namespace}")
}

fn definition(name: &str) -> TableDefinition<'_, &'static str, &'static [u8]> {
    TableDefinition::new(name)
}

/// A transaction, and where it belongs.
pub(super) struct Task {
    pub(super) namespace: ResourcePart,
    pub(super) quota: u64,
    pub(super) transaction: KvTransaction,
}

/// Why a file cannot be read or written.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is the caller's.
    Told(CapabilityError),
    /// There is more to read than is read on the caller's thread.
    Long,
    /// Another process has the file open.
    Elsewhere,
    /// redb panicked, as it does over some files that are damaged.
    Panic,
    /// redb says so.
    Redb(Box<Error>),
}

impl std::convert::From<CapabilityError> for Fault {
    fn from(error: CapabilityError) -> Self {
        Fault::Told(error)
    }
}

macro_rules! faults {
    ($($error:ident),*) => {
        $(impl std::convert::From<::redb::$error> for Fault {
            fn from(error: ::redb::$error) -> Self {
                Fault::Redb(Box::new(error.into()))
            }
        })*
    };
}

faults!(StorageError, TableError, TransactionError, CommitError);

impl Fault {
    pub(super) fn of(error: Error, path: &Path) -> Self {
        Fault::Redb(Box::new(error)).at(path)
    }

    /// Whether the file is to be opened anew before anything else is done with it.
    pub(super) fn wants_reopening(&self) -> bool {
        matches!(self, Fault::Panic | Fault::Redb(_))
    }

    /// The same, told: what is wrong with the file, and what to do.
    pub(super) fn at(self, path: &Path) -> Self {
        let path = path.display();
        let way_out =
            "move it away, and the app begins with nothing, or put a copy back; other apps are not affected";
        let (told, detail) = match self {
            Fault::Told(_) | Fault::Long => return self,
            Fault::Elsewhere => {
                ("another process has the store open", format!("{path} is open in another process"))
            }
            Fault::Panic => ("the store is damaged", format!("{path} is damaged; {way_out}")),
            Fault::Redb(error) => match *error {
                Error::Io(error) if is_full(&error) => {
                    ("there is no room on the disk", format!("{path}: {error}"))
                }
                Error::Corrupted(what) => {
                    ("the store is damaged", format!("{path} is damaged ({what}); {way_out}"))
                }
                Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                    ("the store is damaged", format!("{path} is no store ({error}); {way_out}"))
                }
                error => ("the store cannot be used", format!("{path}: {error}")),
            },
        };
        Fault::Told(CapabilityError::Failed { told: format!("kv: {told}; the host's log says more"), detail })
    }

    pub(super) fn told(self) -> CapabilityError {
        match self.at(Path::new("a store")) {
            Fault::Told(error) => error,
            _ => CapabilityError::Invalid("there is too much to read".into()),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Reads on the caller's thread, if that is quick.
pub(super) fn read_quickly(
    database: &Database,
    namespace: &ResourcePart,
    operation: &KvOperation,
) -> Result<KvAnswer, Fault> {
    let mut bytes = 0;
    read(database, namespace, operation, &mut |more| {
        bytes += more;
        if bytes <= QUICK { Ok(()) } else { Err(Fault::Long) }
    })
}

/// Reads, however long that takes. What is read is in `hold`.
pub(super) fn read_whole(
    database: &Database,
    namespace: &ResourcePart,
    operation: &KvOperation,
    hold: &mut dyn Hold,
) -> Result<KvAnswer, Fault> {
    read(database, namespace, operation, &mut |more| match hold.grow(more) {
        true => Ok(()),
        false => {
            let told = "what is read takes more memory than the app's limit leaves".to_owned();
            Err(Fault::Told(CapabilityError::Invalid(told)))
        }
    })
}

/// Reads. `take` is asked before so many bytes are read.
fn read(
    database: &Database,
    namespace: &ResourcePart,
    operation: &KvOperation,
    take: &mut dyn FnMut(usize) -> Result<(), Fault>,
) -> Result<KvAnswer, Fault> {
    let transaction = database.begin_read()?;
    let name = heads(namespace.as_str());
    let heads = match transaction.open_table(definition(&name)) {
        Ok(heads) => heads,
        Err(TableError::TableDoesNotExist(_)) => return Ok(super::redb::nothing(operation)),
        Err(error) => return Err(error.into()),
    };
    let keys = match operation {
        KvOperation::Get(keys) => keys,
        KvOperation::List(list) => return listed(&heads, list, take).map(KvAnswer::Page),
        KvOperation::Write(_) => {
            return Err(Fault::Told(CapabilityError::Invalid("a write is no read".into())));
        }
    };
    let now = now();
    let mut bytes = 0;
    let mut entries = Vec::with_capacity(keys.len());
    for key in keys {
        let Some(head) = heads.get(key.as_str())? else {
            entries.push(None);
            continue;
        };
        let head = Head::read(head.value())?;
        if has_expired(head.expires, now) {
            entries.push(None);
            continue;
        }
        bytes += head.length;
        fits(bytes)?;
        take(head.length)?;
        let value = match head.value {
            Some(value) => Bytes::copy_from_slice(value),
            None => {
                let values = transaction.open_table(definition(&values(namespace.as_str())))?;
                let value = values.get(key.as_str())?;
                value.map_or_else(Bytes::new, |value| Bytes::copy_from_slice(value.value()))
            }
        };
        let (version, expires) = (head.version, head.expires);
        entries.push(Some(KvEntry { value, metadata: head.metadata.map(Into::into), expires, version }));
    }
    Ok(KvAnswer::Entries(entries))
}

fn listed(
    heads: &impl ReadableTable<&'static str, &'static [u8]>,
    list: &KvList,
    take: &mut dyn FnMut(usize) -> Result<(), Fault>,
) -> Result<KvPage, Fault> {
    use std::ops::Bound;
    let from: (Bound<&str>, Bound<&str>) = match begin(list) {
        From::At(key) => (Bound::Included(key), Bound::Unbounded),
        From::Behind(key) => (Bound::Excluded(key), Bound::Unbounded),
    };
    let rows = heads.range::<&str>(from)?.map(|row| {
        let (key, head) = row?;
        // Also of what has expired and is passed over: it is read all the same.
        take(key.value().len() + head.value().len())?;
        let head = Head::read(head.value())?;
        let (metadata, expires) = (head.metadata.map(Into::into), head.expires);
        Ok::<_, Fault>(KvListed { key: key.value().into(), metadata, expires })
    });
    page(list, now(), rows)
}

/// Writes these transactions in one commit, and what each comes to. It is on disk when this returns.
pub(super) fn commit(
    database: &Database,
    tasks: Vec<Task>,
) -> Result<Vec<Result<KvAnswer, CapabilityError>>, Fault> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    let mut results = Vec::with_capacity(tasks.len());
    let now = now();
    let mut file = State::read(&transaction)?;
    let before = file.version;
    if file.first_end <= now {
        file.purge(&transaction, now)?;
    }
    for task in tasks {
        match file.apply(&transaction, task, now) {
            Ok(answer) => results.push(Ok(answer)),
            Err(Fault::Told(error)) => results.push(Err(error)),
            Err(fault) => return Err(fault),
        }
    }
    if file.version == before && !file.has_purged {
        transaction.abort()?;
        return Ok(results);
    }
    {
        let mut state = transaction.open_table(STATE)?;
        state.insert((), (file.bytes, file.version, file.first_end))?;
    }
    transaction.commit()?;
    Ok(results)
}

/// What holds for a whole file.
struct State {
    bytes: u64,
    version: u64,
    /// No entry expires before, in seconds since 1970.
    first_end: u64,
    has_purged: bool,
}

impl State {
    fn read(transaction: &WriteTransaction) -> Result<Self, Fault> {
        let state = transaction.open_table(STATE)?;
        let (bytes, version, first_end) = state.get(())?.map_or((0, 0, u64::MAX), |state| state.value());
        Ok(Self { bytes, version, first_end, has_purged: false })
    }

    fn apply(&mut self, transaction: &WriteTransaction, task: Task, now: u64) -> Result<KvAnswer, Fault> {
        let namespace = task.namespace.as_str();
        let heads = transaction.open_table(definition(&heads(namespace)))?;
        let rows = Kept { transaction, namespace, heads };
        let version = KvVersion(self.version + 1);
        let Plan { changes, bytes, written } =
            plan(task.transaction, version, now, (self.bytes, task.quota), &rows)?;
        let mut heads = rows.heads;
        // Each table that a commit touches costs some pages more. Most entries are short and stay.
        let is_long = |old: &Option<Old>, new: &Option<KvEntry>| {
            old.as_ref().is_some_and(|old| old.is_long)
                || new.as_ref().is_some_and(|new| new.value.len() > SHORT)
        };
        let ends_once = |old: &Option<Old>, new: &Option<KvEntry>| {
            old.as_ref().is_some_and(|old| old.expires.is_some())
                || new.as_ref().is_some_and(|new| new.expires.is_some())
        };
        let (mut values, mut ends) = (None, None);
        if changes.iter().any(|(_, old, new)| is_long(old, new)) {
            values = Some(transaction.open_table(definition(&self::values(namespace)))?);
        }
        if changes.iter().any(|(_, old, new)| ends_once(old, new)) {
            ends = Some(transaction.open_table(ENDS)?);
        }
        for (key, old, new) in &changes {
            let key = key.as_str();
            if let (Some(ends), Some(at)) = (&mut ends, old.as_ref().and_then(|old| old.expires)) {
                ends.remove((at, namespace, key))?;
            }
            if let (Some(values), true) = (&mut values, old.as_ref().is_some_and(|old| old.is_long)) {
                values.remove(key)?;
            }
            let Some(new) = new else {
                heads.remove(key)?;
                continue;
            };
            heads.insert(key, &*Head::write(new))?;
            if let (Some(values), true) = (&mut values, new.value.len() > SHORT) {
                values.insert(key, &*new.value)?;
            }
            if let (Some(ends), Some(at)) = (&mut ends, new.expires) {
                ends.insert((at, namespace, key), ())?;
                self.first_end = self.first_end.min(at);
            }
        }
        self.bytes = bytes;
        if written.version.is_some() {
            self.version = version.0;
        }
        Ok(KvAnswer::Written(written))
    }

    /// Takes away what has expired.
    fn purge(&mut self, transaction: &WriteTransaction, now: u64) -> Result<(), Fault> {
        let mut ends = transaction.open_table(ENDS)?;
        let expired = ends.range::<(u64, &str, &str)>(..(now + 1, "", ""))?.take(MOST_PURGED).map(|row| {
            let (place, ()) = row.map(|(place, _)| (place, ()))?;
            let (at, namespace, key) = place.value();
            Ok::<_, Fault>((at, namespace.to_owned(), key.to_owned()))
        });
        let expired = expired.collect::<Result<Vec<_>, _>>()?;
        for (at, namespace, key) in expired {
            ends.remove((at, &*namespace, &*key))?;
            let mut heads = transaction.open_table(definition(&heads(&namespace)))?;
            let is_long = match heads.remove(&*key)? {
                Some(head) => {
                    let head = Head::read(head.value())?;
                    self.bytes = self.bytes.saturating_sub(head.cost(&key));
                    head.length > SHORT
                }
                None => false,
            };
            if is_long {
                transaction.open_table(definition(&values(&namespace)))?.remove(&*key)?;
            }
        }
        self.first_end = ends.first()?.map_or(u64::MAX, |(place, _)| place.value().0);
        self.has_purged = true;
        Ok(())
    }
}

/// A namespace while it is written.
struct Kept<'a> {
    transaction: &'a WriteTransaction,
    namespace: &'a str,
    heads: Heads<'a>,
}

impl Rows for Kept<'_> {
    type Fault = Fault;

    fn old(&self, key: &KvKey) -> Result<Option<Old>, Fault> {
        let Some(head) = self.heads.get(key.as_str())? else { return Ok(None) };
        let head = Head::read(head.value())?;
        Ok(Some(Old {
            version: head.version,
            expires: head.expires,
            metadata: head.metadata.map(Into::into),
            cost: head.cost(key.as_str()),
            is_long: head.length > SHORT,
        }))
    }

    fn value(&self, key: &KvKey) -> Result<Option<Bytes>, Fault> {
        let Some(head) = self.heads.get(key.as_str())? else { return Ok(None) };
        if let Some(value) = Head::read(head.value())?.value {
            return Ok(Some(Bytes::copy_from_slice(value)));
        }
        let values = self.transaction.open_table(definition(&values(self.namespace)))?;
        Ok(values.get(key.as_str())?.map(|value| Bytes::copy_from_slice(value.value())))
    }
}
