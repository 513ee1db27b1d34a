//! From a file's bytes to an app that can be instantiated.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nexus_core::WasiVersion;
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime_wasi_http::handler::ProxyPre;
use wasmtime_wasi_http::{p2, p3};

use crate::cache::{Cache, Key};
use crate::error::one_line;
use crate::inspect::{
    HANDLER, Kind, SERVICE, TOO_DEEP, exports, has_handler, has_service, is_not_run, is_too_deep, kind,
    listed, makes_sockets, unknown_imports, wasi,
};
use crate::runtime::{Runtime, at_once};
use crate::state::State;

/// The largest file, in bytes.
pub(crate) const LARGEST: usize = 256 << 20;

/// An app that is compiled and linked: a request costs a store and an instantiation only.
pub(crate) struct LoadedApp {
    engine: Engine,
    pub(crate) proxy: ProxyPre<State>,
    /// The most that an instance held when it was made, in bytes.
    size: AtomicU64,
    /// How many instances a worker may have at once.
    pub(crate) at_once: usize,
    /// Whether it imports what makes sockets.
    pub(crate) makes_sockets: bool,
}

impl LoadedApp {
    /// The engine that it was compiled for.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What an instance holds when it is made, in bytes: the most so far.
    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// An instance was made that holds so much.
    pub(crate) fn note_size(&self, bytes: u64) {
        self.size.fetch_max(bytes, Ordering::Relaxed);
    }
}

/// Refuses what is no component at first sight.
///
/// # Errors
/// What the file is instead, in one line.
pub(crate) fn check(file: &str, bytes: &[u8], latest: WasiVersion) -> Result<(), String> {
    if bytes.len() > LARGEST {
        return Err(format!("{file} has {} MB: {} MB is the most", bytes.len() >> 20, LARGEST >> 20));
    }
    match kind(bytes) {
        Kind::Component if is_too_deep(bytes) => Err(format!("{file} {TOO_DEEP}")),
        Kind::Component if wasi(bytes) > latest => Err(format!(
            "{file} is of WASI 0.3, which is experimental: `wasi = \"0.3\"` under [wasm] in its nexus.toml serves it"
        )),
        Kind::Component => Ok(()),
        Kind::Module => Err(format!(
            "{file} is a core WebAssembly module: a service is a component that exports {HANDLER} (wasm32-wasip2, or `wasm-tools component new`)"
        )),
        kind => Err(format!("{file} {}", is_not_run(&kind))),
    }
}

/// Compiles a component, or takes it from the cache. Takes seconds for a large one.
///
/// # Errors
/// Why the bytes are no valid component, in one line.
pub(crate) fn compile(
    runtime: &Runtime,
    cache: Option<&Cache>,
    key: &Key,
    file: &str,
    bytes: &[u8],
) -> Result<(Component, bool), String> {
    if let Some(component) = cache.and_then(|cache| cache.load(&runtime.engine, key)) {
        return Ok((component, true));
    }
    let invalid = |error: wasmtime::Error| format!("{file} is no valid component: {}", one_line(&error));
    let component = Component::from_binary(&runtime.engine, bytes).map_err(invalid)?;
    if let Some(cache) = cache
        && let Ok(code) = component.serialize()
    {
        // A full disk costs time at the next start, no more.
        let _ = cache.store(key, &code);
    }
    Ok((component, false))
}

/// Links a component with what it may import.
///
/// # Errors
/// What it imports that nothing provides, or does not export, in one line.
pub(crate) fn link(runtime: &Runtime, file: &str, component: &Component) -> Result<Arc<LoadedApp>, String> {
    let unknown = unknown_imports(&runtime.engine, component, runtime.wasi);
    if !unknown.is_empty() {
        return Err(format!("{file} imports what nothing provides: {}", listed(&unknown)));
    }
    let fails = |error: wasmtime::Error| format!("{file} cannot be linked: {}", one_line(&error));
    let pre = runtime.linker.instantiate_pre(component).map_err(fails)?;
    let other_type = |name: &str| format!("{file} exports {name} with a `handle` of another type");
    let proxy = if exports(&runtime.engine, component, SERVICE) {
        let pre = p3::bindings::ServicePre::new(pre).map_err(fails)?;
        if !has_service(&runtime.engine, component) {
            return Err(other_type(SERVICE));
        }
        ProxyPre::P3(pre)
    } else if exports(&runtime.engine, component, HANDLER) {
        let pre = p2::bindings::ProxyPre::new(pre).map_err(fails)?;
        if !has_handler(&runtime.engine, component) {
            return Err(other_type(HANDLER));
        }
        ProxyPre::P2(pre)
    } else {
        return Err(match exports(&runtime.engine, component, "wasi:cli/run") {
            true => format!("{file} is a command, not a service: it exports wasi:cli/run and no {HANDLER}"),
            false => format!("{file} is no service: it does not export {HANDLER}"),
        });
    };
    let (engine, size) = (runtime.engine.clone(), AtomicU64::new(0));
    let makes_sockets = makes_sockets(&engine, component);
    Ok(Arc::new(LoadedApp { engine, proxy, size, at_once: at_once(component), makes_sockets }))
}
