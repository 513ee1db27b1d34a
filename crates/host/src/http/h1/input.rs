//! What was read from a socket and belongs to no request yet.

use super::buffer::Buffer;

/// Bytes in, at one end, and out, at the other.
#[derive(Default)]
pub(super) struct Input {
    bytes: Buffer,
    /// Up to here the bytes were consumed.
    start: usize,
}

impl Input {
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.drop_consumed();
        self.bytes.writable().extend_from_slice(bytes);
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start >= self.bytes.len() {
            self.start = 0;
            self.bytes.clear();
        }
    }

    /// All that is unread; nothing is left.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.drop_consumed();
        self.bytes.take()
    }

    fn drop_consumed(&mut self) {
        if self.start > 0 {
            self.bytes.remove_first(self.start);
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let mut input = Input::default();
        input.append(b"abc");
        input.consume(1);
        input.append(b"de");
        assert_eq!(input.unread(), b"bcde");
        input.consume(4);
        assert!(input.is_empty());
        input.append(&[7; 5000]);
        input.consume(1);
        assert_eq!(input.take(), [7; 4999]);
        assert!(input.is_empty());
    }
}
