//! What is to be written to a socket: gathered so that a response costs as few system calls as can
//! be, without copying what is large.

use std::io::IoSlice;

use bytes::Bytes;

use super::buffer::Buffer;

/// Up to this size a piece of a body is copied to the rest, for that is cheaper than a vectored write.
const SMALL: usize = 8 * 1024;

/// From this size on what is gathered is written before more is asked for.
const ENOUGH: usize = 64 * 1024;

/// Pending output: a flat part, then at most one large piece, then a static tail.
#[derive(Default)]
pub(super) struct Outbox {
    flat: Buffer,
    large: Bytes,
    /// Comes after `large`, and only with it.
    tail: &'static [u8],
    /// How much of all that was written.
    written: usize,
}

impl Outbox {
    /// Whether everything was written.
    pub(super) fn is_empty(&self) -> bool {
        self.flat.is_empty() && self.large.is_empty()
    }

    /// The number of bytes that are still to be written.
    pub(super) fn remaining(&self) -> usize {
        self.flat.len() + self.large.len() + self.tail.len() - self.written
    }

    /// Whether more may be added. If not, nothing but writing helps.
    pub(super) fn has_room(&self) -> bool {
        self.large.is_empty() && self.flat.len() < ENOUGH
    }

    /// The flat part, to append to. Only while there is room.
    pub(super) fn flat(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.large.is_empty(), "a large piece has only its tail after it");
        self.flat.writable()
    }

    /// Adds a piece of a body and what comes after it.
    pub(super) fn push(&mut self, piece: Bytes, tail: &'static [u8]) {
        if piece.len() <= SMALL {
            let flat = self.flat();
            flat.extend_from_slice(&piece);
            flat.extend_from_slice(tail);
        } else {
            self.large = piece;
            self.tail = tail;
        }
    }

    /// What is left to write, as slices; hands them to `write`.
    pub(super) fn with_slices<T>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
        if self.large.is_empty() {
            return write(&[IoSlice::new(&self.flat[self.written..])]);
        }
        let mut skip = self.written;
        let slices = [&self.flat[..], &self.large, self.tail].map(|part| {
            let skipped = skip.min(part.len());
            skip -= skipped;
            IoSlice::new(&part[skipped..])
        });
        let first = slices.iter().position(|slice| !slice.is_empty()).unwrap_or(2);
        write(&slices[first..])
    }

    /// Takes note that `count` more bytes were written.
    pub(super) fn advance(&mut self, count: usize) {
        self.written += count;
        if self.remaining() == 0 {
            self.clear();
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.written = 0;
        self.large = Bytes::new();
        self.tail = b"";
        self.flat.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes `step` bytes at a time.
    fn written(outbox: &mut Outbox, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !outbox.is_empty() {
            let bytes: Vec<u8> =
                outbox.with_slices(|s| s.iter().flat_map(|s| s.to_vec()).take(step).collect());
            outbox.advance(bytes.len());
            all.extend(bytes);
        }
        all
    }

    #[test]
    fn what_is_written_in_steps_of_any_size_is_what_was_pushed() {
        for (size, step) in [(10, 3), (SMALL, 1000), (SMALL + 1, 7), (3 * SMALL, SMALL + 9)] {
            let mut outbox = Outbox::default();
            outbox.flat().extend_from_slice(b"head");
            outbox.push(Bytes::from(vec![b'x'; size]), b"\r\n");
            assert_eq!(outbox.remaining(), size + 6);
            let all = written(&mut outbox, step);
            assert_eq!(all, [b"head".to_vec(), vec![b'x'; size], b"\r\n".to_vec()].concat());
            assert_eq!(outbox.remaining(), 0);
        }
    }

    #[test]
    fn a_large_piece_closes_the_outbox_until_it_is_written() {
        let mut outbox = Outbox::default();
        outbox.push(Bytes::from(vec![0; SMALL + 1]), b"");
        assert!(!outbox.has_room());
        outbox.advance(SMALL + 1);
        assert!(outbox.has_room() && outbox.is_empty());
    }
}
