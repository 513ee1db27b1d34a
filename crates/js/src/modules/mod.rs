//! ES modules of an app: found, compiled, linked and evaluated.

mod load;
mod map;
mod request;
mod wasm;

pub(crate) use load::{ImportJob, dynamic_import, import_meta, load_main, run_import};
pub(crate) use map::ModuleMap;
