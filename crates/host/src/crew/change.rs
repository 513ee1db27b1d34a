//! Another version of an app takes the place of the one that serves.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::entry::{Crew, Member, Role};
use super::{Change, Entry, MAX_DRAINING, Refused, Registry};
use crate::worker::{Birth, Start};

impl Registry {
    /// This version of the app is to take the place of the one that serves, as soon as it is loaded. Until then, and if
    /// it cannot be, all stays as it is. Of several the last one counts. An app that is stopped starts in it later. Gives
    /// who is told how it went.
    pub(crate) fn change(&self, entry: &Entry, change: Change) -> oneshot::Receiver<Result<(), Refused>> {
        let (done, outcome) = oneshot::channel();
        let Change { app, engine, grants, files } = change;
        let before = (*entry.start()).clone();
        let kept = before.kept.as_ref().map(|_| Arc::default());
        let start = Arc::new(Start { app, engine, grants, files, kept, ..before });
        let mut crew = entry.crew();
        if entry.is_paused() {
            // Whoever starts the app starts this version.
            entry.runs(start);
            let _ = done.send(Ok(()));
            return outcome;
        }
        if crew.is_stopping {
            let _ = done.send(Err("the host stops".to_owned().into()));
            return outcome;
        }
        if let Some((_, done)) = crew.next.take() {
            let _ = done.send(Err(Refused::Superseded));
        }
        let serving = crew.youngest_but(0).map(|member| member.worker.inbox.clone());
        let is_superseded =
            |member: &&Member| member.role == Role::Coming && member.worker.birth != Birth::First;
        let superseded: Vec<u32> =
            crew.members.iter().filter(is_superseded).map(|member| member.worker.number).collect();
        for number in superseded {
            if let Some(done) = crew.find(number).and_then(|member| member.done.take()) {
                let _ = done.send(Err(Refused::Superseded));
            }
            // It may be accepting by now.
            crew.retire(number, serving.as_ref().unwrap_or_else(|| entry.lot_inbox()), None);
        }
        crew.next = Some((start, done));
        self.start_next(entry, &mut crew);
        outcome
    }

    /// Starts the version that waits, if it may.
    pub(super) fn start_next(&self, entry: &Entry, crew: &mut Crew) {
        if crew.count(Role::Draining) >= MAX_DRAINING || crew.has(Role::Coming) {
            return;
        }
        let Some((start, done)) = crew.next.take() else { return };
        match self.start_version(entry, crew, Birth::Version, start) {
            Ok(member) => member.done = Some(done),
            Err(error) => {
                let _ = done.send(Err(format!("cannot start a worker's thread: {error}").into()));
            }
        }
    }
}
