//! HTTP/2, by hyper, behind the same interface as our HTTP/1: each stream is a request of its own.

mod body;
mod connection;
mod reply;
mod request;

pub(super) use connection::run;
