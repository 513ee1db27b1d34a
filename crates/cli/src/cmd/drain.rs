//! `nexus drain`.

use clap::Args;

use super::control::Target;
use crate::failure::{Failure, print};

/// Have a host finish what it has in flight and end, as SIGTERM does.
///
/// It is not ready any more from then on, and accepts no more connections. What takes longer than its
/// --grace is cut off.
///
///   nexus drain
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Drain {
    /// Print what the host answers, as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl Drain {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let answer = self.target.open()?.act("POST", "/v1/drain")?;
        print(&match self.json {
            true => format!("{answer:#}\n"),
            false => "the host finishes what it has in flight, and ends\n".into(),
        })
    }
}
