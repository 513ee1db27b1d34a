//! How many workers an app has: helpers for one with much to do, none for one that nobody asks for anything.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nexus_guest::Level;

use super::entry::{Asleep, Crew, Role};
use super::{Entry, NO_RELIEF, Registry, lot};
use crate::worker::{Birth, Control, Event};

/// A worker that helps is let go so long after the last change at the soonest.
const STEADY: Duration = Duration::from_secs(10);

impl Registry {
    /// A part of the open connections goes to a worker that came to help.
    pub(super) fn share(&self, crew: &Crew, number: u32) {
        let serving = crew.count(Role::Serving).max(2);
        let Some(helper) = crew.members.iter().find(|member| member.worker.number == number) else { return };
        for member in &crew.members {
            if member.role == Role::Serving && member.worker.number != number {
                let count = member.worker.connections.load(Ordering::Relaxed) / serving;
                member.worker.command(Control::Share(helper.worker.inbox.clone(), count));
            }
        }
    }

    /// Starts a worker more if there are fewer than the app is always to have, or than it had before it changed.
    pub(super) fn keep_some(&self, entry: &Entry, crew: &mut Crew) {
        let (scale, serving) = (entry.scale(), crew.count(Role::Serving));
        if serving >= crew.restores.min(scale.workers) {
            crew.restores = 0;
        }
        // A version that waits has its own.
        let restored = if crew.next.is_some() { 0 } else { crew.restores.min(scale.workers) };
        let least = scale.min_workers.max(restored);
        if serving > 0 && serving < least && !crew.has(Role::Coming) {
            self.start_extra(entry, crew);
        }
    }

    fn start_extra(&self, entry: &Entry, crew: &mut Crew) {
        let now = Instant::now();
        if crew.no_help_before.is_some_and(|time| now < time) {
            return;
        }
        if let Err(error) = self.start_worker(entry, crew, Birth::Extra) {
            crew.no_help_before = Some(now + NO_RELIEF);
            crew.restores = 0;
            self.tell(entry, Level::Error, format!("cannot start a worker's thread: {error}"));
        }
    }

    /// A worker has more to do than it can: another one helps.
    pub(super) fn help(&self, entry: &Entry) {
        let mut crew = entry.crew();
        let most = entry.scale().workers;
        if crew.is_stopping || crew.has(Role::Coming) || crew.count(Role::Serving) >= most {
            return;
        }
        if crew.has(Role::Serving) {
            self.start_extra(entry, &mut crew);
        }
    }

    /// A worker has little to do: the youngest one goes.
    pub(super) fn spare(&self, entry: &Entry, number: u32) {
        let mut crew = entry.crew();
        let least = entry.scale().min_workers.max(1);
        let is_steady = crew.scaled.is_none_or(|time| time.elapsed() >= STEADY);
        if crew.is_stopping || !is_steady || crew.has(Role::Coming) || crew.count(Role::Serving) <= least {
            return;
        }
        let youngest = crew.youngest_but(0).map(|member| member.worker.number);
        let Some(youngest) = youngest.filter(|_| crew.find(number).is_some()) else { return };
        let Some(other) = crew.youngest_but(youngest).map(|member| member.worker.inbox.clone()) else {
            return;
        };
        crew.retire(youngest, &other, None);
        crew.restores = 0;
        crew.scaled = Some(Instant::now());
    }

    /// A worker had no request for the app's `idle` time, or shortly if the process is short of memory: it goes.
    pub(super) fn idle(&self, entry: &Entry, number: u32, pressed: bool) {
        let mut crew = entry.crew();
        let crew = &mut *crew;
        let is_serving = crew.find(number).is_some_and(|member| member.role == Role::Serving);
        if crew.is_stopping || !is_serving {
            return;
        }
        let serving = crew.count(Role::Serving);
        let has_mail = entry.mail().has_some();
        let is_asked_for = crew.has(Role::Coming) || entry.lot().has_ready() || has_mail;
        if serving <= entry.scale().min_workers || is_asked_for {
            if pressed && let Some(member) = crew.find(number) {
                member.worker.command(Control::Yield { even_if_busy: false });
            }
            return;
        }
        let to = crew.youngest_but(number).map(|member| member.worker.inbox.clone());
        crew.restores = 0;
        crew.retire(number, to.as_ref().unwrap_or_else(|| entry.lot_inbox()), None);
        if to.is_none() {
            self.falls_asleep(entry, crew);
        }
    }

    /// The app has no worker from now on, until somebody connects.
    pub(super) fn falls_asleep(&self, entry: &Entry, crew: &mut Crew) {
        let start = entry.start();
        let watcher = (!start.is_shared).then(|| {
            let (socket, events, app) = (start.socket.clone(), start.events.clone(), entry.index);
            let watcher = tokio::spawn(async move {
                lot::somebody(socket).await;
                let _ = events.send(Event::Wanted { app });
            });
            watcher.abort_handle()
        });
        crew.asleep = Some(Asleep(watcher));
        start.interventions.slept();
    }

    /// Somebody connects to an app that has no worker, or one of its connections sends a request.
    pub(super) fn wanted(&self, entry: &Entry) {
        let mut crew = entry.crew();
        let has_failed = self.has_failed(entry);
        if crew.is_stopping || has_failed {
            // They came when no worker took requests any more.
            entry.refuse_mail();
        }
        if crew.is_stopping || has_failed {
            if let Some(aside) = &crew.aside {
                entry.lot().take_ready().into_iter().for_each(|moving| aside.put(moving));
            }
            return;
        }
        if !crew.has(Role::Serving) && !crew.has(Role::Coming) {
            crew.wakes();
            self.succeed(entry, &mut crew, Duration::ZERO);
        }
        if let Some(taker) = crew.taker() {
            entry.lot().take_ready().into_iter().for_each(|moving| taker.put(moving));
        }
    }
}
