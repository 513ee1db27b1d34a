//! Sockets and name look-ups of guests: what of them the app's `net` grants.
//!
//! ```text
//! create-socket ─► is anything granted?
//! resolve-addresses ─► is the name granted, for any port? ─► the system's resolver ─► remembered
//! connect, send ─► is the address granted, or one that a granted name has?
//! ```
//!
//! One function decides on all of it, [`NetPolicy::decide`]. Nobody may listen.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nexus_core::{NetDenied, NetHost, NetPolicy};
use wasmtime::component::{Accessor, HasData, Linker, Resource};
use wasmtime_wasi::p2::bindings::sockets as p2;
use wasmtime_wasi::p2::{SocketError, SocketResult};
use wasmtime_wasi::p3::bindings::sockets as p3;
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSockets, WasiSocketsCtxView, WasiSocketsView};
use wasmtime_wasi::{TrappableError, WasiCtxBuilder};

use crate::outgoing::Outgoing;
use crate::output::Console;
use crate::state::State;

/// So many names are remembered with the addresses that they have, and so many addresses of each.
const NAMES: usize = 64;
const ADDRESSES: usize = 64;

/// What an app's guests may reach, with what is needed to tell whether a name is among it.
pub(crate) struct Granted {
    policy: NetPolicy,
    /// Ports such that a name which is granted for any port is granted for one of these.
    ports: Vec<u16>,
}

impl Granted {
    pub(crate) fn new(policy: &NetPolicy) -> Self {
        // A grant for all ports is one for this port, whatever the other list says of others.
        let mut ports = vec![443];
        for grant in policy.asked.iter().chain(policy.ceiling.iter().flatten()) {
            // An IPv6 address without a port gives one more that nobody named, which does no harm.
            ports.extend(grant.to_string().rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()));
        }
        ports.sort_unstable();
        ports.dedup();
        Self { policy: policy.clone(), ports }
    }

    /// Whether nothing at all is granted.
    pub(crate) fn is_empty(&self) -> bool {
        self.policy.is_empty()
    }

    /// Whether the name may be looked up.
    fn names(&self, host: &NetHost) -> Result<(), NetDenied> {
        let mut denied = NetDenied::new(host.clone(), 443, None);
        for port in &self.ports {
            match self.policy.decide(host, *port, None) {
                Ok(()) => return Ok(()),
                // The app asks for it, and its host does not allow it.
                Err(by_host) if by_host.by_host => denied = by_host,
                Err(_) => {}
            }
        }
        Err(denied)
    }
}

/// Where the sockets of one instance may lead.
pub(crate) struct Reach {
    granted: Arc<Granted>,
    console: Console,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Names that were looked up, the latest last, with the addresses that the guest was told.
    found: VecDeque<(NetHost, Vec<IpAddr>)>,
    /// The names of look-ups that are under way, by their resources.
    under_way: HashMap<u32, NetHost>,
    outgoing: Option<Outgoing>,
    /// What was told last: a guest that tries again and again is told of once.
    told: String,
}

impl Reach {
    pub(crate) fn new(granted: Arc<Granted>, console: Console, outgoing: Outgoing) -> Self {
        let inner = Inner { outgoing: Some(outgoing), ..Inner::default() };
        Self { granted, console, inner: Mutex::new(inner) }
    }

    /// The instance serves another request from here on. What it knows of names stays, as its sockets do.
    pub(crate) fn turn_to(&self, outgoing: Outgoing) {
        let mut inner = self.inner();
        inner.outgoing = Some(outgoing);
        inner.told.clear();
    }

