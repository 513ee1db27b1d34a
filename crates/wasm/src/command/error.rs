//! Why a program did not run, or how it ended badly.

use std::fmt;

use nexus_core::{Limit, format_byte_size, format_duration};
use nexus_guest::StopReason;
use wasmtime::{Error, Trap};
use wasmtime_wasi::I32Exit;

use super::Policy;
use crate::error::{Interrupt, one_line, stack, trap_text};

/// Why a program did not run, or how it ended badly. As text: one line.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunError {
    /// Nothing ran: the file is no WebAssembly that can be run, an import is unknown, an export is not there or is
    /// called wrongly, a folder cannot be opened.
    Refused(String),
    /// The program came to a limit of its policy.
    Limit {
        /// Which one: memory, CPU or wall time.
        limit: Limit,
        /// Its value, `50 ms` say.
        value: String,
        /// The program's stack, a frame a line.
        stack: Option<String>,
    },
    /// The program trapped, or the host had no way to go on with it.
    Failed {
        /// What happened: `trap: ` and the specification's words.
        message: String,
        /// The program's stack, a frame a line.
        stack: Option<String>,
    },
    /// A function that was called by its name ended the program with this exit code.
    Exited(u8),
}

impl RunError {
    /// The program's stack where it ended, a frame a line.
    pub fn stack(&self) -> Option<&str> {
        match self {
            RunError::Limit { stack, .. } | RunError::Failed { stack, .. } => stack.as_deref(),
            RunError::Refused(_) | RunError::Exited(_) => None,
        }
    }

    /// What an error of Wasmtime's means. `memory_refused`: whether the program was refused memory before.
    pub(super) fn from(error: &Error, memory_refused: bool, policy: &Policy) -> Self {
        let stack = stack(error);
        let time = |limit, time: Option<_>, stack| {
            let value = time.map(format_duration).unwrap_or_default();
            RunError::Limit { limit, value, stack }
        };
        if let Some(Interrupt(reason)) = error.downcast_ref::<Interrupt>() {
            return match reason {
                StopReason::Wall => time(Limit::Wall, policy.wall, stack),
                _ => time(Limit::Cpu, policy.cpu, stack),
            };
        }
        if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
            return RunError::Exited(exit_code(*code));
        }
        if memory_refused {
            return RunError::Limit { limit: Limit::Memory, value: format_byte_size(policy.memory), stack };
        }
        let message = match error.downcast_ref::<Trap>() {
            Some(trap) => format!("trap: {}", trap_text(*trap)),
            None => one_line(error),
        };
        RunError::Failed { message, stack }
    }
}

/// What a system makes of a program's exit code: its lowest eight bits.
pub(super) fn exit_code(code: i32) -> u8 {
    code.to_le_bytes()[0]
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Refused(text) => f.write_str(text),
            RunError::Limit { limit, value, .. } => {
                write!(f, "the guest reached its {} limit of {value}", limit.key())
            }
            RunError::Failed { message, .. } => f.write_str(message),
            RunError::Exited(code) => write!(f, "the guest exited with {code}"),
        }
    }
}

impl std::error::Error for RunError {}
