//! What the clients of all workers have in common.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use nexus_core::{App, OutboundSection};
use nexus_guest::{Capabilities, HttpClient, NetSink};

use crate::client::Client;
use crate::tls::{Authorities, Trust};

/// The host's side of the `http` capability. One for the process.
///
/// ```
/// let outbound = nexus_providers::Outbound::new(&nexus_core::OutboundSection::default()).unwrap();
/// # let _: std::sync::Arc<dyn nexus_guest::Capabilities> = outbound;
/// ```
pub struct Outbound(Arc<Shared>);

/// What each client holds.
pub(crate) struct Shared {
    authorities: Authorities,
    name_servers: Vec<SocketAddr>,
    /// Made by the first secure connection of all: the roots take a millisecond to read.
    trust: OnceLock<Result<Trust, String>>,
}

impl Outbound {
    /// Reads and checks the files that the configuration names.
    ///
    /// # Errors
    /// What is wrong with which file, in one line.
    pub fn new(config: &OutboundSection) -> Result<Arc<Self>, String> {
        Ok(Arc::new(Self(Arc::new(Shared {
            authorities: Authorities::read(config)?,
            name_servers: config.name_servers.clone(),
            trust: OnceLock::new(),
        }))))
    }
}

impl Shared {
    /// Whom secure connections trust.
    pub(crate) fn trust(&self) -> Result<&Trust, String> {
        self.trust.get_or_init(|| self.authorities.trust()).as_ref().map_err(Clone::clone)
    }

    /// The name servers to ask; none are the system's.
    pub(crate) fn name_servers(&self) -> &[SocketAddr] {
        &self.name_servers
    }
}

/// The certificates are many, and nobody wants to read them.
impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound").field("name_servers", &self.0.name_servers).finish_non_exhaustive()
    }
}

impl Capabilities for Outbound {
    fn http(&self, app: &App, sink: Rc<dyn NetSink>) -> Rc<dyn HttpClient> {
        Rc::new(Client::new(self.0.clone(), app, sink))
    }
}
