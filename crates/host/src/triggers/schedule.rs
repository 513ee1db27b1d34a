//! When what is due, without a clock of its own.

use std::collections::BTreeMap;

use nexus_core::{AppName, CronPattern};

/// What is due: a pattern of an app, for a time in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) app: AppName,
    pub(super) cron: CronPattern,
    pub(super) time: u64,
}

/// A clock that is set back by more was wrong, in milliseconds: a day.
const FAR: u64 = 24 * 60 * 60 * 1000;

/// The times of all apps' patterns. Whoever asks says what time it is.
#[derive(Debug)]
pub(super) struct Schedule {
    slots: BTreeMap<(AppName, Box<str>), Slot>,
    /// What time it was last.
    seen: u64,
}

#[derive(Debug)]
struct Slot {
    cron: CronPattern,
    /// The last time that was due, if there was one.
    last: Option<u64>,
    /// The next time; `None` if there is none.
    next: Option<u64>,
}

impl Slot {
    /// Goes on with the first time after this one and after the last that was due.
    fn turn_to(&mut self, time: u64) {
        self.next = self.cron.next_after(self.last.map_or(time, |last| last.max(time)));
    }
}

impl Schedule {
    pub(super) fn new(now: u64) -> Self {
        Self { slots: BTreeMap::new(), seen: now }
    }

