//! Several processes that write to one standard output.

use std::fs::File;
use std::sync::Arc;

use rustix::fs::{FlockOperation, fcntl_lock};

/// What the log of one of several hosts knows of the others: its lines carry the host's number, and only one host
/// writes at a time. A pipe takes no more than 4,096 bytes at once, and a line may be longer: what one app logs must
/// not come to stand within another host's line.
#[derive(Debug, Clone)]
pub struct Companions {
    /// The number of this process's host, from 1.
    pub(crate) host: usize,
    /// A file that all of them have, for its lock alone.
    turn: Arc<File>,
}

impl Companions {
    /// For the host of this number, with the file that all of them have.
    pub(crate) fn new(host: usize, turn: Arc<File>) -> Self {
        Self { host, turn }
    }

    /// The file for them all.
    ///
    /// # Errors
    /// The system's.
    #[cfg(target_os = "linux")]
    pub(crate) fn make_turn() -> std::io::Result<Arc<File>> {
        let file = rustix::fs::memfd_create("nexus-log", rustix::fs::MemfdFlags::CLOEXEC)?;
        Ok(Arc::new(file.into()))
    }

    /// Waits until no other process writes. A process that ends gives its turn up.
    pub(super) fn turn(&self) -> Turn<'_> {
        while fcntl_lock(&*self.turn, FlockOperation::LockExclusive) == Err(rustix::io::Errno::INTR) {}
        Turn(&self.turn)
    }
}

/// The right to write, until it is dropped.
pub(super) struct Turn<'a>(&'a File);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // It goes with the process at the latest.
        let _ = fcntl_lock(self.0, FlockOperation::Unlock);
    }
}
