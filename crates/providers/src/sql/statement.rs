//! A statement of SQLite's, as this capability uses it: prepared from the beginning of a text, bound, and gone through row by
//! row.
//!
//! rusqlite's own is not used, for it looks for a second statement by going down a level for each there is, and panics where
//! SQLite has no memory.
#![allow(unsafe_code, reason = "statements are pointers of SQLite's")]

use std::ffi::{CStr, c_int};
use std::ptr::{null, null_mut};

use bytes::Bytes;
use nexus_guest::{SqlOperation, SqlValue};
use rusqlite::{Connection, ffi};

use super::memory;

/// A prepared statement. It belongs to a connection, and has to be dropped before that is closed.
#[derive(Debug)]
pub(super) struct Statement(*mut ffi::sqlite3_stmt, Scale);

/// How long a statement's program is. SQLite may go through all of it without asking whether it is to go on, and each step takes
/// as long as the values are large: so the longer it is, the smaller they may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scale {
    /// May be tried on the caller's thread.
    Little,
    Usual,
    Wide,
}

impl Scale {
    /// The most steps of a program. SQLite doubles what it has until it is enough, so it is about that.
    pub(super) fn steps(self) -> i32 {
        match self {
            Scale::Little => 2000,
            Scale::Usual => 3000,
            Scale::Wide => 25_000,
        }
    }

    /// The most bytes of a value.
    pub(super) fn value(self) -> usize {
        match self {
            Scale::Little => 32 << 10,
            Scale::Usual => SqlOperation::MAX_VALUE,
            Scale::Wide => 100_000,
        }
    }
}

// SAFETY: SQLite is built for threads, and lets one at a time use a statement: it is used by `&mut` only, with its connection.
unsafe impl Send for Statement {}

/// What SQLite says of something that did not go well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Code {
    /// The extended code.
    pub(super) code: c_int,
    /// What it says.
    pub(super) message: String,
}

impl Code {
    /// What the connection says of its last error.
    pub(super) fn of(connection: &Connection, code: c_int) -> Self {
        // SAFETY: the connection is open as long as it is borrowed. The text is SQLite's, ends with a NUL, and is copied before
        // the connection is used again.
        let message = unsafe {
            let text = ffi::sqlite3_errmsg(connection.handle());
            if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
        };
        Self { code, message }
    }

    /// The code without its extension.
    pub(super) fn primary(&self) -> c_int {
        self.code & 0xff
    }
}

/// A column of the row at which a statement is.
pub(super) enum Column<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
}

impl Column<'_> {
    /// How many bytes it has beside its place.
    pub(super) fn size(&self) -> usize {
        match self {
            Column::Null | Column::Integer(_) | Column::Real(_) => 0,
            Column::Text(bytes) | Column::Blob(bytes) => bytes.len(),
        }
    }

    pub(super) fn value(&self) -> SqlValue {
        match self {
            Column::Null => SqlValue::Null,
            Column::Integer(number) => SqlValue::Integer(*number),
            Column::Real(number) => SqlValue::Real(*number),
            Column::Text(bytes) => SqlValue::Text(String::from_utf8_lossy(bytes).into()),
            Column::Blob(bytes) => SqlValue::Blob(Bytes::copy_from_slice(bytes)),
        }
    }
}

/// What a piece of C's is, which may be nothing.
///
/// # Safety
/// If it is not null, so many bytes are there as long as `'a`.
unsafe fn slice<'a>(start: *const u8, length: c_int) -> &'a [u8] {
    match usize::try_from(length) {
        // SAFETY: as the caller says.
        Ok(length) if !start.is_null() => unsafe { std::slice::from_raw_parts(start, length) },
        _ => &[],
    }
}

impl Statement {
    /// Prepares the first statement of a text; `None` if there is none. With it the length of what was read.
    pub(super) fn prepare(
        connection: &Connection,
        text: &str,
        is_kept: bool,
        scale: Scale,
    ) -> Result<(Option<Self>, usize), Code> {
        let Ok(length) = c_int::try_from(text.len()) else {
            return Err(Code { code: ffi::SQLITE_TOOBIG, message: "statement too long".into() });
        };
        let flags = if is_kept { ffi::SQLITE_PREPARE_PERSISTENT } else { 0 };
        let (mut statement, mut tail) = (null_mut(), null());
        // SAFETY: the connection is open as long as it is borrowed, the text is there for so many bytes, and both results are
        // places on this stack.
        let code = unsafe {
            let text = text.as_ptr().cast();
            ffi::sqlite3_prepare_v3(
                connection.handle(),
                text,
                length,
                flags,
                &raw mut statement,
                &raw mut tail,
            )
        };
        if code != ffi::SQLITE_OK {
            return Err(Code::of(connection, code));
        }
        let read = (tail as usize).saturating_sub(text.as_ptr() as usize);
        let read = if tail.is_null() { text.len() } else { read.min(text.len()) };
        Ok(((!statement.is_null()).then_some(Self(statement, scale)), read))
    }

    /// Whether it only reads, by SQLite's own judgement.
    pub(super) fn is_readonly(&self) -> bool {
        // SAFETY: the statement is there as long as this is.
        unsafe { ffi::sqlite3_stmt_readonly(self.0) != 0 }
    }

    /// How long its program is at most.
    pub(super) fn scale(&self) -> Scale {
        self.1
    }

    /// SQLite may have prepared it anew, as long as any on this thread.
    pub(super) fn was_used_at(&mut self, scale: Scale) {
        // SAFETY: as above.
        if unsafe { ffi::sqlite3_stmt_status(self.0, ffi::SQLITE_STMTSTATUS_REPREPARE, 1) } > 0 {
            self.1 = self.1.max(scale);
        }
    }

