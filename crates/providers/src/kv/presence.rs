//! Whether other processes use the same folder: a host that takes over, or the one that it takes over from.
//!
//! redb's files are open in one process at a time. Each process that uses a folder holds a shared lock on a file in it; who
//! could have it alone for a moment is alone. This is for courtesy only: that no two have a file is redb's own lock's matter.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

/// The lock's name. Apps' files end otherwise.
const FILE: &str = "hosts.lock";

/// This process's presence in a folder.
#[derive(Debug, Default)]
pub(super) struct Presence {
    file: Mutex<Option<File>>,
    has_company: AtomicBool,
}

impl Presence {
    /// Makes it known, if it was not before. The folder is there.
    pub(super) fn begin(&self, folder: &Path) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.is_none() {
            *file = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(FILE)).ok();
            drop(file);
            self.look();
        }
    }

    /// Looks who else is there.
    pub(super) fn look(&self) {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = &*file else { return };
        let is_alone = file.try_lock().is_ok();
        // The attempt has given the shared lock up, whatever it came to. Nobody has it alone for long.
        let _ = file.lock_shared();
        self.has_company.store(!is_alone, Ordering::Relaxed);
    }

    /// Whether somebody else was there at the last look.
    pub(super) fn has_company(&self) -> bool {
        self.has_company.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_see_each_other_until_one_goes() {
        let folder = std::env::temp_dir().join(format!("nexus-presence-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let first = Presence::default();
        first.look();
        assert!(!first.has_company());
        first.begin(&folder);
        assert!(!first.has_company());
        let second = Presence::default();
        second.begin(&folder);
        assert!(second.has_company());
        first.look();
        assert!(first.has_company());
        drop(second);
        first.look();
        assert!(!first.has_company());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
