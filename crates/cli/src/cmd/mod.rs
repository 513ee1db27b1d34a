//! The subcommands.

pub(crate) mod check;
pub(crate) mod compile;
pub(crate) mod completions;
mod configuration;
mod control;
pub(crate) mod cron;
pub(crate) mod deploy;
pub(crate) mod drain;
mod engines;
pub(crate) mod grants;
pub(crate) mod logs;
pub(crate) mod provider;
pub(crate) mod ps;
pub(crate) mod rm;
pub(crate) mod rollback;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod secret;
pub(crate) mod serve;
pub(crate) mod start;
pub(crate) mod stop;
mod supervised;
mod table;
pub(crate) mod test;
pub(crate) mod top;
pub(crate) mod types;