    /// How many parameters it has.
    pub(super) fn parameters(&self) -> usize {
        // SAFETY: as above.
        usize::try_from(unsafe { ffi::sqlite3_bind_parameter_count(self.0) }).unwrap_or(0)
    }

    /// Whether a parameter, counted from 1, has a name that is no number.
    pub(super) fn is_named(&self, index: usize) -> bool {
        let index = c_int::try_from(index).unwrap_or(c_int::MAX);
        // SAFETY: as above; the name is SQLite's, and there as long as the statement.
        unsafe {
            let name = ffi::sqlite3_bind_parameter_name(self.0, index);
            !name.is_null() && CStr::from_ptr(name).to_bytes().first() != Some(&b'?')
        }
    }

    /// Binds a parameter, counted from 1. SQLite copies what it is.
    pub(super) fn bind(
        &mut self,
        connection: &Connection,
        index: usize,
        value: &SqlValue,
    ) -> Result<(), Code> {
        let index = c_int::try_from(index).unwrap_or(c_int::MAX);
        // SAFETY: as above; what is bound is there for so many bytes until the call returns, and is copied.
        let code = unsafe {
            match value {
                SqlValue::Null => ffi::sqlite3_bind_null(self.0, index),
                SqlValue::Integer(number) => ffi::sqlite3_bind_int64(self.0, index, *number),
                SqlValue::Real(number) => ffi::sqlite3_bind_double(self.0, index, *number),
                SqlValue::Text(text) => ffi::sqlite3_bind_text64(
                    self.0,
                    index,
                    text.as_ptr().cast(),
                    text.len() as u64,
                    ffi::SQLITE_TRANSIENT(),
                    ffi::SQLITE_UTF8 as u8,
                ),
                // A blob without a place would be NULL.
                SqlValue::Blob(bytes) if bytes.is_empty() => ffi::sqlite3_bind_zeroblob(self.0, index, 0),
                SqlValue::Blob(bytes) => ffi::sqlite3_bind_blob64(
                    self.0,
                    index,
                    bytes.as_ptr().cast(),
                    bytes.len() as u64,
                    ffi::SQLITE_TRANSIENT(),
                ),
            }
        };
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(Code::of(connection, code)) }
    }

    /// Goes to the next row. `false` if there is none.
    pub(super) fn step(&mut self, connection: &Connection) -> Result<bool, Code> {
        // SAFETY: as above.
        match unsafe { ffi::sqlite3_step(self.0) } {
            ffi::SQLITE_ROW => Ok(true),
            ffi::SQLITE_DONE => Ok(false),
            code => Err(Code::of(connection, code)),
        }
    }

    /// How many columns it has.
    pub(super) fn columns(&self) -> usize {
        // SAFETY: as above.
        usize::try_from(unsafe { ffi::sqlite3_column_count(self.0) }).unwrap_or(0)
    }

    /// A column's name.
    pub(super) fn name(&self, index: usize) -> Box<str> {
        let index = c_int::try_from(index).unwrap_or(c_int::MAX);
        // SAFETY: as above; the name is SQLite's, and is copied before the statement is used again.
        memory::unrefused(|| unsafe {
            let name = ffi::sqlite3_column_name(self.0, index);
            if name.is_null() { "".into() } else { CStr::from_ptr(name).to_string_lossy().into() }
        })
    }

    /// A column of the row at which it is. Does not look at it in another form afterwards: that would move it.
    pub(super) fn column(&mut self, index: usize) -> Column<'_> {
        let index = c_int::try_from(index).unwrap_or(c_int::MAX);
        // What is not refused here is one value, which SQLite wants with a NUL behind it, or zeros that it did not write out.
        // SAFETY: as above; the bytes are SQLite's, and there until the statement is used by `&mut` again.
        memory::unrefused(|| unsafe {
            match ffi::sqlite3_column_type(self.0, index) {
                ffi::SQLITE_INTEGER => Column::Integer(ffi::sqlite3_column_int64(self.0, index)),
                ffi::SQLITE_FLOAT => Column::Real(ffi::sqlite3_column_double(self.0, index)),
                ffi::SQLITE_TEXT => {
                    let start = ffi::sqlite3_column_text(self.0, index);
                    Column::Text(slice(start, ffi::sqlite3_column_bytes(self.0, index)))
                }
                ffi::SQLITE_BLOB => {
                    let start = ffi::sqlite3_column_blob(self.0, index).cast();
                    Column::Blob(slice(start, ffi::sqlite3_column_bytes(self.0, index)))
                }
                _ => Column::Null,
            }
        })
    }

    /// How many rows full scans have gone through since this was asked.
    pub(super) fn scanned(&mut self) -> u64 {
        let counter = ffi::SQLITE_STMTSTATUS_FULLSCAN_STEP;
        // SAFETY: as above.
        u64::try_from(unsafe { ffi::sqlite3_stmt_status(self.0, counter, 1) }).unwrap_or(0)
    }

    /// Is as it was when it was prepared: it holds no lock, and none of what was bound.
    pub(super) fn rest(&mut self) {
        // SAFETY: as above. What the first says is what the last step said.
        unsafe {
            ffi::sqlite3_reset(self.0);
            ffi::sqlite3_clear_bindings(self.0);
        }
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        // SAFETY: it is from `prepare`, and nobody has it any more.
        unsafe { ffi::sqlite3_finalize(self.0) };
    }
}
