//! Databases in files, one folder for each app; or in memory, by the same code.
//!
//! An app's folder has its name. What is put aside has a `~` in its name, which no app's has.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nexus_core::{Access, AppName, Resource};
use nexus_guest::{Answer, CapabilityError, Grant, SqlOperation, SqlResult};
use tokio::sync::oneshot;

use super::database::Shared;
use super::fault::{Fault, Where};
use super::link::LONGEST_KEPT;
use super::owner::{Awaited, Job, Owner, Reply};
use super::statement::Scale;
use super::words::writes;
use super::{SqlCall, SqlEngine};
use crate::lane::{Lane, Pushed};
use crate::storage::Storage;
use crate::watcher::Watcher;
use crate::work::Work;

/// As many calls are carried out before other apps have their turn.
const WRITES: usize = 64;
const READS: usize = 16;
/// How many statements a call may have to be carried out on the caller's thread.
const QUICK_STATEMENTS: usize = 16;
/// After how long without a call a database is closed, and how often that is looked for.
const IDLE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(5);
/// How many databases are open at once: each has some descriptors.
const MOST_OPEN: usize = 500;

/// Keeps databases.
pub struct SqliteSql {
    /// Where; `None` is in memory.
    folder: Option<PathBuf>,
    storage: Storage,
    owners: Arc<Owners>,
    watcher: Watcher,
}

#[derive(Default)]
struct Owners(Mutex<HashMap<AppName, Arc<Owner>>>);

impl fmt::Debug for SqliteSql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteSql").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Owners {
    fn databases(&self) -> Vec<Shared> {
        let owners: Vec<Arc<Owner>> =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        owners.iter().flat_map(|owner| owner.databases()).collect()
    }

    /// Closes the database that was not used for longest if as many are open as may.
    fn make_room(&self) {
        let mut open: Vec<Shared> =
            self.databases().into_iter().filter(|database| database.is_open()).collect();
        if open.len() >= MOST_OPEN {
            open.sort_by_key(|database| std::cmp::Reverse(database.idle()));
            // One that somebody is at work with would have to be waited for, as long as that takes.
            open.iter().any(|database| database.close_if_free());
        }
    }
}

impl SqliteSql {
    /// Keeps databases in this folder, which is made when there is something to keep.
    pub fn new(folder: &Path) -> Self {
        Self::on(Some(folder), Storage::default())
    }

    /// Keeps databases in memory.
    pub fn in_memory() -> Self {
        Self::on(None, Storage::default())
    }

    pub(crate) fn on(folder: Option<&Path>, storage: Storage) -> Self {
        let watcher = Watcher::new("nexus-databases", LOOK);
        Self { folder: folder.map(Path::to_owned), storage, owners: Arc::default(), watcher }
    }

    fn owner(&self, name: &AppName) -> Arc<Owner> {
        let mut owners = self.owners.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(owner) = owners.get(name) {
            return owner.clone();
        }
        let folder = self.folder.as_ref().map(|folder| folder.join(name.as_str()));
        let owner = Arc::new(Owner::new(folder));
        owners.insert(name.clone(), owner.clone());
        owner
    }

    /// Has a thread close idle databases, as long as there are open ones.
    fn watch(&self) {
        if self.folder.is_some() {
            self.watcher.watch(|| {
                let (owners, storage) = (Arc::downgrade(&self.owners), self.storage.clone());
                move || close_idle(&owners, &storage)
            });
        }
    }

    fn enqueue(
        &self,
        owner: Arc<Owner>,
        lane: Which,
        database: Shared,
        grant: &Arc<Grant>,
        (call, work): (SqlCall, Work),
    ) -> Answer<Vec<SqlResult>> {
        let (answer, result) = oneshot::channel();
        let gone = Arc::new(AtomicBool::new(false));
        let awaited = Awaited(gone.clone());
        let job = Job { database, grant: grant.clone(), call, reply: Reply { answer, gone, work, held: 0 } };
        let carrier = Carrier { storage: self.storage.clone(), owners: self.owners.clone(), owner };
        match lane.of(&carrier.owner).push(job) {
            Pushed::Full => return Answer::Now(Err(busy())),
            Pushed::First => carrier.begin(lane),
            Pushed::Behind => {}
        }
        Answer::Later(Box::pin(async move {
            let _awaited = awaited;
            match result.await {
                Ok((result, _hold)) => result,
                Err(_) => Err(Fault::Panic.told(Where { path: None, quota: 0, why: None })),
            }
        }))
    }
}

fn busy() -> CapabilityError {
    CapabilityError::Busy("sql".into())
}

/// Whether an operation is small enough to be tried on the caller's thread.
fn is_small(operation: &SqlOperation) -> bool {
    match operation {
        SqlOperation::Batch(statements) => {
            statements.len() <= QUICK_STATEMENTS
                && statements.iter().map(|statement| statement.text.len()).sum::<usize>() <= LONGEST_KEPT
                && statements
                    .iter()
                    .flat_map(|statement| &statement.parameters)
                    .all(|value| value.size() <= Scale::Little.value())
        }
        SqlOperation::Script(_) => false,
    }
}

