//! What ops see of their guest: its scopes, timers, operations and services. One for each isolate, in the isolate's
//! slot, on one thread.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use std::task::Waker;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

use bumpalo::Bump;
use nexus_core::Limit;
use nexus_guest::{
    CUT, Failure, FailureKind, Level, LoadError, LogRecord, Reply, RequestId, Services, Stop, StopReason,
    Ticket,
};

use crate::code::GuestCode;
use crate::compiled::Compiled;
use crate::limits::Accounts;
use crate::modules::{ImportJob, ModuleMap};
use crate::operations::{Operations, Outcome};
use crate::rejections::Rejections;
use crate::scope::{RequestScope, ScopeKey, Scopes};
use crate::stop_handle::StopHandle;
use crate::timers::{Kind, TimerId, Timers};
use crate::web::fetched::Exchanges;
use crate::web::response::KeptHeaders;

/// What a log line takes besides its text, in bytes.
const LINE: u64 = 16;
/// The most bytes that one piece of scratch takes from a request's arena.
const MAX_SCRATCH: usize = 4 * 1024;
/// An arena of this many bytes lends no more: a long request may need scratch very often.
const MAX_ARENA: usize = 64 * 1024;

pub(crate) struct State {
    pub(crate) services: Services,
    pub(crate) accounts: Accounts,
    pub(crate) context: RefCell<Option<v8::Global<v8::Context>>>,
    pub(crate) scopes: RefCell<Scopes>,
    pub(crate) timers: RefCell<Timers>,
    pub(crate) operations: RefCell<Operations>,
    pub(crate) exchanges: RefCell<Exchanges>,
    /// How many requests the app has sent by itself, while it was loaded or since, and from when on they are counted.
    pub(crate) subrequests: Cell<(u64, Instant)>,
    pub(crate) modules: RefCell<ModuleMap>,
    pub(crate) compiled: Compiled,
    /// Compiled modules on disk, if there are any.
    pub(crate) code: RefCell<Option<GuestCode>>,
    /// Rejected promises that nobody has handled so far in this turn.
    pub(crate) rejections: RefCell<Rejections>,
    /// Dynamic imports that wait for the end of the running code.
    pub(crate) imports: RefCell<VecDeque<ImportJob>>,
    /// Requests that only `waitUntil` keeps, with the time when they are given up.
    pub(crate) tails: RefCell<VecDeque<(Instant, ScopeKey)>>,
    /// The promise of the main module's evaluation: who loads the app reports its rejection.
    pub(crate) evaluation: RefCell<Option<v8::Global<v8::Promise>>>,
    /// Requests whose client has gone, for the next poll.
    pub(crate) aborts: RefCell<Vec<Ticket>>,
    /// Scopes that may be over since the last look.
    pub(crate) touched: RefCell<Vec<ScopeKey>>,
    /// Header lists that responses have in common.
    pub(crate) kept_headers: RefCell<KeptHeaders>,
    /// Requests without an answer.
    pub(crate) unanswered: Cell<usize>,
    /// How many requests are kept whose client went while the handler was at work.
    orphans: Cell<usize>,
    /// Who may do a long calculation: one at a time.
    pub(crate) calculations: Arc<Semaphore>,
    /// CPU time in nanoseconds of calculations that went on when their request was over.
    pub(crate) unpaid: Arc<AtomicU64>,
    /// The origin of `performance.now()`.
    pub(crate) origin: Instant,
    pub(crate) origin_wall: Duration,
    pub(crate) handle: Arc<StopHandle>,
    /// What evaluation, or the running turn of the guest itself, has logged, in bytes.
    pub(crate) guest_log: Cell<u64>,
    stop: RefCell<Option<Stop>>,
    /// Where the guest was when it was stopped.
    stack: RefCell<Option<String>>,
    waker: RefCell<Option<Waker>>,
}

impl State {
    pub(crate) fn new(services: Services, isolate: v8::IsolateHandle) -> Rc<Self> {
        Rc::new(Self {
            accounts: Accounts::new(services.limits.get(Limit::Memory)),
            context: RefCell::default(),
            services,
            scopes: RefCell::default(),
            timers: RefCell::default(),
            operations: RefCell::default(),
            exchanges: RefCell::default(),
            subrequests: Cell::new((0, Instant::now())),
            modules: RefCell::default(),
            compiled: Compiled::default(),
            code: RefCell::default(),
            rejections: RefCell::default(),
            imports: RefCell::default(),
            tails: RefCell::default(),
            evaluation: RefCell::default(),
            aborts: RefCell::default(),
            touched: RefCell::default(),
            kept_headers: RefCell::default(),
            unanswered: Cell::new(0),
            orphans: Cell::new(0),
            calculations: Arc::new(Semaphore::new(1)),
            unpaid: Arc::default(),
            origin: Instant::now(),
            origin_wall: std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or_default(),
            handle: Arc::new(StopHandle::new(isolate)),
            guest_log: Cell::new(0),
            stop: RefCell::new(None),
            stack: RefCell::new(None),
            waker: RefCell::new(None),
        })
    }

