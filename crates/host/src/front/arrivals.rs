//! Where answers from inside of the process arrive: at the worker that has asked, all that are there at once.
//!
//! Each call has a waker of its own. Woken one by one from another thread, the first of them would have the worker's thread go
//! on, with that one answer, in the middle of the others' wakes.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Those of a worker.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Of the calls that have their answers.
    due: Vec<Waker>,
    /// Whether anybody wakes them here.
    is_served: bool,
    /// Of who does, while it waits.
    waker: Option<Waker>,
}

impl Arrivals {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call has its answer. Gives whom to wake, if anybody. Each who adds one does so by itself: another tenant's thread may
    /// come to it late.
    #[must_use]
    pub(super) fn put(&self, waker: Waker) -> Option<Waker> {
        let mut state = self.state();
        if !state.is_served {
            return Some(waker);
        }
        state.due.push(waker);
        state.waker.clone()
    }

    /// Wakes the calls that have their answers, on the worker's own thread; never ends.
    pub(crate) async fn serve(&self) -> Infallible {
        struct Served<'a>(&'a Arrivals);
        impl Drop for Served<'_> {
            fn drop(&mut self) {
                let state = std::mem::take(&mut *self.0.state());
                state.due.into_iter().for_each(Waker::wake);
            }
        }
        let _served = Served(self);
        poll_fn(|cx| self.poll_wake(cx)).await
    }

    fn poll_wake(&self, cx: &Context<'_>) -> Poll<Infallible> {
        loop {
            let mut state = self.state();
            state.is_served = true;
            if state.due.is_empty() {
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            // It looks again before it waits.
            state.waker = None;
            let due = std::mem::take(&mut state.due);
            drop(state);
            due.into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;

    use super::super::wakes::testing::Counter;
    use super::*;

    #[test]
    fn calls_are_woken_where_somebody_serves_and_else_by_whoever_answers() {
        let arrivals = Arrivals::default();
        let (call, server) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
        let answer = || arrivals.put(call.clone().into());
        answer().expect("nobody serves").wake();
        assert_eq!(call.count(), 1);
        {
            let mut serving = pin!(arrivals.serve());
            let waker = server.clone().into();
            let mut cx = Context::from_waker(&waker);
            assert!(serving.as_mut().poll(&mut cx).is_pending());
            for _ in 0..3 {
                answer().expect("it waits").wake();
            }
            assert_eq!((call.count(), server.count()), (1, 3));
            assert!(serving.as_mut().poll(&mut cx).is_pending());
            assert_eq!(call.count(), 4);
            answer().expect("it waits again").wake();
        }
        assert_eq!(call.count(), 5, "nobody is forgotten at the end");
        answer().expect("nobody serves").wake();
        assert_eq!(call.count(), 6);
    }
}
