//! From an upload to files.
//!
//! An upload is a stranger's. Of all that a tar archive may say, only what a [`Package`](super::Package)
//! writes is taken: regular files and folders under plain paths, with a pax header for a long one. Links,
//! devices, sparse files, GNU's long names, global pax headers and pax headers that say more (another size
//! above all, which is where readers have come to differ) are refused by name. So the `tar` crate reads the
//! blocks one by one and interprets none of them, and nothing that it would unpack is unpacked by it.
//!
//! Files are made beneath a fresh folder that is this process's own, in folders that this module has made: no
//! link can be on the way, and none is followed. After the end of the archive only zeros may come, and not
//! many: what is not looked at is not accepted.

use std::cell::RefCell;
use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};
use tar::{Archive, EntryType, Header, PaxExtensions};

use super::listing::{BUFFER, Contents, Listing, Taken};
use super::package::BLOCK;
use super::path::{EntryPath, PathError, shown};
use super::{StoreError, UploadLimits};

/// The longest pax header, in bytes: it holds a path, and some programs add times.
const PAX: u64 = 4096;

/// What pax headers may say beside the path; it is not looked at.
const PASSED_OVER: [&[u8]; 9] = [
    b"mtime",
    b"atime",
    b"ctime",
    b"uid",
    b"gid",
    b"uname",
    b"gname",
    b"comment",
    b"LIBARCHIVE.creationtime",
];

/// How many bytes may come after the archive's end, all of them zeros: programs fill up to their block size.
const TAIL: u64 = 64 << 10;

/// Unpacks an upload into an empty folder, and lists what was in it. Files can only be read afterwards.
///
/// # Errors
/// When the upload is not as it should be, passes a limit, or breaks off, or when a file cannot be written.
/// What was written until then is left.
pub(super) fn unpack(upload: impl Read, into: &Path, limits: &UploadLimits) -> Result<Listing, StoreError> {
    let end = RefCell::new(End::NotYet);
    let mut archive = Archive::new(Watched { upload, end: &end });
    let mut unpacking =
        Unpacking { into, limits, listing: Listing::default(), end: &end, buffer: vec![0; BUFFER] };
    let mut long_path = None;
    for entry in archive.entries().map_err(|error| end.borrow().told(&error))?.raw(true) {
        let mut entry = entry.map_err(|error| end.borrow().told(&error))?;
        let header = entry.header().clone();
        let length = header.entry_size().map_err(|error| end.borrow().told(&error))?;
        if header.as_ustar().is_none() {
            return Err(StoreError::Upload("the upload is no POSIX tar archive (ustar or pax)".into()));
        }
        if header.entry_type() == EntryType::XHeader {
            if long_path.is_some() {
                return Err(StoreError::Upload("the upload has a pax header for a pax header".into()));
            }
            long_path = Some(unpacking.pax_path(&mut entry, length)?);
            continue;
        }
        let path = long_path.take().flatten().unwrap_or_else(|| header.path_bytes().into_owned());
        unpacking.entry(&header, &path, length, &mut entry)?;
    }
    if long_path.is_some() {
        return Err(StoreError::Upload("the upload has a pax header for nothing".into()));
    }
    // The first of the two blocks of zeros at the end has been read, unless the upload ended without.
    let ended_early = !matches!(*end.borrow(), End::NotYet);
    let rest = Zeros::read(archive.into_inner(), &mut unpacking.buffer);
    match rest.map_err(|error| end.borrow().told(&error))? {
        _ if ended_early => Err(broke_off()),
        Zeros::Some(bytes) if bytes < BLOCK => Err(broke_off()),
        Zeros::Some(_) => unpacking.finished(),
        Zeros::Otherwise => Err(StoreError::Upload("the upload goes on after the end of the archive".into())),
    }
}

/// What is being unpacked.
struct Unpacking<'a> {
    into: &'a Path,
    limits: &'a UploadLimits,
    listing: Listing,
    end: &'a RefCell<End>,
    buffer: Vec<u8>,
}

