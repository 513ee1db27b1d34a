//! `nexus stop`.

use clap::Args;

use super::control::Act;
use crate::failure::Failure;

/// Stop an app of a host: requests get 503 until it is started again.
///
/// Requests in flight finish first. A deployed app stays stopped when the host is started anew.
///
///   nexus stop shop
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Stop {
    #[command(flatten)]
    act: Act,
}

impl Stop {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.act.run("POST", "/stop", "stopped")
    }
}
