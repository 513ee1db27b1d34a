//! Compiled code on disk.
//!
//! What is in the cache is run as it is, so nobody else may write there: the folder and its files must be the user's
//! own, closed to others. Files are named by the content that they were compiled from and by all that decides what
//! comes out of the compiler, and are moved into place when they are complete. They may be removed at any time: who
//! has one open keeps it.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)] // The folder is the host's; no guest names a file in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

/// At a file's end, after its content's digest and length: who finds it has the whole file.
const SEAL: &[u8; 8] = b"nexus-cc";

/// What follows the content: its SHA-256, its length, the seal.
const TAIL: u64 = 32 + 8 + SEAL.len() as u64;

/// A file that is not complete is one that its writer has left behind when it has not changed for so long.
const LEFT: Duration = Duration::from_secs(3600);

/// A folder of compiled code of one kind.
#[derive(Debug)]
pub struct CodeCache {
    folder: PathBuf,
    extension: &'static str,
    /// When the files have more bytes than this together, those that were not used for longest go, until they have no
    /// more than three quarters of it.
    most: u64,
}

/// A file of a [`CodeCache`] that is complete, and that nobody else may have written.
#[derive(Debug)]
pub struct CachedCode {
    file: File,
    path: PathBuf,
    /// The content's length, without what follows it.
    length: u64,
}

impl CachedCode {
    /// Where it is. Its content begins the file; some bytes follow it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads its content. `None` if it is not what was written.
    pub fn read(mut self) -> Option<Vec<u8>> {
        let mut content = vec![0; usize::try_from(self.length).ok()?];
        let mut digest = [0; 32];
        self.file.seek(SeekFrom::Start(0)).ok()?;
        self.file.read_exact(&mut content).ok()?;
        self.file.read_exact(&mut digest).ok()?;
        (Sha256::digest(&content)[..] == digest).then_some(content)
    }

    /// Notes that it was used: it is not the first to go.
    pub fn used(&self) {
        // What cannot be noted only goes sooner.
        let _ = self.file.set_modified(SystemTime::now());
    }
}

impl CodeCache {
    /// The cache in this folder, which is made if it is not there, of files with this extension, and of `most` bytes.
    ///
    /// # Errors
    /// When the folder cannot be made, or others may write to it; in one line.
    pub fn open(folder: &Path, extension: &'static str, most: u64) -> Result<Self, String> {
        let named = |error: io::Error| format!("{}: {error}", folder.display());
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(named)?;
        let metadata = fs::metadata(folder).map_err(named)?;
        if !is_own(&metadata) {
            return Err(format!("{}: others may write there", folder.display()));
        }
        Ok(Self { folder: folder.to_owned(), extension, most })
    }

    /// The name of this content, as made into code by what `maker` tells from others: a version, say.
    pub fn name(content: &[u8], maker: &str) -> String {
        let mut name = String::with_capacity(65 + maker.len());
        for byte in Sha256::digest(content) {
            name.push_str(&format!("{byte:02x}"));
        }
        name.push('-');
        name.push_str(maker);
        name
    }

    /// The file of this name, if it may be trusted to be what a compiler of this process's user wrote: nobody else may
    /// write to it or to its folder, and it is complete. One that is not complete goes. Files are never changed in place.
    pub fn find(&self, name: &str) -> Option<CachedCode> {
        let path = self.path(name);
        let not_followed = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
        let mut file = OpenOptions::new().read(true).custom_flags(not_followed).open(&path).ok()?;
        match whole_length(&mut file) {
            Ok(Some(length)) => Some(CachedCode { file, path, length }),
            Ok(None) | Err(_) => {
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// The file of this name goes: it is no use.
    pub fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.path(name));
    }

    /// Keeps compiled code. Who cannot write compiles again the next time.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn store(&self, name: &str, code: &[u8]) -> io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!(".{}-{number}.new", std::process::id()));
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(code)?;
            file.write_all(&Sha256::digest(code))?;
            file.write_all(&(code.len() as u64).to_le_bytes())?;
            file.write_all(SEAL)?;
            file.sync_data()?;
            fs::rename(&temporary, self.path(name))
        })();
        match &written {
            Ok(()) => self.shrink(self.most),
            Err(_) => drop(fs::remove_file(&temporary)),
        }
        written
    }

    /// Removes what was not used for longest, if there is more than so many bytes. Who has a file open keeps it.
    fn shrink(&self, most: u64) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let may_go = |path: &Path, modified: SystemTime| match path.extension()?.to_str()? {
            "new" => modified.elapsed().is_ok_and(|age| age > LEFT).then_some(()),
            extension => (extension == self.extension).then_some(()),
        };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| {
                let (metadata, path) = (entry.metadata().ok()?, entry.path());
                let modified = metadata.modified().ok()?;
                may_go(&path, modified)?;
                metadata.is_file().then_some((modified, metadata.len(), path))
            })
            .collect();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        if total <= most {
            return;
        }
        files.sort();
        for (_, bytes, path) in files {
            if total <= most / 4 * 3 {
                break;
            }
            // Another process may have been first.
            let _ = fs::remove_file(path);
            total -= bytes;
        }
    }

    /// The file that the code of this name is in, if it was kept.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.{}", self.extension))
    }
}

