//! The supervisor's own lines in the log.

use std::collections::VecDeque;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nexus_guest::Level;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::log::{LogConfig, OutputLock, Value, host_line};

/// How many lines wait while standard output takes none. Then the oldest go.
const MAX_WAITING: usize = 100;

/// How long to wait for a host that is writing.
const RETRY: Duration = Duration::from_millis(2);

/// How long a list of names may be, in bytes: a line has it twice, and stays below what a pipe takes at once.
const MAX_NAMES: usize = 1800;

/// Writes lines to standard output, and never waits for it: a host must be started whoever reads the log.
pub(super) struct Report {
    config: LogConfig,
    lock: OutputLock,
    waiting: VecDeque<String>,
    /// Standard output takes a line, but a host is writing: when to look again.
    retry_at: Option<Instant>,
}

impl Report {
    pub(super) fn new(config: LogConfig, lock: OutputLock) -> Self {
        Self { config, lock, waiting: VecDeque::new(), retry_at: None }
    }

    /// The lock of the output, for the hosts.
    pub(super) fn output_lock(&self) -> OutputLock {
        self.lock.clone()
    }

    /// Writes a line, now or as soon as it can be.
    pub(super) fn line(
        &mut self,
        level: Level,
        message: impl Into<String>,
        fields: impl IntoIterator<Item = (&'static str, Value)>,
    ) {
        if level < self.config.level {
            return;
        }
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(host_line(self.config, level, message.into(), fields.into_iter().collect()));
        self.flush();
    }

    /// Writes what waits, as far as it can be written at once.
    pub(super) fn flush(&mut self) {
        self.retry_at = None;
        while !self.waiting.is_empty() && is_writable() {
            let Some(turn) = self.lock.try_take() else {
                self.retry_at = Some(Instant::now() + RETRY);
                return;
            };
            // Whoever had it may have filled the pipe meanwhile. From now on nobody else does.
            if !is_writable() {
                return;
            }
            if let Some(mut line) = self.waiting.pop_front() {
                let is_torn = turn.is_torn();
                if is_torn {
                    line.insert(0, '\n');
                }
                let mut out = std::io::stdout().lock();
                // Nobody is left who could be told.
                let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
                if is_torn {
                    turn.mark(false);
                }
            }
        }
    }

    /// Standard output, if something waits for it and for nothing else.
    pub(super) fn waits_for(&self) -> Option<BorrowedFd<'static>> {
        (!self.waiting.is_empty() && self.retry_at.is_none()).then(rustix::stdio::stdout)
    }

    /// When to flush again although nothing has happened.
    pub(super) fn retries_at(&self) -> Option<Instant> {
        self.retry_at
    }
}

/// Whether standard output takes a line without making us wait: a pipe that polls as writable has room for
/// `PIPE_BUF` (4,096) bytes.
fn is_writable() -> bool {
    let out = std::io::stdout();
    let mut fds = [PollFd::from_borrowed_fd(out.as_fd(), PollFlags::OUT)];
    match poll(&mut fds, Some(&Timespec::default())) {
        Ok(_) => !fds[0].revents().is_empty(),
        Err(_) => true,
    }
}

/// Names in a line of text: `a, b and 3 more`.
pub(super) fn list<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    let mut left = names.len();
    for name in names {
        if text.len() + name.len() > MAX_NAMES {
            text.push_str(&format!(" and {left} more"));
            break;
        }
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(name);
        left -= 1;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_all_or_says_how_many_more_there_are() {
        assert_eq!(list([].into_iter()), "");
        assert_eq!(list(["a", "b"].into_iter()), "a, b");
        let many = vec!["0123456789"; 1000];
        let text = list(many.into_iter());
        let named = text.matches("0123456789").count();
        assert!(text.len() < 2100 && text.ends_with(&format!(" and {} more", 1000 - named)), "{text}");
    }
}