/// Whether an operation writes for certain.
fn begins_to_write(operation: &SqlOperation) -> bool {
    match operation {
        SqlOperation::Batch(statements) => statements.iter().any(|statement| writes(&statement.text)),
        SqlOperation::Script(text) => writes(text),
    }
}

impl SqlEngine for SqliteSql {
    fn call(
        &self,
        database: &Resource,
        grant: &Arc<Grant>,
        call: SqlCall,
        work: Work,
    ) -> Answer<Vec<SqlResult>> {
        let owner = self.owner(&database.owner);
        let database = owner.database(&database.part);
        database.touch();
        self.watch();
        let mut lane = Which::Reads;
        if begins_to_write(&call.operation) {
            lane = Which::Writes;
        } else if is_small(&call.operation) {
            match database.read_here(&call) {
                Ok(answer) => return Answer::Now(Ok(answer)),
                Err(Fault::Writes) => lane = Which::Writes,
                Err(Fault::Long) => {}
                Err(fault) => return Answer::Now(Err(database.told(fault, grant.quota()))),
            }
        }
        if let (Which::Writes, Err(denied)) = (lane, grant.decide(Access::Write)) {
            return Answer::Now(Err(CapabilityError::Denied(denied)));
        }
        self.enqueue(owner, lane, database, grant, (call, work))
    }

    fn release(&self, owner: &AppName) {
        let gone = self.owners.0.lock().unwrap_or_else(PoisonError::into_inner).remove(owner);
        if let Some(gone) = gone {
            gone.databases().iter().for_each(|database| database.close());
        }
        let Some(folder) = &self.folder else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let path = folder.join(owner.as_str());
        // There may be none. Where there is one of that second it takes a later one.
        for seconds in now..now + 100 {
            if !path.exists()
                || std::fs::rename(&path, folder.join(format!("{owner}.removed~{seconds}"))).is_ok()
            {
                return;
            }
        }
    }

    fn close(&self) {
        self.owners.databases().iter().for_each(|database| database.close());
    }
}

/// A lane of an owner's.
#[derive(Debug, Clone, Copy)]
enum Which {
    Reads,
    Writes,
}

impl Which {
    fn of(self, owner: &Owner) -> &Lane<Job> {
        match self {
            Which::Reads => &owner.reads,
            Which::Writes => &owner.writes,
        }
    }
}

/// Carries out what waits in an owner's lanes, on storage threads.
#[derive(Clone)]
struct Carrier {
    storage: Storage,
    owners: Arc<Owners>,
    owner: Arc<Owner>,
}

impl Carrier {
    /// Carries a part of it out, and the rest behind what other apps wait for.
    fn begin(self, lane: Which) {
        self.storage.clone().run(move || {
            loop {
                let act = || match lane {
                    Which::Reads => self.read(),
                    Which::Writes => self.write(),
                };
                // Whatever becomes of these, the lane goes on.
                if catch_unwind(AssertUnwindSafe(act)).is_err() {
                    self.owner.databases().iter().for_each(|database| database.close());
                }
                if !lane.of(&self.owner).goes_on() {
                    return;
                }
                if self.storage.is_wanted() {
                    break;
                }
            }
            self.begin(lane);
        });
    }

    fn read(&self) {
        for job in self.owner.reads.batch(READS) {
            if job.reply.gone.load(Ordering::Relaxed) {
                continue;
            }
            let database = job.database.clone();
            self.make_room_for(&database);
            if let Some(job) = database.read_there(job) {
                self.write_later(job);
            }
        }
    }

    /// A call that turned out to write.
    fn write_later(&self, job: Job) {
        if !self.owner.writes.has_room() {
            return job.reply.send(Err(busy()));
        }
        match self.owner.writes.push(job) {
            Pushed::Full | Pushed::Behind => {}
            Pushed::First => self.clone().begin(Which::Writes),
        }
    }

    fn write(&self) {
        let mut jobs = self.owner.writes.batch(WRITES).into_iter().peekable();
        while let Some(first) = jobs.next() {
            let database = first.database.clone();
            let mut together = vec![first];
            while let Some(next) = jobs.next_if(|next| Arc::ptr_eq(&next.database, &database)) {
                together.push(next);
            }
            self.make_room_for(&database);
            database.write(&self.owner, together);
        }
    }

    fn make_room_for(&self, database: &Shared) {
        if !database.is_open() {
            self.owners.make_room();
        }
    }
}

/// Has the databases closed that nobody has used for a while. Whether there are others.
fn close_idle(owners: &Weak<Owners>, storage: &Storage) -> bool {
    let Some(owners) = owners.upgrade() else { return false };
    let open: Vec<Shared> = owners.databases().into_iter().filter(|database| database.is_open()).collect();
    drop(owners);
    let mut others = false;
    for database in open {
        if database.idle() > IDLE {
            // To close it waits for the disk.
            storage.run(move || database.close());
        } else {
            others = true;
        }
    }
    others
}
