//! The deadlines of requests that wait for an answer.
//!
//! All requests of an app have the same time, so the first to come is the first whose time is up: a queue does,
//! with one timer for its front.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Instant;

use tokio::sync::Notify;

/// Requests in the order of their deadlines.
#[derive(Default)]
pub(super) struct Deadlines {
    queue: RefCell<VecDeque<(Instant, u64)>>,
    /// Told when the queue was empty and is not any more.
    filled: Notify,
}

impl Deadlines {
    /// Adds a request; `due` is not before any earlier one's.
    pub(super) fn add(&self, due: Instant, key: u64) {
        let mut queue = self.queue.borrow_mut();
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
