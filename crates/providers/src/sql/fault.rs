//! What went wrong, and what is said of it: to the guest without a path, to whoever runs the host with one.

use std::io;
use std::path::Path;

use nexus_core::{Limit, format_byte_size};
use nexus_guest::CapabilityError;
use rusqlite::ffi;

use super::CALL_MEMORY;
use super::statement::Code;

/// Why a call was not carried out.
#[derive(Debug)]
pub(super) enum Fault {
    /// For this reason, which is the caller's matter.
    Told(CapabilityError),
    /// It takes longer than is taken on the caller's thread.
    Long,
    /// It writes, which it was not to.
    Writes,
    /// SQLite says so.
    Code(Code),
    /// The system refuses something.
    System(io::Error),
    /// Something panicked.
    Panic,
}

impl From<CapabilityError> for Fault {
    fn from(error: CapabilityError) -> Self {
        Fault::Told(error)
    }
}

impl From<Code> for Fault {
    fn from(code: Code) -> Self {
        Fault::Code(code)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_extended_error_code().unwrap_or(ffi::SQLITE_ERROR);
        Fault::Code(Code { code, message: error.to_string() })
    }
}

/// That a call cannot be carried out as it was asked for.
pub(super) fn invalid(told: impl Into<String>) -> Fault {
    Fault::Told(CapabilityError::Invalid(told.into()))
}

fn failed(told: &str, detail: String) -> CapabilityError {
    CapabilityError::Failed { told: format!("sql: {told}; the host's log says more"), detail }
}

/// Where a fault happened.
#[derive(Clone, Copy)]
pub(super) struct Where<'a> {
    /// The database's file, if it has one.
    pub(super) path: Option<&'a Path>,
    /// How many bytes the owner may keep.
    pub(super) quota: u64,
    /// Why something was denied.
    pub(super) why: Option<&'a str>,
}

impl Fault {
    /// Whether the connection is to be opened anew before anything else is done with it.
    pub(super) fn wants_reopening(&self) -> bool {
        match self {
            Fault::Panic | Fault::System(_) => true,
            Fault::Told(_) | Fault::Long | Fault::Writes => false,
            Fault::Code(code) if is_of_the_statement(code.code) => false,
            Fault::Code(code) => is_of_the_file(code.primary()) || code.primary() == ffi::SQLITE_MISUSE,
        }
    }

    /// What is said of it.
    pub(super) fn told(self, at: Where<'_>) -> CapabilityError {
        let path = at.path.map_or_else(|| "a database in memory".into(), |path| path.display().to_string());
        let code = match self {
            Fault::Told(error) => return error,
            Fault::Long => return CapabilityError::Invalid("the call takes too long".into()),
            Fault::Writes => return CapabilityError::Invalid("the call writes".into()),
            Fault::Panic => {
                return failed("the database cannot be used", format!("{path}: a call to SQLite panicked"));
            }
            Fault::System(error) => return failed("the database cannot be used", format!("{path}: {error}")),
            Fault::Code(code) => code,
        };
        let Code { message, code: extended } = &code;
        match code.primary() {
            _ if is_of_the_statement(*extended) => {
                CapabilityError::Invalid(format!("{message}: SQLITE_CORRUPT"))
            }
            ffi::SQLITE_FULL => match at.path.and_then(Path::parent).map(has_room) {
                Some(false) => failed("there is no room on the disk", format!("{path}: {message}")),
                _ => CapabilityError::Full(Limit::SqlStorage, at.quota),
            },
            ffi::SQLITE_NOMEM => {
                let most = format_byte_size(CALL_MEMORY as u64);
                CapabilityError::Invalid(format!(
                    "the call takes more memory than the {most} that one may: SQLITE_NOMEM"
                ))
            }
            ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_PROTOCOL => {
                CapabilityError::Unavailable("sql".into(), "has the database written by another process")
            }
            ffi::SQLITE_AUTH => {
                let why = at.why.unwrap_or("not authorized");
                CapabilityError::Invalid(format!("{why}: SQLITE_AUTH"))
            }
            ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB => failed(
                "the database is damaged",
                format!(
                    "{path} is damaged ({message}, code {extended}); move it away, with what is beside it of its name, and \
                     the app begins with nothing, or put a copy back; other databases are not affected"
                ),
            ),
            code if is_of_the_file(code) => {
                failed("the database cannot be used", format!("{path}: {message} (code {extended})"))
            }
            code => CapabilityError::Invalid(format!("{message}: {}", name(code))),
        }
    }
}

/// Whether a code sounds as if the file were damaged, and is about what a statement has made of its tables.
fn is_of_the_statement(code: i32) -> bool {
    matches!(code, ffi::SQLITE_CORRUPT_VTAB | ffi::SQLITE_CORRUPT_SEQUENCE)
}

/// Whether a code is about the file, not about what was asked.
fn is_of_the_file(code: i32) -> bool {
    matches!(
        code,
        ffi::SQLITE_CORRUPT
            | ffi::SQLITE_NOTADB
            | ffi::SQLITE_IOERR
            | ffi::SQLITE_CANTOPEN
            | ffi::SQLITE_PERM
            | ffi::SQLITE_NOLFS
            | ffi::SQLITE_READONLY
            | ffi::SQLITE_FORMAT
            | ffi::SQLITE_EMPTY
    )
}

/// Whether the disk takes a little more. SQLite says the same of a full disk and of a database as large as it may be.
fn has_room(folder: &Path) -> bool {
    let probe = folder.join("room.probe");
    let written = std::fs::write(&probe, vec![1; 256 << 10]);
    let _ = std::fs::remove_file(&probe);
    let full = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    };
    !written.as_ref().is_err_and(full)
}

/// A code's name, as SQLite's documentation has it.
fn name(code: i32) -> &'static str {
    match code {
        ffi::SQLITE_INTERNAL => "SQLITE_INTERNAL",
        ffi::SQLITE_ABORT => "SQLITE_ABORT",
        ffi::SQLITE_INTERRUPT => "SQLITE_INTERRUPT",
        ffi::SQLITE_SCHEMA => "SQLITE_SCHEMA",
        ffi::SQLITE_TOOBIG => "SQLITE_TOOBIG",
        ffi::SQLITE_CONSTRAINT => "SQLITE_CONSTRAINT",
        ffi::SQLITE_MISMATCH => "SQLITE_MISMATCH",
        ffi::SQLITE_MISUSE => "SQLITE_MISUSE",
        ffi::SQLITE_RANGE => "SQLITE_RANGE",
        _ => "SQLITE_ERROR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tenant_makes_of_its_tables_is_no_damage() {
        let fault = |code| Fault::Code(Code { code, message: "m".into() });
        let at = Where { path: None, quota: 0, why: None };
        for code in [ffi::SQLITE_CORRUPT_VTAB, ffi::SQLITE_CORRUPT_SEQUENCE] {
            assert!(!fault(code).wants_reopening());
            assert_eq!(fault(code).told(at), CapabilityError::Invalid("m: SQLITE_CORRUPT".into()));
        }
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_CORRUPT_INDEX, ffi::SQLITE_IOERR_READ] {
            assert!(fault(code).wants_reopening());
            assert!(matches!(fault(code).told(at), CapabilityError::Failed { .. }));
        }
    }
}
