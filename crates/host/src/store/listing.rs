//! What a version holds: its files and folders.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use super::Digest;

/// The files and folders, by path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Listing {
    /// `BTreeMap` orders texts by their bytes, and the digest relies on it.
    entries: BTreeMap<String, Entry>,
    bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Folder {
        /// Whether it has been named itself, and not only on the way to something in it.
        named: bool,
    },
    File(Contents),
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) length: u64,
    pub(super) hash: [u8; 32],
}

/// The path is taken already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// By the same.
    Twice,
    /// By a file where a folder is wanted, or the other way round.
    Otherwise,
}

impl Listing {
    /// Adds a folder; whether it is new. One that was only on the way to something may still be named.
    pub(super) fn add_folder(&mut self, path: &str, is_named: bool) -> Result<bool, Taken> {
        match self.entries.get_mut(path) {
            None => {
                self.entries.insert(path.to_owned(), Entry::Folder { named: is_named });
                Ok(true)
            }
            Some(Entry::Folder { named: true }) if is_named => Err(Taken::Twice),
            Some(Entry::Folder { named }) => {
                *named |= is_named;
                Ok(false)
            }
            Some(Entry::File(_)) => Err(Taken::Otherwise),
        }
    }

    /// Whether a file can be added there. The folders on the way are not looked at.
    pub(super) fn is_free(&self, path: &str) -> Result<(), Taken> {
        match self.entries.get(path) {
            None => Ok(()),
            Some(Entry::File(_)) => Err(Taken::Twice),
            Some(Entry::Folder { .. }) => Err(Taken::Otherwise),
        }
    }

    /// Adds a file at a path that is free.
    pub(super) fn add_file(&mut self, path: &str, contents: Contents) {
        self.bytes += contents.length;
        self.entries.insert(path.to_owned(), Entry::File(contents));
    }

    /// Whether this folder is in it.
    pub(super) fn has_folder(&self, path: &str) -> bool {
        matches!(self.entries.get(path), Some(Entry::Folder { .. }))
    }

    /// How many files and folders there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The folders, each one before those that are in it.
    pub(super) fn folders(&self) -> impl Iterator<Item = &str> {
        self.entries
            .iter()
            .filter(|(_, entry)| matches!(entry, Entry::Folder { .. }))
            .map(|(path, _)| &**path)
    }

    /// The files.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(|(_, entry)| matches!(entry, Entry::File(_))).map(|(path, _)| &**path)
    }

    /// The files' bytes, together.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The name of all this. Each part of what is hashed tells its length or has a fixed one, so that no two
    /// lists come out as the same bytes.
    pub(super) fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        hash.update(b"nexus app, format 1\n");
        for (path, entry) in &self.entries {
            let kind = if matches!(entry, Entry::File(_)) { b"f" } else { b"d" };
            hash.update(kind);
            hash.update((path.len() as u64).to_le_bytes());
            hash.update(path);
            if let Entry::File(contents) = entry {
                hash.update(contents.length.to_le_bytes());
                hash.update(contents.hash);
            }
        }
        Digest::new(hash.finalize().into())
    }

    /// Lists what is in a folder, reading it whole. Nothing is followed and nothing but regular files is
    /// opened.
    ///
    /// # Errors
    /// When something cannot be read, or is neither a file nor a folder (`InvalidData`).
    pub(super) fn read(root: &Path) -> io::Result<Self> {
        let foreign = |path: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{path:?} is foreign"));
        let mut listing = Self::default();
        if !fs::symlink_metadata(root)?.is_dir() {
            return Err(foreign("."));
        }
        let mut buffer = vec![0; BUFFER];
        let mut to_read = vec![String::new()];
        while let Some(folder) = to_read.pop() {
            for entry in fs::read_dir(root.join(&folder))? {
                let entry = entry?;
                let name = entry.file_name();
                let name = name.to_str().ok_or_else(|| foreign(&folder))?;
                let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    listing.entries.insert(path.clone(), Entry::Folder { named: true });
                    to_read.push(path);
                    continue;
                }
                if !kind.is_file() {
                    return Err(foreign(&path));
                }
                let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
                let mut options = File::options();
                let file =
                    options.read(true).custom_flags(flags.bits().cast_signed()).open(root.join(&path))?;
                if !file.metadata()?.is_file() {
                    return Err(foreign(&path));
                }
                listing.add_file(&path, Contents::read(file, &mut buffer)?);
            }
        }
        Ok(listing)
    }
}

/// How many bytes are read at a time.
pub(super) const BUFFER: usize = 64 << 10;

