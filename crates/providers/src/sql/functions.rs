//! Functions of SQLite's that take the square of what they are given, and are never stopped, as functions that do not: two
//! values of 2 MB would hold a thread for hours. They come to the same.
#![allow(unsafe_code, reason = "SQLite's functions are C functions")]

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::panic::catch_unwind;
use std::ptr::null_mut;

use nexus_guest::SqlOperation;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ffi};

use super::fault::Fault;
use super::statement::Code;
use super::watch::is_over;

/// How long the patterns of LIKE and GLOB may be, in bytes: what they take grows with that and the length of the text.
const PATTERN: usize = 50;
/// How large the arguments of `json_patch` may be together, which may take the square of that.
const PATCHED: usize = 100_000;
/// What SQLite takes text for that is known to be JSON.
const JSON: c_uint = b'J' as c_uint;
/// Below this length of what is looked for it is looked for byte by byte.
const SHORT: usize = 32;

type Function = unsafe extern "C" fn(*mut ffi::sqlite3_context, c_int, *mut *mut ffi::sqlite3_value);

/// Has a connection use them.
pub(super) fn install(connection: &Connection) -> Result<(), Fault> {
    let functions: [(&CStr, c_int, Function); 14] = [
        (c"like", 2, like),
        (c"like", 3, like),
        (c"glob", 2, glob),
        (c"unhex", 2, unhex),
        (c"json_patch", 2, json_patch),
        (c"jsonb_patch", 2, jsonb_patch),
        (c"instr", 2, instr),
        (c"replace", 3, replace),
        (c"trim", 1, trim),
        (c"trim", 2, trim),
        (c"ltrim", 1, ltrim),
        (c"ltrim", 2, ltrim),
        (c"rtrim", 1, rtrim),
        (c"rtrim", 2, rtrim),
    ];
    for (name, count, function) in functions {
        let flags =
            ffi::SQLITE_UTF8 | ffi::SQLITE_DETERMINISTIC | ffi::SQLITE_INNOCUOUS | ffi::SQLITE_RESULT_SUBTYPE;
        // SAFETY: the connection is open as long as it is borrowed, the name ends with a NUL, and the functions are as SQLite
        // wants them, with no data of their own.
        let code = unsafe {
            let handle = connection.handle();
            let name = name.as_ptr();
            ffi::sqlite3_create_function_v2(
                handle,
                name,
                count,
                flags,
                null_mut(),
                Some(function),
                None,
                None,
                None,
            )
        };
        if code != ffi::SQLITE_OK {
            return Err(Code::of(connection, code).into());
        }
    }
    Ok(())
}

/// A function's arguments.
struct Arguments<'a>(&'a [*mut ffi::sqlite3_value]);

impl Arguments<'_> {
    fn is_blob(&self, index: usize) -> bool {
        // SAFETY: SQLite's values are there until the function returns.
        self.0.get(index).is_some_and(|value| unsafe { ffi::sqlite3_value_type(*value) } == ffi::SQLITE_BLOB)
    }

    /// An argument as a C text, which ends at its first NUL; `None` as below.
    fn c_text(&self, index: usize) -> Option<&CStr> {
        let value = *self.0.get(index)?;
        // SAFETY: as above. SQLite's texts end with a NUL, and stay until the value is looked at in another form.
        unsafe {
            let start = ffi::sqlite3_value_text(value);
            (!start.is_null()).then(|| CStr::from_ptr(start.cast()))
        }
    }

    /// An argument as text, or a blob's bytes; `None` if it is NULL, or there is no memory for it.
    fn bytes(&self, index: usize) -> Option<&[u8]> {
        let value = *self.0.get(index)?;
        // SAFETY: as above. The bytes are there until the value is looked at in another form, which nobody does: its length is
        // asked for behind it.
        unsafe {
            let start: *const u8 = match ffi::sqlite3_value_type(value) {
                ffi::SQLITE_NULL => return None,
                ffi::SQLITE_BLOB => ffi::sqlite3_value_blob(value).cast(),
                _ => ffi::sqlite3_value_text(value),
            };
            let length = usize::try_from(ffi::sqlite3_value_bytes(value)).ok()?;
            match (start.is_null(), length) {
                (_, 0) => Some(&[]),
                (true, _) => None,
                (false, length) => Some(std::slice::from_raw_parts(start, length)),
            }
        }
    }
}

