//! `nexus rm`.

use clap::Args;

use super::control::Act;
use crate::failure::Failure;

/// Remove a deployed app from a host, with all its versions.
///
/// Requests in flight finish; new ones are refused. An app that a host serves from a folder is not
/// removed by this: it is not deployed.
///
///   nexus rm shop
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Rm {
    #[command(flatten)]
    act: Act,
}

impl Rm {
    pub(crate) fn run(self) -> Result<(), Failure> {
        self.act.run("DELETE", "", "removed")
    }
}
