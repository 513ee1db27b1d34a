//! The seam between the host and the engines.
//!
//! `nexus-host` serves requests and knows no engine; `nexus-js` (and later `nexus-wasm`) runs
//! guests and knows no socket. What they say to each other is here, and only here:
//!
//! ```text
//! host                                             engine
//! ----                                             ------
//! Engine::load(app, services)  ───────────────►    a Guest
//! Guest::request(Request, Responder)  ────────►    a turn; the Responder gets a Reply
//! Guest::abort(Ticket)  ──────────────────────►    the request's signal aborts
//! Guest::poll  ───────────────────────────────►    timers and finished operations, until a Stop
//! Watch::poke  ───────────────────────────────►    looks at its limits in the middle of a turn
//! Watch::give_up  ────────────────────────────►    never returns from this turn, which looks at nothing
//! Abandon::abandon  ◄──────────────────────────    the engine will never return from this turn
//! HttpClient::send  ◄──────────────────────────    a request that the guest sends; its response comes back
//! Kv::call, Sql::call  ◄───────────────────────    what one of its bindings leads to
//! SocketBudget::may_open  ◄────────────────────    the guest wants a socket of its own
//! StopSink::stopped  ◄─────────────────────────    one request was stopped, and the guest goes on
//! ```
//!
//! A guest and everything that it holds live on one thread, so nothing on this path is locked
//! or counted atomically. Only a [`Watch`], its [`Stopper`] and a [`SocketBudget`] cross threads.

mod body;
mod capability;
mod code_cache;
mod engine;
mod exchange;
mod grants;
mod headers;
mod http;
mod kv;
mod meter;
mod request;
mod secrets;
mod services;
mod sql;
mod watch;

pub use body::{Body, BodyError, BodySource, BodyWriter, PipeState, pipe};
pub use capability::{
    Answer, Bound, Called, Capabilities, Capability, CapabilityError, CapabilityNameError, CapabilitySink,
    Denied, Hold, NoHold, ProviderControl, ProviderError, ProviderState, ProviderStatus, ScopeError,
};
pub use code_cache::{CachedCode, CodeCache};
pub use engine::{Engine, Guest, LoadError, SourceExcerpt, Stop, StopReason, Stopper, Ticket, Usage};
pub use exchange::{Canceller, Failure, FailureKind, PendingReply, Reply, Responder, exchange};
pub use grants::{Grant, GrantPolicy, GrantRule, Grants};
pub use headers::HeaderList;
pub use http::{
    CountedSocket, Deadlines, HttpClient, HttpError, NetSink, NoHttp, OutboundRequest, OutboundResponse,
    SocketBudget,
};
pub use kv::{
    Kv, KvAnswer, KvChange, KvEntry, KvKey, KvKeyError, KvList, KvListed, KvOperation, KvPage, KvTransaction,
    KvVersion, KvWritten,
};
pub use meter::{Meter, thread_cpu};
pub use request::{ClientAddress, Event, Method, Request, RequestId, Scheduled, USUAL_METHODS, method};
pub use secrets::{Secret, Secrets};
pub use services::{
    Abandon, CUT, Level, LogRecord, LogSink, ModuleError, ModulePath, ModuleSource, Services, StopSink, TAIL,
};
pub use sql::{CpuAccount, CpuBudget, Sql, SqlOperation, SqlResult, SqlStatement, SqlValue};
pub use watch::{TurnGuard, Watch};
