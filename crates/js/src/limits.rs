//! A guest's limits of CPU time, wall time and memory, looked at from within its turns.
//!
//! Each turn is on somebody's account: its request's, that of what the request left to `waitUntil`, the app's
//! loading, or its own where the guest acts by itself. It is compared with its limit at the turn's end, and in the
//! middle of turns that take long, by an interrupt which another thread asks for ([`look`]). So a guest is stopped by
//! its own thread only, in the very turn that went too far.
//!
//! A built-in function may take minutes without a look. Then the host gives the turn up from outside, and the thread
//! goes on for nobody, up to its end or a look: it sleeps there for good.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use nexus_core::Limit;
use nexus_guest::{Meter, Stop, StopReason, TurnGuard};

use crate::commit;
use crate::exception::prefix;
use crate::memory::Memory;
use crate::scope::ScopeKey;
use crate::state::State;

/// What a guest gets once beyond its heap's limit, so that stopping it does not itself run out of memory.
const HEADROOM: usize = 64 * 1024 * 1024;
/// So many bytes of buffers and WebAssembly memories a guest takes before they are added up.
const UNSEEN: usize = 1 << 20;
/// After a turn of so many nanoseconds the heap is measured: it may have grown much without a collection.
const LONG: u64 = 1_000_000;
/// How many frames of the guest's stack are told when it is stopped, and the longest name among them, in bytes.
const MAX_FRAMES: usize = 16;
const MAX_NAME: usize = 200;

/// The running turn's account. All times in nanoseconds.
#[derive(Clone, Copy)]
struct Account {
    /// Spent before the turn.
    before: u64,
    limit: u64,
    which: Limit,
}

/// What a guest spends and holds.
pub(crate) struct Accounts {
    pub(crate) memory: Rc<Memory>,
    meter: Meter,
    turn: Cell<Account>,
    /// Spent on loading the app so far; `None` once that is over.
    startup: Cell<Option<u64>>,
    isolate: Cell<v8::UnsafeRawIsolatePtr>,
    /// Taken since they were last added up, see [`may_take`].
    unseen: Cell<usize>,
}

impl Accounts {
    pub(crate) fn new(memory: u64) -> Self {
        Self {
            memory: Rc::new(Memory::new(memory)),
            meter: Meter::new(),
            turn: Cell::new(Account { before: 0, limit: u64::MAX, which: Limit::Cpu }),
            startup: Cell::new(Some(0)),
            isolate: Cell::new(v8::UnsafeRawIsolatePtr::null()),
            unseen: Cell::new(0),
        }
    }
}

thread_local! {
    /// The guest that this thread runs, for V8's callbacks that say nothing of it.
    static RUNNING: Cell<*const State> = const { Cell::new(std::ptr::null()) };
}

/// The heap's own limit for a limit of this many bytes. Pages are never quite full, and the young generation and code
/// have theirs, so with the same figure a guest would end well below its limit. What is in use is compared with the
/// limit after each collection.
pub(crate) fn heap_limit(memory: u64) -> usize {
    let memory = usize::try_from(memory).unwrap_or(usize::MAX);
    memory.saturating_add((memory / 8).max(8 << 20))
}

/// Where a guest takes memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// For a new buffer, which V8 notes at once.
    Anew,
    /// What grows, or begins to.
    Grown,
}

/// Whether the guest that this thread runs may have so many bytes more for its buffers and WebAssembly memories. Beyond
/// its limit it is to be looked at, as soon as V8 does that; beyond what its heap could be, it gets nothing.
pub(crate) fn may_take(bytes: usize, how: Taken) -> bool {
    // SAFETY: `detach` takes it away before the state goes.
    let Some(state) = (unsafe { RUNNING.get().as_ref() }) else { return true };
    let accounts = &state.accounts;
    let unseen = accounts.unseen.get().saturating_add(bytes);
    let may = if unseen < UNSEEN {
        accounts.unseen.set(unseen);
        true
    } else {
        accounts.unseen.set(0);
        // SAFETY: the isolate of the state, on its own thread; this reads one of its counters.
        let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr_unchecked(accounts.isolate.get()) };
        accounts.memory.set_external(external(&mut isolate));
        let (limit, total) = (accounts.memory.limit(), accounts.memory.total().saturating_add(bytes as u64));
        if total > limit {
            state.handle.interrupt();
        }
        total <= heap_limit(limit).saturating_add(HEADROOM) as u64
    };
    if may && how == Taken::Grown {
        accounts.memory.grow(bytes as u64);
    }
    may
}

