//! Opening files beneath a folder, and nowhere else.
//!
//! Static files and modules are named by strangers: clients and guests. Where the kernel can (Linux 5.6 and newer),
//! it resolves the whole path itself beneath an open folder (`openat2` with `RESOLVE_BENEATH`), so that neither
//! `..` nor a symbolic link leads out, not even one that is swapped in meanwhile. A relative link that
//! stays inside is followed. Elsewhere the path is made canonical and must start with the folder's; somebody
//! who can rename files within the folder at the right moment could get past that.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Dir, OFlags};
use rustix::io::Errno;

/// Not a FIFO's missing writer nor a terminal may ever hold or take over whoever opens a file.
const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Whether a call may wait for a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// It may: this is no worker's event loop.
    Allowed,
    /// It must not: what is not in the kernel's caches is [`OpenError::WouldWait`].
    Never,
}

/// What was found.
#[derive(Debug)]
pub(crate) enum Opened {
    /// A regular file.
    File(File, Metadata),
    /// A folder, open.
    Folder(File),
}

/// Why there is nothing to read.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// There is no such file.
    Missing,
    /// The path leads out of the folder, by itself or by a symbolic link (or in circles).
    Outside,
    /// It is a device, a socket or a FIFO.
    Irregular,
    /// With [`Wait::Never`]: only by waiting could this be told.
    WouldWait,
    /// The system refused or failed.
    Io(io::Error),
}

impl From<Errno> for OpenError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => OpenError::Missing,
            Errno::XDEV | Errno::LOOP => OpenError::Outside,
            Errno::NXIO | Errno::NODEV => OpenError::Irregular,
            errno => OpenError::Io(errno.into()),
        }
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(errno) => errno.into(),
            None => OpenError::Io(error),
        }
    }
}

/// A folder, and what lies beneath it.
#[derive(Debug)]
pub(crate) struct Beneath {
    #[cfg(target_os = "linux")]
    kernel: Option<kernel::Root>,
    /// The folder, canonical.
    path: PathBuf,
}

impl Beneath {
    /// # Errors
    /// When there is no such folder.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let mut beneath = Self::by_path_only(folder)?;
        #[cfg(target_os = "linux")]
        {
            beneath.kernel = kernel::Root::open(&beneath.path)?;
        }
        Ok(beneath)
    }

    fn by_path_only(folder: &Path) -> io::Result<Self> {
        let path = folder.canonicalize()?;
        if !path.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self {
            #[cfg(target_os = "linux")]
            kernel: None,
            path,
        })
    }

    /// Opens a file or folder by its path from this folder.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(crate) fn get(&self, relative: &str, wait: Wait) -> Result<Opened, OpenError> {
        let normal = |component| matches!(component, Component::Normal(_) | Component::CurDir);
        if relative.contains('\0') || relative.is_empty() {
            return Err(OpenError::Missing);
        }
        if !Path::new(relative).components().all(normal) {
            return Err(OpenError::Outside);
        }
        let file = self.open_file(relative, wait)?;
        let metadata = file.metadata()?;
        match metadata.file_type() {
            kind if kind.is_file() => Ok(Opened::File(file, metadata)),
            kind if kind.is_dir() => Ok(Opened::Folder(file)),
            _ => Err(OpenError::Irregular),
        }
    }

    fn open_file(&self, relative: &str, wait: Wait) -> Result<File, OpenError> {
        #[cfg(target_os = "linux")]
        if let Some(root) = &self.kernel {
            return root.open_file(relative, wait);
        }
        if wait == Wait::Never {
            return Err(OpenError::WouldWait);
        }
        let real = self.path.join(relative).canonicalize()?;
        if !real.starts_with(&self.path) {
            return Err(OpenError::Outside);
        }
        Ok(File::options().read(true).custom_flags(FLAGS.bits().cast_signed()).open(real)?)
    }
}

/// The names in an open folder, those that are no UTF-8 left out.
pub(crate) fn names(folder: &File) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        if let Ok(name) = entry?.file_name().to_str() {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(target_os = "linux")]
mod kernel {
    use super::{FLAGS, OpenError, Wait};
    use rustix::fd::OwnedFd;
    use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
    use rustix::io::Errno;
    use std::fs::File;
    use std::io;
    use std::path::Path;

    const BENEATH: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

    /// How often to try again while somebody renames folders along the way.
    const RACES: usize = 32;

    #[derive(Debug)]
    pub(super) struct Root(OwnedFd);

    impl Root {
        /// `None` where the kernel, or a sandbox around the process, does not know `openat2`.
        pub(super) fn open(folder: &Path) -> io::Result<Option<Self>> {
            let root = open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
            let probe = openat2(&root, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), BENEATH);
            Ok(probe.is_ok().then_some(Self(root)))
        }

