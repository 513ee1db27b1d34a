//! What a guest holds: its heap, its buffers and WebAssembly memories, and what the host holds for it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// Bodies from this many bytes on are counted while they are in the host's hands. For smaller ones the number of
/// requests is bound enough.
const COUNTED: usize = 16 * 1024;

/// A guest's memory, in bytes, as of the last looks at each part.
pub(crate) struct Memory {
    limit: u64,
    /// V8's heap, garbage included that was not collected so far.
    heap: Cell<u64>,
    /// Buffers and WebAssembly memories.
    external: Cell<u64>,
    /// By how much those have grown since the last full collection: V8 has it in its books from then on only.
    grown: Cell<u64>,
    /// Large bodies that are on their way between the guest and its clients.
    held: Arc<AtomicU64>,
    /// Beyond it the garbage is collected, to see what is really held.
    threshold: Cell<u64>,
    /// How many turns have ended since the heap was measured at a turn's end, and the total then.
    turns: Cell<u32>,
    before: Cell<u64>,
    /// After how many it is measured again.
    due: Cell<u32>,
}

/// So many turns end before the heap is measured, at the most.
const SELDOM: u32 = 64;
/// So often it is measured, at the rate of the last turns, before it is high.
const STEPS: u64 = 4;

impl Memory {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            heap: Cell::new(0),
            external: Cell::new(0),
            grown: Cell::new(0),
            held: Arc::default(),
            threshold: Cell::new(soft(limit)),
            turns: Cell::new(0),
            before: Cell::new(0),
            due: Cell::new(1),
        }
    }

    /// A turn is over. Says whether the heap should be measured: from one collection to the next it may grow by more
    /// than there is between nearly full and full.
    #[inline]
    pub(crate) fn turn_is_over(&self) -> bool {
        self.turns.set(self.turns.get() + 1);
        self.turns.get() >= self.due.get()
    }

    /// The heap was measured at a turn's end: sets after how many turns it should be again.
    pub(crate) fn measured(&self) {
        let total = self.total();
        let rate = total.saturating_sub(self.before.get()).div_ceil(u64::from(self.turns.get().max(1)));
        let room = self.threshold.get().saturating_sub(total) / STEPS;
        let due = room.checked_div(rate).map_or(SELDOM, |turns| turns.clamp(1, u64::from(SELDOM)) as u32);
        self.due.set(due);
        self.before.set(total);
        self.turns.set(0);
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn set_heap(&self, heap: u64) {
        self.heap.set(heap);
    }

    pub(crate) fn set_external(&self, external: u64) {
        self.external.set(external);
    }

    /// A resizable buffer or a WebAssembly memory has grown, or is about to.
    pub(crate) fn grow(&self, bytes: u64) {
        self.grown.set(self.grown.get().saturating_add(bytes));
    }

    /// All garbage was collected: V8's books are right.
    pub(crate) fn booked(&self) {
        self.grown.set(0);
    }

    pub(crate) fn total(&self) -> u64 {
        // Relaxed: a figure that guards nothing.
        let held = self.held.load(Ordering::Relaxed);
        (self.heap.get() + self.external.get() + held).saturating_add(self.grown.get())
    }

    /// Whether it may be beyond what the guest is to hold, if none of it is garbage.
    pub(crate) fn is_high(&self) -> bool {
        self.total() > self.threshold.get()
    }

    pub(crate) fn is_beyond(&self) -> bool {
        self.total() > self.limit
    }

    /// The garbage was collected: whoever holds much anyway is left alone until it is notably more.
    pub(crate) fn collected(&self) {
        self.threshold.set(self.limit.min(soft(self.limit).max(self.total() + self.limit / 16)));
    }

    /// Whether this many bytes more are within the limit.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        self.total().saturating_add(bytes) <= self.limit
    }

    /// Counts bytes that the host holds for the guest until the share is dropped.
    pub(crate) fn hold(&self) -> Share {
        Share { held: self.held.clone(), bytes: 0 }
    }

    /// A body on its way to a client.
    pub(crate) fn body(&self, bytes: Vec<u8>) -> Bytes {
        if bytes.len() < COUNTED {
            return bytes.into();
        }
        let mut share = self.hold();
        share.grow(bytes.capacity());
        Bytes::from_owner(Counted { bytes, _share: share })
    }
}

/// From here on the host looks for a fresh worker, so garbage should not be in the figure.
fn soft(limit: u64) -> u64 {
    limit / 10 * 9
}

/// A part of what the host holds for a guest.
pub(crate) struct Share {
    held: Arc<AtomicU64>,
    bytes: u64,
}

impl Share {
    /// How much the host holds for the guest in all.
    pub(crate) fn all_held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    pub(crate) fn grow(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.held.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// It is this much from now on.
    pub(crate) fn set(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        self.held.fetch_add(bytes.wrapping_sub(self.bytes), Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Counted {
    bytes: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_counts_until_its_last_piece_is_gone() {
        let memory = Memory::new(1 << 20);
        let mut body = memory.body(vec![1; 100_000]);
        assert!(memory.total() >= 100_000 && !memory.has_room(950_000));
        let piece = body.split_to(10);
        drop(body);
        assert!(memory.total() >= 100_000);
        drop(piece);
        assert_eq!(memory.total(), 0);
    }

    #[test]
    fn a_share_grows_and_shrinks() {
        let memory = Memory::new(1 << 20);
        let mut share = memory.hold();
        for bytes in [100, 1000, 10, 0, 500] {
            share.set(bytes);
            assert_eq!(memory.total(), bytes as u64);
        }
        drop(share);
        assert_eq!(memory.total(), 0);
    }

    #[test]
    fn what_has_grown_counts_until_it_is_in_the_books() {
        let memory = Memory::new(1 << 20);
        memory.grow(600_000);
        memory.grow(500_000);
        assert!(memory.is_beyond() && memory.is_high());
        memory.booked();
        memory.set_external(1_000_000);
        assert_eq!(memory.total(), 1_000_000);
    }

    #[test]
    fn who_grows_is_measured_more_often_the_nearer_the_limit_is() {
        let memory = Memory::new(100 << 20);
        let (mut highest, mut measured) = (0, 0);
        for turn in 1..=1000 {
            let held = turn * (100 << 10);
            if memory.turn_is_over() {
                memory.set_heap(held);
                memory.measured();
                measured += 1;
            }
            if !memory.is_high() {
                highest = held;
            }
        }
        assert!(highest < 91 << 20, "{highest}");
        assert!((15..=200).contains(&measured), "{measured}");
    }

    #[test]
    fn who_does_not_grow_is_measured_seldom() {
        let memory = Memory::new(100 << 20);
        memory.set_heap(80 << 20);
        let measured = (0..6400).filter(|_| memory.turn_is_over()).inspect(|_| memory.measured()).count();
        assert!((100..=110).contains(&measured), "{measured}");
    }

    #[test]
    fn whoever_holds_much_is_looked_at_again_only_when_it_is_more() {
        let memory = Memory::new(160 << 20);
        memory.set_heap(150 << 20);
        assert!(memory.is_high());
        memory.collected();
        assert!(!memory.is_high());
        memory.set_heap(161 << 20);
        assert!(memory.is_high() && memory.is_beyond());
    }
}
