//! `[outbound]` of the host's configuration: how apps' requests go out.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use crate::AddressError;
use crate::schema::Values;

/// `[outbound]`: whom apps' requests trust, and who looks their hosts' names up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutboundSection {
    /// The certificate authorities that are trusted.
    pub roots: Roots,
    /// Files with certificates, in PEM, of authorities that are trusted as well.
    pub ca: Vec<PathBuf>,
    /// The name servers; none are those of the system's `resolv.conf`.
    pub name_servers: Vec<SocketAddr>,
}

/// Whose certificate authorities are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Roots {
    /// Mozilla's, which are in the program.
    #[default]
    Bundled,
    /// The system's.
    Platform,
}

impl OutboundSection {
    pub(crate) fn read(values: &Values) -> Self {
        let name_servers = values.name_servers("outbound.name_servers").unwrap_or_default();
        Self {
            roots: match values.text("outbound.roots").as_deref() {
                Some("platform") => Roots::Platform,
                _ => Roots::Bundled,
            },
            ca: values.paths("outbound.ca").unwrap_or_default().into_iter().map(|path| path.0).collect(),
            name_servers: name_servers.into_iter().map(|server| server.0).collect(),
        }
    }
}

/// An element of `name_servers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameServer(pub(crate) SocketAddr);

impl NameServer {
    /// The port of DNS.
    const PORT: u16 = 53;
}

impl FromStr for NameServer {
    type Err = AddressError;

    /// `IP` or `IP:PORT`; an IPv6 address with a port is in brackets.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return match address.port() {
                0 => Err(AddressError::new("a port is a number from 1 to 65535; without one it is 53")),
                _ => Ok(Self(address)),
            };
        }
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let ip = match inner {
            Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => text.parse().ok(),
        };
        ip.map(|ip| Self(SocketAddr::new(ip, Self::PORT))).ok_or_else(|| {
            AddressError::new(if text.contains("://") {
                "name servers are asked by plain DNS: an IP address, without a scheme"
            } else {
                "a name server is an IP address, or `IP:PORT`; its own name could not be looked up"
            })
        })
    }
}

/// A path of the host's that is an element of an array: not empty, and without NUL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostPath(pub(crate) PathBuf);

impl FromStr for HostPath {
    type Err = HostPathError;

    fn from_str(text: &str) -> Result<Self, HostPathError> {
        match text {
            "" => Err(HostPathError("a path is not empty")),
            _ if text.contains('\0') => Err(HostPathError("a path holds no NUL")),
            _ => Ok(Self(PathBuf::from(text))),
        }
    }
}

/// Why a text is no [`HostPath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HostPathError(&'static str);

impl fmt::Display for HostPathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn server(text: &str) -> Result<String, String> {
        text.parse().map(|server: NameServer| server.0.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_server_is_an_address_with_port_53_or_its_own() {
        for (text, address) in [
            ("9.9.9.9", "9.9.9.9:53"),
            ("127.0.0.1:5353", "127.0.0.1:5353"),
            ("2620:fe::fe", "[2620:fe::fe]:53"),
            ("[::1]", "[::1]:53"),
            ("[::1]:5353", "[::1]:5353"),
        ] {
            assert_eq!(server(text), Ok(address.to_owned()));
        }
    }

    #[test]
    fn a_wrong_name_server_is_told_how_it_is_right() {
        for (text, reason) in [
            ("dns.example", "its own name"),
            ("localhost:53", "its own name"),
            ("https://9.9.9.9/dns-query", "without a scheme"),
            ("9.9.9.9:0", "from 1 to 65535"),
            ("9.9.9.9:65536", "an IP address"),
            ("[9.9.9.9]", "an IP address"),
            ("", "an IP address"),
        ] {
            let told = server(text).unwrap_err();
            assert!(told.contains(reason), "{text}: {told}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_name_server_or_an_error(text in "(\\[|\\]|::|[0-9.:]|\\PC){0,12}") {
            if let Ok(server) = text.parse::<NameServer>() {
                prop_assert_eq!(server.0.to_string().parse(), Ok(server));
            }
            let _ = text.parse::<HostPath>();
        }
    }
}