/// Sets V8's callbacks of this isolate.
///
/// # Safety
/// `state` outlives the isolate, on the same thread.
pub(crate) unsafe fn attach(isolate: &mut v8::Isolate, state: &State) {
    let data: *mut c_void = std::ptr::from_ref(state).cast_mut().cast();
    // SAFETY: the pointer is used on this thread while the isolate lives, see `running`.
    state.accounts.isolate.set(unsafe { isolate.as_raw_isolate_ptr() });
    RUNNING.set(state);
    commit::attach(isolate);
    isolate.add_near_heap_limit_callback(near_heap_limit, data);
    isolate.add_gc_epilogue_callback(collected, data, v8::GCType::kGCTypeAll);
    isolate.set_oom_error_handler(out_of_memory);
}

/// The state goes.
pub(crate) fn detach(state: &State) {
    if std::ptr::eq(RUNNING.get(), state) {
        RUNNING.set(std::ptr::null());
    }
}

impl Accounts {
    /// Time that was taken outside of a turn, if it was for loading the app. Gives what that has taken so far.
    pub(crate) fn charge_startup(&self, cpu: Duration) -> Option<Duration> {
        let spent = self.startup.get()?.saturating_add(nanoseconds(cpu));
        self.startup.set(Some(spent));
        Some(Duration::from_nanos(spent))
    }

    /// The CPU limit of the running turn, or the last one.
    pub(crate) fn which(&self) -> Limit {
        self.turn.get().which
    }
}

impl State {
    /// A turn begins, on this request's account. What it returns is for [`State::end_turn`]; a panic in between ends
    /// the turn as well.
    pub(crate) fn begin_turn(&self, key: ScopeKey) -> TurnGuard<'_> {
        let accounts = &self.accounts;
        RUNNING.set(self);
        let (before, which) = match accounts.startup.get() {
            Some(spent) => (spent, Limit::Startup),
            None => (self.with_scope(key, |scope| scope.spent()).unwrap_or(0), Limit::Cpu),
        };
        let limit = nanoseconds(self.services.limits.time(which));
        accounts.turn.set(Account { before, limit, which });
        if key == ScopeKey::GUEST {
            self.guest_log.set(0);
        }
        accounts.meter.begin();
        self.services.watch.begin_turn()
    }

    /// The turn is over: it is charged, and the guest stopped if that was too much. Does not return from one that was
    /// given up.
    pub(crate) fn end_turn(&self, turn: TurnGuard<'_>, isolate: &mut v8::Isolate, key: ScopeKey) {
        self.rest_if_given_up();
        let accounts = &self.accounts;
        let mut cpu = accounts.meter.end();
        accounts.memory.set_external(external(isolate));
        let is_due = accounts.memory.turn_is_over();
        if is_due || cpu >= LONG || accounts.memory.is_high() {
            accounts.meter.begin();
            self.examine(isolate);
            accounts.memory.measured();
            cpu += accounts.meter.end();
        }
        self.services.watch.set_memory(accounts.memory.total());
        // It may have been given up since.
        drop(turn);
        self.with_scope(key, |scope| {
            if let Some(responder) = &scope.responder {
                responder.charge(Duration::from_nanos(cpu));
            }
        });
        if let Some(spent) = accounts.startup.get() {
            accounts.startup.set(Some(spent + cpu));
        }
        let Account { before, limit, which } = accounts.turn.get();
        if before + cpu > limit {
            self.stop_at_limit(StopReason::Cpu, which);
        }
    }

    /// Has the thread sleep for good if its turn was given up.
    fn rest_if_given_up(&self) {
        if self.services.watch.is_given_up() {
            // Nobody may reach into the isolate any more.
            self.handle.park();
            self.note_what_is_kept();
            self.services.watch.rest();
        }
    }

    /// Notes what the guest holds whose thread is about to sleep for good: what is committed is what the thread keeps.
    fn note_what_is_kept(&self) {
        // SAFETY: the isolate of the state, on its own thread; V8 itself reads its statistics before it runs out of
        // memory.
        let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr_unchecked(self.accounts.isolate.get()) };
        let statistics = isolate.get_heap_statistics();
        self.accounts.memory.set_heap(statistics.total_heap_size() as u64);
        self.accounts.memory.set_external(statistics.external_memory() as u64);
        self.services.watch.set_memory(self.accounts.memory.total());
    }

    /// The app is loaded: what comes is on its requests' accounts.
    pub(crate) fn loaded(&self) {
        self.accounts.startup.set(None);
    }

    /// Notes what the guest holds. Beyond the limit, and before the host takes it for nearly beyond, its garbage is
    /// collected; if it is beyond the limit even so, it ends.
    fn examine(&self, isolate: &mut v8::Isolate) {
        let memory = &self.accounts.memory;
        self.measure(isolate);
        if !memory.is_high() {
            return;
        }
        // On the isolate's own thread it collects at once, by `collected`'s account too.
        isolate.memory_pressure_notification(v8::MemoryPressureLevel::Critical);
        isolate.memory_pressure_notification(v8::MemoryPressureLevel::None);
        self.measure(isolate);
        memory.collected();
        if memory.is_beyond() {
            self.stop_at_limit(StopReason::Memory, Limit::Memory);
        }
    }

    /// Notes what the guest holds.
    pub(crate) fn measure(&self, isolate: &mut v8::Isolate) {
        let statistics = isolate.get_heap_statistics();
        let memory = &self.accounts.memory;
        self.compiled.sweep(isolate);
        memory.set_heap(statistics.used_heap_size() as u64);
        memory.set_external(statistics.external_memory() as u64);
        self.services.watch.set_memory(memory.total());
    }

    /// Whether the guest may have this many bytes more. Collects its garbage before it says no. An op asks before it
    /// makes something large out of what the guest gave it.
    pub(crate) fn has_room(&self, isolate: &mut v8::Isolate, bytes: usize) -> bool {
        let memory = &self.accounts.memory;
        let bytes = bytes as u64;
        self.measure(isolate);
        if !memory.has_room(bytes) && bytes <= memory.limit() {
            isolate.memory_pressure_notification(v8::MemoryPressureLevel::Critical);
            isolate.memory_pressure_notification(v8::MemoryPressureLevel::None);
            self.measure(isolate);
        }
        memory.has_room(bytes)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The bytes of buffers and WebAssembly memories.
fn external(isolate: &mut v8::Isolate) -> u64 {
    u64::try_from(isolate.adjust_amount_of_external_allocated_memory(0)).unwrap_or(0)
}

/// Looks at the limits of the guest that this thread is running, and stops it if it is beyond one.
///
/// # Safety
/// V8 calls it on the isolate's thread, in the middle of a turn, as the callback of an interrupt: where collecting
/// garbage and making objects is allowed, and running JavaScript is not.
pub(crate) unsafe extern "C" fn look(isolate: v8::UnsafeRawIsolatePtr, _data: *mut c_void) {
    // SAFETY: V8 gives the isolate that it is running, which has not ended before its callback returns.
    let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr_unchecked(isolate) };
    let state = State::of(&isolate);
    state.handle.looked();
    state.rest_if_given_up();
    let accounts = &state.accounts;
    let Some(wall) = accounts.meter.wall() else { return };
    if !state.is_stopped() {
        let Account { before, limit, which } = accounts.turn.get();
        if before + accounts.meter.so_far() > limit {
            state.stop_at_limit(StopReason::Cpu, which);
        } else if wall > state.services.limits.time(Limit::Wall) {
            state.stop_at_limit(StopReason::Wall, Limit::Wall);
        } else {
            state.examine(&mut isolate);
        }
    }
    if state.is_stopped() {
        state.note_stack(stack(&mut isolate, &state));
        state.terminate();
    }
}

