//! Sockets and name look-ups of guests: what of them the app's `net` grants, or a program's policy.
//!
//! ```text
//! create-socket ─► is anything granted? ─► is there a descriptor, memory? ─► counted as long as it is open
//! resolve-addresses ─► is the name granted, for any port? ─► the host's resolver ─► remembered
//! connect, send ─► is the address granted, or one that a granted name has?
//! receive ─► was something sent there?
//! ```
//!
//! One function decides on all of it, [`NetPolicy::decide`]. Nobody may listen.

mod link;
mod names;
mod open;

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use nexus_core::{NetDenied, NetHost, NetPolicy};
use nexus_guest::{HttpError as Failed, SocketBudget};
use tokio::sync::oneshot;
use wasmtime::component::HasData;
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsCtxView, WasiSocketsView};
use wasmtime_wasi::{WasiCtxBuilder, WasiView};

pub(crate) use self::link::link;
use self::open::{NoSocket, Socket};
use crate::account::{Held, WorkerMemory};
use crate::author::Author;
use crate::outgoing::Outgoing;

/// So many look-ups are remembered with the addresses that they gave, so many addresses of each, and for so long.
const NAMES: usize = 64;
const ADDRESSES: usize = 64;
const AGE: Duration = Duration::from_secs(600);
/// What is counted for a look-up under way, in bytes.
const LOOK_UP: u64 = 1024;

/// What a guest may reach, with what is needed to tell whether a name is among it.
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

    /// Whether nothing at all can be granted.
    pub(crate) fn is_empty(&self) -> bool {
        self.policy.is_empty()
    }

    /// Whether the name may be looked up.
    fn names(&self, host: &NetHost) -> Result<(), NetDenied> {
        let mut denied = NetDenied::new(host.clone(), 443, None);
        for port in &self.ports {
            match self.policy.decide(host, *port, None) {
                Ok(()) => return Ok(()),
                // The app asks for it, and its host does not grant or allow it.
                Err(by_host) if by_host.by_host || by_host.withheld.is_some() => denied = by_host,
                Err(_) => {}
            }
        }
        Err(denied)
    }
}

/// Where the sockets of one instance may lead, and how many it has.
pub(crate) struct Reach {
    granted: Arc<Granted>,
    author: Author,
    budget: Arc<dyn SocketBudget>,
    memory: Arc<WorkerMemory>,
    /// How many sockets there may be at once, and are.
    most: usize,
    open: AtomicUsize,
    inner: Mutex<Inner>,
}

/// What the sockets of an instance take from its worker.
pub(crate) struct Purse {
    pub(crate) budget: Arc<dyn SocketBudget>,
    pub(crate) memory: Arc<WorkerMemory>,
    /// How many there may be at once.
    pub(crate) most: usize,
}

#[derive(Default)]
struct Inner {
    /// What look-ups gave, the latest last: the name, the addresses that the guest was told, and when.
    found: VecDeque<(NetHost, Vec<IpAddr>, Instant)>,
    /// The TCP sockets of 0.3, by their resources: streams keep them open beyond their handles.
    tcp: HashMap<u32, Weak<Socket>>,
    outgoing: Option<Outgoing>,
    /// What was told last: a guest that tries again and again is told of once.
    told: String,
}

impl Reach {
    pub(crate) fn new(granted: Arc<Granted>, author: Author, outgoing: Outgoing, purse: Purse) -> Self {
        let inner = Inner { outgoing: Some(outgoing), ..Inner::default() };
        let Purse { budget, memory, most } = purse;
        Self { granted, author, budget, memory, most, open: AtomicUsize::new(0), inner: Mutex::new(inner) }
    }

    /// The instance serves another request from here on. What it knows of names stays.
    pub(crate) fn turn_to(&self, outgoing: Outgoing) {
        let mut inner = self.inner();
        inner.outgoing = Some(outgoing);
        inner.told.clear();
    }

    /// Has an instance make sockets nowhere but here.
    pub(crate) fn grant(wasi: &mut WasiCtxBuilder) {
        wasi.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    }

    /// How many sockets are open.
    pub(crate) fn open(&self) -> usize {
        // Relaxed: a store has one thread at a time.
        self.open.load(Ordering::Relaxed)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each change leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, line: String) {
        let mut inner = self.inner();
        if inner.told != line {
            self.author.tell(&line);
            inner.told = line;
        }
    }

