//! `nexus types`.

use clap::Args;

use crate::failure::{Failure, print};

/// Print what apps find, as declarations for TypeScript.
///
/// Editors complete and TypeScript checks an app with it, without the types of browsers:
///
///   nexus types > nexus.d.ts
///   npx tsc --noEmit --target es2024 --lib es2024 --types ./nexus.d.ts app.ts
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Types {}

impl Types {
    pub(crate) fn run(self) -> Result<(), Failure> {
        print(&nexus_js::types())
    }
}
