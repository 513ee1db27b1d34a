//! Where an app may connect to: what `[permissions] net` asks for, and the one function that decides.
//!
//! A name is decided on before it is looked up, and each address that it has before a connection goes there. An address
//! that is not [public](is_public) takes a grant of its own, by address or range, whatever name led to it: so no name
//! server can lead an app into the host's own network.

mod withheld;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

pub use self::withheld::Withheld;
use crate::{IpNet, Switches};

/// A host as a URL names it: a name in lower case without a dot at its end, or an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NetHost {
    /// A name, to be looked up.
    Name(Box<str>),
    /// An address. An IPv4 address mapped into IPv6 is the IPv4 address.
    Ip(IpAddr),
}

/// Why a text is no [`NetHost`] or [`NetGrant`], in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetGrantError(String);

impl fmt::Display for NetGrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NetGrantError {}

fn no(message: impl Into<String>) -> NetGrantError {
    NetGrantError(message.into())
}

/// The longest name, without a dot at its end (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;

/// A name's text, in lower case. Whatever could be read as an address in another notation is none.
fn parse_name(text: &str) -> Result<Box<str>, NetGrantError> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(no("a host's name has 1 to 253 characters"));
    }
    let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    for label in name.split('.') {
        if label.is_empty() || label.len() > 63 || !label.bytes().all(fine) {
            return Err(no(
                "a host's name has labels of 1 to 63 letters, digits, `-` and `_`, with dots in between; others in punycode",
            ));
        }
    }
    // "Ends in a number" of the URL Standard: `0x7f.1` and `2130706433` are addresses to many a system.
    let last = name.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    if hex || last.bytes().all(|b| b.is_ascii_digit()) {
        return Err(no("an IPv4 address is written as four decimal numbers, like `10.0.0.1`"));
    }
    Ok(name.into())
}

impl FromStr for NetHost {
    type Err = NetGrantError;

    /// A name, an IPv4 address, or an IPv6 address in brackets, as they stand in URLs.
    fn from_str(text: &str) -> Result<Self, NetGrantError> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or_else(|| no("a `]` is missing"))?;
            let ip: Ipv6Addr = inner.parse().map_err(|_| no("there is no IPv6 address in the brackets"))?;
            return Ok(NetHost::Ip(IpAddr::V6(ip).to_canonical()));
        }
        // Strict: four decimal numbers without leading zeros.
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(NetHost::Ip(ip.into()));
        }
        parse_name(text).map(NetHost::Name)
    }
}

impl From<IpAddr> for NetHost {
    fn from(ip: IpAddr) -> Self {
        NetHost::Ip(ip.to_canonical())
    }
}

impl fmt::Display for NetHost {
    /// As it stands in a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetHost::Name(name) => f.write_str(name),
            NetHost::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            NetHost::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

/// What one entry of `net` grants: hosts, and one port or all of them.
///
/// ```
/// let grant: nexus_core::NetGrant = "*.example.org:443".parse().unwrap();
/// assert_eq!(grant.to_string(), "*.example.org:443");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetGrant {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Hosts {
    /// `*`: every name, and every public address.
    Public,
    /// One name.
    Name(Box<str>),
    /// `*.name`: all names below this one, itself not.
    Below(Box<str>),
    /// Addresses.
    Net(IpNet),
}

impl FromStr for NetGrant {
    type Err = NetGrantError;

    /// `HOST` or `HOST:PORT`, where the host is a name, `*.NAME`, `*`, an address or a range of addresses. An IPv6
    /// address or range with a port is in brackets: `[2001:db8::/32]:443`.
    fn from_str(text: &str) -> Result<Self, NetGrantError> {
        if text.contains("://") {
            return Err(no("a grant is a host and a port, without a scheme: `api.example.com:443`"));
        }
        if !text.starts_with('[') {
            // Without a port. The colons of an IPv6 address separate none.
            match text.parse::<IpNet>() {
                Ok(net) => return Ok(Self { hosts: Hosts::Net(net), port: None }),
                Err(error) if is_range(text) => return Err(no(error.to_string())),
                Err(_) => {}
            }
        }
        let (host, port) = match text.rsplit_once(':') {
            // A colon within brackets is an address's.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let hosts = host.parse()?;
        let port = match port {
            None | Some("*") => None,
            Some(port) => Some(parse_port(port)?),
        };
        Ok(Self { hosts, port })
    }
}

/// Whether the text is an address with something after a `/`, and no port: right or wrong, it is meant as a range.
fn is_range(text: &str) -> bool {
    text.split_once('/').is_some_and(|(ip, bits)| ip.parse::<IpAddr>().is_ok() && !bits.contains(':'))
}

fn parse_port(text: &str) -> Result<u16, NetGrantError> {
    if text.contains('/') {
        return Err(no(NO_PATHS));
    }
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let port = if digits { text.parse().ok() } else { None };
    port.filter(|port| *port > 0)
        .ok_or_else(|| no("a port is a number from 1 to 65535; without one all are granted"))
}

const NO_PATHS: &str = "a grant is a host and a port; paths cannot be granted";

impl FromStr for Hosts {
    type Err = NetGrantError;

