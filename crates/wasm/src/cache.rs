//! Compiled WebAssembly on disk; see [`nexus_guest::CodeCache`].

// Mapped code is run; see `Cache::mapped`.
#![allow(unsafe_code)]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use nexus_guest::CodeCache;
use wasmtime::component::Component;
use wasmtime::{Engine, Module};

/// The most bytes of all files together.
const MOST: u64 = 4 << 30;

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
        Self(CodeCache::name(content, &format!("{:016x}", environment.finish())))
    }
}

/// A folder of compiled code.
#[derive(Debug)]
pub(crate) struct Cache(CodeCache);

impl Cache {
    /// The cache in this folder, which is made if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made, or others may write to it; in one line.
    pub(crate) fn open(folder: &Path) -> Result<Self, String> {
        CodeCache::open(folder, "cwasm", MOST).map(Self)
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
    /// key. Its content is not read for that: it may be large, and is mapped to be read where it is needed.
    fn mapped<T>(&self, key: &Key, map: impl FnOnce(&Path) -> wasmtime::Result<T>) -> Option<T> {
        let code = self.0.find(&key.0)?;
        let mapped = map(code.path());
        match &mapped {
            Ok(_) => code.used(),
            Err(_) => self.0.remove(&key.0),
        }
        mapped.ok()
    }

    /// Keeps compiled code. Who cannot write compiles again the next time.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn store(&self, key: &Key, code: &[u8]) -> io::Result<()> {
        self.0.store(&key.0, code)
    }

    /// The file that compiled code is in, if it was kept.
    pub(crate) fn path(&self, key: &Key) -> PathBuf {
        self.0.path(&key.0)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_was_compiled_is_found_again_and_only_for_the_same_content_and_engine_and_while_it_is_whole() {
        let folder = std::env::temp_dir().join(format!("nexus-wasm-cache-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let (engine, cache) = (Engine::default(), Cache::open(&folder).unwrap());
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
        let whole = fs::read(cache.path(&key)).unwrap();
        fs::write(cache.path(&key), &whole[..whole.len() - 1]).unwrap();
        assert!(cache.load(&engine, &key).is_none() && !cache.path(&key).exists());
        cache.store(&key, b"no code at all").unwrap();
        assert!(cache.load(&engine, &key).is_none() && !cache.path(&key).exists());
        let _ = fs::remove_dir_all(&folder);
    }
}