    /// Has the sockets of an instance lead there, and nowhere else.
    pub(crate) fn grant(self: &Arc<Self>, wasi: &mut WasiCtxBuilder) {
        let any = !self.granted.is_empty();
        wasi.allow_tcp(any).allow_udp(any).allow_ip_name_lookup(any);
        if any {
            let reach = self.clone();
            wasi.socket_addr_check(move |address, purpose| {
                let may = reach.may(address, purpose);
                Box::pin(std::future::ready(may))
            });
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each change leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, line: String) {
        let mut inner = self.inner();
        if inner.told != line {
            self.console.output().note(line.clone());
            inner.told = line;
        }
    }

    /// Counts a connection or a look-up as a request that is sent.
    fn count(&self) -> bool {
        let counted = self.inner().outgoing.as_ref().map_or(Ok(()), Outgoing::take);
        if let Err(why) = &counted {
            self.tell(format!("a connection or look-up was refused: {why}"));
        }
        counted.is_ok()
    }

    /// Whether a socket may be used so.
    fn may(&self, address: SocketAddr, purpose: SocketAddrUse) -> bool {
        match purpose {
            // What connecting and sending need: the system chooses. It listens to nobody.
            SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => {
                address.port() == 0 && address.ip().is_unspecified()
            }
            SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => false,
            // Who sends is not the guest's doing: nobody is told.
            SocketAddrUse::UdpReceive => self.decide(address).is_ok(),
            SocketAddrUse::TcpConnect | SocketAddrUse::UdpSend => {
                if let Err(denied) = self.decide(address) {
                    self.tell(format!("denied: {denied}"));
                    return false;
                }
                matches!(purpose, SocketAddrUse::UdpSend) || self.count()
            }
        }
    }

    /// Decides on an address: by itself, or as one that a name has.
    fn decide(&self, address: SocketAddr) -> Result<(), NetDenied> {
        let (ip, port, policy) = (address.ip().to_canonical(), address.port(), &self.granted.policy);
        let Err(mut denied) = policy.decide(&NetHost::from(ip), port, Some(ip)) else { return Ok(()) };
        for (name, addresses) in &self.inner().found {
            if addresses.contains(&ip) {
                match policy.decide(name, port, Some(ip)) {
                    Ok(()) => return Ok(()),
                    // It says more than the address.
                    Err(by_name) => denied = by_name,
                }
            }
        }
        Err(denied)
    }

    /// Whether a socket may be made.
    fn may_make(&self) -> bool {
        if self.granted.is_empty() {
            self.tell(
                "denied: a socket: this app may connect nowhere; to ask for it, add `net = [\"HOST:PORT\"]` under \
                 [permissions] in nexus.toml"
                    .into(),
            );
        }
        !self.granted.is_empty()
    }

    /// What is to be looked up, as the resolver takes it.
    fn may_look_up(&self, name: &str) -> Result<NetHost, Refused> {
        if let Ok(ip) = name.parse::<IpAddr>() {
            return Ok(ip.into());
        }
        let host: NetHost = name.parse().map_err(|_| Refused::Invalid)?;
        if let NetHost::Name(_) = host {
            if let Err(denied) = self.granted.names(&host) {
                let what = match denied.by_host {
                    false => {
                        format!("to ask for it, add `net = [\"{host}\"]` under [permissions] in nexus.toml")
                    }
                    true => format!(
                        "the host would have to allow it: `net = [\"{host}\"]` under [ceilings.permissions]"
                    ),
                };
                self.tell(format!("denied: a look-up of {host} is not granted; {what}"));
                return Err(Refused::Denied);
            }
            if !self.count() {
                return Err(Refused::Denied);
            }
        }
        Ok(host)
    }

    /// A name has this address.
    fn found(&self, name: &NetHost, ip: IpAddr) {
        let (NetHost::Name(_), ip) = (name, ip.to_canonical()) else { return };
        let mut inner = self.inner();
        let known = inner.found.iter().position(|(known, _)| known == name);
        let mut entry = known.and_then(|at| inner.found.remove(at)).unwrap_or((name.clone(), Vec::new()));
        if !entry.1.contains(&ip) && entry.1.len() < ADDRESSES {
            entry.1.push(ip);
        }
        if inner.found.len() >= NAMES {
            inner.found.pop_front();
        }
        inner.found.push_back(entry);
    }
}

/// Why a name is not looked up.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    Invalid,
    Denied,
}

/// As the resolver takes it: `wasi:sockets` has IPv6 addresses without brackets, too.
fn shown(host: &NetHost) -> String {
    match host {
        NetHost::Name(name) => name.to_string(),
        NetHost::Ip(ip) => ip.to_string(),
    }
}

/// Stands for [`View`] in the linker.
struct Sockets;

impl HasData for Sockets {
    type Data<'a> = View<'a>;
}

/// An instance's sockets, and where they may lead.
pub(crate) struct View<'a> {
    pub(crate) sockets: WasiSocketsCtxView<'a>,
    pub(crate) reach: Arc<Reach>,
}

/// Puts what is decided here in the place of what Wasmtime links.
pub(crate) fn link(linker: &mut Linker<State>, with_0_3: bool) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    p2::tcp_create_socket::add_to_linker::<State, Sockets>(linker, State::sockets_view)?;
    p2::udp_create_socket::add_to_linker::<State, Sockets>(linker, State::sockets_view)?;
    p2::ip_name_lookup::add_to_linker::<State, Sockets>(linker, State::sockets_view)?;
    if with_0_3 {
        p3::ip_name_lookup::add_to_linker::<State, Sockets>(linker, State::sockets_view)?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

impl p2::network::Host for View<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<p2::network::ErrorCode> {
        p2::network::Host::convert_error_code(&mut self.sockets, error)
    }

    fn network_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<p2::network::ErrorCode>> {
        p2::network::Host::network_error_code(&mut self.sockets, error)
    }
}

impl p2::network::HostNetwork for View<'_> {
    fn drop(&mut self, network: Resource<p2::network::Network>) -> wasmtime::Result<()> {
        p2::network::HostNetwork::drop(&mut self.sockets, network)
    }
}

