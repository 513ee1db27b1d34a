//! A request on its way from an I/O thread to a worker, and its answer on the way back.
//!
//! ```text
//! I/O thread ── Parcel ─► Mail of the app ─► a worker's thread: open, ask the guest
//!      ▲                                          │
//!      └──────────── Returns of the I/O thread ◄──┘ answer, once; or fail, from any thread, where the worker is lost
//! ```
//!
//! Where somebody within the process asks, the answer stays in the parcel until it is taken.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use nexus_guest::{ClientAddress, Event, Failure, HeaderList, Method, Reply, Request, RequestId};

use super::arrivals::Arrivals;
use super::stream::{Aborter, SentBody};

/// A request without what is bound to its thread.
#[derive(Debug)]
pub(crate) struct SentRequest {
    pub(crate) id: RequestId,
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: HeaderList,
    pub(crate) body: SentBody,
    pub(crate) client: ClientAddress,
    pub(crate) event: Event,
}

impl SentRequest {
    /// The request, where it has arrived.
    pub(crate) fn into_request(self) -> Request {
        let Self { id, method, url, headers, body, client, event } = self;
        Request { id, method, url, headers, body: body.into_body(), client, event }
    }
}

/// A reply without what is bound to its thread.
#[derive(Debug)]
pub(crate) struct SentReply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderList,
    pub(crate) body: SentBody,
}

impl SentReply {
    /// The reply, where it has arrived.
    pub(crate) fn into_reply(self) -> Reply {
        Reply { status: self.status, headers: self.headers, body: self.body.into_body() }
    }
}

/// What is answered.
pub(crate) type Answer = Result<SentReply, Failure>;

/// Where answers come back to an I/O thread.
#[derive(Debug, Default)]
pub(crate) struct Returns(Mutex<Returned>);

#[derive(Debug, Default)]
struct Returned {
    answers: Vec<(u64, Answer)>,
    /// Of the I/O thread, while it waits for answers.
    waker: Option<Waker>,
}

impl Returns {
    fn returned(&self) -> MutexGuard<'_, Returned> {
        // Each change leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an answer. Gives whom to wake, if anybody. Each who adds one does so by itself: another tenant's thread may
    /// come to it late.
    #[must_use]
    fn put(&self, key: u64, answer: Answer) -> Option<Waker> {
        let mut returned = self.returned();
        returned.answers.push((key, answer));
        returned.waker.clone()
    }

