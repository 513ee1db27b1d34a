//! Namespaces in files: redb, one file for all namespaces of an app.
//!
//! ```text
//! Get, List ─► is the file open, and is there little to read? ─ yes ─► read here, on the caller's thread
//!                              └ no ─► the file's lane of reads  ─┐
//! Write ──────────────────────────────► the file's lane of writes ┴─► one job at a time of each, on a storage thread:
//!                                                       what waits by now, writes in one commit ─► answers
//! ```
//!
//! While another process uses the folder, too, for a host takes over from another one, each has a file open for a batch at a
//! time only, and leaves the other one time to take it.
//!
//! A file for each app: what a tenant writes waits for no other's commit, a damaged file is one app's, and the quota is one
//! number in it. Commits are in two phases and keep the allocator's state: then neither a crash with data of a tenant's own
//! making can mislead redb, nor does the next start have to read the whole file.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::redb::{Builder, Database, DatabaseError};
use nexus_core::{AppName, Resource, ResourcePart};
use nexus_guest::{Answer, CapabilityError, Hold, KvAnswer, KvOperation, KvPage};
use tokio::sync::oneshot;

use super::presence::Presence;
use super::tables::{self, Fault, Task};
use super::{Inside, KvEngine, Work};
use crate::lane::{Lane, Pushed, Waits};
use crate::storage::Storage;
use crate::watcher::Watcher;

/// What redb keeps of a file in memory at most, in bytes; the system keeps the rest.
const CACHE: usize = 1 << 20;
/// As many are done at once: written in one commit, or read before other apps have their turn.
const BATCH: usize = 256;
const READS: usize = 16;
/// After how long without a call a file is closed, and how often that is looked for, and for other processes.
const IDLE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);
/// How long a file stays closed for another process.
const GAP: Duration = Duration::from_millis(15);
/// How often a file is tried that another process has open.
const ATTEMPT: Duration = Duration::from_millis(5);

/// Keeps namespaces in a folder, one file for each app.
pub struct RedbKv {
    folder: PathBuf,
    storage: Storage,
    presence: Arc<Presence>,
    files: Arc<Mutex<HashMap<AppName, Arc<File>>>>,
    watcher: Watcher,
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
    writes: Lane<Write>,
    reads: Lane<Read>,
    /// When it was used last, in milliseconds since `began`.
    used: AtomicU64,
    began: Instant,
}

struct Write {
    task: Task,
    bytes: usize,
    reply: Reply,
}

struct Read {
    namespace: ResourcePart,
    operation: KvOperation,
    reply: Reply,
}

/// Who waits for an answer, and what goes with that.
struct Reply {
    answer: oneshot::Sender<Answered>,
    work: Work,
}

/// An answer, and what holds it until it was taken.
type Answered = (Result<KvAnswer, CapabilityError>, Box<dyn Hold>);

impl Reply {
    fn send(self, result: Result<KvAnswer, CapabilityError>) {
        let Work { hold, inside } = self.work;
        // The work is done, whenever the answer is taken.
        drop::<Inside>(inside);
        // Nobody may wait any more.
        let _ = self.answer.send((result, hold));
    }
}

