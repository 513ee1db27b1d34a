//! Databases: SQLite, fenced in.
//!
//! ```text
//! guest ─► BoundSql (bound.rs): may it? is it within bounds? ─► Slot: is the provider up? ─► SqlEngine: store.rs
//!                                                                                               │
//!   reads: on the caller's thread for a millisecond, then in the owner's lane of reads ─────────┤ one file a database, or
//!   writes: in the owner's lane of writes, several in one commit ───────────────────────────────┘ memory
//!
//! link.rs: a connection, with     fence.rs: what statements may do      watch.rs: how long       memory.rs: SQLite's memory
//! run.rs: an operation on it      statement.rs: a statement             fault.rs: what is said of errors
//! journal.rs: what is not yet in a database's file
//! ```

mod bound;
mod database;
mod fault;
mod fence;
mod functions;
mod group;
mod journal;
mod link;
mod memory;
mod owner;
mod run;
mod statement;
mod store;
mod watch;
mod words;

use std::fmt;
use std::sync::Arc;

use nexus_core::{AppName, Resource};
use nexus_guest::{Answer, CpuBudget, Grant, SqlOperation, SqlResult};

pub(crate) use self::bound::BoundSql;
pub use self::store::SqliteSql;
pub use crate::work::Work;

/// The most rows that a call brings, and the most bytes.
pub const MOST_ROWS: usize = 100_000;
/// The most bytes that a call brings, each value counted with its place.
pub const MOST_BYTES: usize = 25 << 20;
/// The memory that SQLite may take for a call, in bytes, beside what it has kept before.
const CALL_MEMORY: usize = 64 << 20;

/// What is asked, and what that may take.
#[derive(Debug)]
pub struct SqlCall {
    /// What is asked.
    pub operation: SqlOperation,
    /// The CPU time that it may take, and who pays for what storage threads spend.
    pub budget: CpuBudget,
}

/// Keeps databases. Any thread may call it.
pub trait SqlEngine: Send + Sync + fmt::Debug {
    /// Carries a call out, whose bounds were looked at. The grant is asked for each thing that the call turns out to do, when
    /// it is done; how much the owner may keep is in it, too.
    fn call(
        &self,
        database: &Resource,
        grant: &Arc<Grant>,
        call: SqlCall,
        work: Work,
    ) -> Answer<Vec<SqlResult>>;

    /// Puts aside what it keeps for this app, which is gone. Waits for disks.
    fn release(&self, owner: &AppName);

    /// Lets go of all that it holds open, and returns when that is done. What is called later opens it again.
    fn close(&self);
}
