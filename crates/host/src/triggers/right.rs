//! Which of two processes fires, where one takes over from the other.

use std::fs::File;
use std::sync::Arc;

use rustix::fs::{FlockOperation, fcntl_lock};

/// The right to fire the triggers of some apps, which one process has at a time. It is a record lock of fcntl(2): it
/// belongs to a process, and ends with it at the latest.
#[derive(Debug, Clone)]
pub(crate) struct Right(Option<Arc<File>>);

impl Right {
    /// The right of a host that no other takes over from.
    pub(crate) fn alone() -> Self {
        Self(None)
    }

    /// A right for this process and those that it will fork.
    ///
    /// # Errors
    /// The system's.
    #[cfg(target_os = "linux")]
    pub(crate) fn new() -> std::io::Result<Self> {
        use rustix::fs::{MemfdFlags, memfd_create};

        let file = memfd_create("nexus-triggers", MemfdFlags::CLOEXEC)?;
        Ok(Self(Some(Arc::new(File::from(file)))))
    }

    /// Takes it, unless another process has it.
    pub(super) fn take(&self) -> Option<Taken> {
        if let Some(file) = &self.0 {
            fcntl_lock(&**file, FlockOperation::NonBlockingLockExclusive).ok()?;
        }
        Some(Taken(self.0.clone()))
    }
}

/// The right, until it is dropped. There is one at a time in a process.
pub(super) struct Taken(Option<Arc<File>>);

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            // It goes with the process at the latest.
            let _ = fcntl_lock(&**file, FlockOperation::Unlock);
        }
    }
}
