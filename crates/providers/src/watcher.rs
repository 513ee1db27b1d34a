//! A thread that looks now and then after what is open: as long as anything is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// One for each provider that keeps files open.
#[derive(Debug)]
pub(crate) struct Watcher {
    /// The thread's name.
    name: &'static str,
    /// How often it looks.
    every: Duration,
    is_there: Arc<AtomicBool>,
}

impl Watcher {
    pub(crate) fn new(name: &'static str, every: Duration) -> Self {
        Self { name, every, is_there: Arc::default() }
    }

    /// Has the thread begin that `look` makes, if there is none. It ends when a look finds nothing to come back for, or the
    /// system has no thread to give: then it begins with a later call.
    pub(crate) fn watch<L: FnMut() -> bool + Send + 'static>(&self, look: impl FnOnce() -> L) {
        if self.is_there.load(Ordering::Relaxed) || self.is_there.swap(true, Ordering::AcqRel) {
            return;
        }
        let (every, is_there, mut look) = (self.every, self.is_there.clone(), look());
        let work = move || {
            loop {
                std::thread::sleep(every);
                if !look() {
                    break;
                }
            }
            is_there.store(false, Ordering::Release);
        };
        if std::thread::Builder::new().name(self.name.into()).spawn(work).is_err() {
            self.is_there.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn one_looks_until_there_is_nothing_and_begins_anew() {
        let watcher = Watcher::new("looks", Duration::from_millis(1));
        for _ in 0..3 {
            let (seen, looks) = channel();
            let mut left = 3;
            watcher.watch(|| {
                move || {
                    left -= 1;
                    seen.send(left).unwrap();
                    left > 0
                }
            });
            watcher.watch(|| -> fn() -> bool { panic!("there is one") });
            assert_eq!(looks.iter().collect::<Vec<_>>(), [2, 1, 0]);
            while watcher.is_there.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
        }
    }
}