impl Waits for Write {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Waits for Read {
    fn bytes(&self) -> usize {
        0
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RedbKv {
    /// Keeps files in this folder, which is made when there is something to keep.
    pub fn new(folder: &Path) -> Self {
        Self::on(folder, Storage::default())
    }

    pub(crate) fn on(folder: &Path, storage: Storage) -> Self {
        let (presence, files) = (Arc::default(), Arc::default());
        Self {
            folder: folder.to_owned(),
            storage,
            presence,
            files,
            watcher: Watcher::new("nexus-files", LOOK),
        }
    }

    fn path(&self, owner: &AppName) -> PathBuf {
        self.folder.join(format!("{owner}.redb"))
    }

    fn file(&self, owner: &AppName) -> Arc<File> {
        let mut files = lock(&self.files);
        if let Some(file) = files.get(owner) {
            return file.clone();
        }
        let file = Arc::new(File {
            path: self.path(owner),
            presence: self.presence.clone(),
            open: Mutex::new(None),
            left: AtomicU64::new(0),
            writes: Lane::new(),
            reads: Lane::new(),
            used: AtomicU64::new(0),
            began: Instant::now(),
        });
        files.insert(owner.clone(), file.clone());
        file
    }

    /// Has a thread close idle files, as long as there are open ones.
    fn watch(&self) {
        self.watcher.watch(|| {
            let files = Arc::downgrade(&self.files);
            let (presence, storage) = (self.presence.clone(), self.storage.clone());
            move || {
                presence.look();
                close_idle(&files, &storage, presence.has_company())
            }
        });
    }

    fn read(
        &self,
        file: &Arc<File>,
        namespace: ResourcePart,
        operation: KvOperation,
        work: Work,
    ) -> Answer<KvAnswer> {
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
                match file.guarded(|| tables::read_quickly(&database, &namespace, &operation)) {
                    Err(Fault::Long) => {}
                    result => return Answer::Now(result.map_err(Fault::told)),
                }
            }
            // An app that has never written asks for nothing but this.
            Some(None) if !file.path.exists() => return Answer::Now(Ok(nothing(&operation))),
            Some(None) => {}
        }
        let (answer, result) = oneshot::channel();
        let read = Read { namespace, operation, reply: Reply { answer, work } };
        self.enqueue(file, &file.reads, read, result, read_some)
    }

    fn enqueue<T: Waits>(
        &self,
        file: &Arc<File>,
        lane: &Lane<T>,
        waiting: T,
        result: oneshot::Receiver<Answered>,
        job: fn(Storage, Arc<File>),
    ) -> Answer<KvAnswer> {
        match lane.push(waiting) {
            Pushed::Full => return Answer::Now(Err(CapabilityError::Busy("kv".into()))),
            Pushed::First => job(self.storage.clone(), file.clone()),
            Pushed::Behind => {}
        }
        Answer::Later(Box::pin(async move {
            match result.await {
                Ok((result, _hold)) => result,
                Err(_) => Err(Fault::Panic.told()),
            }
        }))
    }
}

impl KvEngine for RedbKv {
    fn call(&self, namespace: &Resource, quota: u64, operation: KvOperation, work: Work) -> Answer<KvAnswer> {
        let file = self.file(&namespace.owner);
        file.used.store(file.age(), Ordering::Relaxed);
        self.watch();
        let namespace = namespace.part.clone();
        match operation {
            KvOperation::Write(transaction) => {
                let bytes = transaction.size();
                let (answer, result) = oneshot::channel();
                let task = Task { namespace, quota, transaction };
                let write = Write { task, bytes, reply: Reply { answer, work } };
                self.enqueue(&file, &file.writes, write, result, commit_some)
            }
            operation => self.read(&file, namespace, operation, work),
        }
    }

