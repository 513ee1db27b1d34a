//! How soon a successor of a lost worker may load the app.

use std::time::{Duration, Instant};

/// The second loss in a row waits this long, each further one twice as long as the one before, up to [`MAX`]: each
/// loss costs the process memory for good.
const MIN: Duration = Duration::from_secs(1);
const MAX: Duration = Duration::from_secs(30);
/// A worker that went on for so long after its predecessor's loss, its wait included, starts a new row.
const ROW: Duration = Duration::from_secs(120);

/// An app's lost workers.
#[derive(Debug, Default)]
pub(super) struct Losses {
    in_a_row: u32,
    last: Option<Instant>,
}

impl Losses {
    /// One more is lost now. Gives how long its successor waits.
    pub(super) fn another(&mut self, now: Instant) -> Duration {
        if self.last.is_none_or(|last| now.duration_since(last) >= ROW) {
            self.in_a_row = 0;
        }
        self.last = Some(now);
        self.in_a_row = self.in_a_row.saturating_add(1);
        match self.in_a_row {
            1 => Duration::ZERO,
            // Five doublings are beyond the maximum.
            further => (MIN * (1 << (further - 2).min(5))).min(MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_replaced_at_once_and_those_after_it_later_and_later() {
        let mut losses = Losses::default();
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..8 {
            let wait = losses.another(now);
            waits.push(wait.as_secs());
            now += wait + Duration::from_secs(1);
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn after_a_good_while_it_is_forgiven() {
        let mut losses = Losses::default();
        let start = Instant::now();
        losses.another(start);
        assert_eq!(losses.another(start + Duration::from_secs(10)), MIN);
        assert_eq!(losses.another(start + Duration::from_secs(130)), Duration::ZERO);
    }
}
