//! Requests that guests send: `wasi:http/outgoing-handler`, and `wasi:http/client` of 0.3. Name look-ups, and calls to
//! providers, go the same way.
//!
//! ```text
//! a turn ─ Outgoing (in the store) ─ Order ─► Post ─► HttpClient::send, look_up; Kv::call, Sql::call
//!                                              │ a task for each, beside the turns
//!   guest ◄──────── head, body in chunks ◄─────┘
//! ```
//!
//! What a store holds has to be `Send`, and the client is not: so a store has a channel's end, and the tasks that talk to
//! the client are the guest's. They are polled by the worker's event loop, but in no turn: what they take is not the
//! guest's CPU time. Each belongs to the [`Scope`] of a request, or of a room, and ends with it. What the host holds for
//! them is on the account of the worker's memory.

mod body;
mod calls;
mod message;

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::future::{Either, select};
use nexus_core::{Limit, Limits};
use nexus_guest::{Bound, Capability, HttpClient, HttpError as Failed, RequestId};
use tokio::sync::{mpsc, oneshot};
use wasmtime_wasi_http::{Error as HttpError, RequestOptions, WasiBody};

use self::calls::Call;
pub(crate) use self::calls::{Nobody, Payer};
use crate::account::{Held, WorkerMemory};
use crate::hooks::{Sends, Sent};
use crate::tasks::Tasks;

/// What follows the name of a binding in the host by which a guest calls another app.
const INTERNAL: &str = ".nexus.internal";

/// What is sent in the name of one request, or of those that share an instance: how much, and for how long.
pub(crate) struct Scope {
    /// In whose name it is.
    sender: Mutex<Option<RequestId>>,
    /// How deep the requests were, at most, in whose name it was.
    depth: AtomicU8,
    /// How many requests may still be sent.
    left: AtomicU64,
    /// The app's limit of them.
    limit: u64,
    /// Who pays for the CPU time that calls to providers take.
    payer: Arc<dyn Payer>,
    has_sent: AtomicBool,
    is_over: AtomicBool,
}

// Orderings: all is done on the worker's thread, and atomic because a store's data has to be `Send`.
impl Scope {
    fn new(sender: Option<RequestId>, payer: Arc<dyn Payer>, limits: &Limits) -> Self {
        let limit = limits.get(Limit::Subrequests);
        let (has_sent, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
        let depth = AtomicU8::new(sender.map_or(0, |sender| sender.depth()));
        Self {
            sender: Mutex::new(sender),
            depth,
            left: AtomicU64::new(limit),
            limit,
            payer,
            has_sent,
            is_over,
        }
    }

    /// Counts one more. The error is what is said if that is one too many.
    pub(crate) fn take(&self) -> Result<(), String> {
        match self.left.load(Ordering::Relaxed).checked_sub(1) {
            Some(left) => {
                self.left.store(left, Ordering::Relaxed);
                Ok(())
            }
            None => Err(Failed::Limit(Limit::Subrequests, self.limit).to_string()),
        }
    }

    /// Another request has the instance, beside so many in all: as many may be sent again, and no more than all of them may
    /// together.
    pub(crate) fn renew(&self, request: RequestId, present: usize) {
        let left = self.left.load(Ordering::Relaxed).saturating_add(self.limit);
        let most = self.limit.saturating_mul(present as u64);
        self.left.store(left.min(most), Ordering::Relaxed);
        self.depth.fetch_max(request.depth(), Ordering::Relaxed);
    }

    /// In whose name it is from here on, if one can tell.
    pub(crate) fn set_sender(&self, sender: Option<RequestId>) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = sender;
    }

    fn payer(&self) -> &Arc<dyn Payer> {
        &self.payer
    }

    /// In whose name it is, and how deep that is at least.
    fn origin(&self) -> (Option<RequestId>, u8) {
        (self.sender(), self.depth.load(Ordering::Relaxed))
    }