/// What a function comes to.
enum Outcome {
    Number(i64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
    Json(Vec<u8>),
    TooLarge,
    Wrong(String),
}

/// Calls a function as SQLite wants it called. A panic does not cross it.
///
/// # Safety
/// To be called by SQLite, with what it gives functions.
unsafe fn call(
    context: *mut ffi::sqlite3_context,
    count: c_int,
    values: *mut *mut ffi::sqlite3_value,
    function: fn(&Arguments<'_>) -> Option<Outcome>,
) {
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: SQLite gives so many values, which are there until this returns. What is given back is copied.
    unsafe {
        let values = if count == 0 { &[] } else { std::slice::from_raw_parts(values, count) };
        // What the call may take is over: this fails, and with it the statement, which would not ask before its next jump.
        if is_over(true) {
            return ffi::sqlite3_result_error_code(context, ffi::SQLITE_INTERRUPT);
        }
        match catch_unwind(|| function(&Arguments(values))) {
            Ok(None) => ffi::sqlite3_result_null(context),
            Ok(Some(Outcome::Number(number))) => ffi::sqlite3_result_int64(context, number),
            Ok(Some(Outcome::Text(text))) => {
                let (start, length) = (text.as_ptr().cast::<c_char>(), text.len() as u64);
                let encoding = ffi::SQLITE_UTF8 as u8;
                ffi::sqlite3_result_text64(context, start, length, ffi::SQLITE_TRANSIENT(), encoding);
            }
            Ok(Some(Outcome::Json(text))) => {
                let (start, length) = (text.as_ptr().cast::<c_char>(), text.len() as u64);
                let encoding = ffi::SQLITE_UTF8 as u8;
                ffi::sqlite3_result_text64(context, start, length, ffi::SQLITE_TRANSIENT(), encoding);
                ffi::sqlite3_result_subtype(context, JSON);
            }
            Ok(Some(Outcome::Blob(bytes))) => {
                let (start, length) = (bytes.as_ptr().cast::<c_void>(), bytes.len() as u64);
                ffi::sqlite3_result_blob64(context, start, length, ffi::SQLITE_TRANSIENT());
            }
            Ok(Some(Outcome::Wrong(why))) => {
                let length = c_int::try_from(why.len()).unwrap_or(0);
                ffi::sqlite3_result_error(context, why.as_ptr().cast(), length);
            }
            Ok(Some(Outcome::TooLarge)) => ffi::sqlite3_result_error_toobig(context),
            Err(_) => ffi::sqlite3_result_error_nomem(context),
        }
    }
}

macro_rules! functions {
    ($($name:ident: $act:expr;)*) => {
        $(unsafe extern "C" fn $name(
            context: *mut ffi::sqlite3_context,
            count: c_int,
            values: *mut *mut ffi::sqlite3_value,
        ) {
            // SAFETY: SQLite calls this.
            unsafe { call(context, count, values, $act) }
        })*
    };
}

functions! {
    instr: |arguments| {
        let (hay, needle) = (arguments.bytes(0)?, arguments.bytes(1)?);
        let are_blobs = arguments.is_blob(0) && arguments.is_blob(1);
        Some(Outcome::Number(place(hay, needle, are_blobs)))
    };
    replace: |arguments| {
        let (text, old) = (arguments.bytes(0)?, arguments.bytes(1)?);
        if begins_with_nothing(old) {
            return Some(Outcome::Text(text.to_vec()));
        }
        let new = arguments.bytes(2)?;
        Some(replaced(text, old, new, SqlOperation::MAX_VALUE).map_or(Outcome::TooLarge, Outcome::Text))
    };
    like: |arguments| matched(arguments, true);
    glob: |arguments| matched(arguments, false);
    unhex: |arguments| unhexed(arguments.c_text(0)?, arguments.bytes(1)?).map(Outcome::Blob);
    json_patch: |arguments| patched(arguments, "SELECT json_patch(?, ?)", true);
    jsonb_patch: |arguments| patched(arguments, "SELECT jsonb_patch(?, ?)", false);
    trim: |arguments| trimmed(arguments, true, true);
    ltrim: |arguments| trimmed(arguments, true, false);
    rtrim: |arguments| trimmed(arguments, false, true);
}

/// Whether a text is like a pattern. SQLite's own does that, for a text of 2 MB in a fraction of a second; this one is asked
/// whether the call is to go on before each.
fn matched(arguments: &Arguments<'_>, is_like: bool) -> Option<Outcome> {
    let pattern = arguments.c_text(0);
    if pattern.is_some_and(|pattern| pattern.to_bytes().len() > PATTERN) {
        return Some(Outcome::Wrong("LIKE or GLOB pattern too complex".into()));
    }
    let mut escape = 0;
    if arguments.0.len() > 2 {
        let text = arguments.c_text(2)?.to_string_lossy();
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some('%' | '_'), None) => {
                return Some(Outcome::Wrong("ESCAPE expression must not be % or _".into()));
            }
            (Some(character), None) => escape = u32::from(character),
            _ => return Some(Outcome::Wrong("ESCAPE expression must be a single character".into())),
        }
    }
    let (pattern, text) = (pattern?.as_ptr(), arguments.c_text(1)?.as_ptr());
    // SAFETY: both are texts that end with a NUL, and are there until the function returns.
    let differs = unsafe {
        match is_like {
            true => ffi::sqlite3_strlike(pattern, text, escape),
            false => ffi::sqlite3_strglob(pattern, text),
        }
    };
    Some(Outcome::Number(i64::from(differs == 0)))
}