impl Unpacking<'_> {
    /// The path that a pax header gives to what follows, if it gives one.
    fn pax_path(&mut self, header: &mut impl Read, length: u64) -> Result<Option<Vec<u8>>, StoreError> {
        if length > PAX {
            return Err(StoreError::Upload(format!("the upload has a pax header of more than {PAX} bytes")));
        }
        let mut bytes = Vec::new();
        header.read_to_end(&mut bytes).map_err(|error| self.end.borrow().told(&error))?;
        if bytes.len() as u64 != length {
            return Err(broke_off());
        }
        let mut path = None;
        for record in PaxExtensions::new(&bytes) {
            let record = record.map_err(|error| StoreError::Upload(format!("the upload has a {error}")))?;
            match record.key_bytes() {
                b"path" if path.is_none() => path = Some(record.value_bytes().to_vec()),
                b"path" => {
                    return Err(StoreError::Upload("the upload has a pax header with two paths".into()));
                }
                key if PASSED_OVER.contains(&key) => {}
                key => {
                    let key = shown(key);
                    let line = format!("the upload has a pax header with {key}, which is not allowed");
                    return Err(StoreError::Upload(line));
                }
            }
        }
        Ok(path)
    }

    fn entry(
        &mut self,
        header: &Header,
        path: &[u8],
        length: u64,
        contents: &mut impl Read,
    ) -> Result<(), StoreError> {
        let refused = |why: &str| StoreError::Upload(format!("{} {why}", shown(path)));
        let is_folder = match header.entry_type() {
            // The type of files that old programs write is NUL.
            EntryType::Regular => false,
            EntryType::Directory if length == 0 => true,
            EntryType::Directory => return Err(refused("is a folder with contents")),
            EntryType::Symlink => {
                return Err(refused("is a symbolic link; only files and folders are taken"));
            }
            EntryType::Link => return Err(refused("is a hard link; only files and folders are taken")),
            _ => return Err(refused("is neither a file nor a folder")),
        };
        let plain = if is_folder { path.strip_suffix(b"/").unwrap_or(path) } else { path };
        let parsed = EntryPath::parse(plain, self.limits).map_err(|why| match why {
            PathError::Wrong(why) => refused(&format!("is no path in an app's folder: it {why}")),
            PathError::Over(why) => StoreError::TooMuch(format!("the path {} {why}", shown(path))),
        })?;
        for folder in parsed.folders() {
            self.folder(folder, false)?;
        }
        let path = parsed.as_str();
        if is_folder {
            return self.folder(path, true);
        }
        self.listing.is_free(path).map_err(|taken| refused_as(taken, path))?;
        let over = self.limits.entry_over(self.listing.len());
        if let Some(over) = over.or_else(|| self.limits.file_over(length, self.listing.bytes())) {
            return Err(too_large(&over, path));
        }
        let contents = self.file(path, length, contents)?;
        self.listing.add_file(path, contents);
        Ok(())
    }

    /// Makes a folder, if it is not there.
    fn folder(&mut self, path: &str, is_named: bool) -> Result<(), StoreError> {
        if !self.listing.has_folder(path)
            && let Some(over) = self.limits.entry_over(self.listing.len())
        {
            return Err(too_large(&over, path));
        }
        if self.listing.add_folder(path, is_named).map_err(|taken| refused_as(taken, path))? {
            let folder = self.into.join(path);
            DirBuilder::new().mode(0o700).create(&folder).map_err(StoreError::of(&folder))?;
        }
        Ok(())
    }

    fn file(&mut self, path: &str, length: u64, mut from: impl Read) -> Result<Contents, StoreError> {
        let path = self.into.join(path);
        // This makes the file or fails, and follows nothing.
        let file = File::options().write(true).create_new(true).mode(0o444).open(&path);
        let mut file = file.map_err(StoreError::of(&path))?;
        let (mut hash, mut left) = (Sha256::new(), length);
        while left > 0 {
            let most = left.min(self.buffer.len() as u64) as usize;
            let read = match from.read(&mut self.buffer[..most]) {
                Ok(0) => return Err(broke_off()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.end.borrow().told(&error)),
            };
            hash.update(&self.buffer[..read]);
            file.write_all(&self.buffer[..read]).map_err(StoreError::of(&path))?;
            left -= read as u64;
        }
        Ok(Contents { length, hash: hash.finalize().into() })
    }

    fn finished(self) -> Result<Listing, StoreError> {
        if self.listing.files().next().is_none() {
            return Err(StoreError::Upload("the upload holds no file; send an app's folder".into()));
        }
        Ok(self.listing)
    }
}

/// The upload, with whether and how it has ended: the `tar` crate takes an end between two entries for the
/// archive's, and does not tell a connection that breaks from an archive that makes no sense.
struct Watched<'a, R> {
    upload: R,
    end: &'a RefCell<End>,
}

enum End {
    NotYet,
    Ended,
    Failed(String),
}

impl End {
    /// What an error while reading means.
    fn told(&self, error: &io::Error) -> StoreError {
        match self {
            Self::NotYet => {
                let error = error.to_string();
                StoreError::Upload(format!("the upload is no tar archive: {}", error.escape_debug()))
            }
            Self::Ended => broke_off(),
            Self::Failed(why) => StoreError::Upload(format!("the upload broke off: {why}")),
        }
    }
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.upload.read(buffer);
        match &read {
            Ok(0) if !buffer.is_empty() => *self.end.borrow_mut() = End::Ended,
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                *self.end.borrow_mut() = End::Failed(error.to_string());
            }
            _ => {}
        }
        read
    }
}

/// What comes at the end.
enum Zeros {
    /// So many, and nothing else.
    Some(u64),
    /// Something else, or too many.
    Otherwise,
}

impl Zeros {
    fn read(from: impl Read, buffer: &mut [u8]) -> io::Result<Self> {
        let (mut from, mut bytes) = (from.take(TAIL + 1), 0);
        loop {
            match from.read(buffer) {
                Ok(0) if bytes <= TAIL => return Ok(Self::Some(bytes)),
                Ok(0) => return Ok(Self::Otherwise),
                Ok(read) if buffer[..read].iter().any(|byte| *byte != 0) => return Ok(Self::Otherwise),
                Ok(read) => bytes += read as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn refused_as(taken: Taken, path: &str) -> StoreError {
    let why = match taken {
        Taken::Twice => "is there twice",
        Taken::Otherwise => "is there both as a file and as a folder",
    };
    StoreError::Upload(format!("{} {why}", shown(path.as_bytes())))
}

fn too_large(over: &str, path: &str) -> StoreError {
    StoreError::TooMuch(format!("the upload is too large: {over}, at {}", shown(path.as_bytes())))
}

fn broke_off() -> StoreError {
    StoreError::Upload("the upload broke off before its end; send it again".into())
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
