//! The memory of all guests of the process, against what the process may hold.
//!
//! The kernel ends a process that takes more than its machine or control group grants, and V8 ends one whose heaps
//! fill the 4 GB cage that they share: both strike every app for what one did, or all did together. So the watchdog
//! looks at the sum every few hundredths of a second and acts long before: idle guests are ended first, those with
//! the most memory before the others, then the largest; while the sum stays above the budget no new guest is made.

mod grant;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use grant::granted;

const MB: u64 = 1 << 20;

/// The most that heaps and buffers of one process may hold together, in bytes, of the 4 GB that V8 can address: the
/// rest is for garbage that was not collected yet, for what guests take between two looks, and for fragmentation.
const CAGE: u64 = 2560 * MB;

/// What a fresh guest is taken to hold at most, in bytes. To end one that holds less frees nothing.
pub(crate) const FRESH: u64 = 8 * MB;

/// More lost workers than this, and the process is to be replaced: each holds a thread and its stack.
const MAX_LOST: u64 = 32;

/// A guest, as the ledger sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    /// What it holds, in bytes.
    pub(crate) memory: u64,
    /// Whether it has no request.
    pub(crate) is_idle: bool,
    /// Whether it was told to end, and is about to.
    pub(crate) is_ending: bool,
}

/// Why a guest was chosen to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relief {
    /// It was idle.
    Idle,
    /// None was idle, and it held the most.
    Largest,
}

/// Whom to end so that all together hold no more than `budget` bytes, of which `lost` are held for good: indices into
/// `accounts`, and why these. Nobody if they hold no more than that.
pub(crate) fn decide(budget: u64, lost: u64, accounts: &[Account]) -> Vec<(usize, Relief)> {
    let held = accounts.iter().map(|account| match account.is_ending {
        true => account.memory.min(FRESH),
        false => account.memory,
    });
    let sum = held.fold(lost, u64::saturating_add);
    if sum <= budget {
        return Vec::new();
    }
    // A little below the budget, or the next request would bring it above again.
    let mut excess = sum - budget / 20 * 19;
    let worth = |(_, account): &(usize, &Account)| account.memory > FRESH && !account.is_ending;
    let mut candidates: Vec<(usize, &Account)> = accounts.iter().enumerate().filter(worth).collect();
    candidates.sort_by_key(|(_, account)| (!account.is_idle, std::cmp::Reverse(account.memory)));
    let mut chosen = Vec::new();
    for (index, account) in candidates {
        if excess == 0 {
            break;
        }
        excess = excess.saturating_sub(account.memory - FRESH);
        chosen.push((index, if account.is_idle { Relief::Idle } else { Relief::Largest }));
    }
    chosen
}

/// The budget, and what is held for good.
#[derive(Debug)]
pub(crate) struct Ledger {
    budget: u64,
    /// Bytes that all guests held at the last look.
    held: AtomicU64,
    /// Bytes that lost workers hold.
    lost_bytes: AtomicU64,
    lost: AtomicU64,
}

// Orderings: all are figures that guard no other memory, so relaxed is enough.
impl Ledger {
    /// A ledger of `configured` bytes, or else of what the machine grants, for so many hosts, of which this is one; at
    /// most of what the cage holds.
    pub(crate) fn new(configured: Option<u64>, hosts: NonZeroUsize) -> Self {
        let budget = configured.or_else(granted).map_or(CAGE, |all| all / hosts.get() as u64).min(CAGE);
        Self { budget, held: 0.into(), lost_bytes: 0.into(), lost: 0.into() }
    }

    /// The budget in bytes.
    pub(crate) fn budget(&self) -> u64 {
        self.budget
    }

