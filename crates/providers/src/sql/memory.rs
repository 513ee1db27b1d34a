//! SQLite's memory, counted by call: what one call takes is bounded, whatever a tenant's statement makes SQLite do.
//!
//! SQLite asks these functions for all of its memory, and takes a refusal for what it is: it ends the statement with
//! `SQLITE_NOMEM`. Each piece has its size in front, for SQLite gives it back without.
#![allow(unsafe_code, reason = "SQLite's allocator is a table of C functions")]

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr::null_mut;
use std::sync::OnceLock;

use rusqlite::ffi;

use super::watch::is_over;

/// For a piece so large it is asked whether the call is to go on, and how much time it has taken for one as large as this: what
/// takes long without a jump takes memory over large values.
const LOOK: i64 = 2 << 10;
const LOOK_THOROUGHLY: i64 = 64 << 10;
/// What stands in front of each piece: its size. SQLite wants pieces at multiples of 8.
const FRONT: usize = 8;

thread_local! {
    /// What this thread has taken more than given back since the call began.
    static BALANCE: Cell<i64> = const { Cell::new(0) };
    /// How much that may be.
    static MOST: Cell<i64> = const { Cell::new(i64::MAX) };
}

/// Has SQLite take its memory here. To be called before anything else is done with SQLite; once is enough.
///
/// # Errors
/// When SQLite was used before.
pub(super) fn install() -> Result<(), String> {
    static INSTALLED: OnceLock<Result<(), c_int>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        let methods = ffi::sqlite3_mem_methods {
            xMalloc: Some(take),
            xFree: Some(give),
            xRealloc: Some(retake),
            xSize: Some(size),
            xRoundup: Some(rounded),
            xInit: Some(begin),
            xShutdown: Some(end),
            pAppData: null_mut(),
        };
        // SAFETY: SQLite copies the table before it returns. The functions are as it wants them, and its own statistics, whose
        // lock all threads would share, are turned off by a number. Both calls fail if SQLite was begun before.
        let codes = unsafe {
            [
                ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const methods),
                ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, 0 as c_int),
                ffi::sqlite3_initialize(),
            ]
        };
        match codes.into_iter().find(|code| *code != ffi::SQLITE_OK) {
            Some(code) => Err(code),
            None => Ok(()),
        }
    });
    installed.map_err(|code| format!("SQLite does not take its memory where it is counted (code {code})"))
}

/// Counts what this thread takes, until it is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    before: (i64, i64),
}

impl Counted {
    /// From now on, and no more than `most` bytes.
    pub(super) fn begin(most: usize) -> Self {
        let before = (BALANCE.replace(0), MOST.replace(i64::try_from(most).unwrap_or(i64::MAX)));
        Self { before }
    }

    /// What was taken more than given back so far.
    pub(super) fn balance(&self) -> i64 {
        BALANCE.get()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        BALANCE.set(self.before.0 + BALANCE.get());
        MOST.set(self.before.1);
    }
}

/// Does something in which SQLite is refused nothing, though it is counted.
pub(super) fn unrefused<T>(act: impl FnOnce() -> T) -> T {
    let most = MOST.replace(i64::MAX);
    let result = act();
    MOST.set(most);
    result
}

/// Whether so much more may be taken; then it counts.
fn may_take(bytes: i64) -> bool {
    let balance = BALANCE.get().saturating_add(bytes);
    let most = MOST.get();
    // Who may take any is the provider, which puts things in order.
    let is_over = || bytes >= LOOK && most != i64::MAX && is_over(bytes >= LOOK_THOROUGHLY);
    let may = bytes <= 0 || (balance <= most && !is_over());
    if may {
        BALANCE.set(balance);
    }
    may
}

fn layout(bytes: usize) -> Option<Layout> {
    Layout::from_size_align(bytes.checked_add(FRONT)?, FRONT).ok()
}

