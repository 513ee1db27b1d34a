//! The process's file descriptors, shared out among all that accept connections; guests that connect to others get
//! some while there are plenty.
//!
//! They are one pool for all apps, and who opens connections faster than others would have it all. So each listening
//! loop may always have its fair share; beyond it, only while there is plenty for the others.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most descriptors that the process asks the system for.
const MOST: u64 = 65_536;
/// What connections do not get, as a part of all: for files, event loops, the log.
const RESERVED_PART: usize = 16;
/// From this part of all connections on nobody gets more than its share.
const PLENTY_PART: usize = 2;

/// How many connections the process may have, and has.
#[derive(Debug)]
pub(crate) struct Descriptors {
    most: usize,
    open: AtomicUsize,
    sharers: AtomicUsize,
}

// Orderings: all relaxed. They are counts that guard no memory; a look that comes a little late accepts or refuses one
// connection more or less.
impl Descriptors {
    /// So many connections for all.
    pub(crate) const fn new(most: usize) -> Self {
        Self { most, open: AtomicUsize::new(0), sharers: AtomicUsize::new(0) }
    }

    /// Those of this process. The first look at them raises the process's limit as far as it goes.
    pub(crate) fn of_process() -> &'static Self {
        static PROCESS: LazyLock<Descriptors> = LazyLock::new(|| {
            let limit = usize::try_from(raise_limit()).unwrap_or(usize::MAX);
            Descriptors::new(limit - limit / RESERVED_PART)
        });
        &PROCESS
    }

    /// Whether there is one to spare for a connection that a guest asks for: while there is plenty for those who come
    /// in, for who connects to others has no share of its own.
    pub(crate) fn may_spare(&self) -> bool {
        self.open.load(Ordering::Relaxed) < self.most / PLENTY_PART
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
        may_open(own, open, self.most, sharers)
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

/// Whether one of `sharers`, who has `own` of the `open` connections, may open another where there are `most` for all.
fn may_open(own: usize, open: usize, most: usize, sharers: usize) -> bool {
    own < most / sharers.max(1) || open < most / PLENTY_PART
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
    fn guests_that_connect_to_others_leave_half_of_all_to_those_who_come_in() {
        static SHARED: Descriptors = Descriptors::new(10);
        let _sharer = SHARED.share();
        for _ in 0..5 {
            assert!(SHARED.may_spare());
            SHARED.opened();
        }
        assert!(!SHARED.may_spare() && SHARED.may_open(0));
        SHARED.closed();
        assert!(SHARED.may_spare());
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
