//! The server over real sockets.

mod abandoned;
mod clients;
mod framing;
mod http2;
mod refusals;
mod stopping;
mod uploads;
