//! What a program may have: limits, folders, variables, streams, clocks, random numbers.

use std::path::PathBuf;
use std::time::Duration;

use nexus_core::NetGrant;
use sha2::{Digest, Sha256};
use wasmtime_wasi::random::Deterministic;
use wasmtime_wasi::{FsPerms, HostMonotonicClock, HostWallClock, WasiCtxBuilder};

use super::RunError;
use crate::error::one_line;
use crate::sockets::Reach;

/// What a program may use and reach. The default grants nothing but 1 GB of memory: no folders, variables, arguments
/// or standard streams, no network; but the system's clocks and random numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// All linear memories of the program together, in bytes, and what the host holds of the network for it. Growing
    /// beyond it is refused to the program.
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
    /// Where it may connect to, as an app by `[permissions] net`: by requests, if its [`Runner`](super::Runner) has
    /// what sends them, and by sockets. For components: a core module is refused with it.
    pub net: Vec<NetGrant>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Arguments, from `argv[0]` on: the program's name comes first.
    pub args: Vec<String>,
    /// Whether the program has the process's standard input, output and error. Without them it reads nothing, and
    /// what it writes is dropped.
    pub inherit_stdio: bool,
    /// Whether the program has the system's clocks. Without them time stands still for it, at zero: it can wait, but
    /// not measure.
    pub clocks: bool,
    /// Random numbers that follow from this, the same in each run, instead of the system's. They are not secret.
    pub seed: Option<u64>,
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
            net: Vec::new(),
            env: Vec::new(),
            args: Vec::new(),
            inherit_stdio: false,
            clocks: true,
            seed: None,
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
    /// # Errors
    /// When a core module is granted what WASI preview 1 does not have.
    pub(super) fn for_module(&self, name: &str) -> Result<(), RunError> {
        match self.net.is_empty() {
            true => Ok(()),
            false => Err(RunError::Refused(format!(
                "{name} is a core module: WASI preview 1 cannot connect to others, so --allow-net is for components \
                 only"
            ))),
        }
    }

    /// The WASI side of it, for a builder that is new.
    pub(super) fn wasi(&self) -> Result<WasiCtxBuilder, RunError> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.args(&self.args).envs(&self.env);
        if self.inherit_stdio {
            wasi.inherit_stdio();
        }
        if !self.clocks {
            wasi.wall_clock(Stopped).monotonic_clock(Stopped);
        }
        if let Some(seed) = self.seed {
            wasi.secure_random(numbers(seed, "secure")).insecure_random(numbers(seed, "insecure"));
            wasi.insecure_random_seed(seed.into());
        }
        // Files are read on the program's own thread, unless something has to come to an end in the middle of it.
        wasi.allow_blocking_current_thread(self.wall.is_none());
        Reach::grant(&mut wasi);
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

/// A clock that stands still.
struct Stopped;

impl HostWallClock for Stopped {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Stopped {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}

/// Bytes that follow from a seed, some thousands before they come again.
fn numbers(seed: u64, kind: &str) -> Deterministic {
    const BLOCKS: u32 = 256;
    let block = |number: u32| {
        let hash = Sha256::new().chain_update(kind).chain_update(seed.to_le_bytes());
        hash.chain_update(number.to_le_bytes()).finalize()
    };
    Deterministic::new((0..BLOCKS).flat_map(block).collect())
}