    /// Something was denied.
    fn deny(&self, line: String) {
        self.budget.denied();
        self.tell(line);
    }

    /// There is no socket.
    fn tell_of(&self, why: &NoSocket) {
        match why {
            NoSocket::Denied => {
                let (guest, hint) = (self.author.guest(), self.author.hint("HOST:PORT"));
                self.deny(format!("denied: a socket: this {guest} may connect nowhere; {hint}"));
            }
            NoSocket::Limit(why) | NoSocket::Memory(why) => self.tell(format!("a socket was refused: {why}")),
        }
    }

    /// Counts bytes that the host holds for a socket. Tells the author if there is no room for them.
    fn hold(&self, bytes: u64, what: &str) -> Option<Held> {
        self.memory.hold(bytes, what).map_err(|why| self.tell(why)).ok()
    }

    /// A TCP socket of 0.3 was made.
    fn note_tcp(&self, rep: u32, socket: &Arc<Socket>) {
        let mut inner = self.inner();
        if inner.tcp.len() > self.most {
            inner.tcp.retain(|_, socket| socket.strong_count() > 0);
        }
        inner.tcp.insert(rep, Arc::downgrade(socket));
    }

    /// The TCP socket of 0.3 with this resource.
    fn tcp(&self, rep: u32) -> Option<Arc<Socket>> {
        self.inner().tcp.get(&rep)?.upgrade()
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
            // Whom a socket hears is its own matter.
            SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept | SocketAddrUse::UdpReceive => false,
            SocketAddrUse::TcpConnect | SocketAddrUse::UdpSend => {
                if let Err(denied) = self.decide(address) {
                    self.deny(self.author.denial(&denied));
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
        for (name, addresses, since) in &self.inner().found {
            if since.elapsed() < AGE && addresses.contains(&ip) {
                match policy.decide(name, port, Some(ip)) {
                    Ok(()) => return Ok(()),
                    // It says more than the address.
                    Err(by_name) => denied = by_name,
                }
            }
        }
        Err(denied)
    }

    /// What is to be looked up, as the resolver takes it.
    fn may_look_up(&self, name: &str) -> Result<NetHost, Refused> {
        if let Ok(ip) = name.parse::<IpAddr>() {
            return Ok(ip.into());
        }
        let host: NetHost = name.parse().map_err(|_| Refused::Invalid)?;
        if let NetHost::Name(_) = host {
            if let Err(denied) = self.granted.names(&host) {
                let what = match (&denied.withheld, denied.by_host) {
                    (Some(withheld), _) => withheld.to_string(),
                    (None, false) => self.author.hint(&host),
                    (None, true) => format!(
                        "the host would have to allow it: `net = [\"{host}\"]` under [ceilings.permissions]"
                    ),
                };
                self.deny(format!("denied: a look-up of {host} is not granted; {what}"));
                return Err(Refused::Denied);
            }
            if !self.count() {
                return Err(Refused::Denied);
            }
        }
        Ok(host)
    }

    /// Looks a name up that may be. It ends with the request.
    fn look_up(&self, name: &str) -> oneshot::Receiver<Result<Vec<IpAddr>, Failed>> {
        let outgoing = self.inner().outgoing.clone();
        match outgoing.zip(self.hold(LOOK_UP, "a look-up")) {
            Some((outgoing, held)) => outgoing.look_up(name, held),
            // Its sender is gone: nobody answers.
            None => oneshot::channel().1,
        }
    }

    /// A name has these addresses.
    fn found(&self, name: &NetHost, addresses: &[IpAddr]) {
        let NetHost::Name(_) = name else { return };
        let mut inner = self.inner();
        if inner.found.len() >= NAMES {
            inner.found.pop_front();
        }
        let addresses = addresses.iter().take(ADDRESSES).map(IpAddr::to_canonical).collect();
        inner.found.push_back((name.clone(), addresses, Instant::now()));
    }
}

/// Why a name is not looked up.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    Invalid,
    Denied,
}

/// A store's data whose sockets lead where this says.
pub(crate) trait HasReach: WasiView {
    /// Where they may lead.
    fn reach(&self) -> &Arc<Reach>;

    /// Its sockets, and where they may lead.
    fn sockets_view(&mut self) -> View<'_>
    where
        Self: Sized,
    {
        let reach = self.reach().clone();
        View { sockets: self.sockets(), reach }
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

#[cfg(test)]
mod tests;
