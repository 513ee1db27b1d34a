//! The host: finds apps, serves them over HTTP, each by its worker, and tells how they fare.
//!
//! It knows no engine: guests come from the [`Engine`](nexus_guest::Engine)s that [`Options`] names.

mod admin;
mod aside;
mod assets;
mod beneath;
mod control;
mod crew;
mod descriptors;
mod discover;
mod front;
mod host;
mod host_env;
mod http;
mod inside;
mod ledger;
mod listen;
pub mod log;
mod make;
mod manage;
mod metrics;
mod modules;
mod percent;
mod pool;
mod registered;
mod reload;
mod seat;
mod secrets;
mod shares;
mod siblings;
pub mod store;
pub mod supervisor;
mod told;
mod triggers;
mod watchdog;
mod worker;

pub use control::{Token, TokenError};
pub use discover::{Found, MANIFEST, discover, refuse_conflicts};
pub use host::{Host, Options};
pub use listen::{ListenError, Sockets};
pub use seat::Seat;
pub use secrets::{MAX_SECRET, SecretError, SecretStore};
pub use shares::{Shares, SharesError};
pub use told::{AppState, Happening, StartError};
