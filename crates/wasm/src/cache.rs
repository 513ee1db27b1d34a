//! Compiled code on disk.
//!
//! What is in the cache is run as it is, so nobody else may write there: the folder and its files must be the user's
//! own, closed to others. Files are named by the content that they were compiled from and by all that decides what
//! comes out of the compiler, and are moved into place when they are complete. They may be removed at any time: who
//! has one mapped keeps it.

// Mapped code is run; see `Cache::mapped`.
#![allow(unsafe_code)]

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// At a file's end, after its length: who finds it has the whole file.
const SEAL: &[u8; 8] = b"nexus-cw";

/// When the files have more bytes than this together, those that were not used for longest go, until they have no more
/// than three quarters of it.
const MOST: u64 = 4 << 30;

/// A file that is not complete is one that its writer has left behind when it has not changed for so long.
const LEFT: Duration = Duration::from_secs(3600);

/// Names content, as compiled by an engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(String);

impl Key {
    /// The key of this content for this engine.
    pub(crate) fn new(engine: &Engine, content: &[u8]) -> Self {
        Self::of_what_is_made(engine, content, "")
    }

    /// The key of what is made of this content before it is compiled, by something with this name and version.
    pub(crate) fn of_what_is_made(engine: &Engine, content: &[u8], made_by: &str) -> Self {
        let mut environment = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut environment);
        if !made_by.is_empty() {
            made_by.hash(&mut environment);
        }
        let mut name = String::with_capacity(84);
        for byte in Sha256::digest(content) {
            name.push_str(&format!("{byte:02x}"));
        }
        name.push_str(&format!("-{:016x}", environment.finish()));
        Self(name)
    }
}

/// A folder of compiled code.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in this folder, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made, or others may write to it; in one line.
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        let named = |error: io::Error| format!("{}: {error}", folder.display());
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(named)?;
        let metadata = fs::metadata(folder).map_err(named)?;
        if !is_own(&metadata) {
            return Err(format!("{}: others may write there", folder.display()));
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// The component that was compiled before, if it is there and whole.
    pub(crate) fn load(&self, engine: &Engine, key: &Key) -> Option<Component> {
        // SAFETY: see `mapped`.
        self.mapped(key, |path| unsafe { Component::deserialize_file(engine, path) })
    }

    /// The core module that was compiled before, if it is there and whole.
    pub(crate) fn load_module(&self, engine: &Engine, key: &Key) -> Option<Module> {
        // SAFETY: see `mapped`.
        self.mapped(key, |path| unsafe { Module::deserialize_file(engine, path) })
    }

    /// Has a file mapped that may be trusted to be what a compiler of this process's user wrote for the engine in the
    /// key: nobody else may write to it or to its folder, and it is complete. Files are never changed in place.
    fn mapped<T>(&self, key: &Key, map: impl FnOnce(&Path) -> wasmtime::Result<T>) -> Option<T> {
        let path = self.path(key);
        let not_followed = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
        let mut file = OpenOptions::new().read(true).custom_flags(not_followed).open(&path).ok()?;
        if !is_whole(&mut file).unwrap_or(false) {
            let _ = fs::remove_file(&path);
            return None;
        }
        let mapped = map(&path);
        match &mapped {
            // It was used: it is not the first to go.
            Ok(_) => drop(file.set_modified(SystemTime::now())),
            Err(_) => drop(fs::remove_file(&path)),
        }
        mapped.ok()
    }

    /// Keeps compiled code. Who cannot write compiles again the next time.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn store(&self, key: &Key, code: &[u8]) -> io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!(".{}-{number}.new", std::process::id()));
        let written = (|| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(code)?;
            file.write_all(&(code.len() as u64).to_le_bytes())?;
            file.write_all(SEAL)?;
            file.sync_data()?;
            fs::rename(&temporary, self.path(key))
        })();
        match &written {
            Ok(()) => self.shrink(MOST),
            Err(_) => drop(fs::remove_file(&temporary)),
        }
        written
    }

    /// Removes what was not used for longest, if there is more than so many bytes. Who has a file mapped keeps it.
    fn shrink(&self, most: u64) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let may_go = |path: &Path, modified: SystemTime| match path.extension()?.to_str()? {
            "cwasm" => Some(()),
            "new" => modified.elapsed().is_ok_and(|age| age > LEFT).then_some(()),
            _ => None,
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

    /// The file that compiled code is in, if it was kept.
    pub(crate) fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{}.cwasm", key.0))
    }
}

