//! What V8 takes for a guest's buffers and WebAssembly memories, looked at before it is there.
//!
//! A buffer of gigabytes is made and filled by one built-in function each, and a loop over such functions may go a
//! thousand rounds without a look at the limits. V8 has no hook for it where its sandbox is on, but two ways lead there,
//! and V8 bears that both fail: it collects the guest's garbage and tries again, or throws a `RangeError`.
//!
//! - An `ArrayBuffer` of a fixed length comes from the isolate's [`allocator`]: V8's own, whose methods this module
//!   precedes with a look.
//! - What grows (WebAssembly memories, resizable buffers) V8 makes accessible by `mprotect`, step by step. So this
//!   crate defines libc's `mprotect`, for the whole program: the dynamic linker takes a program's definition before a
//!   library's.

use std::cell::Cell;
#[cfg(target_os = "linux")]
use std::ffi::c_int;
use std::ffi::c_void;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::limits::{Taken, may_take};

/// The cage in which all of V8's heaps lie: what is beyond, and in V8's sandbox, are buffers and memories.
const CAGE: usize = 4 << 30;
/// The sandbox's size, the cage at its begin.
const SANDBOX: usize = 1 << 40;

/// Where the cage begins; 0 before the first isolate.
static BASE: AtomicUsize = AtomicUsize::new(0);

/// Notes where V8's heaps are.
pub(crate) fn attach(isolate: &mut v8::Isolate) {
    v8::scope!(let scope, isolate);
    let any = v8::undefined(scope);
    // SAFETY: a handle is a pointer to the tagged address of its object; an oddball is no small integer.
    let object = unsafe { *std::ptr::from_ref(&*any).cast::<usize>() };
    BASE.store(object & !(CAGE - 1), Ordering::Relaxed);
}

/// A huge page, and from where on they are worth it, in bytes.
#[cfg(target_os = "linux")]
const HUGE: usize = 2 << 20;
#[cfg(target_os = "linux")]
const LARGE: usize = 4 << 20;

/// Whether this is memory in V8's sandbox.
fn is_of_guests(address: usize) -> bool {
    let base = BASE.load(Ordering::Relaxed);
    base != 0 && address.wrapping_sub(base) < SANDBOX
}

/// Whether this is the memory of a buffer or a WebAssembly memory, rather than of a heap, code or the program.
fn is_of_buffers(address: usize) -> bool {
    is_of_guests(address) && address.wrapping_sub(BASE.load(Ordering::Relaxed)) >= CAGE
}

/// Changes the protection of pages, or fails with `ENOMEM` where the thread's guest may not have them; see the module's
/// text and `mprotect(2)`.
///
/// # Safety
/// As for libc's.
#[cfg(target_os = "linux")]
#[unsafe(no_mangle)]
unsafe extern "C" fn mprotect(address: *mut c_void, length: usize, protection: c_int) -> c_int {
    if protection == libc::PROT_READ | libc::PROT_WRITE
        && is_of_buffers(address as usize)
        && !IS_NEW.get()
        && !may_take(length, Taken::Grown)
    {
        // SAFETY: the calling thread's own.
        unsafe { *libc::__errno_location() = libc::ENOMEM };
        return -1;
    }
    // SAFETY: as the caller says.
    let result = unsafe { libc::syscall(libc::SYS_mprotect, address, length, protection) as c_int };
    if result == 0 && length >= LARGE && is_of_guests(address as usize) {
        advise(address as usize, length, protection);
    }
    result
}

/// Asks the kernel to make large memory in huge pages: it takes a fault for each page when it is written first, which
/// costs several times what writing does. What is counted is the whole of it anyway. Given back, it is made in small
/// ones again: what comes there next may be little, and another guest's.
#[cfg(target_os = "linux")]
fn advise(address: usize, length: usize, protection: c_int) {
    use rustix::mm::{Advice, madvise};
    let advice = match protection {
        libc::PROT_NONE => Advice::LinuxNoHugepage,
        _ if protection == libc::PROT_READ | libc::PROT_WRITE => Advice::LinuxHugepage,
        _ => return,
    };
    let begin = address.next_multiple_of(HUGE);
    let end = (address + length) / HUGE * HUGE;
    if begin < end {
        // SAFETY: it changes how memory is made, not what is in it. Where it cannot be, all is as it was.
        let _ = unsafe { madvise(begin as *mut c_void, end - begin, advice) };
    }
}

/// Has the definition be part of the program.
pub(crate) fn link() {
    #[cfg(target_os = "linux")]
    std::hint::black_box(mprotect as unsafe extern "C" fn(*mut c_void, usize, c_int) -> c_int);
}

/// `v8::ArrayBuffer::Allocator`, the begin of it.
#[repr(C)]
struct Allocator {
    methods: *const Methods,
}

type Allocate = unsafe extern "C" fn(this: *mut Allocator, length: usize) -> *mut c_void;

/// The virtual methods of `v8::ArrayBuffer::Allocator` (`v8-array-buffer.h`) as the Itanium C++ ABI lays them out.
#[derive(Clone, Copy)]
#[repr(C)]
struct Methods {
    destructors: [*const c_void; 2],
    allocate: Allocate,
    allocate_uninitialized: Allocate,
    /// `Free`, `MaxAllocationSize`, `GetPageAllocator`.
    others: [*const c_void; 3],
}

// SAFETY: pointers to code, which does not change.
unsafe impl Send for Methods {}
// SAFETY: as above.
unsafe impl Sync for Methods {}

thread_local! {
    /// Whether the thread is within the allocator: what that needs is counted.
    static IS_NEW: Cell<bool> = const { Cell::new(false) };
}

/// Has V8's own allocator make a buffer, if the guest may have it.
///
/// # Safety
/// As V8 calls the allocator's methods.
unsafe fn take(this: *mut Allocator, length: usize, own: impl Fn(&Methods) -> Allocate) -> *mut c_void {
    let Some((methods, _)) = METHODS.get().filter(|_| may_take(length, Taken::Anew)) else {
        return std::ptr::null_mut();
    };
    IS_NEW.set(true);
    // SAFETY: V8's own method, called as V8 called ours.
    let taken = unsafe { own(methods)(this, length) };
    IS_NEW.set(false);
    taken
}

/// V8's own methods, and those with the look before them.
static METHODS: OnceLock<(Methods, Methods)> = OnceLock::new();

/// V8's allocator of buffers, for one isolate, which gives a guest nothing that is beyond its limit.
pub(crate) fn allocator() -> v8::SharedRef<v8::Allocator> {
    let shared = v8::new_default_allocator().make_shared();
    let allocator = std::ptr::from_ref(&*shared).cast::<Allocator>().cast_mut();
    // SAFETY: a C++ object with virtual methods begins with the pointer to them, and nobody else has this one so far.
    // All of these have the same class. The table in front of which C++ keeps the class's name is not asked for that:
    // V8 is built without run-time type information.
    unsafe {
        let (_, ours) = METHODS.get_or_init(|| {
            let own = *(*allocator).methods;
            (own, Methods { allocate, allocate_uninitialized, ..own })
        });
        (*allocator).methods = ours;
    }
    shared
}

unsafe extern "C" fn allocate(this: *mut Allocator, length: usize) -> *mut c_void {
    // SAFETY: as V8 calls it.
    unsafe { take(this, length, |own| own.allocate) }
}

unsafe extern "C" fn allocate_uninitialized(this: *mut Allocator, length: usize) -> *mut c_void {
    // SAFETY: as V8 calls it.
    unsafe { take(this, length, |own| own.allocate_uninitialized) }
}
