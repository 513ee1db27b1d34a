//! The one description of `nexus.toml` and `nexus-host.toml`, and what is made of it: validation with
//! its error texts, the JSON Schemas, the reference in the documentation.

mod json_schema;
mod keys;
mod kind;
mod meant;
#[cfg(test)]
mod reference;
mod validate;
mod values;

pub use json_schema::{host_schema, manifest_schema};
pub(crate) use keys::{Fallback, HOST, Key, MANIFEST};
pub(crate) use kind::{Kind, main_file, shortened};
pub(crate) use validate::{Document, validate};
pub(crate) use values::{Value, Values};
