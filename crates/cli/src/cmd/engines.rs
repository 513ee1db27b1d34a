//! The engines that apps are run by.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use nexus_guest::Engine;
use nexus_js::JsEngine;
use nexus_wasm::{WasmConfig, WasmEngine};

/// All engines. Each app takes the first that runs its main file.
pub(super) fn engines() -> Vec<Arc<dyn Engine>> {
    vec![Arc::new(js()), Arc::new(WasmEngine::new(wasm()))]
}

/// What runs JavaScript, with the folder for compiled code.
fn js() -> JsEngine {
    cache().map_or_else(JsEngine::new, |folder| JsEngine::with_cache(&folder.join("js")))
}

/// How WebAssembly is run, with the folder for compiled code.
pub(super) fn wasm() -> WasmConfig {
    WasmConfig { cache: cache().map(|folder| folder.join("wasm")), stack: None }
}

/// The folder for what can be made again: the variable `NEXUS_CACHE`, or `nexus` in the user's cache folder (XDG Base
/// Directory Specification). `None` where there is neither, and where `NEXUS_CACHE` is empty.
fn cache() -> Option<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    match env::var_os("NEXUS_CACHE") {
        Some(folder) if folder.is_empty() => None,
        Some(folder) => Some(folder.into()),
        None => {
            let xdg = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).and_then(absolute);
            let home =
                || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")).and_then(absolute);
            xdg.or_else(home).map(|folder| folder.join("nexus"))
        }
    }
}
