//! Load on apps, to see that no request is lost and no connection refused.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::{DEADLINE, Nexus, until};

/// Sends requests on one connection after the other until it is told to stop.
struct Load<'a> {
    address: String,
    over: &'a AtomicBool,
    /// Requests that were answered.
    answered: &'a AtomicU32,
    /// Whether each request has a connection of its own.
    one_each: bool,
    /// Whether hosts die meanwhile, and take requests with them.
    may_break: bool,
}

impl Load<'_> {
    fn run(&self) {
        let mut socket: Option<TcpStream> = None;
        while !self.over.load(Ordering::Relaxed) {
            let mut connection = socket.take().unwrap_or_else(|| self.connect());
            match Self::ask(&mut connection, self.one_each) {
                Ok(stays) => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    socket = stays.then_some(connection);
                }
                Err(error) => assert!(self.may_break, "a request was lost: {error}"),
            }
        }
    }

    fn connect(&self) -> TcpStream {
        match TcpStream::connect(&self.address) {
            Ok(socket) => {
                socket.set_nodelay(true).unwrap();
                socket.set_read_timeout(Some(DEADLINE)).unwrap();
                socket
            }
            Err(error) => panic!("a connection was refused: {error}"),
        }
    }

    /// One request and its answer; says whether the connection stays.
    fn ask(socket: &mut TcpStream, close: bool) -> std::io::Result<bool> {
        let field = if close { "Connection: close\r\n" } else { "" };
        write!(socket, "GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n")?;
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        while !text.ends_with(b"\r\n\r\nok") {
            match socket.read(&mut buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => text.extend_from_slice(&buffer[..count]),
            }
        }
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        Ok(!text.contains("connection: close"))
    }
}

/// Puts load on these apps, which answer `ok`, with connections that stay and such that do not, while `act` does
/// something; `act` gets the number of requests answered so far. `may_break` says whether hosts die meanwhile.
pub(crate) fn under_load(nexus: &Nexus, apps: &[&str], may_break: bool, act: impl FnOnce(&dyn Fn() -> u32)) {
    let over = AtomicBool::new(false);
    let counts: [AtomicU32; 4] = Default::default();
    std::thread::scope(|scope| {
        for (index, answered) in counts.iter().enumerate() {
            let address = nexus.address(apps[index % apps.len()]);
            let load = Load { address, over: &over, answered, one_each: index >= 2, may_break };
            scope.spawn(move || {
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| load.run()));
                if let Err(panic) = result {
                    load.over.store(true, Ordering::Relaxed);
                    std::panic::resume_unwind(panic);
                }
            });
        }
        // The least of them: every client gets on.
        let least = || {
            assert!(!over.load(Ordering::Relaxed), "a client has failed");
            counts.iter().map(|count| count.load(Ordering::Relaxed)).min().unwrap()
        };
        let act = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(&least)));
        over.store(true, Ordering::Relaxed);
        if let Err(panic) = act {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Waits until every client of a load has had some more answers.
#[track_caller]
pub(crate) fn await_answers(answered: &dyn Fn() -> u32) {
    let before = answered();
    until("answers", || (answered() >= before + 20).then_some(()));
}