    fn release(&self, owner: &AppName) {
        let file = self.file(owner);
        file.close();
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        // There may be none.
        let _ = std::fs::rename(self.path(owner), self.folder.join(format!("{owner}.removed-{seconds}")));
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

/// Commits what waits, on a storage thread; then once more, if there is more by then, behind what other apps have to do.
fn commit_some(storage: Storage, file: Arc<File>) {
    job(
        storage,
        file,
        |file| &file.writes,
        (BATCH, true),
        |file, opened, batch| {
            let (tasks, replies): (Vec<Task>, Vec<Reply>) =
                batch.into_iter().map(|write| (write.task, write.reply)).unzip();
            let results = file.guarded(|| match opened? {
                Some(database) => tables::commit(&database, tasks),
                None => Err(Fault::Panic),
            });
            file.leave_to_others();
            match results {
                Ok(results) => {
                    replies.into_iter().zip(results).for_each(|(reply, result)| reply.send(result))
                }
                Err(fault) => {
                    let error = fault.told();
                    replies.into_iter().for_each(|reply| reply.send(Err(error.clone())));
                }
            }
        },
    );
}

/// Reads what waits, in the same way.
fn read_some(storage: Storage, file: Arc<File>) {
    job(
        storage,
        file,
        |file| &file.reads,
        (READS, false),
        |file, opened, batch| {
            let opened = file.guarded(|| opened).map_err(Fault::told);
            for read in batch {
                let Read { namespace, operation, mut reply } = read;
                // Nobody wants it any more.
                if reply.answer.is_closed() {
                    continue;
                }
                let hold = &mut *reply.work.hold;
                let result = match &opened {
                    Ok(Some(database)) => file
                        .guarded(|| tables::read_whole(database, &namespace, &operation, hold))
                        .map_err(Fault::told),
                    Ok(None) => Ok(nothing(&operation)),
                    Err(error) => Err(error.clone()),
                };
                reply.send(result);
            }
            drop(opened);
            file.leave_to_others();
        },
    );
}

/// What becomes of opening a file; see [`File::database`].
type Opened = Result<Option<Arc<Database>>, Fault>;

/// Does a part of what waits in a lane, on a storage thread, and has the rest done behind what others wait for. `most` are done
/// at once; whether a file is made where there is none is said beside it.
fn job<T: Waits>(
    storage: Storage,
    file: Arc<File>,
    lane: fn(&File) -> &Lane<T>,
    (most, makes): (usize, bool),
    act: fn(&File, Opened, Vec<T>),
) {
    let again = storage.clone();
    storage.run(move || {
        loop {
            // The file first: while another process has it, nothing is taken from the lane, nor a thread from others. It is
            // kept to the end: the other lane's job may leave it to that process meanwhile.
            let opened = catch_unwind(AssertUnwindSafe(|| file.database(makes))).unwrap_or(Err(Fault::Panic));
            if matches!(opened, Err(Fault::Elsewhere)) && lane(&file).waits() {
                std::thread::sleep(ATTEMPT);
                break;
            }
            let batch = lane(&file).batch(most);
            // Whatever becomes of this batch, the lane goes on.
            if catch_unwind(AssertUnwindSafe(|| act(&file, opened, batch))).is_err() {
                file.close();
            }
            if !lane(&file).goes_on() {
                return;
            }
            if again.is_wanted() {
                break;
            }
        }
        job(again, file, lane, (most, makes), act);
    });
}

impl File {
    fn age(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The open file; `None` if there is none and none is to be made. On a storage thread: it may take long.
    fn database(&self, makes: bool) -> Opened {
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
        match Builder::new().set_cache_size(CACHE).create(&self.path) {
            Ok(database) => {
                let database = Arc::new(database);
                *open = Some(database.clone());
                Ok(Some(database))
            }
            Err(DatabaseError::DatabaseAlreadyOpen) => Err(Fault::Elsewhere),
            Err(error) => Err(Fault::of(::redb::Error::from(error), &self.path)),
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
        // Whoever reads has it a moment longer. It is closed with its last user, which writes: of a damaged file that may
        // panic, too.
        let database = lock(&self.open).take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
    }
}

/// A folder that only this user may look into.
fn make_folder(folder: &Path) -> Result<(), Fault> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Fault::of(::redb::Error::Io(error), folder))
}

/// Has the files closed that nobody has used for a while, or that another process may want. Whether there are others.
fn close_idle(
    files: &Weak<Mutex<HashMap<AppName, Arc<File>>>>,
    storage: &Storage,
    has_company: bool,
) -> bool {
    let Some(files) = files.upgrade() else { return false };
    let all: Vec<Arc<File>> = lock(&files).values().cloned().collect();
    drop(files);
    let mut others = false;
    for file in all {
        let is_open = match file.open.try_lock() {
            Ok(open) => open.is_some(),
            // Somebody is opening it.
            Err(_) => true,
        };
        if !is_open {
            continue;
        }
        let idle = file.age().saturating_sub(file.used.load(Ordering::Relaxed));
        let rests = has_company || idle > IDLE.as_millis() as u64;
        if rests && !file.writes.is_busy() && !file.reads.is_busy() {
            // To close it takes as long as to write it.
            storage.run(move || file.close());
        } else {
            others = true;
        }
    }
    others
}
