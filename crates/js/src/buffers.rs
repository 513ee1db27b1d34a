//! The allocator of buffers (`ArrayBuffer`s of a fixed length): V8's own, with two things before it.
//!
//! - A guest gets nothing that is beyond its limit; see [`crate::commit`].
//! - Buffers of the sizes in which bodies are read, encrypted and copied are kept when they are freed, and given out anew.
//!   V8's allocator gives their pages back to the system one buffer at a time, and the next buffer takes a fault for each
//!   of its pages: of an app that reads a large body, or encrypts one, that was most of the time.
//!
//! What is kept is the process's, for all guests: it is cleared before anybody gets it.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::limits::{Taken, may_take};

/// `v8::ArrayBuffer::Allocator`, the begin of it.
#[repr(C)]
struct Allocator {
    methods: *const Methods,
}

type Allocate = unsafe extern "C" fn(this: *mut Allocator, length: usize) -> *mut c_void;
type Free = unsafe extern "C" fn(this: *mut Allocator, data: *mut c_void, length: usize);

/// The virtual methods of `v8::ArrayBuffer::Allocator` (`v8-array-buffer.h`) as the Itanium C++ ABI lays them out.
#[derive(Clone, Copy)]
#[repr(C)]
struct Methods {
    destructors: [*const c_void; 2],
    allocate: Allocate,
    allocate_uninitialized: Allocate,
    free: Free,
    /// `MaxAllocationSize`, `GetPageAllocator`.
    others: [*const c_void; 2],
}

// SAFETY: pointers to code, which does not change.
unsafe impl Send for Methods {}
// SAFETY: as above.
unsafe impl Sync for Methods {}

thread_local! {
    /// Whether the thread is within the allocator: what that needs is counted.
    static IS_NEW: Cell<bool> = const { Cell::new(false) };
}

/// Whether the calling thread is within V8's allocator of buffers.
pub(crate) fn is_within() -> bool {
    IS_NEW.get()
}

/// V8's own methods, and those with the look before them.
static METHODS: OnceLock<(Methods, Methods)> = OnceLock::new();

/// V8's allocator of buffers, for one isolate; see the module's text.
pub(crate) fn allocator() -> v8::SharedRef<v8::Allocator> {
    let shared = v8::new_default_allocator().make_shared();
    let allocator = std::ptr::from_ref(&*shared).cast::<Allocator>().cast_mut();
    // SAFETY: a C++ object with virtual methods begins with the pointer to them, and nobody else has this one so far.
    // All of these have the same class. The table in front of which C++ keeps the class's name is not asked for that:
    // V8 is built without run-time type information.
    unsafe {
        let (_, ours) = METHODS.get_or_init(|| {
            let own = *(*allocator).methods;
            (own, Methods { allocate, allocate_uninitialized, free, ..own })
        });
        (*allocator).methods = ours;
    }
    shared
}

/// Gives a guest a buffer if it may have it: one that was kept, or one that V8's own allocator makes.
///
/// # Safety
/// As V8 calls the allocator's methods.
unsafe fn take(this: *mut Allocator, length: usize, own: impl Fn(&Methods) -> Allocate) -> *mut c_void {
    let Some((methods, _)) = METHODS.get().filter(|_| may_take(length, Taken::Anew)) else {
        return std::ptr::null_mut();
    };
    let class = Class::of(length);
    if let Some(block) = class.and_then(|class| kept().take(class)) {
        let block = block as *mut c_void;
        // SAFETY: the block has the size of its class, which is no less than `length`, and nobody else has it.
        unsafe { block.write_bytes(0, length) };
        return block;
    }
    IS_NEW.set(true);
    // SAFETY: V8's own method, called as V8 called ours.
    let taken = unsafe { own(methods)(this, class.map_or(length, Class::size)) };
    IS_NEW.set(false);
    taken
}

unsafe extern "C" fn allocate(this: *mut Allocator, length: usize) -> *mut c_void {
    // SAFETY: as V8 calls it.
    unsafe { take(this, length, |own| own.allocate) }
}

unsafe extern "C" fn allocate_uninitialized(this: *mut Allocator, length: usize) -> *mut c_void {
    // SAFETY: as V8 calls it.
    unsafe { take(this, length, |own| own.allocate_uninitialized) }
}

/// Keeps a buffer that nobody uses any more, or has V8's own allocator free it. Any thread of V8's may call it.
///
/// # Safety
/// As V8 calls it: `length` is what the buffer was made with, of which its class follows.
unsafe extern "C" fn free(this: *mut Allocator, data: *mut c_void, length: usize) {
    let Some((methods, _)) = METHODS.get() else { return };
    // SAFETY: V8's own method, called as V8 called ours, on what it has made: all of these allocators are fronts of one for
    // the process, which takes no notice of the length.
    let give_back = |data| unsafe { (methods.free)(this, data, length) };
    if !data.is_null()
        && let Some(class) = Class::of(length)
    {
        loop {
            let mut kept = kept();
            if kept.put(class, data as usize) {
                return;
            }
            let Some(other) = kept.give_way(class) else { break };
            drop(kept);
            give_back(other as *mut c_void);
        }
    }
    give_back(data);
}

