//! The Web APIs: a JavaScript file and, where it needs natives, a Rust file each.

mod base64;
mod body;
mod bound;
mod codec;
mod codec_memory;
mod compression;
mod console;
mod crypto;
mod crypto_uses;
pub(crate) mod crypto_work;
mod data_url;
mod encoding;
pub(crate) mod fetch;
mod fetch_place;
pub(crate) mod fetched;
mod global_scope;
mod held;
mod integrity;
pub(crate) mod kv;
mod performance;
mod request;
pub(crate) mod response;
mod sources;
pub(crate) mod sql;
mod structured_clone;
mod timers;
pub(crate) mod types;
mod url;
pub(crate) mod url_canonical;
mod url_host;
pub(crate) mod url_parser;
mod url_record;
mod utf8;
pub(crate) mod wasm;

use crate::ops::Op;

/// All ops, file by file.
pub(crate) const OPS: &[&[Op]] = &[
    body::OPS,
    compression::OPS,
    console::OPS,
    crypto::OPS,
    crypto_uses::OPS,
    encoding::OPS,
    fetch::OPS,
    global_scope::OPS,
    kv::OPS,
    performance::OPS,
    request::OPS,
    response::OPS,
    sql::OPS,
    structured_clone::OPS,
    timers::OPS,
    url::OPS,
    wasm::OPS,
];

include!(concat!(env!("OUT_DIR"), "/lazy.rs"));
