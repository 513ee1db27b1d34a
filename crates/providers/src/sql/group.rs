//! Calls that write: each in a savepoint of one transaction, so that they share a commit, or alone in it.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use nexus_core::Access;
use nexus_guest::{CapabilityError, SqlOperation, SqlResult, thread_cpu};

use super::CALL_MEMORY;
use super::database::Database;
use super::fault::Fault;
use super::link::Link;
use super::memory::{Counted, unrefused};
use super::owner::Job;
use super::run::Run;
use super::watch::Reach;
use super::words::first_word;

/// Calls that are carried out in one transaction, to be committed together.
pub(super) struct Group<'a> {
    database: &'a Database,
    done: Vec<(Job, Result<Vec<SqlResult>, CapabilityError>)>,
    quota: u64,
    /// The thread's CPU time at which the last of them ended, or the first begins: to read that clock is a system call.
    cpu: Duration,
    /// Whether the connection keeps more in memory than it may.
    pub(super) keeps_too_much: bool,
}

impl<'a> Group<'a> {
    /// None so far, of an owner with this quota.
    pub(super) fn new(database: &'a Database, quota: u64) -> Self {
        Self { database, done: Vec::new(), quota, cpu: thread_cpu(), keeps_too_much: false }
    }

    /// Carries out what waits, `most` of it. `false` if the connection is to be closed.
    pub(super) fn carry_out(&mut self, link: &mut Link, waiting: &mut VecDeque<Job>, most: usize) -> bool {
        let mut begun = false;
        let is_alone = most == 1;
        for _ in 0..most {
            // What sets something for its transaction has one of its own.
            let is_apart = waiting.front().is_some_and(|job| wants_its_own(&job.call.operation));
            if is_apart && !self.done.is_empty() {
                break;
            }
            let Some(mut job) = waiting.pop_front() else { break };
            if job.reply.gone.load(Ordering::Relaxed) {
                continue;
            }
            // It may have been taken from the app while the call waited.
            if let Err(denied) = job.grant.decide(Access::Write) {
                job.reply.send(Err(CapabilityError::Denied(denied)));
                continue;
            }
            let result = self.one(link, &mut job, &mut begun, is_alone);
            let took = self.cpu_since();
            job.call.budget.account.charge(took);
            let is_fine = !result.as_ref().is_err_and(Fault::wants_reopening);
            self.done.push((job, result.map_err(|fault| self.database.told(fault, self.quota))));
            if !is_fine {
                return false;
            }
            // SQLite has given the whole transaction up, and what was done in it before.
            if link.connection.is_autocommit() || is_apart {
                break;
            }
        }
        true
    }

    /// How much CPU time went by since this was asked last.
    fn cpu_since(&mut self) -> Duration {
        let now = thread_cpu();
        now.saturating_sub(std::mem::replace(&mut self.cpu, now))
    }

    /// One of them, of which nothing is left if it fails. One that is alone has the transaction to itself.
    fn one(
        &mut self,
        link: &mut Link,
        job: &mut Job,
        begun: &mut bool,
        is_alone: bool,
    ) -> Result<Vec<SqlResult>, Fault> {
        let Job { call, reply, .. } = job;
        let counted = Counted::begin(CALL_MEMORY);
        let cpu_end = Some(self.cpu.saturating_add(call.budget.most));
        let reach = Reach { until: None, cpu_end, gone: Some(reply.gone.clone()) };
        link.watch.begin(reach);
        let result = catch_unwind(AssertUnwindSafe(|| {
            if !std::mem::replace(begun, true) {
                link.often("BEGIN IMMEDIATE")?;
            }
            if !is_alone {
                link.often("SAVEPOINT call")?;
            }
            Run::there(&mut *reply.work.hold, &mut reply.held, true).carry_out(link, &call.operation)
        }))
        .unwrap_or(Err(Fault::Panic));
        let halt = link.watch.halt();
        link.watch.end();
        let ended = match &result {
            _ if link.connection.is_autocommit() => Ok(()),
            Ok(_) if is_alone => Ok(()),
            Ok(_) => unrefused(|| link.often("RELEASE call").map(drop)),
            Err(_) if is_alone => unrefused(|| link.own("ROLLBACK")),
            Err(_) => unrefused(|| link.own("ROLLBACK TO call").and_then(|()| link.own("RELEASE call"))),
        };
        if ended.is_err() {
            // What is neither done nor undone is not to be committed with what others did.
            let _ = unrefused(|| link.own("ROLLBACK"));
        }
        self.keeps_too_much |= !link.tidy(counted.balance(), self.database.path.is_none());
        match (result, ended) {
            (Ok(results), Ok(())) => Ok(results),
            (Ok(_), Err(code)) => Err(self.database.settled(link, code.into(), halt, self.quota)),
            (Err(fault), _) => Err(self.database.settled(link, fault, halt, self.quota)),
        }
    }

    /// Has those that succeeded share what their commit took.
    fn charge_all(&mut self) {
        let took = self.cpu_since();
        let succeeded = || self.done.iter().filter(|(_, result)| result.is_ok());
        let share = took / u32::try_from(succeeded().count().max(1)).unwrap_or(u32::MAX);
        succeeded().for_each(|(job, _)| job.call.budget.account.charge(share));
    }

    /// Commits, and answers; or has what was done done again, each call by itself. Whether calls may share a commit from now on.
    pub(super) fn finish(mut self, link: &mut Link, waiting: &mut VecDeque<Job>, is_fine: bool) -> bool {
        let was_given_up = !is_fine || link.connection.is_autocommit();
        let mut code = None;
        let mut size = None;
        if !was_given_up {
            let counted = Counted::begin(usize::MAX);
            size = link.size_to_be();
            code = link.often("COMMIT").err();
            link.tidy(counted.balance(), self.database.path.is_none());
            drop(counted);
            if code.is_some() && !link.connection.is_autocommit() {
                let _ = unrefused(|| link.own("ROLLBACK"));
            }
            self.charge_all();
        }
        let Self { database, done, quota, .. } = self;
        if let Some(size) = size.filter(|_| code.is_none()).or_else(|| link.size().ok()) {
            database.size.store(size, Ordering::Relaxed);
        }
        let size = database.size.load(Ordering::Relaxed);
        let was_lost = was_given_up || code.is_some();
        let is_alone = done.len() == 1;
        for (job, result) in done.into_iter().rev() {
            let result = match (result, &code) {
                (Ok(_), Some(code)) if is_alone => {
                    Err(database.told(database.settled(link, code.clone().into(), None, quota), quota))
                }
                // It was not answered yet, so nobody knows that it had been done.
                (Ok(_), _) if was_lost => {
                    waiting.push_front(job);
                    continue;
                }
                (Ok(mut results), _) => {
                    results.iter_mut().for_each(|result| result.size_after = size);
                    Ok(results)
                }
                (Err(error), _) => Err(error),
            };
            job.reply.send(result);
        }
        !was_lost
    }
}

/// Whether a call may set something that counts until the end of the transaction.
fn wants_its_own(operation: &SqlOperation) -> bool {
    match operation {
        SqlOperation::Batch(statements) => {
            statements.iter().any(|statement| first_word(&statement.text).eq_ignore_ascii_case("PRAGMA"))
        }
        SqlOperation::Script(_) => true,
    }
}
