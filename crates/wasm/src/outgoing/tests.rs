//! Requests and look-ups in their scopes, by a client that never answers.

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
    fn send(&self, request: OutboundRequest) -> LocalBoxFuture<'static, Result<OutboundResponse, Failed>> {
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
    (Rc::new(Post::new(silent.clone(), Rc::new([]), Arc::new([]), limits, memory(1 << 20))), silent)
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
    let open = post.open(id, Nobody::pays());
    let mut answer = send(&mut open.outgoing());
    assert!(silent.asked.borrow().is_empty(), "only beside the turns");
    run(&post);
    assert!(poll(&mut answer).is_none());
    let asked = silent.asked.borrow_mut().pop().unwrap();
    assert_eq!((asked.sender == id, asked.host.to_string().as_str(), asked.port), (true, "example.com", 80));
    assert!(matches!(asked.body, Body::Full(bytes) if bytes == "hello"));
}

#[test]
fn what_a_scope_has_sent_ends_with_it_and_nothing_else_does() {
    let (post, silent) = post(10);
    let (one, other) = (post.open(None, Nobody::pays()), post.open(None, Nobody::pays()));
    let (mut first, mut second) = (send(&mut one.outgoing()), send(&mut other.outgoing()));
    run(&post);
    let mut late = one.outgoing();
    let mut waiting = send(&mut late);
    assert_eq!(silent.waiting.get(), 2);
    drop(one);
    run(&post);
    assert_eq!((silent.waiting.get(), silent.asked.borrow().len()), (1, 2), "what had not begun does not");
    assert!(poll(&mut first).unwrap().is_err() && poll(&mut waiting).unwrap().is_err());
    assert!(poll(&mut second).is_none());
    assert!(poll(&mut send(&mut late)).unwrap().is_err());
    run(&post);
    assert_eq!(silent.asked.borrow().len(), 2);
}

#[test]
fn what_nobody_waits_for_is_broken_off() {
    let (post, silent) = post(10);
    let open = post.open(None, Nobody::pays());
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
    let open = post.open(None, Nobody::pays());
    let mut outgoing = open.outgoing();
    let mut kept: Vec<_> = (0..3).map(|_| send(&mut outgoing)).collect();
    run(&post);
    let refused = poll(&mut kept[2]).unwrap().unwrap_err();
    assert_eq!(refused, "internal error: too many requests (limit: subrequests 2)");
    let id = |depth: u8| RequestId::from_u128(depth.into()).at_depth(depth);
    open.scope().renew(id(3), 2);
    kept.extend((0..3).map(|_| send(&mut outgoing)));
    run(&post);
    assert_eq!(silent.asked.borrow().len(), 4);
    // What was not sent by those that have left is not for those that come.
    (0..5).for_each(|_| open.scope().renew(id(1), 1));
    kept.extend((0..3).map(|_| send(&mut outgoing)));
    run(&post);
    assert_eq!(silent.asked.borrow().len(), 6);
    // Nor is any of it less deep than one that was there.
    let depths: Vec<u8> = silent.asked.borrow().iter().map(|request| request.depth).collect();
    assert_eq!(depths, [0, 0, 3, 3, 3, 3]);
}

#[test]
fn what_waits_to_be_sent_is_on_the_account_of_the_workers_memory() {
    let (post, _) = post(10);
    let open = post.open(None, Nobody::pays());
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
    let open = post.open(None, Nobody::pays());
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
