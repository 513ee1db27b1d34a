//! Programs: commands that run once, and modules whose exports are called, each under a [`Policy`].
//!
//! ```text
//! mod        Runner: an engine for programs, from bytes to code
//! program    Command: components, and modules of WASI preview 1
//! direct     those modules, run as they are
//! invoke     a component's functions, with arguments and results as WAVE
//! module     Module and Instance: core modules, their functions and memories
//! policy     what a program may have
//! net        whom it may connect to, and what carries that out
//! budget     limits: time, memory, tables
//! preview1   from a module that imports more than preview 1 to a component
//! ```
//!
//! All of it blocks: a program runs on the thread that calls it, which must not be one of an event loop.

mod budget;
mod direct;
mod error;
mod invoke;
mod module;
mod net;
mod policy;
mod preview1;
mod program;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use nexus_core::{WasiVersion, WasmCompiler};
use nexus_guest::{Capabilities, NoHttp};
use wasmtime::{Engine, Store};

pub use self::error::RunError;
pub use self::module::{Function, Instance, Module, Value};
pub use self::policy::{Folder, Policy};
pub use self::program::Command;
pub use wasmtime::{WasmParams, WasmResults};

use self::budget::{Budget, RunLimiter, Ticker, Ticking};
use self::module::ModuleState;
use self::program::ProgramState;
use crate::WasmConfig;
use crate::cache::{Cache, Key};
use crate::compile::LARGEST;
use crate::error::one_line;
use crate::inspect::{self, Kind};
use crate::runtime;

/// Loads programs: an engine, what programs may import, and the folder for compiled code.
///
/// One is enough for a process, and costs a few milliseconds to make. A clone is the same one.
///
/// ```
/// use nexus_wasm::{Policy, Runner, WasmConfig};
///
/// let runner = Runner::new(&WasmConfig::default())?;
/// let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/wasm/command.wasm");
/// let command = runner.command_file(file)?;
/// let args = ["command", "exit", "7"].map(str::to_owned).to_vec();
/// assert_eq!(command.run(&Policy { args, ..Policy::default() })?, 7);
/// # Ok::<(), nexus_wasm::RunError>(())
/// ```
#[derive(Clone)]
pub struct Runner(Arc<Engines>);

/// An engine for each WASI: stores for 0.3 cost more, and what compiles for one does not run on the other.
struct Engines {
    config: WasmConfig,
    capabilities: Arc<dyn Capabilities>,
    v0_2: Arc<Inner>,
    /// Made when a program asks for it.
    v0_3: OnceLock<Result<Arc<Inner>, RunError>>,
}

/// One engine, with what its programs may import.
struct Inner {
    engine: Engine,
    /// The latest WASI that it links.
    wasi: WasiVersion,
    /// What makes the client of a program's requests.
    capabilities: Arc<dyn Capabilities>,
    components: wasmtime::component::Linker<ProgramState>,
    modules: wasmtime::Linker<ModuleState>,
    /// As `modules`, for those that are run and wait.
    commands: wasmtime::Linker<ModuleState>,
    cache: Option<Cache>,
    cache_problem: Option<String>,
    ticker: OnceLock<Result<Ticker, String>>,
}

/// An import or an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name. An import of a core module is `MODULE.NAME`, a function of a component's interface
    /// `INTERFACE#FUNCTION`.
    pub name: String,
    /// Its type as text: `func(i32, i32) -> i32`, `memory(1..4 pages)`, `func(name: string) -> string`, `interface`.
    pub ty: String,
}

/// What a file is, as far as its first bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A component.
    Component,
    /// A core module.
    Module,
}

