//! The lock for a standard output that several processes write to.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;

/// Lets one process at a time write to what all of them have as standard output: the hosts and their supervisor. A pipe
/// takes no more than 4,096 bytes at once, and what a log writes may be longer: without the lock, one process's line
/// would come to stand within another's.
///
/// A process locks `queue`, then `right`, and lets go of `queue`: whoever waits has its turn before the one that writes
/// gets another. Both are record locks of fcntl(2): they belong to a process, not to a thread, and end with it.
#[derive(Debug, Clone)]
pub(crate) struct OutputLock(Arc<Files>);

#[derive(Debug)]
struct Files {
    queue: File,
    /// Its first byte is 1 while somebody is within what a pipe may take in parts.
    right: File,
}

/// Up to so many bytes are written whole or not at all: `PIPE_BUF` of Linux.
pub(super) const WHOLE: usize = 4096;

impl OutputLock {
    /// A lock for this process and those that it will fork.
    ///
    /// # Errors
    /// The system's.
    #[cfg(target_os = "linux")]
    pub(crate) fn new() -> std::io::Result<Self> {
        use rustix::fs::{MemfdFlags, memfd_create};

        let file = || memfd_create("nexus-log", MemfdFlags::CLOEXEC).map(File::from);
        Ok(Self(Arc::new(Files { queue: file()?, right: file()? })))
    }

    /// Waits until it is this process's turn.
    pub(super) fn take(&self) -> Turn<'_> {
        lock(&self.0.queue);
        lock(&self.0.right);
        unlock(&self.0.queue);
        Turn(&self.0.right)
    }

    /// The turn, if nobody writes. If somebody does, this process has the next turn, and is to ask again soon: nobody
    /// else gets one before.
    pub(crate) fn try_take(&self) -> Option<Turn<'_>> {
        let taken = try_lock(&self.0.queue) && try_lock(&self.0.right);
        if taken {
            unlock(&self.0.queue);
        }
        taken.then_some(Turn(&self.0.right))
    }
}

/// The right to write, until it is dropped.
pub(crate) struct Turn<'a>(&'a File);

impl Turn<'_> {
    /// Whether the one who wrote last has died within a line, as far as is known. What is written next starts with a
    /// line break then.
    pub(crate) fn mend(&self) -> bool {
        let mut byte = [0];
        let is_torn = self.0.read_at(&mut byte, 0).is_ok_and(|count| count == 1) && byte == [1];
        if is_torn {
            self.mark(false);
        }
        is_torn
    }

    /// Whoever comes next must know if this process dies from now on, until it says that it is done.
    pub(super) fn mark(&self, is_within: bool) {
        // Without the mark, a line that is cut off may spoil the next one: not worth the log's end.
        let _ = self.0.write_at(&[is_within.into()], 0);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        unlock(self.0);
    }
}

fn lock(file: &File) {
    while fcntl_lock(file, FlockOperation::LockExclusive) == Err(Errno::INTR) {}
}

fn try_lock(file: &File) -> bool {
    // Whatever else is wrong will not be right later: better to write without the right than never.
    !matches!(
        fcntl_lock(file, FlockOperation::NonBlockingLockExclusive),
        Err(Errno::AGAIN | Errno::ACCESS | Errno::INTR)
    )
}

fn unlock(file: &File) {
    // It goes with the process at the latest.
    let _ = fcntl_lock(file, FlockOperation::Unlock);
}
