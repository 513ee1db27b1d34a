//! The Web APIs: a JavaScript file and, where it needs natives, a Rust file each.

mod base64;
mod body;
mod console;
mod encoding;
mod performance;
mod request;
pub(crate) mod response;
mod sources;
mod structured_clone;
mod timers;
mod url;
pub(crate) mod url_canonical;
pub(crate) mod wasm;

use crate::ops::Op;

/// All ops, file by file.
pub(crate) const OPS: &[&[Op]] = &[
    body::OPS,
    console::OPS,
    encoding::OPS,
    performance::OPS,
    request::OPS,
    response::OPS,
    structured_clone::OPS,
    timers::OPS,
    url::OPS,
    wasm::OPS,
];

include!(concat!(env!("OUT_DIR"), "/lazy.rs"));
