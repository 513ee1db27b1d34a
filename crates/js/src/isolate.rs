//! Making an isolate: from the snapshot, with ops attached and V8's callbacks set.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::rc::Rc;

use nexus_core::Limit;
use nexus_guest::Services;
use v8::MapFnTo;

use crate::buffers;
use crate::limits;
use crate::modules;
use crate::state::State;
use crate::web;

static SNAPSHOT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/snapshot.bin"));

/// The registry of the Web APIs' JavaScript (`nexus.js`), in the isolate's slot.
struct Registry(v8::Global<v8::Object>);

/// An isolate that belongs to no app so far.
struct Blank {
    isolate: v8::OwnedIsolate,
    context: v8::Global<v8::Context>,
    /// The memory limit that it was made for, in bytes.
    memory: u64,
}

thread_local! {
    /// What [`Isolate::prepare`] has made ready.
    static PREPARED: RefCell<Option<Blank>> = const { RefCell::new(None) };
}

impl Blank {
    fn new(memory: u64) -> Option<Self> {
        let params = v8::CreateParams::default()
            .snapshot_blob(v8::StartupData::from(SNAPSHOT))
            .external_references(external_references())
            .heap_limits(0, limits::heap_limit(memory))
            .array_buffer_allocator(buffers::allocator())
            .allow_atomics_wait(false);
        let mut isolate = v8::Isolate::new(params);
        isolate.set_microtasks_policy(v8::MicrotasksPolicy::Explicit);
        isolate.set_capture_stack_trace_for_uncaught_exceptions(false, 0);
        isolate.set_promise_reject_callback(promise_rejected);
        isolate.set_host_import_module_dynamically_callback(modules::dynamic_import);
        isolate.set_host_initialize_import_meta_object_callback(modules::import_meta);
        let context = attach(&mut isolate)?;
        Some(Self { isolate, context, memory })
    }

    /// The one that was made ready on this thread, if it was made for this memory limit.
    fn prepared(memory: u64) -> Option<Self> {
        PREPARED.take().filter(|blank| blank.memory == memory)
    }
}

/// An isolate that is ready to load an app.
pub(crate) struct Isolate {
    pub(crate) isolate: v8::OwnedIsolate,
    pub(crate) context: v8::Global<v8::Context>,
    pub(crate) state: Rc<State>,
}

impl Isolate {
    /// Makes one ready, as far as that can be done before its app is known, for the next that is made on this thread with
    /// this memory limit in bytes. One that is ready already goes.
    pub(crate) fn prepare(memory: u64) {
        Self::discard();
        let blank = Blank::new(memory);
        PREPARED.set(blank);
    }

    /// What was made ready on this thread goes.
    pub(crate) fn discard() {
        drop(PREPARED.take());
    }

    /// Makes one for the current thread. `None` if the snapshot does not fit this V8, which only a broken
    /// installation can bring about.
    pub(crate) fn new(services: Services) -> Option<Self> {
        let memory = services.limits.get(Limit::Memory);
        let blank = Blank::prepared(memory).or_else(|| Blank::new(memory))?;
        let Blank { mut isolate, context, .. } = blank;
        let state = State::new(services, isolate.thread_safe_handle());
        isolate.set_slot(state.clone());
        state.services.watch.attach(state.handle.clone());
        // SAFETY: the state outlives the isolate: this struct drops it after the isolate, and so does the guest.
        unsafe { limits::attach(&mut isolate, &state) };
        *state.context.borrow_mut() = Some(context.clone());
        Some(Self { isolate, context, state })
    }
}