impl FileKind {
    /// What begins with these bytes, of which eight are enough; `None` if it is no WebAssembly.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match inspect::kind(bytes) {
            Kind::Component => Some(FileKind::Component),
            Kind::Module => Some(FileKind::Module),
            Kind::Unsupported(..) | Kind::Other => None,
        }
    }

    /// What a file is.
    ///
    /// # Errors
    /// When it cannot be read, or is no WebAssembly.
    pub fn of_file(file: impl AsRef<Path>) -> Result<Self, RunError> {
        let file = file.as_ref();
        let name = file.display().to_string();
        let mut start = Vec::new();
        let read = File::open(file).and_then(|file| file.take(8).read_to_end(&mut start));
        read.map_err(|error| RunError::Refused(format!("{name} cannot be read: {error}")))?;
        check(&name, &start)
    }
}

impl Runner {
    /// A runner whose programs send no requests and look no names up, whatever [`Policy::net`] grants.
    ///
    /// # Errors
    /// When Wasmtime does not run here. A cache that cannot be used is none: see [`Runner::cache_problem`].
    pub fn new(config: &WasmConfig) -> Result<Self, RunError> {
        Self::with_capabilities(config, Arc::new(NoHttp))
    }

    /// A runner whose programs send requests and look names up as far as [`Policy::net`] grants it, by these.
    ///
    /// # Errors
    /// As [`Runner::new`].
    pub fn with_capabilities(
        config: &WasmConfig,
        capabilities: Arc<dyn Capabilities>,
    ) -> Result<Self, RunError> {
        let v0_2 = Arc::new(Inner::new(config, WasiVersion::V0_2, capabilities.clone())?);
        let (config, v0_3) = (config.clone(), OnceLock::new());
        Ok(Self(Arc::new(Engines { config, capabilities, v0_2, v0_3 })))
    }

    /// Why the folder for compiled code is not used, in one line, if it is not.
    pub fn cache_problem(&self) -> Option<&str> {
        self.0.v0_2.cache_problem.as_deref()
    }

    /// The engine that a file is for.
    fn engine_for(&self, kind: FileKind, bytes: &[u8]) -> Result<Arc<Inner>, RunError> {
        let engines = &self.0;
        if kind == FileKind::Module || inspect::wasi(bytes) == WasiVersion::V0_2 {
            return Ok(engines.v0_2.clone());
        }
        let capabilities = || engines.capabilities.clone();
        let make = || Inner::new(&engines.config, WasiVersion::V0_3, capabilities()).map(Arc::new);
        engines.v0_3.get_or_init(make).clone()
    }

    /// Loads a command: a component, or a core module of WASI preview 1. `name` is for messages. Compiles it, or
    /// takes it from the cache.
    ///
    /// # Errors
    /// When the bytes are neither, or something is imported that nothing provides.
    pub fn command(&self, name: &str, bytes: &[u8]) -> Result<Command, RunError> {
        let kind = check(name, bytes)?;
        Command::load(self.engine_for(kind, bytes)?, name, bytes, kind)
    }

    /// Loads a command from a file.
    ///
    /// # Errors
    /// As [`Runner::command`], and when the file cannot be read.
    pub fn command_file(&self, file: impl AsRef<Path>) -> Result<Command, RunError> {
        let (name, bytes) = read(file.as_ref())?;
        self.command(&name, &bytes)
    }

    /// Compiles a file with Cranelift for the cache: a component, whatever it exports, and a core module as it is run.
    ///
    /// # Errors
    /// When there is no cache, or the file cannot be read, is not valid, or its code cannot be written.
    pub fn compile_file(&self, file: impl AsRef<Path>) -> Result<Compiled, RunError> {
        let (name, bytes) = read(file.as_ref())?;
        let kind = check(&name, &bytes)?;
        let inner = &self.engine_for(kind, &bytes)?;
        let Some(cache) = &inner.cache else {
            let why = self.cache_problem().unwrap_or("there is no folder for it");
            return Err(RunError::Refused(format!("compiled code is not kept: {why}")));
        };
        let before = |made_by: &str| cache.path(&inner.key(&bytes, made_by)).exists();
        let made_by = match kind {
            FileKind::Component => "",
            FileKind::Module if preview1::is_all_it_imports(&bytes) => "",
            FileKind::Module if program::is_command(inner, &name, &bytes)? => preview1::VERSION,
            FileKind::Module => "",
        };
        let was_there = before(made_by);
        match kind {
            FileKind::Module if made_by.is_empty() => drop(module::compiled(inner, &name, &bytes)?),
            kind => drop(program::compiled(inner, &name, &bytes, kind)?),
        }
        let path = cache.path(&inner.key(&bytes, made_by));
        let size = std::fs::metadata(&path)
            .map_err(|error| RunError::Refused(format!("{} cannot be written: {error}", path.display())))?;
        Ok(Compiled { path, bytes: size.len(), was_there })
    }

