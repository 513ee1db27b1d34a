//! An app as it runs on its worker's thread: a task for each request, each poll of one a turn.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use nexus_core::{App, Limit};
use nexus_guest::{
    FailureKind, Guest, Level, LogRecord, Request, RequestId, Responder, Services, Stop, StopReason, Stopper,
    Ticket, Usage,
};

use crate::account::{Account, Ending, METER};
use crate::compile::LoadedApp;
use crate::error::Ended;
use crate::exchange::{self, End, Exchange};
use crate::output::Output;
use crate::room::{self, Room, Rooms};
use crate::shared::Shared;
use crate::tail::Tail;
use crate::tasks::{Task, Tasks};

type RequestTask = Task<Result<(), Ended>, Rc<Exchange>>;

/// A WebAssembly guest.
pub(crate) struct WasmGuest {
    shared: Rc<Shared>,
    tasks: Tasks<Result<(), Ended>, Rc<Exchange>>,
    rooms: Rc<Rooms>,
    last: Cell<u64>,
    stopper: Arc<WasmStopper>,
}

impl WasmGuest {
    /// A guest that can be reached from other threads from here on.
    pub(crate) fn new(app: Arc<LoadedApp>, manifest: Arc<App>, services: Services) -> Self {
        let shared = Rc::new(Shared::new(app, manifest, services));
        let tasks = Tasks::new();
        let stopper = Arc::new(WasmStopper {
            engine: shared.app.engine().clone(),
            ending: shared.ending.clone(),
            wake: Box::new(tasks.poller()),
        });
        shared.services.watch.attach(stopper.clone());
        Self { shared, tasks, rooms: Rc::new(Rooms::new()), last: Cell::new(0), stopper }
    }

    /// Polls a task in a turn of its own. Gives what came of it, the task if it is not over, and the CPU time in
    /// nanoseconds.
    fn polled<O, D>(&self, mut task: Task<O, D>) -> (thread::Result<Option<O>>, Option<Task<O, D>>, u64) {
        let turn = self.shared.services.watch.begin_turn();
        METER.with(|meter| meter.begin());
        let polled = catch_unwind(AssertUnwindSafe(|| match task.poll() {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }));
        let mut kept = Some(task);
        if !matches!(polled, Ok(None)) {
            // Its instance is taken down on its own account.
            kept = None;
        }
        let cpu = METER.with(|meter| meter.end());
        drop(turn);
        (polled, kept, cpu)
    }

    /// A turn of a request, which is kept if it is not over.
    fn turn(&self, number: u64, task: RequestTask) {
        let exchange = task.data.clone();
        // A provider may have spent what was left.
        let (polled, mut kept, cpu) = match exchange.account.is_beyond(0) {
            true => (Ok(None), None, 0),
            false => self.polled(task),
        };
        let mut ended = polled.unwrap_or_else(|_| {
            Some(Err(Ended::failed(FailureKind::Threw, "the engine panicked in this request")))
        });
        exchange.account.charge(cpu);
        exchange.responder.charge(Duration::from_nanos(cpu) + exchange.account.take_unreported());
        if ended.is_none() && exchange.account.is_beyond(0) {
            kept = None;
            ended = Some(Err(Ended::at_limit(Limit::Cpu, &self.shared.services.limits, None)));
        }
        self.pass_output_on(Some(exchange.id), &exchange.output, ended.is_some());
        if let Some(task) = kept {
            self.tasks.put(number, task);
        }
        if let Some(result) = ended {
            self.end(&exchange, result);
        }
    }

    /// A turn of a room.
    fn turn_of_room(&self, number: u64, task: Task<Result<(), End>, Rc<Room>>) {
        let room = task.data.clone();
        let only = room.only_request();
        let (polled, kept, cpu) = self.polled(task);
        let is_beyond = room.settle(cpu);
        let ended = match polled {
            Ok(None) if is_beyond => {
                Some(Some(Ended::at_limit(Limit::Cpu, &self.shared.services.limits, None)))
            }
            Ok(None) => None,
            Ok(Some(Ok(()))) => Some(None),
            Ok(Some(Err(End::Late))) => {
                room.output.note(Tail::over());
                Some(None)
            }
            Ok(Some(Err(End::Ended(ended)))) => Some(Some(ended)),
            Ok(Some(Err(End::Error(error)))) => {
                Some(Some(Ended::from(&error, false, &self.shared.services.limits)))
            }
            Err(_) => Some(Some(Ended::failed(FailureKind::Threw, "the engine panicked in this instance"))),
        };
        self.pass_output_on(only, &room.output, ended.is_some());
        let Some(ended) = ended else {
            if let Some(task) = kept {
                self.rooms.tasks.put(number, task);
            }
            return;
        };
        drop(kept);
        self.rooms.remove(&room);
        self.shared.freed.notify_one();
        if let Some((request, ended)) = room.end(ended) {
            match (request, ended) {
                (Some(request), Ended::Stopped(stop)) => self.shared.services.stops.stopped(request, &stop),
                (request, Ended::Stopped(stop)) => self.log(request, Level::Error, stop.detail, None),
                (request, Ended::Failed { message, stack, .. }) => {
                    self.log(request, Level::Error, message, stack);
                }
            }
        }
    }

