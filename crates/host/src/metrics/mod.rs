//! Metrics: what each worker counts, and how it is told to Prometheus.
//!
//! Counting costs a worker a load and a store, for each counter is written by one thread only. All else happens when
//! somebody scrapes.

mod counter;
mod interventions;
mod merge;
mod process;
mod render;
mod stats;
mod sum;
#[cfg(test)]
mod text_format;

pub(crate) use interventions::{Interventions, Replaced, Scheduling, Shortage};
pub(crate) use merge::Merge;
pub(crate) use process::thread_cpu;
pub(crate) use render::{CONTENT_TYPE, render};
pub(crate) use stats::{AppStats, Sent, WorkerStats};
pub(crate) use sum::{AppSum, Figures, HostSum};
