//! What a host hears from its supervisor, and says to it: single bytes over a pair of sockets.

use std::io::ErrorKind;

use tokio::net::UnixStream;

pub(super) const SERVING: u8 = b'S';
pub(super) const SPENT: u8 = b'R';
pub(super) const NO_APP_RUNS: u8 = b'G';
pub(super) const NO_APP_IS_RIGHT: u8 = b'U';
pub(super) const STOP: u8 = b'T';
pub(super) const INTERRUPT: u8 = b'I';
pub(super) const HAND_OVER: u8 = b'H';

/// What the supervisor wants of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Stop: finish what is in flight, refuse what is new.
    Stop,
    /// End at once, whatever is in flight.
    Interrupt,
    /// Another host serves by now: accept no more, finish what is in flight.
    HandOver,
}

/// The supervisor's orders, and the way to talk to it.
#[derive(Debug)]
pub struct Orders {
    /// `None` once the supervisor is gone.
    pub(super) stream: Option<UnixStream>,
}

impl Orders {
    /// For a host without a supervisor: there are no orders, and nobody hears.
    pub fn none() -> Self {
        Self { stream: None }
    }

    /// Whether there is a supervisor.
    pub fn has_supervisor(&self) -> bool {
        self.stream.is_some()
    }

    /// Tells that the apps are served.
    pub fn serving(&self) {
        self.tell(SERVING);
    }

    /// Tells that this host, one of several, serves none of its apps, `by_code` if the code of one of them is why. A
    /// host that is alone ends then; this one stays, so that its end is not the others'.
    pub fn serving_nothing(&self, by_code: bool) {
        self.tell(if by_code { NO_APP_RUNS } else { NO_APP_IS_RIGHT });
    }

    /// Asks to be replaced: the supervisor starts a fresh host, and has this one hand over to it.
    pub fn spent(&self) {
        self.tell(SPENT);
    }

    fn tell(&self, word: u8) {
        if let Some(stream) = &self.stream {
            // A supervisor that is gone needs no telling, and the socket's buffer takes more words than a host says. The
            // event loop is not asked whether it does: it may not have looked yet, and the word would be lost.
            let _ = socket2::SockRef::from(stream).send(&[word]);
        }
    }

    /// Waits for the next order; for ever without a supervisor. No order is lost if it is dropped before.
    pub async fn next(&mut self) -> Order {
        while let Some(stream) = &self.stream {
            let mut byte = [0];
            let read = match stream.readable().await {
                Ok(()) => stream.try_read(&mut byte),
                Err(error) => Err(error),
            };
            match (read, byte[0]) {
                (Ok(1), STOP) => return Order::Stop,
                (Ok(1), INTERRUPT) => return Order::Interrupt,
                (Ok(1), HAND_OVER) => return Order::HandOver,
                (Ok(1), _) => {}
                (Err(error), _) if error.kind() == ErrorKind::WouldBlock => {}
                // The supervisor is gone. The kernel ends this process with it; if it did not, this would.
                _ => {
                    self.stream = None;
                    return Order::Stop;
                }
            }
        }
        std::future::pending().await
    }
}
