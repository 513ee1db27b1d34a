//! Namespaces in files: redb, one file for all namespaces of an app.
//!
//! ```text
//! Get, List ─► is the file open? ─ yes ─► read here, on the caller's thread
//!                     └ no, or much to read ─► on a storage thread
//! Write ─► the file's queue ─► one job at a time on a storage thread: what waits by now, in one commit ─► answers
//! ```
//!
//! While another process uses the folder, too, for a host takes over from another one, each has a file open for a batch at a
//! time only, and leaves the other one time to take it.
//!
//! A file for each app: what a tenant writes waits for no other's commit, a damaged file is one app's, and the quota is one
//! number in it. Commits are in two phases and keep the allocator's state: then neither a crash with data of a tenant's own
//! making can mislead redb, nor does the next start have to read the whole file.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant};

use ::redb::{Builder, Database, DatabaseError};
use nexus_core::{AppName, Resource, ResourcePart};
use nexus_guest::{Answer, CapabilityError, KvAnswer, KvOperation, KvPage, KvTransaction};
use tokio::sync::oneshot;

use super::KvEngine;
use super::presence::Presence;
use super::tables::{self, Fault, Task};
use crate::storage::Storage;

/// What redb keeps of a file in memory at most, in bytes; the system keeps the rest.
const CACHE: usize = 1 << 20;
/// How many transactions of an app may wait, and how many bytes they may bring.
const MOST_WAITING: usize = 1000;
const MOST_WAITING_BYTES: usize = 64 << 20;
/// As much is committed at once.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 8 << 20;
/// After how long without a call a file is closed, and how often that is looked for, and for other processes.
const IDLE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);
/// How long a file stays closed for another process.
const GAP: Duration = Duration::from_millis(15);
/// How long a file is waited for that another process has open: the host that this one takes over from.
const PATIENCE: Duration = Duration::from_secs(5);

/// Keeps namespaces in a folder, one file for each app.
pub struct RedbKv {
    folder: PathBuf,
    storage: Storage,
    presence: Arc<Presence>,
    files: Arc<Mutex<HashMap<AppName, Arc<File>>>>,
    /// Whether a thread looks for idle files.
    is_watched: Arc<AtomicBool>,
}

impl fmt::Debug for RedbKv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbKv").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// An app's file.
struct File {
    path: PathBuf,
    presence: Arc<Presence>,
    open: Mutex<Option<Arc<Database>>>,
    /// When it was left to another process, in milliseconds since `began`.
    left: AtomicU64,
    queue: Mutex<Queue>,
    /// When it was used last, in milliseconds since `began`.
    used: AtomicU64,
    began: Instant,
}

/// What waits to be written.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    has_job: bool,
}

