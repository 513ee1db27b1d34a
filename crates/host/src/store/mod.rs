//! The versions of apps that were deployed to this host.
//!
//! What `nexus deploy` sends is unpacked, checked and kept under the name of its content; each app has a
//! record of its last five versions. All of it is in the host's data folder, which no other user may write to
//! and no other process uses meanwhile:
//!
//! ```text
//! DATA/lock                  held by the process that uses the folder
//! DATA/apps/NAME.json        an app's record
//! DATA/versions/DIGEST/      a version's files, which can only be read
//! DATA/incoming/             what is on its way, by names that are never used again; emptied when the store is opened
//! ```
//!
//! Whatever ends the process, and whenever, there is the old state or the new one: a version is moved to its
//! place when all of it has reached the disk, a record is replaced by a rename after that, and versions that
//! no record names go after the record, at the latest when the store is opened again.
//!
//! Uploads are received side by side; of two for one app, the one that is complete later comes later. Whoever
//! changes what an app serves takes the app's [`Turn`] for it. Every call here waits for the disk or for
//! somebody else's turn: none belongs on an event loop.

mod digest;
mod disk;
mod error;
mod limits;
mod line;
mod listing;
mod package;
mod path;
mod record;
mod shelf;
mod turn;
mod unpack;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nexus_core::AppName;
use rustix::fs::OFlags;

pub use digest::Digest;
pub use error::StoreError;
pub use limits::UploadLimits;
pub use package::Package;
pub use record::{Deployed, KEPT, Version};
pub use shelf::Held;
pub use turn::Turn;

use line::Lines;
use record::Content;
use shelf::Shelf;

/// The folder of what is on its way, in a data folder.
const INCOMING: &str = "incoming";

/// The longest record that is read, in bytes: five versions take 2 KB.
const RECORD: u64 = 64 << 10;

/// The store in a data folder. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Where the records are.
    records: PathBuf,
    shelf: Arc<Shelf>,
    /// The records as they are on the disk, or why one is of no use. Whoever has an app's turn changes its
    /// own.
    apps: Mutex<BTreeMap<AppName, Result<Deployed, StoreError>>>,
    /// Files among the records that can be none.
    strangers: Vec<StoreError>,
    lines: Arc<Lines>,
}

impl Store {
    /// Opens the store in this data folder, which is made if it is not there. What an earlier process has
    /// left half done is removed. As long as there is a clone of the store, or somebody holds a version, the
    /// folder is in use.
    ///
    /// # Errors
    /// When others may write to the folder, another process uses it, or it cannot be read. An app whose
    /// record cannot be read is no such error: [`apps`](Self::apps) tells it.
    ///
    /// ```
    /// use nexus_core::AppName;
    /// use nexus_host::store::{Package, Store, UploadLimits};
    ///
    /// # let base = std::env::temp_dir().join(format!("nexus-doc-store-{}", std::process::id()));
    /// # let (folder, data) = (base.join("shop"), base.join("data"));
    /// # std::fs::create_dir_all(&folder).unwrap();
    /// # std::fs::write(folder.join("index.js"), "export default {};").unwrap();
    /// let limits = UploadLimits::default();
    /// let mut upload = Vec::new();
    /// Package::of(&folder, &limits).unwrap().write_to(&mut upload).unwrap();
    ///
    /// let (store, shop) = (Store::open(&data).unwrap(), AppName::parse("shop").unwrap());
    /// let received = store.receive(&upload[..], &limits).unwrap();
    /// assert!(received.folder().join("index.js").is_file());
    ///
    /// let version = store.turn(&shop).keep(&received).unwrap();
    /// assert_eq!((version.number, store.deployed(&shop).unwrap().current()), (1, &version));
    /// # drop(received);
    /// # store.turn(&shop).remove().unwrap();
    /// # std::fs::remove_dir_all(&base).unwrap();
    /// ```
    pub fn open(data: &Path) -> Result<Self, StoreError> {
        disk::own_folder(data)?;
        let lock = disk::lock(data)?;
        let records = data.join("apps");
        disk::own_folder(&records)?;
        let shelf = Arc::new(Shelf::open(data, lock)?);
        let (mut apps, mut strangers) = (BTreeMap::new(), Vec::new());
        for entry in fs::read_dir(&records).map_err(StoreError::of(&records))? {
            let path = entry.map_err(StoreError::of(&records))?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match path.file_stem().and_then(|stem| stem.to_str()).and_then(AppName::parse) {
                Some(app) => drop(apps.insert(app.clone(), read_record(&path, &app))),
                None => strangers.push(StoreError::Damaged(format!(
                    "{} is no app's record, as no app can have that name; remove the file",
                    path.display()
                ))),
            }
        }
        for digest in apps.values().flatten().flat_map(Deployed::digests) {
            shelf.need(digest);
        }
        // What a record names that cannot be read is not known, and its owner may mend it.
        if apps.values().any(Result::is_err) || !strangers.is_empty() {
            shelf.keep_all()?;
        } else {
            shelf.remove_unneeded()?;
        }
        let inner = Inner { records, shelf, apps: Mutex::new(apps), strangers, lines: Arc::default() };
        Ok(Self(Arc::new(inner)))
    }

