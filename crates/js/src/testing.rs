//! What test suites for JavaScript engines need of a guest, and no app may have: classic scripts that run from text,
//! `eval`, garbage collection on demand. And a harness for one such suite, the web platform tests
//! (<https://web-platform-tests.org/writing-tests/testharness-api.html>), as modules for a guest's main module.

use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use nexus_core::App;
use nexus_guest::{Engine, Guest, LoadError, ModulePath, Services};

use crate::guest::JsGuest;
use crate::isolate::registry;
use crate::ops::{Op, ops, room, throw_type_error};
use crate::state::State;

/// Takes what a guest reports.
pub type Reports = Arc<dyn Fn(String) + Send + Sync>;

/// Makes guests for test suites: as [`JsEngine`](crate::JsEngine) does, but with code from strings allowed and with a
/// global `$262`, whose `evalScript(source, name)`, `gc()` and `detachArrayBuffer(buffer)` are those of Test262.
///
/// Until the harness takes them, it also has `readText(path)`, which reads files of the guest's module source, and
/// `report(text)`.
pub struct TestEngine {
    reports: Reports,
    base: String,
}

impl TestEngine {
    /// An engine whose guests report to `reports`, and take `base` for the URL that relative ones are relative to.
    pub fn new(reports: Reports, base: impl Into<String>) -> Self {
        Self { reports, base: base.into() }
    }
}

impl Engine for TestEngine {
    fn name(&self) -> &'static str {
        "js"
    }

    fn runs(&self, main: &str) -> bool {
        main.ends_with(".js")
    }

    fn load(
        &self,
        app: Arc<App>,
        services: Services,
    ) -> LocalBoxFuture<'static, Result<Rc<dyn Guest>, LoadError>> {
        let (reports, base) = (Sink(self.reports.clone()), self.base.clone());
        Box::pin(async move {
            let guest = JsGuest::load(&app, services, None, |scope| attach(scope, reports, &base)).await?;
            Ok(Rc::new(guest) as Rc<dyn Guest>)
        })
    }
}

/// Where the harness's modules are, and no file of a suite.
const FOLDER: &str = ".nexus/";

/// Where the tests' server would be.
pub const ORIGIN: &str = "http://web-platform.test:8000";
/// Where it would be with TLS.
pub const SECURE_ORIGIN: &str = "https://web-platform.test:8443";

/// The path of a script that was run from text, by its name: what it imports is relative to that.
pub(crate) fn script_path(name: &str) -> Option<&str> {
    let path = |origin| name.strip_prefix(origin)?.strip_prefix('/');
    path(ORIGIN).or_else(|| path(SECURE_ORIGIN))
}

/// The main module of a guest that runs one file of the web platform tests.
pub const MAIN: &str = ".nexus/main.js";

/// The text of the main module for this plan, a JSON object:
/// `{ scripts: [path…], url, title, worker }`.
pub fn main_module(plan: &str) -> String {
    format!("import {{ run }} from \"./run.js\";\nexport default run({plan});\n")
}

macro_rules! texts {
    ($folder:literal: $($name:literal)*) => {
        &[$(($name, include_str!(concat!("testing/", $folder, $name)))),*]
    };
}

const MODULES: &[(&str, &str)] = texts!["":
    "api.js" "assert.js" "files.js" "format.js" "host.js" "run.js" "suite.js" "test.js" "throws.js" "watcher.js"];

const STAND_INS: &[(&str, &str)] = texts!["common/":
    "gc.js" "sab.js" "subset-tests-by-key.js" "subset-tests.js" "utils.js"];

fn find(texts: &[(&'static str, &'static str)], name: &str) -> Option<&'static str> {
    texts.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// A module of the harness, by its path.
pub fn module(path: &str) -> Option<&'static str> {
    find(MODULES, path.strip_prefix(FOLDER)?)
}

/// What stands in for a script that many tests use, where the suite's own is not there.
pub fn stand_in(path: &str) -> Option<&'static str> {
    find(STAND_INS, path.strip_prefix("common/")?)
}

/// Where an isolate's reports go, in its slot.
struct Sink(Reports);

const OPS: &[Op] = ops![
    evalScript => op_eval_script,
    gc => op_gc,
    detachArrayBuffer => op_detach_array_buffer,
    readText => op_read_text,
    report => op_report,
];

