//! The watchdog: one thread that looks at the running turns of all workers.
//!
//! A guest that computes does not come back to its event loop, so somebody else must see that its time is up. Every
//! [`LOOK`] the watchdog looks at each worker's turn. One that it saw at the look before is poked, and so is one that
//! follows a poked turn, for some guests give way when they are poked: the guest then looks at its own limits, on its
//! own thread and in the middle of the turn, and stops itself if it is beyond one. There is thus nothing that could hit
//! the turn after it.
//!
//! A turn that goes on long after it should have stopped is in a built-in function that checks nothing. It gets the
//! lowest share of the processor, and if it does not end soon even so, it is given up: its clients are answered, its app
//! gets another worker, and the thread goes on for nobody, until it comes to its turn's end and sleeps there for good.
//!
//! Costs: a worker says when its event loop wakes and goes to sleep ([`Presence`]), by a store each; on waking, one
//! load more tells whether the watchdog sleeps, which it does while nobody is awake.
//!
//! The same thread keeps the books of the process's memory; see [`crate::ledger`].

mod burning;
mod eye;
mod load;
mod priority;
mod turn;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use nexus_core::Limit;
use nexus_guest::{Level, Stop, StopReason};

use self::burning::Burning;
use self::eye::{Eye, Slowed, should_end};
use self::load::Verdict;
use self::turn::{Grace, Turn};
use crate::ledger::{Account, FRESH, Ledger, Relief};
use crate::log::Logger;
use crate::metrics::{Shortage, thread_cpu};
use crate::worker::{self, Control, Event, Worker};

/// From look to look at a turn that goes on.
const LOOK: Duration = Duration::from_millis(2);
/// From look to look while there is none: most turns are over long before. Each look takes a processor from a worker.
const GLANCE: Duration = Duration::from_millis(5);
/// From one look at the memory to the next.
const BOOKS: Duration = Duration::from_millis(50);
/// With no worker awake for so long the watchdog goes to sleep.
const QUIET: Duration = Duration::from_millis(50);
/// How much CPU time a turn may take beyond twice its limit, above its memory limit, or after it was told to stop, until
/// it is slowed down.
const PATIENCE: Duration = Duration::from_millis(100);
/// How far a turn's number may be from another one's for the two to follow each other, or nearly so.
const CLOSE: u64 = 4;
/// How often a worker is reported that should be replaced.
const REMIND: Duration = Duration::from_millis(100);

/// Watches over all workers of a host.
pub(crate) struct Watchdog {
    /// Workers that are to be watched from the next look on. The watchdog never waits for this lock: its holder may be a
    /// thread that comes after all others.
    newcomers: Mutex<Vec<Arc<Worker>>>,
    is_asleep: AtomicBool,
    /// The host is gone, and with it everything to watch.
    is_over: AtomicBool,
    thread: OnceLock<Thread>,
    /// Locked by the watchdog's thread only.
    burning: Mutex<Burning<Arc<Worker>>>,
    ledger: Ledger,
    logger: Logger,
    pokes: AtomicU64,
    panics: AtomicU64,
}

/// A worker's event loop tells here when it wakes and when it goes to sleep.
#[derive(Clone)]
pub(crate) struct Presence {
    worker: Arc<Worker>,
    watchdog: Arc<Watchdog>,
}

impl Presence {
    /// The event loop has something to do.
    #[inline]
    pub(crate) fn awake(&self) {
        // Relaxed: see `Watchdog::sleep`.
        self.worker.is_awake.store(true, Ordering::Relaxed);
        if self.watchdog.is_asleep.load(Ordering::Relaxed) {
            self.watchdog.wake();
        }
    }

    /// It waits for something to do.
    #[inline]
    pub(crate) fn asleep(&self) {
        self.worker.is_awake.store(false, Ordering::Relaxed);
    }
}

