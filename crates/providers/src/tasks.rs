//! Tasks that end with their owner.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use tokio::task::{AbortHandle, JoinSet, spawn_local};

/// A task of the worker's event loop that is broken off when this is dropped.
pub(crate) struct Task(AbortHandle);

impl Task {
    /// Starts a task. Within the worker's `LocalSet` only.
    pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) -> Self {
        Self(spawn_local(future).abort_handle())
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The tasks of one HTTP/2 connection, which start one another.
///
/// They hold clones of this, so it is not its drop that ends them: its owner calls [`Tasks::abort`].
#[derive(Clone, Default)]
pub(crate) struct Tasks(Rc<Shared>);

#[derive(Default)]
struct Shared {
    set: RefCell<JoinSet<()>>,
    /// Who is to look after each step of any of them.
    watcher: RefCell<Option<Waker>>,
}

impl Tasks {
    pub(crate) fn abort(&self) {
        self.0.set.borrow_mut().abort_all();
    }

    /// Has a task polled again after the next step of another one.
    pub(crate) fn watch(&self, cx: &Context<'_>) {
        *self.0.watcher.borrow_mut() = Some(cx.waker().clone());
    }

    /// Starts a task that itself is not watched. Within the worker's `LocalSet` only.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let mut set = self.0.set.borrow_mut();
        // The set keeps what has ended until it is asked.
        while set.try_join_next().is_some() {}
        set.spawn_local(future);
    }
}

impl<F: Future + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, future: F) {
        let shared = self.0.clone();
        self.spawn(async move {
            let mut future = pin!(future);
            poll_fn(|cx| {
                let polled = future.as_mut().poll(cx).map(|_| ());
                let watcher = shared.watcher.borrow_mut().take();
                if let Some(watcher) = watcher {
                    watcher.wake();
                }
                polled
            })
            .await;
        });
    }
}