    /// A request is over, and its instance gone.
    fn end(&self, exchange: &Exchange, result: Result<(), Ended>) {
        self.shared.freed.notify_one();
        let Err(ended) = result else { return };
        exchange.broken.set(true);
        exchange.responder.send(Err(ended.failure()));
        match ended {
            Ended::Stopped(stop) => self.shared.services.stops.stopped(exchange.id, &stop),
            Ended::Failed { message, stack, .. } => {
                self.log(Some(exchange.id), Level::Error, message, stack);
            }
        }
    }

    fn pass_output_on(&self, request: Option<RequestId>, output: &Output, is_over: bool) {
        for (level, line) in output.take(is_over) {
            self.log(request, level, line, None);
        }
        if output.is_full() {
            let limit = self.shared.services.limits.show(Limit::Log);
            let message =
                format!("this request has logged as much as it may ({limit}): what follows is dropped");
            self.log(request, Level::Warn, message, None);
        }
    }

    fn log(&self, request: Option<RequestId>, level: Level, message: String, stack: Option<String>) {
        let log = &self.shared.services.log;
        if log.wants(level) {
            log.log(LogRecord { level, request, message, stack });
        }
    }

    /// Ends all requests: the host wants it.
    fn end_all(&self, reason: StopReason) -> Stop {
        let detail = match reason {
            StopReason::Host => "the host ended it".to_owned(),
            reason => format!("the host ended it ({})", reason.label()),
        };
        for (_, task) in self.tasks.take_all() {
            let exchange = task.data.clone();
            drop(task);
            self.pass_output_on(Some(exchange.id), &exchange.output, true);
            exchange.broken.set(true);
            exchange.responder.send(Err(FailureKind::Stopped.into()));
        }
        self.rooms.clear();
        Stop { reason, limit: None, detail }
    }
}

impl Guest for WasmGuest {
    fn request(&self, request: Request, responder: Responder) -> Ticket {
        let number = self.last.get() + 1;
        self.last.set(number);
        let limits = &self.shared.services.limits;
        let exchange = Rc::new(Exchange {
            id: request.id,
            responder,
            account: Arc::new(Account::new(limits)),
            output: Arc::new(Output::new(limits.get(Limit::Log))),
            broken: Rc::default(),
        });
        let task = if self.shared.has_rooms() {
            let handled = room::handle(self.shared.clone(), self.rooms.clone(), request, exchange.clone());
            self.tasks.make(number, handled, exchange)
        } else {
            let handled = exchange::handle(self.shared.clone(), request, exchange.clone());
            self.tasks.make(number, handled, exchange)
        };
        self.turn(number, task);
        Ticket(number)
    }

    fn abort(&self, ticket: Ticket) {
        if let Some(task) = self.tasks.take(ticket.0) {
            let exchange = task.data.clone();
            // The instance goes with its task, in the middle of whatever it waits for.
            drop(task);
            self.pass_output_on(Some(exchange.id), &exchange.output, true);
            self.shared.freed.notify_one();
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Stop> {
        self.tasks.register(cx);
        self.rooms.tasks.register(cx);
        if let Some(reason) = self.shared.ending.reason() {
            return Poll::Ready(self.end_all(reason));
        }
        // Those that become ready meanwhile come in the next round: the connections have their turn, too.
        for _ in 0..self.tasks.ready() {
            let Some(number) = self.tasks.next() else { break };
            if let Some(task) = self.tasks.take(number) {
                self.turn(number, task);
            }
        }
        for _ in 0..self.rooms.tasks.ready() {
            let Some(number) = self.rooms.tasks.next() else { break };
            if let Some(task) = self.rooms.tasks.take(number) {
                self.turn_of_room(number, task);
            }
        }
        // Last, so that what was just sent is under way at once.
        self.shared.post.poll(cx);
        Poll::Pending
    }

    fn in_flight(&self) -> usize {
        self.tasks.len() + self.rooms.tails()
    }

    fn usage(&self) -> Usage {
        Usage {
            heap_used: self.shared.memory.total(),
            heap_limit: self.shared.memory.limit(),
            scopes: self.tasks.len() as u64,
            timers: 0,
            operations: 0,
        }
    }

    fn stopper(&self) -> Arc<dyn Stopper> {
        self.stopper.clone()
    }
}

struct WasmStopper {
    engine: wasmtime::Engine,
    ending: Arc<Ending>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Stopper for WasmStopper {
    fn stop(&self, reason: StopReason) {
        self.ending.ask(reason);
        (self.wake)();
        self.engine.increment_epoch();
    }

    fn poke(&self) {
        // All stores of the process look: who is within its limits gives way to others of its worker, and goes on.
        self.engine.increment_epoch();
    }
}