    fn sender(&self) -> Option<RequestId> {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an app is told beside its requests, by name.
pub(crate) type Settings = Arc<[(String, String)]>;

/// A store's end: hands over what its guest sends.
#[derive(Clone)]
pub(crate) struct Outgoing {
    scope: Arc<Scope>,
    orders: mpsc::UnboundedSender<Order>,
    memory: Arc<WorkerMemory>,
    /// The names of the app's bindings, in order.
    bindings: Arc<[(Box<str>, Capability)]>,
    /// The app's variables and secrets.
    settings: Settings,
}

/// What is to be done in a scope. There are no more of them than the limit of subrequests lets, or memory: each is on its
/// account.
struct Order {
    what: What,
    scope: Arc<Scope>,
}

enum What {
    /// Boxed, since it is ten times as large.
    Send(Box<Message>),
    LookUp {
        name: String,
        answer: oneshot::Sender<Result<Vec<IpAddr>, Failed>>,
        held: Held,
    },
    Call(Call),
}

/// A request that is to be sent.
struct Message {
    request: http::Request<WasiBody>,
    options: Option<RequestOptions>,
    answer: oneshot::Sender<Sent>,
    held: Held,
}

impl What {
    /// Whether nobody wants it any more.
    fn is_given_up(&self) -> bool {
        match self {
            What::Send(message) => message.answer.is_closed(),
            What::LookUp { answer, .. } => answer.is_closed(),
            What::Call(call) => call.is_given_up(),
        }
    }
}

impl Outgoing {
    /// The app's variables and secrets.
    pub(crate) fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// The place of the binding of this name that leads to such a thing.
    pub(crate) fn binding(&self, kind: Capability, name: &str) -> Option<usize> {
        self.bindings.iter().position(|(own, of)| *of == kind && **own == *name)
    }

    /// Counts one more; see [`Scope::take`].
    pub(crate) fn take(&self) -> Result<(), String> {
        self.scope.take()
    }

    /// Looks a name up, for which this is held. Whoever drops the receiver gives the look-up up.
    pub(crate) fn look_up(&self, name: &str, held: Held) -> oneshot::Receiver<Result<Vec<IpAddr>, Failed>> {
        let (answer, answered) = oneshot::channel();
        self.order(What::LookUp { name: name.to_owned(), answer, held });
        answered
    }

    fn order(&self, what: What) {
        self.scope.has_sent.store(true, Ordering::Relaxed);
        // If nobody takes it, that drops who would answer.
        let _ = self.orders.send(Order { what, scope: self.scope.clone() });
    }
}

impl Sends for Outgoing {
    fn send(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        if let Err(why) = self.scope.take() {
            // Not `HTTP-request-denied`, which would send the author to the manifest's `net`: this one has a text.
            return Box::new(async { Err(HttpError::InternalError(Some(why))) });
        }
        let held = match self.memory.hold(message::size(&request), "another request") {
            Ok(held) => held,
            Err(why) => return Box::new(async { Err(HttpError::InternalError(Some(why))) }),
        };
        let (answer, answered) = oneshot::channel();
        self.order(What::Send(Box::new(Message { request, options, answer, held })));
        Box::new(async { answered.await.unwrap_or(Err(HttpError::ConnectionTerminated)) })
    }
}

/// What sends the requests of one guest's instances.
pub(crate) struct Post {
    http: Rc<dyn HttpClient>,
    bindings: Rc<[(Box<str>, Bound)]>,
    names: Arc<[(Box<str>, Capability)]>,
    settings: Settings,
    limits: Limits,
    memory: Arc<WorkerMemory>,
    sender: mpsc::UnboundedSender<Order>,
    orders: RefCell<mpsc::UnboundedReceiver<Order>>,
    tasks: Tasks<(), Arc<Scope>>,
    last: Cell<u64>,
}

impl Post {
    pub(crate) fn new(
        http: Rc<dyn HttpClient>,
        bindings: Rc<[(Box<str>, Bound)]>,
        settings: Settings,
        limits: Limits,
        memory: Arc<WorkerMemory>,
    ) -> Self {
        let (sender, orders) = mpsc::unbounded_channel();
        let orders = RefCell::new(orders);
        let names = bindings.iter().map(|(name, bound)| (name.clone(), bound.capability())).collect();
        Self {
            http,
            bindings,
            names,
            settings,
            limits,
            memory,
            sender,
            orders,
            tasks: Tasks::new(),
            last: Cell::new(0),
        }
    }

    /// A scope in this request's name; of several requests it is nobody's. The CPU time of its calls is on `payer`'s account.
    pub(crate) fn open(self: &Rc<Self>, sender: Option<RequestId>, payer: Arc<dyn Payer>) -> Open {
        let scope = Arc::new(Scope::new(sender, payer, &self.limits));
        let (orders, memory) = (self.sender.clone(), self.memory.clone());
        let (bindings, settings) = (self.names.clone(), self.settings.clone());
        Open { post: self.clone(), outgoing: Outgoing { scope, orders, memory, bindings, settings } }
    }

    /// What sends a request: to another app, if its host is the name of a binding to one, in whatever case, and
    /// [`INTERNAL`]; or to whom its URI names.
    fn client(&self, request: &http::Request<WasiBody>) -> Rc<dyn HttpClient> {
        let host = request.uri().host().unwrap_or_default();
        let Some(name) = host.len().checked_sub(INTERNAL.len()).and_then(|end| host.split_at_checked(end))
        else {
            return self.http.clone();
        };
        if !name.1.eq_ignore_ascii_case(INTERNAL) {
            return self.http.clone();
        }
        let app = self.bindings.iter().find_map(|(own, bound)| match bound {
            Bound::App(app) if own.eq_ignore_ascii_case(name.0) => Some(app.clone()),
            _ => None,
        });
        app.unwrap_or_else(|| self.http.clone())
    }

    /// Goes on with all that is under way. Outside of turns.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) {
        self.tasks.register(cx);
        while let Poll::Ready(Some(order)) = self.orders.borrow_mut().poll_recv(cx) {
            let Order { what, scope } = order;
            if scope.is_over.load(Ordering::Relaxed) || what.is_given_up() {
                continue;
            }
            let number = self.last.get() + 1;
            self.last.set(number);
            let work: Pin<Box<dyn Future<Output = ()>>> = match what {
                What::Send(message) => {
                    let client = self.client(&message.request);
                    Box::pin(deliver(client, message, scope.origin(), self.memory.clone()))
                }
                What::LookUp { name, answer, held } => {
                    Box::pin(look_up(self.http.clone(), name, answer, held))
                }
                What::Call(call) => match call.begin(&self.bindings, &scope) {
                    Some(work) => work,
                    None => continue,
                },
            };
            self.tasks.start(number, self.tasks.make(number, work, scope));
        }
        for _ in 0..self.tasks.ready() {
            let Some(number) = self.tasks.next() else { break };
            if let Some(mut task) = self.tasks.take(number)
                && task.poll().is_pending()
            {
                self.tasks.put(number, task);
            }
        }
    }
}

/// A [`Scope`] as long as it lasts: what was sent in it and is still under way is broken off when this is dropped.
pub(crate) struct Open {
    post: Rc<Post>,
    outgoing: Outgoing,
}

impl Open {
    /// What a store gets of it.
    pub(crate) fn outgoing(&self) -> Outgoing {
        self.outgoing.clone()
    }

