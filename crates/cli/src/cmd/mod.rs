//! The subcommands.

pub(crate) mod check;
pub(crate) mod compile;
pub(crate) mod completions;
mod configuration;
mod engines;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod serve;
mod supervised;
mod table;
pub(crate) mod test;
pub(crate) mod types;
