//! Requests of one round of the event loop, on their way to the guest.
//!
//! Under load the event loop finds many connections readable at once. Taking one request after the other from its
//! socket through the guest and back would have the processor fetch the code of all these stages again for each: together
//! they are several times as large as its caches. So requests are read first, then handed to the guest one right after
//! the other, and then their responses are written. That costs a wake-up a request, and saves a tenth of its time.
//!
//! ```text
//! connections' tasks: read, parse, Round::add  ─┐ all that are readable
//! the round's task:   guest, guest, guest       ◄┘ until LONG, then the others have their turn
//! connections' tasks: write, write, write
//! ```
//!
//! The connections of a round are few ([`CONNECTIONS`]): what a request leaves behind on its way (the kernel's socket, the
//! connection, the request, the guest's objects) is to be in the processor's caches at its next stage, too.
//!
//! A response that is there waits for the rest of its round. So an app with long turns, to which the stages' code does
//! not matter, has its requests handed over one at a time, each response written before the next one's turn.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use nexus_guest::{Canceller, Request, Responder};

/// So many sockets' readiness is taken from the kernel at once; the others' turn is next. With 256 connections under load
/// a request costs 40 % more CPU time with 32 or more, and with 8 the same.
///
/// Two turns of a task for each and one for the round must be fewer than the 61 that a `LocalSet` runs before the kernel
/// is asked again: else more come before these are done, and rounds grow to all connections that there are.
pub(super) const CONNECTIONS: usize = 16;

/// A turn of so much CPU time is long, and so is a round: the responses that are there are written before the next
/// request has its turn.
const LONG: Duration = Duration::from_micros(250);
/// So many requests after one whose turn was long are handed over one at a time.
pub(super) const WARY: u32 = 64;

/// A request that is handed to the guest in this round.
pub(super) struct Given {
    pub(super) request: Request,
    pub(super) responder: Responder,
    /// The service's name for it.
    pub(super) key: u64,
    /// To see whether it was answered.
    pub(super) canceller: Canceller,
}

/// The requests of a round, in the order in which they were read.
#[derive(Default)]
pub(super) struct Round {
    given: RefCell<VecDeque<Given>>,
    /// When the round's first request was read.
    start: Cell<Option<Instant>>,
    /// The CPU time of the round so far.
    cpu: Cell<Duration>,
    /// How many of the next requests are handed over one at a time.
    wary: Cell<u32>,
    /// Of the task that serves rounds, while it waits for one.
    waker: RefCell<Option<Waker>>,
}

impl Round {
    /// When this round's requests came: all were in the kernel's hands when the first was read. For those only that are
    /// added to it: the round's end forgets the time.
    pub(super) fn start(&self) -> Instant {
        self.start.get().unwrap_or_else(|| {
            let now = Instant::now();
            self.start.set(Some(now));
            now
        })
    }

    /// Has a request handed to the guest once the other connections have read theirs.
    pub(super) fn add(&self, given: Given) {
        self.given.borrow_mut().push_back(given);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// A request's turn took this CPU time. Says whether what was answered is to be written before the next one's.
    pub(super) fn is_long(&self, turn: Duration) -> bool {
        let wary = if turn > LONG { WARY } else { self.wary.get().saturating_sub(1) };
        self.wary.set(wary);
        let cpu = self.cpu.get() + turn;
        let is_long = wary > 0 || cpu > LONG;
        self.cpu.set(if is_long { Duration::ZERO } else { cpu });
        is_long
    }

    /// Whether requests are handed over one at a time.
    pub(super) fn is_wary(&self) -> bool {
        self.wary.get() > 0
    }

    /// The next one. `None` at the round's end: whoever serves rounds is woken for the next.
    pub(super) fn next(&self, cx: &Context<'_>) -> Option<Given> {
        // What is read from now on is the next round's.
        self.start.set(None);
        let next = self.given.borrow_mut().pop_front();
        if next.is_none() {
            self.cpu.set(Duration::ZERO);
            *self.waker.borrow_mut() = Some(cx.waker().clone());
        }
        next
    }
}
