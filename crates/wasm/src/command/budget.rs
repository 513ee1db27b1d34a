//! Holds a program to its limits: time by an epoch that a thread raises, memory and tables by what Wasmtime asks.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nexus_guest::{Meter, StopReason, Watch};
use tokio::task::LocalSet;
use wasmtime::{Engine, ResourceLimiter, Store, UpdateDeadline};

use super::Policy;
use super::net::limits;
use crate::account::WorkerMemory;
use crate::error::Interrupt;

/// How often a program's limits are looked at.
const TICK: Duration = Duration::from_millis(2);
/// An epoch that never comes, and can be added to.
const NEVER: u64 = u64::MAX / 2;

thread_local! {
    /// The meter of the programs that this thread runs, one at a time. Apps' workers have another.
    static METER: Meter = Meter::new();
}

/// The time of one call from outside.
///
/// Orderings: all of it is written by the thread that runs the program; atomic because a store's data is `Send`.
pub(super) struct Budget {
    cpu: Option<u64>,
    wall: Option<Duration>,
    /// Whether a program that computes lets its network go on meanwhile.
    gives_way: bool,
    /// Nanoseconds of the polls that are over.
    spent: AtomicU64,
    /// When the call began.
    begun: Mutex<Instant>,
}

impl Budget {
    pub(super) fn new(policy: &Policy) -> Arc<Self> {
        let cpu = policy.cpu.map(|cpu| u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX));
        let (wall, gives_way) = (policy.wall, !policy.net.is_empty());
        Arc::new(Self { cpu, wall, gives_way, spent: AtomicU64::new(0), begun: Mutex::new(Instant::now()) })
    }

    /// Whether there is nothing to look at.
    pub(super) fn is_endless(&self) -> bool {
        self.cpu.is_none() && self.wall.is_none() && !self.gives_way
    }

    /// Has a store look at its limits at each tick.
    pub(super) fn watch<T: 'static>(self: &Arc<Self>, store: &mut Store<T>) {
        if self.is_endless() {
            store.set_epoch_deadline(NEVER);
            return;
        }
        let budget = self.clone();
        store.epoch_deadline_callback(move |_| match budget.beyond(METER.with(Meter::so_far)) {
            Some(reason) => Err(Interrupt(reason).into()),
            None if budget.gives_way => Ok(UpdateDeadline::Yield(1)),
            None => Ok(UpdateDeadline::Continue(1)),
        });
        store.set_epoch_deadline(1);
    }

    /// Which limit is behind us, after so many more nanoseconds than those of the polls that are over.
    fn beyond(&self, running: u64) -> Option<StopReason> {
        let spent = self.spent.load(Ordering::Relaxed).saturating_add(running);
        if self.cpu.is_some_and(|cpu| spent > cpu) {
            return Some(StopReason::Cpu);
        }
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        self.wall.is_some_and(|wall| begun.elapsed() > wall).then_some(StopReason::Wall)
    }

    /// A call begins.
    fn begin(&self) {
        self.spent.store(0, Ordering::Relaxed);
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// A call that blocks.
    pub(super) fn call<T>(&self, call: impl FnOnce() -> wasmtime::Result<T>) -> wasmtime::Result<T> {
        if self.is_endless() {
            return call();
        }
        self.begin();
        METER.with(Meter::begin);
        let result = call();
        METER.with(Meter::end);
        result
    }

    /// A call that waits, in an event loop of its own that ends with it.
    pub(super) fn run<T>(&self, call: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
        let events = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        self.begin();
        let result = {
            // What is dropped here may have to do with the event loop.
            let _entered = events.enter();
            // The connections of requests are tasks of this thread. Their time is the program's.
            let tasks = LocalSet::new();
            let mut call = pin!(tasks.run_until(call));
            let metered = poll_fn(|cx| {
                METER.with(Meter::begin);
                let polled = call.as_mut().poll(cx);
                self.spent.fetch_add(METER.with(Meter::end), Ordering::Relaxed);
                match self.beyond(0) {
                    Some(reason) if polled.is_pending() => Poll::Ready(Err(Interrupt(reason).into())),
                    _ => polled,
                }
            });
            events.block_on(async {
                match self.wall {
                    None => metered.await,
                    Some(wall) => match tokio::time::timeout(wall, metered).await {
                        Ok(result) => result,
                        Err(_) => Err(Interrupt(StopReason::Wall).into()),
                    },
                }
            })
        };
        // Whoever still reads a file for it is not waited for.
        events.shutdown_background();
        result
    }
}

