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

/// Found by V8's identity hash, which two promises may share: a guest may reject very many.
#[derive(Default)]
pub(crate) struct Rejections {
    by_hash: HashMap<i32, Vec<Rejection>>,
    sequence: u64,
}

impl Rejections {
    pub(crate) fn add(
        &mut self,
        hash: i32,
        promise: v8::Global<v8::Promise>,
        value: v8::Global<v8::Value>,
        scope: ScopeKey,
    ) {
        self.sequence += 1;
        let rejection = Rejection { promise, value, scope, sequence: self.sequence };
        self.by_hash.entry(hash).or_default().push(rejection);
    }

    pub(crate) fn remove(&mut self, hash: i32, promise: &v8::Global<v8::Promise>) {
        if let Some(rejections) = self.by_hash.get_mut(&hash) {
            rejections.retain(|rejection| rejection.promise != *promise);
            if rejections.is_empty() {
                self.by_hash.remove(&hash);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// All of them, in the order in which they came; none is left.
    pub(crate) fn take(&mut self) -> Vec<Rejection> {
        let mut all: Vec<Rejection> = self.by_hash.drain().flat_map(|(_, rejections)| rejections).collect();
        all.sort_by_key(|rejection| rejection.sequence);
        all
    }
}