struct Waiting {
    task: Task,
    bytes: usize,
    answer: oneshot::Sender<Result<KvAnswer, CapabilityError>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RedbKv {
    /// Keeps files in this folder, which is made when there is something to keep.
    ///
    /// # Errors
    /// When the system refuses what threads need.
    pub fn new(folder: &Path) -> std::io::Result<Self> {
        Ok(Self::on(folder, Storage::new()?))
    }

    pub(crate) fn on(folder: &Path, storage: Storage) -> Self {
        Self {
            folder: folder.to_owned(),
            storage,
            presence: Arc::default(),
            files: Arc::default(),
            is_watched: Arc::default(),
        }
    }

    fn file(&self, owner: &AppName) -> Arc<File> {
        let mut files = lock(&self.files);
        if let Some(file) = files.get(owner) {
            return file.clone();
        }
        let file = Arc::new(File {
            path: self.folder.join(format!("{owner}.redb")),
            presence: self.presence.clone(),
            open: Mutex::new(None),
            left: AtomicU64::new(0),
            queue: Mutex::default(),
            used: AtomicU64::new(0),
            began: Instant::now(),
        });
        files.insert(owner.clone(), file.clone());
        file
    }

    /// Has a thread close idle files, as long as there are open ones.
    fn watch(&self) {
        if self.is_watched.load(Ordering::Relaxed) || self.is_watched.swap(true, Ordering::AcqRel) {
            return;
        }
        let (files, is_watched) = (Arc::downgrade(&self.files), self.is_watched.clone());
        let presence = self.presence.clone();
        let look = move || {
            while {
                std::thread::sleep(LOOK);
                presence.look();
                close_idle(&files, presence.has_company())
            } {}
            is_watched.store(false, Ordering::Release);
        };
        if std::thread::Builder::new().name("nexus-files".into()).spawn(look).is_err() {
            // They stay open until the next one is opened.
            self.is_watched.store(false, Ordering::Release);
        }
    }

    fn read(&self, file: Arc<File>, namespace: ResourcePart, operation: KvOperation) -> Answer<KvAnswer> {
        // Whoever opens it holds the lock, which may take long.
        let opened = match file.open.try_lock() {
            Ok(open) => Some(open.clone()),
            Err(TryLockError::Poisoned(open)) => Some(open.into_inner().clone()),
            Err(TryLockError::WouldBlock) => None,
        };
        match opened {
            None => {}
            Some(_) if self.presence.has_company() => {}
            Some(Some(database)) => {
                match file.guarded(|| tables::read(&database, &namespace, &operation, true)) {
                    Err(Fault::Long) => {}
                    result => return Answer::Now(result.map_err(Fault::told)),
                }
            }
            // An app that has never written asks for nothing but this.
            Some(None) if !file.path.exists() => return Answer::Now(Ok(nothing(&operation))),
            Some(None) => {}
        }
        self.read_later(file, namespace, operation)
    }

    /// Reads on a storage thread.
    fn read_later(
        &self,
        file: Arc<File>,
        namespace: ResourcePart,
        operation: KvOperation,
    ) -> Answer<KvAnswer> {
        let storage = self.storage.clone();
        Answer::Later(Box::pin(async move {
            let read = move || {
                let result = file.guarded(|| match file.database(false)? {
                    Some(database) => tables::read(&database, &namespace, &operation, false),
                    None => Ok(nothing(&operation)),
                });
                file.leave_to_others();
                result
            };
            storage.ask(read).await.unwrap_or(Err(Fault::Panic)).map_err(Fault::told)
        }))
    }

    fn write(
        &self,
        file: Arc<File>,
        namespace: ResourcePart,
        quota: u64,
        transaction: KvTransaction,
    ) -> Answer<KvAnswer> {
        let bytes = transaction.size();
        let (answer, result) = oneshot::channel();
        {
            let mut queue = lock(&file.queue);
            if queue.waiting.len() >= MOST_WAITING || queue.bytes > MOST_WAITING_BYTES {
                return Answer::Now(Err(CapabilityError::Busy("kv".into())));
            }
            queue.bytes += bytes;
            let task = Task { namespace, quota, transaction };
            queue.waiting.push_back(Waiting { task, bytes, answer });
            if !std::mem::replace(&mut queue.has_job, true) {
                commit_later(self.storage.clone(), file.clone());
            }
        }
        Answer::Later(Box::pin(async move { result.await.unwrap_or_else(|_| Err(Fault::Panic.told())) }))
    }
}

impl KvEngine for RedbKv {
    fn call(&self, namespace: &Resource, quota: u64, operation: KvOperation) -> Answer<KvAnswer> {
        let file = self.file(&namespace.owner);
        file.used.store(file.age(), Ordering::Relaxed);
        self.watch();
        let part = namespace.part.clone();
        match operation {
            KvOperation::Write(transaction) => self.write(file, part, quota, transaction),
            operation => self.read(file, part, operation),
        }
    }