/// The thread that raises an engine's epoch while somebody is to look.
pub(super) struct Ticker {
    shared: Arc<Ticks>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Ticks {
    /// How many calls are under way.
    calls: AtomicUsize,
    has_ended: AtomicBool,
}

impl Ticker {
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Ticks::default());
        let ticks = shared.clone();
        let thread = thread::Builder::new().name("nexus-ticks".into()).spawn(move || {
            while !ticks.has_ended.load(Ordering::Acquire) {
                match ticks.calls.load(Ordering::Acquire) {
                    0 => thread::park(),
                    _ => {
                        thread::sleep(TICK);
                        engine.increment_epoch();
                    }
                }
            }
        })?;
        Ok(Self { shared, thread })
    }

    /// Ticks as long as this is held.
    pub(super) fn hold(&self) -> Ticking {
        if self.shared.calls.fetch_add(1, Ordering::AcqRel) == 0 {
            self.thread.thread().unpark();
        }
        Ticking(self.shared.clone())
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Ordering::Release);
        self.thread.thread().unpark();
    }
}

/// While it is held the epoch is raised.
pub(super) struct Ticking(Arc<Ticks>);

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Holds a store to its policy's memory, tables and instances.
pub(super) struct RunLimiter {
    /// What the host holds of the network is on it, too.
    memory: Arc<WorkerMemory>,
    table_elements: usize,
    /// Core instances, tables, memories: of each so many.
    items: usize,
    elements: usize,
    /// Whether memory was refused. The program may go on, but if it traps, this is why.
    pub(super) has_refused: bool,
}

impl RunLimiter {
    pub(super) fn new(policy: &Policy) -> Self {
        Self {
            memory: Arc::new(WorkerMemory::new(&limits(policy), Arc::new(Watch::new()))),
            table_elements: policy.tables,
            items: policy.instances,
            elements: 0,
            has_refused: false,
        }
    }

    /// The account of its memory.
    pub(super) fn memory(&self) -> &Arc<WorkerMemory> {
        &self.memory
    }
}

impl ResourceLimiter for RunLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let fits = self.memory.take(desired.saturating_sub(current) as u64);
        self.has_refused |= !fits;
        Ok(fits)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let elements = self.elements.saturating_add(desired.saturating_sub(current));
        let fits = elements <= self.table_elements;
        if fits {
            self.elements = elements;
        }
        Ok(fits)
    }

    fn instances(&self) -> usize {
        self.items
    }

    fn tables(&self) -> usize {
        self.items
    }

    fn memories(&self) -> usize {
        self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_tables_are_bounded_all_together() {
        let policy = Policy { memory: 1000, tables: 10, instances: 3, ..Policy::default() };
        let mut limiter = RunLimiter::new(&policy);
        assert!(limiter.memory_growing(0, 600, None).unwrap() && !limiter.has_refused);
        assert!(!limiter.memory_growing(0, 401, None).unwrap() && limiter.has_refused);
        assert!(limiter.memory_growing(600, 1000, None).unwrap());
        assert!(!limiter.memory_growing(0, usize::MAX, None).unwrap());
        assert!(limiter.table_growing(0, 6, None).unwrap() && !limiter.table_growing(0, 5, None).unwrap());
        assert!(limiter.table_growing(6, 10, None).unwrap());
        assert_eq!((limiter.instances(), limiter.tables(), limiter.memories()), (3, 3, 3));
    }

    #[test]
    fn what_waits_ends_at_the_wall_limit_and_each_call_has_its_own_time() {
        let policy = Policy { wall: Some(Duration::from_millis(5)), ..Policy::default() };
        let budget = Budget::new(&policy);
        for _ in 0..2 {
            let ended = budget.run(std::future::pending::<wasmtime::Result<()>>()).unwrap_err();
            assert!(matches!(ended.downcast_ref(), Some(Interrupt(StopReason::Wall))));
        }
        assert_eq!(budget.run(async { Ok(7) }).unwrap(), 7);
    }
}
