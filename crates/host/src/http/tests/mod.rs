//! The server over real sockets.

mod abandoned;
mod clients;
mod floods;
mod framing;
mod http2;
mod refusals;
mod stopping;
mod uploads;
