//! What the host does for a guest: its log, its modules, its variables, its capabilities.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nexus_core::Limits;

use crate::{Bound, HttpClient, RequestId, Secrets, Stop, Watch};

/// What a guest gets at load.
#[derive(Clone)]
pub struct Services {
    /// Where its log lines go.
    pub log: Rc<dyn LogSink>,
    /// Where its modules come from.
    pub modules: Rc<dyn ModuleSource>,
    /// Its variables (`[permissions] env`, `[env]` and `--env-file`), in order.
    pub env: Rc<[(String, String)]>,
    /// What it may use.
    pub limits: Limits,
    /// Where its turns and its memory are seen from outside. The engine attaches a stopper before any code of the
    /// guest runs, marks each turn, and looks in the middle of turns whether they were given up.
    pub watch: Arc<Watch>,
    /// Who is told if the engine cannot return any more.
    pub abandon: Rc<dyn Abandon>,
    /// Who is told when a single request is stopped.
    pub stops: Rc<dyn StopSink>,
    /// What sends its requests to others.
    pub http: Rc<dyn HttpClient>,
    /// What its bindings lead to, by their names, in order.
    pub bindings: Rc<[(Box<str>, Bound)]>,
    /// Its secrets, which come before variables of the same names.
    pub secrets: Arc<Secrets>,
}

/// Told by an engine whose guests keep their requests apart: one of them was stopped at a limit, and the others go on.
/// Where a stop ends the guest, [`Guest::poll`](crate::Guest::poll) says so instead.
pub trait StopSink {
    /// The request was stopped, and has been answered.
    fn stopped(&self, request: RequestId, stop: &Stop);
}

/// Told by an engine that will never return from the running turn: it ran out of memory in the middle of something
/// that cannot be unwound, say. The engine parks the thread for good right after.
///
/// It is called on the worker's thread, from within the engine: whatever the event loop was doing is on the stack
/// below, borrowed and half done. So the host may only do what touches none of that: answer and close connections by
/// their descriptors, and have another thread start a new worker.
pub trait Abandon {
    /// The guest has ended in this way, and its worker with it. Does nothing if the host has given the turn up.
    fn abandon(&self, stop: Stop);

    /// The engine nears the end of something that the process has only once and that nothing gives back, so the process
    /// should be replaced while all still work. Why, in one clause. Told once.
    fn worn(&self, why: &str) {
        let _ = why;
    }
}

/// A log line's level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// `console.debug`, `console.trace`.
    Debug,
    /// `console.log`, `console.info`.
    Info,
    /// `console.warn`.
    Warn,
    /// `console.error`, uncaught exceptions.
    Error,
}

impl Level {
    /// The level as it stands in a log line.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Stands in a text of a guest's where something was cut off: behind what is left, and before what follows in another line.
pub const CUT: &str = "…";

/// One line of a guest's log.
#[derive(Debug, Clone)]
pub struct LogRecord {
    /// How grave.
    pub level: Level,
    /// The request that it belongs to; `None` for evaluation and the guest's own timers.
    pub request: Option<RequestId>,
    /// The text; may have several lines.
    pub message: String,
    /// The stack of an exception.
    pub stack: Option<String>,
}

/// How long a guest may go on with a request after its response is complete, or after its client has left.
pub const TAIL: Duration = Duration::from_secs(30);

/// Takes a guest's log lines. Never blocks; what cannot be written is counted and dropped.
pub trait LogSink {
    /// Whether lines of this level are wanted: saves the formatting of the others.
    fn wants(&self, level: Level) -> bool;

    /// Takes a line.
    fn log(&self, record: LogRecord);
}

/// A module's place: its path from the app's folder, with `/`, without `.` and `..`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModulePath(String);

impl ModulePath {
    /// A path that is already normal; `None` if it is not: empty, absolute, or with an empty, `.` or `..`
    /// segment, a backslash or a NUL.
    pub fn new(path: &str) -> Option<Self> {
        let fine = |s: &str| !s.is_empty() && s != "." && s != ".." && !s.contains(['\\', '\0']);
        path.split('/').all(fine).then(|| Self(path.to_owned()))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModulePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Finds and reads an app's modules, and nothing outside the app's folder.
pub trait ModuleSource {
    /// The module that `specifier` means in `referrer`.
    ///
    /// # Errors
    /// When it is a bare name, leaves the app's folder (also by a symbolic link), or is not there; the message
    /// names both files.
    fn resolve(&self, specifier: &str, referrer: &ModulePath) -> Result<ModulePath, ModuleError>;

    /// The module's bytes, of which it may have `most`.
    ///
    /// # Errors
    /// When it is missing, is no file, has more bytes, or lies outside the app's folder.
    fn read(&self, path: &ModulePath, most: usize) -> Result<Vec<u8>, ModuleError>;
}

/// Why a module cannot be had, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleError(pub String);

impl fmt::Display for ModuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ModuleError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_path_is_normal_or_not_at_all() {
        assert!(ModulePath::new("lib/a.js").is_some());
        for bad in ["", "/a.js", "a//b.js", "./a.js", "a/../b.js", "a\\b.js", "a\0.js"] {
            assert!(ModulePath::new(bad).is_none(), "{bad:?}");
        }
    }
}