    fn from_str(text: &str) -> Result<Self, NetGrantError> {
        let net = |text: &str| match text.parse() {
            Ok(net) => Ok(Hosts::Net(net)),
            Err(error) => Err(no(crate::AddressError::to_string(&error))),
        };
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or_else(|| no("a `]` is missing"))?;
            return if inner.contains(':') {
                net(inner)
            } else {
                Err(no("only IPv6 addresses and ranges are in brackets"))
            };
        }
        if text.contains(':') {
            // `::1:8080` would be another address, so not even `::1:65535` is one with a port.
            return Err(no("an IPv6 address or range with a port is in brackets: `[::1]:8080`"));
        }
        if let Some((ip, _)) = text.split_once('/') {
            return if ip.parse::<IpAddr>().is_ok() { net(text) } else { Err(no(NO_PATHS)) };
        }
        if text.parse::<Ipv4Addr>().is_ok() {
            return net(text);
        }
        match text.strip_prefix("*.") {
            _ if text == "*" => Ok(Hosts::Public),
            Some(name) => parse_name(name).map(Hosts::Below),
            None if text.contains('*') => {
                Err(no("a `*` stands for whole labels at the beginning: `*.example.com`"))
            }
            None if text.is_empty() => {
                Err(no("a grant is a host, like `api.example.com:443`, `*.example.com`, `*`, \
                `10.1.0.0/16:5432` or `[::1]:8080`"))
            }
            None => parse_name(text).map(Hosts::Name),
        }
    }
}

