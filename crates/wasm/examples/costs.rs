//! Measures what WebAssembly costs without a server around it, on one thread: requests in fresh and in used instances,
//! a cold start, calls from the host.
//!
//! ```text
//! cargo run --release -p nexus-wasm --example costs
//! ```
//!
//! Prints a name and a number a line; the name ends with the unit. `./x bench-wasm costs` runs it, and V8 beside it.
//!
//! * `fresh_us`: a request of the C guest of the examples, all of it: store, instantiation, the handler, the response,
//!   and taking the instance down. Median.
//! * `used_us`: the same in an instance that serves many. The difference is what an instance costs.
//! * `first_ms`: from a deployed app whose compiled code is on disk to its first answer, engine and all: what the first
//!   app of a process pays.
//! * `cold_ms`: the same in a process that has run others. Median.
//! * `call_ns`: a typed function of a core module, called from the host: `add`. `limited_call_ns`: under a CPU limit.
//! * `wasmtime_call_ns`: the same in an engine as Wasmtime makes it by default, without nexus.
//! * `wasmtime_string_call_ns`: a component's function that takes a string of 16 bytes and gives it back, typed, without
//!   nexus too: the measure for the next.
//! * `invoke_us`: the same function by name with its argument as text, as `nexus run --invoke` calls it: in a fresh
//!   instance under a CPU limit.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // A program to be run by hand.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nexus_core::{App, Limits, Manifest};
use nexus_guest::{
    Abandon, Body, ClientAddress, Engine, Guest, HeaderList, Level, LogRecord, LogSink, ModuleError,
    ModulePath, ModuleSource, Request, RequestId, Services, Stop, StopSink, Watch, exchange,
};
use nexus_wasm::{Policy, Runner, WasmConfig, WasmEngine};
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine as Wasmtime, Instance, Module, Store};

const ADD: &str = r#"(module (func (export "add") (param i32 i32) (result i32)
  (i32.add (local.get 0) (local.get 1))))"#;

const ECHO: &str = r#"(component
  (core module $m
    (memory (export "mem") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "echo") (param i32 i32) (result i32)
      (i32.store (i32.const 8) (local.get 0))
      (i32.store (i32.const 12) (local.get 1))
      (i32.const 8)))
  (core instance $i (instantiate $m))
  (func (export "echo") (param "text" string) (result string)
    (canon lift (core func $i "echo") (memory (core memory $i "mem")) (realloc (core func $i "realloc")))))"#;

const TEXT: &str = "sixteen letters.";

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

/// The deployed app's file, read when it is loaded.
struct OneFile(PathBuf);

impl ModuleSource for OneFile {
    fn resolve(&self, specifier: &str, _referrer: &ModulePath) -> Result<ModulePath, ModuleError> {
        Err(ModuleError(format!("{specifier} is not there")))
    }
    fn read(&self, _path: &ModulePath, _most: usize) -> Result<Vec<u8>, ModuleError> {
        std::fs::read(&self.0).map_err(|error| ModuleError(error.to_string()))
    }
}

/// How often each thing is done.
struct Scale {
    requests: usize,
    starts: usize,
    calls: u32,
    invocations: usize,
}

fn main() {
    let scale = match std::env::args().any(|arg| arg == "--quick") {
        true => Scale { requests: 100, starts: 3, calls: 10_000, invocations: 10 },
        false => Scale { requests: 20_000, starts: 200, calls: 10_000_000, invocations: 2_000 },
    };
    guests(&scale);
    calls(&scale);
}