impl Watchdog {
    /// Starts the watchdog's thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(ledger: Ledger, logger: Logger) -> io::Result<Arc<Self>> {
        let watchdog = Arc::new(Self {
            newcomers: Mutex::default(),
            is_asleep: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            thread: OnceLock::new(),
            burning: Mutex::default(),
            ledger,
            logger,
            pokes: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        });
        let own = watchdog.clone();
        let thread = std::thread::Builder::new().name("nexus-watchdog".into()).spawn(move || own.guard())?;
        // Nobody else sets it.
        let _ = watchdog.thread.set(thread.thread().clone());
        Ok(watchdog)
    }

    /// Watches over this worker from now on. Its event loop is to tell when it wakes.
    pub(crate) fn add(self: &Arc<Self>, worker: &Arc<Worker>) -> Presence {
        self.newcomers.lock().unwrap_or_else(PoisonError::into_inner).push(worker.clone());
        self.wake();
        Presence { worker: worker.clone(), watchdog: self.clone() }
    }

    /// The process's memory.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How often guests were had to look at their limits.
    pub(crate) fn pokes(&self) -> u64 {
        self.pokes.load(Ordering::Relaxed)
    }

    /// How often the watchdog panicked and went on.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Nothing is to be watched any more: the thread ends.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.wake();
    }

    fn wake(&self) {
        self.is_asleep.store(false, Ordering::Relaxed);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Keeps the watchdog going: a panic is told, and it goes on. A process that has lost its watchdog all the same must
    /// not go on with guests that nothing stops.
    fn guard(&self) {
        struct Vital;
        impl Drop for Vital {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    std::process::abort();
                }
            }
        }
        let _vital = Vital;
        priority::raise_own();
        // What a panic leaves half done is at most a figure of one worker's.
        let mut eyes = Vec::new();
        while catch_unwind(AssertUnwindSafe(|| self.run(&mut eyes))).is_err() {
            self.panicked();
            std::thread::sleep(LOOK);
        }
    }

    fn panicked(&self) {
        // Of those that come again and again, the first ones are told.
        let count = self.panics.fetch_add(1, Ordering::Relaxed) + 1;
        if count <= 10 || count.is_power_of_two() {
            let message = format!("the watchdog panicked and goes on ({count} times so far)");
            self.logger.host(Level::Error, message, []);
        }
    }

    fn run(&self, eyes: &mut Vec<Eye>) {
        let mut busy = Instant::now();
        let mut books = busy;
        while !self.is_over.load(Ordering::Relaxed) {
            let now = Instant::now();
            if self.look(eyes, now) {
                busy = now;
                self.is_asleep.store(false, Ordering::Relaxed);
            }
            let is_quiet = now.duration_since(busy) >= QUIET;
            if now.duration_since(books) >= BOOKS || is_quiet {
                books = now;
                self.balance(eyes, now);
                self.look_at_the_burning(now);
            }
            if is_quiet {
                self.sleep();
            } else {
                let is_in_turn = eyes.iter().any(|eye| eye.turn.is_some());
                std::thread::park_timeout(if is_in_turn { LOOK } else { GLANCE });
            }
        }
    }

    /// Sleeps until a worker wakes, if none has.
    ///
    /// A worker says that it is awake and then looks whether the watchdog sleeps; the watchdog says that it sleeps and
    /// then looks whether a worker is awake. Without a barrier each could miss the other. A barrier on the worker's
    /// way would cost every request; so the watchdog waits for one look between the two, the first time, which is
    /// thousands of times longer than a store takes to be seen.
    fn sleep(&self) {
        if self.is_asleep.swap(true, Ordering::Relaxed) {
            if self.ledger.is_over_budget() || !self.burning().is_empty() {
                std::thread::park_timeout(BOOKS);
            } else {
                std::thread::park();
            }
        } else {
            std::thread::park_timeout(LOOK);
        }
    }

    /// Looks at every worker once. Says whether any was awake.
    fn look(&self, eyes: &mut Vec<Eye>, now: Instant) -> bool {
        if let Ok(mut newcomers) = self.newcomers.try_lock() {
            eyes.extend(newcomers.drain(..).map(Eye::new));
        }
        eyes.retain(|eye| !eye.worker.has_left.load(Ordering::Relaxed));
        let mut is_busy = false;
        let mut held = 0;
        for eye in eyes {
            held += eye.worker.watch.memory();
            // One worker's panic must not keep the others from being looked at.
            match catch_unwind(AssertUnwindSafe(|| self.look_at(eye, now))) {
                Ok(is_awake) => is_busy |= is_awake,
                Err(_) => {
                    is_busy = true;
                    self.panicked();
                }
            }
        }
        self.ledger.hold(held);
        is_busy
    }

    fn look_at(&self, eye: &mut Eye, now: Instant) -> bool {
        let activity = eye.worker.watch.activity();
        let has_moved = std::mem::replace(&mut eye.activity, activity) != activity;
        let number = eye.worker.watch.turn();
        if let Some(slowed) = eye.slowed.take_if(|slowed| number != Some(slowed.turn)) {
            eye.is_slow |= !self.give_back(&eye.worker, slowed.share);
        }
        match (number, &mut eye.turn) {
            (None, turn) => *turn = None,
            (Some(number), Some(turn)) if turn.number() == number => {
                self.poke(&eye.worker);
                eye.poked = Some(number);
                match &mut eye.slowed {
                    None => eye.slowed = self.weigh(&eye.worker, turn, now),
                    Some(slowed) => self.give_up(&eye.worker, slowed, now),
                }
            }
            (Some(number), turn) => {
                *turn = Some(Turn::new(number, now));
                // A guest that gives way when it is poked, and goes on in its next turn, is looked at as often.
                if eye.poked.is_some_and(|poked| number.wrapping_sub(poked) <= CLOSE) {
                    self.poke(&eye.worker);
                    eye.poked = Some(number);
                }
            }
        }
        // While a turn goes on, much of what it holds may be garbage by its end.
        if has_moved || number.is_none() {
            self.report(eye, now);
        }
        let is_awake = number.is_some() || eye.worker.is_awake.load(Ordering::Relaxed);
        let in_mail = eye.worker.mail.length();
        let waiting = eye.worker.waiting.load(Ordering::Relaxed) + in_mail;
        if let Some(verdict) = eye.load.look(now, is_awake, waiting) {
            let (app, worker) = (eye.worker.index, eye.worker.number);
            eye.worker.tell(match verdict {
                Verdict::Saturated => Event::Saturated { app },
                Verdict::Spare => Event::Spare { app, worker },
            });
        }
        has_moved || is_awake
    }

    fn poke(&self, worker: &Worker) {
        self.pokes.fetch_add(1, Ordering::Relaxed);
        worker.watch.poke();
    }

    /// Slows a turn down that is far beyond its limit.
    fn weigh(&self, worker: &Worker, turn: &mut Turn, now: Instant) -> Option<Slowed> {
        let thread = worker.watch.thread()?;
        let limits = &worker.app.manifest.limits;
        let (limit, which, reason) = should_end(worker);
        let allowed = limit * 2 + PATIENCE;
        if !turn.is_beyond(allowed, now, || thread_cpu(thread)) {
            return None;
        }
        let share = priority::lower(thread).ok()?;
        worker.interventions.slowed();
        self.tell(
            worker,
            Level::Warn,
            "a turn does not stop: its thread comes after all others until it does",
        );
        let grace = Grace::new(now, limits.get(Limit::Memory));
        let (reason, limit) = if turn.was_told() { (StopReason::Host, None) } else { (reason, Some(which)) };
        if matches!(reason, StopReason::Cpu | StopReason::Wall) {
            // Its guest ends with this turn in any case. Some built-in functions look whether they are to stop, and at
            // nothing else: the arithmetic of large numbers does.
            worker.watch.stop_turn(turn.number(), reason);
        }
        Some(Slowed { turn: turn.number(), share, grace, reason, limit })
    }

    /// Gives a turn up that was slowed down and does not end.
    fn give_up(&self, worker: &Arc<Worker>, slowed: &mut Slowed, now: Instant) {
        let cpu = || worker.watch.thread().and_then(thread_cpu);
        // It may end in this very moment: then it is as if nothing had been.
        if !slowed.grace.is_over(now, cpu) || !worker.watch.give_up(slowed.turn) {
            return;
        }
        // What was noted may be long ago, or nothing: a fresh guest's heap has not been measured.
        let memory = worker.watch.memory().max(FRESH);
        worker.watch.set_memory(memory);
        self.burning().add(worker.clone(), cpu().unwrap_or_default(), memory);
        let limit = slowed.limit.map(|limit| (limit, worker.app.manifest.limits.get(limit)));
        let what = match limit {
            Some((limit, value)) => {
                format!("the app reached its {} limit of {}", limit.key(), limit.show(value))
            }
            None => "the app was to end for want of memory".to_owned(),
        };
        let detail =
            format!("{what} in one step, which nothing breaks off; it goes on, after all others, for nobody");
        worker::lose(worker, Stop { reason: slowed.reason, limit, detail });
    }

    /// Looks after the threads that were given up.
    fn look_at_the_burning(&self, now: Instant) {
        let cpu = |worker: &Arc<Worker>| worker.watch.thread().and_then(thread_cpu);
        let memory = |worker: &Arc<Worker>| worker.watch.memory();
        let found = self.burning().look(now, cpu, memory, |worker| worker.watch.is_resting());
        for (worker, more) in found.grown {
            worker.interventions.lost_more(more);
            if let Some(why) = self.ledger.lose_more(more) {
                worker.tell(Event::Spent { app: worker.index, why });
            }
        }
        for (worker, burnt) in found.resting {
            let message =
                format!("the turn that was given up is over after {} s of CPU time more", burnt.as_secs());
            self.tell(&worker, Level::Info, &message);
        }
        if let Some((worker, burnt, count)) = found.too_much {
            let seconds = burnt.as_secs();
            let why =
                format!("turns that were given up took {seconds} s of CPU time, and {count} still go on");
            worker.tell(Event::Spent { app: worker.index, why });
        }
    }

    fn burning(&self) -> MutexGuard<'_, Burning<Arc<Worker>>> {
        self.burning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a thread its share of the processor back; says whether that could be done.
    fn give_back(&self, worker: &Worker, share: i32) -> bool {
        let is_restored =
            worker.watch.thread().is_some_and(|thread| priority::restore(thread, share).is_ok());
        if is_restored {
            self.tell(worker, Level::Info, "the turn that did not stop is over");
        }
        // Without the privilege to raise a share, a fresh thread has to take over.
        is_restored
    }

    /// Compares what all guests hold with the budget and acts on it.
    fn balance(&self, eyes: &mut [Eye], now: Instant) {
        let accounts: Vec<Account> = eyes.iter().map(|eye| eye.account(now)).collect();
        for (index, relief) in self.ledger.decide(&accounts) {
            if let Some(eye) = eyes.get_mut(index) {
                self.relieve(eye, relief, now);
            }
        }
    }

    /// Has a worker replaced that is near its memory limit, or has to stay slow.
    fn report(&self, eye: &mut Eye, now: Instant) {
        let (app, worker) = (eye.worker.index, eye.worker.number);
        let event = match eye.is_slow {
            true => Event::Slow { app, worker },
            false if eye.worker.is_full() => Event::Full { app, worker },
            false => return,
        };
        if eye.reported.is_none_or(|last| now.duration_since(last) >= REMIND) {
            eye.reported = Some(now);
            eye.worker.tell(event);
        }
    }

    /// Ends this worker's guest; a fresh one takes its place when there is room.
    fn relieve(&self, eye: &mut Eye, relief: Relief, now: Instant) {
        let worker = &eye.worker;
        eye.told = Some(now);
        let (held, budget) = (worker.watch.memory() >> 20, self.ledger.budget() >> 20);
        match relief {
            Relief::Idle => {
                worker.interventions.shortage(Shortage::Idle);
                self.tell(
                    worker,
                    Level::Info,
                    &format!("all guests hold more than {budget} MB: this one ends, for it is idle and holds {held} MB"),
                );
                worker.tell(Event::Idle { app: worker.index, worker: worker.number, pressed: true });
            }
            Relief::Largest => {
                worker.interventions.shortage(Shortage::Largest);
                self.tell(
                    worker,
                    Level::Warn,
                    &format!("all guests hold more than {budget} MB: this one is stopped, for it holds the most, {held} MB"),
                );
                // Within a turn only the stopper reaches it, between turns only its event loop.
                if let Some(turn) = &mut eye.turn {
                    worker.watch.stop(StopReason::Host);
                    turn.told_to_stop(now, PATIENCE);
                }
                worker.command(Control::Yield { even_if_busy: true });
            }
        }
    }

    fn tell(&self, worker: &Worker, level: Level, message: &str) {
        let app = ("app", worker.app.name().as_str().into());
        self.logger.host(level, message, [app, ("worker", u64::from(worker.number).into())]);
    }
}
