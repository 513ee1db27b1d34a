//! A request's id that another thread can read.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use nexus_guest::RequestId;

const WORDS: usize = RequestId::MAX / 8;

/// An id that one thread writes. Another reads it whole only if the writer is known to write no more, and to have
/// written before: that is for the two to see to, by what they synchronise with. So all of it is relaxed.
#[derive(Debug, Default)]
pub(crate) struct SharedId {
    words: [AtomicU64; WORDS],
    length: AtomicU8,
}

impl SharedId {
    /// Writes the id.
    #[inline]
    pub(crate) fn set(&self, id: &RequestId) {
        let chunks = id.padded().as_chunks::<8>().0;
        for (word, bytes) in self.words.iter().zip(chunks) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
        self.length.store(id.as_bytes().len() as u8, Ordering::Relaxed);
    }

    /// The id that was written last; `None` if there is none.
    pub(crate) fn get(&self) -> Option<RequestId> {
        let mut bytes = [0; RequestId::MAX];
        for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(&self.words) {
            *chunk = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        RequestId::parse(bytes.get(..usize::from(self.length.load(Ordering::Relaxed)))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_last_id_is_read_as_it_was_written(ids in proptest::collection::vec("[A-Za-z0-9._-]{1,64}", 1..4)) {
            let shared = SharedId::default();
            prop_assert_eq!(shared.get(), None);
            for id in ids {
                let id = RequestId::parse(id.as_bytes()).unwrap();
                shared.set(&id);
                prop_assert_eq!(shared.get(), Some(id));
            }
        }
    }
}
