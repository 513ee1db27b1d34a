//! What V8 holds for compiled WebAssembly. It is in none of V8's figures, and its tables of functions and of types are
//! one for the process: without a place in them V8 gives up in the middle of things, with locks that every guest needs.
//! So all of it is counted here, memory and functions until a module is collected, and stays far enough below.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::memory::Share;
use crate::state::State;

/// How many WebAssembly functions one guest may have, and all of the process together. V8's table has 8 million places.
const MOST_OF_A_GUEST: usize = 250_000;
const MOST_OF_ALL: usize = 4_000_000;

/// How many types one guest may bring along that no guest has had before, and all of the process together. V8's table
/// has 1 million places and gives none back.
const MOST_TYPES_OF_A_GUEST: usize = 100_000;
const MOST_TYPES_OF_ALL: usize = 900_000;

/// What a module takes beside its bytes, at most, as measured: for itself, for a function, and for any other entry of
/// a section (an import, an export, a type). In bytes.
const MODULE: usize = 16 * 1024;
const FUNCTION: usize = 112;
const ENTRY: usize = 80;

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
    /// Whether it has memory that threads share, or may have for all that is understood.
    pub(crate) shares: bool,
}

impl Contents {
    /// What V8 will hold for it, in bytes. The machine code of functions that run is not in it.
    pub(crate) fn size(&self) -> usize {
        MODULE + self.bytes + self.functions * FUNCTION + self.entries * ENTRY
    }
}

/// The functions of all guests' modules.
static OF_ALL: AtomicUsize = AtomicUsize::new(0);

/// The types that V8 has in its table, as far as modules have brought them along.
struct Types {
    count: usize,
    /// Of the bytes that had them, hashes that nobody can foresee.
    seen: HashSet<u64>,
}

static TYPES: LazyLock<(Mutex<Types>, RandomState)> =
    LazyLock::new(|| (Mutex::new(Types { count: 0, seen: HashSet::new() }), RandomState::new()));

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

/// What one guest has compiled.
#[derive(Default)]
pub(crate) struct Compiled {
    /// The modules that were not collected so far.
    modules: RefCell<Vec<(v8::Weak<v8::Object>, Charge)>>,
    /// How many types it was the first to bring along.
    types: Cell<usize>,
}

impl Compiled {
    /// Why V8 must not see this; `None` if it may. Collects the guest's garbage before it says no.
    pub(crate) fn refuses(&self, isolate: &mut v8::Isolate, contents: &Contents) -> Option<&'static str> {
        self.refuses_types(contents.types, &contents.type_bytes)
            .or_else(|| self.refuses_functions(isolate, contents))
    }

    /// Why V8 must not see so many types, which these bytes have; `None` if it may, and then they count.
    pub(crate) fn refuses_types(&self, types: usize, bytes: &[u8]) -> Option<&'static str> {
        let (all, hasher) = &*TYPES;
        let hash = hasher.hash_one(bytes);
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        if types == 0 || all.seen.contains(&hash) {
            return None;
        }
        let of_guest = self.types.get().saturating_add(types);
        let of_all = all.count.saturating_add(types);
        if of_guest > MOST_TYPES_OF_A_GUEST {
            return Some("the app would have more WebAssembly types than it may (100,000)");
        }
        if of_all > MOST_TYPES_OF_ALL {
            return Some("all apps together would have more WebAssembly types than they may");
        }
        self.types.set(of_guest);
        all.count = of_all;
        all.seen.insert(hash);
        None
    }

    fn refuses_functions(&self, isolate: &mut v8::Isolate, contents: &Contents) -> Option<&'static str> {
        let refused = self.look(contents.functions);
        if refused.is_none() || contents.functions > MOST_OF_A_GUEST {
            return refused;
        }
        isolate.memory_pressure_notification(v8::MemoryPressureLevel::Critical);
        isolate.memory_pressure_notification(v8::MemoryPressureLevel::None);
        self.sweep();
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

    /// Counts a compiled module for as long as it is there. Looks again, and gives why it must not be.
    pub(crate) fn hold(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        module: v8::Local<'_, v8::Object>,
        contents: &Contents,
    ) -> Option<&'static str> {
        if let Some(reason) = self.refuses(scope, contents) {
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

    /// Forgets the modules that were collected.
    pub(crate) fn sweep(&self) {
        // A collection may come at any time; the next look is not far.
        if let Ok(mut modules) = self.modules.try_borrow_mut() {
            modules.retain(|(module, _)| !module.is_empty());
        }
    }
}