extern "C" fn take(bytes: c_int) -> *mut c_void {
    let Some((bytes, layout)) = usize::try_from(bytes).ok().and_then(|bytes| Some((bytes, layout(bytes)?)))
    else {
        return null_mut();
    };
    if !may_take(bytes as i64) {
        return null_mut();
    }
    // SAFETY: the layout has a size, that of the front at least. The front is within the piece, and the piece is where a
    // number of 8 bytes may be.
    unsafe {
        let front = alloc(layout);
        if front.is_null() {
            may_take(-(bytes as i64));
            return null_mut();
        }
        front.cast::<usize>().write(bytes);
        front.add(FRONT).cast()
    }
}

/// The size of a piece.
///
/// # Safety
/// The piece is from `take` or `retake`, and was not given back.
unsafe fn size_of_piece(piece: *mut c_void) -> usize {
    // SAFETY: such a piece has its size in front.
    unsafe { piece.cast::<u8>().sub(FRONT).cast::<usize>().read() }
}

unsafe extern "C" fn give(piece: *mut c_void) {
    if piece.is_null() {
        return;
    }
    // SAFETY: SQLite gives back what it has from here, once. It was taken with the same layout.
    unsafe {
        let bytes = size_of_piece(piece);
        may_take(-(bytes as i64));
        if let Some(layout) = layout(bytes) {
            dealloc(piece.cast::<u8>().sub(FRONT), layout);
        }
    }
}

unsafe extern "C" fn retake(piece: *mut c_void, bytes: c_int) -> *mut c_void {
    let Some((bytes, new)) = usize::try_from(bytes).ok().and_then(|bytes| Some((bytes, layout(bytes)?)))
    else {
        return null_mut();
    };
    // SAFETY: SQLite asks this of what it has from here. If it gets nothing it keeps the piece as it was.
    unsafe {
        let before = size_of_piece(piece);
        let more = bytes as i64 - before as i64;
        let Some(old) = layout(before) else { return null_mut() };
        if !may_take(more) {
            return null_mut();
        }
        let front = realloc(piece.cast::<u8>().sub(FRONT), old, new.size());
        if front.is_null() {
            may_take(-more);
            return null_mut();
        }
        front.cast::<usize>().write(bytes);
        front.add(FRONT).cast()
    }
}

unsafe extern "C" fn size(piece: *mut c_void) -> c_int {
    if piece.is_null() {
        return 0;
    }
    // SAFETY: SQLite asks this of what it has from here.
    c_int::try_from(unsafe { size_of_piece(piece) }).unwrap_or(c_int::MAX)
}

extern "C" fn rounded(bytes: c_int) -> c_int {
    bytes.saturating_add(7) & !7
}

extern "C" fn begin(_: *mut c_void) -> c_int {
    ffi::SQLITE_OK
}

extern "C" fn end(_: *mut c_void) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_counted_and_refused_beyond_the_bound() {
        let counted = Counted::begin(1000);
        let first = take(600);
        assert!(!first.is_null() && counted.balance() == 600);
        assert!(take(600).is_null());
        // SAFETY: the pieces are from here, and given back once.
        unsafe {
            assert_eq!((size(first), first as usize % 8), (600, 0));
            assert!(retake(first, 2000).is_null());
            let grown = retake(first, 900);
            assert!(!grown.is_null() && counted.balance() == 900);
            let more = unrefused(|| take(5000));
            assert!(!more.is_null() && counted.balance() == 5900);
            give(more);
            give(grown);
            give(null_mut());
        }
        assert_eq!(counted.balance(), 0);
        drop(counted);
        assert_eq!(MOST.get(), i64::MAX);
    }

    #[test]
    fn sqlite_takes_its_memory_here() {
        install().unwrap();
        let counted = Counted::begin(1 << 20);
        // SAFETY: what SQLite gives is given back to it.
        unsafe {
            let piece = ffi::sqlite3_malloc(5000);
            assert!(counted.balance() >= 5000);
            assert!(ffi::sqlite3_malloc(2 << 20).is_null());
            ffi::sqlite3_free(piece);
        }
        assert_eq!(counted.balance(), 0);
    }
}
