//! What waits for what an app keeps, of one kind: bounded, and with one job at a time, so that no app has many of the threads.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many operations of an app may wait in a lane, and how many bytes they may bring.
const MOST_WAITING: usize = 1000;
const MOST_WAITING_BYTES: usize = 64 << 20;
/// As much is done at once.
const BATCH_BYTES: usize = 8 << 20;
/// How long a file is waited for that another process has open.
const PATIENCE: Duration = Duration::from_secs(5);

/// What waits to be done, of which there is one job at a time.
pub(crate) struct Lane<T>(Mutex<Queue<T>>);

struct Queue<T> {
    waiting: VecDeque<T>,
    bytes: usize,
    has_job: bool,
    /// Since when the job waits for another process.
    waits_since: Option<Instant>,
}

/// Something that waits, with the bytes that it brings.
pub(crate) trait Waits: Send + 'static {
    fn bytes(&self) -> usize;
}

/// What became of something that was put into a lane.
pub(crate) enum Pushed {
    /// There is no room for it.
    Full,
    /// It is to have a job begun.
    First,
    /// There is a job.
    Behind,
}

impl<T> Queue<T> {
    fn has_room(&self) -> bool {
        self.waiting.len() < MOST_WAITING && self.bytes <= MOST_WAITING_BYTES
    }
}

impl<T: Waits> Lane<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Queue { waiting: VecDeque::new(), bytes: 0, has_job: false, waits_since: None }))
    }

    /// Whether there is room for one more.
    pub(crate) fn has_room(&self) -> bool {
        lock(&self.0).has_room()
    }

    pub(crate) fn push(&self, waiting: T) -> Pushed {
        let mut queue = lock(&self.0);
        if !queue.has_room() {
            return Pushed::Full;
        }
        queue.bytes += waiting.bytes();
        queue.waiting.push_back(waiting);
        match std::mem::replace(&mut queue.has_job, true) {
            true => Pushed::Behind,
            false => Pushed::First,
        }
    }

    /// The next ones to be done together, one at least if there is any, and `most`.
    pub(crate) fn batch(&self, most: usize) -> Vec<T> {
        let mut queue = lock(&self.0);
        let (mut bytes, mut count) = (0, 0);
        for waiting in queue.waiting.iter().take(most) {
            bytes += waiting.bytes();
            if count > 0 && bytes > BATCH_BYTES {
                break;
            }
            count += 1;
        }
        let batch: Vec<T> = queue.waiting.drain(..count).collect();
        queue.bytes -= batch.iter().map(T::bytes).sum::<usize>();
        batch
    }

    /// Whether the job is to go on later, for another process has the file: it is waited for, but not on a thread that others
    /// need.
    pub(crate) fn waits(&self) -> bool {
        let mut queue = lock(&self.0);
        let since = *queue.waits_since.get_or_insert_with(Instant::now);
        since.elapsed() < PATIENCE
    }

    /// A job is over: whether another one is to begin, for there is more by now.
    pub(crate) fn goes_on(&self) -> bool {
        let mut queue = lock(&self.0);
        queue.waits_since = None;
        queue.has_job = !queue.waiting.is_empty();
        queue.has_job
    }

    pub(crate) fn is_busy(&self) -> bool {
        lock(&self.0).has_job
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Piece(usize);

    impl Waits for Piece {
        fn bytes(&self) -> usize {
            self.0
        }
    }

    fn sizes(batch: &[Piece]) -> Vec<usize> {
        batch.iter().map(|piece| piece.0).collect()
    }

    #[test]
    fn one_job_at_a_time_takes_what_waits_in_order() {
        let lane = Lane::new();
        assert!(matches!(lane.push(Piece(1)), Pushed::First));
        assert!(matches!(lane.push(Piece(2)), Pushed::Behind));
        assert!(matches!(lane.push(Piece(3)), Pushed::Behind));
        assert_eq!(sizes(&lane.batch(2)), [1, 2]);
        assert!(lane.goes_on() && lane.is_busy());
        assert_eq!(sizes(&lane.batch(2)), [3]);
        assert!(!lane.goes_on() && !lane.is_busy());
        assert!(matches!(lane.push(Piece(4)), Pushed::First));
    }

    #[test]
    fn a_batch_has_one_at_least_and_so_many_bytes_at_most() {
        let lane = Lane::new();
        for bytes in [BATCH_BYTES * 2, BATCH_BYTES / 2, BATCH_BYTES / 2, 1] {
            lane.push(Piece(bytes));
        }
        assert_eq!(lane.batch(10).len(), 1);
        assert_eq!(lane.batch(10).len(), 2);
        assert_eq!(sizes(&lane.batch(10)), [1]);
        assert!(lane.batch(10).is_empty());
    }

    #[test]
    fn no_more_wait_than_may() {
        let lane = Lane::new();
        for _ in 0..MOST_WAITING {
            assert!(!matches!(lane.push(Piece(0)), Pushed::Full));
        }
        assert!(matches!(lane.push(Piece(0)), Pushed::Full));
        let lane = Lane::new();
        lane.push(Piece(MOST_WAITING_BYTES + 1));
        assert!(matches!(lane.push(Piece(0)), Pushed::Full));
        lane.batch(1);
        assert!(!matches!(lane.push(Piece(0)), Pushed::Full));
    }
}
