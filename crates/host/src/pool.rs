//! Blank workers: threads that have made ready what a guest needs before its app is known.
//!
//! A cold start is then the app's own compile and evaluation. How many stand ready follows the cold starts of the last
//! seconds: one, as long as there are none, for a process that hosts a thousand apps has some that sleep.
//!
//! ```text
//! worker::start ── Pool::run(job) ─► a blank thread takes it, or a fresh thread where none is ready
//! refill, on a thread of its own after a while: Engine::prepare, then it waits for a job
//! ```

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nexus_core::{Limit, Limits};
use nexus_guest::Engine;

use crate::worker::STACK;

/// At least so many stand ready.
const LEAST: usize = 1;
/// At most so many: each holds about as much as an idle app.
const MOST: usize = 16;
/// Cold starts count for so long.
const RECENT: Duration = Duration::from_secs(2);
/// A blank worker is made so long after one was taken: the app that took it comes first.
const LATER: Duration = Duration::from_millis(5);

/// What a worker's thread does.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// The blank workers of a host. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Pool(Option<Arc<Inner>>);

struct Inner {
    engine: Arc<dyn Engine>,
    limits: Limits,
    /// Whether the process has memory for another one.
    has_room: Box<dyn Fn() -> bool + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ready: Vec<(u64, SyncSender<(Job, String)>)>,
    /// How many there have been.
    made: u64,
    /// How many are being made.
    coming: usize,
    /// When the last ones were taken, or missed.
    taken: VecDeque<Instant>,
    /// Whether the host has started: what its apps begin with is no cold start that is likely to come again.
    has_begun: bool,
    is_over: bool,
}

impl Pool {
    /// Blank workers for the first of these engines that has anything to make ready, for apps with these limits. None is
    /// made while `has_room` says no.
    pub(crate) fn new(
        engines: &[Arc<dyn Engine>],
        limits: Limits,
        has_room: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        let inner = engines.iter().find(|engine| engine.prepares()).map(|engine| {
            let (engine, limits, state) = (engine.clone(), limits, Mutex::default());
            Arc::new(Inner { engine, limits, has_room: Box::new(has_room), state })
        });
        Self(inner)
    }