    /// Has those taken whose worker has not come to wake anybody.
    pub(super) fn look(&self) {
        let returned = self.returned();
        let waker = if returned.answers.is_empty() { None } else { returned.waker.clone() };
        drop(returned);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Swaps those that have come for an empty vector; waits for one if there is none.
    pub(super) fn poll_take(&self, taken: &mut Vec<(u64, Answer)>, cx: &Context<'_>) -> Poll<()> {
        let mut returned = self.returned();
        if returned.answers.is_empty() {
            returned.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        // It looks again before it waits.
        returned.waker = None;
        std::mem::swap(&mut returned.answers, taken);
        Poll::Ready(())
    }
}

/// Who waits for an answer.
#[derive(Debug)]
pub(crate) enum Asker {
    /// An I/O thread, by this name.
    Front(u64, Arc<Returns>),
    /// Somebody within the process, who has the parcel: a worker, to which answers come here, or the host itself.
    Inside(Option<Arc<Arrivals>>),
}

/// A request on its way, and who waits for its answer: whoever does has it, too, and looks at its deadlines.
#[derive(Debug)]
pub(crate) struct Parcel {
    id: RequestId,
    asker: Asker,
    state: Mutex<State>,
    /// Relaxed: it is set once, by whoever answers, and nothing is read for it.
    is_answered: AtomicBool,
}

#[derive(Debug)]
struct State {
    request: Option<SentRequest>,
    is_cancelled: bool,
    /// What breaks its own body off, and its response's.
    upload: Option<Aborter>,
    body: Option<Aborter>,
    /// Of the worker that asks its guest.
    waker: Option<Waker>,
    /// The answer, until it is taken, and who waits for it: where it does not go to an I/O thread.
    answer: Option<Answer>,
    awaiting: Option<Waker>,
}

impl Parcel {
    /// A request whose answer this one waits for.
    pub(crate) fn new(request: SentRequest, asker: Asker) -> Self {
        let id = request.id;
        let upload = match asker {
            Asker::Front(..) => None,
            Asker::Inside(_) => request.body.aborter(),
        };
        let (body, waker, answer, awaiting) = (None, None, None, None);
        let state =
            State { request: Some(request), is_cancelled: false, upload, body, waker, answer, awaiting };
        Self { id, asker, state: Mutex::new(state), is_answered: AtomicBool::new(false) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the request out; `None` if nobody waits for its answer any more.
    pub(crate) fn open(&self) -> Option<SentRequest> {
        let mut state = self.state();
        state.request.take().filter(|_| !state.is_cancelled)
    }

    /// Answers it. The first answer counts. Gives whom to wake, if anybody.
    #[must_use]
    pub(crate) fn answer(&self, answer: Answer) -> Option<Waker> {
        if let Ok(reply) = &answer
            && let Some(aborter) = reply.body.aborter()
        {
            self.state().body = Some(aborter);
        }
        if self.is_answered.swap(true, Ordering::Relaxed) {
            return None;
        }
        match &self.asker {
            Asker::Front(key, returns) => returns.put(*key, answer),
            Asker::Inside(arrivals) => {
                let mut state = self.state();
                if !state.is_cancelled {
                    state.answer = Some(answer);
                }
                let waker = state.awaiting.take();
                match arrivals {
                    // Before who asks looks for itself: it would find neither the answer's arrival nor itself waiting.
                    Some(arrivals) => waker.and_then(|waker| arrivals.put(waker)),
                    None => waker,
                }
            }
        }
    }

    /// Takes the answer; waits for it if there is none. For who asks from inside of the process.
    pub(crate) fn poll_answer(&self, cx: &Context<'_>) -> Poll<Answer> {
        let mut state = self.state();
        if let Some(answer) = state.answer.take() {
            return Poll::Ready(answer);
        }
        state.awaiting = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Who waits for its answer from inside of the process, for whom it is for the moment.
    pub(crate) fn awaiting(&self) -> Option<Waker> {
        self.state().awaiting.take()
    }

    /// Whether nobody but its worker looks at how its bodies get on.
    pub(crate) fn is_from_inside(&self) -> bool {
        matches!(self.asker, Asker::Inside(_))
    }

    /// Fails it, or breaks its response's body off, for the worker is lost. Says whether it had no answer so far.
    pub(crate) fn fail(&self, failure: Failure) -> bool {
        if !self.is_answered.load(Ordering::Relaxed) {
            if let Some(waker) = self.answer(Err(failure)) {
                waker.wake();
            }
            return true;
        }
        let body = self.state().body.take();
        if let Some(body) = body {
            body.abort();
        }
        false
    }

    /// Whether no worker has taken it so far.
    pub(crate) fn waits(&self) -> bool {
        self.state().request.is_some()
    }

    /// Whether it has an answer.
    pub(crate) fn is_answered(&self) -> bool {
        self.is_answered.load(Ordering::Relaxed)
    }

    /// The request's id.
    pub(crate) fn id(&self) -> RequestId {
        self.id
    }

    /// Ready when nobody waits for the answer any more.
    pub(crate) fn poll_cancelled(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.is_cancelled {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether nobody waits for the answer any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.state().is_cancelled
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn cancel(&self) {
        let mut state = self.state();
        state.is_cancelled = true;
        // Its body may come from the very thread that calls this.
        let (_request, waker) = (state.request.take(), state.waker.take());
        let (_answer, _awaiting) = (state.answer.take(), state.awaiting.take());
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whoever asked from inside of the process is lost: nothing comes from there, and nothing is taken there.
    pub(crate) fn give_up(&self) {
        self.cancel();
        let mut state = self.state();
        let (upload, body) = (state.upload.take(), state.body.take());
        drop(state);
        if let Some(upload) = upload {
            upload.abort();
        }
        if let Some(body) = body {
            body.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use nexus_guest::FailureKind;

    use super::*;
    use crate::front::wakes::testing::Counter;

    #[test]
    fn who_answers_depends_on_nobody_who_has_answered_before_and_woken_nobody_yet() {
        let (returns, counter) = (Returns::default(), Arc::new(Counter::default()));
        let count = || counter.count();
        let waker = counter.clone().into();
        let cx = Context::from_waker(&waker);
        let mut taken = Vec::new();
        assert!(returns.poll_take(&mut taken, &cx).is_pending());
        let late = returns.put(1, Err(FailureKind::Stopped.into()));
        let other = returns.put(2, Err(FailureKind::Stopped.into()));
        other.unwrap().wake();
        assert_eq!(count(), 1);
        returns.look();
        assert_eq!(count(), 2);
        assert!(returns.poll_take(&mut taken, &cx).is_ready());
        assert_eq!(taken.len(), 2);
        assert!(returns.put(3, Err(FailureKind::Stopped.into())).is_none(), "it is awake, and looks again");
        late.unwrap().wake();
        taken.clear();
        assert!(returns.poll_take(&mut taken, &cx).is_ready() && taken.len() == 1);
        returns.look();
        assert_eq!(count(), 3, "there is nothing to take");
    }
}
