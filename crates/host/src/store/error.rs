//! Why something cannot be stored, or cannot be had from the store.

use std::fmt;
use std::io;
use std::path::Path;

/// Each holds one line for whoever asked: what, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// What was sent is no app's folder as a [`Package`](super::Package) is written. The sender is to mend
    /// it.
    Upload(String),
    /// What was sent is more than one of the [`UploadLimits`](super::UploadLimits) allows.
    TooMuch(String),
    /// There is no such app or version.
    Missing(String),
    /// What is stored is not what was deployed: the disk or somebody else has changed it.
    Damaged(String),
    /// Another process has the data folder by now. Asked again, that one does it.
    HandedOver(String),
    /// The data folder cannot be used.
    Folder(String),
    /// The system refused or failed.
    System(String),
}

impl StoreError {
    /// What the system said about this path.
    pub(super) fn of(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |error| Self::System(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Upload(line)
        | Self::TooMuch(line)
        | Self::Missing(line)
        | Self::Damaged(line)
        | Self::HandedOver(line)
        | Self::Folder(line)
        | Self::System(line)) = self;
        f.write_str(line)
    }
}

impl std::error::Error for StoreError {}
