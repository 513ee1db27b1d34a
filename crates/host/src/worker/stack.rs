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
/// In so many seconds it is done so often at most: a worker that is not idle needs the pages again.
const PERIOD: i64 = 4;
const OFTEN: u32 = 32;

thread_local! {
    /// A period, by its number, and how often it was done in it.
    static DONE: Cell<(i64, u32)> = const { Cell::new((0, 0)) };
}

/// Gives back what lies below the part of this thread's stack that is in use. To be called where an event loop waits.
pub(super) fn give_back() {
    #[cfg(target_os = "linux")]
    {
        use rustix::mm::{Advice, madvise};
        use rustix::time::{ClockId, clock_gettime};

        let now = clock_gettime(ClockId::MonotonicCoarse).tv_sec / PERIOD;
        let done = match DONE.get() {
            (period, done) if period == now => done,
            _ => 0,
        };
        if done >= OFTEN {
            return;
        }
        DONE.set((now, done + 1));
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
                give_back();
                assert!(kept.iter().all(|byte| *byte == 7));
            }
        });
        thread.unwrap().join().unwrap();
    }
}
