//! Where secrets are kept, and how workers come to them.
//!
//! ```text
//! STORAGE/secrets/APP/NAME      one file each, mode 600, in folders of mode 700
//! ```
//!
//! A worker reads its app's secrets once, when it loads the app: a file that changes counts from the next worker on.
//! Neither a name's value nor a part of it is in any error.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nexus_core::{AppName, SecretFile, SecretSetting, SecretSource};
use nexus_guest::{Secret, Secrets};

use crate::host_env::HostEnv;

/// The folder's name within the storage folder.
const FOLDER: &str = "secrets";
/// The largest secret, in bytes.
pub const MAX_SECRET: usize = 64 << 10;

/// The secrets of a storage folder.
#[derive(Debug, Clone)]
pub struct SecretStore {
    storage: PathBuf,
}

/// What is wrong with a secret, in one line, without its value.
#[derive(Debug)]
pub struct SecretError(String);

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SecretError {}

impl From<io::Error> for SecretError {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

fn wrong<T>(why: impl Into<String>) -> Result<T, SecretError> {
    Err(SecretError(why.into()))
}

impl SecretStore {
    /// The secrets of this storage folder, which need not be there.
    pub fn new(storage: &Path) -> Self {
        Self { storage: storage.to_owned() }
    }

    fn folder(&self) -> PathBuf {
        self.storage.join(FOLDER)
    }

    fn file(&self, app: &AppName, name: &SecretFile) -> PathBuf {
        self.folder().join(app.as_str()).join(name.as_str())
    }

    /// Puts the secrets of an app that is gone aside: another app of its name is another app.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn release(&self, app: &AppName) -> Result<(), SecretError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        // No app has a `~` in its name.
        let aside = self.folder().join(format!("{app}.removed~{now}"));
        match fs::rename(self.folder().join(app.as_str()), aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Keeps a value, in the place of the one before if there is one.
    ///
    /// # Errors
    /// When it is too large or no UTF-8, or the system's.
    pub fn put(&self, app: &AppName, name: &SecretFile, value: &[u8]) -> Result<(), SecretError> {
        if value.len() > MAX_SECRET {
            return wrong("a secret has at most 64 KB");
        }
        if std::str::from_utf8(value).is_err() {
            return wrong("a secret is UTF-8 text");
        }
        fs::create_dir_all(&self.storage)?;
        let (all, own) = (self.folder(), self.folder().join(app.as_str()));
        private_folder(&all)?;
        private_folder(&own)?;
        // No secret's name begins with a dot.
        let incoming = own.join(format!(".{}", std::process::id()));
        // One may be left of a process that has died.
        let _ = fs::remove_file(&incoming);
        let done =
            write_private(&incoming, value).and_then(|()| fs::rename(&incoming, own.join(name.as_str())));
        if done.is_err() {
            let _ = fs::remove_file(&incoming);
        }
        done.and_then(|()| File::open(&own)?.sync_all()).map_err(Into::into)
    }

    /// All secrets' names, sorted.
    ///
    /// # Errors
    /// The system's.
    pub fn list(&self) -> io::Result<Vec<(AppName, SecretFile)>> {
        let mut all = Vec::new();
        for app in names(&self.folder())? {
            let Some(app) = AppName::parse(&app) else { continue };
            let secrets = names(&self.folder().join(app.as_str()))?;
            all.extend(secrets.iter().filter_map(|name| Some((app.clone(), name.parse().ok()?))));
        }
        all.sort();
        Ok(all)
    }

    /// Removes one. Says whether it was there.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(&self, app: &AppName, name: &SecretFile) -> io::Result<bool> {
        match fs::remove_file(self.file(app, name)) {
            Ok(()) => {
                // The folder goes with its last secret.
                let _ = fs::remove_dir(self.folder().join(app.as_str()));
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The value in a file, without one line break at its end.
    fn read(&self, app: &AppName, name: &SecretFile) -> Result<Secret, SecretError> {
        for folder in [self.folder(), self.folder().join(app.as_str())] {
            if fs::symlink_metadata(&folder).is_ok_and(|metadata| metadata.is_symlink()) {
                return wrong("its folder is a symbolic link");
            }
        }
        // Not through a link, and without waiting for whoever has the other end of a pipe.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(self.file(app, name));
        let file = opened.map_err(|error| {
            SecretError(match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("there is no such file; `nexus secret put {app} {name}` makes it")
                }
                _ if error.raw_os_error() == Some(libc::ELOOP) => "it is a symbolic link".to_owned(),
                _ => error.to_string(),
            })
        })?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return wrong("it is no file");
        }
        if metadata.mode() & 0o077 != 0 {
            return wrong("others than its owner may use it: `chmod 600` it");
        }
        // With room for all of it, and never moved: a copy would not be overwritten.
        let mut bytes = Vec::with_capacity(MAX_SECRET + 2);
        let read = file.take(MAX_SECRET as u64 + 1).read_to_end(&mut bytes);
        if bytes.ends_with(b"\n") {
            bytes.pop();
            if bytes.ends_with(b"\r") {
                bytes.pop();
            }
        }
        let secret = String::from_utf8(bytes).map(Secret::new);
        read?;
        match secret {
            _ if metadata.len() > MAX_SECRET as u64 => wrong("it has more than 64 KB"),
            Ok(secret) if secret.expose().len() <= MAX_SECRET => Ok(secret),
            Ok(_) => wrong("it has more than 64 KB"),
            Err(_) => wrong("it is not UTF-8 text"),
        }
    }