    /// All apps by name, and for each one whose record cannot be used, why.
    pub fn apps(&self) -> Vec<Result<Deployed, StoreError>> {
        let strangers = self.0.strangers.iter().cloned().map(Err);
        self.0.apps().values().cloned().chain(strangers).collect()
    }

    /// One app.
    ///
    /// # Errors
    /// When nothing was deployed under this name, or its record cannot be used.
    pub fn deployed(&self, app: &AppName) -> Result<Deployed, StoreError> {
        self.0.apps().get(app).cloned().unwrap_or_else(|| Err(missing(app)))
    }

    /// An app's version of this number, or the current one, with its files, for serving it. All files are
    /// read: what comes back is what was deployed.
    ///
    /// # Errors
    /// When there is no such app or version, or its files have changed or cannot be read.
    pub fn get(&self, app: &AppName, number: Option<u64>) -> Result<(Version, Held), StoreError> {
        let deployed = self.deployed(app)?;
        let version = match number {
            None => deployed.current(),
            Some(number) => deployed.version(number).ok_or_else(|| no_version(&deployed, number))?,
        };
        // It may have gone since the record was read.
        let held = self.0.shelf.hold(&version.digest).ok_or_else(|| no_version(&deployed, version.number))?;
        if !held.is_whole()? {
            return Err(StoreError::Damaged(format!(
                "the app `{app}` cannot be served: the files of its version {} in {} are not those that were \
                 deployed; deploy it again, or roll back to another version",
                version.number,
                held.folder().display()
            )));
        }
        Ok((version.clone(), held))
    }

    /// Unpacks and checks an upload as a [`Package`] writes it. It belongs to no app yet: when what comes
    /// back is dropped, nothing stays. Nothing stays of an upload that fails or breaks off, either.
    ///
    /// # Errors
    /// [`StoreError::Upload`] and [`StoreError::TooMuch`] are the sender's fault, the others are not.
    pub fn receive(&self, upload: impl Read, limits: &UploadLimits) -> Result<Received, StoreError> {
        let shelf = &self.0.shelf;
        let scratch = shelf.scratch_folder()?;
        let upload = WhileOwn { upload, shelf };
        let unpacked = unpack::unpack(upload, scratch.path(), limits)
            .and_then(|listing| disk::settle(scratch.path(), &listing).map(|()| listing));
        // Who has the folder now may have removed what was on its way.
        let listing = unpacked.or_else(|error| shelf.is_own().and(Err(error)))?;
        let files = listing.files().count() as u64;
        let content = Content { digest: listing.digest(), files, bytes: listing.bytes() };
        Ok(Received { held: shelf.place(scratch, content.digest)?, content })
    }

