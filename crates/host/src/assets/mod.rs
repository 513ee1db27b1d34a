//! Static files: `[assets]` of an app's manifest, served by the host before the guest is asked.
//!
//! ```text
//! path.rs        from a request's path to a file's, or "surely no asset"
//! conditions.rs  If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since
//! range.rs       Range, If-Range
//! encoding.rs    Accept-Encoding
//! types.rs       content types
//! lookup.rs      all of it put together: from an open file to an answer, on any thread
//! read.rs        bytes of a file, with and without waiting
//! stream.rs      large files as bodies
//! folder.rs      the worker's side
//! ```

mod conditions;
mod encoding;
mod folder;
mod lookup;
mod path;
mod range;
mod read;
mod stream;
mod types;

pub(crate) use folder::Assets;
