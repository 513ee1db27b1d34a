//! The file beside a database's into which it is written first: SQLite moves what is there into the database when nobody reads,
//! and somebody may read all the time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::link::Link;

/// From how many bytes on those who read are made to wait until it is empty.
pub(super) const LARGE: u64 = 16 << 20;
/// From how many on nothing more is written, for somebody else keeps it from being emptied.
const TOO_LARGE: u64 = 64 << 20;

/// A database's journal, and the gate through which go all who read, so that they can be made to wait.
#[derive(Default)]
pub(super) struct Journal {
    path: Option<PathBuf>,
    gate: Mutex<()>,
    is_too_large: AtomicBool,
}

impl Journal {
    /// Of the database in this file; one in memory has none.
    pub(super) fn of(database: Option<&Path>) -> Self {
        let path = database.map(|database| {
            let mut path = database.as_os_str().to_owned();
            path.push("-wal");
            path.into()
        });
        Self { path, ..Self::default() }
    }

    /// How large it is, in bytes.
    pub(super) fn size(&self) -> u64 {
        let metadata = self.path.as_ref().and_then(|path| std::fs::metadata(path).ok());
        metadata.map_or(0, |metadata| metadata.len())
    }

    /// Waits until those who read may. Whoever asks goes on to wait for the connection that reads, and lets go of this then.
    pub(super) fn pass(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether those who read are made to wait.
    pub(super) fn is_closed(&self) -> bool {
        self.gate.try_lock().is_err()
    }

    /// Empties it if it is large. Waits for who reads, and has nobody else begin meanwhile.
    pub(super) fn bound(&self, link: &Link, reader: &Mutex<Option<Link>>) {
        if self.path.is_none() {
            return;
        }
        if self.size() > LARGE {
            let _gate = self.pass();
            let _reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            // What it says is seen by the size.
            let _ = link.own("PRAGMA wal_checkpoint(TRUNCATE)");
        }
        self.is_too_large.store(self.size() > TOO_LARGE, Ordering::Relaxed);
    }

    /// Whether nothing may be written for its size, as far as was seen last.
    pub(super) fn is_too_large(&self) -> bool {
        self.is_too_large.load(Ordering::Relaxed)
    }
}