impl Contents {
    fn read(mut file: impl Read, buffer: &mut [u8]) -> io::Result<Self> {
        let (mut hash, mut length) = (Sha256::new(), 0);
        loop {
            match file.read(buffer) {
                Ok(0) => return Ok(Self { length, hash: hash.finalize().into() }),
                Ok(read) => {
                    hash.update(&buffer[..read]);
                    length += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beneath::tests::Tree;
    use std::os::unix::fs::symlink;

    fn contents(text: &str) -> Contents {
        Contents::read(text.as_bytes(), &mut [0; 3]).unwrap()
    }

    fn listing(files: &[(&str, &str)], folders: &[&str]) -> Listing {
        let mut listing = Listing::default();
        for folder in folders {
            listing.add_folder(folder, true).unwrap();
        }
        for (path, text) in files {
            listing.add_file(path, contents(text));
        }
        listing
    }

    #[test]
    fn the_same_content_has_the_same_digest_and_no_other_has_it() {
        let one = listing(&[("a", "1"), ("b", "2"), ("d/x", "")], &["d", "e"]);
        let other_order = listing(&[("d/x", ""), ("b", "2"), ("a", "1")], &["e", "d"]);
        assert_eq!(one.digest(), other_order.digest());
        let others = [
            Listing::default(),
            listing(&[("a", "2"), ("b", "1"), ("d/x", "")], &["d", "e"]),
            listing(&[("a", "1"), ("b", "2"), ("d/x", "")], &["d"]),
            listing(&[("a", "1"), ("b", "2"), ("d/x", ""), ("e", "")], &["d"]),
            listing(&[("a", "12"), ("b", ""), ("d/x", "")], &["d", "e"]),
            listing(&[("ab", "12"), ("d/x", "")], &["d", "e"]),
        ];
        for (place, other) in others.iter().enumerate() {
            assert_ne!(one.digest(), other.digest(), "{place}");
            assert!(others[..place].iter().all(|before| before.digest() != other.digest()), "{place}");
        }
    }

    #[test]
    fn a_digest_stays_what_it_was_in_former_versions() {
        // What is stored is named by it.
        let listing = listing(&[("index.js", "export default {}"), ("lib/a.js", "1")], &["lib"]);
        assert_eq!(
            listing.digest().to_string(),
            "e19db9fe1977308dee717cc062bbbaf0f84afe90479f146c999f9619170278b9"
        );
    }

    #[test]
    fn a_path_is_taken_once() {
        let mut listing = listing(&[("a", "")], &[]);
        assert_eq!(listing.is_free("a"), Err(Taken::Twice));
        assert_eq!(listing.add_folder("a", false), Err(Taken::Otherwise));
        assert_eq!(listing.add_folder("b", false), Ok(true));
        assert_eq!(listing.add_folder("b", false), Ok(false));
        assert_eq!(listing.add_folder("b", true), Ok(false));
        assert_eq!(listing.add_folder("b", true), Err(Taken::Twice));
        assert_eq!(listing.is_free("b"), Err(Taken::Otherwise));
        assert_eq!(listing.is_free("c"), Ok(()));
        assert!(listing.has_folder("b") && !listing.has_folder("a") && !listing.has_folder("c"));
    }

    #[test]
    fn a_folder_is_read_as_it_was_listed() {
        let tree = Tree::empty();
        tree.write("root/a", "1");
        tree.write("root/d/x", "long".repeat(100_000));
        fs::create_dir(tree.path("root/e")).unwrap();
        let read = Listing::read(&tree.path("root")).unwrap();
        assert_eq!(read, listing(&[("a", "1"), ("d/x", &"long".repeat(100_000))], &["d", "e"]));
        assert_eq!((read.bytes(), read.len()), (400_001, 4));
    }

    #[test]
    fn what_is_neither_a_file_nor_a_folder_is_not_read() {
        let tree = Tree::empty();
        tree.write("root/a", "1");
        symlink("a", tree.path("root/link")).unwrap();
        assert_eq!(Listing::read(&tree.path("root")).unwrap_err().kind(), io::ErrorKind::InvalidData);
        fs::remove_file(tree.path("root/link")).unwrap();
        symlink(tree.path("root"), tree.path("alias")).unwrap();
        assert_eq!(Listing::read(&tree.path("alias")).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let status = std::process::Command::new("mkfifo").arg(tree.path("root/fifo")).status().unwrap();
        assert!(status.success());
        assert_eq!(Listing::read(&tree.path("root")).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(Listing::read(&tree.path("nothing")).is_err());
    }
}
