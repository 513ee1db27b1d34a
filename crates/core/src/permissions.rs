//! `[permissions]`: what an app asks for beyond answering requests.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use crate::schema::Values;

/// `[permissions]`: what a WebAssembly app may reach. Nothing is granted by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permissions {
    /// The folders that the guest may read, as the file lists them.
    pub read: Vec<GrantedFolder>,
    /// The folders that the guest may read and write, as the file lists them.
    pub write: Vec<GrantedFolder>,
}

impl Permissions {
    pub(crate) fn read(values: &Values) -> Self {
        Self {
            read: values.folders("permissions.read").unwrap_or_default(),
            write: values.folders("permissions.write").unwrap_or_default(),
        }
    }

    /// Takes away what is of no kind that is `allowed`, and gives it as the file has it: `read = ["data"]`.
    pub fn narrow(&mut self, allowed: &[PermissionKind]) -> Vec<String> {
        let lists = [(PermissionKind::Read, &mut self.read), (PermissionKind::Write, &mut self.write)];
        let refused = lists.into_iter().filter(|(kind, list)| !list.is_empty() && !allowed.contains(kind));
        let told = refused.map(|(kind, list)| {
            let folders: Vec<String> =
                list.drain(..).map(|folder| format!("\"{}\"", folder.as_str().escape_debug())).collect();
            format!("{kind} = [{}]", folders.join(", "))
        });
        told.collect()
    }

    /// Each granted folder once, with whether the guest may write to it: one that stands in both lists
    /// may be written.
    pub fn folders(&self) -> impl Iterator<Item = (&GrantedFolder, bool)> {
        let all = || {
            let write = self.write.iter().map(|folder| (folder, true));
            write.chain(self.read.iter().map(|folder| (folder, false)))
        };
        all().enumerate().filter_map(move |(place, (folder, writes))| {
            all().take(place).all(|(before, _)| !before.is_same(folder)).then_some((folder, writes))
        })
    }
}

/// A kind of permission: a key of `[permissions]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PermissionKind {
    /// Folders to read.
    Read,
    /// Folders to read and write.
    Write,
}

impl fmt::Display for PermissionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PermissionKind::Read => "read",
            PermissionKind::Write => "write",
        })
    }
}

/// A text that names no [`PermissionKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PermissionKindError;

impl fmt::Display for PermissionKindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a permission is \"read\" or \"write\"")
    }
}

impl std::error::Error for PermissionKindError {}

impl FromStr for PermissionKind {
    type Err = PermissionKindError;

    fn from_str(text: &str) -> Result<Self, PermissionKindError> {
        match text {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            _ => Err(PermissionKindError),
        }
    }
}

/// A folder that a guest may reach: an absolute path, or one from the app's folder, `..` included. The
/// guest sees the folder under this very text. Never empty, and without NUL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
        };
        let all: Vec<_> = permissions.folders().map(|(folder, writes)| (folder.as_str(), writes)).collect();
        assert_eq!(all, [("./data", true), ("tmp", true), (".", true), ("other", false), ("/tmp", false)]);
        assert_eq!(Permissions::default().folders().count(), 0);
    }

    #[test]
    fn what_is_not_allowed_is_taken_away_and_told() {
        let asked = Permissions { read: folders(&["data", "/etc"]), write: folders(&["tmp"]) };
        let mut none = asked.clone();
        assert_eq!(none.narrow(&[]), ["read = [\"data\", \"/etc\"]", "write = [\"tmp\"]"]);
        assert_eq!(none, Permissions::default());
        let mut some = asked.clone();
        assert_eq!(some.narrow(&[PermissionKind::Read]), ["write = [\"tmp\"]"]);
        assert_eq!((some.read, some.write), (asked.read.clone(), Vec::new()));
        let mut all = asked.clone();
        assert!(all.narrow(&[PermissionKind::Write, PermissionKind::Read]).is_empty() && all == asked);
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