    /// The state of this isolate.
    pub(crate) fn of(isolate: &v8::Isolate) -> Rc<Self> {
        match isolate.get_slot::<Rc<Self>>() {
            Some(state) => state.clone(),
            // Every isolate gets its state before any script runs in it.
            None => unreachable!("an isolate without its state"),
        }
    }

    /// The request that the running code belongs to.
    pub(crate) fn current(scope: &v8::PinScope<'_, '_>) -> ScopeKey {
        let data = scope.get_continuation_preserved_embedder_data();
        v8::Local::<v8::Integer>::try_from(data).map_or(ScopeKey::GUEST, |key| ScopeKey(key.value() as u32))
    }

    /// Ends the guest: what is running goes on to the end of its turn at most.
    pub(crate) fn stop(&self, reason: StopReason, detail: String) {
        self.stop.borrow_mut().get_or_insert(Stop { reason, limit: None, detail });
        self.wake();
    }

    /// Ends the guest at a limit.
    pub(crate) fn stop_at_limit(&self, reason: StopReason, limit: Limit) {
        let value = self.services.limits.get(limit);
        let detail = format!("the app reached its {} limit of {}", limit.key(), limit.show(value));
        self.stop.borrow_mut().get_or_insert(Stop { reason, limit: Some((limit, value)), detail });
        self.wake();
    }

    /// Breaks off what the isolate is running. Only after [`State::stop`].
    pub(crate) fn terminate(&self) {
        self.handle.terminate();
    }

    /// Drops every handle into the isolate, before the isolate itself goes.
    pub(crate) fn clear(&self) {
        self.services.watch.detach();
        *self.context.borrow_mut() = None;
        *self.scopes.borrow_mut() = Scopes::default();
        *self.timers.borrow_mut() = Timers::default();
        *self.operations.borrow_mut() = Operations::default();
        let exchanges = self.exchanges.take();
        drop(exchanges);
        *self.modules.borrow_mut() = ModuleMap::default();
        *self.rejections.borrow_mut() = Rejections::default();
        self.imports.borrow_mut().clear();
        *self.evaluation.borrow_mut() = None;
    }

    /// Notes where the guest was when it was stopped.
    pub(crate) fn note_stack(&self, stack: String) {
        if !stack.is_empty() {
            self.stack.borrow_mut().get_or_insert(stack);
        }
    }

    /// How the guest has ended, if it has; its stack in the detail.
    pub(crate) fn stopped(&self) -> Option<Stop> {
        let mut stop = self.ended()?;
        if let Some(stack) = self.stack.borrow().as_ref() {
            stop.detail.push('\n');
            stop.detail.push_str(stack);
        }
        Some(stop)
    }

    /// How the guest has ended while it was loaded.
    pub(crate) fn load_error(&self) -> Option<LoadError> {
        let message = self.ended()?.detail;
        Some(LoadError { message, excerpt: None, stack: self.stack.borrow().clone() })
    }

    /// What clients are told of the end.
    pub(crate) fn failure(&self) -> Failure {
        match self.ended() {
            Some(stop) if stop.reason == StopReason::Wall => {
                Failure { kind: FailureKind::TimedOut, limit: stop.limit }
            }
            Some(stop) => Failure { kind: FailureKind::Stopped, limit: stop.limit },
            None => FailureKind::Stopped.into(),
        }
    }

    fn ended(&self) -> Option<Stop> {
        if self.stop.borrow().is_none()
            && let Some(reason) = self.handle.requested()
        {
            match reason {
                StopReason::Cpu => self.stop_at_limit(reason, self.accounts.which()),
                StopReason::Wall => self.stop_at_limit(reason, Limit::Wall),
                StopReason::Memory => self.stop_at_limit(reason, Limit::Memory),
                StopReason::Host | StopReason::Engine => self.stop(reason, "stopped by the host".into()),
            }
        }
        self.stop.borrow().clone()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.borrow().is_some() || self.handle.requested().is_some()
    }

