//! The words of Nexus as types: app names, manifests, the host's configuration, and what was wrong
//! with them. No I/O, no async.

mod app;
mod manifest;

pub use app::{App, AppName};
pub use manifest::{AssetsSection, HttpSection, Manifest};
