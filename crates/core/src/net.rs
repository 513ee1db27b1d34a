//! Addresses as they stand in the configuration and on the command line.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Why a text is no address, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressError(String);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AddressError {}

impl AddressError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

fn no(message: impl Into<String>) -> AddressError {
    AddressError::new(message)
}

/// Where the apps listen: `[listen] address`, `--listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// An IP address of this machine; `0.0.0.0` and `::` are all of them.
    Ip(IpAddr),
    /// A Unix socket at this path.
    Unix(PathBuf),
    /// Sockets that systemd passes (`LISTEN_FDS`).
    Systemd,
}

impl FromStr for ListenAddress {
    type Err = AddressError;

    /// An IP, `unix:PATH` or `systemd`.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text == "systemd" {
            return Ok(ListenAddress::Systemd);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_path(path).map(ListenAddress::Unix);
        }
        if let Some(ip) = bracketed_ip(text) {
            return Ok(ListenAddress::Ip(ip));
        }
        Err(if text.parse::<SocketAddr>().is_ok() {
            no("the port is given by itself, with `port` or `--port`")
        } else if text == "localhost" {
            no("a name may mean several addresses; write `127.0.0.1` or `::1`")
        } else if text.starts_with('/') {
            no(format!("a Unix socket is written `unix:{text}`"))
        } else {
            no("an address is an IP, `unix:PATH` or `systemd`")
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Ip(ip) => ip.fmt(f),
            ListenAddress::Unix(path) => write_unix(f, path),
            ListenAddress::Systemd => f.write_str("systemd"),
        }
    }
}

/// Where metrics and health are served: `[admin] address`, `--admin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAddress {
    /// An IP address and a port; port 0 is any free one.
    Tcp(SocketAddr),
    /// A Unix socket at this path.
    Unix(PathBuf),
}

impl FromStr for AdminAddress {
    type Err = AddressError;

    /// `IP:PORT` (an IPv6 address in brackets) or `unix:PATH`.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_path(path).map(AdminAddress::Unix);
        }
        if let Ok(address) = text.parse() {
            return Ok(AdminAddress::Tcp(address));
        }
        Err(match bracketed_ip(text) {
            Some(IpAddr::V4(ip)) => no(format!("the port is missing, as in `{ip}:9090`")),
            Some(IpAddr::V6(ip)) => no(format!("the port is missing, as in `[{ip}]:9090`")),
            None if text.starts_with("localhost:") => {
                no("a name may mean several addresses; write `127.0.0.1` or `[::1]`")
            }
            None if text.starts_with('/') => no(format!("a Unix socket is written `unix:{text}`")),
            None => no("an address is `IP:PORT` or `unix:PATH`"),
        })
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdminAddress::Tcp(address) => address.fmt(f),
            AdminAddress::Unix(path) => write_unix(f, path),
        }
    }
}

fn bracketed_ip(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

/// The longest path of a Unix socket that Linux takes, in bytes (unix(7): 108 with the final NUL).
const UNIX_PATH_MAX: usize = 107;

fn unix_path(path: &str) -> Result<PathBuf, AddressError> {
    if path.is_empty() {
        Err(no("the path after `unix:` is missing"))
    } else if path.contains('\0') {
        Err(no("a path holds no NUL"))
    } else if path.len() > UNIX_PATH_MAX {
        Err(no(format!("a Unix socket's path has at most {UNIX_PATH_MAX} bytes, this one {}", path.len())))
    } else {
        Ok(PathBuf::from(path))
    }
}

fn write_unix(f: &mut fmt::Formatter<'_>, path: &Path) -> fmt::Result {
    write!(f, "unix:{}", path.display())
}

/// A range of IP addresses: an address and how many of its leading bits count (RFC 4632).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IpNet {
    address: IpAddr,
    prefix: u8,
}

impl IpNet {
    /// The range of the addresses that have their first `prefix` bits in common with `address`; `None` if
    /// that is more bits than an address has, or a later bit is set. IPv4 addresses mapped into IPv6 are
    /// taken as what they stand for.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let (address, prefix) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(mapped)) if prefix >= 96 => (IpAddr::V4(mapped), prefix - 96),
            _ => (address, prefix),
        };
        (mask(address, prefix)? == address).then_some(Self { address, prefix })
    }

    /// The address, if the range has but one.
    pub const fn single(&self) -> Option<IpAddr> {
        let bits = if self.address.is_ipv4() { 32 } else { 128 };
        if self.prefix == bits { Some(self.address) } else { None }
    }

    /// Whether it is a range of IPv6 addresses.
    pub const fn is_ipv6(&self) -> bool {
        self.address.is_ipv6()
    }

    /// Whether `ip` lies in the range. An IPv4 address mapped into IPv6 (`::ffff:10.0.0.1`, as sockets for
    /// both protocols show it) counts as the IPv4 address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.address.is_ipv4() && mask(ip, self.prefix) == Some(self.address)
    }
}

impl From<IpAddr> for IpNet {
    /// The range of that one address.
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }
}

/// `address` with only its first `prefix` bits; `None` if it has fewer.
fn mask(address: IpAddr, prefix: u8) -> Option<IpAddr> {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32u32.checked_sub(prefix)?).unwrap_or(0);
            Some(Ipv4Addr::from(u32::from(v4) & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128u32.checked_sub(prefix)?).unwrap_or(0);
            Some(Ipv6Addr::from(u128::from(v6) & mask).into())
        }
    }
}

impl FromStr for IpNet {
    type Err = AddressError;

