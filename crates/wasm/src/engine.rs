//! Makes guests out of apps whose main file is WebAssembly.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::future::LocalBoxFuture;
use nexus_core::{App, Permissions, WasiVersion, WasmCompiler, WasmSection};
use nexus_guest::{Engine, Guest, Level, LoadError, LogRecord, ModulePath, Services};
use tokio::sync::{Mutex as AsyncMutex, oneshot};

use crate::cache::{Cache, Key};
use crate::compile::{self, LARGEST, LoadedApp};
use crate::guest::WasmGuest;
use crate::runtime::Runtime;

/// From so many bytes on it is told that a file is being compiled: it may take seconds.
const LARGE: usize = 1 << 20;
/// Compiling comes after everything else that wants a processor.
const NICE: i32 = 10;

/// How WebAssembly is run.
#[derive(Debug, Clone, Default)]
pub struct WasmConfig {
    /// The folder for compiled code; `None` compiles at every start. It is made if it is not there, and not used if
    /// others than the process's user may write to it.
    pub cache: Option<PathBuf>,
    /// The size of each guest's stack, in bytes; `None` is 512 KB. Deeper recursion is a trap. A program that is called
    /// on a thread of the caller's has its stack there.
    pub stack: Option<usize>,
}

/// The engine for components: `nexus_guest::Engine` over Wasmtime.
///
/// Nothing is reserved or started before the first app is loaded that needs it.
pub struct WasmEngine {
    config: WasmConfig,
    /// By version of WASI, and by compiler.
    inner: [[Slot; WasmCompiler::ALL.len()]; WasiVersion::ALL.len()],
}

/// Filled when the first app needs it; with why it cannot be had, if it cannot.
type Slot = OnceLock<Result<Arc<Inner>, String>>;

struct Inner {
    runtime: Runtime,
    cache: Option<Cache>,
    /// What the first app's log is to tell: why there is no cache, or no pool.
    notes: Mutex<Vec<String>>,
    /// The apps of the process by their content. Whoever compiles one holds its lock.
    apps: Mutex<HashMap<Key, Arc<AsyncMutex<Weak<LoadedApp>>>>>,
}

impl WasmEngine {
    /// An engine that has not started.
    pub fn new(config: WasmConfig) -> Self {
        Self { config, inner: Default::default() }
    }

    fn inner(&self, wasm: &WasmSection) -> Result<Arc<Inner>, String> {
        let (wasi, compiler) = (wasm.wasi, wasm.compiler);
        let slot = &self.inner[wasi as usize][compiler as usize];
        slot.get_or_init(|| Inner::new(&self.config, compiler, wasi).map(Arc::new)).clone()
    }
}

impl Inner {
    fn new(config: &WasmConfig, compiler: WasmCompiler, wasi: WasiVersion) -> Result<Self, String> {
        let runtime = Runtime::new(compiler, wasi, config.stack)
            .map_err(|error| format!("Wasmtime cannot run here: {error}"))?;
        let mut notes = Vec::new();
        if let Some(why) = &runtime.without_pool {
            notes
                .push(format!("instances are made on demand, which is slower: no pool is to be had ({why})"));
        }
        let cache = config.cache.as_ref().and_then(|folder| match Cache::open(folder) {
            Ok(cache) => Some(cache),
            Err(error) => {
                notes.push(format!("compiled code is not kept: {error}"));
                None
            }
        });
        Ok(Self { runtime, cache, notes: Mutex::new(notes), apps: Mutex::default() })
    }

    /// The app with this content, compiled once for the process.
    async fn app(
        self: &Arc<Self>,
        file: &str,
        bytes: Vec<u8>,
        log: impl Fn(String),
    ) -> Result<Arc<LoadedApp>, String> {
        compile::check(file, &bytes, self.runtime.wasi)?;
        let key = Key::new(&self.runtime.engine, &bytes);
        let slot = {
            let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
            apps.retain(|_, slot| {
                Arc::strong_count(slot) > 1 || slot.try_lock().map_or(true, |app| app.strong_count() > 0)
            });
            apps.entry(key.clone()).or_default().clone()
        };
        // Others with the same content wait here; those with other content do not.
        let mut slot = slot.lock().await;
        if let Some(app) = slot.upgrade() {
            return Ok(app);
        }
        let size = bytes.len();
        let begun = Instant::now();
        if size >= LARGE {
            log(format!("preparing {file} ({} MB of WebAssembly)", size >> 20));
        }
        let (app, was_cached) = self.clone().on_own_thread(key, file.to_owned(), bytes).await?;
        if !was_cached && (size >= LARGE || begun.elapsed() >= Duration::from_secs(1)) {
            log(format!("{file} was compiled in {:.1} s", begun.elapsed().as_secs_f64()));
        }
        *slot = Arc::downgrade(&app);
        Ok(app)
    }

    /// Compiles and links on a thread of its own, while the worker's event loop goes on.
    async fn on_own_thread(
        self: Arc<Self>,
        key: Key,
        file: String,
        bytes: Vec<u8>,
    ) -> Result<(Arc<LoadedApp>, bool), String> {
        let (tell, told) = oneshot::channel();
        let thread = std::thread::Builder::new().name("nexus-compile".into());
        let work = move || {
            // The threads among which Wasmtime shares the work inherit it.
            let _ = rustix::process::nice(NICE);
            let done = compile::compile(&self.runtime, self.cache.as_ref(), &key, &file, &bytes).and_then(
                |(component, was_cached)| Ok((compile::link(&self.runtime, &file, &component)?, was_cached)),
            );
            let _ = tell.send(done);
        };
        thread.spawn(work).map_err(|error| format!("there is no thread to compile on: {error}"))?;
        told.await.unwrap_or_else(|_| Err("the compiler panicked".into()))
    }
}

/// What the app is granted, for the log: nobody should have to read its manifest.
fn granted(permissions: &Permissions) -> Option<String> {
    let folders: Vec<String> = permissions
        .folders()
        .map(|(folder, may_write)| {
            format!("{} ({})", folder.as_str(), if may_write { "read and write" } else { "read" })
        })
        .collect();
    (!folders.is_empty()).then(|| format!("granted: {}", folders.join(", ")))
}

impl Engine for WasmEngine {
    fn name(&self) -> &'static str {
        "wasm"
    }

    fn runs(&self, main: &str) -> bool {
        main.ends_with(".wasm")
    }

    fn load(
        &self,
        app: Arc<App>,
        services: Services,
    ) -> LocalBoxFuture<'static, Result<Rc<dyn Guest>, LoadError>> {
        let inner = self.inner(&app.manifest.wasm);
        Box::pin(async move {
            let inner = inner.map_err(LoadError::new)?;
            let log =
                |level, message| services.log.log(LogRecord { level, request: None, message, stack: None });
            for note in inner.notes.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                log(Level::Warn, note);
            }
            let main = app.main.as_deref().unwrap_or_default();
            let path = ModulePath::new(main)
                .ok_or_else(|| LoadError::new(format!("{main:?} is no path within the app's folder")))?;
            let bytes =
                services.modules.read(&path, LARGEST).map_err(|error| LoadError::new(error.to_string()))?;
            let loaded = inner.app(main, bytes, |message| log(Level::Info, message)).await;
            let loaded = loaded.map_err(LoadError::new)?;
            if let Some(granted) = granted(&app.manifest.permissions) {
                log(Level::Info, granted);
            }
            Ok(Rc::new(WasmGuest::new(loaded, app.clone(), services.clone())) as Rc<dyn Guest>)
        })
    }
}
