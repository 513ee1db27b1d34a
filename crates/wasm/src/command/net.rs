//! A program's network: the client, the decision and the limits that an app's guests have.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use nexus_core::{App, Limit, Limits, Manifest, NetDenied, NetPolicy};
use nexus_guest::{Capabilities, HttpError, NetSink, RequestId};

use super::{Policy, RunError};
use crate::account::WorkerMemory;
use crate::author::Author;
use crate::outgoing::{Nobody, Open, Outgoing, Post};
use crate::sockets::{Granted, Purse, Reach};
use crate::state::FILES;

/// What carries out what one run asks of others.
pub(super) struct Net {
    post: Rc<Post>,
    open: Open,
}

/// A store's end of it.
pub(super) struct Ends {
    pub(super) outgoing: Outgoing,
    pub(super) reach: Arc<Reach>,
}

impl Net {
    /// For one run, with what its store gets of it.
    pub(super) fn new(
        capabilities: &dyn Capabilities,
        policy: &Policy,
        memory: &Arc<WorkerMemory>,
    ) -> Result<(Self, Ends), RunError> {
        let mut manifest =
            Manifest::default_for("program").map_err(|error| RunError::Refused(error.to_string()))?;
        manifest.limits = limits(policy);
        manifest.permissions.net = NetPolicy { asked: policy.net.clone(), ..NetPolicy::default() };
        let (limits, granted) = (manifest.limits, Granted::new(&manifest.permissions.net));
        let author = if policy.inherit_stdio { Author::Program } else { Author::Nobody };
        let sink = Rc::new(Sink { author: author.clone(), told: RefCell::default() });
        let http = capabilities.http(&App { folder: "/".into(), manifest, main: None }, sink);
        let purse = Purse { budget: http.sockets(), memory: memory.clone(), most: FILES };
        let post = Rc::new(Post::new(http, Rc::new([]), Arc::new([]), limits, memory.clone()));
        let open = post.open(None, Nobody::pays());
        let outgoing = open.outgoing();
        let reach = Arc::new(Reach::new(Arc::new(granted), author, outgoing.clone(), purse));
        Ok((Self { post, open }, Ends { outgoing, reach }))
    }

    /// Has what is sent go on while the program waits. What is still under way when it ends is broken off.
    pub(super) async fn beside<T>(self, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let result = poll_fn(|cx| {
            let polled = call.as_mut().poll(cx);
            if polled.is_pending() {
                // Last, so that what was just sent is under way at once.
                self.post.poll(cx);
            }
            polled
        });
        let result = result.await;
        drop(self.open);
        result
    }
}

/// The limits that an app has without a manifest. A run is no request: it may send as many as it likes.
pub(super) fn limits(policy: &Policy) -> Limits {
    let mut limits = Limits::default();
    limits.set(Limit::Memory, policy.memory);
    limits.set(Limit::Subrequests, u64::MAX);
    limits
}

/// Tells what the client has to say.
struct Sink {
    author: Author,
    /// What was told last: a program that tries again and again is told of once.
    told: RefCell<String>,
}

impl Sink {
    fn tell(&self, line: String) {
        if *self.told.borrow() != line {
            self.author.tell(&line);
            *self.told.borrow_mut() = line;
        }
    }
}

impl NetSink for Sink {
    fn denied(&self, _request: Option<RequestId>, denied: &NetDenied) {
        self.tell(self.author.denial(denied));
    }

    fn warned(&self, _request: Option<RequestId>, message: &str) {
        self.tell(message.to_owned());
    }

    fn sent(&self, _error: Option<&HttpError>) {}
}
