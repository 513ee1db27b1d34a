//! What V8 holds for compiled WebAssembly. It is in none of V8's figures, and its tables of functions and of types are
//! one for the process: without a place in them V8 gives up in the middle of things, with locks that every guest needs.
//! So all of it is counted here, memory and functions until a module is collected, and stays far enough below.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nexus_guest::Abandon;

use crate::memory::{Memory, Share};
use crate::state::State;

/// How many WebAssembly functions one guest may have, and all of the process together. V8's table has 8 million places.
const MOST_OF_A_GUEST: usize = 250_000;
const MOST_OF_ALL: usize = 4_000_000;

/// How many types the guests of one app may bring along that no guest has had before, and all of the process together.
/// V8's table has 1 million places and gives none back; it wants room for a module's types before it looks whether it
/// has them.
const MOST_TYPES_OF_AN_APP: usize = 100_000;
const MOST_TYPES_OF_ALL: usize = 850_000;

/// From so many on the host is told that it should replace the process: those that are left are for the time until then.
const WORN_TYPES: usize = 500_000;

/// But not before the process has loaded WebAssembly for so long: apps that bring along so many right away would have it
/// replaced again and again.
const WORN_AFTER: Duration = Duration::from_secs(600);

/// What a module takes beside its bytes, at most, as measured: for itself, for a function, and for any other entry of
/// a section (an import, an export, a type). In bytes.
const MODULE: usize = 16 * 1024;
const FUNCTION: usize = 112;
const ENTRY: usize = 80;

/// How many calls of WebAssembly one guest may have suspended, and all of the process together. Each has a stack of its
/// own, which takes two of the 65,530 mappings that a process may have, and which V8 collects in no case: what nothing
/// will ever resume is there as long as its guest. So each counts as its part of the guest's memory, too: a guest that
/// has lost many makes room for a fresh one.
const MOST_SUSPENDED_OF_A_GUEST: usize = 1000;
const MOST_SUSPENDED_OF_ALL: usize = 10_000;

/// What is in a module, as far as it matters here.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// The whole file's length.
    pub(crate) bytes: usize,
    /// Functions of its own.
    pub(crate) functions: usize,
    /// All else that sections list.
    pub(crate) entries: usize,
    /// Its types, some more at most, and their bytes.
    pub(crate) types: usize,
    pub(crate) type_bytes: Vec<u8>,
    /// Whether it has memory that threads share; `None` if it is not understood, as what is cut off.
    pub(crate) shares: Option<bool>,
}

impl Contents {
    /// Why there must be no such module.
    pub(crate) fn unfit(&self) -> Option<&'static str> {
        match self.shares {
            Some(false) => None,
            Some(true) => Some("shared memory is not supported"),
            None => Some("its sections are not understood, and might have shared memory"),
        }
    }

    /// What V8 will hold for it, in bytes. The machine code of functions that run is not in it.
    pub(crate) fn size(&self) -> usize {
        MODULE + self.bytes + self.functions * FUNCTION + self.entries * ENTRY
    }
}

/// The functions of all guests' modules.
static OF_ALL: AtomicUsize = AtomicUsize::new(0);

/// What types are declared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Declared {
    /// A module's section.
    Section,
    /// The parameters of a tag, as text.
    Tag,
}

/// The types that V8 has in its table, as far as modules have brought them along.
#[derive(Default)]
struct Types {
    count: usize,
    /// Of the apps, by their names: a guest that is loaded anew does not begin anew.
    of_apps: HashMap<String, usize>,
    /// Of the bytes that had them, hashes that nobody can foresee.
    seen: HashSet<u64>,
    /// When the first came.
    first: Option<Instant>,
    /// The host was told that there is room for few more.
    is_told: bool,
}

impl Types {
    /// Whether the host is to be told now that there is room for few more.
    fn is_to_tell(&mut self, now: Instant) -> bool {
        let since = *self.first.get_or_insert(now);
        let is_worn = self.count >= WORN_TYPES && now.duration_since(since) >= WORN_AFTER;
        is_worn && !std::mem::replace(&mut self.is_told, true)
    }
}

static TYPES: LazyLock<(Mutex<Types>, RandomState)> =
    LazyLock::new(|| (Mutex::new(Types::default()), RandomState::new()));

/// What is counted for one module.
struct Charge {
    functions: usize,
    _memory: Share,
}

impl Drop for Charge {
    fn drop(&mut self) {
        // Relaxed, here and below: a figure that guards nothing else.
        OF_ALL.fetch_sub(self.functions, Ordering::Relaxed);
    }
}

/// The suspended calls of all guests.
static SUSPENDED: AtomicUsize = AtomicUsize::new(0);

/// A place among them.
struct Place {
    _memory: Share,
}