fn guests(scale: &Scale) {
    let cache = std::env::temp_dir().join(format!("nexus-costs-{}", std::process::id()));
    let config = WasmConfig { cache: Some(cache.clone()), ..WasmConfig::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    // Requests are made beside the event loop, not in it: there Tokio has whoever works for long give way.
    let _entered = runtime.enter();
    let loaded = |engine: &WasmEngine, reuse| runtime.block_on(load(engine, reuse));
    // Deploys it: its compiled code is on disk from here on.
    drop(loaded(&WasmEngine::new(config.clone()), 1));

    let begun = Instant::now();
    let engine = WasmEngine::new(config);
    let guest = loaded(&engine, 1);
    request(&guest);
    let first = begun.elapsed();
    drop(guest);

    let start = |_| {
        let begun = Instant::now();
        let guest = loaded(&engine, 1);
        request(&guest);
        begun.elapsed()
    };
    show("first_ms", ms(first));
    show("cold_ms", ms(median((0..scale.starts).map(start).collect())));

    for (name, reuse) in [("fresh_us", 1), ("used_us", u32::MAX)] {
        let guest = loaded(&engine, reuse);
        let one = |_| {
            let begun = Instant::now();
            request(&guest);
            begun.elapsed()
        };
        (0..scale.requests / 10).map(one).for_each(drop);
        show(name, us(median((0..scale.requests).map(one).collect())));
    }
    let _ = std::fs::remove_dir_all(cache);
}

async fn load(engine: &WasmEngine, reuse: u32) -> Rc<dyn Guest> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/wasm-c/app.wasm");
    let services = Services {
        bindings: Rc::new([]),
        secrets: Default::default(),
        log: Rc::new(Silent),
        modules: Rc::new(OneFile(file)),
        env: Rc::new([]),
        limits: Limits::default(),
        watch: Arc::new(Watch::new()),
        abandon: Rc::new(Nobody),
        stops: Rc::new(Nobody),
        http: Rc::new(nexus_guest::NoHttp),
    };
    let mut manifest = Manifest::default_for("app").unwrap();
    manifest.wasm.reuse = reuse;
    let app = App { folder: "/nowhere".into(), manifest, main: Some("app.wasm".into()) };
    engine.load(Arc::new(app), services).await.unwrap()
}

/// A whole request. The guest does not wait, so it is over when this returns, and its instance taken down or kept.
fn request(guest: &Rc<dyn Guest>) {
    let (responder, mut pending) = exchange();
    guest.request(
        Request {
            id: RequestId::from_u128(1),
            method: "GET".into(),
            url: "http://localhost/greet?name=Ann".into(),
            headers: HeaderList::from_iter([("host", "localhost")]),
            body: Body::Empty,
            client: ClientAddress::Unix,
            event: Default::default(),
        },
        responder,
    );
    let reply = pending.try_take().unwrap().unwrap();
    assert_eq!((reply.status, guest.in_flight()), (200, 0));
}

fn calls(scale: &Scale) {
    let runner = Runner::new(&WasmConfig::default()).unwrap();
    let limited = Policy { cpu: Some(Duration::from_secs(60)), ..Policy::default() };
    let module = runner.module("add", &wat::parse_str(ADD).unwrap()).unwrap();
    for (name, policy) in [("call_ns", &Policy::default()), ("limited_call_ns", &limited)] {
        let mut instance = module.instantiate(policy).unwrap();
        let add = instance.function::<(i32, i32), i32>("add").unwrap();
        let mut sum = 0;
        let time = each(scale.calls, || sum = instance.call_function(&add, (sum, black_box(1))).unwrap());
        black_box(sum);
        show(name, time);
    }

    let engine = Wasmtime::default();
    let module = Module::new(&engine, wat::parse_str(ADD).unwrap()).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let add = instance.get_typed_func::<(i32, i32), i32>(&mut store, "add").unwrap();
    let mut sum = 0;
    let time = each(scale.calls, || sum = add.call(&mut store, (sum, black_box(1))).unwrap());
    black_box(sum);
    show("wasmtime_call_ns", time);

    let bytes = wat::parse_str(ECHO).unwrap();
    let component = Component::from_binary(&engine, &bytes).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &component).unwrap();
    let echo = instance.get_typed_func::<(&str,), (String,)>(&mut store, "echo").unwrap();
    let time = each(scale.calls / 10, || {
        let (text,) = echo.call(&mut store, (black_box(TEXT),)).unwrap();
        assert_eq!(text.len(), TEXT.len());
    });
    show("wasmtime_string_call_ns", time);

    let command = runner.command("echo", &bytes).unwrap();
    let argument = format!("{TEXT:?}");
    let times = (0..scale.invocations).map(|_| {
        let begun = Instant::now();
        let told = command.call(&limited, "echo", &[&argument]).unwrap();
        assert_eq!(told, [argument.as_str()]);
        begun.elapsed()
    });
    show("invoke_us", us(median(times.collect())));
}

/// Nanoseconds of one of so many calls, in the fastest of ten runs.
fn each(count: u32, mut call: impl FnMut()) -> f64 {
    let run = |_| {
        let begun = Instant::now();
        for _ in 0..count / 10 {
            call();
        }
        begun.elapsed()
    };
    let best = (0..10).map(run).min().unwrap();
    best.as_nanos() as f64 / f64::from(count / 10)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn show(name: &str, value: f64) {
    println!("{name} {value:.3}");
}
