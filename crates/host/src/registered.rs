//! Descriptors of which the event loop tells when there is something to read, whatever they are.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What owns a descriptor.
#[derive(Debug)]
pub(crate) struct Registered<T>(T);

impl<T> Registered<T> {
    /// What is registered.
    pub(crate) fn get(&self) -> &T {
        &self.0
    }

    /// What was registered.
    pub(crate) fn into_inner(self) -> T {
        self.0
    }
}

impl<T: AsFd> AsRawFd for Registered<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Registers it with the current event loop, for reading. It must be one that owns a single descriptor, and keeps it.
///
/// # Errors
/// What the system says, and the source.
pub(crate) fn register<T: AsFd>(source: T) -> Result<AsyncFd<Registered<T>>, (T, io::Error)> {
    // SAFETY: what is registered owns its one descriptor, and keeps it open for as long as it is registered.
    #[allow(unsafe_code)]
    let registered = unsafe { AsyncFd::register_with_interest(Registered(source), Interest::READABLE) };
    registered.map_err(|refused| {
        let (Registered(source), error) = refused.into_parts();
        (source, error)
    })
}
