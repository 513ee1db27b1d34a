//! The system calls that the supervisor needs beyond what safe crates offer.

// Forking, signal masks and shared memory have no safe wrappers; each use says why it is sound.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::{null_mut, slice_from_raw_parts};
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

/// The signals that the supervisor takes from a descriptor: none of them interrupts it.
const TAKEN: [i32; 4] = [libc::SIGTERM, libc::SIGINT, libc::SIGUSR2, libc::SIGCHLD];

/// What a host ignores: its supervisor gets these, or they come to the whole process group, and tells it.
const IGNORED: [i32; 2] = [libc::SIGINT, libc::SIGUSR2];

/// The signals that have come.
pub(super) struct Signals(File);

impl Signals {
    /// Takes the signals over for the process, which must have one thread only.
    pub(super) fn take() -> io::Result<Self> {
        // A parent may have set it to be ignored; nobody would be told of ended children then.
        disposition(libc::SIGCHLD, libc::SIG_DFL)?;
        let set = mask(libc::SIG_BLOCK, &TAKEN)?;
        // SAFETY: the set is initialised; the call makes a new descriptor, which nobody else owns.
        let fd = unsafe {
            let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Self(fd.into()))
    }

    /// The next signal that has come, by its number.
    pub(super) fn next(&self) -> Option<i32> {
        let mut record = [0; size_of::<libc::signalfd_siginfo>()];
        let length = (&self.0).read(&mut record).ok()?;
        // The record starts with the signal's number; see signalfd(2).
        let number = record[..length].first_chunk::<4>()?;
        i32::try_from(u32::from_ne_bytes(*number)).ok()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Makes a second process of this one, which must have one thread only. The new one gets `None`.
pub(super) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: the process has one thread (see `Supervisor::new`), so no lock is held and nothing is half done by
    // another thread in the copy; it may go on like any program.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// What the new process does first: it dies with its supervisor, and leaves the terminal's signals to it. SIGTERM stays
/// blocked until [`unblock_termination`].
pub(super) fn become_host(supervisor: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before that.
    if getppid() != Some(supervisor) {
        return Err(io::Error::other("the supervisor is gone"));
    }
    for signal in IGNORED {
        disposition(signal, libc::SIG_IGN)?;
    }
    let others: Vec<i32> = TAKEN.into_iter().filter(|signal| *signal != libc::SIGTERM).collect();
    mask(libc::SIG_UNBLOCK, &others).map(drop)
}

/// Lets SIGTERM come through to this thread: somebody listens for it by now.
pub(super) fn unblock_termination() -> io::Result<()> {
    mask(libc::SIG_UNBLOCK, &[libc::SIGTERM]).map(drop)
}

/// This process.
pub(super) fn this() -> Pid {
    getpid()
}

fn disposition(signal: i32, action: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: only called with SIG_DFL and SIG_IGN, which run no code.
    match unsafe { libc::signal(signal, action) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Blocks or unblocks signals for this thread, and gives the set of them.
fn mask(how: i32, signals: &[i32]) -> io::Result<libc::sigset_t> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set before anything reads it; the other calls read or change it only, and
    // a null pointer asks for no old set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        let mut set = set.assume_init();
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        match libc::pthread_sigmask(how, &raw const set, null_mut()) {
            0 => Ok(set),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Counters in memory that this process and those that it forks from now on share. All start at 0.
pub(super) struct SharedCounters {
    counters: *mut AtomicU64,
    count: usize,
}

impl SharedCounters {
    pub(super) fn new(count: usize) -> io::Result<Self> {
        let bytes = count.max(1) * size_of::<AtomicU64>();
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing of ours.
        let counters = unsafe {
            mmap_anonymous(null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED)?
        };
        Ok(Self { counters: counters.cast(), count })
    }

    pub(super) fn get(&self) -> &[AtomicU64] {
        // SAFETY: the mapping has room for so many, is aligned to a page, holds zeroes at first, and lives as long as
        // `self`. Both processes access it by atomic operations only.
        unsafe { &*slice_from_raw_parts(self.counters, self.count) }
    }

    /// Keeps them as long as the process lives.
    pub(super) fn keep(self) -> &'static [AtomicU64] {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: as in `get`; as it is never dropped, the mapping stays.
        unsafe { &*slice_from_raw_parts(this.counters, this.count) }
    }
}

impl Drop for SharedCounters {
    fn drop(&mut self) {
        let bytes = self.count.max(1) * size_of::<AtomicU64>();
        // SAFETY: the mapping is ours, and every reference to it was borrowed from `self`. That it cannot be unmapped
        // costs a page.
        let _ = unsafe { munmap(self.counters.cast(), bytes) };
    }
}
