//! How the store makes, keeps and removes files and folders.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::StoreError;
use super::listing::Listing;

/// Makes a folder for this user alone, or takes it as it is if nobody else may write there: what is in it is
/// run.
pub(super) fn own_folder(folder: &Path) -> Result<(), StoreError> {
    let of = |error| StoreError::of(folder)(error);
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(of)?;
    let metadata = fs::metadata(folder).map_err(of)?;
    let shown = folder.display();
    if !is_own(&metadata) {
        let line = format!("{shown}: it belongs to another user; give the host a data folder of its own");
        return Err(StoreError::Folder(line));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(StoreError::Folder(format!("{shown}: others may write there; run `chmod go-w {shown}`")));
    }
    Ok(())
}

/// Whether it belongs to the user of this process.
fn is_own(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

/// Takes the data folder for this process until the file is closed, be it by the process's end.
pub(super) fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("lock");
    let not_followed = OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(not_followed);
    let file = options.open(&path).map_err(StoreError::of(&path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(StoreError::Folder(format!(
            "{}: another host uses this data folder; stop it, or give this one another data folder",
            folder.display()
        ))),
        Err(errno) => Err(StoreError::of(&path)(errno.into())),
    }
}

/// A path that is this process's alone. What is there is removed in the end, unless it was moved to its
/// place.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    is_moved: bool,
}

impl Scratch {
    /// A path in this folder at which nothing has ever been: another process may use the folder, too, as long as one
    /// takes over from the other.
    pub(super) fn within(folder: &Path) -> io::Result<Self> {
        let mut random = [0; 16];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let name = format!("{}-{:032x}", std::process::id(), u128::from_ne_bytes(random));
        Ok(Self { path: folder.join(name), is_moved: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves what is there, at once and whole.
    pub(super) fn move_to(&mut self, place: &Path) -> io::Result<()> {
        fs::rename(&self.path, place)?;
        self.is_moved = true;
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.is_moved {
            // What cannot be removed now is when the store is opened the next time.
            let _ = remove(&self.path);
        }
    }
}

/// Writes a file and moves it to its place, so that whoever reads finds the old one or the new one, whole. `incoming` is
/// where it is until then.
pub(super) fn replace(place: &Path, incoming: &Path, text: &str) -> io::Result<()> {
    let mut scratch = Scratch::within(incoming)?;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(scratch.path())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    scratch.move_to(place)?;
    if let Some(folder) = place.parent() {
        sync_names(folder);
    }
    Ok(())
}

/// Closes the folders of what was unpacked against writing and has all of it reach the disk. The topmost
/// folder stays open, so that it can be moved.
pub(super) fn settle(root: &Path, listing: &Listing) -> Result<(), StoreError> {
    for folder in listing.folders() {
        let folder = root.join(folder);
        set_mode(&folder, 0o555).map_err(StoreError::of(&folder))?;
    }
    sync_tree(root, listing).map_err(StoreError::of(root))
}

/// One call for the whole file system: thousands of files one by one would take minutes on a slow disk.
#[cfg(target_os = "linux")]
fn sync_tree(root: &Path, _: &Listing) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(root)?)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_tree(root: &Path, listing: &Listing) -> io::Result<()> {
    listing.files().chain(listing.folders()).try_for_each(|path| File::open(root.join(path))?.sync_all())?;
    File::open(root)?.sync_all()
}

/// Has the names in a folder reach the disk. It is too late to do anything when that fails: the names have
/// changed. What a loss of power undoes then is found when the store is opened.
pub(super) fn sync_names(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// Removes a file, or a folder with all that is in it, also where folders are closed against writing.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return fs::remove_file(path);
    }
    let mut to_open = vec![path.to_owned()];
    while let Some(folder) = to_open.pop() {
        set_mode(&folder, 0o700)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                to_open.push(entry.path());
            }
        }
    }
    fs::remove_dir_all(path)
}

