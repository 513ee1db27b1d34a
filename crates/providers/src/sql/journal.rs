//! The file beside a database's into which it is written first: SQLite moves what is there into the database when nobody reads,
//! and somebody may read all the time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nexus_guest::{CpuAccount, thread_cpu};

use super::link::Link;

/// From how many bytes on those who read are made to wait until it is empty.
pub(super) const LARGE: u64 = 16 << 20;
/// From how many on nothing more is written, for somebody else keeps it from being emptied.
const TOO_LARGE: u64 = 64 << 20;
/// After how many pages that were written its size is looked at again.
const PAGES: u64 = 256;
/// Far from what any connection has written: a look is due.
const NEVER: u64 = u64::MAX / 2;

/// A database's journal, and the gate through which go all who read, so that they can be made to wait.
pub(super) struct Journal {
    path: Option<PathBuf>,
    gate: Mutex<()>,
    /// How large it was when that was looked at, and what had been written by then.
    size: AtomicU64,
    looked_at: AtomicU64,
}

impl Journal {
    /// Of the database in this file; one in memory has none.
    pub(super) fn of(database: Option<&Path>) -> Self {
        let path = database.map(|database| {
            let mut path = database.as_os_str().to_owned();
            path.push("-wal");
            path.into()
        });
        let (size, looked_at) = (AtomicU64::new(0), AtomicU64::new(NEVER));
        Self { path, gate: Mutex::default(), size, looked_at }
    }

    /// How large it is, in bytes, as far as was seen last.
    pub(super) fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// A connection writes from now on that has written nothing so far.
    pub(super) fn renew(&self) {
        self.looked_at.store(NEVER, Ordering::Relaxed);
    }

    fn look(&self, written: u64) {
        let metadata = self.path.as_ref().and_then(|path| std::fs::metadata(path).ok());
        self.size.store(metadata.map_or(0, |metadata| metadata.len()), Ordering::Relaxed);
        self.looked_at.store(written, Ordering::Relaxed);
    }

    /// Waits until those who read may. Whoever asks goes on to wait for the connection that reads, and lets go of this then.
    pub(super) fn pass(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether those who read are made to wait.
    pub(super) fn is_closed(&self) -> bool {
        self.gate.try_lock().is_err()
    }

    /// Empties it if it is large, for which somebody pays. Waits for who reads, and has nobody else begin meanwhile.
    pub(super) fn bound(&self, link: &Link, reader: &Mutex<Option<Link>>, payer: Option<&dyn CpuAccount>) {
        let written = link.written();
        let is_due = written.wrapping_sub(self.looked_at.load(Ordering::Relaxed)) >= PAGES;
        if self.path.is_none() || !(is_due || self.is_too_large()) {
            return;
        }
        self.look(written);
        if self.size() > LARGE {
            let _gate = self.pass();
            let _reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            let cpu = thread_cpu();
            // What it says is seen by the size.
            let _ = link.own("PRAGMA wal_checkpoint(TRUNCATE)");
            if let Some(payer) = payer {
                payer.charge(thread_cpu().saturating_sub(cpu));
            }
            self.look(written);
        }
    }

    /// Whether nothing may be written for its size, as far as was seen last.
    pub(super) fn is_too_large(&self) -> bool {
        self.size() > TOO_LARGE
    }
}
