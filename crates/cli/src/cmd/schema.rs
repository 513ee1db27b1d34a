//! `nexus schema`.

use clap::Args;

use crate::failure::{Failure, print};

/// Print the JSON Schema of nexus.toml, for editors.
///
/// An editor with TOML support completes and checks the manifest with it:
///
///   nexus schema > nexus.schema.json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Schema {
    /// Print the schema of nexus-host.toml instead
    #[arg(long)]
    host: bool,
}

impl Schema {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let schema = if self.host { nexus_core::host_schema() } else { nexus_core::manifest_schema() };
        let text = serde_json::to_string_pretty(&schema).map_err(|error| Failure::host(error.to_string()))?;
        print(&format!("{text}\n"))
    }
}
