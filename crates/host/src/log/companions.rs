//! Several processes that write to one standard output.

use super::output_lock::OutputLock;

/// What the log of a host with a supervisor knows of the other processes that write to the same output: only one of
/// them writes at a time, and where there are several hosts, the lines of each carry its number.
#[derive(Debug, Clone)]
pub struct Companions {
    /// The number of this process's host, from 1, if it is one of several.
    pub(crate) host: Option<usize>,
    pub(super) lock: OutputLock,
}

impl Companions {
    /// For the host of this number, if it is one of several.
    pub(crate) fn new(host: Option<usize>, lock: OutputLock) -> Self {
        Self { host, lock }
    }
}
