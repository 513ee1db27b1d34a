//! What an engine is, and what a guest can be told and asked.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::LocalBoxFuture;
use nexus_core::{App, Limit, Limits};

use crate::{Request, Responder, Services};

/// Makes guests of one kind. One engine serves the whole process.
pub trait Engine: Send + Sync + 'static {
    /// The engine's name in logs and metrics: `"js"`, `"wasm"`.
    fn name(&self) -> &'static str;

    /// Whether this engine runs an app whose main file is `main`.
    fn runs(&self, main: &str) -> bool;

    /// Whether there is anything to [prepare](Engine::prepare).
    fn prepares(&self) -> bool {
        false
    }

    /// Makes ready on the current thread what the next load on it needs, as far as that does not depend on the app beyond
    /// its limits.
    fn prepare(&self, _limits: &Limits) {}

    /// Gives up what was made ready on the current thread.
    fn discard(&self) {}

    /// Loads and evaluates the app on the current thread, which is to be its worker's and runs an event
    /// loop. The guest never leaves that thread.
    fn load(
        &self,
        app: Arc<App>,
        services: Services,
    ) -> LocalBoxFuture<'static, Result<Rc<dyn Guest>, LoadError>>;
}

/// An app's code as it runs, bound to its worker's thread.
///
/// No method may be called from within another one's turn; the host calls them from its event
/// loop only. A guest that ended (see [`Guest::poll`]) is dropped and never entered again.
pub trait Guest {
    /// Hands over a request. The answer may be in the responder when this returns.
    fn request(&self, request: Request, responder: Responder) -> Ticket;

    /// The client of this request has gone, or its time is up: the request's signal aborts in a later
    /// turn. A ticket whose request is over is ignored.
    fn abort(&self, ticket: Ticket);

    /// Goes on with timers and finished operations. Ready when the guest has ended: by then every
    /// responder was dropped. Must be polled again after each wake-up, and woken by [`Guest::request`]
    /// if that left something to wait for.
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Stop>;

    /// Requests whose work is not over: unanswered, streaming, or in `waitUntil`.
    fn in_flight(&self) -> usize;

    /// What the guest holds right now.
    fn usage(&self) -> Usage;

    /// A handle to stop the guest from any thread.
    fn stopper(&self) -> Arc<dyn Stopper>;
}

/// Stops a guest from another thread, also in the middle of an endless loop.
pub trait Stopper: Send + Sync {
    /// Asks for the stop. The guest's current turn, or else its next one, ends it.
    fn stop(&self, reason: StopReason);

    /// Has the guest look at its limits as soon as it can, in the middle of its turn, and stop itself if it is beyond
    /// one, or sleep for good if its turn was given up. A look that has begun before stands for this one only if it sees
    /// what the caller has done before. Between turns it does nothing. Cheap enough to be called every few milliseconds.
    fn poke(&self);
}

/// Names a request towards the guest that it was handed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// How a guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Why.
    pub reason: StopReason,
    /// The limit that it came to, with its value.
    pub limit: Option<(Limit, u64)>,
    /// The whole story for the log, the guest's stack included where there is one.
    pub detail: String,
}

/// Why a guest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// It came to its memory limit.
    Memory,
    /// It came to its CPU limit.
    Cpu,
    /// A turn took longer than a response may.
    Wall,
    /// The host wanted it (shutdown, replacement).
    Host,
    /// The engine itself failed while it ran the guest.
    Engine,
}

impl StopReason {
    /// The reason as a metric's label.
    pub fn label(self) -> &'static str {
        match self {
            StopReason::Memory => "memory",
            StopReason::Cpu => "cpu",
            StopReason::Wall => "wall",
            StopReason::Host => "host",
            StopReason::Engine => "engine",
        }
    }
}

/// What a guest holds. All zero once nothing is in flight shows that nothing leaks (except for the heap).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes of heap in use, buffers and WebAssembly memories included.
    pub heap_used: u64,
    /// The heap's limit in bytes.
    pub heap_limit: u64,
    /// Live request scopes.
    pub scopes: u64,
    /// Timers that have not fired.
    pub timers: u64,
    /// Operations under way.
    pub operations: u64,
}

/// Why an app cannot be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// What is wrong, in one line.
    pub message: String,
    /// Where, if it is in a file of the app.
    pub excerpt: Option<SourceExcerpt>,
    /// The stack of an exception during evaluation, if there is one.
    pub stack: Option<String>,
}

impl LoadError {
    /// An error without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), excerpt: None, stack: None }
    }
}

/// A place in a file and the line that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceExcerpt {
    /// The file, relative to the app's folder.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
    /// How many characters the fault spans, at least 1.
    pub width: u32,
    /// The line's text.
    pub text: String,
}

impl fmt::Display for LoadError {
    /// One line for the message; then, where a place is known, the file, the source line and a caret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        if let Some(stack) = &self.stack {
            write!(f, "\n{stack}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

impl fmt::Display for SourceExcerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{margin}--> {}:{}:{}", self.file, self.line, self.column)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", self.text)?;
        let before = self.column.saturating_sub(1) as usize;
        // Tabs stay tabs, so that the caret stands under its character in any terminal.
        let indent: String =
            self.text.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        write!(f, "{margin} | {indent}{}", "^".repeat(self.width.max(1) as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_puts_the_caret_under_the_fault() {
        let excerpt =
            SourceExcerpt { file: "a.js".into(), line: 12, column: 3, width: 2, text: "\tx yz".into() };
        assert_eq!(excerpt.to_string(), "  --> a.js:12:3\n   |\n12 | \tx yz\n   | \t ^^");
    }
}
