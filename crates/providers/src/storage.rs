//! Threads for what waits for disks: few for the whole process, and apart from all event loops.
//!
//! tokio's threads for what blocks are not used: they are woken while the queue is locked, so that whoever wakes one on the same
//! core is interrupted by it, and it by the lock; and what is under way cannot ask whether others wait.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many threads there are at most. More would wait for the same disk.
const THREADS: usize = 16;
/// How long one stays that has nothing to do.
const STAY: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce() + Send>;

/// The threads. They start when there is something to do, and end some time after it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Storage(Arc<Threads>);

#[derive(Default)]
struct Threads {
    queue: Mutex<Queue>,
    work_came: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Work>,
    threads: usize,
    /// As many of them have nothing to do.
    idle: usize,
}

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Threads").finish_non_exhaustive()
    }
}

impl Storage {
    /// Does something on one of the threads, after what was given before. A panic in it ends nothing else.
    pub(crate) fn run(&self, work: impl FnOnce() + Send + 'static) {
        let mut queue = self.0.lock();
        queue.waiting.push_back(Box::new(work));
        if queue.waiting.len() <= queue.idle {
            drop(queue);
            return self.0.work_came.notify_one();
        }
        if queue.threads == THREADS {
            return;
        }
        queue.threads += 1;
        drop(queue);
        let threads = self.0.clone();
        let begun = std::thread::Builder::new().name("nexus-storage".into()).spawn(move || threads.serve());
        if begun.is_err() {
            let is_alone = {
                let mut queue = self.0.lock();
                queue.threads -= 1;
                queue.threads == 0
            };
            // Where the system gives no thread at all it is done here: late is better than never.
            if is_alone {
                self.0.do_what_waits();
            }
        }
    }

    /// Whether something waits for a thread.
    pub(crate) fn is_wanted(&self) -> bool {
        let queue = self.0.lock();
        queue.waiting.len() > queue.idle
    }
}

impl Threads {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's life.
    fn serve(&self) {
        loop {
            self.do_what_waits();
            let mut queue = self.lock();
            queue.idle += 1;
            let waited = self.work_came.wait_timeout_while(queue, STAY, |queue| queue.waiting.is_empty());
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            queue.idle -= 1;
            if queue.waiting.is_empty() {
                queue.threads -= 1;
                return;
            }
        }
    }

    fn do_what_waits(&self) {
        loop {
            let Some(work) = self.lock().waiting.pop_front() else { return };
            let _ = catch_unwind(AssertUnwindSafe(work));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn all_is_done_in_order_by_no_more_threads_than_there_may_be() {
        let (storage, (done, dones)) = (Storage::default(), channel());
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().unwrap();
        for number in 0..THREADS {
            let (gate, done) = (gate.clone(), done.clone());
            storage.run(move || {
                drop(gate.lock());
                done.send((number, std::thread::current().id())).unwrap();
            });
        }
        for number in THREADS..THREADS * 3 {
            let done = done.clone();
            storage.run(move || done.send((number, std::thread::current().id())).unwrap());
        }
        while storage.0.lock().waiting.len() > THREADS * 2 {
            std::thread::yield_now();
        }
        assert!(storage.is_wanted());
        assert!(dones.try_recv().is_err());
        drop(closed);
        let all: Vec<_> = (0..THREADS * 3).map(|_| dones.recv().unwrap()).collect();
        let threads: std::collections::HashSet<_> = all.iter().map(|(_, thread)| *thread).collect();
        assert!(threads.len() <= THREADS);
        let mut numbers: Vec<usize> = all.into_iter().map(|(number, _)| number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..THREADS * 3).collect::<Vec<_>>());
    }

    #[test]
    fn one_thread_does_what_comes_after_another_and_panics_end_nothing() {
        let (storage, (done, dones)) = (Storage::default(), channel());
        for number in 0..100 {
            let done = done.clone();
            storage.run(move || {
                done.send(number).unwrap();
                assert!(number % 2 == 0, "some of it fails");
            });
            assert_eq!(dones.recv().unwrap(), number);
            while storage.0.lock().idle == 0 {
                std::thread::yield_now();
            }
        }
        assert_eq!(storage.0.lock().threads, 1);
        assert!(!storage.is_wanted());
    }
}
