//! Promises that were rejected while nobody listened (HTML Standard, section 8.1.6.6). Somebody may listen late, until
//! the end of the turn.

use std::collections::HashMap;

use crate::scope::ScopeKey;

pub(crate) struct Rejection {
    pub(crate) promise: v8::Global<v8::Promise>,
    pub(crate) value: v8::Global<v8::Value>,
    /// The request whose code rejected it.
    pub(crate) scope: ScopeKey,
    sequence: u64,
}

/// The most that are kept to be told; further ones of a turn are only counted.
const KEPT: usize = 1000;

/// Found by V8's identity hash, which two promises may share: a guest may reject very many.
#[derive(Default)]
pub(crate) struct Rejections {
    by_hash: HashMap<i32, Vec<Rejection>>,
    kept: usize,
    /// Those that were not kept, less those of them that somebody heard late.
    counted: usize,
    sequence: u64,
}

impl Rejections {
    /// Whether one more is kept; if not, it counts.
    pub(crate) fn has_room(&mut self) -> bool {
        self.counted += usize::from(self.kept >= KEPT);
        self.kept < KEPT
    }

    pub(crate) fn add(
        &mut self,
        hash: i32,
        promise: v8::Global<v8::Promise>,
        value: v8::Global<v8::Value>,
        scope: ScopeKey,
    ) {
        self.sequence += 1;
        self.kept += 1;
        let rejection = Rejection { promise, value, scope, sequence: self.sequence };
        self.by_hash.entry(hash).or_default().push(rejection);
    }

    pub(crate) fn remove(&mut self, hash: i32, promise: &v8::Global<v8::Promise>) {
        let mut removed = 0;
        if let Some(rejections) = self.by_hash.get_mut(&hash) {
            let before = rejections.len();
            rejections.retain(|rejection| rejection.promise != *promise);
            removed = before - rejections.len();
            if rejections.is_empty() {
                self.by_hash.remove(&hash);
            }
        }
        self.kept -= removed;
        if removed == 0 {
            self.counted = self.counted.saturating_sub(1);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_hash.is_empty() && self.counted == 0
    }

    /// All that were kept, in the order in which they came, and how many more there were; none is left.
    pub(crate) fn take(&mut self) -> (Vec<Rejection>, usize) {
        self.kept = 0;
        let more = std::mem::take(&mut self.counted);
        let mut all: Vec<Rejection> = self.by_hash.drain().flat_map(|(_, rejections)| rejections).collect();
        all.sort_by_key(|rejection| rejection.sequence);
        (all, more)
    }
}
