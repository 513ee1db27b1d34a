//! Key-value stores: what keeps namespaces, and what all that keep them have in common.
//!
//! ```text
//! guest ─► BoundKv (bound.rs): may it? is it within bounds? ─► Slot: is the provider up? ─► KvEngine
//!                                                                                  redb.rs, memory.rs
//! ```

mod bound;
mod head;
mod memory;
mod plan;
mod presence;
mod redb;
mod tables;

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use nexus_core::{AppName, Resource, format_byte_size};
use nexus_guest::{Answer, CapabilityError, KvAnswer, KvEntry, KvOperation};

pub(crate) use self::bound::BoundKv;
pub use self::memory::MemoryKv;
pub use self::redb::RedbKv;
pub use crate::slot::Inside;
pub use crate::work::Work;

/// Keeps namespaces. Any thread may call it.
pub trait KvEngine: Send + Sync + fmt::Debug {
    /// Carries an operation out, whose bounds were looked at. `quota` is how many bytes all namespaces of the owner may
    /// have together.
    fn call(&self, namespace: &Resource, quota: u64, operation: KvOperation, work: Work) -> Answer<KvAnswer>;

    /// Puts aside what it keeps for this app, which is gone. Waits for disks.
    fn release(&self, owner: &AppName);

    /// Lets go of all that it holds open, and returns when that is done. What is called later opens it again.
    fn close(&self) {}
}

/// What an entry of these lengths counts for the quota, in bytes: what it takes beside them is about 64.
fn cost(key: usize, value: usize, metadata: usize) -> u64 {
    (key + value + metadata + 64) as u64
}

/// The time in seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// How many expired entries a write takes away at most, of all namespaces of the app.
const MOST_PURGED: usize = 1000;
/// What a read may bring at most, in bytes: one value of the largest size, or several smaller ones.
const MOST_READ: usize = KvEntry::MAX_VALUE;

/// Refuses a read that brings more than that.
fn fits(bytes: usize) -> Result<(), CapabilityError> {
    if bytes <= MOST_READ {
        return Ok(());
    }
    let most = format_byte_size(MOST_READ as u64);
    Err(CapabilityError::Invalid(format!("the values have more than {most} together; get fewer at once")))
}

fn has_expired(expires: Option<u64>, now: u64) -> bool {
    expires.is_some_and(|at| at <= now)
}
