//! The tests' server: serves a checkout's files, and does what its Python handlers do, as far as files need it.
//!
//! It is begun by the first request, speaks HTTP/1.1 on a port of 127.0.0.1 alone, and only to whoever names that port
//! as its host. To test guests it is `web-platform.test` with the ports that the suite has, TLS left out: their requests
//! are led here, and nowhere else; see `network.rs`.

mod handlers;
mod message;
mod site;

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use nexus_providers::Outbound;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub(super) use self::handlers::NEEDS;
use self::handlers::Stash;
use self::message::{Incoming, Reply};

/// The most connections at once.
const CONNECTIONS: usize = 512;
/// How long a connection may be without a request, and a request or a response without a byte.
const IDLE: Duration = Duration::from_secs(60);

/// One checkout's server.
pub(super) struct Server {
    root: Arc<PathBuf>,
    /// Where it runs.
    runtime: Handle,
    /// What makes the clients of guests that ask it.
    pub(super) outbound: Arc<Outbound>,
    port: OnceLock<Result<u16, String>>,
}

impl Server {
    /// The server of a checkout, which runs on the current runtime once somebody asks for its port.
    pub(super) fn new(root: Arc<PathBuf>, outbound: Arc<Outbound>) -> Self {
        Self { root, runtime: Handle::current(), outbound, port: OnceLock::new() }
    }

    /// The port at which it listens, from the first call on.
    ///
    /// # Errors
    /// Why it could not be begun.
    pub(super) fn port(&self) -> Result<u16, String> {
        self.port.get_or_init(|| self.begin().map_err(|error| error.to_string())).clone()
    }

    fn begin(&self) -> io::Result<u16> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State {
            root: self.root.clone(),
            authority: format!("127.0.0.1:{port}"),
            stash: Mutex::default(),
        });
        self.runtime.spawn(async move {
            if let Ok(listener) = TcpListener::from_std(listener) {
                accept(listener, state).await;
            }
        });
        Ok(port)
    }
}

/// What all of a server's connections share.
struct State {
    root: Arc<PathBuf>,
    /// The `host` that requests must name: whoever was led here by a name of their own is turned away.
    authority: String,
    stash: Mutex<Stash>,
}

/// Accepts connections for ever, as far as there are places for them.
async fn accept(listener: TcpListener, state: Arc<State>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let state = state.clone();
                tokio::spawn(async move {
                    // Whatever breaks a connection is the client's to notice.
                    let _ = serve(stream, &state).await;
                    drop(place);
                });
            }
            // Descriptors may be short for a while.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Answers the requests of one connection, one after the other.
async fn serve(stream: TcpStream, state: &State) -> io::Result<()> {
    let _ = stream.set_nodelay(true);
    let mut incoming = Incoming::new(stream);
    loop {
        let request = match timeout(IDLE, incoming.request()).await.map_err(io::Error::from)? {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(()),
            Err(refused) => {
                let reply = refused.told()?;
                return timeout(IDLE, incoming.answer(reply, false, false)).await.map_err(io::Error::from)?;
            }
        };
        let is_ours = request.field("host") == Some(state.authority.as_bytes());
        let reply = if is_ours {
            handlers::handle(&request, state, &mut incoming.stream).await?
        } else {
            Some(Reply::plain(421, "this server is for the tests of nexus alone"))
        };
        // Without a reply it was answered piece by piece, until the connection's end.
        let Some(reply) = reply else { return Ok(()) };
        let keep = reply.keeps() && request.keeps();
        let is_head = request.method == "HEAD";
        timeout(IDLE, incoming.answer(reply, keep, is_head)).await.map_err(io::Error::from)??;
        if !keep {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nexus_core::OutboundSection;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn ask(port: u16, request: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // It may be closed with something unread.
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn it_speaks_to_this_machine_alone_and_under_its_own_name() {
        let root = std::env::temp_dir().canonicalize().unwrap();
        let outbound = Outbound::new(&OutboundSection::default()).unwrap();
        let server = Server::new(Arc::new(root), outbound);
        let port = server.port().unwrap();
        assert_eq!(server.port(), Ok(port));
        for address in ["127.0.0.2", "::1"] {
            assert!(TcpStream::connect((address, port)).await.is_err(), "{address}");
        }
        let path = "/fetch/api/resources/echo-content.py";
        let get = |host: &str| format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        for (host, status) in
            [(format!("127.0.0.1:{port}"), 200), (format!("localhost:{port}"), 421), ("x".into(), 421)]
        {
            let answer = ask(port, &get(&host)).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {answer}");
        }
        let large = "x".repeat(200 << 10);
        for (rest, status) in [
            ("content-length: 99999999999\r\n\r\n", 413),
            ("content-length: x\r\n\r\n", 400),
            ("transfer-encoding: chunked\r\n\r\nfffffff\r\n", 413),
            ("transfer-encoding: chunked\r\n\r\nx\r\n", 400),
            (&large, 431),
            ("\0\r\n\r\n", 400),
        ] {
            let answer =
                ask(port, &format!("POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{rest}")).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
        }
    }
}
