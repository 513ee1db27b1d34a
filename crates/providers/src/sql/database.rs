//! A database: its connections, and how calls are carried out there.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use nexus_core::{Access, Limit, ResourcePart};
use nexus_guest::{CapabilityError, SqlOperation, SqlResult, thread_cpu};
use rusqlite::ffi;

use super::fault::{Fault, Where, invalid};
use super::group::Group;
use super::journal::Journal;
use super::link::{Link, Target};
use super::memory::{Counted, unrefused};
use super::owner::{Job, Owner, SMALLEST};
use super::run::Run;
use super::statement::Code;
use super::watch::{Halt, Reach};
use super::{CALL_MEMORY, SqlCall};

/// How long a call may take on the caller's thread, and how much memory.
const HERE: Duration = Duration::from_millis(1);
const HERE_MEMORY: usize = 8 << 20;
/// A call that has taken so long there all the same, for SQLite was not to be stopped, has the database's next calls carried
/// out elsewhere for so many times as long: it has no more than that part of the thread.
const SLOW: Duration = Duration::from_millis(5);
const PENANCE: u32 = 30;

/// A database. One for the provider, for each that was called.
pub(super) struct Database {
    pub(super) name: ResourcePart,
    /// Its file; `None` if it is in memory.
    pub(super) path: Option<PathBuf>,
    /// The connection that only reads. A database in memory has one connection, which is the other one.
    reader: Mutex<Option<Link>>,
    /// Who wants both takes this one first.
    writer: Mutex<Option<Link>>,
    journal: Journal,
    /// How large it is, in bytes, as far as is known.
    pub(super) size: AtomicU64,
    /// When it was used last, and until when nothing is done on callers' threads, in milliseconds since `began`.
    used: AtomicU64,
    slow_until: AtomicU64,
    began: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Database {
    pub(super) fn new(name: ResourcePart, path: Option<PathBuf>) -> Self {
        let (reader, writer) = (Mutex::default(), Mutex::default());
        let (size, used, slow_until) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let (journal, began) = (Journal::of(path.as_deref()), Instant::now());
        Self { name, path, reader, writer, journal, size, used, slow_until, began }
    }

    fn age(&self) -> u64 {
        millis(self.began.elapsed())
    }

    /// It is used now.
    pub(super) fn touch(&self) {
        self.used.store(self.age(), Ordering::Relaxed);
    }

    /// For how long nobody has used it.
    pub(super) fn idle(&self) -> Duration {
        Duration::from_millis(self.age().saturating_sub(self.used.load(Ordering::Relaxed)))
    }

    /// Whether it has files open.
    pub(super) fn is_open(&self) -> bool {
        let is_open = |link: &Mutex<Option<Link>>| try_lock(link).is_none_or(|link| link.is_some());
        self.path.is_some() && (is_open(&self.reader) || is_open(&self.writer))
    }

    /// Closes its files. Waits for what is done with them, and for the disk.
    pub(super) fn close(&self) {
        if self.path.is_none() {
            return;
        }
        self.close_both(&mut lock(&self.writer), &mut lock(&self.reader));
    }

    fn close_both(&self, writer: &mut Option<Link>, reader: &mut Option<Link>) {
        // The writer last: with the last connection the file is put in order. Who only reads cannot do that.
        if let (Some(path), Some(_), None) = (&self.path, &*reader, &*writer)
            && path.exists()
        {
            *writer = Link::open(Target::File(path)).ok();
        }
        *reader = None;
        *writer = None;
    }

    /// Closes its files unless somebody is at work with them.
    pub(super) fn close_if_free(&self) -> bool {
        let (Some(mut writer), Some(mut reader)) = (try_lock(&self.writer), try_lock(&self.reader)) else {
            return false;
        };
        self.close_both(&mut writer, &mut reader);
        true
    }

    fn place(&self) -> &Mutex<Option<Link>> {
        if self.path.is_some() { &self.reader } else { &self.writer }
    }

    /// What is said of a fault.
    pub(super) fn told(&self, fault: Fault, quota: u64) -> CapabilityError {
        fault.told(Where { path: self.path.as_deref(), quota, why: None })
    }

    /// Carries a call out that only reads, on the caller's thread, if that is quick.
    pub(super) fn read_here(&self, call: &SqlCall) -> Result<Vec<SqlResult>, Fault> {
        let began = Instant::now();
        if self.slow_until.load(Ordering::Relaxed) > self.age() || self.journal.is_closed() {
            return Err(Fault::Long);
        }
        let Some(mut place) = try_lock(self.place()) else { return Err(Fault::Long) };
        let Some(link) = &mut *place else { return Err(Fault::Long) };
        let reach = Reach { until: Some(began + HERE), ..Reach::default() };
        let result = self.read(link, &call.operation, reach, HERE_MEMORY, Run::here());
        let took = began.elapsed();
        if took > SLOW {
            self.slow_until.store(self.age() + millis(took * PENANCE), Ordering::Relaxed);
        }
        self.left(&mut place, result)
    }

    /// Carries a call out that only reads, however long that takes. Gives it back if it turns out to write.
    pub(super) fn read_there(&self, mut job: Job) -> Option<Job> {
        let began = thread_cpu();
        let result = {
            let Job { call, reply, .. } = &mut job;
            let cpu_end = Some(began.saturating_add(call.budget.most));
            let reach = Reach { until: None, cpu_end, gone: Some(reply.gone.clone()) };
            let run = Run::there(&mut *reply.work.hold, &mut reply.held, false);
            let gate = self.journal.pass();
            let mut place = lock(self.place());
            drop(gate);
            match self.open_reader(&mut place) {
                Ok(Some(link)) => {
                    let result = self.read(link, &call.operation, reach, CALL_MEMORY, run);
                    self.left(&mut place, result)
                }
                // Nobody has written there yet. Reading makes no file, for who only reads is not to fill another's quota.
                Ok(None) => Link::open(Target::Memory)
                    .and_then(|mut link| self.read(&mut link, &call.operation, reach, CALL_MEMORY, run))
                    .map(|(results, _)| results),
                Err(fault) => Err(fault),
            }
        };
        job.call.budget.account.charge(thread_cpu().saturating_sub(began));
        match result {
            Ok(results) => job.reply.send(Ok(results)),
            Err(Fault::Writes) => match job.grant.decide(Access::Write) {
                Ok(()) => return Some(job),
                Err(denied) => job.reply.send(Err(CapabilityError::Denied(denied))),
            },
            Err(fault) => {
                let quota = job.grant.quota();
                job.reply.send(Err(self.told(fault, quota)));
            }
        }
        None
    }

    fn open_reader<'a>(&self, place: &'a mut Option<Link>) -> Result<Option<&'a mut Link>, Fault> {
        if place.is_none() {
            let target = match &self.path {
                Some(path) if !path.exists() => return Ok(None),
                Some(path) => Target::Reading(path),
                None => Target::Memory,
            };
            let mut link = Link::open(target)?;
            self.size.store(link.size()?, Ordering::Relaxed);
            *place = Some(link);
        }
        Ok(place.as_mut())
    }

    /// Gives what came of a call, and closes the connection if that is to be done.
    fn left<T>(&self, place: &mut Option<Link>, result: Result<(T, bool), Fault>) -> Result<T, Fault> {
        match result {
            Ok((results, is_fine)) => {
                if !is_fine {
                    self.leave(place);
                }
                Ok(results)
            }
            Err(fault) => {
                if fault.wants_reopening() {
                    self.leave(place);
                }
                Err(fault)
            }
        }
    }

    /// Closes a connection, to be opened anew. That of a database in memory is the database: it is put in order, and stays.
    fn leave(&self, place: &mut Option<Link>) {
        match place {
            // Outside of a transaction this fails, and does nothing.
            Some(link) if self.path.is_none() => drop(unrefused(|| link.own("ROLLBACK"))),
            _ => *place = None,
        }
    }

    /// Reads, in one transaction. With the results, whether the connection may stay open.
    fn read(
        &self,
        link: &mut Link,
        operation: &SqlOperation,
        reach: Reach,
        memory: usize,
        mut run: Run<'_>,
    ) -> Result<(Vec<SqlResult>, bool), Fault> {
        let is_here = reach.until.is_some();
        let counted = Counted::begin(memory);
        let is_single = matches!(operation, SqlOperation::Batch(statements) if statements.len() <= 1);
        link.watch.begin(reach);
        let result = catch_unwind(AssertUnwindSafe(|| {
            if self.path.is_none() {
                link.only_read(true)?;
            }
            if !is_single {
                link.own("BEGIN")?;
            }
            run.carry_out(link, operation)
        }))
        .unwrap_or(Err(Fault::Panic));
        let halt = link.watch.halt();
        link.watch.end();
        if !link.connection.is_autocommit() {
            let ended = unrefused(|| link.own(if result.is_ok() { "COMMIT" } else { "ROLLBACK" }));
            // A connection in the midst of a transaction is of no use to the next call: this has it closed.
            ended.map_err(|code| Fault::System(std::io::Error::other(code.message)))?;
        }
        let is_fine = link.tidy(counted.balance(), self.path.is_none());
        drop(counted);
        let size = self.size.load(Ordering::Relaxed);
        match result {
            Ok(mut results) => {
                results.iter_mut().for_each(|result| result.size_after = size);
                Ok((results, is_fine))
            }
            Err(Fault::Code(code)) if is_here && is_too_much(&code) => Err(Fault::Long),
            // What is read-only by SQLite's judgement and writes all the same, such as PRAGMA optimize.
            Err(Fault::Code(code)) if code.primary() == ffi::SQLITE_READONLY => Err(Fault::Writes),
            Err(fault) => Err(self.settled(link, fault, halt, 0)),
        }
    }

    /// A fault as it is told, unless the connection is to be closed for it first.
    pub(super) fn settled(&self, link: &Link, fault: Fault, halt: Option<Halt>, quota: u64) -> Fault {
        let why = link.fence.why();
        match (fault, halt) {
            (Fault::Code(_), Some(Halt::Long)) => Fault::Long,
            (Fault::Code(_), Some(Halt::Cpu)) => Fault::Told(CapabilityError::Stopped),
            (Fault::Code(_), Some(Halt::Gone)) => invalid("nobody waits for it any more"),
            (fault @ Fault::Code(_), None) if !fault.wants_reopening() => {
                Fault::Told(fault.told(Where { path: self.path.as_deref(), quota, why: why.as_deref() }))
            }
            (fault, _) => fault,
        }
    }

    /// Carries calls out that write, on a storage thread: in one commit, or each in its own if they cannot share one.
    pub(super) fn write(&self, owner: &Owner, jobs: Vec<Job>) {
        let mut waiting = VecDeque::from(jobs);
        let mut place = lock(&self.writer);
        let quota = waiting.front().map_or(0, |job| job.grant.quota());
        let payer = waiting.front().map(|job| job.call.budget.account.clone());
        let others = owner.others(&self.name);
        let link = match self.open_writer(&mut place, owner, quota.saturating_sub(others), quota) {
            Ok(link) => link,
            Err(fault) => {
                let error = self.told(fault, quota);
                waiting.into_iter().for_each(|job| job.reply.send(Err(error.clone())));
                return;
            }
        };
        if self.journal.is_too_large() {
            self.journal.bound(link, &self.reader, payer.as_deref());
            if self.journal.is_too_large() {
                let error = CapabilityError::Busy("sql".into());
                return waiting.into_iter().for_each(|job| job.reply.send(Err(error.clone())));
            }
        }
        let mut may_share = true;
        let (mut is_fine, mut keeps_too_much) = (true, false);
        while !waiting.is_empty() && is_fine {
            let mut group = Group::new(self, quota);
            let most = if may_share { waiting.len() } else { 1 };
            is_fine = group.carry_out(link, &mut waiting, most);
            keeps_too_much |= group.keeps_too_much;
            may_share = group.finish(link, &mut waiting, is_fine);
            if is_fine {
                self.journal.bound(link, &self.reader, payer.as_deref());
            }
        }
        owner.is_now(&self.name, self.size.load(Ordering::Relaxed), self.journal.size());
        if !is_fine || keeps_too_much {
            self.leave(&mut place);
            drop(place);
            // They come to an open connection, or are told why there is none.
            if !waiting.is_empty() {
                self.write(owner, waiting.into());
            }
        }
    }

    fn open_writer<'a>(
        &self,
        place: &'a mut Option<Link>,
        owner: &Owner,
        allowed: u64,
        quota: u64,
    ) -> Result<&'a mut Link, Fault> {
        let link = match place.take() {
            Some(link) => link,
            None => {
                let exists = self.path.as_deref().is_some_and(Path::exists);
                if !exists && allowed < SMALLEST {
                    return Err(CapabilityError::Full(Limit::SqlStorage, quota).into());
                }
                owner.make_folder().map_err(Fault::System)?;
                let mut link = Link::open(self.path.as_deref().map_or(Target::Memory, Target::File))?;
                self.size.store(link.size()?, Ordering::Relaxed);
                self.journal.renew();
                link
            }
        };
        let link = place.insert(link);
        if self.path.is_none() {
            link.only_read(false)?;
        }
        link.allow(allowed)?;
        Ok(link)
    }
}

/// Whether something was refused for its size, which may be less than elsewhere.
fn is_too_much(code: &Code) -> bool {
    matches!(code.primary(), ffi::SQLITE_NOMEM | ffi::SQLITE_TOOBIG)
}

/// A database, as all have it that carry calls out there.
pub(super) type Shared = Arc<Database>;
