//! Ports that many apps share.
//!
//! ```text
//! I/O thread: accept, read, route each request by its host and path ── Parcel ─► Mail of the app ─► its workers
//!             write the response ◄── Returns ───────────────────────────────────────────────────────┘
//! ```
//!
//! The connections belong to the host's I/O threads, which run no guest: one tenant's requests never wait behind another's
//! guest, and a worker is replaced under open connections. HTTP/2 is routed stream by stream. An app without a worker
//! gets one when a request for it comes. Requests from inside of the process go the same way; see [`crate::inside`].

mod arrivals;
mod held;
mod mail;
mod parcel;
mod ports;
mod service;
mod stream;
mod thread;
mod wakes;

pub(crate) use arrivals::Arrivals;
pub(crate) use held::Parcels;
pub(crate) use mail::{Attendance, Mail, Put};
pub(crate) use parcel::{Answer, Asker, Parcel, SentReply, SentRequest};
pub(crate) use ports::Fronts;
pub(crate) use service::{Deadlines, LOOK, refusal, too_large};
pub(crate) use stream::{Patience, SentBody, in_pieces};
pub(crate) use thread::FrontEnd;
pub(crate) use wakes::Wakes;
