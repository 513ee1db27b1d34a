//! Measures a cold start: from nothing to a new guest's first answer, on one thread, many times.
//!
//! ```text
//! cargo run --release -p nexus-js --example cold_start
//! ```
//!
//! A cold start is: an isolate from the snapshot, ops attached, the app's module compiled and evaluated, a first request
//! answered. The app is the benchmark's.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // A program to be run by hand.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nexus_core::{App, Limits, Manifest};
use nexus_guest::{
    Abandon, Body, ClientAddress, Engine, HeaderList, Level, LogRecord, LogSink, ModuleError, ModulePath,
    ModuleSource, Request, RequestId, Services, Stop, StopSink, Watch, exchange,
};
use nexus_js::JsEngine;

const APP: &str = r#"
export default {
  fetch(request) {
    const url = new URL(request.url);
    return new Response(`Hello from ${url.pathname}\n`, { headers: { "content-type": "text/plain" } });
  },
};
"#;

struct Silent;

impl LogSink for Silent {
    fn wants(&self, _level: Level) -> bool {
        false
    }
    fn log(&self, _record: LogRecord) {}
}

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

struct OneFile;

impl ModuleSource for OneFile {
    fn resolve(&self, specifier: &str, _referrer: &ModulePath) -> Result<ModulePath, ModuleError> {
        Err(ModuleError(format!("{specifier} is not there")))
    }
    fn read(&self, _path: &ModulePath, _most: usize) -> Result<Vec<u8>, ModuleError> {
        Ok(APP.into())
    }
}

fn main() {
    nexus_js::initialize(&std::env::current_exe().unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let app = Arc::new(App {
        folder: "/nowhere".into(),
        manifest: Manifest::default_for("app").unwrap(),
        main: Some("index.js".into()),
    });
    let mut times: Vec<Duration> = (0..200).map(|_| runtime.block_on(cold_start(app.clone()))).collect();
    println!("first       {:.2?} (the process's first isolate)", times[0]);
    times.sort();
    println!("median      {:.2?} of {}", times[times.len() / 2], times.len());
    println!("95 % below  {:.2?}", times[times.len() * 95 / 100]);
}

async fn cold_start(app: Arc<App>) -> Duration {
    let start = Instant::now();
    let services = Services {
        bindings: Rc::new([]),
        secrets: Default::default(),
        log: Rc::new(Silent),
        modules: Rc::new(OneFile),
        env: Rc::new([]),
        limits: Limits::default(),
        watch: Arc::new(Watch::new()),
        abandon: Rc::new(Nobody),
        stops: Rc::new(Nobody),
        http: Rc::new(nexus_guest::NoHttp),
    };
    let guest = JsEngine::new().load(app, services).await.unwrap();
    let (responder, mut pending) = exchange();
    guest.request(
        Request {
            id: RequestId::from_u128(1),
            method: "GET".into(),
            url: "http://localhost/x".into(),
            headers: HeaderList::new(),
            body: Body::Empty,
            client: ClientAddress::Unix,
            event: Default::default(),
        },
        responder,
    );
    let reply = pending.try_take().unwrap().unwrap();
    let took = start.elapsed();
    assert_eq!(reply.status, 200);
    took
}
