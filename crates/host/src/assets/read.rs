//! Bytes of an open file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use crate::beneath::Wait;

/// Why bytes could not be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// With [`Wait::Never`]: they are not in the kernel's cache.
    WouldWait,
    /// The file ends before them, so it was changed meanwhile.
    Short,
    /// The system failed.
    Io(io::Error),
}

/// Reads `length` bytes from `offset` on. With [`Wait::Never`] it may give fewer, though at least one.
pub(super) fn read(file: &File, offset: u64, length: usize, wait: Wait) -> Result<Bytes, ReadError> {
    if length == 0 {
        return Ok(Bytes::new());
    }
    let mut bytes = vec![0; length];
    match wait {
        Wait::Never => {
            let read = read_cached(file, offset, &mut bytes)?;
            bytes.truncate(read);
        }
        Wait::Allowed => file.read_exact_at(&mut bytes, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ReadError::Short,
            _ => ReadError::Io(error),
        })?,
    }
    Ok(bytes.into())
}

#[cfg(target_os = "linux")]
fn read_cached(file: &File, offset: u64, bytes: &mut [u8]) -> Result<usize, ReadError> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    match preadv2(file, &mut [io::IoSliceMut::new(bytes)], offset, ReadWriteFlags::NOWAIT) {
        Ok(0) => Err(ReadError::Short),
        Ok(read) => Ok(read),
        // Not cached, or a file system (or kernel) that cannot tell.
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::INTR) => {
            Err(ReadError::WouldWait)
        }
        Err(errno) => Err(ReadError::Io(errno.into())),
    }
}

#[cfg(not(target_os = "linux"))]
fn read_cached(_: &File, _: u64, _: &mut [u8]) -> Result<usize, ReadError> {
    Err(ReadError::WouldWait)
}
