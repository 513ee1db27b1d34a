//! Sockets for apps that come while the host runs.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;

use nexus_core::{HostConfig, ListenAddress};

use super::{Bound, ListenError, PORTS_TRIED, bind_tcp, bind_unix_in, refused};

/// Where apps are served that come later.
#[derive(Debug)]
pub(crate) struct Late {
    address: ListenAddress,
    /// The first port for apps that name none; 0 for any.
    first: u16,
}

impl Late {
    pub(crate) fn new(config: &HostConfig) -> Self {
        Self { address: config.listen.address.clone(), first: config.listen.port }
    }

    /// A socket for what is called `name`: at the port that it must have, if it names one; else at the one that it had
    /// before, if that is free; else at the next free one that nobody has `claimed`.
    pub(crate) fn bind(
        &self,
        name: &str,
        named: Option<u16>,
        before: Option<u16>,
        claimed: &HashSet<u16>,
    ) -> Result<Bound, ListenError> {
        let ip = match &self.address {
            ListenAddress::Ip(ip) => *ip,
            ListenAddress::Unix(folder) => return bind_unix_in(folder, name),
            ListenAddress::Systemd => {
                return Err(ListenError(
                    "the host's sockets come from systemd, which passes none for an app that comes later: give the host \
                     an address (`--listen`)"
                        .into(),
                ));
            }
        };
        let at = |port: u16| bind_tcp(SocketAddr::new(ip, port));
        if let Some(port) = named {
            return at(port).map_err(|error| refused(ip, port, &error));
        }
        if let Some(bound) = before.filter(|port| !claimed.contains(port)).and_then(|port| at(port).ok()) {
            return Ok(bound);
        }
        if self.first == 0 {
            return at(0).map_err(|error| refused(ip, 0, &error));
        }
        let last = self.first.saturating_add(PORTS_TRIED - 1);
        for port in (self.first..=last).filter(|port| !claimed.contains(port)) {
            match at(port) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(refused(ip, port, &error)),
                Ok(bound) => return Ok(bound),
            }
        }
        Err(ListenError("no free port was found: choose another start with --port".into()))
    }
}
