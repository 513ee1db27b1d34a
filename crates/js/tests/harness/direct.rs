//! A guest on the test's own thread, driven by hand.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use nexus_core::{App, Limit, Limits, Manifest};
use nexus_guest::{
    Abandon, Body, ClientAddress, Engine, Failure, Guest, HeaderList, LoadError, PendingReply, Reply,
    Request, RequestId, Services, Stop, StopSink, Ticket, Watch, exchange,
};
use nexus_js::JsEngine;

use super::services::{Files, Log};

/// No test here runs its thread's guest into the ground.
struct Nobody;

impl Abandon for Nobody {
    fn abandon(&self, stop: Stop) {
        panic!("abandoned: {stop:?}");
    }
}

impl StopSink for Nobody {
    fn stopped(&self, request: RequestId, stop: &Stop) {
        panic!("request {request} was stopped alone: {stop:?}");
    }
}

/// A guest on this thread.
pub(crate) struct TestGuest {
    pub(crate) guest: Rc<dyn Guest>,
    pub(crate) log: Rc<Log>,
}

pub(crate) async fn load(files: &[(&str, &str)]) -> Result<TestGuest, LoadError> {
    load_with(files, |_, _| {}).await
}

/// A guest of an app whose manifest and limits are not the usual ones.
pub(crate) async fn load_with(
    files: &[(&str, &str)],
    change: impl FnOnce(&mut Manifest, &mut Limits),
) -> Result<TestGuest, LoadError> {
    nexus_js::initialize_for_tests(&std::env::current_exe().unwrap()).unwrap();
    let log = Rc::new(Log::default());
    let mut limits = Limits::default();
    limits.set(Limit::Memory, 64 << 20);
    limits.set(Limit::Cpu, 60_000);
    let mut manifest = Manifest::default_for("test").unwrap();
    change(&mut manifest, &mut limits);
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
    let services = Services {
        bindings: Rc::new([]),
        secrets: Default::default(),
        log: log.clone(),
        modules: Rc::new(Files(files)),
        env: Rc::new([("GREETING".to_owned(), "hello".to_owned())]),
        limits,
        watch: Arc::new(Watch::new()),
        abandon: Rc::new(Nobody),
        stops: Rc::new(Nobody),
        http: Rc::new(nexus_guest::NoHttp),
    };
    let app = App { folder: "/nowhere".into(), manifest, main: Some("index.js".into()) };
    let guest = JsEngine::new().load(Arc::new(app), services).await?;
    Ok(TestGuest { guest, log })
}

pub(crate) async fn main_file(source: &str) -> TestGuest {
    load(&[("index.js", source)]).await.unwrap_or_else(|error| panic!("{error}"))
}

impl TestGuest {
    pub(crate) fn start(&self, url: &str, body: Body) -> (Ticket, PendingReply) {
        let (responder, pending) = exchange();
        let request = Request {
            id: RequestId::parse(b"req-1").unwrap(),
            method: if matches!(body, Body::Empty) { "GET" } else { "POST" }.into(),
            url: format!("http://localhost{url}"),
            headers: HeaderList::from_iter([("x-a", "1"), ("accept", "*/*")]),
            body,
            client: ClientAddress::Ip([127, 0, 0, 1].into(), Some(99)),
            event: Default::default(),
        };
        (self.guest.request(request, responder), pending)
    }

    /// Drives the guest until the future is done.
    pub(crate) async fn drive<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        poll_fn(|cx| {
            let _ = self.guest.poll(cx);
            future.as_mut().poll(cx)
        })
        .await
    }

    pub(crate) async fn fetch(&self, url: &str, body: Body) -> Result<Reply, Failure> {
        let (_, pending) = self.start(url, body);
        tokio::time::timeout(Duration::from_secs(10), self.drive(pending)).await.expect("a reply in time")
    }

    pub(crate) async fn text(&self, url: &str) -> String {
        let reply = self.fetch(url, Body::Empty).await.unwrap();
        self.read(reply.body).await
    }

    pub(crate) async fn read(&self, body: Body) -> String {
        let mut text = Vec::new();
        match body {
            Body::Empty => {}
            Body::Full(bytes) => text.extend_from_slice(&bytes),
            Body::Stream(mut source) => {
                while let Some(chunk) = self.drive(poll_fn(|cx| source.poll_chunk(cx))).await {
                    text.extend_from_slice(&chunk.unwrap());
                }
            }
        }
        String::from_utf8(text).unwrap()
    }

    pub(crate) async fn turns(&self, number: usize) {
        for _ in 0..number {
            poll_fn(|cx| {
                let _ = self.guest.poll(cx);
                Poll::Ready(())
            })
            .await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        self.log.0.borrow().iter().map(|record| record.message.clone()).collect()
    }

    pub(crate) fn assert_nothing_is_held(&self) {
        let usage = self.guest.usage();
        assert_eq!((usage.scopes, usage.timers, usage.operations), (0, 0, 0));
        assert_eq!(self.guest.in_flight(), 0);
    }
}