/// The heap is about to reach its limit: the guest ends. It gets some headroom, once, to be unwound.
///
/// # Safety
/// V8 calls it on the isolate's thread, with the state that [`attach`] gave.
unsafe extern "C" fn near_heap_limit(data: *mut c_void, current: usize, initial: usize) -> usize {
    // SAFETY: the state lives as long as the isolate, on the same thread.
    let state = unsafe { &*data.cast::<State>() };
    state.stop_at_limit(StopReason::Memory, Limit::Memory);
    // The look that follows knows the stack, and terminates.
    state.handle.interrupt();
    if current > initial { current } else { current + HEADROOM }
}

/// A collection is over: what is left is what the guest holds.
///
/// # Safety
/// As for [`near_heap_limit`].
unsafe extern "C" fn collected(
    isolate: v8::UnsafeRawIsolatePtr,
    kind: v8::GCType,
    _flags: v8::GCCallbackFlags,
    data: *mut c_void,
) {
    // SAFETY: V8 gives the isolate that it collects for, and the state lives as long.
    let (mut isolate, state) =
        unsafe { (v8::Isolate::from_raw_isolate_ptr_unchecked(isolate), &*data.cast::<State>()) };
    let memory = &state.accounts.memory;
    if kind == v8::GCType::kGCTypeMarkSweepCompact {
        memory.booked();
    }
    state.measure(&mut isolate);
    if state.services.watch.is_given_up() {
        // It goes on to its end: what V8 holds outside of the heap for the running function would stay here.
        return;
    }
    if kind != v8::GCType::kGCTypeMarkSweepCompact {
        // The old generation's garbage is still there: a look has it collected.
        if memory.is_high() {
            state.handle.interrupt();
        }
        return;
    }
    memory.collected();
    if memory.is_beyond() {
        state.stop_at_limit(StopReason::Memory, Limit::Memory);
        state.handle.interrupt();
    }
}