/// Opens the snapshot's context and puts the ops into its registry.
fn attach(isolate: &mut v8::OwnedIsolate) -> Option<v8::Global<v8::Context>> {
    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    let scope = &mut v8::ContextScope::new(scope, context);
    // No `eval`, no `new Function`.
    context.set_allow_generation_from_strings(false);
    // V8 puts it into each context anew, also into one from a snapshot. Guests share no memory.
    let shared = v8::String::new(scope, "SharedArrayBuffer")?;
    context.global(scope).delete(scope, shared.into());
    let registry = scope.get_context_data_from_snapshot_once::<v8::Object>(0).ok()?;
    let key = v8::String::new(scope, "ops")?;
    let target = v8::Local::<v8::Object>::try_from(registry.get(scope, key.into())?).ok()?;
    for op in web::OPS.iter().copied().flatten() {
        let name = v8::String::new_from_one_byte(scope, op.name.as_bytes(), v8::NewStringType::Internalized)?;
        let function = (op.build)(scope)?;
        target.create_data_property(scope, name.into(), function.into())?;
    }
    let registry = v8::Global::new(scope, registry);
    scope.set_slot(Registry(registry));
    let receiver = v8::undefined(scope).into();
    let group = internal_function(scope, "takeLate")?.call(scope, receiver, &[])?;
    let name = v8::String::new(scope, "WebAssembly")?;
    let lazy =
        v8::AccessorConfiguration::new(lazy_global).property_attribute(v8::PropertyAttribute::DONT_ENUM);
    context.global(scope).set_accessor_with_configuration(scope, name.into(), lazy.data(group))?;
    Some(v8::Global::new(scope, context))
}

/// What the snapshot refers to by its place in this list: the getter of the lazy globals. `build.rs` has a stand-in.
fn external_references() -> Cow<'static, [v8::ExternalReference]> {
    let getter: v8::AccessorNameGetterCallback = lazy_global.map_fn_to();
    let references = [getter as *mut c_void, null_mut()];
    Cow::Owned(references.map(|pointer| v8::ExternalReference { pointer }).to_vec())
}

/// The getter of a lazy global: has its file run, which puts the value in its place. To guests it is a data property
/// from the beginning.
fn lazy_global<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: v8::Local<'s, v8::Name>,
    args: v8::PropertyCallbackArguments<'s>,
    mut rv: v8::ReturnValue<'_, v8::Value>,
) {
    let Some(load) = internal_function(scope, "loadGlobal") else { return };
    let receiver = v8::undefined(scope).into();
    // What it throws goes to whoever reads the name.
    if let Some(value) = load.call(scope, receiver, &[args.data(), name.into()]) {
        rv.set(value);
    }
}

/// The registry of the Web APIs' JavaScript: `nexus`.
pub(crate) fn registry<'s>(scope: &mut v8::PinScope<'s, '_>) -> Option<v8::Local<'s, v8::Object>> {
    let registry = scope.get_slot::<Registry>()?.0.clone();
    Some(v8::Local::new(scope, registry))
}

/// An internal function of the Web APIs' JavaScript: `nexus.NAME`.
pub(crate) fn internal_function<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
) -> Option<v8::Local<'s, v8::Function>> {
    let registry = registry(scope)?;
    let name = v8::String::new(scope, name)?;
    v8::Local::<v8::Function>::try_from(registry.get(scope, name.into())?).ok()
}

/// Notes promises that are rejected with nobody to hear it, and forgets those that somebody hears late.
///
/// # Safety
/// V8 calls it from within a scope of this thread.
#[allow(unsafe_code)]
unsafe extern "C" fn promise_rejected(message: v8::PromiseRejectMessage<'_>) {
    // SAFETY: as said above.
    v8::callback_scope!(unsafe scope, &message);
    let state = State::of(scope);
    let promise = message.get_promise();
    match message.get_event() {
        v8::PromiseRejectEvent::PromiseRejectWithNoHandler => {
            let Some(value) = message.get_value().filter(|_| state.rejections.borrow_mut().has_room()) else {
                return;
            };
            let hash = promise.get_identity_hash().get();
            let promise = v8::Global::new(scope, promise);
            let (value, key) = (v8::Global::new(scope, value), State::current(scope));
            state.rejections.borrow_mut().add(hash, promise, value, key);
        }
        v8::PromiseRejectEvent::PromiseHandlerAddedAfterReject => {
            let hash = promise.get_identity_hash().get();
            let promise = v8::Global::new(scope, promise);
            state.rejections.borrow_mut().remove(hash, &promise, State::current(scope));
        }
        _ => {}
    }
}

/// The function of a lazy file of the Web APIs' JavaScript.
pub(crate) fn lazy_file<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    file: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    let source = web::lazy_source(file)?;
    let name = v8::String::new(scope, &format!("nexus:{file}"))?;
    let origin = v8::ScriptOrigin::new(scope, name.into(), 0, 0, false, -1, None, false, false, false, None);
    let source = v8::String::new(scope, source)?;
    v8::Script::compile(scope, source, Some(&origin))?.run(scope)
}
