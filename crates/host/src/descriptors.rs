//! The process's file descriptors, shared out among all that accept connections, and all whose guests connect to others.
//!
//! They are one pool for all apps, and who opens connections faster than others would have it all. So each listening
//! loop may always have its fair share; beyond it, only while there is plenty for the others. Workers whose guests may
//! connect to others share one half of all in the same way, and who accepts shares what they leave.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use nexus_guest::SocketBudget;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most descriptors that the process asks the system for.
const MOST: u64 = 65_536;
/// What connections do not get, as a part of all: for files, event loops, the log.
const RESERVED_PART: usize = 16;
/// From this part of all connections on nobody gets more than its share.
const PLENTY_PART: usize = 2;
/// What those get together that guests open to others, as a part of all connections.
const OUTGOING_PART: usize = 2;

/// How many connections the process may have, and has.
#[derive(Debug)]
pub(crate) struct Descriptors {
    most: usize,
    open: AtomicUsize,
    sharers: AtomicUsize,
    /// Those of the open ones that guests have to others.
    outgoing: AtomicUsize,
    /// How many share those.
    connectors: AtomicUsize,
}

// Orderings: all relaxed. They are counts that guard no memory; a look that comes a little late accepts or refuses one
// connection more or less.
impl Descriptors {
    /// So many connections for all.
    pub(crate) const fn new(most: usize) -> Self {
        Self {
            most,
            open: AtomicUsize::new(0),
            sharers: AtomicUsize::new(0),
            outgoing: AtomicUsize::new(0),
            connectors: AtomicUsize::new(0),
        }
    }

    /// Those of this process. The first look at them raises the process's limit as far as it goes.
    pub(crate) fn of_process() -> &'static Self {
        static PROCESS: LazyLock<Descriptors> = LazyLock::new(|| {
            let limit = usize::try_from(raise_limit()).unwrap_or(usize::MAX);
            Descriptors::new(limit - limit / RESERVED_PART)
        });
        &PROCESS
    }

    /// A connection was opened.
    pub(crate) fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was closed.
    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// One more that shares, until it is dropped.
    pub(crate) fn share(&'static self) -> Sharer {
        self.sharers.fetch_add(1, Ordering::Relaxed);
        Sharer(self)
    }

    /// Whether somebody who has `own` connections may open another.
    pub(crate) fn may_open(&self, own: usize) -> bool {
        let (open, sharers) = (self.open.load(Ordering::Relaxed), self.sharers.load(Ordering::Relaxed));
        let outgoing = self.outgoing.load(Ordering::Relaxed);
        may_open(own, open.saturating_sub(outgoing), self.most.saturating_sub(outgoing), sharers)
    }

    /// One more whose guests connect to others, if they may.
    pub(crate) fn connector(&'static self, may_connect: bool) -> Arc<Connector> {
        if may_connect {
            self.connectors.fetch_add(1, Ordering::Relaxed);
        }
        Arc::new(Connector { process: self, own: AtomicUsize::new(0), shares: may_connect })
    }
}