/// V8 has no memory to go on with, and will not return to the turn. The host hears of it, and the thread sleeps for
/// good: V8 would end the process, with all other guests. It does if this returns.
///
/// # Safety
/// V8 calls it on the thread that ran out of memory.
unsafe extern "C" fn out_of_memory(location: *const c_char, _details: &v8::OomDetails) {
    // SAFETY: where V8 gives a location, it is one of its own constants.
    let location = (!location.is_null()).then(|| unsafe { CStr::from_ptr(location) });
    park(&location.map(CStr::to_string_lossy).unwrap_or_default());
}

thread_local! {
    /// Whether V8 has found itself broken on this thread.
    static BROKEN: Cell<bool> = const { Cell::new(false) };
}

unsafe extern "C" {
    /// `v8::base::SetPrintStackTrace`: what V8 calls right before it ends the process, whatever the reason. The crate has
    /// no name for it.
    #[link_name = "_ZN2v84base18SetPrintStackTraceEPFvvE"]
    fn set_print_stack_trace(print: extern "C" fn());
}

/// Has V8 tell before it ends the process, for the process. After V8's initialization, which sets its own.
pub(crate) fn hear_of_the_end() {
    v8::V8::set_fatal_error_handler(|_file: &str, _line: i32, _message: &str| BROKEN.set(true));
    // SAFETY: V8 keeps the pointer and calls it without arguments; nothing runs JavaScript before `initialize` is over.
    unsafe { set_print_stack_trace(ending) };
}

/// V8 is about to end the process. If one of its own checks failed, going on would not be safe. In all other cases a
/// guest has asked for more than there is or can be (`split` of a string into more characters than an array may have,
/// say), which V8 itself counts as harmless: then it is as if it were out of memory.
extern "C" fn ending() {
    if BROKEN.get() {
        eprintln!("{}", std::backtrace::Backtrace::force_capture());
        return;
    }
    park("it asked for more than V8 can make");
}

/// Tells the host that the guest ended in the middle of its turn, and never returns. A host that gave the turn up knows.
///
/// Returns on a thread without a guest only: V8's own, or one that makes an isolate. All guests wait for V8's threads
/// sooner or later, so there V8 is left to end the process, which its supervisor starts again.
fn park(what: &str) {
    // SAFETY: `detach` takes it away before the state goes.
    let Some(state) = (unsafe { RUNNING.get().as_ref() }) else {
        eprintln!("V8 ran out of memory on a thread that has no guest ({what})");
        return;
    };
    let told = catch_unwind(AssertUnwindSafe(|| {
        state.rest_if_given_up();
        // Nobody may reach into the isolate any more.
        state.handle.park();
        state.note_what_is_kept();
        let limit = state.services.limits.get(Limit::Memory);
        let detail = format!(
            "the app reached its memory limit of {} in one step, which V8 could not break off ({what})",
            Limit::Memory.show(limit)
        );
        let limit = Some((Limit::Memory, limit));
        state.services.abandon.abandon(Stop { reason: StopReason::Memory, limit, detail });
        // Just then.
        state.rest_if_given_up();
    }));
    // A panic has told of itself.
    drop(told);
    loop {
        std::thread::park();
    }
}

/// The guest's stack, a frame a line; empty if it has none.
fn stack(isolate: &mut v8::Isolate, state: &State) -> String {
    use std::fmt::Write;
    let Some(context) = state.context.borrow().clone() else { return String::new() };
    v8::scope!(let scope, isolate);
    let context = v8::Local::new(scope, context);
    let scope = &mut v8::ContextScope::new(scope, context);
    let mut out = String::new();
    let Some(trace) = v8::StackTrace::current_stack_trace(scope, MAX_FRAMES) else { return out };
    for index in 0..trace.get_frame_count() {
        let Some(frame) = trace.get_frame(scope, index) else { continue };
        let function = frame.get_function_name(scope).map(|name| prefix(scope, name, MAX_NAME));
        let file = frame.get_script_name_or_source_url(scope).map(|name| prefix(scope, name, MAX_NAME));
        let (file, line, column) =
            (file.unwrap_or_else(|| "<unknown>".into()), frame.get_line_number(), frame.get_column());
        let separator = if out.is_empty() { "" } else { "\n" };
        let _ = match function.filter(|name| !name.is_empty()) {
            Some(name) => write!(out, "{separator}    at {name} ({file}:{line}:{column})"),
            None => write!(out, "{separator}    at {file}:{line}:{column}"),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_without_a_guest_is_left_to_v8() {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            park("for the test");
            tell.send(()).unwrap();
        });
        told.recv_timeout(Duration::from_secs(20)).unwrap();
    }
}
