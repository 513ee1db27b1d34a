//! An engine whose guests ask other apps.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use nexus_core::{App, NetHost};
use nexus_guest::{
    Abandon, Body, BodyError, Bound, Engine, Event, Guest, HeaderList, HttpClient, HttpError, LoadError,
    OutboundRequest, OutboundResponse, PipeState, Reply, Request, RequestId, Responder, Services, Stop,
    StopReason, Stopper, Ticket, Usage, pipe,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::AbortHandle;

/// What all guests show.
#[derive(Default)]
pub(crate) struct Seen {
    /// How many handlers of each path run.
    running: std::sync::Mutex<HashMap<String, usize>>,
    /// How many requests came to guests.
    pub(crate) count: AtomicUsize,
    /// How many bytes floods have written.
    pub(crate) written: AtomicU64,
}

impl Seen {
    pub(crate) fn running(&self, path: &str) -> usize {
        self.running.lock().unwrap().get(path).copied().unwrap_or_default()
    }
}

/// A handler that runs.
struct Running(Arc<Seen>, Rc<Cell<usize>>, String);

impl Running {
    fn new(seen: &Arc<Seen>, in_flight: &Rc<Cell<usize>>, path: &str) -> Self {
        *seen.running.lock().unwrap().entry(path.to_owned()).or_default() += 1;
        in_flight.set(in_flight.get() + 1);
        Self(seen.clone(), in_flight.clone(), path.to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap().entry(self.2.clone()).or_default() -= 1;
        self.1.set(self.1.get() - 1);
    }
}

/// The engine.
#[derive(Clone, Default)]
pub(crate) struct Callers(pub(crate) Arc<Seen>);

impl Engine for Callers {
    fn name(&self) -> &'static str {
        "callers"
    }

    fn runs(&self, main: &str) -> bool {
        main.ends_with(".js")
    }

    fn load(
        &self,
        app: Arc<App>,
        services: Services,
    ) -> LocalBoxFuture<'static, Result<Rc<dyn Guest>, LoadError>> {
        let seen = self.0.clone();
        Box::pin(async move {
            let mut others = services.bindings.iter().filter_map(|(_, bound)| match bound {
                Bound::App(other) => Some(other.clone()),
                _ => None,
            });
            let other = others.next();
            let guest = Caller {
                seen,
                name: app.name().to_string(),
                other,
                abandon: services.abandon.clone(),
                in_flight: Rc::default(),
                inner: RefCell::default(),
            };
            Ok(Rc::new(guest) as Rc<dyn Guest>)
        })
    }
}

struct Caller {
    seen: Arc<Seen>,
    name: String,
    other: Option<Rc<dyn HttpClient>>,
    abandon: Rc<dyn Abandon>,
    in_flight: Rc<Cell<usize>>,
    inner: RefCell<Inner>,
}

#[derive(Default)]
struct Inner {
    last: u64,
    tasks: HashMap<u64, AbortHandle>,
    stop: Option<Stop>,
    waker: Option<Waker>,
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.inner.get_mut().tasks.values().for_each(AbortHandle::abort);
    }
}

struct Deaf;

impl Stopper for Deaf {
    fn stop(&self, _reason: StopReason) {}
    fn poke(&self) {}
}

impl Guest for Caller {
    fn request(&self, request: Request, responder: Responder) -> Ticket {
        self.seen.count.fetch_add(1, Ordering::SeqCst);
        let path = request.url.splitn(4, '/').nth(3).unwrap().to_owned();
        let mut inner = self.inner.borrow_mut();
        inner.last += 1;
        let ticket = inner.last;
        let first = path.split(['/', '?']).next().unwrap_or_default().to_owned();
        let stop = |limit, detail: &str| Stop { reason: StopReason::Cpu, limit, detail: detail.into() };
        match &*first {
            "panic" => panic!("on purpose"),
            "lose" => {
                drop(inner);
                self.abandon.abandon(stop(None, "lost on request"));
                loop {
                    std::thread::park();
                }
            }
            // In the midst of asking, before anybody is told.
            "ask-lose" => {
                drop(inner);
                let other = self.other.clone().unwrap();
                let mut call = other.send(outbound(None, "hello"));
                assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                self.abandon.abandon(stop(None, "lost while it asked"));
                loop {
                    std::thread::park();
                }
            }
            "die" => {
                inner.stop = Some(stop(None, "stopped on request"));
                inner.waker.take().inspect(Waker::wake_by_ref);
            }
            // As fast as it goes.
            "now" => {
                let body = Body::Full(Bytes::from_static(b"now"));
                responder.send(Ok(Reply { status: 200, headers: HeaderList::new(), body }));
                return Ticket(ticket);
            }
            _ => {}
        }
        let running = Running::new(&self.seen, &self.in_flight, &first);
        let rest = path.split_once('/').map_or(String::new(), |(_, rest)| rest.to_owned());
        let asked = Asked {
            seen: self.seen.clone(),
            name: self.name.clone(),
            other: self.other.clone(),
            request,
            first,
            rest,
            responder,
        };
        let task = tokio::task::spawn_local(async move {
            let _running = running;
            asked.handle().await;
        });
        inner.tasks.insert(ticket, task.abort_handle());
        Ticket(ticket)
    }

