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
mod tests {
    use std::task::Waker;

    use bytes::Bytes;
    use futures_util::future::LocalBoxFuture;
    use http_body_util::{BodyExt, Full};
    use nexus_guest::{Body, OutboundRequest, OutboundResponse, Watch};

    use super::*;

    /// Never answers, but for a look-up of `known`; knows who asked, and how many still wait.
    #[derive(Default)]
    struct Silent {
        asked: RefCell<Vec<OutboundRequest>>,
        waiting: Rc<Cell<usize>>,
    }

    struct Waiting(Rc<Cell<usize>>);

    impl Drop for Waiting {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }

    impl HttpClient for Silent {
        fn send(
            &self,
            request: OutboundRequest,
        ) -> LocalBoxFuture<'static, Result<OutboundResponse, Failed>> {
            self.asked.borrow_mut().push(request);
            self.waiting.set(self.waiting.get() + 1);
            let waiting = Waiting(self.waiting.clone());
            Box::pin(async move {
                let _waiting = waiting;
                std::future::pending().await
            })
        }

        fn look_up(&self, name: &str) -> LocalBoxFuture<'static, Result<Vec<IpAddr>, Failed>> {
            if name == "known" {
                return Box::pin(std::future::ready(Ok(vec![[10, 0, 0, 1].into()])));
            }
            self.waiting.set(self.waiting.get() + 1);
            let waiting = Waiting(self.waiting.clone());
            Box::pin(async move {
                let _waiting = waiting;
                std::future::pending().await
            })
        }
    }

    fn memory(limit: u64) -> Arc<WorkerMemory> {
        let mut limits = Limits::default();
        limits.set(Limit::Memory, limit);
        Arc::new(WorkerMemory::new(&limits, Arc::new(Watch::new())))
    }

    fn post(subrequests: u64) -> (Rc<Post>, Rc<Silent>) {
        let mut limits = Limits::default();
        limits.set(Limit::Subrequests, subrequests);
        let silent = Rc::new(Silent::default());
        (Rc::new(Post::new(silent.clone(), Rc::new([]), limits, memory(1 << 20))), silent)
    }

    fn request() -> http::Request<WasiBody> {
        let body = Full::new(Bytes::from_static(b"hello")).map_err(|never| match never {}).boxed_unsync();
        http::Request::post("http://example.com/").body(body).unwrap()
    }

    fn send(outgoing: &mut Outgoing) -> Pin<Box<dyn Future<Output = Sent> + Send>> {
        Box::into_pin(outgoing.send(request(), None))
    }

    fn poll(future: &mut Pin<Box<dyn Future<Output = Sent> + Send>>) -> Option<Result<u16, String>> {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok((response, _))) => Some(Ok(response.status().as_u16())),
            Poll::Ready(Err(error)) => Some(Err(error.to_string())),
            Poll::Pending => None,
        }
    }

    fn run(post: &Post) {
        post.poll(&mut Context::from_waker(Waker::noop()));
    }

    #[test]
    fn a_request_is_sent_in_the_name_of_its_scope() {
        let (post, silent) = post(10);
        let id = RequestId::parse(b"req-1");
        let open = post.open(id);
        let mut answer = send(&mut open.outgoing());
        assert!(silent.asked.borrow().is_empty(), "only beside the turns");
        run(&post);
        assert!(poll(&mut answer).is_none());
        let asked = silent.asked.borrow_mut().pop().unwrap();
        assert_eq!(
            (asked.sender == id, asked.host.to_string().as_str(), asked.port),
            (true, "example.com", 80)
        );
        assert!(matches!(asked.body, Body::Full(bytes) if bytes == "hello"));
    }

    #[test]
    fn what_a_scope_has_sent_ends_with_it_and_nothing_else_does() {
        let (post, silent) = post(10);
        let (one, other) = (post.open(None), post.open(None));
        let (mut first, mut second) = (send(&mut one.outgoing()), send(&mut other.outgoing()));
        run(&post);
        let mut late = one.outgoing();
        let mut waiting = send(&mut late);
        assert_eq!(silent.waiting.get(), 2);
        drop(one);
        run(&post);
        assert_eq!(
            (silent.waiting.get(), silent.asked.borrow().len()),
            (1, 2),
            "what had not begun does not"
        );
        assert!(poll(&mut first).unwrap().is_err() && poll(&mut waiting).unwrap().is_err());
        assert!(poll(&mut second).is_none());
        assert!(poll(&mut send(&mut late)).unwrap().is_err());
        run(&post);
        assert_eq!(silent.asked.borrow().len(), 2);
    }

    #[test]
    fn what_nobody_waits_for_is_broken_off() {
        let (post, silent) = post(10);
        let open = post.open(None);
        let answer = send(&mut open.outgoing());
        run(&post);
        assert_eq!(silent.waiting.get(), 1);
        drop(answer);
        run(&post);
        assert_eq!(silent.waiting.get(), 0);
    }

    #[test]
    fn a_scope_sends_no_more_than_the_limit_for_each_of_its_requests() {
        let (post, silent) = post(2);
        let open = post.open(None);
        let mut outgoing = open.outgoing();
        let mut kept: Vec<_> = (0..3).map(|_| send(&mut outgoing)).collect();
        run(&post);
        let refused = poll(&mut kept[2]).unwrap().unwrap_err();
        assert_eq!(refused, "internal error: too many requests (limit: subrequests 2)");
        open.scope().renew();
        kept.extend((0..3).map(|_| send(&mut outgoing)));
        run(&post);
        assert_eq!(silent.asked.borrow().len(), 4);
    }

    #[test]
    fn what_waits_to_be_sent_is_on_the_account_of_the_workers_memory() {
        let (post, _) = post(10);
        let open = post.open(None);
        let mut outgoing = open.outgoing();
        let mut first = send(&mut outgoing);
        let each = post.memory.total();
        assert!(each > 4096, "{each}");
        run(&post);
        assert!(poll(&mut first).is_none());
        assert_eq!(post.memory.total(), each, "it waits for its response");
        assert!(post.memory.take((1 << 20) - each));
        let refused = poll(&mut send(&mut outgoing)).unwrap().unwrap_err();
        assert_eq!(refused, "internal error: no memory for another request (limit: memory 1 MB)");
        drop(first);
        run(&post);
        assert_eq!(post.memory.total(), (1 << 20) - each);
        let second = send(&mut outgoing);
        assert_eq!(post.memory.total(), 1 << 20);
        drop((second, open));
        run(&post);
        assert_eq!(post.memory.total(), (1 << 20) - each, "it was never sent");
    }

    #[test]
    fn look_ups_end_with_their_scope_or_when_nobody_waits() {
        let (post, silent) = post(10);
        let open = post.open(None);
        let look_up = |name: &str| {
            let held = post.memory.hold(1, "it").unwrap_or_else(|why| panic!("{why}"));
            open.outgoing().look_up(name, held)
        };
        let mut known = look_up("known");
        let (mut unknown, dropped) = (look_up("unknown"), look_up("unknown"));
        run(&post);
        assert_eq!(known.try_recv(), Ok(Ok(vec![[10, 0, 0, 1].into()])));
        assert_eq!(silent.waiting.get(), 2);
        drop(dropped);
        run(&post);
        assert_eq!(silent.waiting.get(), 1);
        drop(open);
        assert_eq!(silent.waiting.get(), 0);
        assert_eq!(unknown.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