    /// Loads a core module, whose exports may be called. `name` is for messages. Compiles it, or takes it from the
    /// cache.
    ///
    /// # Errors
    /// When the bytes are no core module, or something is imported that is not WASI preview 1.
    pub fn module(&self, name: &str, bytes: &[u8]) -> Result<Module, RunError> {
        let kind = check(name, bytes)?;
        Module::load(self.0.v0_2.clone(), name, bytes, kind)
    }

    /// Loads a core module from a file.
    ///
    /// # Errors
    /// As [`Runner::module`], and when the file cannot be read.
    pub fn module_file(&self, file: impl AsRef<Path>) -> Result<Module, RunError> {
        let (name, bytes) = read(file.as_ref())?;
        self.module(&name, &bytes)
    }
}

/// What is there of a program that was compiled ahead of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// The file with its code.
    pub path: PathBuf,
    /// How large that is, in bytes.
    pub bytes: u64,
    /// Whether it was there before.
    pub was_there: bool,
}

/// A file's bytes, and what it is called in messages.
///
/// # Errors
/// When it cannot be read, or is larger than any program may be.
fn read(file: &Path) -> Result<(String, Vec<u8>), RunError> {
    let name = file.display().to_string();
    let refused = |error: std::io::Error| RunError::Refused(format!("{name} cannot be read: {error}"));
    let size = std::fs::metadata(file).map_err(refused)?.len();
    if size > LARGEST as u64 {
        return Err(too_large(&name, size));
    }
    let bytes = std::fs::read(file).map_err(refused)?;
    Ok((name, bytes))
}

fn too_large(name: &str, size: u64) -> RunError {
    RunError::Refused(format!("{name} has {} MB: {} MB is the most", size >> 20, LARGEST >> 20))
}

fn check(name: &str, bytes: &[u8]) -> Result<FileKind, RunError> {
    if bytes.len() > LARGEST {
        return Err(too_large(name, bytes.len() as u64));
    }
    let why = match inspect::kind(bytes) {
        Kind::Component if inspect::is_too_deep(bytes) => inspect::TOO_DEEP.to_owned(),
        Kind::Component => return Ok(FileKind::Component),
        Kind::Module => return Ok(FileKind::Module),
        kind => inspect::is_not_run(&kind),
    };
    Err(RunError::Refused(format!("{name} {why}")))
}

impl Inner {
    fn new(
        config: &WasmConfig,
        wasi: WasiVersion,
        capabilities: Arc<dyn Capabilities>,
    ) -> Result<Self, RunError> {
        let fails = |error: wasmtime::Error| {
            RunError::Refused(format!("Wasmtime cannot run here: {}", one_line(&error)))
        };
        // Without a pool: a program is one instance, and what it leaves behind goes with it.
        let engine = runtime::config(WasmCompiler::Cranelift, wasi, config.stack)
            .and_then(|config| Engine::new(&config))
            .map_err(fails)?;
        let components = runtime::linker(&engine, wasi).map_err(fails)?;
        let modules = module::linker(&engine).map_err(fails)?;
        let commands = direct::linker(&engine).map_err(fails)?;
        let (cache, cache_problem) = match config.cache.as_deref().map(Cache::open) {
            None => (None, None),
            Some(Ok(cache)) => (Some(cache), None),
            Some(Err(problem)) => (None, Some(problem)),
        };
        let ticker = OnceLock::new();
        Ok(Self { engine, wasi, capabilities, components, modules, commands, cache, cache_problem, ticker })
    }

