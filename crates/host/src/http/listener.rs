//! The listening loop: accepts connections, gives each a task of its own, and, when told to stop,
//! waits until all are done.

use std::cell::RefCell;
use std::io;
use std::net;
use std::os::unix::net as unix;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::net::{TcpListener, UnixStream};
use tokio::task::JoinSet;

use super::conn_io::{Socket, Stream};
use super::h1::{self, Scratch};
use super::moving::{Inbox, Moving, Past};
use super::open::{Counted, Listening, OpenConnections, State};
use super::{ServerConfig, Service, Shutdown, h2};
use crate::listen::Bound;
use crate::registered::{Registered, register};

/// The size of the buffer that all connections of a loop read into, in bytes.
const SCRATCH: usize = 64 * 1024;

/// After a failure to accept, the next attempt waits this long, and up to [`MAX_BACK_OFF`] if that fails, too.
const MIN_BACK_OFF: Duration = Duration::from_millis(10);
const MAX_BACK_OFF: Duration = Duration::from_secs(1);

/// A loop that has its share of the process's descriptors looks again after this time.
const SHARE_WAIT: Duration = Duration::from_millis(50);

/// What the connections of a listener share.
pub(crate) struct Server {
    /// Where requests go.
    pub service: Rc<dyn Service>,
    /// Limits and deadlines.
    pub config: ServerConfig,
    /// Tells the loop and its connections to stop.
    pub shutdown: Shutdown,
    /// The number of open connections, for who counts them, also from other threads.
    pub open: Arc<AtomicUsize>,
    /// Where they are noted, for whoever must end them if this thread is lost.
    pub connections: Arc<OpenConnections>,
    /// Where connections come from that other threads have accepted.
    pub inbox: Inbox,
}

/// A listening socket, which belongs to the host and outlives any loop that accepts from it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Listener<'a> {
    Tcp(&'a net::TcpListener),
    Unix(&'a unix::UnixListener),
}

impl<'a> Listener<'a> {
    /// This socket.
    pub(crate) fn of(socket: &'a Bound) -> Self {
        match socket {
            Bound::Tcp(listener) => Self::Tcp(listener),
            Bound::Unix(listener, _) => Self::Unix(listener),
        }
    }
}

enum Accept {
    Tcp(TcpListener),
    /// tokio's own takes a socket that was shut down for one that is readable, and asks it again and again, for ever: the
    /// system says `EAGAIN` where it says `EINVAL` for TCP.
    Unix(AsyncFd<Registered<unix::UnixListener>>),
}

impl Accept {
    /// A descriptor of our own for the same socket.
    fn new(listener: Listener<'_>) -> io::Result<Self> {
        match listener {
            Listener::Tcp(listener) => {
                let listener = listener.try_clone()?;
                listener.set_nonblocking(true)?;
                Ok(Self::Tcp(TcpListener::from_std(listener)?))
            }
            Listener::Unix(listener) => {
                let listener = listener.try_clone()?;
                listener.set_nonblocking(true)?;
                Ok(Self::Unix(register(listener).map_err(|(_, error)| error)?))
            }
        }
    }

    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => Ok(Stream::Tcp(listener.accept().await?.0)),
            Self::Unix(listener) => loop {
                let mut ready = listener.readable().await?;
                let is_closed = ready.ready().is_read_closed();
                match ready.try_io(|listener| listener.get_ref().get().accept()) {
                    Ok(accepted) => {
                        let (stream, _) = accepted?;
                        stream.set_nonblocking(true)?;
                        return Ok(Stream::Unix(UnixStream::from_std(stream)?));
                    }
                    Err(_) if is_closed => {
                        return Err(io::ErrorKind::InvalidInput.into());
                    }
                    Err(_) => {}
                }
            },
        }
    }
}

/// Accepts from `listener` and serves its connections, on the current thread and within a `LocalSet`. Returns
/// when [`Server::shutdown`] was given and all connections are done; dropped before, it closes them at once.
///
/// # Errors
/// If the listener cannot be set up. Failures to accept are waited out.
pub(crate) async fn serve(listener: Listener<'_>, server: Server) -> io::Result<()> {
    let listener = Accept::new(listener)?;
    let server = Rc::new(server);
    let scratch: Scratch = Rc::new(RefCell::new(vec![0; SCRATCH].into_boxed_slice()));
    let mut connections = JoinSet::new();
    let mut back_off = MIN_BACK_OFF;
    let descriptors = server.config.descriptors;
    let listening = Listening::new(&server.connections, descriptors.share());
    let arrive = |moving: Moving, connections: &mut JoinSet<()>| {
        let Moving { stream, past, .. } = moving;
        if let Ok(stream) = stream.attach() {
            let socket = Socket::new(stream, &server.connections, Counted::new(&server.open, descriptors));
            connections.spawn_local(connection(socket, past, server.clone(), scratch.clone()));
        }
    };
    loop {
        let is_below_limit = connections.len() < server.config.max_connections;
        let has_room = is_below_limit && descriptors.may_open(server.open.load(Ordering::Relaxed));
        tokio::select! {
            biased;
            () = server.shutdown.begun() => break,
            // A connection that panicked has said so by itself; the others go on.
            Some(_) = connections.join_next() => while connections.try_join_next().is_some() {},
            // One that another thread has accepted has a place already.
            Some(moving) = server.inbox.take() => arrive(moving, &mut connections),
            // Other threads' connections make room, too, and tell nobody.
            () = tokio::time::sleep(SHARE_WAIT), if is_below_limit && !has_room => {}
            accepted = listener.accept(), if has_room => match accepted {
                Ok(stream) => {
                    back_off = MIN_BACK_OFF;
                    let socket = Socket::new(stream, &server.connections, Counted::new(&server.open, descriptors));
                    connections.spawn_local(connection(socket, Past::none(), server.clone(), scratch.clone()));
                }
                Err(error) if is_the_connections(&error) => {}
                // The host has shut the socket down, and is about to tell us to stop.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    server.shutdown.begun().await;
                    break;
                }
                Err(error) => {
                    server.service.accept_failed(&error);
                    tokio::select! {
                        () = server.shutdown.begun() => break,
                        () = tokio::time::sleep(back_off) => {}
                    }
                    back_off = (back_off * 2).min(MAX_BACK_OFF);
                }
            },
        }
    }
    drop(listener);
    drop(listening);
    // What other threads send here is still served.
    loop {
        tokio::select! {
            biased;
            Some(moving) = server.inbox.take() => arrive(moving, &mut connections),
            done = connections.join_next() => if done.is_none() { break },
        }
    }
    Ok(())
}

/// Whether accepting failed because of that one connection, and not for want of something.
fn is_the_connections(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::ConnectionAborted | Kind::ConnectionReset | Kind::Interrupted)
}

async fn connection(socket: Socket, past: Past, server: Rc<Server>, scratch: Scratch) {
    // Both fail only if the peer has already gone.
    let (Ok(()), Ok(peer)) = (socket.tune(), socket.peer()) else { return };
    match h1::run(socket, past, peer, server.clone(), scratch).await {
        h1::End::Closed => {}
        h1::End::Moves(inbox, moving) => inbox.put(moving),
        h1::End::Http2(socket, read) => {
            socket.is_at(State::Http2);
            // Boxed: few connections are HTTP/2, and all would pay for its size.
            Box::pin(h2::run(socket, read, peer, server)).await;
        }
    }
}
