//! A JavaScript guest: one isolate on its worker's thread, entered turn by turn.

mod arguments;
mod event_loop;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use nexus_core::{App, Isolation, Limit};
use nexus_guest::{
    Event, Guest, Level, LoadError, ModulePath, Request, Responder, Stop, StopReason, Stopper, TAIL, Ticket,
    Usage,
};
use tokio::time::Sleep;

use self::arguments::{method_value, params_object};
use crate::code::{GuestCode, ModuleCache};
use crate::exception::{describe, load_error};
use crate::isolate::{Isolate, internal_function};
use crate::modules;
use crate::routes::RouteTable;
use crate::scope::ScopeKey;
use crate::state::State;
use crate::web::url_canonical::Layouts;

pub(crate) struct JsGuest {
    isolate: RefCell<v8::OwnedIsolate>,
    context: v8::Global<v8::Context>,
    dispatch: v8::Global<v8::Function>,
    abort: v8::Global<v8::Function>,
    routes: RouteTable,
    state: Rc<State>,
    layouts: RefCell<Layouts>,
    sleep: RefCell<Option<Pin<Box<Sleep>>>>,
    /// When to look after V8's background work again, and whether there was any at the last look.
    background_sleep: RefCell<Option<Pin<Box<Sleep>>>>,
    busy: Cell<bool>,
    /// Whether requests share it, so that one may wait for what another one has begun.
    is_shared: bool,
    /// When V8's tasks for this thread were last run.
    pumped: Cell<Instant>,
}

type Module = v8::Global<v8::Module>;

impl JsGuest {
    /// Makes an isolate on this thread, has `prepare` add to its context, loads the app's main module and waits for its
    /// evaluation.
    pub(crate) async fn load(
        app: &App,
        services: nexus_guest::Services,
        cache: Option<ModuleCache>,
        prepare: impl FnOnce(&mut v8::PinScope<'_, '_>) -> Option<()>,
    ) -> Result<Self, LoadError> {
        let main = app.main.as_deref().unwrap_or("index.js");
        let main = ModulePath::new(main)
            .ok_or_else(|| LoadError::new(format!("\"{main}\" is not a module's path")))?;
        let isolate =
            Isolate::new(services).ok_or_else(|| LoadError::new("the snapshot does not fit this V8"))?;
        let Isolate { mut isolate, context, state } = isolate;
        *state.code.borrow_mut() = cache.map(GuestCode::new);
        state.compiled.is_of(app.name().as_str(), state.services.abandon.clone());
        let (dispatch, abort) = {
            v8::scope_with_context!(let scope, &mut isolate, &context);
            let broken = || LoadError::new("the snapshot is incomplete");
            prepare(scope).ok_or_else(broken)?;
            let dispatch = internal_function(scope, "dispatch").ok_or_else(broken)?;
            let abort = internal_function(scope, "abortRequest").ok_or_else(broken)?;
            (v8::Global::new(scope, dispatch), v8::Global::new(scope, abort))
        };
        let guest = Self {
            isolate: RefCell::new(isolate),
            context,
            dispatch,
            abort,
            routes: RouteTable::of(app)?,
            state,
            layouts: RefCell::default(),
            sleep: RefCell::new(None),
            background_sleep: RefCell::new(None),
            busy: Cell::new(false),
            is_shared: app.manifest.isolation != Isolation::Request,
            pumped: Cell::new(Instant::now()),
        };
        let (module, routed) = guest.evaluate_all(&main).await?;
        let has_triggers = !app.manifest.triggers.cron.is_empty();
        let started =
            guest.turn(ScopeKey::GUEST, |scope| start(scope, &module, &routed, has_triggers, &guest.state));
        if let Some(error) = guest.state.load_error() {
            return Err(error);
        }
        started?;
        guest.turn(ScopeKey::GUEST, |scope| {
            if let Some(code) = guest.state.code.take() {
                code.keep(scope);
            }
        });
        guest.state.loaded();
        Ok(guest)
    }

    /// Evaluates the app's main module and those of its routes. What they wait for may take as long as a request.
    async fn evaluate_all(&self, main: &ModulePath) -> Result<(Module, Vec<(String, Module)>), LoadError> {
        let all = async {
            let module = self.evaluate(main).await?;
            let mut routed = Vec::new();
            for path in self.routes.modules()? {
                routed.push((path.to_string(), self.evaluate(&path).await?));
            }
            Ok((module, routed))
        };
        let limits = &self.state.services.limits;
        tokio::time::timeout(limits.time(Limit::Wall), all).await.unwrap_or_else(|_| {
            let wall = limits.show(Limit::Wall);
            Err(LoadError::new(format!(
                "the app's top-level await has not settled in time (limit: wall {wall})"
            )))
        })
    }

