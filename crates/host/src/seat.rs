//! What a host finds when it starts: its sockets, and what its supervisor keeps of it beyond its death.

use std::num::NonZeroUsize;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use nexus_guest::Watch;

use crate::Sockets;
use crate::log::{Companions, OutputLock};
use crate::siblings::Sibling;
use crate::triggers::Right;

/// How many workers of one app at a time are told apart: those that serve, up to 32, and some that drain.
pub(crate) const SLOTS: usize = 40;

/// Why an app is not served that is set aside.
pub(crate) const SET_ASIDE: &str = "it was executing in three deaths of the host within a minute; its requests get 503 until nexus is started anew";

/// What a host starts on.
#[derive(Debug, Clone)]
pub struct Seat {
    pub(crate) sockets: Sockets,
    pub(crate) turns: Option<Turns>,
    /// The apps that are not to be started, by their places among those that were found.
    pub(crate) aside: Vec<usize>,
    /// Whether another host serves until this one does.
    pub(crate) takes_over: bool,
    /// What this host has of the whole; `None` for all of it.
    pub(crate) portion: Option<Portion>,
    /// For the log, which the supervisor and other hosts write to; `None` without a supervisor.
    pub(crate) output: Option<OutputLock>,
    /// For its apps' triggers, which one of two hosts fires.
    pub(crate) firing: Right,
}

/// What one of several hosts has of the whole.
#[derive(Debug, Clone)]
pub(crate) struct Portion {
    /// The host's number, from 1.
    pub(crate) number: usize,
    /// How many hosts there are.
    pub(crate) hosts: NonZeroUsize,
    /// Its apps, by their places among those that were found, in order.
    pub(crate) places: Arc<[usize]>,
    /// Where it answers the first host, if that answers anybody.
    pub(crate) socket: Option<Arc<UnixListener>>,
    /// The hosts that it answers for: for the first host all others.
    pub(crate) siblings: Vec<Sibling>,
}

impl Seat {
    /// The seat of a host without a supervisor.
    pub fn alone(sockets: Sockets) -> Self {
        Self {
            sockets,
            turns: None,
            aside: Vec::new(),
            takes_over: false,
            portion: None,
            output: None,
            firing: Right::alone(),
        }
    }

    /// The host's number, from 1, if it is one of several.
    pub fn number(&self) -> Option<usize> {
        self.portion.as_ref().map(|portion| portion.number)
    }

    /// What the host's log must know, if other processes write to the same output.
    pub fn companions(&self) -> Option<Companions> {
        self.output.clone().map(|lock| Companions::new(self.number(), lock))
    }

    /// Whether another host serves the same apps until this one does.
    pub fn takes_over(&self) -> bool {
        self.takes_over
    }

    /// How many hosts there are.
    pub(crate) fn hosts(&self) -> NonZeroUsize {
        self.portion.as_ref().map_or(NonZeroUsize::MIN, |portion| portion.hosts)
    }

    /// Whether the app at this place is the host's.
    pub(crate) fn has(&self, place: usize) -> bool {
        self.portion.as_ref().is_none_or(|portion| portion.places.binary_search(&place).is_ok())
    }

    /// The sockets.
    pub fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// What other threads, and the supervisor, see of a new worker of the app at this place.
    pub(crate) fn watch(&self, app: usize) -> Watch {
        self.turns.as_ref().and_then(|turns| turns.next(app)).map_or_else(Watch::new, Watch::on)
    }
}

/// Turn counters that the supervisor sees, too: [`SLOTS`] for each app.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    counters: &'static [AtomicU64],
    /// How many workers each app had so far.
    workers: Arc<[AtomicUsize]>,
}

impl Turns {
    pub(crate) fn new(counters: &'static [AtomicU64]) -> Self {
        let workers = (0..counters.len() / SLOTS).map(|_| AtomicUsize::new(0)).collect();
        Self { counters, workers }
    }

    /// The counter of the app's next worker: that of a worker so many before it, which has ended by then, or was given up
    /// and stores nothing there any more.
    fn next(&self, app: usize) -> Option<&'static AtomicU64> {
        // Relaxed: only the figure counts, and each call gets another.
        let number = self.workers.get(app)?.fetch_add(1, Ordering::Relaxed);
        let counter = self.counters.get(app * SLOTS + number % SLOTS)?;
        counter.store(0, Ordering::Relaxed);
        Some(counter)
    }
}

/// Which apps have a worker within a turn, by their places.
pub(crate) fn executing(counters: &[AtomicU64]) -> Vec<usize> {
    let is_odd = |counter: &AtomicU64| counter.load(Ordering::Relaxed) % 2 == 1;
    let apps = counters.chunks(SLOTS).enumerate();
    apps.filter(|(_, counters)| counters.iter().any(is_odd)).map(|(app, _)| app).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(apps: usize) -> &'static [AtomicU64] {
        Vec::leak((0..apps * SLOTS).map(|_| AtomicU64::new(0)).collect())
    }

    #[test]
    fn an_app_is_executing_while_any_of_its_workers_is_within_a_turn() {
        let counters = counters(3);
        let turns = Turns::new(counters);
        let watch = |app| Watch::on(turns.next(app).unwrap());
        let (draining, fresh, other) = (watch(1), watch(1), watch(2));
        assert_eq!(executing(counters), [0; 0]);
        let drains = draining.begin_turn();
        drop(fresh.begin_turn());
        assert_eq!(executing(counters), [1]);
        let _others = other.begin_turn();
        assert_eq!(executing(counters), [1, 2]);
        drop(drains);
        assert_eq!(executing(counters), [2]);
        assert_eq!(fresh.turn(), None);
        assert!(other.turn().is_some());
    }

    #[test]
    fn a_worker_starts_between_turns_whatever_its_predecessor_left() {
        let counters = counters(1);
        let turns = Turns::new(counters);
        for _ in 0..3 * SLOTS {
            let watch = Watch::on(turns.next(0).unwrap());
            assert_eq!(watch.turn(), None);
            std::mem::forget(watch.begin_turn());
        }
        assert!(turns.next(1).is_none(), "there is no such app");
    }

    #[test]
    fn a_worker_that_was_given_up_does_not_execute_and_leaves_its_place_to_others() {
        let counters = counters(1);
        let turns = Turns::new(counters);
        let burning = Watch::on(turns.next(0).unwrap());
        let goes_on = burning.begin_turn();
        assert_eq!(executing(counters), [0]);
        assert!(burning.give_up(burning.turn().unwrap()));
        assert_eq!(executing(counters), [0; 0]);
        let later: Vec<Watch> = (0..SLOTS).map(|_| Watch::on(turns.next(0).unwrap())).collect();
        let _turn = later[SLOTS - 1].begin_turn();
        assert_eq!(executing(counters), [0]);
        // Its turn comes to its end, and it stores nothing in the place that is another's by now.
        assert!(!burning.end_turn());
        assert_eq!(executing(counters), [0]);
        std::mem::forget(goes_on);
    }
}
