//! From a file's bytes to an app that can be instantiated.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::cache::{Cache, Key};
use crate::error::one_line;
use crate::runtime::Runtime;
use crate::state::State;

/// What is linked; everything else is unknown.
const KNOWN: [&str; 7] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:http/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];
/// What a service exports.
const HANDLER: &str = "wasi:http/incoming-handler";
/// The largest file, in bytes.
pub(crate) const LARGEST: usize = 256 << 20;

/// An app that is compiled and linked: a request costs a store and an instantiation only.
pub(crate) struct LoadedApp {
    engine: Engine,
    pub(crate) proxy: ProxyPre<State>,
    /// The most that an instance held when it was made, in bytes.
    size: AtomicU64,
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

/// What a file's first bytes say that it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Component,
    Module,
    Other,
}

/// Looks at the first eight bytes.
pub(crate) fn kind(bytes: &[u8]) -> Kind {
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', _, 0, 1, 0]) => Kind::Component,
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => Kind::Module,
        _ => Kind::Other,
    }
}

/// Refuses what is no component at first sight.
///
/// # Errors
/// What the file is instead, in one line.
pub(crate) fn check(file: &str, bytes: &[u8]) -> Result<(), String> {
    if bytes.len() > LARGEST {
        return Err(format!("{file} has {} MB: {} MB is the most", bytes.len() >> 20, LARGEST >> 20));
    }
    match kind(bytes) {
        Kind::Component => Ok(()),
        Kind::Module => Err(format!(
            "{file} is a core WebAssembly module: a service is a component that exports {HANDLER} (wasm32-wasip2, or `wasm-tools component new`)"
        )),
        Kind::Other => Err(format!("{file} is no WebAssembly: it does not begin with \\0asm")),
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
    let unknown = unknown_imports(&runtime.engine, component);
    if !unknown.is_empty() {
        return Err(format!("{file} imports what nothing provides: {}", unknown.join(", ")));
    }
    let fails = |error: wasmtime::Error| format!("{file} cannot be linked: {}", one_line(&error));
    let pre = runtime.linker.instantiate_pre(component).map_err(fails)?;
    if !exports_handler(&runtime.engine, component) {
        return Err(match exports(&runtime.engine, component, "wasi:cli/run") {
            true => format!("{file} is a command, not a service: it exports wasi:cli/run and no {HANDLER}"),
            false => format!("{file} is no service: it does not export {HANDLER}"),
        });
    }
    let proxy = ProxyPre::new(pre).map_err(fails)?;
    Ok(Arc::new(LoadedApp { engine: runtime.engine.clone(), proxy, size: AtomicU64::new(0) }))
}

/// What a component imports that nothing here provides.
pub(crate) fn unknown_imports(engine: &Engine, component: &Component) -> Vec<String> {
    let is_known = |name: &str| KNOWN.iter().any(|known| name.starts_with(known));
    let component = component.component_type();
    let imports = component.imports(engine).filter(|(name, item)| {
        // A type alone asks for nothing.
        !is_known(name) && !matches!(item.ty, ComponentItem::Type(_))
    });
    imports.map(|(name, _)| name.to_owned()).collect()
}

fn exports_handler(engine: &Engine, component: &Component) -> bool {
    exports(engine, component, HANDLER)
}

fn exports(engine: &Engine, component: &Component, interface: &str) -> bool {
    let component = component.component_type();
    component.exports(engine).any(|(name, _)| name.split('@').next() == Some(interface))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_say_what_a_file_is() {
        assert_eq!(kind(&wat::parse_str("(component)").unwrap()), Kind::Component);
        assert_eq!(kind(&wat::parse_str("(module)").unwrap()), Kind::Module);
        for other in [&b""[..], b"\0asm", b"export default {}", b"\x7fELF\x02\x01\x01\0"] {
            assert_eq!(kind(other), Kind::Other);
        }
    }
}
