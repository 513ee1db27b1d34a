//! The guest's side of its worker's event loop: which turns are due, and what happens when none can be.

use std::future::Future;
use std::task::Context;
use std::time::{Duration, Instant};

use nexus_guest::{FailureKind, Level, Responder, TAIL};

use super::{JsGuest, call_reported};
use crate::scope::ScopeKey;

/// How many turns one poll takes at most, before connections get their share of the thread.
pub(super) const TURNS_A_POLL: usize = 64;
/// How often V8's tasks for this thread are run while there is no known background work.
const PUMP_EVERY: Duration = Duration::from_millis(100);
/// How often V8's background work is looked after.
const BACKGROUND_EVERY: Duration = Duration::from_millis(2);

impl JsGuest {
    /// Takes the turns that are due, up to a bound. Gives their number; with 0, the task is woken when there is
    /// something to do.
    pub(super) fn poll_turns(&self, cx: &mut Context<'_>) -> usize {
        self.state.set_waker(cx.waker());
        let mut turns = 0;
        while turns < TURNS_A_POLL && !self.state.is_stopped() {
            if !(self.abort_turn() || self.operation_turn(cx) || self.timer_turn() || self.end_tail()) {
                break;
            }
            turns += 1;
        }
        if turns == TURNS_A_POLL {
            cx.waker().wake_by_ref();
        } else {
            self.poll_sleep(cx);
        }
        turns
    }

    /// A client has gone: the request's signal aborts, and unless `waitUntil` or its handler keeps it, the request is over.
    pub(super) fn abort_turn(&self) -> bool {
        let Some(ticket) = self.state.aborts.borrow_mut().pop() else { return false };
        let key = ScopeKey(ticket.0 as u32);
        let Some((signal, timed_out)) = self.state.with_scope(key, |scope| {
            // Answered, yet not by the guest: the host gave up on it.
            let sent = scope.responder.as_ref().is_some_and(Responder::is_sent);
            let timed_out = !scope.answered && sent;
            scope.aborted = true;
            // What the guest still sends goes nowhere.
            scope.outgoing = None;
            (scope.signal.clone(), timed_out)
        }) else {
            return true;
        };
        let is_at_work = self.state.owes_answer(key);
        self.state.answer(key, Err(FailureKind::Stopped.into()));
        if is_at_work && self.is_shared {
            self.state.keep_orphan(key);
        }
        self.turn(key, |scope| {
            let undefined: v8::Local<'_, v8::Value> = v8::undefined(scope).into();
            let signal = match signal {
                Some(signal) => v8::Local::new(scope, signal).into(),
                None => undefined,
            };
            let number = v8::Integer::new(scope, key.0 as i32).into();
            let abort = v8::Local::new(scope, &self.abort);
            let timed_out = v8::Boolean::new(scope, timed_out).into();
            call_reported(scope, &self.state, abort, &[number, signal, timed_out]);
        });
        true
    }

    pub(super) fn operation_turn(&self, cx: &mut Context<'_>) -> bool {
        let finished = self.state.operations.borrow_mut().poll_finished(cx);
        let Some(finished) = finished else { return false };
        if self.state.is_stopped() {
            // What it has taken was too much.
            return true;
        }
        self.state.with_scope(finished.scope, |scope| scope.operations.remove(&finished.id));
        self.turn(finished.scope, |scope| {
            let resolver = v8::Local::new(scope, &finished.resolver);
            match finished.outcome.into_value(scope) {
                Ok(value) => resolver.resolve(scope, value),
                Err(error) => resolver.reject(scope, error),
            };
        });
        true
    }

    pub(super) fn timer_turn(&self) -> bool {
        let due = self.state.timers.borrow_mut().take_due(Instant::now());
        let Some((id, callback, key, last)) = due else { return false };
        if last {
            self.state.forget_timer(key, id);
        }
        self.turn(key, |scope| {
            let callback = v8::Local::new(scope, callback);
            call_reported(scope, &self.state, callback, &[]);
        });
        true
    }

