//! Where answers from inside of the process arrive: at the worker that has asked, all that are there at once.
//!
//! Each call has a waker of its own. Woken one by one from another thread, the first of them would have the worker's thread go
//! on, with that one answer, in the middle of the others' wakes. Nor has each a timer of its own, by which it would wake the event
//! loop that it is polled by: one for all has them look at their deadlines.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};

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
    /// When calls that wait are to look at their deadlines.
    look: Option<Instant>,
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

    /// Waits for an answer until then, on the worker's own thread.
    pub(crate) async fn until<T>(&self, due: Instant, answered: impl Future<Output = T>) -> Option<T> {
        let mut answered = pin!(answered);
        poll_fn(|cx| match answered.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending if Instant::now() >= due => Poll::Ready(None),
            Poll::Pending => {
                self.look_at(due);
                Poll::Pending
            }
        })
        .await
    }

    /// Has the calls look at their deadlines by then.
    fn look_at(&self, due: Instant) {
        let mut state = self.state();
        if state.look.is_some_and(|look| look <= due) {
            return;
        }
        state.look = Some(due);
        let waker = state.waker.clone();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Wakes the calls that have their answers, on the worker's own thread, and has `look` wake all when they are to look at
    /// their deadlines; never ends.
    pub(crate) async fn serve(&self, look: impl Fn()) -> Infallible {
        struct Served<'a>(&'a Arrivals);
        impl Drop for Served<'_> {
            fn drop(&mut self) {
                let state = std::mem::take(&mut *self.0.state());
                state.due.into_iter().for_each(Waker::wake);
            }
        }
        let _served = Served(self);
        let mut timer = pin!(sleep(Duration::ZERO));
        poll_fn(|cx| self.poll_wake(&look, timer.as_mut(), cx)).await
    }

    fn poll_wake(
        &self,
        look: &impl Fn(),
        mut timer: Pin<&mut Sleep>,
        cx: &mut Context<'_>,
    ) -> Poll<Infallible> {
        loop {
            let mut state = self.state();
            state.is_served = true;
            if state.due.is_empty() {
                state.waker = Some(cx.waker().clone());
                let Some(due) = state.look else { return Poll::Pending };
                if timer.deadline() != due.into() {
                    timer.as_mut().reset(due.into());
                }
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                // Who still waits says until when.
                state.look = None;
                drop(state);
                look();
                continue;
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

    #[tokio::test]
    async fn who_waits_looks_at_its_own_time() {
        let (arrivals, wakers) = (Arrivals::default(), Mutex::new(Vec::<Waker>::new()));
        let wake_all = || std::mem::take(&mut *wakers.lock().unwrap()).into_iter().for_each(Waker::wake);
        let since = Instant::now();
        let wait = async |millis| {
            let never = poll_fn(|cx| {
                wakers.lock().unwrap().push(cx.waker().clone());
                Poll::<()>::Pending
            });
            let due = since + Duration::from_millis(millis);
            assert_eq!(arrivals.until(due, never).await, None);
            assert!(Instant::now() >= due);
            millis
        };
        let mut ended = Vec::new();
        let mut waiting = futures_util::stream::FuturesUnordered::from_iter([60, 20, 40].map(wait));
        tokio::select! {
            never = arrivals.serve(wake_all) => match never {},
            () = async {
                while let Some(millis) = futures_util::StreamExt::next(&mut waiting).await {
                    ended.push(millis);
                }
            } => {}
        }
        assert_eq!(ended, [20, 40, 60]);
        assert_eq!(arrivals.until(since + Duration::from_secs(60), async { 7 }).await, Some(7));
    }

    #[tokio::test]
    async fn calls_are_woken_where_somebody_serves_and_else_by_whoever_answers() {
        let arrivals = Arrivals::default();
        let (call, server) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
        let answer = || arrivals.put(call.clone().into());
        answer().expect("nobody serves").wake();
        assert_eq!(call.count(), 1);
        {
            let mut serving = pin!(arrivals.serve(|| {}));
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
