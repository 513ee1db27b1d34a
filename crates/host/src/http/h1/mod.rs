//! HTTP/1.1 and HTTP/1.0 (RFC 9112), strictly: whatever two parsers could read in two ways is
//! refused, so that no proxy in front can be made to disagree with us about where a request ends.

mod answer;
mod buffer;
mod chunked;
mod connection;
mod head;
mod input;
mod outbox;
mod reply;
mod upload;

pub(super) use connection::{End, Scratch, run};
pub(super) use reply::last_words;