    /// Waits until nobody else changes what this app serves.
    pub fn turn(&self, app: &AppName) -> Turn {
        Turn::new(self.clone(), self.0.lines.wait(app))
    }

    /// Has another process use the data folder from now on. Versions that somebody holds can still be read; whoever is
    /// receiving an upload, or wants to change an app by this store, gets [`StoreError::HandedOver`].
    pub fn hand_over(&self) {
        self.0.shelf.hand_over();
    }

    /// Receives an upload and makes it the app's current version, for whoever need not try it before.
    ///
    /// # Errors
    /// Those of [`receive`](Self::receive) and [`Turn::keep`].
    pub fn deploy(
        &self,
        app: &AppName,
        upload: impl Read,
        limits: &UploadLimits,
    ) -> Result<Version, StoreError> {
        let received = self.receive(upload, limits)?;
        self.turn(app).keep(&received)
    }
}

/// Writes a file of a data folder that is not one of the store's anew, whole or not at all.
///
/// # Errors
/// The system's. The file is what it was then.
pub(crate) fn write_beside(data: &Path, name: &str, text: &str) -> io::Result<()> {
    disk::replace(&data.join(name), &data.join(INCOMING), text)
}

/// An upload that breaks off when another process gets the data folder.
struct WhileOwn<'a, R> {
    upload: R,
    shelf: &'a Shelf,
}

impl<R: Read> Read for WhileOwn<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.upload.read(buffer)?;
        self.shelf.is_own().map_err(io::Error::other)?;
        Ok(read)
    }
}

/// An upload that has been received whole: content that is not yet a version of any app. It goes when this is
/// dropped, unless an app has it then.
#[derive(Debug)]
pub struct Received {
    held: Held,
    content: Content,
}

impl Received {
    /// The folder that it is in, of which nothing may be changed.
    pub fn folder(&self) -> PathBuf {
        self.held.folder()
    }

    /// The name of the content.
    pub fn digest(&self) -> Digest {
        self.content.digest
    }

    /// How many files it has.
    pub fn files(&self) -> u64 {
        self.content.files
    }

    /// The files' bytes, together.
    pub fn bytes(&self) -> u64 {
        self.content.bytes
    }

    /// The files alone, for whoever serves them.
    pub fn into_held(self) -> Held {
        self.held
    }
}

impl Inner {
    fn apps(&self) -> MutexGuard<'_, BTreeMap<AppName, Result<Deployed, StoreError>>> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, app: &AppName) -> PathBuf {
        self.records.join(format!("{app}.json"))
    }
}

fn read_record(path: &Path, app: &AppName) -> Result<Deployed, StoreError> {
    let read = || -> io::Result<Result<Deployed, String>> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
        if !file.metadata()?.is_file() {
            return Ok(Err("is no regular file".into()));
        }
        let mut text = Vec::new();
        file.take(RECORD + 1).read_to_end(&mut text)?;
        if text.len() as u64 > RECORD {
            return Ok(Err(format!("is longer than {RECORD} bytes")));
        }
        Ok(Deployed::parse(&text, app))
    };
    let read = read().unwrap_or_else(|error| Err(format!("cannot be read: {error}")));
    read.map_err(|why| Deployed::unusable(&path.display().to_string(), app, &why))
}

fn missing(app: &AppName) -> StoreError {
    StoreError::Missing(format!("no app `{app}` was deployed here"))
}

fn no_version(deployed: &Deployed, number: u64) -> StoreError {
    let kept: Vec<_> = deployed.versions().iter().map(|version| version.number.to_string()).collect();
    StoreError::Missing(format!(
        "the app `{}` has no version {number}; it has {}",
        deployed.app(),
        kept.join(", ")
    ))
}

#[cfg(test)]
mod tests;
