//! Apps that are stopped for a while, or for good.

use std::io;
use std::sync::{Arc, PoisonError, mpsc};
use std::time::Instant;

use nexus_guest::FailureKind;

use super::entry::{Crew, Role};
use super::{Entry, Registry, SWITCHED};
use crate::http::Inbox;
use crate::worker::{Birth, Control, OnceAll};

/// A command to an app's workers. Whoever gave it can wait until it has reached them.
#[must_use]
pub(crate) struct Commanded(mpsc::Receiver<()>);

impl Commanded {
    fn new() -> (Arc<OnceAll>, Self) {
        let (told, heard) = mpsc::sync_channel(1);
        let tell = move || {
            // Whoever waited may have gone on.
            let _ = told.try_send(());
        };
        (Arc::new(OnceAll::new(tell)), Self(heard))
    }

    /// Waits until no worker takes a request any more that comes from now on. One that is in the middle of a long turn,
    /// or lost, is not waited for longer than a second.
    pub(crate) fn wait(self) {
        let _ = self.0.recv_timeout(SWITCHED);
    }
}

impl Registry {
    /// Has all workers of the app finish what they have in flight and end, and starts none until [`Registry::resume`].
    /// Its connections stay open meanwhile; what they ask for goes to `aside`. On a shared port there is no need for it.
    pub(crate) fn pause(&self, entry: &Entry, aside: Option<&Inbox>) -> Commanded {
        let mut crew = entry.crew();
        let (told, commanded) = Commanded::new();
        no_more(entry, &mut crew);
        crew.aside = aside.cloned();
        let numbers: Vec<u32> = crew.members.iter().map(|member| member.worker.number).collect();
        for number in numbers {
            crew.retire(number, entry.lot_inbox(), Some(told.clone()));
        }
        drop(crew);
        entry.refuse_mail();
        // Some may have asked before there was anybody to answer.
        self.wanted(entry);
        commanded
    }

    /// Has all workers of the app finish what they have in flight and end, for good; connections are closed.
    pub(crate) fn end(&self, entry: &Entry) -> Commanded {
        let mut crew = entry.crew();
        let (told, commanded) = Commanded::new();
        no_more(entry, &mut crew);
        for member in &mut crew.members {
            // One that is still to serve does not do so any more.
            member.role = Role::Draining;
            member.worker.inbox.close();
            member.worker.command(Control::Stop(Some(told.clone())));
        }
        drop(crew);
        entry.lot().close();
        entry.refuse_mail();
        commanded
    }

    /// Starts a worker for an app that was stopped. Until it has loaded the app, it answers 503.
    ///
    /// # Errors
    /// When the system gives no thread; the app stays stopped then.
    pub(crate) fn resume(&self, entry: &Entry) -> io::Result<()> {
        let mut crew = entry.crew();
        self.start_worker(entry, &mut crew, Birth::Successor { not_before: Instant::now() })?;
        crew.is_stopping = false;
        crew.aside = None;
        entry.set_paused(false);
        drop(crew);
        self.changed.notify_one();
        Ok(())
    }

    /// Forgets a stopped app; what its workers tell until they have ended is still heard.
    pub(crate) fn remove(&self, entry: &Arc<Entry>) {
        self.inside.remove(entry);
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

/// No worker is started for the app any more.
fn no_more(entry: &Entry, crew: &mut Crew) {
    entry.set_paused(true);
    crew.is_stopping = true;
    crew.wakes();
    if let Some((_, done)) = crew.next.take() {
        let _ = done.send(Err("the app was stopped".to_owned().into()));
    }
}

impl Entry {
    /// Answers the requests with 503 that no worker has taken, of those that come by mail.
    pub(super) fn refuse_mail(&self) {
        self.mail().fail_all(&FailureKind::Unavailable.into());
    }
}
