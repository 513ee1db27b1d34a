//! `[permissions]`: what an app asks for beyond answering requests.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use crate::schema::Values;
use crate::{NetPolicy, Switches, VariableName};

/// `[permissions]`: what an app may reach. Nothing is granted by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permissions {
    /// The folders that a WebAssembly guest may read, as the file lists them.
    pub read: Vec<GrantedFolder>,
    /// The folders that a WebAssembly guest may read and write, as the file lists them.
    pub write: Vec<GrantedFolder>,
    /// Where the guest may connect to.
    pub net: NetPolicy,
    /// The variables of the host's environment that the guest finds among its own.
    pub env: Vec<VariableName>,
    /// Which of that is granted at the moment, but for `net`, which has its own.
    pub granted: PermissionSwitches,
}

/// Which entries of `[permissions]` are granted at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PermissionSwitches {
    /// Of `read`.
    pub read: Switches,
    /// Of `write`.
    pub write: Switches,
    /// Of `env`, and after that of each secret from the host's environment.
    pub env: Switches,
}

impl Permissions {
    pub(crate) fn read(values: &Values) -> Self {
        Self {
            read: values.folders("permissions.read").unwrap_or_default(),
            write: values.folders("permissions.write").unwrap_or_default(),
            net: NetPolicy {
                asked: values.net_grants("permissions.net").unwrap_or_default(),
                ..NetPolicy::default()
            },
            env: values.variable_names("permissions.env").unwrap_or_default(),
            granted: PermissionSwitches::default(),
        }
    }

    /// Whether any folder is asked for.
    pub fn asks_for_folders(&self) -> bool {
        !self.read.is_empty() || !self.write.is_empty()
    }

    /// Each folder once that is granted at the moment, with whether the guest may write to it: one that stands in both
    /// lists may be written.
    pub fn folders(&self) -> impl Iterator<Item = (&GrantedFolder, bool)> {
        let all = || {
            let write = self.granted.write.of(&self.write).map(|folder| (folder, true));
            write.chain(self.granted.read.of(&self.read).map(|folder| (folder, false)))
        };
        all().enumerate().filter_map(move |(place, (folder, writes))| {
            all().take(place).all(|(before, _)| !before.is_same(folder)).then_some((folder, writes))
        })
    }
}

/// A kind of permission: a key of `[permissions]`, or what entries of `[bindings]` are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PermissionKind {
    /// Folders to read.
    Read,
    /// Folders to read and write.
    Write,
    /// Hosts to connect to.
    Net,
    /// Variables of the host's environment, also as secrets.
    Env,
    /// Namespaces of key-value stores, the app's own.
    Kv,
    /// Databases, the app's own.
    Sql,
}

impl PermissionKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 6] = [Self::Read, Self::Write, Self::Net, Self::Env, Self::Kv, Self::Sql];
}

impl fmt::Display for PermissionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PermissionKind::Read => "read",
            PermissionKind::Write => "write",
            PermissionKind::Net => "net",
            PermissionKind::Env => "env",
            PermissionKind::Kv => "kv",
            PermissionKind::Sql => "sql",
        })
    }
}

/// A text that names no [`PermissionKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PermissionKindError;

impl fmt::Display for PermissionKindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a permission is \"read\", \"write\", \"net\", \"env\", \"kv\" or \"sql\"")
    }
}

impl std::error::Error for PermissionKindError {}

impl FromStr for PermissionKind {
    type Err = PermissionKindError;

    fn from_str(text: &str) -> Result<Self, PermissionKindError> {
        Self::ALL.into_iter().find(|kind| kind.to_string() == text).ok_or(PermissionKindError)
    }
}

/// A folder that a guest may reach: an absolute path, or one from the app's folder, `..` included. The
/// guest sees the folder under this very text. Never empty, and without NUL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrantedFolder(Box<str>);

impl GrantedFolder {
    /// The path as it was written, which is the guest's name for the folder.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where the folder lies for the host, for an app in `app_folder`.
    pub fn path_from(&self, app_folder: &Path) -> PathBuf {
        app_folder.join(&*self.0)
    }

    /// The same folder, without `./` and a `/` at the end.
    pub fn plain(&self) -> Self {
        let parts = Path::new(&*self.0).components().filter(|part| *part != Component::CurDir);
        let path = parts.collect::<PathBuf>().to_string_lossy().into_owned();
        Self(if path.is_empty() { ".".into() } else { path.into() })
    }

    /// Whether both are written alike, but for `./` and a `/` at the end.
    fn is_same(&self, other: &Self) -> bool {
        fn parts(folder: &GrantedFolder) -> impl Iterator<Item = Component<'_>> {
            Path::new(&*folder.0).components().filter(|part| *part != Component::CurDir)
        }
        parts(self).eq(parts(other))
    }
}