/// Whether only this process's user may write there.
fn is_own(metadata: &fs::Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
}

/// The content's length, if the file is complete and the user's own.
fn whole_length(file: &mut File) -> io::Result<Option<u64>> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || !is_own(&metadata) || metadata.len() < TAIL {
        return Ok(None);
    }
    file.seek(SeekFrom::End(-16))?;
    let mut end = [0; 16];
    file.read_exact(&mut end)?;
    let (length, seal) = end.split_at(8);
    let content = metadata.len() - TAIL;
    Ok((seal == SEAL && length == content.to_le_bytes()).then_some(content))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Temp(PathBuf);

    impl Temp {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("nexus-cache-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Temp {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn read(cache: &CodeCache, name: &str) -> Option<Vec<u8>> {
        cache.find(name)?.read()
    }

    #[test]
    fn what_was_stored_is_found_again_by_its_content_and_maker() {
        let temp = Temp::new("stored");
        let cache = CodeCache::open(&temp.0, "code", 1 << 20).unwrap();
        let name = CodeCache::name(b"source", "1");
        assert_eq!(read(&cache, &name), None);
        cache.store(&name, b"compiled").unwrap();
        assert_eq!(read(&cache, &name).unwrap(), b"compiled");
        assert_ne!(CodeCache::name(b"other", "1"), name);
        assert_ne!(CodeCache::name(b"source", "2"), name);
        cache.remove(&name);
        assert_eq!(read(&cache, &name), None);
    }

    #[test]
    fn a_file_that_is_cut_or_changed_or_open_to_others_is_not_used() {
        let temp = Temp::new("changed");
        let cache = CodeCache::open(&temp.0, "code", 1 << 20).unwrap();
        let code: Vec<u8> = (0..1000u32).map(|n| n as u8).collect();
        let path = cache.path("a");
        cache.store("a", &code).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(read(&cache, "a"), None, "{length} bytes");
        }
        cache.store("a", &code).unwrap();
        for at in [0, 1, 500, 999, 1000, 1031] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, changed).unwrap();
            assert_eq!(read(&cache, "a"), None, "byte {at}");
        }
        fs::remove_file(&path).unwrap();
        cache.store("a", &code).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).unwrap();
        assert_eq!(read(&cache, "a"), None);
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert_eq!(read(&cache, "a"), None);
    }

    #[test]
    fn what_was_not_used_for_longest_is_removed_first() {
        let temp = Temp::new("shrink");
        let cache = CodeCache::open(&temp.0, "code", 1 << 20).unwrap();
        let names = ["0", "1", "2", "3", "4"];
        for (age, name) in names.iter().enumerate() {
            cache.store(name, &[0; 1000]).unwrap();
            let file = File::options().write(true).open(cache.path(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(1000 - age as u64)).unwrap();
        }
        cache.find("0").unwrap().used();
        let there = || names.map(|name| cache.path(name).exists());
        cache.shrink(5 * 1048);
        assert_eq!(there(), [true; 5]);
        fs::write(temp.0.join("other"), "stays").unwrap();
        cache.shrink(5 * 1048 - 1);
        assert_eq!(there(), [true, false, false, true, true]);
        // Somebody else may be writing one; the other's writer has died.
        let [begun, left] = [".1-1.new", ".1-2.new"].map(|name| temp.0.join(name));
        fs::write(&begun, [0; 1000]).unwrap();
        fs::write(&left, [0; 1000]).unwrap();
        File::options().write(true).open(&left).unwrap().set_modified(SystemTime::now() - 2 * LEFT).unwrap();
        cache.shrink(0);
        assert_eq!(there(), [false; 5]);
        assert!(begun.exists() && !left.exists() && temp.0.join("other").exists());
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_no_cache() {
        let temp = Temp::new("open");
        fs::create_dir(&temp.0).unwrap();
        fs::set_permissions(&temp.0, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(CodeCache::open(&temp.0, "code", 1).unwrap_err().contains("others may write"));
    }
}
