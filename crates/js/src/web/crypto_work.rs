//! Where cryptography is done: at once, or on threads of its own where it may take long.
//!
//! ```text
//! op ─► run ─┬─ short ─► the result
//!            └─ long ──► a promise ─► the guest's turn ─► the process's turn ─► a blocking thread
//! ```
//!
//! A guest (a worker of an app) has one long calculation at a time, and the process as many as it has processors: so no app's calculations stand in
//! front of another one's for longer than one of them takes. Their CPU time is charged to the request.

use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nexus_core::Limit;
use nexus_crypto::{Error, Pkey, Secret};
use nexus_guest::StopReason;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Semaphore;

use super::held::Held;
use crate::operations::Outcome;
use crate::ops;
use crate::scope::ScopeKey;
use crate::state::State;

/// The host's part of a `CryptoKey`. Clones are the same key.
#[derive(Clone)]
pub(crate) enum Key {
    Secret(Arc<Secret>),
    Pkey(Arc<Pkey>),
}

impl From<Pkey> for Key {
    fn from(key: Pkey) -> Self {
        Key::Pkey(Arc::new(key))
    }
}

impl Key {
    /// What it takes, in bytes, about: no key is far from that.
    pub(super) fn size(&self) -> usize {
        match self {
            Key::Secret(bytes) => 128 + bytes.len(),
            // An RSA key has its numbers twice and more.
            Key::Pkey(key) => 4096 + 8 * key.rsa_bits() as usize,
        }
    }
}

/// What a calculation gives.
pub(crate) enum Made {
    Bytes(Secret),
    Bool(bool),
    /// A key.
    One(Key),
    /// A private key and its public one.
    Pair(Pkey, Pkey),
}

/// The same, or why there is none.
pub(crate) type Result = std::result::Result<Made, Error>;

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what a calculation gave")
    }
}

impl From<Vec<u8>> for Made {
    fn from(bytes: Vec<u8>) -> Self {
        Made::Bytes(Secret::new(bytes))
    }
}

/// A result for JavaScript: a `Uint8Array`, a boolean, or keys as `[object, number, …]`; of an error its name and its
/// message in a string, with a colon between them. `None` if there is no room for it.
pub(crate) fn to_value<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    result: Result,
) -> Option<v8::Local<'s, v8::Value>> {
    match result {
        Ok(Made::Bytes(bytes)) => ops::uint8_array(scope, &bytes).map(Into::into),
        Ok(Made::Bool(value)) => Some(v8::Boolean::new(scope, value).into()),
        Ok(Made::One(key)) => Some(keys(scope, [key])),
        Ok(Made::Pair(private, public)) => Some(keys(scope, [private.into(), public.into()])),
        Err(error) => Some(failure(scope, error)),
    }
}

/// The same in a box, for the promise of it: `await` and the resolution of promises ask objects for `then`, and what has no
/// prototype asks nobody.
pub(crate) fn to_box<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    result: Result,
) -> Option<v8::Local<'s, v8::Value>> {
    let value = to_value(scope, result)?;
    Some(boxed(scope, "value", value))
}

fn boxed<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    value: v8::Local<'s, v8::Value>,
) -> v8::Local<'s, v8::Value> {
    let null = v8::null(scope).into();
    let name = ops::latin1_string(scope, name.as_bytes()).into();
    v8::Object::with_prototype_and_properties(scope, null, &[name], &[value]).into()
}

/// An error as JavaScript has it.
pub(super) fn failure<'s>(scope: &mut v8::PinScope<'s, '_>, error: Error) -> v8::Local<'s, v8::Value> {
    let name = match error {
        Error::Operation(_) => "OperationError",
        Error::Data(_) => "DataError",
    };
    ops::latin1_string(scope, format!("{name}:{error}").as_bytes()).into()
}

/// Keys as `[object, number, …]`: each lives as long as its object.
pub(super) fn keys<'s, const N: usize>(
    scope: &mut v8::PinScope<'s, '_>,
    keys: [Key; N],
) -> v8::Local<'s, v8::Value> {
    let mut list: Vec<v8::Local<'_, v8::Value>> = Vec::with_capacity(2 * N);
    for key in keys {
        let holder = v8::Object::new(scope);
        let size = key.size();
        let id = Held::open(scope, holder, key, size);
        list.push(holder.into());
        list.push(v8::Integer::new_from_unsigned(scope, id).into());
    }
    v8::Array::new_with_elements(scope, &list).into()
}