    /// Has a thread of this name do it, for an app of this engine with these limits: a blank one if one is ready that
    /// fits, else a fresh one.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn run(
        &self,
        name: &str,
        engine: Option<&Arc<dyn Engine>>,
        limits: &Limits,
        job: Job,
    ) -> io::Result<()> {
        let fits = |inner: &&Arc<Inner>| {
            let is_its = engine.is_some_and(|engine| Arc::ptr_eq(engine, &inner.engine));
            is_its && inner.limits.get(Limit::Memory) == limits.get(Limit::Memory)
        };
        let blank = self.0.as_ref().filter(fits).and_then(|inner| inner.take());
        let job = match blank {
            Some(blank) => match blank.send((job, name.to_owned())) {
                Ok(()) => return Ok(()),
                Err(refused) => refused.0.0,
            },
            None => job,
        };
        std::thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(job).map(drop)
    }

    /// Begins to have blank workers ready.
    pub(crate) fn fill(&self) {
        if let Some(inner) = &self.0 {
            inner.state().has_begun = true;
            inner.refill(Duration::ZERO);
        }
    }

    /// All blank workers end.
    pub(crate) fn end(&self) {
        if let Some(inner) = &self.0 {
            let mut state = inner.state();
            state.is_over = true;
            state.ready.clear();
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>) -> Option<SyncSender<(Job, String)>> {
        let mut state = self.state();
        if !state.has_begun {
            return None;
        }
        let now = Instant::now();
        state.forget(now);
        state.taken.push_back(now);
        let blank = state.ready.pop().map(|(_, blank)| blank);
        drop(state);
        self.refill(LATER);
        blank
    }

    /// Has as many made as should be ready.
    fn refill(self: &Arc<Self>, wait: Duration) {
        let mut state = self.state();
        state.forget(Instant::now());
        while !state.is_over && state.ready.len() + state.coming < state.wanted() {
            state.coming += 1;
            let own = self.clone();
            let thread = std::thread::Builder::new().name("nexus-blank".into()).stack_size(STACK);
            if thread.spawn(move || own.blank(wait)).is_err() {
                // Without one, apps get fresh threads.
                state.coming -= 1;
                return;
            }
        }
    }

    /// A blank worker's thread.
    fn blank(self: Arc<Self>, wait: Duration) {
        std::thread::sleep(wait);
        let prepare = || {
            let has_room = (self.has_room)();
            if has_room {
                self.engine.prepare(&self.limits);
            }
            has_room
        };
        // A panic is told by the process's hook; what counts here is that nobody waits for this one.
        let is_prepared = catch_unwind(AssertUnwindSafe(prepare)).unwrap_or(false);
        let (sender, receiver) = sync_channel(1);
        let mut state = self.state();
        state.coming -= 1;
        state.made += 1;
        let number = state.made;
        if is_prepared && !state.is_over {
            state.ready.push((number, sender));
        }
        drop(state);
        if is_prepared {
            self.wait(number, &receiver);
        }
    }

    /// Waits for a job, as long as this blank worker is wanted.
    fn next(&self, number: u64, receiver: &Receiver<(Job, String)>) -> Option<(Job, String)> {
        loop {
            match receiver.recv_timeout(RECENT) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let mut state = self.state();
            state.forget(Instant::now());
            if state.ready.len() > state.wanted() {
                // One that was taken just now has its job on the way.
                state.ready.retain(|(other, _)| *other != number);
            } else if state.ready.len() <= LEAST {
                drop(state);
                // Those that come later leave before it.
                return receiver.recv().ok();
            }
        }
    }

    fn wait(&self, number: u64, receiver: &Receiver<(Job, String)>) {
        if let Some((job, name)) = self.next(number, receiver) {
            #[cfg(target_os = "linux")]
            if let Ok(name) = std::ffi::CString::new(name) {
                // Only who looks at the process's threads sees it.
                let _ = rustix::thread::set_name(&name);
            }
            job();
        }
        self.engine.discard();
    }
}

impl State {
    fn forget(&mut self, now: Instant) {
        while self.taken.front().is_some_and(|time| now.duration_since(*time) > RECENT) {
            self.taken.pop_front();
        }
    }

    /// How many should be ready.
    fn wanted(&self) -> usize {
        self.taken.len().clamp(LEAST, MOST)
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    use futures_util::future::LocalBoxFuture;
    use nexus_core::App;
    use nexus_guest::{Guest, LoadError, Services};

    use super::*;

    /// Counts what is ready.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Engine for Counting {
        fn name(&self) -> &'static str {
            "counting"
        }
        fn runs(&self, _: &str) -> bool {
            true
        }
        fn prepares(&self) -> bool {
            true
        }
        fn prepare(&self, _: &Limits) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn discard(&self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
        fn load(
            &self,
            _: Arc<App>,
            _: Services,
        ) -> LocalBoxFuture<'static, Result<Rc<dyn Guest>, LoadError>> {
            Box::pin(async { Err(LoadError::new("it loads nothing")) })
        }
    }

    #[test]
    fn more_are_ready_after_many_starts_and_one_in_quiet_times() {
        let counting = Arc::new(Counting::default());
        let engine: Arc<dyn Engine> = counting.clone();
        let pool = Pool::new(std::slice::from_ref(&engine), Limits::default(), || true);
        let ready = |are_there: fn(usize) -> bool| {
            let begun = Instant::now();
            while !are_there(counting.0.load(Ordering::Relaxed)) {
                assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", counting.0);
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        pool.fill();
        ready(|count| count == 1);
        let (done, named) = channel();
        for _ in 0..5 {
            let done = done.clone();
            let job = move || {
                let _ = done.send(std::thread::current().id());
            };
            pool.run("app", Some(&engine), &Limits::default(), Box::new(job)).unwrap();
        }
        assert_eq!(named.iter().take(5).count(), 5);
        ready(|count| count > 1);
        ready(|count| count == 1);
        pool.end();
        ready(|count| count == 0);
    }
}