/// The bytes that pairs of digits stand for, with any of these characters between pairs; `None` if there is anything else.
fn unhexed(digits: &CStr, between: &[u8]) -> Option<Vec<u8>> {
    let between: HashSet<char> = String::from_utf8_lossy(between).chars().collect();
    let digits = digits.to_string_lossy();
    let mut characters = digits.chars();
    let mut result = Vec::with_capacity(digits.len() / 2);
    while let Some(first) = characters.next() {
        match first.to_digit(16) {
            Some(high) => {
                let low = characters.next()?.to_digit(16)?;
                result.push(u8::try_from(high << 4 | low).ok()?);
            }
            None if between.contains(&first) => {}
            None => return None,
        }
    }
    Some(result)
}

/// What SQLite's own makes of small arguments. It is out of reach on a connection that has another of this name.
fn patched(arguments: &Arguments<'_>, text: &str, is_text: bool) -> Option<Outcome> {
    let value = |index| {
        let bytes = arguments.bytes(index)?;
        Some(if arguments.is_blob(index) { ValueRef::Blob(bytes) } else { ValueRef::Text(bytes) })
    };
    let values = [value(0)?, value(1)?];
    let size = |value: &ValueRef<'_>| value.as_bytes().map_or(0, <[u8]>::len);
    if values.iter().map(size).sum::<usize>() > PATCHED {
        return Some(Outcome::TooLarge);
    }
    let [first, second] = values.map(ToSqlOutput::Borrowed);
    let patch = || {
        let connection = Connection::open_in_memory()?;
        connection.query_row(text, [first, second], |row| {
            Ok(row.get_ref(0)?.as_bytes_or_null()?.map(<[u8]>::to_vec))
        })
    };
    Some(match patch() {
        Ok(result) => (if is_text { Outcome::Json } else { Outcome::Blob })(result?),
        Err(rusqlite::Error::SqliteFailure(_, Some(why))) => Outcome::Wrong(why),
        Err(_) => Outcome::Wrong("json_patch cannot be carried out".into()),
    })
}

/// Where something begins, in characters or bytes, from 1; 0 if it is nowhere.
fn place(hay: &[u8], needle: &[u8], are_blobs: bool) -> i64 {
    let Some(at) = Finder::new(needle).find(hay, 0) else { return 0 };
    let before = &hay[..at];
    let count = if are_blobs { at } else { before.iter().filter(|byte| (**byte & 0xc0) != 0x80).count() };
    i64::try_from(count + 1).unwrap_or(i64::MAX)
}

/// Whether SQLite takes what is to be replaced for nothing.
fn begins_with_nothing(text: &[u8]) -> bool {
    text.first().is_none_or(|first| *first == 0)
}

/// A text with another piece for each of one; `None` if that is too long.
fn replaced(text: &[u8], old: &[u8], new: &[u8], most: usize) -> Option<Vec<u8>> {
    let finder = Finder::new(old);
    let mut result = Vec::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) = finder.find(text, from) {
        result.extend_from_slice(&text[from..at]);
        result.extend_from_slice(new);
        from = at + old.len();
        if result.len() > most {
            return None;
        }
    }
    result.extend_from_slice(&text[from..]);
    Some(result)
}

/// Finds a piece in time that grows with the lengths, not their product (Knuth, Morris and Pratt).
struct Finder<'a> {
    needle: &'a [u8],
    /// For each beginning of the needle, how long its longest beginning is that is its end, too.
    back: Vec<usize>,
}

impl<'a> Finder<'a> {
    fn new(needle: &'a [u8]) -> Self {
        let mut back = Vec::new();
        if needle.len() > SHORT {
            back = vec![0; needle.len()];
            let mut length = 0;
            for at in 1..needle.len() {
                while length > 0 && needle[at] != needle[length] {
                    length = back[length - 1];
                }
                length += usize::from(needle[at] == needle[length]);
                back[at] = length;
            }
        }
        Self { needle, back }
    }