    /// Gives up a request that only `waitUntil` keeps and whose time for that is over.
    pub(super) fn end_tail(&self) -> bool {
        let due = self.state.tails.borrow().front().copied();
        let Some((_, key)) = due.filter(|(due, _)| *due <= Instant::now()) else { return false };
        self.state.tails.borrow_mut().pop_front();
        if self.state.with_scope(key, |scope| scope.is_tail()) == Some(true) {
            let (level, what) = match self.state.is_orphan(key) {
                true => (Level::Debug, "the client has gone, and fetch()"),
                false => (Level::Warn, "a promise given to waitUntil()"),
            };
            let message = format!("{what} did not settle within {} s", TAIL.as_secs());
            self.state.log(key, level, message, None);
            self.state.release(key);
        }
        true
    }

    /// Has the task woken when the next timer or tail is due.
    pub(super) fn poll_sleep(&self, cx: &mut Context<'_>) {
        let tail = self.state.tails.borrow().front().map(|(due, _)| *due);
        let next = self.state.timers.borrow().next().into_iter().chain(tail).min();
        let next = next.map(tokio::time::Instant::from_std);
        let mut sleep = self.sleep.borrow_mut();
        let Some(next) = next else {
            *sleep = None;
            return;
        };
        let sleep = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next)));
        if sleep.deadline() != next {
            sleep.as_mut().reset(next);
        }
        if sleep.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    /// Whether V8 itself works on something that may settle a promise (compiling WebAssembly, say).
    pub(super) fn background_work(&self) -> bool {
        self.isolate.borrow_mut().has_pending_background_tasks()
    }

    /// Fails the requests whose promise can never settle: nothing that the guest waits for is left. Likewise ends those
    /// that only a `waitUntil` keeps.
    pub(super) fn fail_the_hung(&self) {
        if self.state.unanswered.get() == 0 && self.state.tails.borrow().is_empty() {
            return;
        }
        if !self.state.waits_for_nothing() || self.background_work() {
            return;
        }
        let keys = self.state.scopes.borrow().keys();
        for key in keys {
            let told = if self.state.wants_answer(key) {
                "the promise that fetch() returned can never settle: nothing is pending that could do it, \
                 and a request cannot wait for another one"
            } else if self.state.is_orphan(key) {
                // Nobody waits for it.
                ""
            } else if self.state.with_scope(key, |scope| scope.is_tail()) == Some(true) {
                "a promise given to waitUntil() can never settle: nothing is pending that could do it"
            } else if self.state.owes_answer(key) {
                // The host has answered for it.
                ""
            } else {
                continue;
            };
            if !told.is_empty() {
                self.state.log(key, Level::Error, told.into(), None);
            }
            self.state.answer(key, Err(FailureKind::Hung.into()));
            self.state.release(key);
        }
        self.state.tails.borrow_mut().clear();
    }

    /// Runs what V8 wants run on this thread: finished compilations, finalizers, parts of garbage collections. Gives
    /// whether there was anything. While V8 works in the background, which tells nobody when it is done, the task is
    /// woken again soon.
    pub(super) fn poll_background(&self, cx: &mut Context<'_>) -> bool {
        let busy = self.background_work();
        let was_busy = self.busy.replace(busy);
        if !busy && !was_busy && self.pumped.get().elapsed() < PUMP_EVERY {
            return false;
        }
        self.pumped.set(Instant::now());
        let ran = self.turn(ScopeKey::GUEST, |scope| {
            let platform = v8::V8::get_current_platform();
            let mut ran = false;
            while v8::Platform::pump_message_loop(&platform, scope, false) {
                ran = true;
            }
            ran
        });
        let mut sleep = self.background_sleep.borrow_mut();
        *sleep = None;
        if !ran && self.background_work() {
            let mut again = Box::pin(tokio::time::sleep(BACKGROUND_EVERY));
            if again.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
            *sleep = Some(again);
        }
        ran
    }
}