    /// The scope itself.
    pub(crate) fn scope(&self) -> Arc<Scope> {
        self.outgoing.scope.clone()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let scope = &self.outgoing.scope;
        // What comes late, or was not taken so far, is not sent.
        scope.is_over.store(true, Ordering::Relaxed);
        scope.left.store(0, Ordering::Relaxed);
        if scope.has_sent.load(Ordering::Relaxed) {
            drop(self.post.tasks.take_those(|other| Arc::ptr_eq(other, scope)));
        }
    }
}

/// Sends a request and passes its response on, as long as somebody wants it.
async fn deliver(
    http: Rc<dyn HttpClient>,
    message: Box<Message>,
    origin: (Option<RequestId>, u8),
    memory: Arc<WorkerMemory>,
) {
    let Message { request, options, mut answer, held } = *message;
    let sending = message::send(&*http, request, options, origin, held, &memory);
    let result = match select(pin!(sending), pin!(answer.closed())).await {
        Either::Left((result, _)) => result,
        // The guest has dropped its future.
        Either::Right(_) => return,
    };
    match result {
        Ok(message::Received { response, sending, pump }) => {
            if answer.send(Ok((response, sending))).is_ok()
                && let Some(pump) = pump
            {
                pump.await;
            }
        }
        Err(error) => {
            // The guest may have dropped its future just now.
            let _ = answer.send(Err(error));
        }
    }
}

/// Looks a name up, as long as somebody wants to know.
async fn look_up(
    http: Rc<dyn HttpClient>,
    name: String,
    mut answer: oneshot::Sender<Result<Vec<IpAddr>, Failed>>,
    _held: Held,
) {
    let looking = http.look_up(&name);
    let found = match select(looking, pin!(answer.closed())).await {
        Either::Left((found, _)) => found,
        Either::Right(_) => return,
    };
    // The guest may have given it up just now.
    let _ = answer.send(found);
}

#[cfg(test)]
mod tests;
