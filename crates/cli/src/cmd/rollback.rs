//! `nexus rollback`.

use clap::Args;
use nexus_core::AppName;

use super::control::{Target, app_name, plain};
use crate::failure::{Failure, print};

/// Have a host serve an earlier version of a deployed app again.
///
/// Without --to it is the version before the one that serves. No version is lost by it: `nexus ps APP`
/// lists those that are kept, and rolling back to a newer one is as good.
///
///   nexus rollback shop
///   nexus rollback shop --to 3
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Rollback {
    /// The app
    #[arg(value_name = "APP", value_parser = app_name)]
    app: AppName,

    /// The version's number [default: the one before]
    #[arg(long, value_name = "N")]
    to: Option<u64>,

    /// Print what the host answers, as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl Rollback {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let host = self.target.open()?;
        let query = self.to.map(|number| format!("?to={number}")).unwrap_or_default();
        let answer = host.act("POST", &format!("/v1/apps/{}/rollback{query}", self.app))?;
        if self.json {
            return print(&format!("{answer:#}\n"));
        }
        let version = &answer["version"];
        print(&match answer["unchanged"] == true {
            true => format!("{}: version {version} is what serves already\n", self.app),
            false => {
                let url = plain(answer["app"]["url"].as_str().unwrap_or_default());
                format!("{}: version {version} serves at {url}\n", self.app)
            }
        })
    }
}
