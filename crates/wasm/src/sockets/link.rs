//! What makes sockets, of `wasi:sockets` 0.2 and 0.3: in the place of what Wasmtime links, which counts nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use wasmtime::component::{
    Access, Accessor, FutureConsumer, FutureReader, Linker, Resource, Source, StreamReader,
};
use wasmtime::{AsContextMut, StoreContextMut};
use wasmtime_wasi::p2::bindings::sockets as p2;
use wasmtime_wasi::p2::{SocketError, SocketResult};
use wasmtime_wasi::p3::bindings::sockets::types as p3;
use wasmtime_wasi::sockets::{TcpSocket, UdpSocket, WasiSockets, WasiSocketsCtxView, WasiSocketsView};
use wasmtime_wasi::{ResourceTableError, TrappableError};

use super::open::{BUFFER, BUFFERS, NoSocket, Socket};
use super::{HasReach, Sockets, View, names};

/// The interface of 0.3, as Wasmtime links it.
const TYPES_0_3: &str = "wasi:sockets/types@0.3.0";

/// The most of a datagram that is held while it is sent or awaited, in bytes.
const DATAGRAM: u64 = 64 * 1024;

/// Puts what is decided and counted here in the place of what Wasmtime links.
pub(crate) fn link<T: HasReach + 'static>(linker: &mut Linker<T>, with_0_3: bool) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    p2::tcp_create_socket::add_to_linker::<T, Sockets>(linker, T::sockets_view)?;
    p2::udp_create_socket::add_to_linker::<T, Sockets>(linker, T::sockets_view)?;
    if with_0_3 {
        link_tcp(linker)?;
        link_udp(linker)?;
    }
    names::link(linker, with_0_3)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl View<'_> {
    /// Counts a socket that is about to be made, with so many bytes. Tells the author if there is none.
    fn open(&self, bytes: u64) -> Result<Arc<Socket>, NoSocket> {
        let opened = Socket::open(&self.reach, bytes);
        if let Err(why) = &opened {
            self.reach.tell_of(why);
        }
        opened
    }
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

/// An error with this code where the instance has no handle for the socket. It would be a trap otherwise.
fn full_as<E>(error: TrappableError<E>, code: E) -> TrappableError<E>
where
    E: std::error::Error + Send + Sync + 'static,
{
    match error.downcast() {
        Ok(code) => code.into(),
        Err(trap) => match trap.downcast_ref() {
            Some(ResourceTableError::Full) => code.into(),
            _ => TrappableError::trap(trap),
        },
    }
}

/// The same in 0.3, which has no code of its own for it.
fn no_handle() -> p3::ErrorCode {
    p3::ErrorCode::Other(Some("this instance has as many handles as it may have".into()))
}

impl From<NoSocket> for SocketError {
    fn from(why: NoSocket) -> Self {
        SocketError::from(match why {
            NoSocket::Denied => p2::network::ErrorCode::AccessDenied,
            NoSocket::Limit(_) => p2::network::ErrorCode::NewSocketLimit,
            NoSocket::Memory(_) => p2::network::ErrorCode::OutOfMemory,
        })
    }
}

impl p2::tcp_create_socket::Host for View<'_> {
    fn create_tcp_socket(
        &mut self,
        family: p2::network::IpAddressFamily,
    ) -> SocketResult<Resource<p2::tcp::TcpSocket>> {
        let mut context = self.open(BUFFER)?.context();
        let mut own = WasiSocketsCtxView { ctx: &mut context, table: &mut *self.sockets.table };
        let made = p2::tcp_create_socket::Host::create_tcp_socket(&mut own, family);
        made.map_err(|error| full_as(error, p2::network::ErrorCode::NewSocketLimit))
    }
}

impl p2::udp_create_socket::Host for View<'_> {
    async fn create_udp_socket(
        &mut self,
        family: p2::network::IpAddressFamily,
    ) -> SocketResult<Resource<p2::udp::UdpSocket>> {
        let mut context = self.open(BUFFERS)?.context();
        let mut own = WasiSocketsCtxView { ctx: &mut context, table: &mut *self.sockets.table };
        let made = p2::udp_create_socket::Host::create_udp_socket(&mut own, family).await;
        made.map_err(|error| full_as(error, p2::network::ErrorCode::NewSocketLimit))
    }
}

impl From<NoSocket> for p3::ErrorCode {
    fn from(why: NoSocket) -> Self {
        match why {
            NoSocket::Denied => p3::ErrorCode::AccessDenied,
            // 0.3 has no code for it.
            NoSocket::Limit(why) => p3::ErrorCode::Other(Some(why)),
            NoSocket::Memory(_) => p3::ErrorCode::OutOfMemory,
        }
    }
}

type Made<T> = (Result<Resource<T>, p3::ErrorCode>,);
/// How a stream of a socket has ended.
type End = Result<(), p3::ErrorCode>;
type Received = ((StreamReader<u8>, FutureReader<End>),);

