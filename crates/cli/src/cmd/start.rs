//! `nexus start`.

use clap::Args;

use super::control::Act;
use crate::failure::Failure;

/// Start an app that was stopped.
///
/// Requests that come before it is loaded get 503.
///
///   nexus start shop
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Start {
    #[command(flatten)]
    act: Act,
}

impl Start {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.act.run("POST", "/start", "started")
    }
}
