//! Apps that are stopped for a while, or for good.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use nexus_guest::FailureKind;

use super::entry::Role;
use super::{Entry, Registry};
use crate::worker::{Birth, Control};

impl Registry {
    /// Has all workers of the app finish what they have in flight and end, and starts none until [`Registry::resume`].
    pub(crate) fn pause(&self, entry: &Entry) {
        let mut crew = entry.crew();
        entry.set_paused(true);
        crew.is_stopping = true;
        crew.wakes();
        if let Some((_, done)) = crew.next.take() {
            let _ = done.send(Err("the app was stopped".to_owned().into()));
        }
        for member in &mut crew.members {
            // One that is still to serve does not do so any more.
            member.role = Role::Draining;
            member.worker.inbox.close();
            member.worker.command(Control::Stop);
        }
        drop(crew);
        entry.lot().empty();
        entry.refuse_mail();
    }

    /// Starts a worker for an app that was stopped. Until it has loaded the app, it answers 503.
    ///
    /// # Errors
    /// When the system gives no thread; the app stays stopped then.
    pub(crate) fn resume(&self, entry: &Entry) -> io::Result<()> {
        let mut crew = entry.crew();
        self.start_worker(entry, &mut crew, Birth::Successor { not_before: Instant::now() })?;
        crew.is_stopping = false;
        entry.lot().reopen();
        entry.set_paused(false);
        Ok(())
    }

    /// Forgets a stopped app; what its workers tell until they have ended is still heard.
    pub(crate) fn remove(&self, entry: &Arc<Entry>) {
        let entries = &mut self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let leaving = &mut self.leaving.write().unwrap_or_else(PoisonError::into_inner);
        entries.remove(&entry.index);
        leaving.insert(entry.index, entry.clone());
    }

    /// Nothing is left to be heard of an app that was removed.
    pub(crate) fn has_left(&self, entry: &Entry) {
        self.leaving.write().unwrap_or_else(PoisonError::into_inner).remove(&entry.index);
    }

    pub(super) fn all_leaving(&self) -> Vec<Arc<Entry>> {
        self.leaving.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl Entry {
    /// Answers the requests of a shared port with 503 that no worker has taken.
    pub(super) fn refuse_mail(&self) {
        if let Some(mail) = self.mail() {
            mail.fail_all(&FailureKind::Unavailable.into());
        }
    }
}