impl fmt::Display for NetGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.hosts, self.port) {
            (Hosts::Public, _) => f.write_str("*")?,
            (Hosts::Name(name), _) => f.write_str(name)?,
            (Hosts::Below(name), _) => write!(f, "*.{name}")?,
            (Hosts::Net(net), port) => match (net.single(), port) {
                (Some(ip @ IpAddr::V6(_)), Some(_)) => write!(f, "[{ip}]")?,
                (Some(ip), _) => ip.fmt(f)?,
                (None, Some(_)) if net.is_ipv6() => write!(f, "[{net}]")?,
                (None, _) => net.fmt(f)?,
            },
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl NetGrant {
    fn has_port(&self, port: u16) -> bool {
        self.port.is_none_or(|granted| granted == port)
    }

    /// Whether it grants this host, as far as that is said by how it is named.
    fn names(&self, host: &NetHost, port: u16) -> bool {
        self.has_port(port)
            && match (&self.hosts, host) {
                (Hosts::Public, NetHost::Name(_)) => true,
                (Hosts::Name(granted), NetHost::Name(name)) => granted == name,
                (Hosts::Below(granted), NetHost::Name(name)) => {
                    name.strip_suffix(&**granted).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
                }
                (Hosts::Net(_), NetHost::Name(_)) => false,
                (_, NetHost::Ip(ip)) => self.reaches(*ip, port) || (self.is_public() && is_public(*ip)),
            }
    }

    /// Whether it grants this very address, public or not.
    fn reaches(&self, ip: IpAddr, port: u16) -> bool {
        self.has_port(port)
            && match &self.hosts {
                Hosts::Net(net) => net.contains(ip),
                Hosts::Name(name) => is_localhost(name) && ip.to_canonical().is_loopback(),
                Hosts::Public | Hosts::Below(_) => false,
            }
    }

    fn is_public(&self) -> bool {
        self.hosts == Hosts::Public
    }
}

/// Whether a name means this machine's loopback addresses, and is never looked up: `localhost` and all names below it
/// (RFC 6761 section 6.3).
pub fn is_localhost(name: &str) -> bool {
    name.strip_suffix("localhost").is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Where an app may connect to: what it asks for, what of that it is granted, and what its host allows at most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetPolicy {
    /// What the app's manifest asks for.
    pub asked: Vec<NetGrant>,
    /// What the host allows at most; `None` is no bound.
    pub ceiling: Option<Vec<NetGrant>>,
    /// Which of what is asked for is granted at the moment.
    pub granted: Switches,
}

impl NetPolicy {
    /// Whether nothing at all can be granted, whatever is given to the app later.
    pub fn is_empty(&self) -> bool {
        self.asked.is_empty() || self.ceiling.as_ref().is_some_and(Vec::is_empty)
    }

    /// What is asked for and granted, at the moment.
    pub fn entries(&self) -> impl Iterator<Item = &NetGrant> + Clone {
        self.granted.of(&self.asked)
    }

    /// Decides whether the app may connect to `host` at `port`: without an `address` before the host's name is looked
    /// up, and then again for each address before a connection goes to it. The connection must go to the very
    /// address that was decided on. What is taken from the app counts from the next decision on.
    ///
    /// # Errors
    /// [`NetDenied`], which says what to add for it to be granted.
    ///
    /// ```
    /// use nexus_core::{NetHost, NetPolicy};
    /// let asked = vec!["*.example.com:443".parse().unwrap()];
    /// let policy = NetPolicy { asked, ..NetPolicy::default() };
    /// let host: NetHost = "api.example.com".parse().unwrap();
    /// assert!(policy.decide(&host, 443, None).is_ok());
    /// assert!(policy.decide(&host, 443, Some("93.184.215.14".parse().unwrap())).is_ok());
    /// let denied = policy.decide(&host, 443, Some("169.254.169.254".parse().unwrap())).unwrap_err();
    /// assert!(denied.to_string().contains(r#"net = ["169.254.169.254:443"]"#));
    /// ```
    pub fn decide(&self, host: &NetHost, port: u16, address: Option<IpAddr>) -> Result<(), NetDenied> {
        let denied = |address| Err(NetDenied::new(host.clone(), port, address));
        // An address is never looked up, so a connection for it goes to no other one.
        if let (NetHost::Ip(named), Some(ip)) = (host, address)
            && named.to_canonical() != ip.to_canonical()
        {
            return denied(Some(ip));
        }
        // A name that means this machine leads nowhere else, whoever says so.
        if let (NetHost::Name(name), Some(ip)) = (host, address)
            && is_localhost(name)
            && !ip.to_canonical().is_loopback()
        {
            return denied(Some(ip));
        }
        if let Err(address) = decide_by(self.entries(), host, port, address) {
            let denied = NetDenied::new(host.clone(), port, address);
            return Err(NetDenied { withheld: self.withheld(&denied), ..denied });
        }
        let ceiling = self.ceiling.as_deref();
        let ceiling = ceiling.map_or(Ok(()), |ceiling| decide_by(ceiling.iter(), host, port, address));
        ceiling.or_else(|address| denied(address).map_err(|denied| NetDenied { by_host: true, ..denied }))
    }

    /// The entry that asks for what was denied, if there is one: it is not granted then.
    fn withheld(&self, denied: &NetDenied) -> Option<Box<Withheld>> {
        let app = self.granted.app()?;
        let (host, port) = (&denied.host, denied.port);
        let asks = |grant: &NetGrant| match denied.address {
            Some(ip) => grant.reaches(ip, port),
            None => grant.names(host, port),
        };
        let mut off = self.asked.iter().enumerate().filter(|(place, _)| !self.granted.is_on(*place));
        let (_, grant) = off.find(|(_, grant)| asks(grant))?;
        Some(Box::new(Withheld { app: app.clone(), grant: grant.clone() }))
    }
}

/// Whether one list grants the connection; if not, with the address if it is that which lacks a grant, and not the host.
fn decide_by<'a>(
    mut list: impl Iterator<Item = &'a NetGrant> + Clone,
    host: &NetHost,
    port: u16,
    address: Option<IpAddr>,
) -> Result<(), Option<IpAddr>> {
    if !list.clone().any(|grant| grant.names(host, port)) {
        return Err(None);
    }
    match address {
        Some(ip) if !is_public(ip) && !list.any(|grant| grant.reaches(ip, port)) => Err(Some(ip)),
        _ => Ok(()),
    }
}

/// A connection that is not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetDenied {
    /// The host that was asked for.
    pub host: NetHost,
    /// The port that was asked for.
    pub port: u16,
    /// The address that is not granted, where the host's name is.
    pub address: Option<IpAddr>,
    /// Whether it is the host that does not allow what the app's manifest asks for.
    pub by_host: bool,
    /// What the app's manifest asks for and the host does not grant.
    pub withheld: Option<Box<Withheld>>,
}