impl Place {
    fn new(memory: &Memory) -> Self {
        SUSPENDED.fetch_add(1, Ordering::Relaxed);
        let mut share = memory.hold();
        share.grow(usize::try_from(memory.limit()).unwrap_or(usize::MAX) / MOST_SUSPENDED_OF_A_GUEST);
        Self { _memory: share }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        SUSPENDED.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What one guest has compiled.
#[derive(Default)]
pub(crate) struct Compiled {
    /// The modules that were not collected so far.
    modules: RefCell<Vec<(v8::Weak<v8::Object>, Charge)>>,
    /// Buffers of WebAssembly memories that grow in place: V8 goes on counting what they were when they were made. That,
    /// and a share for the rest.
    growing: RefCell<Vec<(v8::Weak<v8::ArrayBuffer>, usize, Share)>>,
    /// The promises of calls that were suspended when they were last looked at. Held, for V8 holds the stack even where
    /// nobody knows the promise any more.
    suspended: RefCell<Vec<(v8::Global<v8::Promise>, Place)>>,
    /// The app's name, and who is told when there is room for few types more.
    app: OnceCell<(String, Rc<dyn Abandon>)>,
}

impl Compiled {
    /// It is a guest of this app; `told` hears when the process should be replaced.
    pub(crate) fn is_of(&self, app: &str, told: Rc<dyn Abandon>) {
        // Set once, when the guest is made.
        let _ = self.app.set((app.to_owned(), told));
    }

    /// Why V8 must not see this; `None` if it may. Collects the guest's garbage before it says no.
    pub(crate) fn refuses(&self, isolate: &mut v8::Isolate, contents: &Contents) -> Option<&'static str> {
        self.refuses_types(Declared::Section, contents.types, &contents.type_bytes)
            .or_else(|| self.refuses_functions(isolate, contents))
    }

    /// Why V8 must not see so many types, which these bytes have; `None` if it may, and then they count.
    pub(crate) fn refuses_types(
        &self,
        declared: Declared,
        types: usize,
        bytes: &[u8],
    ) -> Option<&'static str> {
        let (all, hasher) = &*TYPES;
        // The same bytes are other types where they are declared in another way.
        let hash = hasher.hash_one((declared, types, bytes));
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        if types == 0 || all.seen.contains(&hash) {
            return None;
        }
        let app = self.app.get().map_or("", |(app, _)| app);
        let of_app = all.of_apps.get(app).copied().unwrap_or_default().saturating_add(types);
        let of_all = all.count.saturating_add(types);
        if of_app > MOST_TYPES_OF_AN_APP {
            return Some("the app would have more WebAssembly types than it may (100,000)");
        }
        if of_all > MOST_TYPES_OF_ALL {
            return Some("all apps together would have more WebAssembly types than they may");
        }
        all.of_apps.insert(app.to_owned(), of_app);
        all.count = of_all;
        all.seen.insert(hash);
        let is_to_tell = all.is_to_tell(Instant::now());
        drop(all);
        if is_to_tell && let Some((_, told)) = self.app.get() {
            told.worn(&format!(
                "its guests have brought along {of_all} of the {MOST_TYPES_OF_ALL} WebAssembly types that all may"
            ));
        }
        None
    }

