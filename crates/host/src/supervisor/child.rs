//! A host, as its supervisor sees it, and how it ended.

use std::fmt;
use std::time::Instant;

use rustix::process::{Pid, Signal, WaitStatus, kill_process};

use super::link::Reins;
use super::sys::SharedCounters;
use crate::log::Value;

/// The code with which Rust ends a process whose main thread panicked.
const PANIC: i32 = 101;

/// What a host is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// It serves, or is about to; there is one of these at most.
    Serve,
    /// It will, as soon as it can: then it takes over from the one that does. There is one of these at most.
    TakeOver,
    /// It finishes what it has in flight.
    Leave,
}

/// How far a host has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It is about to start its apps.
    Starts,
    /// It has started, and serves none of them: it would end with this code if it were the only host.
    ServesNothing(u8),
    /// It serves.
    Serves,
}

/// A host.
pub(super) struct Child {
    pub(super) pid: Pid,
    pub(super) reins: Reins,
    /// The turns of its workers.
    pub(super) turns: SharedCounters,
    pub(super) born: Instant,
    pub(super) duty: Duty,
    /// The apps whose sockets were opened again for it, by their places.
    pub(super) reopened: Vec<usize>,
    /// What it said of its apps.
    pub(super) state: State,
    /// When it must have ended, or served where it is to take over.
    pub(super) deadline: Option<Instant>,
}

impl Child {
    /// A line's field that says which process it is.
    pub(super) fn field(&self) -> (&'static str, Value) {
        ("pid", self.pid.as_raw_nonzero().get().into())
    }

    /// Ends it at once.
    pub(super) fn kill(&self) {
        // It has not been waited for, so the number is still its own.
        let _ = kill_process(self.pid, Signal::KILL);
    }
}

/// How a host ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, with this code.
    Exit(u8),
    /// By this signal.
    Signal(i32),
    /// Its main thread panicked.
    Panic,
}

impl End {
    /// The end that the system tells of; `None` if it is not one.
    pub(super) fn of(status: WaitStatus) -> Option<Self> {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(PANIC), _) => Some(Self::Panic),
            (Some(code), _) => Some(Self::Exit(u8::try_from(code).unwrap_or(u8::MAX))),
            (_, Some(signal)) => Some(Self::Signal(signal)),
            _ => None,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "code {code}"),
            Self::Panic => f.write_str("panic"),
            Self::Signal(signal) => match Signal::from_named_raw(*signal).and_then(name) {
                Some(name) => f.write_str(name),
                None => write!(f, "signal {signal}"),
            },
        }
    }
}

/// The names of the signals that end a process with any likelihood.
fn name(signal: Signal) -> Option<&'static str> {
    Some(match signal {
        Signal::ABORT => "SIGABRT",
        Signal::BUS => "SIGBUS",
        Signal::FPE => "SIGFPE",
        Signal::HUP => "SIGHUP",
        Signal::ILL => "SIGILL",
        Signal::INT => "SIGINT",
        Signal::KILL => "SIGKILL",
        Signal::QUIT => "SIGQUIT",
        Signal::SEGV => "SIGSEGV",
        Signal::SYS => "SIGSYS",
        Signal::TERM => "SIGTERM",
        Signal::TRAP => "SIGTRAP",
        Signal::XCPU => "SIGXCPU",
        _ => return None,
    })
}