        pub(super) fn open_file(&self, relative: &str, wait: Wait) -> Result<File, OpenError> {
            let open = |resolve| openat2(&self.0, relative, FLAGS, Mode::empty(), resolve);
            if wait == Wait::Never {
                return match open(BENEATH | ResolveFlags::CACHED) {
                    Ok(file) => Ok(file.into()),
                    // EINVAL: a kernel older than 5.12 does not know the flag.
                    Err(Errno::AGAIN | Errno::INVAL) => Err(OpenError::WouldWait),
                    Err(errno) => Err(errno.into()),
                };
            }
            for _ in 0..RACES {
                match open(BENEATH) {
                    Ok(file) => return Ok(file.into()),
                    // The kernel could not rule out that a `..` escaped; or a signal came.
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            Err(Errno::AGAIN.into())
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A folder of its own for a test, removed at the end.
    pub(crate) struct Tree(PathBuf);

    impl Tree {
        /// An empty tree.
        pub(crate) fn empty() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("nexus-tree-{}-{number}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        /// `root` is what may be read: each file there says `public`. Each file outside, and each hidden one,
        /// says `secret`, and links of every kind lead there.
        pub(crate) fn with_secrets() -> Self {
            let tree = Self::empty();
            for (file, text) in [
                ("root/index.html", "public"),
                ("root/a.js", "public"),
                ("root/sub/index.html", "public"),
                ("root/sub/b.js", "public"),
                ("secret.js", "secret"),
                ("root.js", "secret"),
                ("outside/index.html", "secret"),
                ("outside/a.js", "secret"),
                ("root-too/a.js", "secret"),
            ] {
                tree.write(file, text);
            }
            let secret = tree.path("secret.js");
            symlink("a.js", tree.path("root/in.js")).unwrap();
            symlink("../a.js", tree.path("root/sub/in.js")).unwrap();
            symlink("sub", tree.path("root/folder-in")).unwrap();
            symlink("..", tree.path("root/sub/up")).unwrap();
            symlink("../..", tree.path("root/sub/out")).unwrap();
            symlink("../secret.js", tree.path("root/out.js")).unwrap();
            symlink(&secret, tree.path("root/absolute.js")).unwrap();
            symlink("../outside", tree.path("root/folder-out")).unwrap();
            symlink("../root-too", tree.path("root/sibling")).unwrap();
            symlink("/proc/self/root", tree.path("root/magic")).unwrap();
            symlink("circle.js", tree.path("root/circle.js")).unwrap();
            tree
        }

        pub(crate) fn path(&self, relative: &str) -> PathBuf {
            self.0.join(relative)
        }

        /// Writes a file, making the folders on the way.
        pub(crate) fn write(&self, relative: &str, text: impl AsRef<[u8]>) {
            let path = self.path(relative);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// The same folder by the kernel's resolution and by canonical paths.
    pub(crate) fn both_ways(folder: &Path) -> [Beneath; 2] {
        [Beneath::open(folder).unwrap(), Beneath::by_path_only(folder).unwrap()]
    }

    #[test]
    fn links_that_stay_inside_are_followed_and_links_that_leave_are_not() {
        let tree = Tree::with_secrets();
        for beneath in both_ways(&tree.path("root")) {
            for inside in ["a.js", "in.js", "sub/in.js", "folder-in/b.js", "sub/up/a.js", "./a.js"] {
                assert!(matches!(beneath.get(inside, Wait::Allowed), Ok(Opened::File(..))), "{inside}");
            }
            for outside in
                ["../secret.js", "/etc/passwd", "out.js", "sub/out/secret.js", "absolute.js", "sub/../a.js"]
            {
                assert!(matches!(beneath.get(outside, Wait::Allowed), Err(OpenError::Outside)), "{outside}");
            }
            for outside in ["folder-out/a.js", "sibling/a.js", "magic/etc/passwd", "circle.js"] {
                assert!(matches!(beneath.get(outside, Wait::Allowed), Err(OpenError::Outside)), "{outside}");
            }
            for missing in ["", "b.js", "a.js/b", "a.js\0", &"x".repeat(5000)] {
                assert!(matches!(beneath.get(missing, Wait::Allowed), Err(OpenError::Missing)), "{missing}");
            }
            assert!(matches!(beneath.get("sub", Wait::Allowed), Ok(Opened::Folder(_))));
        }
    }

    #[test]
    fn a_fifo_is_refused_and_holds_nobody() {
        let tree = Tree::empty();
        let status = std::process::Command::new("mkfifo").arg(tree.path("fifo")).status().unwrap();
        assert!(status.success());
        for beneath in both_ways(&tree.path("")) {
            assert!(matches!(beneath.get("fifo", Wait::Allowed), Err(OpenError::Irregular)));
        }
    }

    #[test]
    fn names_are_those_in_the_folder() {
        let tree = Tree::with_secrets();
        let beneath = Beneath::open(&tree.path("root/sub")).unwrap();
        let Ok(Opened::Folder(folder)) = beneath.get(".", Wait::Allowed) else { panic!("a folder") };
        let mut names = names(&folder).unwrap();
        names.sort();
        assert_eq!(names, [".", "..", "b.js", "in.js", "index.html", "out", "up"]);
    }

    #[test]
    fn a_file_is_no_folder_to_look_beneath() {
        let tree = Tree::with_secrets();
        assert!(Beneath::open(&tree.path("root/a.js")).is_err());
        assert!(Beneath::open(&tree.path("nothing")).is_err());
    }
}
