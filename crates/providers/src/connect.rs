//! Connections to one of several addresses: happy eyeballs (RFC 8305).

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use nexus_guest::{CountedSocket, SocketBudget};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// How long an address has for itself before the next one is tried as well.
const HEAD_START: Duration = Duration::from_millis(250);

/// How long it takes until the host is asked again for a descriptor.
const POLL: Duration = Duration::from_millis(50);

/// How long a peer is silent before it is asked whether it is still there: one that vanished is noticed although nothing
/// is sent. `TCP_USER_TIMEOUT` would also end an upload whose peer keeps its window shut, which is `idle`'s to judge.
const SILENCE: Duration = Duration::from_secs(30);

/// How long it takes until such a question is asked again.
const AGAIN: Duration = Duration::from_secs(10);

/// Opens sockets for one connection, as far as the host has descriptors for them.
pub(crate) struct Sockets {
    budget: Arc<dyn SocketBudget>,
    starved: Cell<bool>,
}

impl Sockets {
    pub(crate) fn new(budget: Arc<dyn SocketBudget>) -> Self {
        Self { budget, starved: Cell::new(false) }
    }

    /// Whether the host had no descriptor when it was asked last.
    pub(crate) fn are_denied(&self) -> bool {
        self.starved.get()
    }

    /// Counts a socket that is about to be opened, when there is a descriptor for it.
    async fn count(&self) -> CountedSocket {
        let counted = loop {
            if let Some(counted) = CountedSocket::open(&self.budget) {
                break counted;
            }
            self.starved.set(true);
            sleep(POLL).await;
        };
        self.starved.set(false);
        counted
    }

    /// Counts up to so many that are about to be opened: one when there is a descriptor for it, the others where there are
    /// some now. Who waited for each while others do could wait for ever.
    pub(crate) async fn count_some(&self, most: usize) -> Vec<CountedSocket> {
        let mut counted = vec![self.count().await];
        counted.extend((1..most).map_while(|_| CountedSocket::open(&self.budget)));
        counted
    }

    /// Connects to one address, when there is a descriptor for it.
    async fn connect(&self, address: SocketAddr) -> io::Result<(TcpStream, CountedSocket)> {
        let counted = self.count().await;
        Ok((TcpStream::connect(address).await?, counted))
    }
}

/// Connects to the first of these addresses that answers.
pub(crate) async fn connect(
    addresses: &[SocketAddr],
    sockets: &Sockets,
) -> Result<(TcpStream, CountedSocket), String> {
    let mut waiting = interleaved(addresses);
    let mut attempts = FuturesUnordered::new();
    let mut failures: Vec<(SocketAddr, io::Error)> = Vec::new();
    loop {
        if let Some(address) = waiting.pop_front() {
            attempts.push(async move { (address, sockets.connect(address).await) });
        }
        let ended = if waiting.is_empty() {
            attempts.next().await
        } else {
            match select(attempts.next(), Box::pin(sleep(HEAD_START))).await {
                Either::Left((ended, _)) => ended,
                Either::Right(_) => continue,
            }
        };
        match ended {
            Some((_, Ok((tcp, counted)))) => {
                set_up(&tcp);
                return Ok((tcp, counted));
            }
            Some((address, Err(error))) => failures.push((address, error)),
            None if waiting.is_empty() => return Err(tell(&failures)),
            None => {}
        }
    }
}

/// The socket's options. That one cannot be set is no harm.
fn set_up(tcp: &TcpStream) {
    // It would cost the request's last packet a round trip.
    let _ = tcp.set_nodelay(true);
    let socket = SockRef::from(tcp);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENCE).with_interval(AGAIN));
}

/// The addresses in turns: IPv6, IPv4, IPv6, …
fn interleaved(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let mut six = addresses.iter().filter(|address| address.is_ipv6());
    let mut four = addresses.iter().filter(|address| address.is_ipv4());
    let mut order = VecDeque::with_capacity(addresses.len());
    loop {
        match (six.next(), four.next()) {
            (None, None) => return order,
            (a, b) => order.extend(a.into_iter().chain(b)),
        }
    }
}

/// All failures in one line; those of many addresses in short.
fn tell(failures: &[(SocketAddr, io::Error)]) -> String {
    const SHOWN: usize = 4;
    let mut text = String::new();
    for (address, error) in failures.iter().take(SHOWN) {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}{address}: {}", explain(error));
    }
    if failures.len() > SHOWN {
        let _ = write!(text, ", and {} more", failures.len() - SHOWN);
    }
    text
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
        io::ErrorKind::TimedOut => "no answer".to_owned(),
        io::ErrorKind::NetworkUnreachable => "the network is unreachable".to_owned(),
        io::ErrorKind::HostUnreachable => "the host is unreachable".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns_and_the_newer_one_begins() {
        let given = ["1.1.1.1:1", "2.2.2.2:1", "3.3.3.3:1", "[::1]:1"].map(|text| text.parse().unwrap());
        let order: Vec<String> = interleaved(&given).iter().map(ToString::to_string).collect();
        assert_eq!(order, ["[::1]:1", "1.1.1.1:1", "2.2.2.2:1", "3.3.3.3:1"]);
    }

    #[test]
    fn failures_are_told_in_one_line() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let failures: Vec<_> =
            (1..=6).map(|port| (SocketAddr::from(([127, 0, 0, 1], port)), refused())).collect();
        assert_eq!(tell(&failures[..1]), "127.0.0.1:1: connection refused");
        assert!(tell(&failures).ends_with("127.0.0.1:4: connection refused, and 2 more"));
    }
}
