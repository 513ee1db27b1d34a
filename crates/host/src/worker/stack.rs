//! What a worker's stack keeps.
//!
//! A request takes some ten KB of stack, which stay resident afterwards. With a thousand idle apps that is much of what
//! they hold.

// The pages are named by their addresses.
#![allow(unsafe_code)]

use std::cell::Cell;

/// So much below what is in use stays, for the calls that give the rest back.
const MARGIN: usize = 16 * 1024;
/// So much of what lies below that is given back. A worker's event loop waits near the beginning of its stack, of which
/// this is a small part.
const DEPTH: usize = 128 * 1024;
/// It is done so often at most, in seconds: a worker that is not idle needs the pages again.
const SELDOM: i64 = 5;

thread_local! {
    static LAST: Cell<i64> = const { Cell::new(-SELDOM) };
}

/// Gives back what lies below the part of this thread's stack that is in use. To be called where an event loop waits.
pub(super) fn give_back() {
    #[cfg(target_os = "linux")]
    {
        use rustix::mm::{Advice, madvise};
        use rustix::time::{ClockId, clock_gettime};

        let now = clock_gettime(ClockId::MonotonicCoarse).tv_sec;
        if now - LAST.get() < SELDOM {
            return;
        }
        LAST.set(now);
        let here = std::ptr::from_ref(&now) as usize;
        let page = rustix::param::page_size();
        let end = (here - MARGIN) / page * page;
        let begin = end - DEPTH;
        // SAFETY: the range is of this thread's stack, for workers' stacks are much larger than both parts of it and
        // their event loops wait near the beginning; and it lies below all frames that are in use, so nothing in it is
        // read before it is written.
        let _ = unsafe { madvise(begin as *mut _, DEPTH, Advice::LinuxDontNeed) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn deep(levels: u8) -> u64 {
        let filled = std::hint::black_box([levels; 8 * 1024]);
        let below = if levels == 0 { 0 } else { deep(levels - 1) };
        below + u64::from(filled[usize::from(levels)])
    }

    #[test]
    fn what_is_in_use_stays_and_the_rest_can_be_used_again() {
        let thread = std::thread::Builder::new().stack_size(crate::worker::STACK).spawn(|| {
            let kept = std::hint::black_box([7u8; 20_000]);
            for _ in 0..3 {
                assert_eq!(deep(12), 78);
                LAST.set(-SELDOM);
                give_back();
                assert!(kept.iter().all(|byte| *byte == 7));
            }
        });
        thread.unwrap().join().unwrap();
    }
}
