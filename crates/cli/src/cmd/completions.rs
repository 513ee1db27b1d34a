//! `nexus completions`.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::{Failure, print};

/// Print a completion script for a shell.
///
/// For bash: nexus completions bash > /etc/bash_completion.d/nexus
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, command: &mut Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, command, "nexus", &mut script);
        print(&String::from_utf8_lossy(&script))
    }
}