/// What a class of sizes is a multiple of: a page. A buffer is counted with its own length, and this is all that it may be
/// larger.
const STEP: usize = 4 << 10;
/// The smallest class's size, of which that is no more than a quarter.
const SMALLEST: usize = 16 << 10;
/// The largest class's size. Bodies are read in pieces of up to 512 KB, and what has up to 2 MB is encrypted at once.
const LARGEST: usize = 2 << 20;
/// The most that is kept, in bytes: more than what is left from one collection of young garbage to the next.
const MOST: usize = 24 << 20;

/// Buffers that are made with the same size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Class(usize);

impl Class {
    /// The class of a buffer of this length. V8's allocator is good at smaller ones, and larger ones are rare.
    fn of(length: usize) -> Option<Self> {
        (SMALLEST..=LARGEST).contains(&length).then(|| Self(length.div_ceil(STEP)))
    }

    fn size(self) -> usize {
        self.0 * STEP
    }
}

/// Buffers that were freed, by their classes.
struct Kept {
    bytes: usize,
    blocks: [Vec<usize>; LARGEST / STEP + 1],
}

static KEPT: Mutex<Kept> = Mutex::new(Kept::new());

fn kept() -> MutexGuard<'static, Kept> {
    // Each change leaves it whole.
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    const fn new() -> Self {
        Self { bytes: 0, blocks: [const { Vec::new() }; LARGEST / STEP + 1] }
    }

    /// The buffer of this class that was used last.
    fn take(&mut self, class: Class) -> Option<usize> {
        let block = self.blocks.get_mut(class.0)?.pop()?;
        self.bytes -= class.size();
        Some(block)
    }

    /// Keeps a buffer. `false` if there are enough.
    fn put(&mut self, class: Class, block: usize) -> bool {
        let Some(blocks) = self.blocks.get_mut(class.0).filter(|_| self.bytes + class.size() <= MOST) else {
            return false;
        };
        blocks.push(block);
        self.bytes += class.size();
        true
    }

    /// A buffer that is to be kept no longer, of the class that has most, where another class has less than half of all:
    /// what was kept first may be used no more.
    fn give_way(&mut self, class: Class) -> Option<usize> {
        let has = |class: &Class| self.blocks.get(class.0).map_or(0, Vec::len) * class.size();
        let largest = (1..self.blocks.len()).map(Class).max_by_key(has)?;
        if largest == class || has(&class) >= MOST / 2 {
            return None;
        }
        self.take(largest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_its_lengths() {
        assert_eq!((Class::of(0), Class::of(SMALLEST - 1), Class::of(LARGEST + 1)), (None, None, None));
        for length in [SMALLEST, SMALLEST + 1, 65_535, 65_536, 65_537, LARGEST - 1, LARGEST] {
            let size = Class::of(length).unwrap().size();
            assert!(
                size >= length && size - length < length.div_ceil(4),
                "{length} bytes are made as {size}"
            );
        }
    }

    #[test]
    fn so_much_is_kept_and_no_more() {
        let mut kept = Kept::new();
        let (large, small) = (Class::of(LARGEST).unwrap(), Class::of(SMALLEST).unwrap());
        assert_eq!(kept.take(large), None);
        let mut count = 0;
        while kept.put(large, count + 1) {
            count += 1;
        }
        assert_eq!(count, MOST / LARGEST);
        assert!(!kept.put(small, 1));
        assert_eq!((kept.take(small), kept.take(large)), (None, Some(count)), "the last first");
        assert!(kept.put(small, 7));
        assert_eq!((kept.take(small), kept.bytes), (Some(7), MOST - LARGEST));
    }

    #[test]
    fn a_class_gives_way_to_another_up_to_half() {
        let mut kept = Kept::new();
        let (large, small) = (Class::of(LARGEST).unwrap(), Class::of(SMALLEST).unwrap());
        while kept.put(large, 1) {}
        assert_eq!(kept.give_way(large), None);
        let mut count = 0;
        loop {
            if kept.put(small, 2) {
                count += 1;
            } else if kept.give_way(small).is_none() {
                break;
            }
            assert!(kept.bytes <= MOST);
        }
        assert_eq!((count, kept.blocks[large.0].len()), (MOST / 2 / SMALLEST, MOST / 2 / LARGEST));
    }
}
