//! Requests that guests send: `wasi:http/outgoing-handler`, and `wasi:http/client` of 0.3. Name look-ups, and calls to
//! providers, go the same way.
//!
//! ```text
//! a turn ─ Outgoing (in the store) ─ Order ─► Post ─► HttpClient::send, look_up; Kv::call
//!                                              │ a task for each, beside the turns
//!   guest ◄──────── head, body in chunks ◄─────┘
//! ```
//!
//! What a store holds has to be `Send`, and the client is not: so a store has a channel's end, and the tasks that talk to
//! the client are the guest's. They are polled by the worker's event loop, but in no turn: what they take is not the
//! guest's CPU time. Each belongs to the [`Scope`] of a request, or of a room, and ends with it. What the host holds for
//! them is on the account of the worker's memory.

mod body;
mod message;

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::future::{Either, LocalBoxFuture, select};
use nexus_core::{Limit, Limits};
use nexus_guest::{
    Answer, Bound, CapabilityError, HttpClient, HttpError as Failed, KvAnswer, KvOperation, RequestId,
};
use tokio::sync::{mpsc, oneshot};
use wasmtime_wasi_http::{Error as HttpError, RequestOptions, WasiBody};

use crate::account::{Held, WorkerMemory};
use crate::hooks::{Sends, Sent};
use crate::tasks::Tasks;

/// What is sent in the name of one request, or of those that share an instance: how much, and for how long.
pub(crate) struct Scope {
    /// In whose name it is.
    sender: Mutex<Option<RequestId>>,
    /// How many requests may still be sent.
    left: AtomicU64,
    /// The app's limit of them.
    limit: u64,
    has_sent: AtomicBool,
    is_over: AtomicBool,
}

// Orderings: all is done on the worker's thread, and atomic because a store's data has to be `Send`.
impl Scope {
    fn new(sender: Option<RequestId>, limits: &Limits) -> Self {
        let limit = limits.get(Limit::Subrequests);
        let (has_sent, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { sender: Mutex::new(sender), left: AtomicU64::new(limit), limit, has_sent, is_over }
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

    /// One more request has the instance: as many may be sent again.
    pub(crate) fn renew(&self) {
        let left = self.left.load(Ordering::Relaxed).saturating_add(self.limit);
        self.left.store(left, Ordering::Relaxed);
    }

    /// In whose name it is from here on, if one can tell.
    pub(crate) fn set_sender(&self, sender: Option<RequestId>) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = sender;
    }

    fn sender(&self) -> Option<RequestId> {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A store's end: hands over what its guest sends.
#[derive(Clone)]
pub(crate) struct Outgoing {
    scope: Arc<Scope>,
    orders: mpsc::UnboundedSender<Order>,
    memory: Arc<WorkerMemory>,
    /// The names of the app's bindings, in order.
    bindings: Arc<[Box<str>]>,
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
    Call {
        binding: usize,
        operation: KvOperation,
        answer: oneshot::Sender<Result<KvAnswer, CapabilityError>>,
        held: Held,
    },
}

/// What a call to a provider takes of the host's memory beside what it brings, about, in bytes.
const CALL: u64 = 512;

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
            What::Call { answer, .. } => answer.is_closed(),
        }
    }
}

impl Outgoing {
    /// The place of the binding of this name.
    pub(crate) fn binding(&self, name: &str) -> Option<usize> {
        self.bindings.iter().position(|own| **own == *name)
    }

    /// Has a provider do something, by one of the bindings.
    ///
    /// # Errors
    /// What the provider says, or that there is no memory for it.
    pub(crate) async fn call(
        &self,
        binding: usize,
        operation: KvOperation,
    ) -> Result<KvAnswer, CapabilityError> {
        let brings = match &operation {
            KvOperation::Write(transaction) => transaction.size() as u64,
            KvOperation::Get(keys) => keys.iter().map(|key| key.as_str().len() as u64).sum(),
            KvOperation::List(list) => list.prefix.len() as u64,
        };
        let held = self.memory.hold(CALL + brings, "a call").map_err(CapabilityError::Invalid)?;
        let (answer, answered) = oneshot::channel();
        self.order(What::Call { binding, operation, answer, held });
        let over = || CapabilityError::Invalid("the request in whose name it is asked is over".into());
        let result = answered.await.unwrap_or_else(|_| Err(over()))?;
        // What it has brought is copied to the guest.
        self.memory.hold(size(&result), "what a provider has given").map_err(CapabilityError::Invalid)?;
        Ok(result)
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

/// How many bytes an answer has, about.
fn size(answer: &KvAnswer) -> u64 {
    let bytes: usize = match answer {
        KvAnswer::Entries(entries) => entries.iter().flatten().map(|entry| entry.value.len()).sum(),
        KvAnswer::Page(page) => page.keys.iter().map(|listed| listed.key.len() + 64).sum(),
        KvAnswer::Written(_) => 0,
    };
    bytes as u64
}

/// What sends the requests of one guest's instances.
pub(crate) struct Post {
    http: Rc<dyn HttpClient>,
    bindings: Rc<[(Box<str>, Bound)]>,
    names: Arc<[Box<str>]>,
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
        limits: Limits,
        memory: Arc<WorkerMemory>,
    ) -> Self {
        let (sender, orders) = mpsc::unbounded_channel();
        let orders = RefCell::new(orders);
        let names = bindings.iter().map(|(name, _)| name.clone()).collect();
        Self {
            http,
            bindings,
            names,
            limits,
            memory,
            sender,
            orders,
            tasks: Tasks::new(),
            last: Cell::new(0),
        }
    }

    /// A scope in this request's name; of several requests it is nobody's.
    pub(crate) fn open(self: &Rc<Self>, sender: Option<RequestId>) -> Open {
        let scope = Arc::new(Scope::new(sender, &self.limits));
        let (orders, memory, bindings) = (self.sender.clone(), self.memory.clone(), self.names.clone());
        Open { post: self.clone(), outgoing: Outgoing { scope, orders, memory, bindings } }
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
            let http = self.http.clone();
            let work: Pin<Box<dyn Future<Output = ()>>> = match what {
                What::Send(message) => Box::pin(deliver(http, message, scope.sender(), self.memory.clone())),
                What::LookUp { name, answer, held } => Box::pin(look_up(http, name, answer, held)),
                What::Call { binding, operation, answer, held } => {
                    let Some((_, Bound::Kv(kv))) = self.bindings.get(binding) else { continue };
                    // What can be answered at once needs no task.
                    match kv.call(scope.sender(), operation, Box::new(held)) {
                        Answer::Now(result) => {
                            let _ = answer.send(result);
                            continue;
                        }
                        Answer::Later(later) => Box::pin(call(later, answer)),
                    }
                }
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
    sender: Option<RequestId>,
    memory: Arc<WorkerMemory>,
) {
    let Message { request, options, mut answer, held } = *message;
    let sending = message::send(&*http, request, options, sender, held, &memory);
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

/// Waits for a provider's answer, as long as somebody wants it.
async fn call(
    later: LocalBoxFuture<'static, Result<KvAnswer, CapabilityError>>,
    mut answer: oneshot::Sender<Result<KvAnswer, CapabilityError>>,
) {
    let result = match select(later, pin!(answer.closed())).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => return,
    };
    // The guest may have given it up just now.
    let _ = answer.send(result);
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