impl NetDenied {
    /// A connection to `host` at `port` that the app's manifest does not ask for; with an `address` where it is that
    /// which lacks a grant.
    pub fn new(host: NetHost, port: u16, address: Option<IpAddr>) -> Self {
        Self { host, port, address: address.map(|ip| ip.to_canonical()), by_host: false, withheld: None }
    }

    /// The grant that is missing.
    pub fn grant(&self) -> NetGrant {
        let hosts = match (&self.host, self.address) {
            // Both of its addresses, of which one is tried first.
            (NetHost::Name(name), Some(ip)) if is_localhost(name) && ip.is_loopback() => {
                Hosts::Name(name.clone())
            }
            (_, Some(ip)) | (&NetHost::Ip(ip), None) => Hosts::Net(ip.into()),
            (NetHost::Name(name), None) => Hosts::Name(name.clone()),
        };
        NetGrant { hosts, port: Some(self.port) }
    }

    /// What is not granted, and why: for those whose grants are not in a manifest.
    ///
    /// ```
    /// let denied = nexus_core::NetPolicy::default().decide(&"a.example".parse().unwrap(), 80, None).unwrap_err();
    /// assert_eq!(denied.reason(), "a connection to a.example:80 is not granted");
    /// ```
    pub fn reason(&self) -> String {
        let what = format!("a connection to {}:{} is not granted", self.host, self.port);
        match (&self.host, self.address) {
            (NetHost::Name(name), Some(ip)) if is_localhost(name) && !ip.is_loopback() => {
                format!("{what}: its address {ip} is not this machine's")
            }
            (NetHost::Name(_), Some(ip)) => {
                format!("{what}: its address {ip} is not a public one, which takes a grant of its own")
            }
            _ => what,
        }
    }
}

impl fmt::Display for NetDenied {
    /// What is not granted, why, and what to add to the manifest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason())?;
        let grant = self.grant();
        if let Some(withheld) = &self.withheld {
            write!(f, "; {withheld}")
        } else if self.by_host {
            write!(f, "; the host would have to allow it: `net = [\"{grant}\"]` under [ceilings.permissions]")
        } else {
            write!(f, "; to ask for it, add `net = [\"{grant}\"]` under [permissions] in nexus.toml")
        }
    }
}

impl std::error::Error for NetDenied {}

/// Whether an address is one of the public internet, as IANA's special-purpose registries have it (RFC 6890 and its
/// successors). Addresses that carry another one in them are as public as that: IPv4 mapped into IPv6, and behind a
/// translator's well-known prefix (RFC 6052). Those of older mechanisms (6to4, Teredo, ISATAP, IPv4-compatible) are never
/// public, nor is the address at which a large cloud has its metadata among public ones.
pub fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !matches!(
        (a, b, c),
        // "This network", private, loopback, link-local.
        (0 | 10 | 127, _, _) | (169, 254, _) | (172, 16..=31, _) | (192, 168, _)
            // Shared with carriers, protocol assignments, documentation, 6to4 relays, benchmarking.
            | (100, 64..=127, _) | (192, 0, 0 | 2) | (192, 88, 99) | (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113)
            // Multicast, reserved, broadcast.
            | (224..=255, _, _)
    ) && ip != AZURE_WIRE_SERVER
}

/// Azure's channel from each virtual machine to the platform, which hands out its configuration.
const AZURE_WIRE_SERVER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

fn is_public_v6(ip: Ipv6Addr) -> bool {
    match ip.segments() {
        // NAT64, with an IPv4 address at the end.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
        }
        // Protocol assignments (Teredo, ORCHID, benchmarking), documentation, 6to4.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // ISATAP, whose tunnels lead to the IPv4 address at the end (RFC 5214 section 6.1).
        [.., 0 | 0x200, 0x5efe, _, _] => false,
        // Global unicast is 2000::/3; everything else is local, reserved or multicast.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests;
