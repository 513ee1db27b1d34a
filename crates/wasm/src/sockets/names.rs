//! Name look-ups: `wasi:sockets/ip-name-lookup` of 0.2 and 0.3, carried out by the host's resolver.
//!
//! A look-up goes the way of a request that is sent, and ends with the request in whose scope it began.

use std::net::IpAddr;
use std::sync::Arc;

use nexus_core::NetHost;
use nexus_guest::HttpError as Failed;
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{Accessor, Linker, Resource, ResourceType};
use wasmtime_wasi::p2::bindings::sockets as p2;
use wasmtime_wasi::p2::{DynPollable, Network, Pollable, subscribe};
use wasmtime_wasi::p3::bindings::sockets as p3;

use super::{HasReach, Reach, Refused, Sockets, View};

/// The interface of 0.2, as Wasmtime links it.
const NAMES_0_2: &str = "wasi:sockets/ip-name-lookup@0.2.12";

/// What a look-up has come to.
type Answer = Result<Vec<IpAddr>, Failed>;

/// A look-up under way: `resolve-address-stream`.
pub(super) struct LookUp {
    reach: Arc<Reach>,
    host: NetHost,
    progress: Progress,
}

enum Progress {
    Waiting(oneshot::Receiver<Answer>),
    Found(std::vec::IntoIter<IpAddr>),
    Failed(p2::network::ErrorCode),
}

impl LookUp {
    pub(super) fn new(reach: Arc<Reach>, host: NetHost) -> Self {
        let progress = match &host {
            NetHost::Ip(ip) => Progress::Found(vec![*ip].into_iter()),
            NetHost::Name(name) => Progress::Waiting(reach.look_up(name)),
        };
        Self { reach, host, progress }
    }

    fn end(&mut self, answer: Result<Answer, oneshot::error::RecvError>) {
        self.progress = match found(&self.reach, &self.host, answer) {
            Ok(addresses) => Progress::Found(addresses.into_iter()),
            Err(Failed::Name(_)) => Progress::Failed(p2::network::ErrorCode::NameUnresolvable),
            Err(_) => Progress::Failed(p2::network::ErrorCode::TemporaryResolverFailure),
        };
    }

    /// The next address, in order.
    pub(super) fn next(&mut self) -> Result<Option<IpAddr>, p2::network::ErrorCode> {
        if let Progress::Waiting(answer) = &mut self.progress {
            match answer.try_recv() {
                Err(oneshot::error::TryRecvError::Empty) => return Err(p2::network::ErrorCode::WouldBlock),
                Err(oneshot::error::TryRecvError::Closed) => {
                    self.progress = Progress::Failed(p2::network::ErrorCode::TemporaryResolverFailure);
                }
                Ok(answer) => self.end(Ok(answer)),
            }
        }
        match &mut self.progress {
            Progress::Found(addresses) => Ok(addresses.next()),
            Progress::Failed(code) => Err(*code),
            Progress::Waiting(_) => Err(p2::network::ErrorCode::WouldBlock),
        }
    }
}

/// What an instance gets to know, and may connect to from here on as far as the name is granted.
fn found(reach: &Reach, host: &NetHost, answer: Result<Answer, oneshot::error::RecvError>) -> Answer {
    // Where nobody answers, the request is over in whose name it was.
    let addresses = answer.unwrap_or(Err(Failed::Closed))?;
    reach.found(host, &addresses);
    Ok(addresses)
}

#[wasmtime_wasi::async_trait]
impl Pollable for LookUp {
    async fn ready(&mut self) {
        if let Progress::Waiting(answer) = &mut self.progress {
            let answer = answer.await;
            self.end(answer);
        }
    }
}

/// Puts these look-ups in the place of what Wasmtime links, which asks the system's resolver on the threads for files.
pub(super) fn link<T: HasReach + 'static>(linker: &mut Linker<T>, with_0_3: bool) -> wasmtime::Result<()> {
    let mut names = linker.instance(NAMES_0_2)?;
    let ty = ResourceType::host::<LookUp>();
    names.resource("resolve-address-stream", ty, |mut store: StoreContextMut<'_, T>, rep| {
        store.data_mut().sockets_view().sockets.table.delete(Resource::<LookUp>::new_own(rep))?;
        Ok(())
    })?;
    names.func_wrap(
        "resolve-addresses",
        |mut store: StoreContextMut<'_, T>, (network, name): (Resource<Network>, String)| {
            let View { sockets, reach } = store.data_mut().sockets_view();
            // A guest that has none may not ask.
            sockets.table.get(&network)?;
            Ok((match reach.may_look_up(&name) {
                Ok(host) => Ok(sockets.table.push(LookUp::new(reach, host))?),
                Err(Refused::Invalid) => Err(p2::network::ErrorCode::InvalidArgument),
                Err(Refused::Denied) => Err(p2::network::ErrorCode::AccessDenied),
            },))
        },
    )?;
    names.func_wrap(
        "[method]resolve-address-stream.resolve-next-address",
        |mut store: StoreContextMut<'_, T>, (stream,): (Resource<LookUp>,)| {
            let next = store.data_mut().sockets_view().sockets.table.get_mut(&stream)?.next();
            Ok((next.map(|next| next.map(p2::network::IpAddress::from)),))
        },
    )?;
    names.func_wrap(
        "[method]resolve-address-stream.subscribe",
        |mut store: StoreContextMut<'_, T>, (stream,): (Resource<LookUp>,)| {
            let pollable: Resource<DynPollable> =
                subscribe(store.data_mut().sockets_view().sockets.table, stream)?;
            Ok((pollable,))
        },
    )?;
    if with_0_3 {
        p3::ip_name_lookup::add_to_linker::<T, Sockets>(linker, T::sockets_view)?;
    }
    Ok(())
}

impl p3::ip_name_lookup::Host for View<'_> {}

impl<T: HasReach + 'static> p3::ip_name_lookup::HostWithStore<T> for Sockets {
    async fn resolve_addresses(
        store: &Accessor<T, Self>,
        name: String,
    ) -> wasmtime::Result<Result<Vec<p3::types::IpAddress>, p3::ip_name_lookup::ErrorCode>> {
        use p3::ip_name_lookup::ErrorCode;
        let reach = store.with(|mut access| access.get().reach);
        let host = match reach.may_look_up(&name) {
            Ok(host) => host,
            Err(Refused::Invalid) => return Ok(Err(ErrorCode::InvalidArgument)),
            Err(Refused::Denied) => return Ok(Err(ErrorCode::AccessDenied)),
        };
        let answer = match &host {
            NetHost::Ip(ip) => Ok(vec![*ip]),
            NetHost::Name(name) => {
                let answer = reach.look_up(name).await;
                found(&reach, &host, answer)
            }
        };
        Ok(match answer {
            Ok(addresses) => Ok(addresses.into_iter().map(p3::types::IpAddress::from).collect()),
            Err(Failed::Name(_)) => Err(ErrorCode::NameUnresolvable),
            Err(_) => Err(ErrorCode::TemporaryResolverFailure),
        })
    }
}