/// Whether only this process's user may write there.
fn is_own(metadata: &fs::Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
}

fn is_whole(file: &mut File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    let tail = 8 + SEAL.len() as u64;
    if !metadata.is_file() || !is_own(&metadata) || metadata.len() < tail {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-(tail as i64)))?;
    let mut end = [0; 16];
    file.read_exact(&mut end)?;
    let (length, seal) = end.split_at(8);
    Ok(seal == SEAL && length == (metadata.len() - tail).to_le_bytes())
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

    fn engine() -> Engine {
        Engine::default()
    }

    #[test]
    fn what_was_compiled_is_found_again_and_only_for_the_same_content_and_engine() {
        let temp = Temp::new("found");
        let (engine, cache) = (engine(), Cache::open(&temp.0).unwrap());
        let source = wat::parse_str("(component)").unwrap();
        let key = Key::new(&engine, &source);
        assert!(cache.load(&engine, &key).is_none());
        cache.store(&key, &engine.precompile_component(&source).unwrap()).unwrap();
        assert!(cache.load(&engine, &key).is_some());
        assert!(cache.load(&engine, &Key::new(&engine, b"other")).is_none());
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let other = Engine::new(&config).unwrap();
        assert_ne!(Key::new(&other, &source), key);
    }

    #[test]
    fn a_file_that_is_cut_or_changed_in_length_or_open_to_others_is_not_run() {
        let temp = Temp::new("cut");
        let (engine, cache) = (engine(), Cache::open(&temp.0).unwrap());
        let source = wat::parse_str("(component)").unwrap();
        let key = Key::new(&engine, &source);
        let code = engine.precompile_component(&source).unwrap();
        let path = cache.path(&key);
        cache.store(&key, &code).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in [0, 1, 16, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(cache.load(&engine, &key).is_none(), "{length} bytes");
            assert!(!path.exists(), "it is removed");
        }
        cache.store(&key, &code).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).unwrap();
        assert!(cache.load(&engine, &key).is_none());
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(cache.load(&engine, &key).is_none());
    }

    #[test]
    fn what_was_not_used_for_longest_is_removed_first() {
        let temp = Temp::new("shrink");
        let (engine, cache) = (engine(), Cache::open(&temp.0).unwrap());
        let keys: Vec<Key> = (0..5).map(|n| Key::new(&engine, &[n])).collect();
        for (age, key) in keys.iter().enumerate() {
            cache.store(key, &[0; 1000]).unwrap();
            let file = File::options().write(true).open(cache.path(key)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(1000 - age as u64)).unwrap();
        }
        let source = wat::parse_str("(component)").unwrap();
        let used = Key::new(&engine, &source);
        cache.store(&used, &engine.precompile_component(&source).unwrap()).unwrap();
        File::options()
            .write(true)
            .open(cache.path(&used))
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH)
            .unwrap();
        assert!(cache.load(&engine, &used).is_some());
        let there = || keys.iter().map(|key| cache.path(key).exists()).collect::<Vec<_>>();
        let all: u64 =
            fs::read_dir(&temp.0).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        cache.shrink(all);
        assert_eq!(there(), [true; 5]);
        fs::write(temp.0.join("other"), "stays").unwrap();
        cache.shrink(all - 1);
        assert!(!there()[0] && there()[4], "{:?}", there());
        assert!(cache.load(&engine, &used).is_some() && temp.0.join("other").exists());
        // Somebody else may be writing one; the other's writer has died.
        let [begun, left] = [".1-1.new", ".1-2.new"].map(|name| temp.0.join(name));
        fs::write(&begun, [0; 1000]).unwrap();
        fs::write(&left, [0; 1000]).unwrap();
        File::options().write(true).open(&left).unwrap().set_modified(SystemTime::now() - 2 * LEFT).unwrap();
        cache.shrink(0);
        assert_eq!(there(), [false; 5]);
        assert!(begun.exists() && !left.exists());
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_no_cache() {
        let temp = Temp::new("open");
        fs::create_dir(&temp.0).unwrap();
        fs::set_permissions(&temp.0, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Cache::open(&temp.0).unwrap_err().contains("others may write"));
    }
}
