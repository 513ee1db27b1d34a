//! A connection's socket, TCP or Unix, with the few operations that the server needs.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use nexus_guest::ClientAddress;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::moving::Detached;
use super::open::{Counted, OpenConnections, Place, State};

/// A silent TCP peer is probed after this time, so that one that vanished does not stay forever.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// A connected socket.
pub(super) struct Socket {
    // Before the stream, for it is dropped first: what is in the table is open.
    place: Place,
    stream: Stream,
}

/// What a listener gives.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Stream::Tcp(stream) => stream.as_raw_fd(),
            Stream::Unix(stream) => stream.as_raw_fd(),
        }
    }
}

impl Socket {
    /// Notes the stream among the open connections.
    pub(super) fn new(stream: Stream, open: &Arc<OpenConnections>, counted: Counted) -> Self {
        Self { place: Place::new(open, stream.as_raw_fd(), counted), stream }
    }

    /// How far the connection is from now on, for whoever must end it from outside of its task.
    #[inline]
    pub(super) fn is_at(&self, state: State) {
        self.place.set(state);
    }

    /// Takes the stream out, registered with no event loop, for another thread.
    pub(super) fn detach(self) -> io::Result<Detached> {
        let Self { place, stream } = self;
        drop(place);
        Ok(match stream {
            Stream::Tcp(stream) => Detached::Tcp(stream.into_std()?),
            Stream::Unix(stream) => Detached::Unix(stream.into_std()?),
        })
    }

    /// Sets what every TCP connection gets: no delay, for responses are written whole, and probes.
    pub(super) fn tune(&self) -> io::Result<()> {
        if let Stream::Tcp(stream) = &self.stream {
            stream.set_nodelay(true)?;
            let probes = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_INTERVAL);
            SockRef::from(stream).set_tcp_keepalive(&probes)?;
        }
        Ok(())
    }

    /// The peer's address. An IPv4 peer of an IPv6 socket counts as IPv4.
    pub(super) fn peer(&self) -> io::Result<ClientAddress> {
        match &self.stream {
            Stream::Tcp(stream) => {
                let address = stream.peer_addr()?;
                Ok(ClientAddress::Ip(address.ip().to_canonical(), Some(address.port())))
            }
            Stream::Unix(_) => Ok(ClientAddress::Unix),
        }
    }

    /// Reads into `buffer`; 0 is the end. A read that does not fill the buffer tells the runtime that the
    /// socket is empty, and so saves the next call from finding that out by a system call: pass a large one.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        ready!(Pin::new(self).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Writes from `slices` in order; says how many bytes were taken.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match slices {
            [one] => Pin::new(self).poll_write(cx, one),
            more => Pin::new(self).poll_write_vectored(cx, more),
        }
    }

    /// Ends the writing direction: the peer reads what was written, then the end.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll_shutdown(cx)
    }

    /// Makes the close that follows a reset, which no peer takes for the proper end of a body.
    pub(super) fn reset_on_close(&self) {
        if let Stream::Tcp(stream) = &self.stream {
            // A socket that refuses this is closed all the same, only less loudly.
            let _ = stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A socket of which some bytes were already read: they come first.
pub(super) struct Rewound {
    socket: Socket,
    prefix: Vec<u8>,
    /// How much of `prefix` was given out.
    given: usize,
}

impl Rewound {
    pub(super) fn new(socket: Socket, prefix: Vec<u8>) -> Self {
        Self { socket, prefix, given: 0 }
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let left = &this.prefix[this.given..];
        if left.is_empty() {
            return Pin::new(&mut this.socket).poll_read(cx, buffer);
        }
        let taken = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..taken]);
        this.given += taken;
        if this.given == this.prefix.len() {
            this.prefix = Vec::new();
            this.given = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(&mut self.get_mut().socket), cx)
    }
}
