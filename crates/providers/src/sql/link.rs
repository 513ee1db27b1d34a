//! A connection to a database, fenced in: what its statements may do, and how much of everything they may take.
#![allow(unsafe_code, reason = "a few calls that rusqlite does not have")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use nexus_guest::SqlOperation;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, ffi};

use super::fault::Fault;
use super::fence::Fence;
use super::functions;
use super::memory;
use super::statement::{Code, Scale, Statement};
use super::watch::Watch;

/// How many statements a connection keeps prepared, and the longest of them, in bytes.
const KEPT: usize = 32;
pub(super) const LONGEST_KEPT: usize = 4 << 10;
/// What a connection may keep in memory between calls, in bytes: pages, statements and the schema.
const RETAINED: i64 = 3 << 20;
/// What all connections may keep together, and what each may keep while they keep more.
const RETAINED_BY_ALL: i64 = 256 << 20;
const LEAST_RETAINED: i64 = 256 << 10;
/// What they keep.
static BY_ALL: AtomicI64 = AtomicI64::new(0);
/// After how many steps of its machine SQLite asks whether it is to go on. A step may take a millisecond over large values.
const STEPS: i32 = 100;

/// What a connection leads to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    /// This file, which is made if it is not there.
    File(&'a Path),
    /// This file, to read it.
    Reading(&'a Path),
    /// A database in memory, of this connection's own.
    Memory,
}

/// A connection.
pub(super) struct Link {
    /// Before the connection: they end before it is closed.
    kept: HashMap<Box<str>, Kept>,
    /// The provider's own that each transaction needs. Apart: a guest's statement of the same text has to be asked about.
    own: HashMap<&'static str, Statement>,
    pub(super) connection: Connection,
    pub(super) watch: Watch,
    pub(super) fence: Arc<Fence>,
    /// Counts the uses of what is kept.
    uses: u64,
    /// What it has kept in memory, in bytes.
    retained: i64,
    pub(super) page_size: u64,
    most_pages: u64,
    is_query_only: bool,
}

struct Kept {
    statement: Statement,
    used: u64,
}

impl Link {
    /// Opens a connection. May wait for the disk.
    pub(super) fn open(target: Target<'_>) -> Result<Self, Fault> {
        memory::install().map_err(|why| Fault::System(std::io::Error::other(why)))?;
        let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = match target {
            Target::File(path) => {
                let flags = flags | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
                Connection::open_with_flags(path, flags)?
            }
            Target::Reading(path) => {
                Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_READ_ONLY)?
            }
            Target::Memory => Connection::open_in_memory_with_flags(
                flags | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
            )?,
        };
        let watch = Watch::default();
        let busy = watch.clone();
        connection.busy_handler(Some(move |_| busy.waits()))?;
        configure(&connection)?;
        bound(&connection)?;
        functions::install(&connection)?;
        leave_virtual_tables_out(&connection)?;
        // In memory: what is sorted and put aside, in files nowhere. Few pages are kept, for the system keeps the files.
        connection.execute_batch(
            "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -1024; PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON; \
             PRAGMA synchronous = FULL; PRAGMA recursive_triggers = OFF;",
        )?;
        match target {
            // What is deleted leaves the file with its transaction, so that the quota is the file's size. This counts for new
            // files only.
            Target::File(_) => connection.execute_batch(
                "PRAGMA auto_vacuum = FULL; PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 4194304; \
                 PRAGMA wal_autocheckpoint = 1000;",
            )?,
            Target::Reading(_) => connection.execute_batch("PRAGMA query_only = ON;")?,
            Target::Memory => connection.execute_batch("PRAGMA auto_vacuum = FULL;")?,
        }
        let fence = Arc::new(Fence::default());
        let (decides, looks) = (fence.clone(), watch.clone());
        connection
            .authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| decides.decide(&context)))?;
        connection.progress_handler(STEPS, Some(move || looks.look()))?;
        let is_query_only = matches!(target, Target::Reading(_));
        let (kept, own, uses, retained) = (HashMap::new(), HashMap::new(), 0, 0);
        let mut link = Self {
            kept,
            own,
            connection,
            watch,
            fence,
            uses,
            retained,
            page_size: 4096,
            most_pages: 0,
            is_query_only,
        };
        link.page_size = link.own_number("PRAGMA page_size")?.max(512);
        Ok(link)
    }

    /// Does something of the provider's own.
    pub(super) fn own(&self, text: &str) -> Result<(), Code> {
        self.own_number(text).map(drop)
    }

    /// Asks for a number, likewise.
    pub(super) fn own_number(&self, text: &str) -> Result<u64, Code> {
        let prepared = self.fence.open(|| Statement::prepare(&self.connection, text, false, Scale::Usual))?;
        prepared.0.map_or(Ok(0), |mut statement| self.number_of(&mut statement))
    }

    /// Does something of the provider's own that each call needs. It stays prepared.
    pub(super) fn often(&mut self, text: &'static str) -> Result<u64, Code> {
        let mut statement = match self.own.remove(text) {
            Some(statement) => statement,
            None => {
                let prepare = || Statement::prepare(&self.connection, text, true, Scale::Usual);
                let (Some(statement), _) = self.fence.open(prepare)? else { return Ok(0) };
                statement
            }
        };
        // SQLite may prepare it anew.
        let number = self.fence.open(|| self.number_of(&mut statement))?;
        statement.rest();
        self.own.insert(text, statement);
        Ok(number)
    }

    fn number_of(&self, statement: &mut Statement) -> Result<u64, Code> {
        let mut first = None;
        while statement.step(&self.connection)? {
            if let (None, super::statement::Column::Integer(number)) = (first, statement.column(0)) {
                first = u64::try_from(number).ok();
            }
        }
        Ok(first.unwrap_or(0))
    }

    /// How large the database is, in bytes.
    pub(super) fn size(&mut self) -> Result<u64, Code> {
        Ok(self.often("PRAGMA page_count")? * self.page_size)
    }

    /// How large it is once the open transaction is committed, in bytes, if that is known before. To ask afterwards takes another
    /// transaction, with its locks.
    pub(super) fn size_to_be(&mut self) -> Option<u64> {
        // Free pages leave the file with the commit.
        match self.often("PRAGMA freelist_count") {
            Ok(0) => self.size().ok(),
            _ => None,
        }
    }

    /// How many pages this connection has written so far.
    pub(super) fn written(&self) -> u64 {
        let (mut pages, mut highest) = (0, 0);
        // SAFETY: the connection is open as long as it is borrowed; both are places on this stack.
        unsafe {
            let status = ffi::SQLITE_DBSTATUS_CACHE_WRITE;
            ffi::sqlite3_db_status(self.connection.handle(), status, &raw mut pages, &raw mut highest, 0);
        }
        u64::try_from(pages).unwrap_or(0)
    }

    /// Has the database grow to so many bytes at most.
    pub(super) fn allow(&mut self, bytes: u64) -> Result<(), Code> {
        let pages = (bytes / self.page_size).clamp(1, 0xffff_fffe);
        if self.most_pages != pages {
            // A database that is larger by now keeps its size as the bound, until it is smaller.
            self.most_pages = self.own_number(&format!("PRAGMA max_page_count = {pages}"))?;
        }
        Ok(())
    }

    /// Has nothing written from now on, or something.
    pub(super) fn only_read(&mut self, only: bool) -> Result<(), Code> {
        if self.is_query_only != only {
            self.own(if only { "PRAGMA query_only = ON" } else { "PRAGMA query_only = OFF" })?;
            self.is_query_only = only;
        }
        Ok(())
    }

    /// A statement that was kept.
    pub(super) fn kept(&mut self, text: &str) -> Option<Statement> {
        self.kept.remove(text).map(|kept| kept.statement)
    }

    /// Keeps a statement for the next call with this text, in the place of the one that was used longest ago.
    pub(super) fn keep(&mut self, text: &str, mut statement: Statement) {
        statement.rest();
        if text.len() > LONGEST_KEPT {
            return;
        }
        if self.kept.len() >= KEPT {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(text, _)| text.clone());
            oldest.and_then(|text| self.kept.remove(&text));
        }
        self.uses += 1;
        self.kept.insert(text.into(), Kept { statement, used: self.uses });
    }

    /// Prepares the first statement of a text, as small as it comes out, and no larger than `most`.
    pub(super) fn prepare(
        &self,
        text: &str,
        is_kept: bool,
        most: Scale,
    ) -> Result<(Option<Statement>, usize), Code> {
        let mut scale = Scale::Little;
        loop {
            self.hold_to(scale);
            let prepared = Statement::prepare(&self.connection, text, is_kept, scale);
            self.hold_to(Scale::Usual);
            scale = match (&prepared, scale) {
                // That is what SQLite says of a program that is too long.
                (Err(code), Scale::Little | Scale::Usual)
                    if scale < most
                        && matches!(code.primary(), ffi::SQLITE_NOMEM | ffi::SQLITE_TOOBIG)
                        && self.watch.halt().is_none() =>
                {
                    if scale == Scale::Little {
                        Scale::Usual
                    } else {
                        Scale::Wide
                    }
                }
                _ => return prepared,
            };
        }
    }

    /// Has programs and values be no larger than this from now on.
    pub(super) fn hold_to(&self, scale: Scale) {
        let value = i32::try_from(scale.value()).unwrap_or(i32::MAX);
        let _ = self.connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, value);
        let _ = self.connection.set_limit(Limit::SQLITE_LIMIT_VDBE_OP, scale.steps());
    }

    /// No rows were inserted so far.
    pub(super) fn forget_row_id(&self) {
        // SAFETY: the connection is open as long as it is borrowed.
        unsafe { ffi::sqlite3_set_last_insert_rowid(self.connection.handle(), 0) };
    }

    /// After a call by which it has kept so many bytes more. `false` if it is to be closed, for it keeps too much all the same.
    pub(super) fn tidy(&mut self, more: i64, is_database: bool) -> bool {
        // A database in memory is itself what is kept; its statements are few.
        if is_database {
            return true;
        }
        self.keep_more(more);
        if self.keeps_little() {
            return true;
        }
        let counted = memory::Counted::begin(usize::MAX);
        self.kept.clear();
        let _ = self.connection.release_memory();
        let more = counted.balance();
        drop(counted);
        self.keep_more(more);
        self.keeps_little()
    }

    fn keep_more(&mut self, bytes: i64) {
        self.retained += bytes;
        // Relaxed: a figure that guards no other memory.
        BY_ALL.fetch_add(bytes, Ordering::Relaxed);
    }

    fn keeps_little(&self) -> bool {
        let is_short = BY_ALL.load(Ordering::Relaxed) > RETAINED_BY_ALL;
        self.retained <= if is_short { LEAST_RETAINED } else { RETAINED }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        BY_ALL.fetch_sub(self.retained, Ordering::Relaxed);
    }
}