impl p2::tcp_create_socket::Host for View<'_> {
    fn create_tcp_socket(
        &mut self,
        family: p2::network::IpAddressFamily,
    ) -> SocketResult<Resource<p2::tcp::TcpSocket>> {
        if !self.reach.may_make() {
            return Err(p2::network::ErrorCode::AccessDenied.into());
        }
        p2::tcp_create_socket::Host::create_tcp_socket(&mut self.sockets, family)
    }
}

impl p2::udp_create_socket::Host for View<'_> {
    async fn create_udp_socket(
        &mut self,
        family: p2::network::IpAddressFamily,
    ) -> SocketResult<Resource<p2::udp::UdpSocket>> {
        if !self.reach.may_make() {
            return Err(p2::network::ErrorCode::AccessDenied.into());
        }
        p2::udp_create_socket::Host::create_udp_socket(&mut self.sockets, family).await
    }
}

impl From<Refused> for SocketError {
    fn from(refused: Refused) -> Self {
        TrappableError::from(match refused {
            Refused::Invalid => p2::network::ErrorCode::InvalidArgument,
            Refused::Denied => p2::network::ErrorCode::AccessDenied,
        })
    }
}

type Stream = p2::ip_name_lookup::ResolveAddressStream;

impl p2::ip_name_lookup::Host for View<'_> {
    fn resolve_addresses(
        &mut self,
        network: Resource<p2::network::Network>,
        name: String,
    ) -> SocketResult<Resource<Stream>> {
        let host = self.reach.may_look_up(&name)?;
        let stream = p2::ip_name_lookup::Host::resolve_addresses(&mut self.sockets, network, shown(&host))?;
        self.reach.inner().under_way.insert(stream.rep(), host);
        Ok(stream)
    }
}

impl p2::ip_name_lookup::HostResolveAddressStream for View<'_> {
    fn resolve_next_address(
        &mut self,
        stream: Resource<Stream>,
    ) -> SocketResult<Option<p2::network::IpAddress>> {
        use p2::ip_name_lookup::HostResolveAddressStream as Plain;
        let rep = stream.rep();
        let address = Plain::resolve_next_address(&mut self.sockets, stream)?;
        let name = self.reach.inner().under_way.get(&rep).cloned();
        if let (Some(address), Some(name)) = (&address, name) {
            self.reach.found(&name, ip_of_p2(*address));
        }
        Ok(address)
    }

    fn subscribe(
        &mut self,
        stream: Resource<Stream>,
    ) -> wasmtime::Result<Resource<wasmtime_wasi::p2::DynPollable>> {
        p2::ip_name_lookup::HostResolveAddressStream::subscribe(&mut self.sockets, stream)
    }

    fn drop(&mut self, stream: Resource<Stream>) -> wasmtime::Result<()> {
        self.reach.inner().under_way.remove(&stream.rep());
        p2::ip_name_lookup::HostResolveAddressStream::drop(&mut self.sockets, stream)
    }
}

fn ip_of_p2(address: p2::network::IpAddress) -> IpAddr {
    match address {
        p2::network::IpAddress::Ipv4((a, b, c, d)) => [a, b, c, d].into(),
        p2::network::IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => [a, b, c, d, e, f, g, h].into(),
    }
}

impl p3::ip_name_lookup::Host for View<'_> {}

impl p3::ip_name_lookup::HostWithStore<State> for Sockets {
    async fn resolve_addresses(
        store: &Accessor<State, Self>,
        name: String,
    ) -> wasmtime::Result<Result<Vec<p3::types::IpAddress>, p3::ip_name_lookup::ErrorCode>> {
        let host = match store.with(|mut access| access.get().reach.may_look_up(&name)) {
            Ok(host) => host,
            Err(Refused::Invalid) => return Ok(Err(p3::ip_name_lookup::ErrorCode::InvalidArgument)),
            Err(Refused::Denied) => return Ok(Err(p3::ip_name_lookup::ErrorCode::AccessDenied)),
        };
        let plain = store.with_getter::<WasiSockets>(<State as WasiSocketsView>::sockets);
        let addresses = <WasiSockets as p3::ip_name_lookup::HostWithStore<State>>::resolve_addresses(
            &plain,
            shown(&host),
        );
        let addresses = addresses.await?;
        store.with(|mut access| {
            let view = access.get();
            for address in addresses.iter().flatten() {
                view.reach.found(&host, ip_of_p3(*address));
            }
        });
        Ok(addresses)
    }
}

fn ip_of_p3(address: p3::types::IpAddress) -> IpAddr {
    match address {
        p3::types::IpAddress::Ipv4((a, b, c, d)) => [a, b, c, d].into(),
        p3::types::IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => [a, b, c, d, e, f, g, h].into(),
    }
}

#[cfg(test)]
mod tests;
