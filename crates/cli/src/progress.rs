//! What a terminal shows while something takes long.

use std::io::{IsTerminal, Write, stderr};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// Nothing is shown before this.
const PATIENCE: Duration = Duration::from_millis(400);
/// How often the time is shown anew.
const TICK: Duration = Duration::from_millis(200);

/// A line on standard error with what is being done and since when, until this is dropped. Only on a terminal, and only
/// if it takes long.
pub(crate) struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// `what` is being done from here on.
    pub(crate) fn start(what: String) -> Self {
        if !stderr().is_terminal() {
            return Self(None);
        }
        let (over, is_over) = channel::<()>();
        let begun = Instant::now();
        let show = move || {
            let mut wait = PATIENCE;
            while let Err(RecvTimeoutError::Timeout) = is_over.recv_timeout(wait) {
                wait = TICK;
                // Standard error may be gone.
                let _ = write!(stderr(), "\r\x1b[K{what} … {:.1} s", begun.elapsed().as_secs_f64());
            }
            if wait == TICK {
                let _ = write!(stderr(), "\r\x1b[K");
            }
        };
        Self(Builder::new().spawn(show).ok().map(|thread| (over, thread)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((over, thread)) = self.0.take() {
            drop(over);
            // Its line is gone before anything else is printed.
            let _ = thread.join();
        }
    }
}