    /// Loads a module with all that it imports, and waits for its evaluation.
    async fn evaluate(&self, path: &ModulePath) -> Result<Module, LoadError> {
        let (module, evaluated) = self
            .turn(ScopeKey::GUEST, |scope| {
                let (module, evaluated) = modules::load_main(scope, path)?;
                Ok((v8::Global::new(scope, module), v8::Global::new(scope, evaluated)))
            })
            .map_err(|error| self.state.load_error().unwrap_or(error))?;
        poll_fn(|cx| self.poll_evaluated(cx, &evaluated)).await?;
        Ok(module)
    }

    /// Polls the guest until this promise of a module's evaluation has settled.
    fn poll_evaluated(
        &self,
        cx: &mut Context<'_>,
        evaluated: &v8::Global<v8::Promise>,
    ) -> Poll<Result<(), LoadError>> {
        loop {
            let settled = self.turn(ScopeKey::GUEST, |scope| {
                let promise = v8::Local::new(scope, evaluated);
                match promise.state() {
                    v8::PromiseState::Pending => None,
                    v8::PromiseState::Fulfilled => Some(Ok(())),
                    v8::PromiseState::Rejected => {
                        let exception = promise.result(scope);
                        let message = v8::Exception::create_message(scope, exception);
                        Some(Err(load_error(scope, exception, Some(message))))
                    }
                }
            });
            if let Some(error) = self.state.load_error() {
                return Poll::Ready(Err(error));
            }
            if let Some(result) = settled {
                return Poll::Ready(result);
            }
            if self.poll_turns(cx) > 0 || self.poll_background(cx) {
                continue;
            }
            if self.state.waits_for_nothing() && !self.background_work() {
                let message =
                    "the app's top-level await can never settle: its guest waits for nothing any more";
                return Poll::Ready(Err(LoadError::new(message)));
            }
            return Poll::Pending;
        }
    }

    /// One entry into the guest, with its microtasks, on this request's account.
    fn turn<R>(&self, key: ScopeKey, run: impl FnOnce(&mut v8::PinScope<'_, '_>) -> R) -> R {
        let turn = self.state.begin_turn(key);
        let mut isolate = self.isolate.borrow_mut();
        let result = {
            v8::scope_with_context!(let scope, &mut *isolate, &self.context);
            enter(scope, key);
            let result = run(scope);
            self.run_jobs(scope);
            result
        };
        self.state.end_turn(turn, &mut isolate, key);
        drop(isolate);
        self.settle(key);
        result
    }

    /// Runs what a turn leaves: microtasks, then rejections that nobody heard, then imports. Each may leave more.
    fn run_jobs(&self, scope: &mut v8::PinScope<'_, '_>) {
        while !self.state.is_stopped() {
            scope.perform_microtask_checkpoint();
            if self.report_rejections(scope) {
                continue;
            }
            let Some(job) = self.state.imports.borrow_mut().pop_front() else { break };
            enter(scope, job.scope);
            modules::run_import(scope, &job);
        }
    }

    /// After a turn: releases the requests that are over.
    fn settle(&self, key: ScopeKey) {
        let look = |key| {
            let (over, tail) =
                self.state.with_scope(key, |scope| (scope.is_over(), scope.begin_tail())).unwrap_or_default();
            if over {
                self.state.release(key);
            } else if tail {
                let mut tails = self.state.tails.borrow_mut();
                while tails.front().is_some_and(|(_, key)| self.state.with_scope(*key, |_| ()).is_none()) {
                    tails.pop_front();
                }
                tails.push_back((Instant::now() + TAIL, key));
                drop(tails);
                self.state.wake();
            }
        };
        look(key);
        loop {
            let Some(key) = self.state.touched.borrow_mut().pop() else { break };
            look(key);
        }
        if self.state.unanswered.get() > 0 && self.state.waits_for_nothing() {
            // Only now may a request hang; the next poll looks again, after V8's own background work.
            self.state.wake();
        }
    }

