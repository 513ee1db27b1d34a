//! Promises that were rejected while nobody listened (HTML Standard, section 8.1.6.6). Somebody may listen late, until
//! the end of the turn.

use std::collections::{HashMap, VecDeque};

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
/// The most that were told and may be handled late, while the guest listens for that. Earlier ones are forgotten.
const TOLD: usize = 1000;

/// Found by V8's identity hash, which two promises may share: a guest may reject very many.
#[derive(Default)]
pub(crate) struct Rejections {
    by_hash: HashMap<i32, Vec<Rejection>>,
    kept: usize,
    /// Those that were not kept, less those of them that somebody heard late.
    counted: usize,
    sequence: u64,
    /// The guest listens for `unhandledrejection` or `rejectionhandled`.
    heard: bool,
    /// What it was told of, by V8's identity hash.
    told: VecDeque<(i32, v8::Weak<v8::Promise>)>,
    /// Those of them that somebody has handled since, with the request whose code did it.
    late: Vec<(v8::Global<v8::Promise>, ScopeKey)>,
}

impl Rejections {
    /// Says whether the guest listens.
    pub(crate) fn hear(&mut self, heard: bool) {
        self.heard = heard;
        if !heard {
            self.told.clear();
        }
    }

    pub(crate) fn is_heard(&self) -> bool {
        self.heard
    }

    /// The guest was told of this rejection, and nobody has handled it so far.
    pub(crate) fn note_told(&mut self, hash: i32, promise: v8::Weak<v8::Promise>) {
        if self.told.len() == TOLD {
            self.told.pop_front();
        }
        self.told.push_back((hash, promise));
    }

    /// Those that were handled after the guest was told; none is left.
    pub(crate) fn take_late(&mut self) -> Vec<(v8::Global<v8::Promise>, ScopeKey)> {
        std::mem::take(&mut self.late)
    }

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

    /// Somebody handles this one: the code of request `scope`.
    pub(crate) fn remove(&mut self, hash: i32, promise: &v8::Global<v8::Promise>, scope: ScopeKey) {
        let told = self.told.iter().position(|(of, weak)| *of == hash && *weak == *promise);
        if let Some(index) = told {
            self.told.remove(index);
            self.late.push((promise.clone(), scope));
            return;
        }
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
        self.by_hash.is_empty() && self.counted == 0 && self.late.is_empty()
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
