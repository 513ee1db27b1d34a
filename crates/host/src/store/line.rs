//! Who changes an app's record, one after the other.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use nexus_core::AppName;

/// A line for each app, first come, first served. One app's never waits for another's.
#[derive(Debug, Default)]
pub(super) struct Lines {
    lines: Mutex<HashMap<AppName, Line>>,
    /// All lines share it: few wait at a time, and not often.
    moved: Condvar,
}

/// Whoever comes draws the next number and waits until it is called.
#[derive(Debug, Default)]
struct Line {
    next: u64,
    called: u64,
}

/// The first place in an app's line, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    lines: Arc<Lines>,
    app: AppName,
}

impl Lines {
    /// Joins an app's line and waits for the first place.
    pub(super) fn wait(self: &Arc<Self>, app: &AppName) -> Place {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.entry(app.clone()).or_default();
        let number = line.next;
        line.next += 1;
        while lines.get(app).is_some_and(|line| line.called != number) {
            lines = self.moved.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
        Place { lines: self.clone(), app: app.clone() }
    }
}

impl Place {
    /// The app.
    pub(super) fn app(&self) -> &AppName {
        &self.app
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = self.lines.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get_mut(&self.app) {
            line.called += 1;
            // Nobody has drawn a number that is still to be called.
            if line.called == line.next {
                lines.remove(&self.app);
            }
        }
        self.lines.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn app(name: &str) -> AppName {
        AppName::parse(name).unwrap()
    }

    #[test]
    fn one_apps_changes_come_in_order_and_another_apps_do_not_wait() {
        let lines = Arc::new(Lines::default());
        let first = lines.wait(&app("a"));
        let order = Arc::new(Mutex::new(Vec::new()));
        let threads: Vec<_> = (1..=8)
            .map(|number| {
                let (own, order) = (lines.clone(), order.clone());
                let thread = thread::spawn(move || {
                    let place = own.wait(&app("a"));
                    order.lock().unwrap().push(number);
                    assert_eq!(place.app().as_str(), "a");
                });
                while lines.lines.lock().unwrap()[&app("a")].next <= number {
                    thread::yield_now();
                }
                thread
            })
            .collect();
        drop(lines.wait(&app("b")));
        assert!(order.lock().unwrap().is_empty());
        drop(first);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*order.lock().unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(lines.lines.lock().unwrap().is_empty());
    }
}
