//! Threads' shares of the processor.

use std::io;

/// The share of a thread that goes on although it should have stopped.
const LOWEST: i32 = 19;
/// The watchdog's own. It needs next to no time, but that at once.
const WATCHDOG: i32 = -10;

/// Gives a thread the lowest share; returns the one it had.
///
/// # Errors
/// The system's: the thread has ended, or threads have no shares of their own here.
pub(super) fn lower(thread: i32) -> io::Result<i32> {
    let before = get(thread)?;
    set(thread, LOWEST)?;
    Ok(before)
}

/// Gives a thread its share back.
///
/// # Errors
/// The system's: only who has the privilege may raise a share.
pub(super) fn restore(thread: i32, share: i32) -> io::Result<()> {
    set(thread, share)
}

/// Has the calling thread come before others, if the system allows it.
pub(super) fn raise_own() {
    #[cfg(target_os = "linux")]
    let _ = set(rustix::thread::gettid().as_raw_nonzero().get(), WATCHDOG);
    #[cfg(not(target_os = "linux"))]
    let _ = WATCHDOG;
}

// Linux takes a thread's number where POSIX has a process's (setpriority(2), "C library/kernel differences").

#[cfg(target_os = "linux")]
fn get(thread: i32) -> io::Result<i32> {
    let thread = rustix::process::Pid::from_raw(thread).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::getpriority_process(Some(thread))?)
}

#[cfg(target_os = "linux")]
fn set(thread: i32, share: i32) -> io::Result<()> {
    let thread = rustix::process::Pid::from_raw(thread).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::setpriority_process(Some(thread), share)?)
}

#[cfg(not(target_os = "linux"))]
fn get(_thread: i32) -> io::Result<i32> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn set(_thread: i32, _share: i32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_thread_gets_the_lowest_share() {
        let own = rustix::thread::gettid().as_raw_nonzero().get();
        let own_before = get(own).unwrap();
        std::thread::spawn(move || {
            let thread = rustix::thread::gettid().as_raw_nonzero().get();
            assert_eq!(lower(thread).unwrap(), own_before);
            assert_eq!(get(thread).unwrap(), LOWEST);
            // Who may not raise it is told so.
            if restore(thread, own_before).is_ok() {
                assert_eq!(get(thread).unwrap(), own_before);
            }
        })
        .join()
        .unwrap();
        assert_eq!(get(own).unwrap(), own_before);
    }

    #[test]
    fn a_thread_that_is_none_cannot_be_slowed() {
        assert!(lower(0).is_err());
        assert!(lower(i32::MAX).is_err());
    }
}