    fn find(&self, hay: &[u8], from: usize) -> Option<usize> {
        let needle = self.needle;
        let rest = hay.get(from..)?;
        if needle.is_empty() {
            return Some(from);
        }
        if self.back.is_empty() {
            return rest.windows(needle.len()).position(|window| window == needle).map(|at| from + at);
        }
        let mut length = 0;
        for (at, byte) in rest.iter().enumerate() {
            while length > 0 && *byte != needle[length] {
                length = self.back[length - 1];
            }
            length += usize::from(*byte == needle[length]);
            if length == needle.len() {
                return Some(from + at + 1 - length);
            }
        }
        None
    }
}

fn trimmed(arguments: &Arguments<'_>, left: bool, right: bool) -> Option<Outcome> {
    let text = String::from_utf8_lossy(arguments.bytes(0)?);
    let which = match arguments.0.len() {
        1 => Cow::Borrowed(" "),
        _ => String::from_utf8_lossy(arguments.bytes(1)?),
    };
    // A NUL ends the set, as it always has.
    let which: HashSet<char> = which.chars().take_while(|c| *c != '\0').collect();
    let mut rest = &*text;
    if left {
        rest = rest.trim_start_matches(|c| which.contains(&c));
    }
    if right {
        rest = rest.trim_end_matches(|c| which.contains(&c));
    }
    Some(Outcome::Text(rest.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::types::Value;

    use super::*;
    use crate::sql::memory;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            1 => Just(Value::Null),
            1 => any::<i64>().prop_map(Value::Integer),
            6 => "[ab é\0]{0,8}".prop_map(Value::Text),
            2 => "[ab]{30,80}".prop_map(Value::Text),
            2 => "(ab){15,40}a?".prop_map(Value::Text),
            2 => "[abé]{0,8}".prop_map(|text| Value::Blob(text.into_bytes())),
        ]
    }

    fn asked(connection: &Connection, text: &str, values: &[&Value]) -> Result<Value, String> {
        let row = connection.query_row(text, rusqlite::params_from_iter(values), |row| row.get(0));
        row.map_err(|error| error.to_string())
    }

    proptest! {
        #[test]
        fn they_come_to_what_sqlites_own_come_to(a in value(), b in value(), c in value()) {
            memory::install().unwrap();
            let (own, ours) = (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
            prop_assert!(install(&ours).is_ok());
            for text in [
                "SELECT instr(?1 || ?3 || ?2, ?2)",
                "SELECT instr(?1, ?2)",
                "SELECT replace(?1 || ?2 || ?1 || ?2 || ?2, ?2, ?3)",
                "SELECT replace(?1, ?2, ?3)",
                "SELECT trim(?1)",
                "SELECT ltrim(?1, ?2)",
                "SELECT rtrim(?1, ?2)",
                "SELECT trim(?1, ?3)",
                "SELECT ?1 LIKE '%' || substr(?2, 2, 5) || '_%'",
                "SELECT ?1 LIKE '%a|%' ESCAPE '|'",
                "SELECT ?1 GLOB '*[ab]?' || substr(?2, 1, 5) || '*'",
                "SELECT unhex(hex(?1) || ' ' || hex(?2), ?2 || ' ')",
                "SELECT unhex(?1, ?2)",
                "SELECT quote(jsonb_patch(json_object('a', hex(?1), 'b', 1), json_object('a', hex(?2), 'b', null)))",
                "SELECT json_array(json_patch('{\"a\": 1}', json_object('a', hex(?1))))",
                "SELECT json_patch(?1, '{}')",
            ] {
                let values: Vec<&Value> = [&a, &b, &c][..if text.contains("?3") { 3 } else { 2 }].to_vec();
                let values = if text.contains("?2") || text.contains("?3") { &values[..] } else { &values[..1] };
                prop_assert_eq!(asked(&ours, text, values), asked(&own, text, values), "{}", text);
            }
        }
    }

    #[test]
    fn large_values_take_no_square() {
        let (hay, needle) = (vec![b'a'; 2_000_000], [vec![b'a'; 999_999], vec![b'b']].concat());
        let began = std::time::Instant::now();
        assert_eq!(place(&hay, &needle, true), 0);
        assert_eq!(replaced(&hay, &needle, b"", 10).unwrap().len(), 2_000_000);
        assert!(replaced(&hay, b"a", b"aa", 2_000_000).is_none());
        assert!(began.elapsed() < std::time::Duration::from_secs(5));
    }
}
