//! A provider, as those who call it see it: up, being changed, or stopped. It is stopped, started and changed while they run.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nexus_guest::{Answer, CapabilityError, ProviderState};
use tokio::sync::watch;

/// How long a failure counts, in milliseconds.
const RECENT: u64 = 60_000;

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A provider with this kind of implementation. One for the process, for each provider that is configured.
pub(crate) struct Slot<E: ?Sized> {
    name: String,
    /// How long a call may take, in milliseconds.
    timeout: AtomicU64,
    state: watch::Sender<State<E>>,
    /// How many calls are under way.
    inside: Arc<AtomicUsize>,
    /// When a call failed last by the provider's fault, in milliseconds since `began`; 0 is never.
    failed: AtomicU64,
    began: Instant,
}

enum State<E: ?Sized> {
    Running(Arc<E>),
    /// Calls wait for what comes.
    Changing,
    Stopped,
}

/// A call that is under way.
#[derive(Debug)]
pub struct Inside(Option<Arc<AtomicUsize>>);

impl Inside {
    /// Of no slot: for tests of what carries calls out.
    pub fn nowhere() -> Self {
        Self(None)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            count.fetch_sub(1, Ordering::Release);
        }
    }
}

impl<E: ?Sized> fmt::Debug for Slot<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<E: ?Sized + Send + Sync + 'static> Slot<E> {
    /// A provider that runs.
    pub(crate) fn new(name: &str, timeout: Duration, engine: Arc<E>) -> Arc<Self> {
        let state = watch::Sender::new(State::Running(engine));
        Arc::new(Self {
            name: name.to_owned(),
            timeout: AtomicU64::new(millis(timeout)),
            state,
            inside: Arc::default(),
            failed: AtomicU64::new(0),
            began: Instant::now(),
        })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Has `call` done by the implementation, or says at once that there is none. While the provider is changed, it waits.
    ///
    /// `call` gets what shows that the call is under way: whoever does the work drops it when the work is done, whether or not
    /// anybody takes the answer.
    pub(crate) fn call<T: 'static>(
        self: &Arc<Self>,
        call: impl FnOnce(&E, Inside) -> Answer<T> + 'static,
    ) -> Answer<T> {
        let (engine, inside) = match &*self.state.borrow() {
            State::Running(engine) => (engine.clone(), self.enter()),
            State::Stopped => return Answer::Now(Err(self.stopped())),
            State::Changing => return self.call_later(call),
        };
        match call(&engine, inside) {
            Answer::Now(result) => Answer::Now(result),
            Answer::Later(later) => {
                let (timeout, name) = (self.timeout(), self.name.clone());
                Answer::Later(Box::pin(async move {
                    let result = tokio::time::timeout(timeout, later).await;
                    result.unwrap_or(Err(CapabilityError::TimedOut(name, timeout)))
                }))
            }
        }
    }

    fn call_later<T: 'static>(
        self: &Arc<Self>,
        call: impl FnOnce(&E, Inside) -> Answer<T> + 'static,
    ) -> Answer<T> {
        let slot = self.clone();
        let (began, timeout) = (tokio::time::Instant::now(), self.timeout());
        Answer::Later(Box::pin(async move {
            let mut states = slot.state.subscribe();
            let changed = states.wait_for(|state| !matches!(state, State::Changing));
            match tokio::time::timeout_at(began + timeout, changed).await {
                Ok(Ok(_)) => {}
                _ => return Err(CapabilityError::Unavailable(slot.name.clone(), "is being changed")),
            }
            drop(states);
            // It may be changed once more by now. Then this is as if it was stopped: nobody waits for ever.
            let (engine, inside) = match &*slot.state.borrow() {
                State::Running(engine) => (engine.clone(), slot.enter()),
                _ => return Err(slot.stopped()),
            };
            let answer = call(&engine, inside).wait();
            let result = tokio::time::timeout_at(began + timeout, answer).await;
            result.unwrap_or_else(|_| Err(CapabilityError::TimedOut(slot.name.clone(), timeout)))
        }))
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout.load(Ordering::Relaxed))
    }

    /// How it is.
    pub(crate) fn state(&self) -> ProviderState {
        let failed = self.failed.load(Ordering::Relaxed);
        match &*self.state.borrow() {
            State::Running(_) if failed > 0 && millis(self.began.elapsed()) - failed < RECENT => {
                ProviderState::Degraded
            }
            State::Running(_) => ProviderState::Running,
            State::Changing => ProviderState::Starting,
            State::Stopped => ProviderState::Stopped,
        }
    }

    /// Whether it carries calls out.
    pub(crate) fn is_running(&self) -> bool {
        matches!(&*self.state.borrow(), State::Running(_))
    }

    /// What carries calls out, if it does.
    pub(crate) fn engine(&self) -> Option<Arc<E>> {
        match &*self.state.borrow() {
            State::Running(engine) => Some(engine.clone()),
            State::Changing | State::Stopped => None,
        }
    }

    /// How many calls are under way.
    pub(crate) fn calls(&self) -> usize {
        self.inside.load(Ordering::Relaxed)
    }

    /// A call has failed by the provider's fault.
    pub(crate) fn failed(&self) {
        self.failed.store(millis(self.began.elapsed()).max(1), Ordering::Relaxed);
    }

    /// Has calls fail from now on, until it is [replaced](Slot::replace). Gives the implementation, once no call is under way
    /// there any more, or after so long.
    pub(crate) fn stop(&self, patience: Duration) -> Option<Arc<E>> {
        self.leave(State::Stopped, patience)
    }

    /// Has calls wait from now on, likewise.
    pub(crate) fn hold(&self, patience: Duration) -> Option<Arc<E>> {
        self.leave(State::Changing, patience)
    }

    fn leave(&self, state: State<E>, patience: Duration) -> Option<Arc<E>> {
        let before = self.state.send_replace(state);
        let began = Instant::now();
        // Acquire: what the calls did is done then.
        while self.inside.load(Ordering::Acquire) > 0 && began.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
        match before {
            State::Running(engine) => Some(engine),
            State::Changing | State::Stopped => None,
        }
    }

    /// Has calls carried out by this from now on.
    pub(crate) fn replace(&self, engine: Arc<E>, timeout: Duration) {
        self.timeout.store(millis(timeout), Ordering::Relaxed);
        self.failed.store(0, Ordering::Relaxed);
        self.state.send_replace(State::Running(engine));
    }

    fn stopped(&self) -> CapabilityError {
        CapabilityError::Unavailable(self.name.clone(), "is stopped")
    }

    /// Under the state's lock, so that whoever changes it sees this call.
    fn enter(&self) -> Inside {
        self.inside.fetch_add(1, Ordering::Acquire);
        Inside(Some(self.inside.clone()))
    }
}
