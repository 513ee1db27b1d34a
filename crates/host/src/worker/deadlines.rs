//! The deadlines of requests that wait for an answer.
//!
//! All requests of an app have the same time, so the first to come is the first whose time is up: a queue does,
//! with one timer for its front.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Instant;

use tokio::sync::Notify;

/// From so many on the answered ones among them are looked for.
const SOME: usize = 64;

/// Requests in the order of their deadlines.
#[derive(Default)]
pub(super) struct Deadlines {
    queue: RefCell<VecDeque<(Instant, u64)>>,
    /// Told when the queue was empty and is not any more.
    filled: Notify,
}

impl Deadlines {
    /// Adds a request; `due` is not before any earlier one's. `is_waiting` says whether a request still waits for
    /// its answer.
    pub(super) fn add(&self, due: Instant, key: u64, is_waiting: impl Fn(u64) -> bool) {
        let mut queue = self.queue.borrow_mut();
        // One that waits for long keeps those behind it, which mostly have been answered: before the queue grows, they
        // go. It then has room for as many as are left, so this happens seldom.
        if queue.len() == queue.capacity() && queue.len() >= SOME {
            queue.retain(|(_, key)| is_waiting(*key));
            if queue.len() > queue.capacity() / 2 {
                let left = queue.len();
                queue.reserve(left);
            }
        }
        if queue.is_empty() {
            self.filled.notify_one();
        }
        queue.push_back((due, key));
    }

    /// Waits for the next request whose time is up. `is_waiting` says whether a request still waits for its
    /// answer; the others are passed over.
    pub(super) async fn next(&self, is_waiting: impl Fn(u64) -> bool) -> u64 {
        loop {
            let front = self.queue.borrow().front().copied();
            match front {
                None => self.filled.notified().await,
                Some((due, key)) => {
                    if !is_waiting(key) {
                        self.queue.borrow_mut().pop_front();
                    } else if due <= Instant::now() {
                        self.queue.borrow_mut().pop_front();
                        return key;
                    } else {
                        tokio::time::sleep_until(due.into()).await;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_that_waits_for_long_does_not_keep_the_answered_ones() {
        let deadlines = Deadlines::default();
        let start = Instant::now();
        for key in 0..100_000 {
            deadlines.add(start + Duration::from_nanos(key), key, |key| key == 0 || key > 99_990);
        }
        let queue = deadlines.queue.borrow();
        assert!(queue.len() <= 2 * SOME, "{}", queue.len());
        assert_eq!(queue.front().map(|(_, key)| *key), Some(0));
        assert_eq!(queue.back().map(|(_, key)| *key), Some(99_999));
        assert!(queue.iter().is_sorted());
    }

    #[test]
    fn all_that_wait_are_kept() {
        let deadlines = Deadlines::default();
        let start = Instant::now();
        for key in 0..1000 {
            deadlines.add(start, key, |_| true);
        }
        assert_eq!(deadlines.queue.borrow().len(), 1000);
    }
}