/// Whether nobody wants a calculation's result any more.
pub(super) struct Gone(AtomicBool);

impl Gone {
    pub(super) fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Tells it: the operation that waits for the result was dropped.
struct Wanted(Arc<Gone>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Does a calculation now, and returns its result to JavaScript.
pub(super) fn run_now<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    rv: v8::ReturnValue<'s, v8::Value>,
    result: Result,
) {
    let value = to_value(scope, result);
    answer(scope, rv, value);
}

/// Returns a value, or throws a `RangeError` if there is no room for it.
pub(super) fn answer<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
    value: Option<v8::Local<'s, v8::Value>>,
) {
    match value {
        Some(value) => rv.set(value),
        None => {
            let message = ops::no_room(scope);
            ops::throw_range_error(scope, &message);
        }
    }
}

/// Does a calculation, and returns its result to JavaScript: now, or, if it may take long, as `{ promise }` of
/// `{ value }`, both without a prototype. `takes` is what it holds meanwhile, in bytes.
///
/// A calculation that has begun cannot be taken back. So whatever bounds it goes with it to its thread: its turn, the memory
/// that it holds, and the account of what it took.
pub(super) fn run<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    mut rv: v8::ReturnValue<'s, v8::Value>,
    is_long: bool,
    takes: usize,
    work: impl FnOnce(&Gone) -> Result + Send + 'static,
) {
    let gone = Arc::new(Gone(AtomicBool::new(false)));
    if !is_long {
        return run_now(scope, rv, work(&gone));
    }
    let (state, key) = (State::of(scope), State::current(scope));
    // What calculations took that nobody waited for in the end is paid by whoever wants the next one.
    let unpaid = state.unpaid.swap(0, Ordering::Relaxed);
    state.charge(key, Duration::from_nanos(unpaid));
    let mut share = state.accounts.memory.hold();
    share.grow(takes);
    let (weak, own, unpaid) = (Rc::downgrade(&state), state.calculations.clone(), state.unpaid.clone());
    let promise = state.spawn(scope, key, async move {
        let wanted = Wanted(gone.clone());
        let result = async {
            // Neither is ever closed.
            let own = own.acquire_owned().await.ok()?;
            let processor = processors().acquire_owned().await.ok()?;
            let work = move || {
                let _held = (own, processor, share);
                if gone.is_so() {
                    return None;
                }
                let began = thread_cpu();
                let result = work(&gone);
                let cpu = thread_cpu().saturating_sub(began);
                if gone.is_so() {
                    unpaid.fetch_add(u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
                }
                Some((result, cpu))
            };
            tokio::task::spawn_blocking(work).await.ok().flatten()
        };
        let result = match result.await {
            Some((result, cpu)) => {
                if let Some(state) = weak.upgrade() {
                    state.charge(key, cpu);
                }
                result
            }
            None => Err(Error::Operation("the calculation was given up")),
        };
        drop(wanted);
        Outcome::Calculated(result)
    });
    if let Some(promise) = promise {
        rv.set(boxed(scope, "promise", promise.into()));
    }
}

fn processors() -> Arc<Semaphore> {
    static PROCESSORS: OnceLock<Arc<Semaphore>> = OnceLock::new();
    let number = || std::thread::available_parallelism().map_or(1, |number| number.get());
    PROCESSORS.get_or_init(|| Arc::new(Semaphore::new(number()))).clone()
}

/// The thread's CPU time.
pub(super) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

impl State {
    /// CPU time that a request has taken outside of its turns: the guest is stopped if that was too much.
    pub(super) fn charge(&self, key: ScopeKey, cpu: Duration) {
        let spent = self.with_scope(key, |scope| {
            if let Some(responder) = &scope.responder {
                responder.charge(cpu);
            }
            Duration::from_nanos(scope.spent())
        });
        let (spent, limit) = match self.accounts.charge_startup(cpu) {
            Some(spent) => (spent, Limit::Startup),
            // What the app itself does is held to the limit each by itself, as its turns are.
            None => (spent.unwrap_or(cpu), Limit::Cpu),
        };
        if spent > self.services.limits.time(limit) {
            self.stop_at_limit(StopReason::Cpu, limit);
        }
    }
}
