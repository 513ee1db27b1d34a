//! The tasks of a guest, one for each request, and which of them are ready.
//!
//! A task's future is polled by the worker's thread only, but may be woken from any: a file's read is done on another
//! thread. Whoever is woken is queued once, and the worker's event loop comes to the guest.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;
use tokio::task::unconstrained;

/// A task's work, and what remains known of it while it is polled.
pub(crate) struct Task<O, D> {
    future: Pin<Box<dyn Future<Output = O>>>,
    pub(crate) data: D,
    wake: Arc<TaskWake>,
}

/// Tasks by their numbers.
pub(crate) struct Tasks<O, D> {
    tasks: RefCell<HashMap<u64, Task<O, D>>>,
    ready: Arc<Ready>,
}

#[derive(Default)]
struct Ready {
    queue: Mutex<VecDeque<u64>>,
    /// Who polls the guest.
    poller: AtomicWaker,
}

impl Ready {
    fn queue(&self) -> MutexGuard<'_, VecDeque<u64>> {
        // Numbers only: each change leaves it whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct TaskWake {
    number: u64,
    is_queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Acquire and release: what was done before the wake is seen by the poll that follows.
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            self.ready.queue().push_back(self.number);
            self.ready.poller.wake();
        }
    }
}

impl<O, D> Tasks<O, D> {
    pub(crate) fn new() -> Self {
        Self { tasks: RefCell::default(), ready: Arc::default() }
    }

    /// A task that is not among these so far: it is when it is put back.
    pub(crate) fn make(&self, number: u64, future: impl Future<Output = O> + 'static, data: D) -> Task<O, D> {
        let wake = TaskWake { number, is_queued: AtomicBool::new(false), ready: self.ready.clone() };
        // Tokio's budget of operations would have guests wait in the middle of what they do; the epoch has them give way.
        Task { future: Box::pin(unconstrained(future)), data, wake: Arc::new(wake) }
    }

    /// Takes a task out: to poll it, or to drop it.
    pub(crate) fn take(&self, number: u64) -> Option<Task<O, D>> {
        self.tasks.borrow_mut().remove(&number)
    }

    /// Takes all out.
    pub(crate) fn take_all(&self) -> Vec<(u64, Task<O, D>)> {
        self.tasks.borrow_mut().drain().collect()
    }

    /// Takes those out whose data is such.
    pub(crate) fn take_those(&self, which: impl Fn(&D) -> bool) -> Vec<Task<O, D>> {
        self.tasks.borrow_mut().extract_if(|_, task| which(&task.data)).map(|(_, task)| task).collect()
    }

    /// Puts a task in that is not over.
    pub(crate) fn put(&self, number: u64, task: Task<O, D>) {
        self.tasks.borrow_mut().insert(number, task);
    }

    /// Puts a new task in, to be polled in its turn.
    pub(crate) fn start(&self, number: u64, task: Task<O, D>) {
        let wake = task.wake.clone();
        self.put(number, task);
        wake.wake_by_ref();
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// The waker of whoever polls the guest is this one from now on.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.ready.poller.register(cx.waker());
    }

    /// Has the guest polled.
    pub(crate) fn poller(&self) -> impl Fn() + Send + Sync + 'static {
        let ready = self.ready.clone();
        move || ready.poller.wake()
    }

    /// How many tasks are ready now.
    pub(crate) fn ready(&self) -> usize {
        self.ready.queue().len()
    }

    /// The first of those that are ready.
    pub(crate) fn next(&self) -> Option<u64> {
        self.ready.queue().pop_front()
    }
}

impl<O, D> Task<O, D> {
    /// Polls the task. It may be woken again from here on.
    pub(crate) fn poll(&mut self) -> Poll<O> {
        self.wake.is_queued.store(false, Ordering::Release);
        let waker = Waker::from(self.wake.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::task::noop_waker;

    use super::*;

    #[test]
    fn a_task_that_is_woken_is_ready_once() {
        let tasks = Tasks::new();
        tasks.register(&Context::from_waker(&noop_waker()));
        let waker: Arc<Mutex<Option<Waker>>> = Arc::default();
        let own = waker.clone();
        let mut rounds = 0;
        let future = poll_fn(move |cx| {
            *own.lock().unwrap() = Some(cx.waker().clone());
            rounds += 1;
            if rounds == 3 { Poll::Ready(()) } else { Poll::Pending }
        });
        let mut task = tasks.make(7, future, ());
        assert!(task.poll().is_pending());
        tasks.put(7, task);
        assert_eq!((tasks.ready(), tasks.len()), (0, 1));
        let wake = || waker.lock().unwrap().clone().unwrap().wake();
        wake();
        wake();
        assert_eq!((tasks.next(), tasks.next()), (Some(7), None));
        let mut task = tasks.take(7).unwrap();
        assert!(task.poll().is_pending());
        std::thread::scope(|scope| scope.spawn(wake).join().unwrap());
        assert_eq!(tasks.next(), Some(7));
        assert!(task.poll().is_ready());
        wake();
        assert_eq!(tasks.next(), Some(7), "a number of nobody");
        tasks.start(8, tasks.make(8, async {}, ()));
        assert_eq!((tasks.next(), tasks.next(), tasks.len()), (Some(8), None, 1));
        assert!(tasks.take(8).unwrap().poll().is_ready());
        assert!(tasks.take(7).is_none() && tasks.take_all().is_empty());
        tasks.put(9, tasks.make(9, async {}, ()));
        assert!(tasks.take_those(|()| false).is_empty());
        assert_eq!((tasks.take_those(|()| true).len(), tasks.len()), (1, 0));
    }
}
