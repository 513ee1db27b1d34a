//! What V8 takes for a guest's buffers and WebAssembly memories, looked at before it is there.
//!
//! A buffer of gigabytes is made and filled by one built-in function each, and a loop over such functions may go a
//! thousand rounds without a look at the limits. V8 has no hook for it where its sandbox is on, but two ways lead there,
//! and V8 bears that both fail: it collects the guest's garbage and tries again, or throws a `RangeError`.
//!
//! - An `ArrayBuffer` of a fixed length comes from the isolate's [allocator](crate::buffers), which looks first.
//! - What grows (WebAssembly memories, resizable buffers) V8 makes accessible by `mprotect`, step by step. So this
//!   crate defines libc's `mprotect`, for the whole program: the dynamic linker takes a program's definition before a
//!   library's.

#[cfg(target_os = "linux")]
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(target_os = "linux")]
use crate::buffers;
#[cfg(target_os = "linux")]
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
        && !buffers::is_within()
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
