//! A guest's beginning and end: what it is loaded with, what it leaves.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nexus_core::{BindingTarget, NetDenied, NetPolicy, SecretSetting};
use nexus_guest::{
    Bound, Called, CapabilitySink, Denied, Engine, Guest, HttpError, Level, LoadError, LogRecord, LogSink,
    NetSink, RequestId, Secrets, Services, SocketBudget, Stop, StopSink,
};

use super::lost::Lost;
use super::other::OtherApp;
use super::service::WorkerService;
use super::{Start, Worker};
use crate::log::AppLog;
use crate::metrics::Sent;
use crate::modules::FolderModules;
use crate::secrets::SecretStore;

/// Loads the app's guest on this thread.
pub(super) async fn load(
    engine: &dyn Engine,
    start: &Start,
    worker: &Arc<Worker>,
    service: &Rc<WorkerService>,
) -> Result<Rc<dyn Guest>, LoadError> {
    let modules = FolderModules::new(&start.app.folder, start.kept.clone());
    let modules =
        modules.map_err(|error| LoadError::new(format!("cannot open the app's folder: {error}")))?;
    let log = worker.underway.log().clone();
    let app = &start.app;
    let secrets = secrets(start, worker, &log)?;
    let bound = app.manifest.bindings.iter().zip(&start.grants).map(|(binding, grant)| {
        let sink = Rc::new(Calls { worker: worker.clone(), log: log.clone() });
        let bound = match &binding.to {
            // It need not be there: it may come, and go.
            BindingTarget::App(other) => {
                let (inside, caller) = (start.inside.clone(), (worker.clone(), Rc::downgrade(service)));
                Bound::App(Rc::new(OtherApp::new(inside, caller, other, grant.clone(), sink)))
            }
            BindingTarget::Kv(_) | BindingTarget::Sql(_) => {
                start.capabilities.bind(app, binding, grant.clone(), sink).map_err(LoadError::new)?
            }
        };
        Ok((binding.name.clone(), bound))
    });
    let bindings: Vec<_> = bound.collect::<Result<_, LoadError>>()?;
    let services = Services {
        bindings: bindings.into(),
        secrets,
        log: Rc::new(log.clone()),
        modules: Rc::new(modules),
        // What the app is granted of the host's counts for this worker as it is now.
        env: start.host_env.variables(app, &start.env).into(),
        limits: start.app.manifest.limits,
        watch: worker.watch.clone(),
        abandon: Rc::new(Lost(worker.clone())),
        stops: Rc::new(Stops { worker: worker.clone(), log: log.clone() }),
        http: start
            .capabilities
            .http(&start.app, Rc::new(Outgoing { worker: worker.clone(), log: log.clone() })),
    };
    if let Some(granted) = granted(&start.app.manifest.permissions.net) {
        services.log.log(LogRecord { level: Level::Info, request: None, message: granted, stack: None });
    }
    worker.is_loading.store(true, Ordering::Relaxed);
    let loaded = engine.load(start.app.clone(), services).await;
    worker.is_loading.store(false, Ordering::Relaxed);
    loaded.map_err(|error| match log.mask() {
        Some(mask) => mask.apply_to_error(error),
        None => error,
    })
}

/// The app's secrets as they were when this worker first loaded it, which its log keeps to itself from then on.
fn secrets(start: &Start, worker: &Worker, log: &AppLog) -> Result<Arc<Secrets>, LoadError> {
    if let Some(secrets) = worker.secrets.get() {
        return Ok(secrets.clone());
    }
    let (app, granted) = (start.app.name(), start.app.manifest.granted_secrets());
    let settings: Vec<SecretSetting> = granted.cloned().collect();
    if settings.is_empty() {
        return Ok(Arc::default());
    }
    let store = SecretStore::new(&start.config.storage_folder());
    let secrets = store.load(app, &settings, &start.host_env);
    let secrets = Arc::new(secrets.map_err(|error| LoadError::new(error.to_string()))?);
    log.keeps(&secrets);
    Ok(worker.secrets.get_or_init(|| secrets).clone())
}

/// Where the app may connect to at the moment, for the log: nobody should have to read its manifest.
fn granted(net: &NetPolicy) -> Option<String> {
    let entries: Vec<String> = net.entries().map(ToString::to_string).collect();
    if net.is_empty() || entries.is_empty() {
        return None;
    }
    let bound = if net.ceiling.is_some() { ", as far as the host's configuration allows it" } else { "" };
    Some(format!("granted: connections to {}{bound}", entries.join(", ")))
}

/// Counts and tells what single requests were stopped for.
struct Stops {
    worker: Arc<Worker>,
    log: AppLog,
}

impl StopSink for Stops {
    fn stopped(&self, request: RequestId, stop: &Stop) {
        self.worker.stats.stopped(stop.reason);
        let message = format!("the guest was stopped: {}", stop.detail);
        self.log.log(LogRecord { level: Level::Error, request: Some(request), message, stack: None });
    }
}

/// Tells what came of calls to providers that somebody should know.
struct Calls {
    worker: Arc<Worker>,
    log: AppLog,
}

impl Calls {
    fn warn(&self, request: Option<RequestId>, message: String) {
        self.log.log(LogRecord { level: Level::Warn, request, message, stack: None });
    }
}

impl CapabilitySink for Calls {
    fn denied(&self, request: Option<RequestId>, denied: &Denied) {
        self.warn(request, format!("denied: {denied}"));
    }

    fn failed(&self, request: Option<RequestId>, message: &str) {
        self.warn(request, message.to_owned());
    }

    fn called(&self, call: Called<'_>) {
        self.worker.stats.called(&call);
    }
}

/// Counts the requests that guests send, and tells what came of them that somebody should know.
struct Outgoing {
    worker: Arc<Worker>,
    log: AppLog,
}

impl NetSink for Outgoing {
    fn denied(&self, request: Option<RequestId>, denied: &NetDenied) {
        self.warned(request, &format!("denied: {denied}"));
    }

    fn warned(&self, request: Option<RequestId>, message: &str) {
        self.log.log(LogRecord { level: Level::Warn, request, message: message.to_owned(), stack: None });
    }

    fn sent(&self, error: Option<&HttpError>) {
        self.worker.stats.sent(match error {
            None => Sent::Answered,
            Some(HttpError::Denied(_) | HttpError::NotGranted(_)) => Sent::Denied,
            Some(_) => Sent::Failed,
        });
    }

    fn dropped(&self) {
        self.worker.stats.sent(Sent::Aborted);
    }

    fn sockets(&self) -> Arc<dyn SocketBudget> {
        Arc::new(Budget(self.worker.clone()))
    }
}

/// Counts the sockets by which a worker's guests connect to others.
struct Budget(Arc<Worker>);

impl SocketBudget for Budget {
    fn may_open(&self) -> bool {
        self.0.connector.may_open()
    }

    fn opened(&self) {
        self.0.connector.opened();
    }

    fn closed(&self) {
        self.0.connector.closed();
    }

    fn denied(&self) {
        self.0.stats.sent(Sent::Denied);
    }
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
