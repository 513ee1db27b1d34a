//! The log: one line a record, written by a thread of its own.
//!
//! Whoever logs hands a record over and goes on; formatting and writing happen on the log's thread.
//! A worker is therefore never held back by a slow disk or a full pipe: what does not fit into the bounded
//! queue is dropped and counted, and the log says how many lines are missing as soon as it can write again.

mod budget;
mod clock;
mod companions;
mod json;
mod logger;
mod mask;
mod output_lock;
mod pretty;
mod recent;
mod record;
mod writer;

pub(crate) use clock::now_millis;
pub use companions::Companions;
pub use logger::{AppLog, Format, LogConfig, Logger};
pub(crate) use output_lock::OutputLock;
pub(crate) use recent::{Read, Recent};
pub use record::{AccessRecord, Value};
#[cfg(target_os = "linux")]
pub(crate) use writer::host_line;
