//! What a program may have: limits, folders, variables, streams.

use std::path::PathBuf;
use std::time::Duration;

use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use super::RunError;
use crate::error::one_line;

/// What a program may use and reach. The default grants nothing but 1 GB of memory: no folders, variables, arguments
/// or standard streams, and never a network. Clocks and random numbers are always there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// All linear memories of the program together, in bytes. Growing beyond it is refused to the program.
    pub memory: u64,
    /// CPU time by the thread's clock, for each call from outside. It is looked at every 2 ms.
    pub cpu: Option<Duration>,
    /// Time on the wall, for each call from outside. A call of a core module ends at it while it computes, but not
    /// while it waits in WASI; a component ends at it in any case.
    pub wall: Option<Duration>,
    /// Elements of all tables together.
    pub tables: usize,
    /// Core instances, and as many tables and memories.
    pub instances: usize,
    /// Folders. Under each name the first one counts.
    pub folders: Vec<Folder>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Arguments, from `argv[0]` on: the program's name comes first.
    pub args: Vec<String>,
    /// Whether the program has the process's standard input, output and error. Without them it reads nothing, and
    /// what it writes is dropped.
    pub inherit_stdio: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            memory: 1 << 30,
            cpu: None,
            wall: None,
            tables: 100_000,
            instances: 100,
            folders: Vec::new(),
            env: Vec::new(),
            args: Vec::new(),
            inherit_stdio: false,
        }
    }
}

/// A folder that is granted, with all that lies in it. Neither `..` nor a link leads out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Where it lies.
    pub host: PathBuf,
    /// What the program calls it.
    pub guest: String,
    /// Whether the program may change what is in it.
    pub writes: bool,
}

impl Policy {
    /// The WASI side of it, for a builder that is new.
    pub(super) fn wasi(&self) -> Result<WasiCtxBuilder, RunError> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.args(&self.args).envs(&self.env);
        if self.inherit_stdio {
            wasi.inherit_stdio();
        }
        // Files are read on the program's own thread, unless something has to come to an end in the middle of it.
        wasi.allow_blocking_current_thread(self.wall.is_none());
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
        let mut names: Vec<&str> = Vec::new();
        for folder in &self.folders {
            if names.contains(&folder.guest.as_str()) {
                continue;
            }
            names.push(&folder.guest);
            let perms = if folder.writes { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            let refused = |error| {
                let why = one_line(&error);
                RunError::Refused(format!("the folder {} cannot be granted: {why}", folder.host.display()))
            };
            wasi.preopened_dir(&folder.host, &folder.guest, perms).map_err(refused)?;
        }
        Ok(wasi)
    }
}