    fn abort(&self, ticket: Ticket) {
        if let Some(task) = self.inner.borrow_mut().tasks.remove(&ticket.0) {
            task.abort();
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Stop> {
        let mut inner = self.inner.borrow_mut();
        inner.waker = Some(cx.waker().clone());
        inner.stop.take().map_or(Poll::Pending, Poll::Ready)
    }

    fn in_flight(&self) -> usize {
        self.in_flight.get()
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }

    fn stopper(&self) -> Arc<dyn Stopper> {
        Arc::new(Deaf)
    }
}

/// A request that is handled.
struct Asked {
    seen: Arc<Seen>,
    name: String,
    other: Option<Rc<dyn HttpClient>>,
    request: Request,
    first: String,
    rest: String,
    responder: Responder,
}

pub(crate) fn outbound(sender: Option<RequestId>, path: &str) -> OutboundRequest {
    OutboundRequest {
        sender,
        depth: 0,
        method: "GET".into(),
        secure: false,
        host: NetHost::Name("other.example".into()),
        port: 80,
        target: format!("/{path}"),
        headers: HeaderList::from_iter([("x-own", "1"), ("connection", "close"), ("host", "forged")]),
        body: Body::Empty,
        deadlines: Default::default(),
    }
}

/// All of a body, and how it broke off.
pub(crate) async fn read(mut body: Body) -> (Vec<u8>, Option<BodyError>) {
    let mut all = Vec::new();
    match &mut body {
        Body::Empty => {}
        Body::Full(bytes) => all.extend_from_slice(bytes),
        Body::Stream(source) => {
            while let Some(chunk) = poll_fn(|cx| source.poll_chunk(cx)).await {
                match chunk {
                    Ok(chunk) => all.extend_from_slice(&chunk),
                    Err(error) => return (all, Some(error)),
                }
            }
        }
    }
    (all, None)
}

fn two(text: &str) -> (u32, u32) {
    let (one, other) = text.split_once('/').unwrap();
    (one.parse().unwrap(), other.parse().unwrap())
}

/// How many nanoseconds each of so many takes, and how many of CPU time.
async fn measure<F: Future<Output = ()>>(count: u32, at_once: u32, one: impl Fn() -> F) -> String {
    let cpu = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
    };
    let (began, before) = (Instant::now(), cpu());
    futures_util::future::join_all((0..at_once).map(|_| one())).await;
    format!("{} {}", (began.elapsed() / count).as_nanos(), ((cpu() - before) / count).as_nanos())
}

/// What came of a call, in a line.
async fn told(result: Result<OutboundResponse, HttpError>) -> String {
    match result {
        Ok(response) => {
            let status = response.status;
            let retry = if response.headers.contains("retry-after") { " retry" } else { "" };
            let (body, error) = read(response.body).await;
            let text = String::from_utf8_lossy(&body);
            format!(
                "{status}{retry} {}{}",
                text.trim_end(),
                error.map_or(String::new(), |e| format!(" {e:?}"))
            )
        }
        Err(error) => format!("{} {error}", error.code()),
    }
}

impl Asked {
    async fn call(&self, request: OutboundRequest) -> Result<OutboundResponse, HttpError> {
        self.other.as_ref().expect("a binding").send(request).await
    }

    fn answer(&self, body: Body) {
        self.responder.send(Ok(Reply { status: 200, headers: HeaderList::new(), body }));
    }

    fn say(&self, text: String) {
        self.answer(Body::Full(text.into()));
    }

