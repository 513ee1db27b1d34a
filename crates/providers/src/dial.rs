//! From a host's name to a connection that requests can be sent over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nexus_core::{Limit, Limits, NetHost, is_localhost};
use nexus_guest::{HttpError, OutboundRequest};
use tokio::time::timeout;
use tokio_rustls::rustls::ClientConfig;

use crate::body::Held;
use crate::client::Inner;
use crate::connect::Sockets;
use crate::h1::H1;
use crate::h2::{H2, H2Stream};
use crate::place::Opening;
use crate::resolve::{Resolver, SOCKETS};
use crate::stream::Stream;
use crate::{connect, fault, tls};

/// A limit of the app's, or a shorter one of the guest's own.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) time: Duration,
    limit: Option<Limit>,
    name: &'static str,
}

impl Patience {
    pub(crate) fn new(limits: &Limits, limit: Limit, own: Option<Duration>, name: &'static str) -> Self {
        match own {
            Some(time) if time < limits.time(limit) => Self { time, limit: None, name },
            _ => Self { time: limits.time(limit), limit: Some(limit), name },
        }
    }

    pub(crate) fn error(&self) -> HttpError {
        match self.limit {
            Some(limit) => HttpError::Limit(limit, self.time.as_millis() as u64),
            None => HttpError::Deadline(self.name),
        }
    }
}

/// Why there is neither a connection nor an address in time.
fn too_late(patience: &Patience, sockets: &Sockets) -> HttpError {
    match sockets.are_denied() {
        true => HttpError::Connect("the host has no file descriptors left".to_owned()),
        false => patience.error(),
    }
}

impl Inner {
    /// Looks the host up and connects to it.
    pub(crate) async fn open(&self, request: &OutboundRequest, opening: Opening) -> Result<Held, HttpError> {
        let patience = Patience::new(&self.limits, Limit::Connect, request.deadlines.connect, "connect");
        let sockets = Sockets::new(self.sink.sockets());
        let opened = timeout(patience.time, self.open_at_leisure(request, opening, &sockets)).await;
        opened.unwrap_or_else(|_| Err(too_late(&patience, &sockets)))
    }

    async fn open_at_leisure(
        &self,
        request: &OutboundRequest,
        mut opening: Opening,
        sockets: &Sockets,
    ) -> Result<Held, HttpError> {
        let addresses = self.addresses(request, sockets).await?;
        let (tcp, counted) = connect::connect(&addresses, sockets).await.map_err(HttpError::Connect)?;
        let address = tcp.peer_addr().map_err(|error| HttpError::Connect(error.to_string()))?.ip();
        let stream = if request.secure {
            let config = self.tls().map_err(HttpError::Tls)?;
            let tls = Box::pin(tls::handshake(config, &request.host, tcp)).await.map_err(HttpError::Tls)?;
            Stream::tls(tls, counted)
        } else {
            Stream::plain(tcp, counted)
        };
        let headers = self.limits.size(Limit::OutboundHeaders);
        let broken = |error: hyper::Error| fault::of_head(&error, headers as u64);
        let place = opening.place().clone();
        let (slot, weak) = (opening.slot(), Rc::downgrade(&place));
        if stream.is_h2() {
            let h2 = H2::start(stream, address, slot, weak, headers).await.map_err(broken)?;
            place.share(&h2);
            Ok(Held::H2(H2Stream::new(&h2)))
        } else {
            let h1 = H1::start(stream, address, slot, weak, headers).await.map_err(broken)?;
            place.is_plain();
            Ok(Held::H1(h1))
        }
    }

    /// The addresses to connect to, each of them decided on.
    async fn addresses(
        &self,
        request: &OutboundRequest,
        sockets: &Sockets,
    ) -> Result<Vec<SocketAddr>, HttpError> {
        let (host, port) = (&request.host, request.port);
        let found: Vec<IpAddr> = match host {
            NetHost::Ip(ip) => vec![*ip],
            NetHost::Name(name) => self.look_up(name, sockets).await.map_err(HttpError::Name)?,
        };
        let mut denied = None;
        let mut allowed = Vec::with_capacity(found.len());
        for ip in found {
            match self.policy.decide(host, port, Some(ip)) {
                Ok(()) => allowed.push(SocketAddr::new(ip, port)),
                Err(error) => denied = denied.or(Some(error)),
            }
        }
        match denied {
            _ if !allowed.is_empty() => Ok(allowed),
            Some(denied) => Err(self.denied(request.sender, denied)),
            None => Err(HttpError::Name(format!("{host}: it has no address"))),
        }
    }

    /// The addresses of a name, for who connects to one of them by itself.
    pub(crate) async fn find(&self, name: &str) -> Result<Vec<IpAddr>, HttpError> {
        let patience = Patience::new(&self.limits, Limit::Connect, None, "connect");
        let sockets = Sockets::new(self.sink.sockets());
        let found = timeout(patience.time, self.look_up(name, &sockets)).await;
        let found = found.map_err(|_| too_late(&patience, &sockets))?;
        match found {
            Ok(addresses) if addresses.is_empty() => {
                Err(HttpError::Name(format!("{name}: it has no address")))
            }
            found => found.map_err(HttpError::Name),
        }
    }

    /// The addresses of a name. Nobody is asked for those that stand for this machine (RFC 6761, section 6.3).
    async fn look_up(&self, name: &str, sockets: &Sockets) -> Result<Vec<IpAddr>, String> {
        if is_localhost(name) {
            return Ok(vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]);
        }
        let _place = self.lookups.acquire().await.map_err(|error| error.to_string())?;
        // What is known already takes none, but only the resolver can tell.
        let _counted = sockets.count_some(SOCKETS).await;
        let known = self.resolver.borrow().clone();
        let resolver = match known {
            Some(resolver) => resolver,
            None => {
                let made = Rc::new(Resolver::new(self.shared.name_servers())?);
                self.resolver.borrow_mut().insert(made).clone()
            }
        };
        resolver.look_up(name).await.map_err(|failure| {
            let mut known = self.resolver.borrow_mut();
            if !failure.lasting
                && resolver.is_old()
                && known.as_ref().is_some_and(|it| Rc::ptr_eq(it, &resolver))
            {
                // The system may have other name servers by now.
                known.take();
            }
            failure.what
        })
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        if let Some(config) = self.tls.get() {
            return Ok(config.clone());
        }
        let config = self.shared.trust()?.config()?;
        Ok(self.tls.get_or_init(|| config).clone())
    }
}
