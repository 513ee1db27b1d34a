//! `[permissions]`: what an app asks for beyond answering requests.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use crate::NetPolicy;
use crate::schema::Values;

/// `[permissions]`: what an app may reach. Nothing is granted by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permissions {
    /// The folders that a WebAssembly guest may read, as the file lists them.
    pub read: Vec<GrantedFolder>,
    /// The folders that a WebAssembly guest may read and write, as the file lists them.
    pub write: Vec<GrantedFolder>,
    /// Where the guest may connect to.
    pub net: NetPolicy,
}

impl Permissions {
    pub(crate) fn read(values: &Values) -> Self {
        Self {
            read: values.folders("permissions.read").unwrap_or_default(),
            write: values.folders("permissions.write").unwrap_or_default(),
            net: NetPolicy { asked: values.net_grants("permissions.net").unwrap_or_default(), ceiling: None },
        }
    }

    /// Takes away what is of no kind that is `allowed`, and gives it as the file has it: `read = ["data"]`.
    pub fn narrow(&mut self, allowed: &[PermissionKind]) -> Vec<String> {
        fn take<T: fmt::Display>(list: &mut Vec<T>) -> Vec<String> {
            list.drain(..).map(|item| format!("\"{}\"", item.to_string().escape_debug())).collect()
        }
        let refused = PermissionKind::ALL.into_iter().filter(|kind| !allowed.contains(kind));
        let told = refused.filter_map(|kind| {
            let taken = match kind {
                PermissionKind::Read => take(&mut self.read),
                PermissionKind::Write => take(&mut self.write),
                PermissionKind::Net => take(&mut self.net.asked),
                // What bindings ask for is granted, or not, one by one.
                PermissionKind::Kv => return None,
            };
            (!taken.is_empty()).then(|| format!("{kind} = [{}]", taken.join(", ")))
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

/// A kind of permission: a key of `[permissions]`, or what entries of `[bindings]` are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PermissionKind {
    /// Folders to read.
    Read,
    /// Folders to read and write.
    Write,
    /// Hosts to connect to.
    Net,
    /// Namespaces of key-value stores, the app's own.
    Kv,
}

impl PermissionKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Net, Self::Kv];
}

impl fmt::Display for PermissionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PermissionKind::Read => "read",
            PermissionKind::Write => "write",
            PermissionKind::Net => "net",
            PermissionKind::Kv => "kv",
        })
    }
}

/// A text that names no [`PermissionKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PermissionKindError;

impl fmt::Display for PermissionKindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a permission is \"read\", \"write\", \"net\" or \"kv\"")
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
            ..Permissions::default()
        };
        let all: Vec<_> = permissions.folders().map(|(folder, writes)| (folder.as_str(), writes)).collect();
        assert_eq!(all, [("./data", true), ("tmp", true), (".", true), ("other", false), ("/tmp", false)]);
        assert_eq!(Permissions::default().folders().count(), 0);
    }

    #[test]
    fn what_is_not_allowed_is_taken_away_and_told() {
        let net = ["API.example.com:443", "*", "10.0.0.0/8", "::1"].map(|grant| grant.parse().unwrap());
        let asked = Permissions {
            read: folders(&["data", "/etc"]),
            write: folders(&["tmp"]),
            net: NetPolicy { asked: net.to_vec(), ceiling: Some(Vec::new()) },
        };
        let net = r#"net = ["api.example.com:443", "*", "10.0.0.0/8", "::1"]"#;
        let mut none = asked.clone();
        assert_eq!(none.narrow(&[]), ["read = [\"data\", \"/etc\"]", "write = [\"tmp\"]", net]);
        // What the host allows at most is not the app's.
        let nothing = NetPolicy { asked: Vec::new(), ceiling: Some(Vec::new()) };
        assert_eq!(none, Permissions { net: nothing, ..Permissions::default() });
        assert!(none.narrow(&[]).is_empty());
        let mut some = asked.clone();
        assert_eq!(some.narrow(&[PermissionKind::Read]), ["write = [\"tmp\"]", net]);
        assert_eq!((&some.read, &some.write, some.net.asked.len()), (&asked.read, &Vec::new(), 0));
        let mut online = asked.clone();
        assert_eq!(online.narrow(&[PermissionKind::Net, PermissionKind::Write]).len(), 1);
        assert_eq!(online, Permissions { read: Vec::new(), ..asked.clone() });
        let mut all = asked.clone();
        assert!(all.narrow(&PermissionKind::ALL).is_empty() && all == asked);
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
