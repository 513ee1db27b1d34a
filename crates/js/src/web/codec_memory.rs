//! What codecs will take, decompressors by what their data's first bytes say, and what brotli's take: its allocator
//! counts.

use std::cell::Cell;
use std::rc::Rc;

use brotli::enc::{Allocator, BrotliAlloc, SliceWrapper, SliceWrapperMut};

use super::codec::{Format, PIECE};

/// Windows of up to 8 MB, as RFC 9659 demands for the web.
pub(super) const ZSTD_WINDOW_BITS: u32 = 23;
/// What zlib-rs takes for its state, about: windows, hash chains, symbols.
pub(super) const DEFLATE_SIZE: usize = 352 * 1024;
pub(super) const INFLATE_SIZE: usize = 64 * 1024;

impl Format {
    /// What a compressor takes at most, in bytes.
    pub(crate) fn compressor_size(self) -> usize {
        PIECE
            + match self {
                Format::Deflate | Format::DeflateRaw | Format::Gzip => DEFLATE_SIZE,
                Format::Brotli | Format::Zstd => 4 << 20,
            }
    }

    /// What a decompressor for data that begins like this takes at most, in bytes.
    pub(crate) fn decompressor_size(self, start: &[u8]) -> usize {
        PIECE
            + match self {
                Format::Deflate | Format::DeflateRaw | Format::Gzip => INFLATE_SIZE,
                Format::Brotli => brotli_window(start) + (1 << 20),
                Format::Zstd => zstd_window(start) + (1 << 20),
            }
    }
}

/// The window of a brotli stream (RFC 7932, 9.1).
fn brotli_window(start: &[u8]) -> usize {
    let bits = match start.first() {
        Some(byte) if byte & 1 == 0 => 16,
        Some(byte) if byte & 0b1110 != 0 => 17 + (byte >> 1 & 7),
        Some(byte) if byte >> 4 & 7 == 0 => 17,
        Some(byte) => 8 + (byte >> 4 & 7),
        None => 24,
    };
    1 << bits
}

/// The window of a zstd frame (RFC 8878, 3.1.1.1), as far as it is allowed.
fn zstd_window(start: &[u8]) -> usize {
    const MOST: usize = 1 << ZSTD_WINDOW_BITS;
    match *start {
        // One segment: the window is all of the content, whose size is a field of its own.
        [_, _, _, _, descriptor, ..] if descriptor & 0x20 != 0 => {
            let at = 5 + [0, 1, 2, 4][usize::from(descriptor & 3)];
            let length = 1 << (descriptor >> 6);
            let field = start.get(at..at + length).unwrap_or(&[0xff; 8]);
            let size = field.iter().rev().fold(0_u64, |size, &byte| size << 8 | u64::from(byte));
            usize::try_from(size.saturating_add(256)).unwrap_or(MOST).min(MOST)
        }
        [_, _, _, _, _, window, ..] => {
            let base = 1_u64 << (10 + (window >> 3));
            usize::try_from(base + base / 8 * u64::from(window & 7)).unwrap_or(MOST).min(MOST)
        }
        _ => MOST,
    }
}

/// An allocator for brotli that counts.
#[derive(Clone, Default)]
pub(super) struct Counting(Rc<Cell<usize>>);

pub(super) struct Counted<T> {
    items: Box<[T]>,
    count: Rc<Cell<usize>>,
}

impl Counting {
    /// How many bytes are allocated.
    pub(super) fn bytes(&self) -> usize {
        self.0.get()
    }
}

impl<T: Clone + Default> Allocator<T> for Counting {
    type AllocatedMemory = Counted<T>;

    fn alloc_cell(&mut self, length: usize) -> Counted<T> {
        let counted = Counted { items: vec![T::default(); length].into(), count: self.0.clone() };
        self.0.set(self.0.get() + size_of_val(&*counted.items));
        counted
    }

    fn free_cell(&mut self, _: Counted<T>) {}
}

impl BrotliAlloc for Counting {}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        self.count.set(self.count.get() - size_of_val(&*self.items));
    }
}

impl<T> Default for Counted<T> {
    fn default() -> Self {
        Self { items: Box::default(), count: Rc::default() }
    }
}

impl<T> SliceWrapper<T> for Counted<T> {
    fn slice(&self) -> &[T] {
        &self.items
    }
}

impl<T> SliceWrapperMut<T> for Counted<T> {
    fn slice_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_from_headers() {
        for (bits, byte) in
            [(16, 0b0), (17, 0b1), (18, 0b11), (24, 0b1111), (10, 0b10_0001), (15, 0b111_0001)]
        {
            assert_eq!(brotli_window(&[byte]), 1 << bits, "{byte:b}");
        }
        assert_eq!(zstd_window(b"\x28\xb5\x2f\xfd\x00\x58"), 2 << 20);
        assert_eq!(zstd_window(b"\x28\xb5\x2f\xfd\x00\xff"), 8 << 20);
        assert_eq!(zstd_window(b"\x28\xb5\x2f\xfd\x20\x10"), 16 + 256);
        assert_eq!(zstd_window(b"\x28\xb5\x2f\xfd\xa2\0\0\0\0\x01\0"), (1 << 16) + 256);
        assert_eq!(zstd_window(b"\x28\xb5"), 8 << 20);
    }
}