    async fn handle(mut self) {
        let id = Some(self.request.id);
        match &*self.first {
            "call" => {
                let told = told(self.call(outbound(id, &self.rest)).await).await;
                self.say(told);
            }
            // After a while.
            "later" => {
                tokio::time::sleep(Duration::from_millis(200)).await;
                let told = told(self.call(outbound(id, &self.rest)).await).await;
                self.say(told);
            }
            // In the name of no request.
            "alone" => {
                let told = told(self.call(outbound(None, &self.rest)).await).await;
                self.say(told);
            }
            "secure" => {
                let mut request = outbound(id, &self.rest);
                (request.secure, request.port) = (true, 8443);
                let told = told(self.call(request).await).await;
                self.say(told);
            }
            // The other app's body, as it comes.
            "through" => match self.call(outbound(id, &self.rest)).await {
                Ok(response) => self.answer_and_wait(response.body).await,
                Err(error) => self.say(error.to_string()),
            },
            "impatient" => {
                let mut request = outbound(id, &self.rest);
                request.deadlines.first_byte = Some(Duration::from_millis(100));
                let told = told(self.call(request).await).await;
                self.say(told);
            }
            // Sends two megabytes, in pieces.
            "upload" => {
                let mut request = outbound(id, &self.rest);
                request.method = "POST".into();
                let (writer, body) = pipe(1024, None);
                request.body = body;
                let writing = async {
                    for n in 0..200u8 {
                        writer.room().await;
                        writer.write(vec![n; 10_000].into());
                    }
                    writer.finish();
                };
                let calling = async { told(self.call(request).await).await };
                let (told, ()) = futures_util::future::join(calling, writing).await;
                self.say(format!("{} {}", told.len(), &told[..told.len().min(200)]));
            }
            "loop" => {
                let inner = told(self.call(outbound(id, "loop")).await).await;
                self.say(format!("{} {inner}", self.request.id.depth()));
            }
            // So many calls, so many at a time.
            "many" => {
                let (count, at_once) = two(&self.rest);
                let measured = measure(count, at_once, || async {
                    for _ in 0..count / at_once {
                        let response = self.call(outbound(id, "now")).await.unwrap();
                        assert_eq!(read(response.body).await.0, b"now");
                    }
                });
                self.say(measured.await);
            }
            // The same over HTTP, on as many connections.
            "over" => {
                let (address, rest) = self.rest.split_once('/').unwrap();
                let (count, at_once) = two(rest);
                let measured = measure(count, at_once, || async {
                    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
                    stream.set_nodelay(true).unwrap();
                    for _ in 0..count / at_once {
                        // Less than any client does.
                        let request = b"GET /now HTTP/1.1\r\nhost: other.example\r\nx-own: 1\r\n\r\n";
                        stream.write_all(request).await.unwrap();
                        let (mut answer, mut length) = ([0; 1024], 0);
                        while !answer[..length].ends_with(b"\r\n\r\nnow") {
                            length += stream.read(&mut answer[length..]).await.unwrap();
                        }
                    }
                });
                self.say(measured.await);
            }
            "hold" | "die" => pending().await,
            "echo" => {
                let body = std::mem::take(&mut self.request.body);
                self.answer_and_wait(body).await;
            }
            "sum" => {
                let (body, error) = read(std::mem::take(&mut self.request.body)).await;
                let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
                self.say(format!("{} {sum} {error:?}", body.len()));
            }
            "see" => {
                let Request { id, method, url, headers, client, event, .. } = &self.request;
                let names: Vec<_> =
                    headers.iter().map(|(n, v)| [n, v].map(String::from_utf8_lossy).join("=")).collect();
                assert_eq!(*event, Event::Fetch);
                let depth = id.depth();
                self.say(format!("{} {method} {url} {client} {depth} {id} {}", self.name, names.join(",")));
            }
            // A body without an end.
            "flood" | "begin" => {
                let (writer, body) = pipe(64 * 1024, None);
                self.answer(body);
                writer.write("begun".into());
                if self.first == "begin" {
                    return pending().await;
                }
                while writer.room().await == PipeState::Room {
                    writer.write(vec![1; 10_000].into());
                    self.seen.written.fetch_add(10_000, Ordering::SeqCst);
                }
            }
            _ => {
                let name = format!("hello from {}", self.name);
                self.say(name);
            }
        }
    }

    /// Answers, and is there as long as the body may be on its way.
    async fn answer_and_wait(&self, body: Body) {
        self.answer(body);
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}