    /// An IP (that one address) or `IP/BITS`.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        const WHAT: &str = "a network is an IP, like `10.0.0.1`, or a range, like `10.0.0.0/8`";
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip, Some(bits)),
            None => (text, None),
        };
        let address = ip.parse::<IpAddr>().map_err(|_| no(WHAT))?;
        let most: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match bits {
            None => most,
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => match bits.parse() {
                Ok(prefix) if prefix <= most => prefix,
                _ => return Err(no(format!("the number after `/` goes from 0 to {most}"))),
            },
            Some(_) => return Err(no(WHAT)),
        };
        Self::new(address, prefix).ok_or_else(|| match mask(address, prefix) {
            Some(first) => no(format!("a range starts with its first address, `{first}/{prefix}`")),
            None => no(WHAT),
        })
    }
}

impl fmt::Display for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn listen_error(text: &str) -> String {
        text.parse::<ListenAddress>().unwrap_err().to_string()
    }

    #[test]
    fn a_listen_address_is_an_ip_a_unix_socket_or_systemd() {
        assert_eq!("127.0.0.1".parse(), Ok(ListenAddress::Ip(Ipv4Addr::LOCALHOST.into())));
        assert_eq!("::1".parse(), Ok(ListenAddress::Ip(Ipv6Addr::LOCALHOST.into())));
        assert_eq!("[::1]".parse(), Ok(ListenAddress::Ip(Ipv6Addr::LOCALHOST.into())));
        assert_eq!("unix:run/a.sock".parse(), Ok(ListenAddress::Unix("run/a.sock".into())));
        assert_eq!("systemd".parse(), Ok(ListenAddress::Systemd));
    }

    #[test]
    fn a_wrong_listen_address_is_told_how_it_is_right() {
        assert!(listen_error("127.0.0.1:80").contains("--port"));
        assert!(listen_error("localhost").contains("127.0.0.1"));
        assert!(listen_error("/run/a.sock").contains("`unix:/run/a.sock`"));
        assert!(listen_error("unix:").contains("missing"));
        assert!(listen_error(&format!("unix:/{}", "a".repeat(107))).contains("107 bytes"));
        assert!(listen_error("1.2.3").contains("an IP"));
        assert!(listen_error("[1.2.3.4]").contains("an IP"));
    }

    #[test]
    fn an_admin_address_has_a_port_or_is_a_unix_socket() {
        assert_eq!("[::1]:9090".parse(), Ok(AdminAddress::Tcp((Ipv6Addr::LOCALHOST, 9090).into())));
        assert_eq!("unix:/a".parse(), Ok(AdminAddress::Unix("/a".into())));
        let error = |text: &str| text.parse::<AdminAddress>().unwrap_err().to_string();
        assert!(error("127.0.0.1").contains("127.0.0.1:9090"));
        assert!(error("::1").contains("[::1]:9090"));
        assert!(error("localhost:90").contains("127.0.0.1"));
        assert!(error("/a").contains("unix:/a"));
        assert!(error("systemd").contains("IP:PORT"));
    }

    #[test]
    fn a_network_contains_what_shares_its_first_bits() {
        let net: IpNet = "10.0.0.0/8".parse().unwrap();
        assert!(net.contains("10.255.0.1".parse().unwrap()));
        assert!(net.contains("::ffff:10.1.1.1".parse().unwrap()));
        assert!(!net.contains("11.0.0.1".parse().unwrap()));
        assert!(!net.contains("a00::".parse().unwrap()));
        let one: IpNet = "::1".parse().unwrap();
        assert!(one.contains("::1".parse().unwrap()) && !one.contains("::2".parse().unwrap()));
        let all: IpNet = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("255.1.2.3".parse().unwrap()) && !all.contains("2001:db8::1".parse().unwrap()));
        let mapped: IpNet = "::ffff:10.0.0.0/104".parse().unwrap();
        assert_eq!(mapped, net);
        assert_eq!((net.single(), one.single()), (None, Some(Ipv6Addr::LOCALHOST.into())));
    }

    #[test]
    fn a_wrong_network_is_told_how_it_is_right() {
        let error = |text: &str| text.parse::<IpNet>().unwrap_err().to_string();
        assert!(error("10.1.2.3/8").contains("`10.0.0.0/8`"));
        assert!(error("10.0.0.0/33").contains("from 0 to 32"));
        assert!(error("::/129").contains("from 0 to 128"));
        assert!(error("::/999").contains("from 0 to 128"));
        for bad in ["", "10.0.0", "10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/8/8", "localhost"] {
            assert!(error(bad).contains("network is an IP") || error(bad).contains("from 0 to"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_an_error(text in "(unix:|\\[|::|[0-9./:]|\\PC){0,12}") {
            let _ = text.parse::<ListenAddress>();
            let _ = text.parse::<AdminAddress>();
            let _ = text.parse::<IpNet>();
        }

        #[test]
        fn what_is_displayed_parses_back(ip in any::<IpAddr>(), port in any::<u16>(), prefix in 0u8..=128) {
            let listen = ListenAddress::Ip(ip);
            prop_assert_eq!(listen.to_string().parse(), Ok(listen));
            let admin = AdminAddress::Tcp((ip, port).into());
            prop_assert_eq!(admin.to_string().parse(), Ok(admin));
            prop_assert_eq!(ip.to_string().parse(), Ok(IpNet::from(ip)));
            prop_assert_eq!(IpNet::from(ip).single(), Some(ip.to_canonical()));
            if let Some(net) = mask(ip, prefix).and_then(|ip| IpNet::new(ip, prefix)) {
                prop_assert_eq!(net.to_string().parse(), Ok(net));
                // An IPv4 address in IPv6 clothes lies in a range of IPv4 addresses or in none.
                prop_assert!(net.contains(ip) || ip.to_canonical() != ip);
            }
        }
    }
}