/// Sets a folder's mode.
pub(super) fn set_mode(folder: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beneath::tests::Tree;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_folder_is_made_for_its_user_alone_and_no_other_is_taken() {
        let tree = Tree::empty();
        let folder = tree.path("a/b");
        own_folder(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        for (mode, is_fine) in [(0o755, true), (0o700, true), (0o777, false), (0o720, false), (0o702, false)]
        {
            set_mode(&folder, mode).unwrap();
            let error = own_folder(&folder).err().map(|error| error.to_string());
            assert_eq!(error.is_none(), is_fine, "{mode:o}");
            assert!(error.is_none_or(|error| error.contains("others may write there; run `chmod go-w /")));
        }
        // Only a privileged user can make a folder somebody else's.
        if std::os::unix::fs::chown(&folder, Some(12345), None).is_ok() {
            let error = own_folder(&folder).unwrap_err();
            assert!(error.to_string().contains("belongs to another user"), "{error}");
        }
        tree.write("file", "");
        assert!(matches!(own_folder(&tree.path("file")), Err(StoreError::System(_))));
    }

    #[test]
    fn the_lock_is_one_holders_and_no_link_leads_to_it() {
        let tree = Tree::empty();
        let first = lock(&tree.path("")).unwrap();
        let error = lock(&tree.path("")).unwrap_err();
        assert!(error.to_string().contains("another host uses this data folder; stop it, or"), "{error}");
        drop(first);
        drop(lock(&tree.path("")).unwrap());
        fs::remove_file(tree.path("lock")).unwrap();
        symlink(tree.path("elsewhere"), tree.path("lock")).unwrap();
        assert!(lock(&tree.path("")).is_err() && !tree.path("elsewhere").exists());
    }

    #[test]
    fn what_is_closed_against_writing_is_removed_and_what_links_lead_to_stays() {
        let tree = Tree::empty();
        tree.write("kept/a", "");
        tree.write("gone/d/e/a", "");
        symlink(tree.path("kept"), tree.path("gone/d/link")).unwrap();
        for folder in ["gone/d/e", "gone/d", "gone"] {
            set_mode(&tree.path(folder), 0o555).unwrap();
        }
        remove(&tree.path("gone")).unwrap();
        assert!(!tree.path("gone").exists() && tree.path("kept/a").exists());
        symlink(tree.path("kept"), tree.path("link")).unwrap();
        remove(&tree.path("link")).unwrap();
        assert!(!tree.path("link").exists() && tree.path("kept/a").exists());
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it() {
        let tree = Tree::empty();
        let (place, incoming) = (tree.path("place"), tree.path("incoming"));
        assert!(replace(&place, &incoming, "0").is_err() && !place.exists());
        fs::create_dir(&incoming).unwrap();
        tree.write("elsewhere", "");
        symlink(tree.path("elsewhere"), &place).unwrap();
        for text in ["1", "2"] {
            replace(&place, &incoming, text).unwrap();
            assert_eq!(fs::read_to_string(&place).unwrap(), text);
        }
        assert_eq!(fs::symlink_metadata(&place).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(tree.path("elsewhere")).unwrap(), "");
        assert_eq!(fs::read_dir(&incoming).unwrap().count(), 0);
        tree.write("folder/a", "");
        assert!(replace(&tree.path("folder"), &incoming, "3").is_err());
        assert_eq!(fs::read_dir(&incoming).unwrap().count(), 0);
    }

    #[test]
    fn what_is_not_moved_is_removed() {
        let tree = Tree::empty();
        let scratch = || Scratch::within(&tree.path("")).unwrap();
        let (dropped, mut moved, never) = (scratch(), scratch(), scratch());
        for scratch in [&dropped, &moved] {
            fs::write(scratch.path(), "").unwrap();
        }
        moved.move_to(&tree.path("place")).unwrap();
        drop((dropped, moved, never));
        let names = fs::read_dir(tree.path("")).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["place"]);
    }
}
