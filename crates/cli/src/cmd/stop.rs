//! `nexus stop`.

use clap::Args;
use nexus_core::AppName;

use super::control::{Target, app_name};
use crate::failure::{Failure, print};

/// Stop an app of a host: requests get 503 until it is started again.
///
/// Requests in flight finish first. A deployed app stays stopped when the host is started anew.
///
///   nexus stop shop
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Stop {
    /// The app
    #[arg(value_name = "APP", value_parser = app_name)]
    app: AppName,

    /// Print what the host answers, as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl Stop {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let host = self.target.open()?;
        let answer = host.act("POST", &format!("/v1/apps/{}/stop", self.app))?;
        print(&match self.json {
            true => format!("{answer:#}\n"),
            false => format!("{}: stopped\n", self.app),
        })
    }
}