    /// The values of an app's secrets.
    ///
    /// # Errors
    /// For the first that cannot be had: which one, where it should be, and why.
    pub(crate) fn load(
        &self,
        app: &AppName,
        settings: &[SecretSetting],
        host: &HostEnv,
    ) -> Result<Secrets, SecretError> {
        let load = |setting: &SecretSetting| {
            let name = &setting.name;
            let value = match &setting.from {
                SecretSource::File(file) => self.read(app, file).map_err(|why| {
                    let place = format!("{FOLDER}/{app}/{file} in the storage folder");
                    SecretError(format!("the secret `{name}` cannot be read from {place}: {why}"))
                })?,
                SecretSource::Env(variable) => match host.get(variable.as_str()) {
                    Some(value) => Secret::new(value.to_owned()),
                    None => {
                        let why = "which the host's environment does not have, or not for apps";
                        return wrong(format!("the secret `{name}` is the variable `{variable}`, {why}"));
                    }
                },
            };
            Ok((name.clone(), value))
        };
        settings.iter().map(load).collect::<Result<Vec<_>, _>>().map(Secrets::new)
    }
}

/// The names of what is in a folder; none if it is not there.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.file_name().into_string().unwrap_or_default()))
            .collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// Makes a folder that is for its owner only, or sees to it that it is.
fn private_folder(path: &Path) -> Result<(), SecretError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !fs::symlink_metadata(path)?.is_dir() {
                return wrong(format!("{} is no folder", path.display()));
            }
            fs::set_permissions(path, PermissionsExt::from_mode(0o700)).map_err(Into::into)
        }
        done => done.map_err(Into::into),
    }
}

