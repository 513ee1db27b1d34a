//! Folders that are gone with their test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A temporary folder.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A folder with these files.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("nexus-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        // Some systems' temporary folder is behind a link, which messages resolve.
        let folder = Self(path.canonicalize().unwrap());
        for (file, text) in files {
            folder.write(file, text);
        }
        folder
    }

    /// A folder with an app called `app` in `app/`, of one module.
    pub(crate) fn app(source: &str) -> Self {
        Self::new(&[("app/index.js", source)])
    }

    /// Writes a file, and the folders that it is in.
    pub(crate) fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        let file = self.0.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
