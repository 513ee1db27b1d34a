//! Threads for what waits for disks: few for the whole process, and apart from all event loops.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// How many threads there are at most. More would wait for the same disk.
const THREADS: usize = 16;

/// The threads. They start when there is something to do, and end some time after it.
#[derive(Debug, Clone)]
pub(crate) struct Storage(Arc<Threads>);

#[derive(Debug)]
struct Threads(Option<Runtime>);

impl Storage {
    /// None are started yet.
    ///
    /// # Errors
    /// When the system refuses what the threads need.
    pub(crate) fn new() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(THREADS)
            .thread_keep_alive(Duration::from_secs(10))
            .thread_name("nexus-storage")
            .build()?;
        Ok(Self(Arc::new(Threads(Some(runtime)))))
    }

    /// Does something on one of the threads, after what was given before. A panic in it ends nothing else.
    pub(crate) fn run(&self, work: impl FnOnce() + Send + 'static) {
        if let Some(runtime) = &self.0.0 {
            runtime.spawn_blocking(work);
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // It may be dropped on an event loop, which is not to wait.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
