//! The `sql` capability: a database, in SQLite's dialect.
//!
//! What is asked in one call is done in one transaction: all of it, or none. A call sees every call that was answered before
//! it, and what it has written is on disk when it is answered, if the provider keeps anything there.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{Answer, Hold, RequestId};

/// A database, as one binding of one worker's guest has it.
pub trait Sql {
    /// Has something carried out, in the name of this request; `None` while the app is loaded, and of its own. What the
    /// operation brings is in `hold` already; what it gives comes to it. Of each statement there is a result; of a script
    /// one.
    fn call(
        &self,
        caller: Option<RequestId>,
        operation: SqlOperation,
        budget: CpuBudget,
        hold: Box<dyn Hold>,
    ) -> Answer<Vec<SqlResult>>;
}

/// The CPU time that a call may take, and who pays for it.
#[derive(Clone)]
pub struct CpuBudget {
    /// So much, of the guest's. The call is stopped beyond it.
    pub most: Duration,
    /// Pays for what other threads than the caller's spend.
    pub account: Arc<dyn CpuAccount>,
}

impl CpuBudget {
    /// So much, for which nobody pays: for tests, and for what is bounded otherwise.
    pub fn unpaid(most: Duration) -> Self {
        Self { most, account: Arc::new(Unpaid) }
    }
}

struct Unpaid;

impl CpuAccount for Unpaid {
    fn charge(&self, _: Duration) {}
}

impl fmt::Debug for CpuBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CpuBudget").field("most", &self.most).finish_non_exhaustive()
    }
}

/// Pays for CPU time that threads of the host's spend for a guest.
pub trait CpuAccount: Send + Sync {
    /// So much was spent, whatever came of it, and whether or not anybody waits for that any more.
    fn charge(&self, cpu: Duration);
}

/// What is asked of a database.
#[derive(Debug, Clone, PartialEq)]
pub enum SqlOperation {
    /// Statements, one after another in one transaction. Answered with the result of each.
    Batch(Vec<SqlStatement>),
    /// Statements of one text, without parameters, one after another in one transaction. Answered with one result, in
    /// which is how many there were.
    Script(Arc<str>),
}

impl SqlOperation {
    /// The most statements of a batch, and of a script.
    pub const MOST_STATEMENTS: usize = 1000;
    /// The longest text of a statement or a script, in bytes, as with D1.
    pub const MAX_TEXT: usize = 100_000;
    /// The most parameters of a statement, as with D1.
    pub const MOST_PARAMETERS: usize = 100;
    /// The largest text or blob, and the largest row, in bytes, as with D1.
    pub const MAX_VALUE: usize = 2_000_000;
    /// The most columns of a table or a result, as with D1.
    pub const MOST_COLUMNS: usize = 100;

    /// Its name in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            SqlOperation::Batch(statements) if statements.len() == 1 => "query",
            SqlOperation::Batch(_) => "batch",
            SqlOperation::Script(_) => "script",
        }
    }

    /// How many bytes it brings.
    pub fn size(&self) -> usize {
        match self {
            SqlOperation::Batch(statements) => statements.iter().map(SqlStatement::size).sum(),
            SqlOperation::Script(text) => text.len(),
        }
    }
}

/// A statement with what is bound to its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlStatement {
    /// The text: exactly one statement.
    pub text: Arc<str>,
    /// What `?`, `?1` and so on are, in order.
    pub parameters: Vec<SqlValue>,
}

impl SqlStatement {
    fn size(&self) -> usize {
        self.text.len() + self.parameters.iter().map(|value| 16 + value.size()).sum::<usize>()
    }
}

/// A value of SQLite's.
#[derive(Debug, Clone, PartialEq)]
pub enum SqlValue {
    /// `NULL`.
    Null,
    /// A whole number.
    Integer(i64),
    /// Another number.
    Real(f64),
    /// A text.
    Text(Box<str>),
    /// Bytes.
    Blob(Bytes),
}

impl SqlValue {
    /// How many bytes it has beside its place.
    pub fn size(&self) -> usize {
        match self {
            SqlValue::Null | SqlValue::Integer(_) | SqlValue::Real(_) => 0,
            SqlValue::Text(text) => text.len(),
            SqlValue::Blob(bytes) => bytes.len(),
        }
    }
}

/// What comes of a statement.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SqlResult {
    /// The columns' names.
    pub columns: Vec<Box<str>>,
    /// The rows, one after another: each has as many values as there are columns.
    pub values: Vec<SqlValue>,
    /// How many rows were inserted, changed or deleted.
    pub changes: u64,
    /// The row id of the last insertion; 0 before any.
    pub last_row_id: i64,
    /// How many rows were looked at, as SQLite's steps tell: those of the result, and those that full scans went through.
    pub rows_read: u64,
    /// How many statements there were: 1, but for scripts.
    pub statements: u64,
    /// How long it took.
    pub took: Duration,
    /// How large the database is after it, in bytes.
    pub size_after: u64,
}
