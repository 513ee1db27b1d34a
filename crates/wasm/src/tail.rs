//! Tails: what a guest does after its responses, which is bounded in time as well.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use nexus_guest::TAIL;
use tokio::time::{Instant, Sleep, sleep_until};

/// Watches over the time of one.
#[derive(Default)]
pub(crate) struct Tail {
    look: Option<Pin<Box<Sleep>>>,
}

impl Tail {
    /// Ready when the time is over of a tail that began at `since`. One that begins unseen is found in time, too: as long
    /// as there is none, it looks again after so long.
    pub(crate) fn poll(&mut self, since: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let due = since.unwrap_or_else(Instant::now) + TAIL;
            let look = self.look.get_or_insert_with(|| Box::pin(sleep_until(due)));
            ready!(look.as_mut().poll(cx));
            if since.is_some_and(|since| since.elapsed() >= TAIL) {
                return Poll::Ready(());
            }
            look.as_mut().reset(due);
        }
    }

    /// What the log says of one whose time is over.
    pub(crate) fn over() -> String {
        format!("what the guest did after its response did not end within {} s", TAIL.as_secs())
    }
}
