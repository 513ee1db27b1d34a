//! What the host did about an app's workers.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a worker was replaced by a fresh one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// It came near its memory limit.
    Memory,
    /// Its thread is lost within the engine.
    Lost,
    /// Its thread was slowed down and could not be given its share back.
    Slow,
}

impl Replaced {
    /// All of them, in the order in which they are counted.
    pub(super) const ALL: [Replaced; 3] = [Replaced::Memory, Replaced::Lost, Replaced::Slow];

    pub(super) fn label(self) -> &'static str {
        match self {
            Replaced::Memory => "memory",
            Replaced::Lost => "lost",
            Replaced::Slow => "slow",
        }
    }
}

/// Why a guest was ended or not made for the sake of the process's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shortage {
    /// It was idle.
    Idle,
    /// It held the most.
    Largest,
    /// A fresh one was not made.
    Refused,
}

impl Shortage {
    /// All of them, in the order in which they are counted.
    pub(super) const ALL: [Shortage; 3] = [Shortage::Idle, Shortage::Largest, Shortage::Refused];

    pub(super) fn label(self) -> &'static str {
        match self {
            Shortage::Idle => "idle",
            Shortage::Largest => "largest",
            Shortage::Refused => "refused",
        }
    }
}

/// What came of a run of one of an app's triggers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheduling {
    /// It was done.
    Ok,
    /// It failed.
    Failed,
    /// It was not begun, for the one before it went on.
    Skipped,
}

impl Scheduling {
    /// All of them, in the order in which they are counted.
    pub(super) const ALL: [Scheduling; 3] = [Scheduling::Ok, Scheduling::Failed, Scheduling::Skipped];

    pub(super) fn label(self) -> &'static str {
        match self {
            Scheduling::Ok => "ok",
            Scheduling::Failed => "failed",
            Scheduling::Skipped => "skipped",
        }
    }
}

/// What the host did about the workers of one app since the process started. They are seldom, and any thread counts
/// them: real read-modify-writes. Relaxed, for only the figures count.
#[derive(Debug, Default)]
pub(crate) struct Interventions {
    replaced: [AtomicU64; Replaced::ALL.len()],
    shortages: [AtomicU64; Shortage::ALL.len()],
    scheduled: [AtomicU64; Scheduling::ALL.len()],
    lost: AtomicU64,
    lost_bytes: AtomicU64,
    slowed: AtomicU64,
    sleeps: AtomicU64,
    unserved: AtomicU64,
}

impl Interventions {
    /// The app's last worker went for want of requests.
    pub(crate) fn slept(&self) {
        self.sleeps.fetch_add(1, Ordering::Relaxed);
    }

    /// A request on a shared port was refused, for no worker took it in time.
    pub(crate) fn unserved(&self) {
        self.unserved.fetch_add(1, Ordering::Relaxed);
    }

    /// A fresh worker was started in the place of one.
    pub(crate) fn replaced(&self, why: Replaced) {
        self.replaced[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The process is short of memory, and this app had to do its part.
    pub(crate) fn shortage(&self, what: Shortage) {
        self.shortages[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// What came of a run of one of its triggers.
    pub(crate) fn scheduled(&self, what: Scheduling) {
        self.scheduled[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A worker is lost, and holds so many bytes for good.
    pub(crate) fn lost(&self, bytes: u64) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.lost_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A lost worker holds so many bytes more than it was lost with.
    pub(crate) fn lost_more(&self, bytes: u64) {
        self.lost_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A turn did not stop, and its thread was slowed down.
    pub(crate) fn slowed(&self) {
        self.slowed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn take(&self) -> InterventionsSnapshot {
        InterventionsSnapshot {
            replaced: std::array::from_fn(|index| self.replaced[index].load(Ordering::Relaxed)),
            shortages: std::array::from_fn(|index| self.shortages[index].load(Ordering::Relaxed)),
            scheduled: std::array::from_fn(|index| self.scheduled[index].load(Ordering::Relaxed)),
            lost: self.lost.load(Ordering::Relaxed),
            lost_bytes: self.lost_bytes.load(Ordering::Relaxed),
            slowed: self.slowed.load(Ordering::Relaxed),
            sleeps: self.sleeps.load(Ordering::Relaxed),
            unserved: self.unserved.load(Ordering::Relaxed),
        }
    }
}

/// [`Interventions`] at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct InterventionsSnapshot {
    /// By [`Replaced::ALL`].
    pub(super) replaced: [u64; Replaced::ALL.len()],
    /// By [`Shortage::ALL`].
    pub(super) shortages: [u64; Shortage::ALL.len()],
    /// By [`Scheduling::ALL`].
    pub(super) scheduled: [u64; Scheduling::ALL.len()],
    pub(super) lost: u64,
    pub(super) lost_bytes: u64,
    pub(super) slowed: u64,
    pub(super) sleeps: u64,
    pub(super) unserved: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_in_its_own_place() {
        let all = Interventions::default();
        for (index, why) in Replaced::ALL.into_iter().enumerate() {
            (0..=index).for_each(|_| all.replaced(why));
        }
        for (index, what) in Shortage::ALL.into_iter().enumerate() {
            (0..=index).for_each(|_| all.shortage(what));
        }
        for (index, what) in Scheduling::ALL.into_iter().enumerate() {
            (0..=index).for_each(|_| all.scheduled(what));
        }
        all.lost(5);
        all.lost(6);
        all.lost_more(7);
        all.slowed();
        all.slept();
        all.unserved();
        let expected = InterventionsSnapshot {
            replaced: [1, 2, 3],
            shortages: [1, 2, 3],
            scheduled: [1, 2, 3],
            lost: 2,
            lost_bytes: 18,
            slowed: 1,
            sleeps: 1,
            unserved: 1,
        };
        assert_eq!(all.take(), expected);
    }
}