    /// Has the event loop poll the guest again.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn set_waker(&self, waker: &Waker) {
        let mut current = self.waker.borrow_mut();
        if !current.as_ref().is_some_and(|current| current.will_wake(waker)) {
            *current = Some(waker.clone());
        }
        // A wake-up consumes the registration.
        self.handle.waker.register(waker);
    }

    /// Writes a line to the guest's log, in the name of this request, as far as that may still log. Who makes long
    /// lines asks [`State::log_room`] first.
    pub(crate) fn log(&self, key: ScopeKey, level: Level, mut message: String, mut stack: Option<String>) {
        let room = self.log_room(key);
        if room == 0 {
            return;
        }
        let request = self.request_id(key);
        // What a line takes besides its text counts too: empty lines are not for nothing.
        let mut left = room.saturating_sub(LINE);
        for text in std::iter::once(&mut message).chain(&mut stack) {
            let end = text.floor_char_boundary(usize::try_from(left).unwrap_or(usize::MAX));
            left -= end as u64;
            if end < text.len() {
                text.truncate(end);
                text.push_str(CUT);
                left = 0;
            }
        }
        let spent = room - left;
        if self.with_scope(key, |scope| scope.logged += spent).is_none() {
            self.guest_log.set(self.guest_log.get() + spent);
        }
        self.services.log.log(LogRecord { level, request, message, stack });
        if left == 0 {
            let limit = self.services.limits.show(Limit::Log);
            let what = if request.is_some() { "request" } else { "turn" };
            let message =
                format!("this {what} has logged as much as it may ({limit}): what follows is dropped");
            self.services.log.log(LogRecord { level: Level::Warn, request, message, stack: None });
        }
    }

    /// How many bytes this request may still log. Evaluation and each turn of the guest itself have as much.
    pub(crate) fn log_room(&self, key: ScopeKey) -> u64 {
        let logged = self.with_scope(key, |scope| scope.logged).unwrap_or(self.guest_log.get());
        self.services.limits.get(Limit::Log).saturating_sub(logged)
    }

    pub(crate) fn request_id(&self, key: ScopeKey) -> Option<RequestId> {
        self.with_scope(key, |scope| scope.id)
    }

    /// Looks into a scope, unless its request is over.
    pub(crate) fn with_scope<R>(
        &self,
        key: ScopeKey,
        look: impl FnOnce(&mut RequestScope) -> R,
    ) -> Option<R> {
        self.scopes.borrow_mut().get(key).map(look)
    }

    /// Lends `length` scratch bytes: from the running request's arena while that is small, which frees them at once with
    /// all else of the request; from the heap otherwise.
    pub(crate) fn with_scratch<R>(
        &self,
        key: ScopeKey,
        length: usize,
        work: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        let room = |arena: &Bump| length <= MAX_SCRATCH && arena.allocated_bytes() <= MAX_ARENA;
        // Taken out meanwhile, so that no scope is borrowed while V8 is called.
        let arena =
            self.with_scope(key, |scope| room(&scope.arena).then(|| std::mem::take(&mut scope.arena)));
        match arena.flatten() {
            Some(arena) => {
                let result = work(arena.alloc_slice_fill_copy(length, 0));
                self.with_scope(key, |scope| scope.arena = arena);
                result
            }
            None => work(&mut vec![0; length]),
        }
    }

    /// Starts an operation for the running request and returns its promise, which is rejected with a `RangeError` if the
    /// guest has too many. An operation that belongs to a request
    /// which is over is not started: its promise stays pending, like all that is cancelled.
    pub(crate) fn spawn<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        key: ScopeKey,
        future: impl Future<Output = Outcome> + 'static,
    ) -> Option<v8::Local<'s, v8::Promise>> {
        let resolver = v8::PromiseResolver::new(scope)?;
        let promise = resolver.get_promise(scope);
        if self.operations.borrow().len() >= self.services.limits.size(Limit::Operations) {
            let message = self.services.limits.show(Limit::Operations);
            let message = v8::String::new(
                scope,
                &format!("the app has as many operations under way as it may: {message}"),
            )?;
            let error = v8::Exception::range_error(scope, message);
            resolver.reject(scope, error);
            return Some(promise);
        }
        let resolver = v8::Global::new(scope, resolver);
        if key == ScopeKey::GUEST {
            self.operations.borrow_mut().start(key, resolver, future);
        } else {
            self.with_scope(key, |owner| {
                let (id, abort) = self.operations.borrow_mut().start(key, resolver, future);
                owner.operations.insert(id, abort);
            });
        }
        self.wake();
        Some(promise)
    }

    /// Starts a timer for the running request: its number, 0 if the request is over, `None` if the guest has too many.
    pub(crate) fn start_timer(
        &self,
        callback: v8::Global<v8::Function>,
        key: ScopeKey,
        delay: Duration,
        kind: Kind,
    ) -> Option<TimerId> {
        if self.timers.borrow().len() >= self.services.limits.size(Limit::Timers) {
            return None;
        }
        if key == ScopeKey::GUEST {
            self.wake();
            return Some(self.timers.borrow_mut().start(callback, key, delay, kind));
        }
        let id = self.with_scope(key, |scope| {
            let id = self.timers.borrow_mut().start(callback, key, delay, kind);
            scope.timers.insert(id);
            id
        });
        self.wake();
        Some(id.unwrap_or(0))
    }

    /// Stops a timer, if it has not fired for the last time.
    pub(crate) fn stop_timer(&self, id: TimerId) {
        let stopped = self.timers.borrow_mut().stop(id);
        if let Some(key) = stopped {
            self.forget_timer(key, id);
        }
    }

    /// Takes a timer off its scope's list.
    pub(crate) fn forget_timer(&self, key: ScopeKey, id: TimerId) {
        self.with_scope(key, |scope| scope.timers.remove(&id));
    }

    /// Answers a request. Gives whether anybody still wants the answer.
    pub(crate) fn answer(&self, key: ScopeKey, reply: Result<Reply, Failure>) -> bool {
        let wanted = self.with_scope(key, |scope| {
            if std::mem::replace(&mut scope.answered, true) {
                self.orphan_ended(scope);
                return false;
            }
            self.unanswered.set(self.unanswered.get().saturating_sub(1));
            match &scope.responder {
                // The host may have given up on it meanwhile.
                Some(responder) if !responder.is_sent() => {
                    responder.send(reply);
                    true
                }
                _ => false,
            }
        });
        self.touch(key);
        wanted.unwrap_or(false)
    }

    /// Keeps a request whose client has gone until its handler comes to its end, unless as many of them are kept already
    /// as may be in flight.
    pub(crate) fn keep_orphan(&self, key: ScopeKey) {
        if self.orphans.get() >= self.services.limits.size(Limit::Requests) {
            return;
        }
        self.with_scope(key, |scope| {
            scope.orphan = true;
            scope.waits += 1;
            self.orphans.set(self.orphans.get() + 1);
        });
    }

    /// Whether the handler of this request is at work, and its client has gone.
    pub(crate) fn is_orphan(&self, key: ScopeKey) -> bool {
        self.with_scope(key, |scope| scope.orphan) == Some(true)
    }

    /// The handler of a request whose client had gone has come to its end.
    fn orphan_ended(&self, scope: &mut RequestScope) {
        if std::mem::take(&mut scope.orphan) {
            scope.waits -= 1;
            self.orphans.set(self.orphans.get() - 1);
        }
    }

    /// Whether the guest owes an answer, wanted or not.
    pub(crate) fn owes_answer(&self, key: ScopeKey) -> bool {
        self.with_scope(key, |scope| !scope.answered) == Some(true)
    }

    /// Whether an answer is still wanted.
    pub(crate) fn wants_answer(&self, key: ScopeKey) -> bool {
        self.with_scope(key, |scope| {
            !scope.answered && scope.responder.as_ref().is_some_and(|responder| !responder.is_sent())
        }) == Some(true)
    }

    /// Has the end of the turn look whether this request is over.
    pub(crate) fn touch(&self, key: ScopeKey) {
        self.touched.borrow_mut().push(key);
    }

    /// Releases a request's scope with everything that it owns.
    pub(crate) fn release(&self, key: ScopeKey) {
        let Some(mut scope) = self.scopes.borrow_mut().take(key) else { return };
        if !scope.answered {
            self.unanswered.set(self.unanswered.get().saturating_sub(1));
        }
        self.orphan_ended(&mut scope);
        if !scope.timers.is_empty() {
            let mut timers = self.timers.borrow_mut();
            for id in scope.timers.drain() {
                timers.stop(id);
            }
        }
        if !scope.operations.is_empty() {
            self.operations.borrow_mut().cancel(&mut scope.operations);
            self.wake();
        }
        if !scope.exchanges.is_empty() {
            Exchanges::close_all(self, scope.exchanges.drain());
        }
        self.scopes.borrow_mut().recycle(scope);
    }

    /// Whether nothing can happen any more of which a promise could settle, but for a new request.
    pub(crate) fn waits_for_nothing(&self) -> bool {
        self.timers.borrow().len() == 0
            && self.operations.borrow().len() == 0
            && self.aborts.borrow().is_empty()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        crate::limits::detach(self);
    }
}
