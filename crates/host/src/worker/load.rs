//! A guest's beginning and end: what it is loaded with, who hears that its thread is lost, what it leaves.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nexus_guest::{Abandon, Engine, Failure, FailureKind, Guest, LoadError, Services, Stop};

use super::{Event, Start, Worker};
use crate::http::abandon_connections;
use crate::modules::FolderModules;

/// Has the host start another worker for an app whose worker's thread is lost.
struct Lost(Arc<Worker>);

impl Abandon for Lost {
    fn abandon(&self, stop: Stop) {
        let worker = &self.0;
        // Nobody is to look at it any more, nor to take it for one that is executing.
        worker.leave();
        worker.watch.end_turn();
        abandon_connections(&Failure { kind: FailureKind::Stopped, limit: stop.limit });
        worker.tell(Event::Lost { app: worker.index, worker: worker.number, stop });
        worker.settle();
    }
}

/// Loads the app's guest on this thread.
pub(super) async fn load(
    engine: &dyn Engine,
    start: &Start,
    worker: &Arc<Worker>,
) -> Result<Rc<dyn Guest>, LoadError> {
    let modules = FolderModules::new(&start.app.folder);
    let modules =
        modules.map_err(|error| LoadError::new(format!("cannot open the app's folder: {error}")))?;
    let services = Services {
        log: Rc::new(start.logger.app(start.app.name().as_str(), Some(worker.number))),
        modules: Rc::new(modules),
        env: start.env.clone().into(),
        limits: start.app.manifest.limits,
        watch: worker.watch.clone(),
        abandon: Rc::new(Lost(worker.clone())),
    };
    worker.is_loading.store(true, Ordering::Relaxed);
    let loaded = engine.load(start.app.clone(), services).await;
    worker.is_loading.store(false, Ordering::Relaxed);
    loaded
}

/// Gives the system back what guests have freed: the C library keeps it otherwise. Soon, on a thread of the pool, and
/// once for all that were stopped meanwhile: it goes through the memory of all threads.
#[allow(unsafe_code)]
pub(super) fn give_memory_back(pool: &tokio::runtime::Handle) {
    static PENDING: AtomicBool = AtomicBool::new(false);
    if PENDING.swap(true, Ordering::Relaxed) {
        return;
    }
    pool.spawn_blocking(|| {
        std::thread::sleep(Duration::from_millis(200));
        PENDING.store(false, Ordering::Relaxed);
        // SAFETY: no precondition; the call takes the allocator's own locks, one arena after the other.
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        unsafe {
            libc::malloc_trim(0);
        }
    });
}
