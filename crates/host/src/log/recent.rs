//! The last lines of each app, for whoever reads along.
//!
//! Nobody who reads holds anybody up: a reader names the last line that it has, and gets those after it that are still
//! there, with how many are not.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// What is kept of one app at most, in bytes.
const OF_AN_APP: usize = 64 * 1024;
/// What is kept of all apps together at most, in bytes.
const OF_ALL: usize = 4 << 20;
/// What is kept of all apps when some of it had to go: apps are looked through once for many lines.
const OF_ALL_THEN: usize = OF_ALL / 8 * 7;
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
    /// How many apps there were, those that are gone included.
    lives: u64,
}

#[derive(Debug, Default)]
struct Lines {
    /// Another one for each app, also of the same name.
    life: u64,
    lines: VecDeque<Arc<str>>,
    /// The number of the first of them, from 0 on.
    first: u64,
    held: usize,
}

impl State {
    /// Takes half of what they have from the apps that have most: they have least to lose.
    fn make_room(&mut self) {
        let mut apps: Vec<&mut Lines> = self.apps.values_mut().collect();
        apps.sort_unstable_by_key(|lines| Reverse(lines.held));
        for lines in apps {
            let half = lines.held / 2;
            while lines.held > half && self.held > OF_ALL_THEN {
                self.held -= lines.forget_one();
            }
        }
    }
}

impl Lines {
    fn next(&self) -> Next {
        Next { life: self.life, line: self.first + self.lines.len() as u64 }
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

/// From where an app's lines are to be read on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Next {
    /// Which of the apps that have had the name.
    life: u64,
    line: u64,
}

/// Lines of an app, read by somebody.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// The lines, as JSON without a line's end.
    pub(crate) lines: Vec<Arc<str>>,
    /// How many before them had gone already.
    pub(crate) missed: u64,
    /// From where to read on.
    pub(crate) next: Next,
}

impl Read {
    fn nothing(next: Next) -> Self {
        Self { lines: Vec::new(), missed: 0, next }
    }
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
            state.lives += 1;
            state.apps.insert(app.into(), Lines { life: state.lives, ..Lines::default() });
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
        if state.held > OF_ALL {
            state.make_room();
        }
        self.count.send_modify(|count| *count += 1);
    }

    /// Lets go of an app that is gone. One that has the name later has lines of its own.
    pub(super) fn forget(&self, app: &str) {
        let mut state = self.state();
        if let Some(lines) = state.apps.remove(app) {
            state.held -= lines.held;
        }
    }

    /// The last `most` lines of an app.
    pub(crate) fn last(&self, app: &str, most: usize) -> Read {
        let state = self.state();
        let Some(lines) = state.apps.get(app) else { return Read::nothing(Next::default()) };
        let skip = lines.lines.len().saturating_sub(most);
        Read { lines: lines.lines.iter().skip(skip).cloned().collect(), missed: 0, next: lines.next() }
    }

    /// An app's lines from this one on.
    pub(crate) fn after(&self, app: &str, next: Next) -> Read {
        let state = self.state();
        let Some(lines) = state.apps.get(app) else { return Read::nothing(next) };
        let line = if next.life == lines.life { next.line } else { 0 };
        let missed = lines.first.saturating_sub(line);
        let skip = usize::try_from(line.saturating_sub(lines.first)).unwrap_or(usize::MAX);
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
        assert_eq!(recent.last("a", 10), Read::nothing(Next::default()));
        for line in ["1", "2", "3"] {
            recent.keep("a", line);
        }
        recent.keep("b", "x");
        let next = |line| Next { life: 1, line };
        let read = recent.last("a", 2);
        assert_eq!((texts(&read), read.next), (vec!["2", "3"], next(3)));
        assert!(recent.after("a", next(3)).lines.is_empty());
        recent.keep("a", "4");
        let read = recent.after("a", next(3));
        assert_eq!((texts(&read), read.missed, read.next), (vec!["4"], 0, next(4)));
        let line = "y".repeat(10_000);
        (0..20).for_each(|_| recent.keep("a", &line));
        let read = recent.after("a", next(4));
        assert_eq!((read.lines.len() as u64 + read.missed, read.next), (20, next(24)));
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
        let read = recent.after("a", Next::default());
        assert_eq!((texts(&read), read.missed, read.next.line), (vec!["3"], 2, 3));
    }

    #[test]
    fn beyond_what_all_may_have_those_with_most_make_room_for_many_lines_at_once() {
        let recent = Recent::new();
        let line = "z".repeat(1000 - LINE);
        let keep = |app: &str, count: usize| (0..count).for_each(|_| recent.keep(app, &line));
        let held = |app: &str| recent.state().apps[app].held;
        (0..102).for_each(|app| keep(&format!("large {app}"), 41));
        keep("small", 5);
        let before = recent.state().held;
        assert!(before <= OF_ALL);
        let fit = (OF_ALL - before) / 1000;
        keep("filler", fit);
        let most = recent.state().held;
        keep("filler", 1);
        let then = recent.state().held;
        assert!(then <= OF_ALL_THEN && then > OF_ALL_THEN - 1000, "{then} of {most}");
        assert_eq!((held("small"), held("filler")), (5000, (fit + 1) * 1000));
        assert!((0..102).all(|app| held(&format!("large {app}")) >= 20_000));
        let sum = recent.state().apps.values().map(|lines| lines.held).sum::<usize>();
        assert_eq!(sum, then);
    }

    #[test]
    fn an_app_that_is_forgotten_leaves_nothing_and_one_of_its_name_is_read_from_its_beginning() {
        let recent = Recent::new();
        for line in ["1", "2", "3"] {
            recent.keep("a", line);
        }
        let next = recent.last("a", 9).next;
        recent.forget("a");
        recent.forget("b");
        let state = recent.state();
        assert_eq!((state.held, state.apps.len()), (0, 0));
        drop(state);
        assert_eq!(recent.after("a", next), Read::nothing(next));
        for line in ["4", "5", "6", "7"] {
            recent.keep("a", line);
        }
        let read = recent.after("a", next);
        assert_eq!((texts(&read), read.missed), (vec!["4", "5", "6", "7"], 0));
        assert!(recent.after("a", read.next).lines.is_empty());
    }
}
