//! How much of the log's queue somebody may fill, in lines and in bytes.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A bounded number of lines and bytes, taken by those who log and given back by the writer.
///
/// All orderings are relaxed: a budget only counts, it guards no memory.
pub(super) struct Budget {
    lines: AtomicUsize,
    bytes: AtomicUsize,
    max_lines: usize,
    max_bytes: usize,
}

impl Budget {
    pub(super) const fn new(max_lines: usize, max_bytes: usize) -> Self {
        Self { lines: AtomicUsize::new(0), bytes: AtomicUsize::new(0), max_lines, max_bytes }
    }

    /// A budget of a quarter of this one, at least one line.
    pub(super) fn quarter(&self) -> Self {
        Self::new((self.max_lines / 4).max(1), (self.max_bytes / 4).max(1))
    }

    /// Takes one line of `bytes` bytes, or nothing.
    pub(super) fn take(&self, bytes: usize) -> bool {
        // Taken first and looked at after: two threads can then both be refused where one would have
        // fitted, but never both be let in.
        let lines = self.lines.fetch_add(1, Ordering::Relaxed);
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = lines < self.max_lines && held.saturating_add(bytes) <= self.max_bytes;
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    /// Gives back what [`Budget::take`] took.
    pub(super) fn give_back(&self, bytes: usize) {
        self.lines.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_bounded_by_lines_and_by_bytes_and_comes_back() {
        let budget = Budget::new(2, 10);
        assert!(budget.take(4));
        assert!(!budget.take(7), "11 bytes do not fit into 10");
        assert!(budget.take(6));
        assert!(!budget.take(0), "a third line does not fit into two");
        budget.give_back(4);
        assert!(budget.take(4));
    }
}
