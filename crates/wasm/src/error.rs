//! How a request ended badly, from what Wasmtime says.

use std::fmt;

use nexus_core::{Limit, Limits};
use nexus_guest::{Failure, FailureKind, Stop, StopReason};
use wasmtime::{Error, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// Raised in the middle of a guest's code to have it end.
#[derive(Debug)]
pub(crate) struct Interrupt(pub(crate) StopReason);

impl fmt::Display for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the guest was interrupted ({})", self.0.label())
    }
}

impl std::error::Error for Interrupt {}

/// How a request ended without a response, or without the whole of it.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The guest failed to handle it.
    Failed {
        failure: Failure,
        /// For the log.
        message: String,
        /// The guest's stack.
        stack: Option<String>,
    },
    /// It was stopped at a limit, or by the host.
    Stopped(Stop),
}

impl Ended {
    /// A failure without a stack.
    pub(crate) fn failed(kind: FailureKind, message: impl Into<String>) -> Self {
        Ended::Failed { failure: kind.into(), message: message.into(), stack: None }
    }

    /// A stop at a limit.
    pub(crate) fn at_limit(limit: Limit, limits: &Limits, stack: Option<String>) -> Self {
        let reason = match limit {
            Limit::Memory => StopReason::Memory,
            Limit::Wall => StopReason::Wall,
            _ => StopReason::Cpu,
        };
        let value = limits.get(limit);
        let mut detail = format!("the app reached its {} limit of {}", limit.key(), limit.show(value));
        if let Some(stack) = &stack {
            detail.push('\n');
            detail.push_str(stack);
        }
        Ended::Stopped(Stop { reason, limit: Some((limit, value)), detail })
    }

    /// What an error of Wasmtime's means. `memory_refused`: whether the guest was refused memory before.
    pub(crate) fn from(error: &Error, memory_refused: bool, limits: &Limits) -> Self {
        let stack = stack(error);
        if let Some(Interrupt(reason)) = error.downcast_ref::<Interrupt>() {
            return match reason {
                StopReason::Cpu => Self::at_limit(Limit::Cpu, limits, stack),
                reason => {
                    let detail = "the host ended it".to_owned();
                    Ended::Stopped(Stop { reason: *reason, limit: None, detail })
                }
            };
        }
        if memory_refused {
            return Self::at_limit(Limit::Memory, limits, stack);
        }
        let message = match (error.downcast_ref::<I32Exit>(), error.downcast_ref::<Trap>()) {
            (Some(I32Exit(code)), _) => format!("the guest exited with {code} before it had answered"),
            (_, Some(trap)) => format!("trap: {}", trap_text(*trap)),
            _ => one_line(error),
        };
        Ended::Failed { failure: FailureKind::Threw.into(), message, stack }
    }

    /// What the client gets.
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Ended::Failed { failure, .. } => failure.clone(),
            Ended::Stopped(stop) => Failure { kind: FailureKind::Stopped, limit: stop.limit },
        }
    }
}

/// A trap in the words of the specification, without Wasmtime's prefix.
pub(crate) fn trap_text(trap: Trap) -> String {
    let text = trap.to_string();
    text.strip_prefix("wasm trap: ").map_or(text.clone(), str::to_owned)
}

/// The guest's stack, a frame a line, with the names and places that the file has.
pub(crate) fn stack(error: &Error) -> Option<String> {
    let backtrace = error.downcast_ref::<WasmBacktrace>()?;
    let mut lines = Vec::new();
    for frame in backtrace.frames() {
        let name = match frame.func_name() {
            Some(name) => name.to_owned(),
            None => format!("function {}", frame.func_index()),
        };
        let symbols = frame.symbols();
        if symbols.is_empty() {
            let module = frame.module().name().unwrap_or("wasm");
            let offset = frame.module_offset().map(|offset| format!(":{offset:#x}")).unwrap_or_default();
            lines.push(format!("    at {} ({module}{offset})", demangled(&name)));
        }
        for symbol in symbols {
            let function = symbol.name().map_or_else(|| name.clone(), str::to_owned);
            let place = match (symbol.file(), symbol.line()) {
                (Some(file), Some(line)) => format!(" ({file}:{line})"),
                (Some(file), None) => format!(" ({file})"),
                _ => String::new(),
            };
            lines.push(format!("    at {}{place}", demangled(&function)));
        }
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// Rust's older names end in a hash that says nothing.
fn demangled(name: &str) -> String {
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
            path.to_owned()
        }
        _ => name.to_owned(),
    }
}

/// The longest reason that is told, in characters.
const LONGEST: usize = 1000;

/// An error with its causes, in one line.
pub(crate) fn one_line(error: &Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // The stack is told by itself.
        if text.starts_with("error while executing at wasm backtrace") {
            continue;
        }
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if !text.is_empty() && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    // Names in a file may be of any length.
    let text = parts.join(": ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