impl fmt::Display for GrantedFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no [`GrantedFolder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantedFolderError {
    /// There is no text.
    Empty,
    /// There is a NUL in it.
    Nul,
}

impl fmt::Display for GrantedFolderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GrantedFolderError::Empty => "a path is not empty; that of the app's folder is `.`",
            GrantedFolderError::Nul => "a path holds no NUL",
        })
    }
}

impl std::error::Error for GrantedFolderError {}

impl FromStr for GrantedFolder {
    type Err = GrantedFolderError;

    fn from_str(text: &str) -> Result<Self, GrantedFolderError> {
        if text.is_empty() {
            Err(GrantedFolderError::Empty)
        } else if text.contains('\0') {
            Err(GrantedFolderError::Nul)
        } else {
            Ok(Self(text.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, GrantedAccess};
    use proptest::prelude::*;

    fn folders(texts: &[&str]) -> Vec<GrantedFolder> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_folder_is_seen_as_it_is_written_and_lies_where_the_app_does() {
        let [relative, above, absolute] = ["./data", "../shared", "/srv/data"].map(|text| {
            let folder: GrantedFolder = text.parse().unwrap();
            assert_eq!((folder.as_str(), folder.to_string().as_str()), (text, text));
            folder.path_from(Path::new("/apps/shop"))
        });
        assert_eq!(relative, Path::new("/apps/shop/data"));
        assert_eq!(above, Path::new("/apps/shop/../shared"));
        assert_eq!(absolute, Path::new("/srv/data"));
        assert_eq!("".parse::<GrantedFolder>(), Err(GrantedFolderError::Empty));
        assert_eq!("a\0b".parse::<GrantedFolder>(), Err(GrantedFolderError::Nul));
    }

    #[test]
    fn a_folder_in_both_lists_comes_once_and_may_be_written() {
        let permissions = Permissions {
            read: folders(&["data/", "other", "./other", "/tmp"]),
            write: folders(&["./data", "tmp", "."]),
            ..Permissions::default()
        };
        let all: Vec<_> = permissions.folders().map(|(folder, writes)| (folder.as_str(), writes)).collect();
        assert_eq!(all, [("./data", true), ("tmp", true), (".", true), ("other", false), ("/tmp", false)]);
        assert_eq!(Permissions::default().folders().count(), 0);
    }

    #[test]
    fn a_folder_that_is_not_granted_is_not_there() {
        let app = crate::AppName::parse("shop").unwrap();
        let cells: Vec<GrantedAccess> = (0..4).map(|_| GrantedAccess::default()).collect();
        let granted = PermissionSwitches {
            read: Switches::new(&app, cells[..2].iter().cloned()),
            write: Switches::new(&app, cells[2..].iter().cloned()),
            env: Switches::default(),
        };
        let (read, write) = (folders(&["data", "b"]), folders(&["./data", "c"]));
        let permissions = Permissions { read, write, granted, ..Permissions::default() };
        let all =
            || permissions.folders().map(|(folder, writes)| (folder.as_str(), writes)).collect::<Vec<_>>();
        assert!(all().is_empty() && permissions.asks_for_folders());
        cells.iter().for_each(|cell| cell.set(Some(Access::Read)));
        assert_eq!(all(), [("./data", true), ("c", true), ("b", false)]);
        // What may not be written any more may still be read.
        cells[2].set(None);
        cells[1].set(None);
        assert_eq!(all(), [("c", true), ("data", false)]);
    }

    #[test]
    fn a_plain_folder_is_the_same_however_it_is_written() {
        for (text, plain) in
            [("./data/", "data"), ("a//b/.", "a/b"), (".", "."), ("./", "."), ("/", "/"), ("../a/", "../a")]
        {
            let folder: GrantedFolder = text.parse().unwrap();
            assert_eq!(folder.plain().as_str(), plain);
            assert!(folder.is_same(&folder.plain()));
        }
    }

    #[test]
    fn each_kind_is_its_keys_name() {
        for kind in PermissionKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            let key = |table| crate::schema::MANIFEST.key(&format!("{table}.{kind}"));
            assert!(key("permissions").or(key("bindings")).is_some());
            assert!(PermissionKindError.to_string().contains(&format!("\"{kind}\"")));
        }
        for wrong in ["", "Net", "network", "read "] {
            assert_eq!(wrong.parse::<PermissionKind>(), Err(PermissionKindError), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_without_nul_is_a_folder(text in "\\PC{1,20}", app in "/[a-z]{1,5}") {
            let folder: GrantedFolder = text.parse().unwrap();
            prop_assert_eq!(folder.as_str(), text.as_str());
            prop_assert!(folder.path_from(Path::new(&app)).is_absolute());
            prop_assert!(folder.is_same(&folder));
        }
    }
}
