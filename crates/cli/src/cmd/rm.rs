//! `nexus rm`.

use clap::Args;
use nexus_core::AppName;

use super::control::{Target, app_name};
use crate::failure::{Failure, print};

/// Remove a deployed app from a host, with all its versions.
///
/// Requests in flight finish; new ones are refused. An app that a host serves from a folder is not
/// removed by this: it is not deployed.
///
///   nexus rm shop
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Rm {
    /// The app
    #[arg(value_name = "APP", value_parser = app_name)]
    app: AppName,

    /// Print what the host answers, as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl Rm {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let host = self.target.open()?;
        let answer = host.act("DELETE", &format!("/v1/apps/{}", self.app))?;
        print(&match self.json {
            true => format!("{answer:#}\n"),
            false => format!("{}: removed\n", self.app),
        })
    }
}