fn link_tcp<T: HasReach + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    use p3::HostTcpSocketWithStore as Plain;

    let mut types = linker.instance(TYPES_0_3)?;
    types.func_wrap(
        "[static]tcp-socket.create",
        |mut store: StoreContextMut<'_, T>,
         (family,): (p3::IpAddressFamily,)|
         -> wasmtime::Result<Made<TcpSocket>> {
            let view = store.data_mut().sockets_view();
            let socket = match view.open(BUFFER) {
                Ok(socket) => socket,
                Err(why) => return Ok((Err(why.into()),)),
            };
            let mut context = socket.context();
            let mut own = WasiSocketsCtxView { ctx: &mut context, table: view.sockets.table };
            match p3::HostTcpSocket::create(&mut own, family) {
                Ok(made) => {
                    view.reach.note_tcp(made.rep(), &socket);
                    Ok((Ok(made),))
                }
                Err(error) => Ok((Err(full_as(error, no_handle()).downcast()?),)),
            }
        },
    )?;
    types.func_wrap(
        "[method]tcp-socket.send",
        |mut store: StoreContextMut<'_, T>,
         (socket, data): (Resource<TcpSocket>, StreamReader<u8>)|
         -> wasmtime::Result<(FutureReader<End>,)> {
            let kept = store.data().reach().tcp(socket.rep());
            let access =
                Access::<_, WasiSockets>::new(store.as_context_mut(), <T as WasiSocketsView>::sockets);
            let end = <WasiSockets as Plain<T>>::send(access, socket, data)?;
            Ok((with_end(store, end, kept)?,))
        },
    )?;
    types.func_wrap(
        "[method]tcp-socket.receive",
        |mut store: StoreContextMut<'_, T>,
         (socket,): (Resource<TcpSocket>,)|
         -> wasmtime::Result<Received> {
            let kept = store.data().reach().tcp(socket.rep());
            let access =
                Access::<_, WasiSockets>::new(store.as_context_mut(), <T as WasiSocketsView>::sockets);
            let (data, end) = <WasiSockets as Plain<T>>::receive(access, socket)?;
            Ok(((data, with_end(store, end, kept)?),))
        },
    )?;
    Ok(())
}

fn link_udp<T: HasReach + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    use p3::HostUdpSocketWithStore as Plain;

    let mut types = linker.instance(TYPES_0_3)?;
    types.func_wrap_async(
        "[static]udp-socket.create",
        |mut store: StoreContextMut<'_, T>, (family,): (p3::IpAddressFamily,)| {
            Box::new(async move {
                let view = store.data_mut().sockets_view();
                let mut context = match view.open(BUFFER) {
                    Ok(socket) => socket.context(),
                    Err(why) => return Ok((Err(why.into()),)),
                };
                let mut own = WasiSocketsCtxView { ctx: &mut context, table: view.sockets.table };
                let made: Made<UdpSocket> = match p3::HostUdpSocket::create(&mut own, family).await {
                    Ok(made) => (Ok(made),),
                    Err(error) => (Err(full_as(error, no_handle()).downcast()?),),
                };
                Ok(made)
            })
        },
    )?;
    // As many as a guest likes may be under way at once, each with its bytes.
    types.func_wrap_concurrent(
        "[method]udp-socket.send",
        |store: &Accessor<T>,
         (socket, data, to): (Resource<UdpSocket>, Vec<u8>, Option<p3::IpSocketAddress>)| {
            Box::pin(async move {
                // A longer one fails at once.
                let size = (data.len() as u64).min(DATAGRAM);
                let Some(_held) = store.with(|mut access| access.data_mut().reach().hold(size, "a datagram"))
                else {
                    return Ok((Err(p3::ErrorCode::OutOfMemory),));
                };
                let plain = store.with_getter::<WasiSockets>(<T as WasiSocketsView>::sockets);
                let sent: (End,) = match <WasiSockets as Plain<T>>::send(&plain, socket, data, to).await {
                    Ok(()) => (Ok(()),),
                    Err(error) => (Err(error.downcast()?),),
                };
                Ok(sent)
            })
        },
    )?;
    types.func_wrap_concurrent(
        "[method]udp-socket.receive",
        |store: &Accessor<T>, (socket,): (Resource<UdpSocket>,)| {
            Box::pin(async move {
                let Some(_held) =
                    store.with(|mut access| access.data_mut().reach().hold(DATAGRAM, "a datagram"))
                else {
                    return Ok((Err(p3::ErrorCode::OutOfMemory),));
                };
                let plain = store.with_getter::<WasiSockets>(<T as WasiSocketsView>::sockets);
                let received: (Result<(Vec<u8>, p3::IpSocketAddress), p3::ErrorCode>,) =
                    match <WasiSockets as Plain<T>>::receive(&plain, socket).await {
                        Ok(received) => (Ok(received),),
                        Err(error) => (Err(error.downcast()?),),
                    };
                Ok(received)
            })
        },
    )?;
    Ok(())
}

/// The end of a stream of a TCP socket, which outlives the socket's handle: the socket is counted until then.
fn with_end<T: 'static>(
    mut store: StoreContextMut<'_, T>,
    end: FutureReader<End>,
    kept: Option<Arc<Socket>>,
) -> wasmtime::Result<FutureReader<End>> {
    let (tell, told) = oneshot::channel();
    // Wasmtime tells the end as it drops the stream, whether or not the guest wants to know.
    end.pipe(store.as_context_mut(), AtEnd { tell: Some(tell), kept })?;
    FutureReader::new(store, told)
}

/// Passes an end on, and lets go of the socket.
struct AtEnd {
    tell: Option<oneshot::Sender<End>>,
    kept: Option<Arc<Socket>>,
}

impl<D> FutureConsumer<D> for AtEnd {
    type Item = End;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        mut source: Source<'_, End>,
        _: bool,
    ) -> Poll<wasmtime::Result<()>> {
        let mut end = None;
        source.read(store, &mut end)?;
        self.kept = None;
        if let (Some(tell), Some(end)) = (self.tell.take(), end) {
            // The guest may not want to know.
            let _ = tell.send(end);
        }
        Poll::Ready(Ok(()))
    }
}
