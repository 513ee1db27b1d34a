//! The host's configuration file, as several subcommands read it.

use std::path::{Path, PathBuf};

use nexus_core::HostConfig;

use crate::failure::Failure;

/// The file that is read if it is there and `--config` names no other.
const DEFAULT_FILE: &str = "nexus-host.toml";

/// Reads the host's configuration: the named file, else `nexus-host.toml` here, else the defaults.
pub(crate) fn read(named: Option<&PathBuf>) -> Result<HostConfig, Failure> {
    match named {
        Some(file) => parse(file),
        None if Path::new(DEFAULT_FILE).is_file() => parse(Path::new(DEFAULT_FILE)),
        None => Ok(HostConfig::default()),
    }
}

fn parse(file: &Path) -> Result<HostConfig, Failure> {
    HostConfig::parse(&read_text(file)?, &file.display().to_string())
        .map_err(|problems| Failure::usage(problems.to_string()))
}

/// A text file that the user named.
pub(crate) fn read_text(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("{}: cannot be read: {error}", file.display())))
}
