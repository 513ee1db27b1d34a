//! Buffers that the connections of a thread lend one another.
//!
//! A connection needs one while it reads a head and one while it writes a response: for some microseconds, mostly. If
//! each of thousands had its own, they would lie idle nearly always, and be in none of the processor's caches when their
//! turn comes. So a buffer goes back to the thread's spare ones as soon as it is empty, and who needs one takes the
//! one that was used last.

use std::cell::RefCell;
use std::ops::Deref;

/// Larger ones are freed and not kept, in bytes.
const KEPT: usize = 4 * 1024;

/// So many are kept by a thread.
const SPARE: usize = 16;

thread_local! {
    static SPARE_BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes, in a buffer that belongs to it as long as there are any.
#[derive(Default)]
pub(super) struct Buffer(Vec<u8>);

impl Buffer {
    /// The bytes, for who appends to them.
    pub(super) fn writable(&mut self) -> &mut Vec<u8> {
        if self.0.capacity() == 0 {
            // At a thread's end there are none any more.
            let spare = SPARE_BUFFERS.try_with(|spare| spare.borrow_mut().pop());
            self.0 = spare.ok().flatten().unwrap_or_default();
        }
        &mut self.0
    }

    /// Removes the first so many bytes.
    pub(super) fn remove_first(&mut self, count: usize) {
        self.0.drain(..count);
    }

    /// Removes all bytes, and gives the buffer back.
    pub(super) fn clear(&mut self) {
        let mut buffer = self.take();
        if (1..=KEPT).contains(&buffer.capacity()) {
            buffer.clear();
            let _is_ending = SPARE_BUFFERS.try_with(|spare| {
                let mut spare = spare.borrow_mut();
                if spare.len() < SPARE {
                    spare.push(buffer);
                }
            });
        }
    }

    /// All bytes; none are left.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: usize) -> Buffer {
        let mut buffer = Buffer::default();
        buffer.writable().resize(count, 7);
        buffer
    }

    #[test]
    fn a_buffer_is_used_again_by_the_next_who_needs_one_and_never_with_what_was_in_it() {
        let mut first = filled(100);
        let place = first.as_ptr();
        first.clear();
        assert!(first.is_empty() && first.0.capacity() == 0);
        let mut second = Buffer::default();
        assert!(second.writable().is_empty() && second.0.capacity() >= 100);
        second.writable().push(1);
        assert_eq!((second.as_ptr(), &second[..]), (place, &[1][..]));
        drop(second);
        assert_eq!(filled(1).as_ptr(), place, "the end of one gives it back, too");
    }

    #[test]
    fn neither_large_ones_are_kept_nor_many() {
        drop(filled(KEPT + 1));
        assert_eq!(Buffer::default().writable().capacity(), 0);
        let many: Vec<Buffer> = (0..3 * SPARE).map(|_| filled(10)).collect();
        drop(many);
        assert_eq!(SPARE_BUFFERS.with_borrow(Vec::len), SPARE);
    }
}