    /// Tells of the promises that were rejected in this turn and not handled: the guest, if it listens, and the log, unless
    /// that keeps it from doing so. Gives whether there were any.
    fn report_rejections(&self, scope: &mut v8::PinScope<'_, '_>) -> bool {
        if self.state.rejections.borrow().is_empty() {
            return false;
        }
        let late = self.state.rejections.borrow_mut().take_late();
        for (promise, key) in late {
            enter(scope, key);
            let promise = v8::Local::new(scope, promise);
            let reason = promise.result(scope);
            call_internal(scope, &self.state, "rejectionHandled", &[promise.into(), reason]);
        }
        let (rejections, more) = self.state.rejections.borrow_mut().take();
        for rejection in rejections {
            if self.state.evaluation.borrow().as_ref() == Some(&rejection.promise) {
                // The load itself reports this one.
                continue;
            }
            enter(scope, rejection.scope);
            let value = v8::Local::new(scope, rejection.value);
            if self.state.rejections.borrow().is_heard() {
                let promise = v8::Local::new(scope, rejection.promise);
                if promise.has_handler() {
                    continue;
                }
                let log = call_internal(scope, &self.state, "rejectionUnhandled", &[promise.into(), value]);
                if !promise.has_handler() {
                    let hash = promise.get_identity_hash().get();
                    let weak = v8::Weak::new(scope, promise);
                    self.state.rejections.borrow_mut().note_told(hash, weak);
                }
                if log.is_some_and(|log| log.is_false()) {
                    continue;
                }
            }
            let described = describe(scope, value);
            let message = format!("Uncaught (in promise) {}", described.message);
            self.state.log(rejection.scope, Level::Error, message, described.stack);
        }
        if more > 0 {
            let message = format!("{more} more promises were rejected with nobody to hear it");
            self.state.log(ScopeKey::GUEST, Level::Error, message, None);
        }
        true
    }

    /// Ends everything: every request without an answer fails, all that was owned is released.
    fn close(&self) {
        let keys = self.state.scopes.borrow().keys();
        let failure = self.state.failure();
        for key in keys {
            self.state.answer(key, Err(failure.clone()));
            self.state.release(key);
        }
        self.state.touched.borrow_mut().clear();
    }
}

/// Makes what runs next belong to this request.
fn enter(scope: &mut v8::PinScope<'_, '_>, key: ScopeKey) {
    let data = v8::Integer::new(scope, key.0 as i32);
    scope.set_continuation_preserved_embedder_data(data.into());
}

/// Finds the app's handlers and hands them with the variables to the Web APIs' side.
fn start(
    scope: &mut v8::PinScope<'_, '_>,
    module: &v8::Global<v8::Module>,
    routed: &[(String, v8::Global<v8::Module>)],
    has_triggers: bool,
    state: &State,
) -> Result<(), LoadError> {
    v8::tc_scope!(let scope, scope);
    let module = v8::Local::new(scope, module);
    let namespace = module.get_module_namespace();
    let services = &state.services;
    let variables = services.env.iter().map(|(name, value)| (&**name, &**value));
    // Secrets come before variables of the same names: they are set after them.
    let mut pairs: Vec<v8::Local<'_, v8::Value>> = Vec::new();
    for (name, value) in variables.chain(services.secrets.iter()) {
        for text in [name, value] {
            let text =
                v8::String::new(scope, text).ok_or_else(|| LoadError::new("a variable is too long"))?;
            pairs.push(text.into());
        }
    }
    let pairs = v8::Array::new_with_elements(scope, &pairs).into();
    let mut modules: Vec<v8::Local<'_, v8::Value>> = Vec::with_capacity(routed.len() * 2);
    for (path, module) in routed {
        let path = v8::String::new(scope, path).unwrap_or_else(|| v8::String::empty(scope));
        let module = v8::Local::new(scope, module);
        modules.extend([path.into(), module.get_module_namespace()]);
    }
    let modules = v8::Array::new_with_elements(scope, &modules).into();
    let bindings: Vec<v8::Local<'_, v8::Value>> = state
        .services
        .bindings
        .iter()
        .flat_map(|(name, bound)| [&**name, bound.capability().name()])
        .map(|text| crate::ops::latin1_string(scope, text.as_bytes()).into())
        .collect();
    let bindings = v8::Array::new_with_elements(scope, &bindings).into();
    let has_triggers = v8::Boolean::new(scope, has_triggers).into();
    let receiver = v8::undefined(scope).into();
    let start =
        internal_function(scope, "start").ok_or_else(|| LoadError::new("the snapshot is incomplete"))?;
    match start.call(scope, receiver, &[namespace, pairs, modules, bindings, has_triggers]) {
        Some(_) => Ok(()),
        None => Err(match scope.exception() {
            Some(exception) => {
                let described = describe(scope, exception);
                LoadError::new(described.message.trim_start_matches("TypeError: ").to_owned())
            }
            None => LoadError::new("the app was stopped while it was loaded"),
        }),
    }
}