    fn refuses_functions(&self, isolate: &mut v8::Isolate, contents: &Contents) -> Option<&'static str> {
        let refused = self.look(contents.functions);
        if refused.is_none() || contents.functions > MOST_OF_A_GUEST {
            return refused;
        }
        isolate.memory_pressure_notification(v8::MemoryPressureLevel::Critical);
        isolate.memory_pressure_notification(v8::MemoryPressureLevel::None);
        self.sweep(isolate);
        self.look(contents.functions)
    }

    fn look(&self, more: usize) -> Option<&'static str> {
        let of_guest: usize = self.modules.borrow().iter().map(|(_, charge)| charge.functions).sum();
        if of_guest + more > MOST_OF_A_GUEST {
            Some("the app would have more WebAssembly functions than it may (250,000)")
        } else if OF_ALL.load(Ordering::Relaxed) + more > MOST_OF_ALL {
            Some("all apps together would have more WebAssembly functions than they may")
        } else {
            None
        }
    }

    /// Counts a compiled module, which nobody has seen so far, for as long as it is there. Or gives why it must not be:
    /// the limits are looked at again, for guest code may have run since V8 was asked for it.
    pub(crate) fn hold(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        module: v8::Local<'_, v8::Object>,
        contents: &Contents,
    ) -> Option<&'static str> {
        if let Some(reason) = contents.unfit().or_else(|| self.refuses(scope, contents)) {
            return Some(reason);
        }
        let mut memory = State::of(scope).accounts.memory.hold();
        memory.grow(contents.size());
        OF_ALL.fetch_add(contents.functions, Ordering::Relaxed);
        let charge = Charge { functions: contents.functions, _memory: memory };
        let module = v8::Weak::new(scope, module);
        self.modules.borrow_mut().push((module, charge));
        None
    }

    /// Why no call may be suspended any more; `None` if one may.
    pub(crate) fn refuses_suspended(&self, scope: &mut v8::PinScope<'_, '_>) -> Option<&'static str> {
        let look = || {
            if self.suspended.borrow().len() >= MOST_SUSPENDED_OF_A_GUEST {
                Some("the app has as many suspended WebAssembly calls as it may (1,000)")
            } else if SUSPENDED.load(Ordering::Relaxed) >= MOST_SUSPENDED_OF_ALL {
                Some("all apps together have as many suspended WebAssembly calls as they may")
            } else {
                None
            }
        };
        look()?;
        // What was noted may have settled since.
        self.sweep_suspended(scope);
        look()
    }

    /// Counts the suspended call that this promise is of, until it has settled.
    pub(crate) fn suspends(&self, scope: &mut v8::PinScope<'_, '_>, promise: v8::Local<'_, v8::Promise>) {
        if promise.state() == v8::PromiseState::Pending {
            let place = Place::new(&State::of(scope).accounts.memory);
            self.suspended.borrow_mut().push((v8::Global::new(scope, promise), place));
        }
    }

    fn sweep_suspended(&self, scope: &v8::PinScope<'_, '_, ()>) {
        if let Ok(mut suspended) = self.suspended.try_borrow_mut() {
            suspended
                .retain(|(promise, _)| v8::Local::new(scope, promise).state() == v8::PromiseState::Pending);
        }
    }

    /// Counts a buffer of a WebAssembly memory that grows in place.
    pub(crate) fn grows(&self, scope: &mut v8::PinScope<'_, '_>, buffer: v8::Local<'_, v8::ArrayBuffer>) {
        let share = State::of(scope).accounts.memory.hold();
        let (length, buffer) = (buffer.byte_length(), v8::Weak::new(scope, buffer));
        self.growing.borrow_mut().push((buffer, length, share));
    }

    /// Forgets the modules and buffers that were collected and the calls that are over, and looks how large the other
    /// buffers are.
    pub(crate) fn sweep(&self, isolate: &mut v8::Isolate) {
        let some = self.growing.try_borrow().is_ok_and(|list| !list.is_empty())
            || self.suspended.try_borrow().is_ok_and(|list| !list.is_empty());
        if some {
            v8::scope!(let scope, isolate);
            self.sweep_suspended(scope);
            if let Ok(mut growing) = self.growing.try_borrow_mut() {
                growing.retain_mut(|(buffer, counted, share)| {
                    // One that is detached has no bytes.
                    let length = buffer.to_local(scope).map(|buffer| buffer.byte_length());
                    share.set(length.unwrap_or(0).saturating_sub(*counted));
                    length.is_some()
                });
            }
        }
        // A collection may come at any time; the next look is not far.
        if let Ok(mut modules) = self.modules.try_borrow_mut() {
            modules.retain(|(module, _)| !module.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Abandon for Nobody {
        fn abandon(&self, _: nexus_guest::Stop) {}
    }

    fn guest_of(app: &str) -> Compiled {
        let compiled = Compiled::default();
        compiled.is_of(app, Rc::new(Nobody));
        compiled
    }

    #[test]
    fn the_same_bytes_are_other_types_in_a_tag_and_in_a_module() {
        let guest = guest_of("tag and section");
        assert_eq!(guest.refuses_types(Declared::Tag, 1, b"i32 "), None);
        assert!(guest.refuses_types(Declared::Section, MOST_TYPES_OF_AN_APP, b"i32 ").is_some());
        assert_eq!(guest.refuses_types(Declared::Tag, 1, b"i32 "), None);
    }

    #[test]
    fn the_host_is_told_once_when_the_types_wear_out_but_not_right_after_the_start() {
        let start = Instant::now();
        let mut types = Types::default();
        assert!(!types.is_to_tell(start));
        assert!(!types.is_to_tell(start + WORN_AFTER), "there are none");
        types.count = WORN_TYPES;
        assert!(!types.is_to_tell(start + WORN_AFTER / 2));
        assert!(types.is_to_tell(start + WORN_AFTER));
        assert!(!types.is_to_tell(start + 2 * WORN_AFTER));
    }

    #[test]
    fn the_guests_of_an_app_are_counted_together() {
        let most = MOST_TYPES_OF_AN_APP / 2 + 1;
        assert_eq!(guest_of("twice").refuses_types(Declared::Section, most, b"one"), None);
        assert!(guest_of("twice").refuses_types(Declared::Section, most, b"two").is_some());
        assert_eq!(guest_of("twice").refuses_types(Declared::Section, most, b"one"), None, "V8 has them");
        assert_eq!(guest_of("another").refuses_types(Declared::Section, 10, b"two"), None);
    }
}