/// One of those that share the descriptors.
#[derive(Debug)]
pub(crate) struct Sharer(&'static Descriptors);

impl Drop for Sharer {
    fn drop(&mut self) {
        self.0.sharers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One of those whose guests connect to others: a worker's part, while it is loaded and as long as it has a socket.
#[derive(Debug)]
pub(crate) struct Connector {
    process: &'static Descriptors,
    /// Its sockets that are open.
    own: AtomicUsize,
    shares: bool,
}

impl SocketBudget for Connector {
    fn may_open(&self) -> bool {
        let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let Descriptors { most, open, outgoing, connectors, .. } = self.process;
        may_connect(of(&self.own), of(outgoing), of(open), *most, of(connectors))
    }

    fn opened(&self) {
        self.own.fetch_add(1, Ordering::Relaxed);
        self.process.outgoing.fetch_add(1, Ordering::Relaxed);
        self.process.opened();
    }

    fn closed(&self) {
        self.process.closed();
        self.process.outgoing.fetch_sub(1, Ordering::Relaxed);
        self.own.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        if self.shares {
            self.process.connectors.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Whether one of `sharers`, who has `own` of the `open` connections, may open another where there are `most` for all.
fn may_open(own: usize, open: usize, most: usize, sharers: usize) -> bool {
    // Where there are more who share than connections, who has none may have one as long as there is any.
    let plenty = if own == 0 { most } else { most / PLENTY_PART };
    own < most / sharers.max(1) || open < plenty
}

/// Whether one of `connectors`, who has `own` of the `outgoing` connections, may open another where `open` of the `most`
/// for all are there. Its share is one at least, however many they are. Beyond it only while there is plenty for the
/// others who connect, and for those who come in.
fn may_connect(own: usize, outgoing: usize, open: usize, most: usize, connectors: usize) -> bool {
    let part = most / OUTGOING_PART;
    let has_plenty = outgoing < part / PLENTY_PART && open < most / PLENTY_PART;
    open < most && (own < (part / connectors.max(1)).max(1) || has_plenty)
}

/// Raises the process's limit of open descriptors to what the system allows it, up to [`MOST`]. Gives the limit.
fn raise_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(MOST);
    let wanted = limit.maximum.map_or(MOST, |most| most.min(MOST));
    if wanted <= current {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }) {
        Ok(()) => wanted,
        Err(_) => current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_alone_may_have_all() {
        assert!(may_open(999, 999, 1000, 1));
        assert!(!may_open(1000, 1000, 1000, 1));
    }

    #[test]
    fn beyond_its_share_nobody_gets_more_than_leaves_plenty() {
        // Ten share a thousand.
        assert!(may_open(100, 100, 1000, 10), "there is plenty");
        assert!(may_open(499, 499, 1000, 10));
        assert!(!may_open(500, 500, 1000, 10), "half of all are open");
        assert!(may_open(0, 500, 1000, 10), "a neighbour still may");
        assert!(may_open(99, 900, 1000, 10));
        assert!(!may_open(100, 900, 1000, 10), "it has its share");
    }

    #[test]
    fn who_holds_ten_thousand_keeps_no_neighbour_from_its_share() {
        // The greedy ask as often as they like; who comes afterwards gets its tenth.
        for greedy in 1..10 {
            let (mut own, mut open) = (vec![0; greedy], 0);
            for _ in 0..20_000 {
                for own in &mut own {
                    if may_open(*own, open, 10_000, 10) {
                        *own += 1;
                        open += 1;
                    }
                }
            }
            let mut neighbour = 0;
            while may_open(neighbour, open, 10_000, 10) && open < 10_000 {
                neighbour += 1;
                open += 1;
            }
            assert_eq!(neighbour, 1000, "beside {greedy} greedy ones");
        }
    }

    #[test]
    fn the_process_has_as_many_as_the_system_allows() {
        let limit = raise_limit();
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current, Some(limit));
        assert!(limit >= now.maximum.map_or(MOST, |most| most.min(MOST)));
    }

    #[test]
    fn who_connects_alone_may_have_half_of_all() {
        assert!(may_connect(499, 499, 499, 1000, 1));
        assert!(!may_connect(500, 500, 500, 1000, 1));
    }

    #[test]
    fn beyond_its_share_nobody_connects_more_than_leaves_plenty() {
        // Ten share five hundred.
        assert!(may_connect(50, 50, 50, 1000, 10), "there is plenty");
        assert!(may_connect(249, 249, 249, 1000, 10));
        assert!(!may_connect(250, 250, 250, 1000, 10), "half of them are open");
        assert!(!may_connect(50, 50, 500, 1000, 10), "those who come in have little left");
        assert!(may_connect(0, 250, 250, 1000, 10), "a neighbour still may");
        assert!(may_connect(49, 499, 999, 1000, 10));
        assert!(!may_connect(50, 499, 600, 1000, 10), "it has its share");
        assert!(!may_connect(0, 0, 1000, 1000, 10), "nothing is left");
    }

    #[test]
    fn who_connects_ten_thousand_times_keeps_no_neighbour_from_its_share() {
        for greedy in 1..10 {
            let (mut own, mut open) = (vec![0; greedy], 0);
            for _ in 0..20_000 {
                for own in &mut own {
                    if may_connect(*own, open, open, 10_000, 10) {
                        *own += 1;
                        open += 1;
                    }
                }
            }
            let mut neighbour = 0;
            while may_connect(neighbour, open, open, 10_000, 10) {
                neighbour += 1;
                open += 1;
            }
            assert_eq!(neighbour, 500, "beside {greedy} greedy ones");
            assert!(open <= 7_500, "{open} leave too few to those who come in");
        }
    }

    #[test]
    fn who_connects_and_who_accepts_leave_each_other_their_parts() {
        static SHARED: Descriptors = Descriptors::new(12);
        let _sharer = SHARED.share();
        let (one, other, none) = (SHARED.connector(true), SHARED.connector(true), SHARED.connector(false));
        for _ in 0..3 {
            assert!(one.may_open());
            one.opened();
        }
        assert!(!one.may_open() && other.may_open(), "each has three");
        // Who accepts has what is left.
        for own in 0..9 {
            assert!(SHARED.may_open(own));
            SHARED.opened();
        }
        assert!(!other.may_open() && !SHARED.may_open(9));
        SHARED.closed();
        assert!(other.may_open());
        one.closed();
        assert!(one.may_open());
        drop(other);
        // With half of them to itself.
        assert_eq!(SHARED.connectors.load(Ordering::Relaxed), 1);
        drop(none);
        assert_eq!(SHARED.connectors.load(Ordering::Relaxed), 1);
        one.closed();
        one.closed();
        drop(one);
        let counts = [&SHARED.connectors, &SHARED.outgoing].map(|count| count.load(Ordering::Relaxed));
        assert_eq!((counts, SHARED.open.load(Ordering::Relaxed)), ([0, 0], 8));
    }

    #[test]
    fn however_many_share_each_may_have_one() {
        // A thousand share ten.
        assert!(may_open(0, 9, 10, 1000) && !may_open(1, 9, 10, 1000));
        assert!(may_connect(0, 5, 9, 10, 1000) && !may_connect(1, 5, 9, 10, 1000));
        assert!(!may_open(0, 10, 10, 1000) && !may_connect(0, 5, 10, 10, 1000), "nothing is left");
    }

    #[test]
    fn sharers_and_connections_are_counted() {
        static SHARED: Descriptors = Descriptors::new(4);
        let sharers = [SHARED.share(), SHARED.share()];
        for _ in 0..2 {
            SHARED.opened();
        }
        assert!(!SHARED.may_open(2) && SHARED.may_open(1));
        drop(sharers);
        assert!(SHARED.may_open(2));
        SHARED.closed();
        SHARED.closed();
        assert_eq!(SHARED.open.load(Ordering::Relaxed), 0);
    }
}
