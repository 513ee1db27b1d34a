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
/// A host passes the `gate`, locks `queue`, then `right`, and lets go of `queue`: whoever waits has its turn before the
/// one that writes gets another. The supervisor never waits, and so stands in no queue: it keeps the gate closed until
/// those that have passed are done. All are record locks of fcntl(2): they belong to a process, not to a thread, and end
/// with it.
#[derive(Debug, Clone)]
pub(crate) struct OutputLock(Arc<Files>);

#[derive(Debug)]
struct Files {
    gate: File,
    queue: File,
    /// Its first byte is 1 while somebody is within what a pipe may take in parts, or has ended there.
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
        Ok(Self(Arc::new(Files { gate: file()?, queue: file()?, right: file()? })))
    }

    /// Waits until it is this process's turn.
    pub(super) fn take(&self) -> Turn<'_> {
        lock(&self.0.gate);
        unlock(&self.0.gate);
        lock(&self.0.queue);
        lock(&self.0.right);
        unlock(&self.0.queue);
        Turn(&self.0.right)
    }

    /// The turn, if nobody has it or waits for it. If somebody does, this process is to ask again soon, and must:
    /// nobody new gets into the queue before.
    pub(crate) fn try_take(&self) -> Option<Turn<'_>> {
        let Files { gate, queue, right } = &*self.0;
        // What was locked stays so until all three are.
        let taken = try_lock(gate) && try_lock(queue) && try_lock(right);
        if taken {
            unlock(queue);
            unlock(gate);
        }
        taken.then_some(Turn(right))
    }
}

/// The right to write, until it is dropped.
pub(crate) struct Turn<'a>(&'a File);

impl Turn<'_> {
    /// Whether the one who wrote last has ended within a line, as far as is known. What is written next is to start with
    /// a line break then, and the mark to go once it is.
    pub(crate) fn is_torn(&self) -> bool {
        let mut byte = [0];
        self.0.read_at(&mut byte, 0).is_ok_and(|count| count == 1) && byte == [1]
    }

    /// Whether the output may end within a line from now on: whoever comes next must know, also if this process dies.
    pub(crate) fn mark(&self, is_torn: bool) {
        // Without the mark, a line that is cut off may spoil the next one: not worth the log's end.
        let _ = self.0.write_at(&[is_torn.into()], 0);
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