/// Calls an internal function of the Web APIs' JavaScript; what it throws goes to the log.
fn call_internal<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &State,
    name: &str,
    args: &[v8::Local<'_, v8::Value>],
) -> Option<v8::Local<'s, v8::Value>> {
    let function = internal_function(scope, name)?;
    call_reported(scope, state, function, args)
}

/// Calls a function of the guest; what it throws goes to the log.
fn call_reported<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &State,
    function: v8::Local<'_, v8::Function>,
    args: &[v8::Local<'_, v8::Value>],
) -> Option<v8::Local<'s, v8::Value>> {
    v8::tc_scope!(let scope, scope);
    let receiver = v8::undefined(scope).into();
    let result = function.call(scope, receiver, args);
    if result.is_none()
        && let Some(exception) = scope.exception()
        && !scope.has_terminated()
    {
        let described = describe(scope, exception);
        state.log(State::current(scope), Level::Error, described.message, described.stack);
    }
    result
}

impl Guest for JsGuest {
    fn request(&self, mut request: Request, responder: Responder) -> Ticket {
        if self.state.is_stopped() {
            responder.send(Err(self.state.failure()));
            return Ticket(0);
        }
        let (method, url) = (std::mem::take(&mut request.method), std::mem::take(&mut request.url));
        let event = std::mem::take(&mut request.event);
        let route = self.routes.find(&url);
        let key = self.state.scopes.borrow_mut().open(request, responder);
        self.state.unanswered.set(self.state.unanswered.get() + 1);
        self.turn(key, |scope| {
            let number = v8::Integer::new(scope, key.0 as i32).into();
            if let Event::Scheduled(trigger) = event {
                let cron = crate::ops::latin1_string(scope, trigger.cron.as_bytes()).into();
                let time = v8::Number::new(scope, trigger.time as f64).into();
                call_internal(scope, &self.state, "dispatchScheduled", &[number, cron, time]);
                return;
            }
            let method = method_value(scope, &method);
            let (url, layout) = self.url_value(scope, &url);
            let dispatch = v8::Local::new(scope, &self.dispatch);
            let receiver = v8::undefined(scope).into();
            // It catches what the guest throws; a termination is seen by the state.
            match route {
                None => dispatch.call(scope, receiver, &[number, method, url, layout]),
                Some((module, values)) => {
                    let module = v8::Integer::new(scope, module as i32).into();
                    let params = params_object(scope, &values);
                    dispatch.call(scope, receiver, &[number, method, url, layout, module, params])
                }
            };
        });
        if self.state.is_stopped() {
            self.state.wake();
        }
        Ticket(u64::from(key.0))
    }

    fn abort(&self, ticket: Ticket) {
        let key = ScopeKey(ticket.0 as u32);
        if self.state.with_scope(key, |_| ()).is_some() {
            self.state.aborts.borrow_mut().push(ticket);
            self.state.wake();
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Stop> {
        let turns = self.poll_turns(cx);
        if let Some(stop) = self.state.stopped() {
            self.close();
            return Poll::Ready(stop);
        }
        if turns < event_loop::TURNS_A_POLL {
            if self.poll_background(cx) {
                cx.waker().wake_by_ref();
            } else {
                self.fail_the_hung();
            }
        }
        Poll::Pending
    }

    fn in_flight(&self) -> usize {
        self.state.scopes.borrow().len()
    }

    fn usage(&self) -> Usage {
        // Within a turn the isolate is busy; the last figure is good enough then.
        if let Ok(mut isolate) = self.isolate.try_borrow_mut() {
            self.state.measure(&mut isolate);
        }
        Usage {
            heap_used: self.state.accounts.memory.total(),
            heap_limit: self.state.services.limits.get(Limit::Memory),
            scopes: self.state.scopes.borrow().len() as u64,
            timers: self.state.timers.borrow().len() as u64,
            operations: self.state.operations.borrow().len() as u64,
        }
    }

    fn stopper(&self) -> Arc<dyn Stopper> {
        self.state.handle.clone()
    }
}

impl Drop for JsGuest {
    fn drop(&mut self) {
        // Handles of the isolate go before it: scopes, timers and operations hold some.
        self.close();
        self.state.stop(StopReason::Host, "the guest was dropped".into());
        self.state.clear();
    }
}