/// Turns off what is not needed and has led elsewhere before.
fn configure(connection: &Connection) -> Result<(), Fault> {
    for (config, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
        (DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
    ] {
        connection.set_db_config(config, on)?;
    }
    let config = ffi::SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION;
    // SAFETY: the connection is open as long as it is borrowed; this takes a number, and a place for an answer or none.
    let code = unsafe {
        ffi::sqlite3_db_config(connection.handle(), config, 0_i32, std::ptr::null_mut::<std::ffi::c_int>())
    };
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(Code::of(connection, code).into()) }
}

/// Has no virtual table be there, whoever made it: their modules take as long as they like, and run statements of their own. What
/// JSON is made a table by and pragmas are stays, for SQLite brings that when it is used.
fn leave_virtual_tables_out(connection: &Connection) -> Result<(), Fault> {
    // SAFETY: the connection is open as long as it is borrowed. Without a list all go.
    let code = unsafe { ffi::sqlite3_drop_modules(connection.handle(), std::ptr::null_mut()) };
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(Code::of(connection, code).into()) }
}

/// Bounds what one statement may be. Where SQLite's own bounds are far from what anybody writes they are narrowed, most as D1's.
fn bound(connection: &Connection) -> Result<(), Fault> {
    let as_limit = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_LENGTH, as_limit(SqlOperation::MAX_VALUE)),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, as_limit(SqlOperation::MAX_TEXT)),
        (Limit::SQLITE_LIMIT_COLUMN, as_limit(SqlOperation::MOST_COLUMNS)),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, as_limit(SqlOperation::MOST_PARAMETERS)),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
        (Limit::SQLITE_LIMIT_PARSER_DEPTH, 500),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 50),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 100),
        (Limit::SQLITE_LIMIT_VDBE_OP, Scale::Usual.steps()),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 10),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, most)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_all_keep_too_much_each_keeps_little() {
        let mut link = Link::open(Target::Memory).unwrap();
        assert!(link.tidy(1 << 20, false), "by itself it may keep so much");
        let others = RETAINED_BY_ALL;
        BY_ALL.fetch_add(others, Ordering::Relaxed);
        // What is said to be kept is not there to be given back.
        assert!(!link.tidy(1, false));
        let mut little = Link::open(Target::Memory).unwrap();
        assert!(little.tidy(LEAST_RETAINED, false));
        drop(little);
        BY_ALL.fetch_sub(others, Ordering::Relaxed);
        assert!(link.tidy(0, false));
        assert!(!link.tidy(RETAINED, false));
        drop(link);
        assert_eq!(BY_ALL.load(Ordering::Relaxed), 0);
    }
}