fn write_private(path: &Path, value: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(value)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            use std::sync::atomic::{AtomicUsize, Ordering};
            static LAST: AtomicUsize = AtomicUsize::new(0);
            let number = LAST.fetch_add(1, Ordering::Relaxed);
            Self(std::env::temp_dir().join(format!("nexus-secrets-{}-{number}", std::process::id())))
        }

        fn store(&self) -> SecretStore {
            SecretStore::new(&self.0)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn app() -> AppName {
        AppName::parse("shop").unwrap()
    }

    fn name(text: &str) -> SecretFile {
        text.parse().unwrap()
    }

    fn load(store: &SecretStore, from: &str) -> Result<String, String> {
        let setting = SecretSetting { name: "TOKEN".into(), from: from.parse().unwrap() };
        let host: HostEnv = [("KEY".to_owned(), "of the host".to_owned())].into_iter().collect();
        let secrets = store.load(&app(), &[setting], &host).map_err(|error| error.to_string())?;
        Ok(secrets.get("TOKEN").unwrap().to_owned())
    }

    #[test]
    fn what_is_put_is_read_listed_and_removed() {
        let (folder, own) = (Folder::new(), app());
        let store = folder.store();
        assert!(store.list().unwrap().is_empty());
        store.put(&own, &name("token"), b"first\n").unwrap();
        store.put(&own, &name("token"), b"hunter2\r\n").unwrap();
        store.put(&AppName::parse("a.b").unwrap(), &name("key"), b"x\n\n").unwrap();
        assert_eq!(load(&store, "file:token").unwrap(), "hunter2");
        assert_eq!(load(&store, "env:KEY").unwrap(), "of the host");
        let listed: Vec<String> =
            store.list().unwrap().iter().map(|(app, name)| format!("{app}/{name}")).collect();
        assert_eq!(listed, ["a.b/key", "shop/token"]);
        let mode = |path: &str| fs::metadata(folder.0.join(path)).unwrap().mode() & 0o777;
        assert_eq!(
            [mode("secrets"), mode("secrets/shop"), mode("secrets/shop/token")],
            [0o700, 0o700, 0o600]
        );
        assert_eq!(fs::read_dir(folder.0.join("secrets/shop")).unwrap().count(), 1, "nothing else is left");
        assert!(store.remove(&own, &name("token")).unwrap() && !store.remove(&own, &name("token")).unwrap());
        assert!(!folder.0.join("secrets/shop").exists());
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place_and_without_its_value() {
        let folder = Folder::new();
        let store = folder.store();
        let place = "the secret `TOKEN` cannot be read from secrets/shop/token in the storage folder: ";
        let why = |store: &SecretStore| load(store, "file:token").unwrap_err().replace(place, "");
        assert_eq!(why(&store), "there is no such file; `nexus secret put shop token` makes it");
        assert!(load(&store, "env:NONE").unwrap_err().contains("is the variable `NONE`"));
        store.put(&app(), &name("token"), b"hunter2").unwrap();
        let file = folder.0.join("secrets/shop/token");
        for mode in [0o640, 0o604, 0o620, 0o610] {
            fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
            assert_eq!(why(&store), "others than its owner may use it: `chmod 600` it");
        }
        let replace = |bytes: &[u8]| {
            let _ = fs::remove_file(&file);
            write_private(&file, bytes).unwrap();
        };
        replace(b"hunter2\xff");
        assert_eq!(why(&store), "it is not UTF-8 text");
        replace(&[b'a'; MAX_SECRET + 1]);
        assert_eq!(why(&store), "it has more than 64 KB");
        replace(&[b'a'; MAX_SECRET]);
        assert_eq!(load(&store, "file:token").unwrap().len(), MAX_SECRET);
        fs::rename(&file, folder.0.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("../../elsewhere", &file).unwrap();
        assert_eq!(why(&store), "it is a symbolic link");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(why(&store), "it is no file");
        fs::rename(folder.0.join("secrets/shop"), folder.0.join("shop")).unwrap();
        std::os::unix::fs::symlink("../shop", folder.0.join("secrets/shop")).unwrap();
        assert_eq!(why(&store), "its folder is a symbolic link");
        assert!(store.put(&app(), &name("token"), b"x").unwrap_err().to_string().contains("is no folder"));
    }

    #[test]
    fn what_no_app_could_read_is_not_kept() {
        let folder = Folder::new();
        let store = folder.store();
        assert!(store.put(&app(), &name("a"), &vec![b'a'; MAX_SECRET + 1]).is_err());
        assert!(store.put(&app(), &name("a"), b"\xff").is_err());
        assert!(store.list().unwrap().is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_text_is_read_as_it_was_put(text in "\\PC{0,40}[a-z]") {
            let folder = Folder::new();
            let store = folder.store();
            store.put(&app(), &name("token"), text.as_bytes()).unwrap();
            prop_assert_eq!(load(&store, "file:token").unwrap(), text.clone());
            store.put(&app(), &name("token"), format!("{text}\n").as_bytes()).unwrap();
            prop_assert_eq!(load(&store, "file:token").unwrap(), text);
        }
    }
}