    /// What guests and lost workers held at the last look, in bytes.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed) + self.lost_bytes()
    }

    /// Whether they held more than the budget.
    pub(crate) fn is_over_budget(&self) -> bool {
        self.held() > self.budget
    }

    /// What lost workers hold, in bytes.
    pub(crate) fn lost_bytes(&self) -> u64 {
        self.lost_bytes.load(Ordering::Relaxed)
    }

    /// Notes what all guests hold together, in bytes.
    pub(crate) fn hold(&self, bytes: u64) {
        self.held.store(bytes, Ordering::Relaxed);
    }

    /// The guests to end; see [`decide`].
    pub(crate) fn decide(&self, accounts: &[Account]) -> Vec<(usize, Relief)> {
        decide(self.budget, self.lost_bytes(), accounts)
    }

    /// Whether there was room for a fresh guest at the last look.
    pub(crate) fn admits_a_guest(&self) -> bool {
        self.held().saturating_add(FRESH) <= self.budget
    }

    /// A lost worker holds so many bytes more than so far. Gives why the process is to be replaced, if it is.
    pub(crate) fn lose_more(&self, bytes: u64) -> Option<String> {
        self.lost_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.spent()
    }

    /// A worker is lost, with these bytes. Gives why the process is to be replaced, if it is.
    pub(crate) fn lose(&self, bytes: u64) -> Option<String> {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.lose_more(bytes)
    }

    /// Why the process is to be replaced, if it is.
    fn spent(&self) -> Option<String> {
        let (lost, bytes) = (self.lost.load(Ordering::Relaxed), self.lost_bytes());
        if lost <= MAX_LOST && bytes <= self.budget / 4 {
            return None;
        }
        let (mb, budget) = (bytes / MB, self.budget / MB);
        let workers =
            if lost == 1 { "1 lost worker holds".to_owned() } else { format!("{lost} lost workers hold") };
        Some(format!("{workers} {mb} MB of the process's {budget} MB"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn account(mb: u64, is_idle: bool) -> Account {
        Account { memory: mb * MB, is_idle, is_ending: false }
    }

    fn alone(budget: u64) -> Ledger {
        Ledger::new(Some(budget), NonZeroUsize::MIN)
    }

    #[test]
    fn within_the_budget_nobody_ends() {
        assert!(decide(100 * MB, 20 * MB, &[account(40, true), account(40, false)]).is_empty());
    }

    #[test]
    fn the_idle_end_first_and_of_those_the_largest() {
        let accounts = [account(60, false), account(20, true), account(5, true), account(30, true)];
        assert_eq!(decide(100 * MB, 0, &accounts), [(3, Relief::Idle)]);
        let both = [(3, Relief::Idle), (1, Relief::Idle)];
        assert_eq!(decide(90 * MB, 0, &accounts), both, "what holds less than a fresh one stays");
    }

    #[test]
    fn without_enough_idle_ones_the_largest_end() {
        let accounts = [account(10, true), account(40, false), account(90, false), account(30, false)];
        assert_eq!(decide(100 * MB, 0, &accounts), [(0, Relief::Idle), (2, Relief::Largest)]);
        assert_eq!(
            decide(100 * MB, 90 * MB, &accounts[1..]),
            [(1, Relief::Largest), (0, Relief::Largest), (2, Relief::Largest)]
        );
    }

    #[test]
    fn those_that_are_about_to_end_count_as_ended_and_are_not_told_again() {
        let mut accounts = [account(90, false), account(40, false)];
        assert_eq!(decide(100 * MB, 0, &accounts), [(0, Relief::Largest)]);
        accounts[0].is_ending = true;
        assert!(decide(100 * MB, 0, &accounts).is_empty());
        assert_eq!(decide(40 * MB, 0, &accounts), [(1, Relief::Largest)]);
    }

    #[test]
    fn a_fresh_guest_is_admitted_only_where_there_is_room() {
        let ledger = alone(100 * MB);
        let admits = |held: u64| {
            ledger.hold(held * MB);
            ledger.admits_a_guest()
        };
        assert!(admits(92) && !admits(93));
        assert_eq!(ledger.lose(20 * MB), None);
        assert!(admits(72) && !admits(73));
    }

    #[test]
    fn too_many_lost_workers_or_too_much_that_they_hold_spend_the_process() {
        let few = alone(400 * MB);
        assert_eq!(few.lose(100 * MB), None);
        let spent = few.lose(MB).unwrap_or_default();
        assert_eq!(spent, "2 lost workers hold 101 MB of the process's 400 MB");
        let growing = alone(400 * MB);
        assert_eq!(growing.lose(60 * MB), None);
        assert_eq!(growing.lose_more(40 * MB), None);
        let spent = growing.lose_more(MB).unwrap_or_default();
        assert_eq!(spent, "1 lost worker holds 101 MB of the process's 400 MB");
        let many = alone(400 * MB);
        assert!((0..MAX_LOST).all(|_| many.lose(1).is_none()));
        assert!(many.lose(1).is_some());
    }

    #[test]
    fn no_budget_is_above_what_the_cage_holds() {
        assert_eq!(alone(1 << 40).budget(), CAGE);
        assert!(Ledger::new(None, NonZeroUsize::MIN).budget() <= CAGE);
    }

    #[test]
    fn several_hosts_have_equal_parts_of_the_budget() {
        let budget = |mb: u64| Ledger::new(Some(mb * MB), NonZeroUsize::new(4).unwrap()).budget();
        assert_eq!(budget(1000), 250 * MB);
        assert_eq!(budget(100_000), CAGE);
    }

    proptest! {
        #[test]
        fn what_is_decided_is_enough_or_all_that_there_is(
            budget in 1..4000u64,
            lost in 0..500u64,
            accounts in proptest::collection::vec((0..500u64, any::<bool>(), any::<bool>()), 0..40),
        ) {
            let accounts: Vec<Account> = accounts
                .into_iter()
                .map(|(mb, is_idle, is_ending)| Account { memory: mb * MB, is_idle, is_ending })
                .collect();
            let chosen = decide(budget * MB, lost * MB, &accounts);
            let ends = |index: usize| chosen.iter().any(|(chosen, _)| *chosen == index);
            let after: u64 = accounts.iter().enumerate().map(|(index, account)| {
                if ends(index) || account.is_ending { account.memory.min(FRESH) } else { account.memory }
            }).sum();
            let left = accounts.iter().enumerate().any(|(index, account)| {
                !ends(index) && !account.is_ending && account.memory > FRESH
            });
            prop_assert!(after + lost * MB <= budget * MB || !left);
            for (index, relief) in &chosen {
                prop_assert_eq!(accounts[*index].is_idle, *relief == Relief::Idle);
            }
        }
    }
}