    fn close(&self) {
        let files: Vec<Arc<File>> = lock(&self.files).values().cloned().collect();
        for file in files {
            file.close();
        }
    }
}

/// What there is where nothing was ever written.
pub(super) fn nothing(operation: &KvOperation) -> KvAnswer {
    match operation {
        KvOperation::Get(keys) => KvAnswer::Entries(vec![None; keys.len()]),
        _ => KvAnswer::Page(KvPage { keys: Vec::new(), next: None }),
    }
}

/// Commits what waits, on a storage thread; then once more, behind what other apps have to do, if there is more by then.
fn commit_later(storage: Storage, file: Arc<File>) {
    let again = storage.clone();
    storage.run(move || {
        let batch = file.batch();
        let (tasks, answers): (Vec<Task>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.task, waiting.answer)).unzip();
        let count = tasks.len();
        let results = file.guarded(|| match file.database(true)? {
            Some(database) => tables::commit(&database, tasks),
            None => Err(Fault::Panic),
        });
        let results = results.unwrap_or_else(|fault| {
            let error = fault.told();
            vec![Err(error); count]
        });
        file.leave_to_others();
        for (answer, result) in answers.into_iter().zip(results) {
            // Nobody may wait any more.
            let _ = answer.send(result);
        }
        let mut queue = lock(&file.queue);
        queue.has_job = !queue.waiting.is_empty();
        if queue.has_job {
            commit_later(again, file.clone());
        }
    });
}

impl File {
    fn age(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The next transactions to be committed together, one at least.
    fn batch(&self) -> Vec<Waiting> {
        let mut queue = lock(&self.queue);
        let mut bytes = 0;
        let mut count = 0;
        for waiting in queue.waiting.iter().take(BATCH) {
            bytes += waiting.bytes;
            if count > 0 && bytes > BATCH_BYTES {
                break;
            }
            count += 1;
        }
        let batch: Vec<Waiting> = queue.waiting.drain(..count).collect();
        queue.bytes -= batch.iter().map(|waiting| waiting.bytes).sum::<usize>();
        batch
    }

    /// The open file; `None` if there is none and none is to be made. On a storage thread: it may take long.
    fn database(&self, makes: bool) -> Result<Option<Arc<Database>>, Fault> {
        let mut open = lock(&self.open);
        if let Some(database) = &*open {
            return Ok(Some(database.clone()));
        }
        if !makes && !self.path.exists() {
            return Ok(None);
        }
        if let Some(folder) = self.path.parent() {
            make_folder(folder)?;
            self.presence.begin(folder);
        }
        if self.presence.has_company() {
            let closed = self.age().saturating_sub(self.left.load(Ordering::Relaxed));
            std::thread::sleep(GAP.saturating_sub(Duration::from_millis(closed)));
        }
        let began = Instant::now();
        loop {
            match Builder::new().set_cache_size(CACHE).create(&self.path) {
                Ok(database) => {
                    let database = Arc::new(database);
                    *open = Some(database.clone());
                    return Ok(Some(database));
                }
                Err(DatabaseError::DatabaseAlreadyOpen) if began.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return Err(Fault::of(::redb::Error::from(error), &self.path)),
            }
        }
    }

    /// Does something with the file. After an error of the system's redb wants it opened anew; a panic of redb's is the file's
    /// fault, and nobody else's.
    fn guarded<T>(&self, act: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
        let result = catch_unwind(AssertUnwindSafe(act)).unwrap_or(Err(Fault::Panic));
        result.map_err(|fault| {
            if fault.wants_reopening() {
                self.close();
            }
            fault.at(&self.path)
        })
    }

    /// Closes the file if another process may want it.
    fn leave_to_others(&self) {
        if self.presence.has_company() {
            self.close();
            self.left.store(self.age(), Ordering::Relaxed);
        }
    }

    fn close(&self) {
        // Whoever reads has it a moment longer. It is closed with its last user.
        let database = lock(&self.open).take();
        drop(database);
    }
}

/// A folder that only this user may look into.
fn make_folder(folder: &Path) -> Result<(), Fault> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Fault::of(::redb::Error::Io(error), folder))
}

/// Closes the files that nobody has used for a while. Whether there are others.
fn close_idle(files: &Weak<Mutex<HashMap<AppName, Arc<File>>>>, has_company: bool) -> bool {
    let Some(files) = files.upgrade() else { return false };
    let all: Vec<Arc<File>> = lock(&files).values().cloned().collect();
    drop(files);
    let mut others = false;
    for file in all.iter().filter(|file| lock(&file.open).is_some()) {
        let idle = file.age().saturating_sub(file.used.load(Ordering::Relaxed));
        let rests = has_company || idle > IDLE.as_millis() as u64;
        if rests && !lock(&file.queue).has_job {
            file.close();
        } else {
            others = true;
        }
    }
    others
}