    fn key(&self, bytes: &[u8], made_by: &str) -> Key {
        Key::of_what_is_made(&self.engine, bytes, made_by)
    }

    /// Compiled code from the cache, or from the compiler and then for the cache.
    fn compiled<T>(
        &self,
        key: &Key,
        load: impl FnOnce(&Cache, &Engine, &Key) -> Option<T>,
        compile: impl FnOnce() -> Result<T, RunError>,
        serialize: impl FnOnce(&T) -> wasmtime::Result<Vec<u8>>,
    ) -> Result<T, RunError> {
        if let Some(found) = self.cache.as_ref().and_then(|cache| load(cache, &self.engine, key)) {
            return Ok(found);
        }
        let compiled = compile()?;
        if let Some(cache) = &self.cache
            && let Ok(code) = serialize(&compiled)
        {
            // A full disk costs time at the next start, no more.
            let _ = cache.store(key, &code);
        }
        Ok(compiled)
    }

    /// Does something with a fresh store that has this state, within the policy's limits.
    ///
    /// # Errors
    /// When it traps, comes to a limit or exits. Refused on a thread that runs an event loop.
    fn within<S: Limited, T>(
        &self,
        policy: &Policy,
        state: S,
        call: impl AsyncFnOnce(&mut Store<S>) -> wasmtime::Result<T>,
    ) -> Result<T, RunError> {
        refuse_event_loop()?;
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| state.limiter());
        let budget = Budget::new(policy);
        budget.watch(&mut store);
        let ticking = self.tick(&budget)?;
        let result = budget.run(call(&mut store));
        drop(ticking);
        result.map_err(|error| RunError::from(&error, store.data_mut().limiter().has_refused, policy))
    }

    /// Has the epoch raised for a call under these limits.
    fn tick(&self, budget: &Budget) -> Result<Option<Ticking>, RunError> {
        if budget.is_endless() {
            return Ok(None);
        }
        let start = || {
            Ticker::start(self.engine.clone())
                .map_err(|error| format!("there is no thread to hold limits: {error}"))
        };
        let ticker = self.ticker.get_or_init(start).as_ref();
        ticker.map(|ticker| Some(ticker.hold())).map_err(|error| RunError::Refused(error.clone()))
    }
}

/// A store's data that has a program's limits.
trait Limited: Send + 'static {
    fn limiter(&mut self) -> &mut RunLimiter;
}

/// Whether this thread runs an event loop, in which nothing may block.
fn refuse_event_loop() -> Result<(), RunError> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => Err(RunError::Refused(
            "programs block: they are not run from an asynchronous task, but on a thread of their own".into(),
        )),
        Err(_) => Ok(()),
    }
}

/// Links what imports nothing that is unknown.
fn linked<T>(
    name: &str,
    unknown: &[String],
    link: impl FnOnce() -> wasmtime::Result<T>,
) -> Result<T, RunError> {
    if !unknown.is_empty() {
        let list = inspect::listed(unknown);
        return Err(RunError::Refused(format!("{name} imports what nothing provides: {list}")));
    }
    link().map_err(|error| RunError::Refused(format!("{name} cannot be linked: {}", one_line(&error))))
}

/// That there is no such export, with those that there are.
fn no_export(file: &str, name: &str, functions: &[Item]) -> RunError {
    let names = || functions.iter().map(|item| item.name.as_str());
    // Functions of interfaces go by their own names, too.
    fn own(name: &str) -> &str {
        name.rsplit('#').next().unwrap_or(name)
    }
    let near = nexus_core::nearest(own(name), names().map(own));
    let near = near.and_then(|near| names().find(|name| own(name) == near));
    let hint = near.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
    let list = match functions.is_empty() {
        true => "it exports no functions".to_owned(),
        false => format!("it exports {}", names().collect::<Vec<_>>().join(", ")),
    };
    RunError::Refused(format!("{file} exports no function {name}{hint}: {list}"))
}
