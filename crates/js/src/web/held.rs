//! Native state that belongs to an object of the guest: decoders and codecs of unfinished streams.
//!
//! JavaScript knows an entry by a number. It lives until it is closed, until its holder is collected, or until the
//! isolate goes, so streams that are given up leave nothing behind. What it takes counts as the guest's memory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::memory::Share;
use crate::state::State;

/// Changes of an entry's size below this many bytes are not counted.
const NOTABLE: usize = 4 * 1024;

/// The entries of one kind in one isolate.
pub(crate) struct Held<T> {
    last: u32,
    entries: HashMap<u32, Entry<T>>,
}

struct Entry<T> {
    value: T,
    /// Its finalizer removes the entry.
    _holder: v8::Weak<v8::Object>,
    counted: usize,
    share: Share,
}

impl<T: 'static> Held<T> {
    fn of(isolate: &mut v8::Isolate) -> Rc<RefCell<Self>> {
        if let Some(held) = isolate.get_slot::<Rc<RefCell<Self>>>() {
            return held.clone();
        }
        let held = Rc::new(RefCell::new(Self { last: 0, entries: HashMap::new() }));
        isolate.set_slot(held.clone());
        held
    }

    /// Keeps `value`, which takes this many bytes, for `holder`. Its number is never 0.
    pub(crate) fn open(
        scope: &mut v8::PinScope<'_, '_>,
        holder: v8::Local<'_, v8::Object>,
        value: T,
        bytes: usize,
    ) -> u32 {
        let held = Self::of(scope);
        let id = {
            let mut held = held.borrow_mut();
            loop {
                held.last = held.last.checked_add(1).unwrap_or(1);
                if !held.entries.contains_key(&held.last) {
                    break held.last;
                }
            }
        };
        let table = Rc::downgrade(&held);
        let finalizer = Box::new(move |_: &mut v8::Isolate| {
            if let Some(table) = table.upgrade() {
                let dropped = table.borrow_mut().entries.remove(&id);
                drop(dropped);
            }
        });
        let holder = v8::Weak::with_finalizer(scope, holder, finalizer);
        let mut share = State::of(scope).accounts.memory.hold();
        share.grow(bytes);
        held.borrow_mut().entries.insert(id, Entry { value, _holder: holder, counted: bytes, share });
        id
    }

    /// Lets `act` at an entry, and counts what it takes afterwards, which `act` says. `None` if there is no such entry.
    /// `act` calls nothing of V8's.
    pub(crate) fn with<R>(
        isolate: &mut v8::Isolate,
        id: u32,
        act: impl FnOnce(&mut T) -> (R, usize),
    ) -> Option<R> {
        let held = Self::of(isolate);
        let mut held = held.borrow_mut();
        let entry = held.entries.get_mut(&id)?;
        let (result, bytes) = act(&mut entry.value);
        if bytes.abs_diff(entry.counted) >= NOTABLE {
            let mut share = State::of(isolate).accounts.memory.hold();
            share.grow(bytes);
            entry.share = share;
            entry.counted = bytes;
        }
        Some(result)
    }

    pub(crate) fn close(isolate: &mut v8::Isolate, id: u32) {
        let held = Self::of(isolate);
        let dropped = held.borrow_mut().entries.remove(&id);
        drop(dropped);
    }
}
