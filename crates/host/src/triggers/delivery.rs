//! How events reach workers: as requests from inside of the process.

use std::sync::Arc;
use std::task::Waker;

use nexus_core::AppName;
use nexus_guest::{ClientAddress, Event, FailureKind, HeaderList, Scheduled, method};
use tokio::runtime::Handle;

use super::{Deliver, Outcome};
use crate::front::{SentBody, SentRequest};
use crate::inside::Inside;

/// Hands events to workers of the process.
pub(crate) struct FromInside {
    pub(crate) inside: Arc<Inside>,
    /// Where answers are waited for.
    pub(crate) pool: Handle,
}

impl Deliver for FromInside {
    fn deliver(&self, app: &AppName, event: Arc<Scheduled>, done: Box<dyn FnOnce(Outcome) + Send>) {
        let Ok(callee) = self.inside.find(app) else { return done(Err(FailureKind::Unavailable.into())) };
        let request = SentRequest {
            id: self.inside.next_id(),
            method: method("GET"),
            url: format!("http://{app}/"),
            headers: HeaderList::new(),
            body: SentBody::Empty,
            client: ClientAddress::Inside,
            event: Event::Scheduled(event),
        };
        let mut asked = callee.ask(request, None, Waker::wake);
        self.pool.spawn(async move {
            // A guest answers with nothing in it once its work is done.
            done(asked.answer().await.map(drop));
        });
    }
}