fn attach(scope: &mut v8::PinScope<'_, '_>, reports: Sink, base: &str) -> Option<()> {
    let context = scope.get_current_context();
    context.set_allow_generation_from_strings(true);
    scope.set_slot(reports);
    let hooks = v8::Object::new(scope);
    for op in OPS {
        let name = v8::String::new(scope, op.name)?;
        let function = (op.build)(scope)?;
        hooks.create_data_property(scope, name.into(), function.into())?;
    }
    let name = v8::String::new(scope, "$262")?;
    context.global(scope).define_own_property(
        scope,
        name.into(),
        hooks.into(),
        v8::PropertyAttribute::DONT_ENUM,
    )?;
    let (key, base) = (v8::String::new(scope, "baseUrl")?, v8::String::new(scope, base)?);
    registry(scope)?.create_data_property(scope, key.into(), base.into())?;
    Some(())
}

/// `evalScript(source, name)`: runs a classic script, and gives its value.
fn op_eval_script<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Ok(source) = v8::Local::<v8::String>::try_from(args.get(0)) else {
        throw_type_error(scope, "evalScript: the source is not a string");
        return;
    };
    let origin = v8::ScriptOrigin::new(scope, args.get(1), 0, 0, false, -1, None, false, false, false, None);
    v8::tc_scope!(let scope, scope);
    let script = v8::Script::compile(scope, source, Some(&origin));
    let is_compiled = script.is_some();
    if let Some(value) = script.and_then(|script| script.run(scope)) {
        rv.set(value);
        return;
    }
    if !is_compiled
        && let Some(exception) = scope.exception()
        && let Ok(exception) = v8::Local::<v8::Object>::try_from(exception)
        && let Some(message) = scope.message()
    {
        // V8 does not put the place of a syntax error into its stack.
        let name = args.get(1).to_rust_string_lossy(scope);
        let line = message.get_line_number(scope).unwrap_or(0);
        let text = message.get(scope).to_rust_string_lossy(scope);
        let stack = format!("{text}\n    at {name}:{line}:{}", message.get_start_column() + 1);
        if let (Some(key), Some(stack)) = (v8::String::new(scope, "stack"), v8::String::new(scope, &stack)) {
            exception.create_data_property(scope, key.into(), stack.into());
        }
    }
    scope.rethrow();
}

/// `gc()`: collects all garbage.
fn op_gc<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    _args: v8::FunctionCallbackArguments<'s>,
    _rv: v8::ReturnValue<'s, v8::Value>,
) {
    // On the isolate's own thread it collects at once.
    scope.memory_pressure_notification(v8::MemoryPressureLevel::Critical);
    scope.memory_pressure_notification(v8::MemoryPressureLevel::None);
}

/// `detachArrayBuffer(buffer)`.
fn op_detach_array_buffer<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let detached = v8::Local::<v8::ArrayBuffer>::try_from(args.get(0))
        .is_ok_and(|buffer| buffer.is_detachable() && buffer.detach(None) == Some(true));
    if detached {
        rv.set_null();
    } else {
        throw_type_error(scope, "detachArrayBuffer: this cannot be detached");
    }
}

/// The largest file that test code can read, in bytes.
const LARGEST: usize = 64 << 20;

/// A file's bytes; `None` if it is not there, or there is no room for it, with an exception pending.
fn read(scope: &mut v8::PinScope<'_, '_>, path: v8::Local<'_, v8::Value>) -> Option<Vec<u8>> {
    let path = ModulePath::new(&path.to_rust_string_lossy(scope))?;
    let bytes = State::of(scope).services.modules.read(&path, LARGEST).ok()?;
    room(scope, bytes.len() * 2).then_some(bytes)
}

/// `readText(path)`: a file as text, without a byte order mark; undefined if it is not there.
fn op_read_text<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
) {
    let Some(bytes) = read(scope, args.get(0)) else { return };
    let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes));
    if let Some(text) = v8::String::new(scope, &text) {
        rv.set(text.into());
    }
}

/// `report(text)`.
fn op_report<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    _rv: v8::ReturnValue<'s, v8::Value>,
) {
    let text = args.get(0).to_rust_string_lossy(scope);
    if let Some(Sink(reports)) = scope.get_slot::<Sink>() {
        reports(text);
    }
}