    /// From now on these are all patterns. One that was there before goes on; what comes begins with its next time.
    pub(super) fn set<'a>(&mut self, all: impl Iterator<Item = (&'a AppName, &'a CronPattern)>, now: u64) {
        let mut before = std::mem::take(&mut self.slots);
        for (app, cron) in all {
            let key = (app.clone(), Box::from(cron.as_str()));
            let slot = before.remove(&key).unwrap_or_else(|| {
                let mut slot = Slot { cron: cron.clone(), last: None, next: None };
                slot.turn_to(now);
                slot
            });
            self.slots.insert(key, slot);
        }
    }

    /// What is due by now: of each pattern one time at most, the latest.
    pub(super) fn due(&mut self, now: u64) -> Vec<Due> {
        if now < self.seen {
            // The clock was set back: what was not due so far may be sooner than it seemed. What was run while it was far
            // ahead, by mistake, is not to keep its pattern from running until then.
            let was_mistaken = self.seen - now > FAR;
            for slot in self.slots.values_mut() {
                slot.last = slot.last.filter(|_| !was_mistaken);
                slot.turn_to(now);
            }
        }
        self.seen = now;
        let mut due = Vec::new();
        for ((app, _), slot) in &mut self.slots {
            let Some(next) = slot.next.filter(|next| *next <= now) else { continue };
            let time = slot.cron.latest_at(now).unwrap_or(next).max(next);
            slot.last = Some(time);
            slot.turn_to(now);
            due.push(Due { app: app.clone(), cron: slot.cron.clone(), time });
        }
        due
    }

    /// The next time at which anything is due.
    pub(super) fn next(&self) -> Option<u64> {
        self.slots.values().filter_map(|slot| slot.next).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexus_core::parse_time;
    use proptest::prelude::*;

    const MINUTE: u64 = 60_000;

    fn app(name: &str) -> AppName {
        AppName::parse(name).unwrap()
    }

    fn cron(text: &str) -> CronPattern {
        text.parse().unwrap()
    }

    fn at(text: &str) -> u64 {
        parse_time(&format!("2026-07-01T{text}Z")).unwrap()
    }

    fn schedule(patterns: &[&str], now: u64) -> Schedule {
        let (app, patterns): (_, Vec<_>) = (app("a"), patterns.iter().map(|text| cron(text)).collect());
        let mut schedule = Schedule::new(now);
        schedule.set(patterns.iter().map(|cron| (&app, cron)), now);
        schedule
    }

    fn times(schedule: &mut Schedule, now: u64) -> Vec<u64> {
        schedule.due(now).into_iter().map(|due| due.time).collect()
    }

    #[test]
    fn a_time_is_due_once_and_not_before_it_is_there() {
        let mut schedule = schedule(&["*/5 * * * *"], at("12:00:00"));
        assert_eq!(schedule.next(), Some(at("12:05:00")), "what is just now was before it was there");
        assert_eq!(times(&mut schedule, at("12:04:59.999")), [0; 0]);
        assert_eq!(times(&mut schedule, at("12:05:00")), [at("12:05:00")]);
        assert_eq!(times(&mut schedule, at("12:05:00.5")), [0; 0]);
        assert_eq!(schedule.next(), Some(at("12:10:00")));
    }

    #[test]
    fn a_clock_that_was_far_ahead_keeps_no_pattern_from_running() {
        const DAY: u64 = 24 * 60 * MINUTE;
        let mut schedule = schedule(&["*/5 * * * *"], at("12:01:00"));
        assert_eq!(times(&mut schedule, at("12:01:00") + 300 * DAY).len(), 1);
        assert_eq!(times(&mut schedule, at("12:02:00")), [0; 0]);
        assert_eq!(times(&mut schedule, at("12:05:00")), [at("12:05:00")]);
    }

    #[test]
    fn missed_times_become_one_run_for_the_latest() {
        let mut schedule = schedule(&["*/5 * * * *", "0 * * * *"], at("12:01:00"));
        assert_eq!(times(&mut schedule, at("15:32:00")), [at("15:30:00"), at("15:00:00")][..]);
        assert_eq!(times(&mut schedule, at("15:34:00")), [0; 0]);
        assert_eq!(times(&mut schedule, at("15:35:10")), [at("15:35:00")]);
    }

    #[test]
    fn no_time_is_run_twice_when_the_clock_is_set_back() {
        let mut schedule = schedule(&["*/5 * * * *"], at("12:00:00"));
        assert_eq!(times(&mut schedule, at("12:10:00")), [at("12:10:00")]);
        assert_eq!(times(&mut schedule, at("12:03:00")), [0; 0]);
        assert_eq!(times(&mut schedule, at("12:05:00")), [0; 0]);
        assert_eq!(times(&mut schedule, at("12:14:59")), [0; 0]);
        assert_eq!(times(&mut schedule, at("12:15:00")), [at("12:15:00")]);
    }

    #[test]
    fn a_clock_that_was_wrong_before_anything_was_due_keeps_nothing_from_being_run() {
        let mut schedule = schedule(&["*/5 * * * *"], at("22:00:00"));
        assert_eq!(times(&mut schedule, at("12:00:00")), [0; 0]);
        assert_eq!(schedule.next(), Some(at("12:05:00")));
        assert_eq!(times(&mut schedule, at("12:05:00")), [at("12:05:00")]);
    }

    #[test]
    fn what_stays_goes_on_and_what_comes_begins_with_its_next_time() {
        let (a, every, hourly) = (app("a"), cron("*/5 * * * *"), cron("0 * * * *"));
        let mut schedule = schedule(&["*/5 * * * *"], at("12:00:00"));
        // Another version comes between a time and the look at it.
        schedule.set([(&a, &every), (&a, &hourly)].into_iter(), at("13:00:10"));
        assert_eq!(times(&mut schedule, at("13:00:10")), [at("13:00:00")]);
        schedule.set([(&a, &hourly)].into_iter(), at("13:00:20"));
        assert_eq!(schedule.next(), Some(at("14:00:00")));
        schedule.set([].into_iter(), at("13:00:30"));
        assert_eq!((schedule.next(), schedule.due(at("15:00:00")).len()), (None, 0));
    }

    /// Looks at every minute, and knows nothing of next times.
    struct Naive {
        patterns: Vec<(CronPattern, Option<u64>)>,
        seen: u64,
    }

    impl Naive {
        fn due(&mut self, now: u64) -> Vec<u64> {
            let minutes = (self.seen / MINUTE..=now / MINUTE).map(|minute| minute * MINUTE);
            let minutes: Vec<u64> = minutes.filter(|time| *time > self.seen).collect();
            self.seen = now;
            let due = self.patterns.iter_mut().filter_map(|(cron, last)| {
                let fits = |time: &&u64| cron.next_after(**time - 1) == Some(**time);
                let latest = minutes.iter().rev().find(fits).copied();
                let due = latest.filter(|time| last.is_none_or(|last| *time > last))?;
                *last = Some(due);
                Some(due)
            });
            due.collect()
        }
    }

    proptest! {
        #[test]
        fn whatever_the_clock_does_what_is_due_is_what_a_look_at_every_minute_finds(
            begin in 1_700_000_000_000..1_800_000_000_000u64,
            steps in proptest::collection::vec(prop_oneof![
                4 => 0..90_000i64,
                1 => 0..20_000_000i64,
                1 => -10_000_000..0i64,
                1 => -2_000..2_000i64,
            ], 1..60),
            chosen in proptest::sample::subsequence(
                vec!["* * * * *", "*/2 * * * *", "*/7 * * * *", "30 * * * *", "5 */3 * * *", "0 0 * * *", "1-9 * * * MON"], 1..4),
        ) {
            let mut schedule = schedule(&chosen, begin);
            // In the schedule's order.
            let mut sorted = chosen.clone();
            sorted.sort_unstable();
            let patterns = sorted.iter().map(|text| (cron(text), None)).collect();
            let mut naive = Naive { patterns, seen: begin };
            let mut now = begin;
            let mut run = Vec::new();
            for step in steps {
                now = now.saturating_add_signed(step);
                let due = schedule.due(now);
                prop_assert_eq!(due.iter().map(|due| due.time).collect::<Vec<_>>(), naive.due(now));
                prop_assert!(schedule.next().is_some_and(|next| next > now));
                run.extend(due.into_iter().map(|due| (due.cron.to_string(), due.time)));
            }
            let count = run.len();
            run.sort();
            run.dedup();
            prop_assert_eq!(run.len(), count, "a time was run twice");
        }
    }
}
