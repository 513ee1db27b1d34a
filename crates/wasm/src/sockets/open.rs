//! Sockets that are open: counted, each with what it may be used for.
//!
//! Wasmtime's sockets hold on to the check that they were made with as long as they live, in each task that reads or
//! writes for them, too. So a check of its own counts a socket exactly, wherever it is dropped.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem::replace;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use nexus_guest::CountedSocket;
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsCtx};

use super::Reach;
use crate::account::Held;

/// So many of the addresses to which a socket has sent last are heard.
const HEARD: usize = 64;

/// What a socket is counted as of its worker's memory, in bytes: what waits to be written. One of 0.2 for datagrams may
/// have as much at once that was read.
pub(super) const BUFFER: u64 = 64 * 1024;
pub(super) const BUFFERS: u64 = 2 * BUFFER;

/// Why there is no socket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoSocket {
    /// The app may connect nowhere.
    Denied,
    /// Its instance, or the process, has as many as it may have.
    Limit(String),
    /// The worker has no memory for it.
    Memory(String),
}

/// A socket of a guest, as long as anything of it is there.
pub(crate) struct Socket {
    reach: Arc<Reach>,
    /// To whom datagrams were sent, the latest last.
    heard: Mutex<VecDeque<SocketAddr>>,
    _counted: CountedSocket,
    _held: Held,
}

impl Socket {
    /// Counts one more, which is about to be made, with so many bytes.
    pub(super) fn open(reach: &Arc<Reach>, bytes: u64) -> Result<Arc<Self>, NoSocket> {
        if reach.granted.is_empty() {
            return Err(NoSocket::Denied);
        }
        // Relaxed, here and below: a store has one thread at a time.
        if reach.open.load(Ordering::Relaxed) >= reach.most {
            let why = format!("this instance has {} sockets, the most that it may have", reach.most);
            return Err(NoSocket::Limit(why));
        }
        let held = reach.memory.hold(bytes, "another socket").map_err(NoSocket::Memory)?;
        let counted = CountedSocket::open(&reach.budget).ok_or_else(|| {
            NoSocket::Limit("the host has no file descriptor to spare for another socket".into())
        })?;
        reach.open.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Self { reach: reach.clone(), heard: Mutex::default(), _counted: counted, _held: held }))
    }

    /// What Wasmtime makes the socket with, and nothing else.
    pub(super) fn context(self: &Arc<Self>) -> WasiSocketsCtx {
        let own = self.clone();
        let mut wasi = WasiCtx::builder();
        wasi.allow_tcp(true)
            .allow_udp(true)
            .socket_addr_check(move |address, purpose| Box::pin(own.check(address, purpose)));
        wasi.build().sockets().clone()
    }

    /// Whether the socket may be used so; for whom it does not hear, after others went on: Wasmtime reads the next datagram
    /// at once, and strangers may send them without an end.
    pub(super) fn check(
        &self,
        address: SocketAddr,
        purpose: SocketAddrUse,
    ) -> impl Future<Output = bool> + Send + Sync + use<> {
        let may = self.may(address, purpose);
        let mut waits = !may && matches!(purpose, SocketAddrUse::UdpReceive);
        poll_fn(move |cx| {
            if replace(&mut waits, false) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(may)
        })
    }

    fn heard(&self) -> MutexGuard<'_, VecDeque<SocketAddr>> {
        // Each change leaves it whole.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the socket may be used so.
    pub(super) fn may(&self, address: SocketAddr, purpose: SocketAddrUse) -> bool {
        // Scopes and flows are the sender's own.
        let plain = SocketAddr::new(address.ip().to_canonical(), address.port());
        match purpose {
            // Who sends is not the guest's doing: nobody is told. Whom it has not asked it does not hear.
            SocketAddrUse::UdpReceive => self.heard().contains(&plain),
            SocketAddrUse::UdpSend => {
                let may = self.reach.may(address, purpose);
                if may {
                    let mut heard = self.heard();
                    // Most have one, which is the last.
                    if heard.back() != Some(&plain) {
                        heard.retain(|other| *other != plain);
                        if heard.len() >= HEARD {
                            heard.pop_front();
                        }
                        heard.push_back(plain);
                    }
                }
                may
            }
            purpose => self.reach.may(address, purpose),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.reach.open.fetch_sub(1, Ordering::Relaxed);
    }
}
