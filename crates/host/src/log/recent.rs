//! The last lines of each app, for whoever reads along.
//!
//! Nobody who reads holds anybody up: a reader names the last line that it has, and gets those after it that are still
//! there, with how many are not.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// What is kept of one app at most, in bytes.
const OF_AN_APP: usize = 64 * 1024;
/// What is kept of all apps together at most, in bytes.
const OF_ALL: usize = 4 << 20;
/// What a line costs beside its text, in bytes.
const LINE: usize = 48;

/// The last lines of each app.
#[derive(Debug)]
pub(crate) struct Recent {
    state: Mutex<State>,
    /// Counts the lines; changes with each.
    count: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    apps: HashMap<Box<str>, Lines>,
    /// Bytes of all of them.
    held: usize,
}

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<Arc<str>>,
    /// The number of the first of them, from 0 on.
    first: u64,
    held: usize,
}

impl Lines {
    fn next(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    /// Lets the oldest line go; gives the bytes that it held.
    fn forget_one(&mut self) -> usize {
        let Some(line) = self.lines.pop_front() else { return 0 };
        let cost = line.len() + LINE;
        self.first += 1;
        self.held -= cost;
        cost
    }
}

/// Lines of an app, read by somebody.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// The lines, as JSON without a line's end.
    pub(crate) lines: Vec<Arc<str>>,
    /// How many before them had gone already.
    pub(crate) missed: u64,
    /// From where to read on.
    pub(crate) next: u64,
}

impl Recent {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), count: watch::Sender::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a line. Those that are too long for it are not kept, and count as missed.
    pub(super) fn keep(&self, app: &str, line: &str) {
        let mut state = self.state();
        let state = &mut *state;
        if !state.apps.contains_key(app) {
            state.apps.insert(app.into(), Lines::default());
        }
        let Some(lines) = state.apps.get_mut(app) else { return };
        let cost = line.len() + LINE;
        if cost > OF_AN_APP {
            while !lines.lines.is_empty() {
                state.held -= lines.forget_one();
            }
            lines.first += 1;
        } else {
            while lines.held + cost > OF_AN_APP {
                state.held -= lines.forget_one();
            }
            lines.lines.push_back(line.into());
            lines.held += cost;
            state.held += cost;
        }
        while state.held > OF_ALL {
            // Whoever has most has least to lose; there are few apps as large as this.
            let Some(largest) = state.apps.values_mut().max_by_key(|lines| lines.held) else { break };
            state.held -= largest.forget_one();
        }
        self.count.send_modify(|count| *count += 1);
    }

    /// The last `most` lines of an app.
    pub(crate) fn last(&self, app: &str, most: usize) -> Read {
        let state = self.state();
        let Some(lines) = state.apps.get(app) else { return Read { lines: Vec::new(), missed: 0, next: 0 } };
        let skip = lines.lines.len().saturating_sub(most);
        Read { lines: lines.lines.iter().skip(skip).cloned().collect(), missed: 0, next: lines.next() }
    }

    /// An app's lines from this one on.
    pub(crate) fn after(&self, app: &str, next: u64) -> Read {
        let state = self.state();
        let Some(lines) = state.apps.get(app) else { return Read { lines: Vec::new(), missed: 0, next } };
        let missed = lines.first.saturating_sub(next);
        let skip = usize::try_from(next.saturating_sub(lines.first)).unwrap_or(usize::MAX);
        Read { lines: lines.lines.iter().skip(skip).cloned().collect(), missed, next: lines.next() }
    }

    /// Tells of further lines, of any app.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(read: &Read) -> Vec<&str> {
        read.lines.iter().map(|line| &**line).collect()
    }

    #[test]
    fn a_reader_gets_each_line_once_and_learns_what_it_has_missed() {
        let recent = Recent::new();
        assert_eq!(recent.last("a", 10), Read { lines: Vec::new(), missed: 0, next: 0 });
        for line in ["1", "2", "3"] {
            recent.keep("a", line);
        }
        recent.keep("b", "x");
        let read = recent.last("a", 2);
        assert_eq!((texts(&read), read.next), (vec!["2", "3"], 3));
        assert!(recent.after("a", 3).lines.is_empty());
        recent.keep("a", "4");
        let read = recent.after("a", 3);
        assert_eq!((texts(&read), read.missed, read.next), (vec!["4"], 0, 4));
        let line = "y".repeat(10_000);
        (0..20).for_each(|_| recent.keep("a", &line));
        let read = recent.after("a", 4);
        assert_eq!((read.lines.len() as u64 + read.missed, read.next), (20, 24));
        assert!(read.missed > 0 && read.lines.len() * 10_000 < OF_AN_APP);
        assert_eq!(texts(&recent.last("b", 9)), ["x"], "the other app's line is still there");
    }

    #[test]
    fn all_apps_together_are_bounded_and_a_line_that_is_too_long_is_missed() {
        let recent = Recent::new();
        let line = "z".repeat(OF_AN_APP / 2 - LINE);
        for app in 0..200 {
            recent.keep(&app.to_string(), &line);
            recent.keep(&app.to_string(), &line);
        }
        let state = recent.state();
        assert!(state.held <= OF_ALL);
        assert_eq!(state.held, state.apps.values().map(|lines| lines.held).sum::<usize>());
        drop(state);
        recent.keep("a", "1");
        recent.keep("a", &"z".repeat(OF_AN_APP));
        recent.keep("a", "3");
        let read = recent.after("a", 0);
        assert_eq!((texts(&read), read.missed, read.next), (vec!["3"], 2, 3));
    }
}
