//! Numbers that one thread writes and any thread reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A counter with one writing thread.
///
/// Adding is a relaxed load and a relaxed store, not an atomic read-modify-write: with a single
/// writer nothing can come between the two, and the processor needs no locked instruction on a path that every
/// request takes. Relaxed is enough because a reader only wants the number, not what was written before
/// it. If two threads add to one counter, counts get lost, and nothing else happens.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Adds; for the counter's one writing thread.
    #[inline]
    pub(super) fn add(&self, count: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// The count.
    #[inline]
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down, with one writing thread like a [`Counter`].
#[derive(Debug, Default)]
pub(super) struct Gauge(AtomicU64);

impl Gauge {
    /// Sets the number.
    #[inline]
    pub(super) fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// The number.
    #[inline]
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The buckets' upper bounds in nanoseconds, each with its text in seconds. A last bucket has none.
pub(super) const LATENCY_BOUNDS: [(u64, &str); 14] = [
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (2_500_000_000, "2.5"),
    (5_000_000_000, "5"),
    (10_000_000_000, "10"),
];

/// How many durations fell into which bucket, with one writing thread like a [`Counter`].
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// Not cumulative, so that an observation writes to one of them only.
    buckets: [Counter; LATENCY_BOUNDS.len() + 1],
    nanos: Counter,
}

impl Histogram {
    /// Adds a duration; for the histogram's one writing thread.
    #[inline]
    pub(super) fn observe(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        // Most requests are in the first buckets: a search from the start is over soonest.
        let bucket = LATENCY_BOUNDS.iter().position(|(bound, _)| nanos <= *bound);
        self.buckets[bucket.unwrap_or(LATENCY_BOUNDS.len())].add(1);
        self.nanos.add(nanos);
    }

    /// Adds all that another one has; for the histogram's one writing thread.
    pub(super) fn absorb(&self, other: &Self) {
        for (own, other) in self.buckets.iter().zip(&other.buckets) {
            own.add(other.get());
        }
        self.nanos.add(other.nanos.get());
    }
}

/// A histogram as it is at one moment, or the sum of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct HistogramSnapshot {
    /// Counts, not cumulative; the last bucket has no bound.
    pub(super) buckets: [u64; LATENCY_BOUNDS.len() + 1],
    /// The sum of the durations in nanoseconds.
    pub(super) nanos: u64,
}

impl HistogramSnapshot {
    pub(super) fn add(&mut self, histogram: &Histogram) {
        for (total, bucket) in self.buckets.iter_mut().zip(&histogram.buckets) {
            *total += bucket.get();
        }
        self.nanos += histogram.nanos.get();
    }

    /// The time in seconds within which this part of the durations lies, about: within a bucket they are taken as evenly
    /// spread. `None` if there were none; the last bucket counts as its lower bound.
    pub(super) fn quantile(&self, part: f64) -> Option<f64> {
        let count = self.count();
        let rank = part * count as f64;
        let (mut before, mut lower) = (0.0, 0.0);
        for (at, &bucket) in self.buckets.iter().enumerate() {
            let Some((upper, _)) = LATENCY_BOUNDS.get(at) else { break };
            let upper = *upper as f64 / 1e9;
            let within = bucket as f64;
            if bucket > 0 && before + within >= rank {
                return Some(lower + (upper - lower) * ((rank - before) / within).clamp(0.0, 1.0));
            }
            (before, lower) = (before + within, upper);
        }
        (count > 0).then_some(lower)
    }

    /// How many durations there were.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_bucket_whose_bound_it_does_not_pass() {
        let histogram = Histogram::default();
        for micros in [0, 500, 501, 10_000_000, 10_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut sum = HistogramSnapshot::default();
        sum.add(&histogram);
        let HistogramSnapshot { buckets, nanos } = sum;
        assert_eq!((buckets[0], buckets[1], buckets[13], buckets[14]), (2, 1, 1, 1));
        assert_eq!(nanos, 20_001_002_000);
    }

    #[test]
    fn a_quantile_lies_in_the_bucket_that_it_falls_into() {
        assert_eq!(HistogramSnapshot::default().quantile(0.5), None);
        let histogram = Histogram::default();
        (0..99).for_each(|_| histogram.observe(Duration::from_micros(800)));
        histogram.observe(Duration::from_millis(80));
        let mut sum = HistogramSnapshot::default();
        sum.add(&histogram);
        let within = |part, from: f64, to: f64| (from..=to).contains(&sum.quantile(part).unwrap());
        assert!(within(0.5, 0.0005, 0.001) && within(0.99, 0.0005, 0.001) && within(1.0, 0.05, 0.1));
        let slow = Histogram::default();
        slow.observe(Duration::from_secs(60));
        let mut sum = HistogramSnapshot::default();
        sum.add(&slow);
        assert_eq!(sum.quantile(0.5), Some(10.0));
    }

    #[test]
    fn bounds_rise_and_their_texts_say_the_same_number() {
        assert!(LATENCY_BOUNDS.is_sorted());
        for (nanos, text) in LATENCY_BOUNDS {
            assert_eq!(text.parse::<f64>().unwrap(), nanos as f64 / 1e9);
        }
    }

    #[test]
    fn what_one_thread_adds_another_reads() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            scope.spawn(|| (0..1000).for_each(|_| counter.add(2)));
        });
        assert_eq!(counter.get(), 2000);
    }
}
