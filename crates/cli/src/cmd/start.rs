//! `nexus start`.

use clap::Args;
use nexus_core::AppName;

use super::control::{Target, app_name};
use crate::failure::{Failure, print};

/// Start an app that was stopped.
///
/// Requests that come before it is loaded get 503.
///
///   nexus start shop
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Start {
    /// The app
    #[arg(value_name = "APP", value_parser = app_name)]
    app: AppName,

    /// Print what the host answers, as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl Start {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let host = self.target.open()?;
        let answer = host.act("POST", &format!("/v1/apps/{}/start", self.app))?;
        print(&match self.json {
            true => format!("{answer:#}\n"),
            false => format!("{}: started\n", self.app),
        })
    }
}
