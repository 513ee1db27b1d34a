//! The pair of sockets between a supervisor and one host.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use super::orders::{
    HAND_OVER, INTERRUPT, NO_APP_IS_RIGHT, NO_APP_RUNS, Order, Orders, SERVING, SPENT, STOP,
};
use super::sys;

/// What a host tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// It serves.
    Serving,
    /// It has started, and serves none of its apps; it would end with this code if it were the only host.
    Nothing(u8),
    /// It wants to be replaced.
    Spent,
}

/// The supervisor's end.
pub(super) struct Reins {
    stream: UnixStream,
    /// Whether the host may still say something.
    is_open: Cell<bool>,
}

impl Reins {
    /// Both ends.
    pub(super) fn pair() -> std::io::Result<(Self, HostLink)> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        Ok((Self { stream: ours, is_open: Cell::new(true) }, HostLink(theirs)))
    }

    /// Gives an order. A host that is gone needs none.
    pub(super) fn order(&self, order: Order) {
        let byte = match order {
            Order::Stop => STOP,
            Order::Interrupt => INTERRUPT,
            Order::HandOver => HAND_OVER,
        };
        let _ = (&self.stream).write(&[byte]);
    }

    /// What the host said meanwhile.
    pub(super) fn words(&self) -> Vec<Word> {
        let mut bytes = [0; 64];
        let count = match (&self.stream).read(&mut bytes) {
            Ok(count) => {
                self.is_open.set(count > 0);
                count
            }
            Err(error) => {
                self.is_open.set(error.kind() == ErrorKind::WouldBlock);
                0
            }
        };
        let word = |byte: &u8| match *byte {
            SERVING => Some(Word::Serving),
            NO_APP_RUNS => Some(Word::Nothing(1)),
            NO_APP_IS_RIGHT => Some(Word::Nothing(2)),
            SPENT => Some(Word::Spent),
            _ => None,
        };
        bytes[..count].iter().filter_map(word).collect()
    }

    /// What to poll for words; `None` once there are none to come.
    pub(super) fn waits_for(&self) -> Option<BorrowedFd<'_>> {
        self.is_open.get().then(|| self.stream.as_fd())
    }
}

/// A host's end of the connection to its supervisor.
#[derive(Debug)]
pub struct HostLink(UnixStream);

impl HostLink {
    /// Takes up the orders that have come and will come, within a tokio runtime. SIGTERM, which was held back so far,
    /// comes through from now on: listen for it first.
    ///
    /// # Errors
    /// The system's.
    pub fn listen(self) -> std::io::Result<Orders> {
        let stream = tokio::net::UnixStream::from_std(self.0)?;
        sys::unblock_termination()?;
        Ok(Orders { stream: Some(stream) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn words_and_orders_come_over_one_by_one_and_an_end_is_an_order_to_stop() {
        let (reins, link) = Reins::pair().unwrap();
        reins.order(Order::HandOver);
        reins.order(Order::Interrupt);
        let mut orders = link.listen().unwrap();
        assert_eq!(orders.next().await, Order::HandOver);
        assert_eq!(orders.next().await, Order::Interrupt);
        assert_eq!(reins.words(), []);
        orders.serving();
        orders.spent();
        orders.serving_nothing(true);
        orders.serving_nothing(false);
        assert_eq!(reins.words(), [Word::Serving, Word::Spent, Word::Nothing(1), Word::Nothing(2)]);
        assert!(reins.waits_for().is_some());
        drop(reins);
        assert_eq!(orders.next().await, Order::Stop);
        assert!(!orders.has_supervisor());
    }

    #[test]
    fn a_host_that_is_gone_is_not_waited_for() {
        let (reins, link) = Reins::pair().unwrap();
        assert_eq!(reins.words(), []);
        assert!(reins.waits_for().is_some());
        drop(link);
        assert_eq!(reins.words(), []);
        assert!(reins.waits_for().is_none());
    }
}
