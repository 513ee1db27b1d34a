//! What SQLite asks while it works: whether it is to go on.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nexus_guest::thread_cpu;

/// How long another process is waited for that writes, and how often it is tried again.
const PATIENCE: Duration = Duration::from_secs(4);
const ATTEMPT: Duration = Duration::from_millis(2);

/// The thread's CPU clock is read at each of so many looks: that is a system call.
const THOROUGH: u32 = 8;

thread_local! {
    /// The watch over the call that this thread carries out, for what SQLite calls without saying for whom.
    static CURRENT: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// Whether the call that this thread carries out is to stop. SQLite itself asks at jumps only, and a statement may have none for
/// a long while; so its memory and the functions that take long ask, too.
pub(super) fn is_over(is_thorough: bool) -> bool {
    let look = |current: &RefCell<Option<Watch>>| {
        let current = current.try_borrow().ok()?;
        current.as_ref().map(|watch| watch.look_at(is_thorough))
    };
    CURRENT.try_with(look).ok().flatten().unwrap_or(false)
}

/// Why a call was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Halt {
    /// It takes longer than is taken on the caller's thread.
    Long,
    /// It has taken the CPU time that it may.
    Cpu,
    /// Nobody waits for its answer any more.
    Gone,
}

/// How far a call may go.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach {
    /// Until when, on the caller's thread.
    pub(super) until: Option<Instant>,
    /// The thread's CPU time at which it ends.
    pub(super) cpu_end: Option<Duration>,
    /// Is set once nobody waits.
    pub(super) gone: Option<Arc<AtomicBool>>,
}

/// The watch over a connection's calls, one after another.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch(Arc<Mutex<Watched>>);

#[derive(Debug, Default)]
struct Watched {
    reach: Reach,
    halt: Option<Halt>,
    /// Since when another process is waited for.
    waits_since: Option<Instant>,
    /// How often this was asked: what takes longer to know is looked at once in a while.
    looks: u32,
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins, on this thread.
    pub(super) fn begin(&self, reach: Reach) {
        *self.lock() = Watched { reach, halt: None, waits_since: None, looks: 0 };
        self.is_current(true);
    }

    fn is_current(&self, is: bool) {
        let _ = CURRENT.try_with(|current| *current.borrow_mut() = is.then(|| self.clone()));
    }

    /// Nothing is stopped from now on.
    pub(super) fn end(&self) {
        self.begin(Reach::default());
        self.is_current(false);
    }

    /// Why the call was stopped, if it was.
    pub(super) fn halt(&self) -> Option<Halt> {
        self.lock().halt
    }

    /// Whether SQLite is to stop.
    pub(super) fn look(&self) -> bool {
        self.look_at(false)
    }

    fn look_at(&self, is_thorough: bool) -> bool {
        let mut watched = self.lock();
        watched.looks = watched.looks.wrapping_add(1);
        let is_thorough = is_thorough || watched.looks.is_multiple_of(THOROUGH);
        let reach = &watched.reach;
        let halt = if reach.until.is_some_and(|until| Instant::now() >= until) {
            Some(Halt::Long)
        } else if reach.gone.as_ref().is_some_and(|gone| gone.load(Ordering::Relaxed)) {
            Some(Halt::Gone)
        } else if is_thorough && reach.cpu_end.is_some_and(|end| thread_cpu() >= end) {
            Some(Halt::Cpu)
        } else {
            None
        };
        // What was stopped once stays so, whoever asks next.
        watched.halt = watched.halt.or(halt);
        watched.halt.is_some()
    }

    /// Whether SQLite is to try again, for another process has the lock that it wants.
    pub(super) fn waits(&self) -> bool {
        {
            let mut watched = self.lock();
            if watched.reach.until.is_some() {
                watched.halt = Some(Halt::Long);
                return false;
            }
            let since = *watched.waits_since.get_or_insert_with(Instant::now);
            if since.elapsed() > PATIENCE {
                watched.waits_since = None;
                return false;
            }
        }
        std::thread::sleep(ATTEMPT);
        !self.look()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_stopped_for_what_is_over_first() {
        let watch = Watch::default();
        assert!(!watch.look());
        watch.begin(Reach { until: Some(Instant::now()), ..Reach::default() });
        assert!(watch.look() && watch.halt() == Some(Halt::Long) && !watch.waits());
        let gone = Arc::new(AtomicBool::new(false));
        watch.begin(Reach { gone: Some(gone.clone()), ..Reach::default() });
        assert!(!watch.look() && watch.waits() && watch.halt().is_none());
        gone.store(true, Ordering::Relaxed);
        assert!(watch.look() && !watch.waits() && watch.halt() == Some(Halt::Gone));
        watch.begin(Reach { cpu_end: Some(thread_cpu() + Duration::from_millis(5)), ..Reach::default() });
        let began = Instant::now();
        while !watch.look() {
            assert!(began.elapsed() < Duration::from_secs(20));
        }
        assert_eq!(watch.halt(), Some(Halt::Cpu));
        watch.end();
        assert!(!watch.look() && watch.halt().is_none());
    }
}
