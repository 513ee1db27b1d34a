//! Natives of `kv.js`: what a guest asks of a key-value store, and what it is told.

use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use nexus_guest::{
    Answer, Bound, Capability, CapabilityError, Hold, Kv, KvAnswer, KvChange, KvEntry, KvKey, KvList,
    KvOperation, KvPage, KvTransaction, KvVersion,
};

use super::bound::{self, Holds};
use crate::operations::Outcome;
use crate::ops::{self, arg_u32, byte_length};
use crate::state::State;

pub(crate) const OPS: &[ops::Op] = ops::ops![
    kvGet => op_get,
    kvList => op_list,
    kvWrite => op_write,
    kvTime => op_time,
];

type Args<'a> = v8::FunctionCallbackArguments<'a>;
type Return<'s> = v8::ReturnValue<'s, v8::Value>;

/// What a store gave, and how its values are to be seen.
#[derive(Debug)]
pub(crate) struct Told {
    result: Result<KvAnswer, CapabilityError>,
    as_text: bool,
}

/// `kvTime()`: seconds since 1970.
fn op_time<'s>(scope: &mut v8::PinScope<'s, '_>, _: Args<'s>, mut rv: Return<'s>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    rv.set(v8::Number::new(scope, now as f64).into());
}

/// `kvGet(id, how, keys)`: for each key null, or its entry as `[value, metadata, version]`; the value is a string if `how`
/// is 0, else a `Uint8Array`. A value, or a promise of it, as with all of these.
fn op_get<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, rv: Return<'s>) {
    let Some(keys) = list(scope, args.get(2)) else { return };
    let mut read = Vec::with_capacity(keys.len().min(KvOperation::MOST_KEYS));
    if keys.len() > KvOperation::MOST_KEYS {
        let message = format!("kv: at most {} keys are got at once", KvOperation::MOST_KEYS);
        return ops::throw_type_error(scope, &message);
    }
    for key in keys {
        let Some(key) = self::key(scope, key) else { return };
        read.push(key);
    }
    call(scope, &args, rv, KvOperation::Get(read), arg_u32(&args, 1) == 0);
}

/// `kvList(id, prefix, after, limit)`: `[[key, end, metadata, …], next]`.
fn op_list<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, rv: Return<'s>) {
    let Some(prefix) = ops::to_rust_string(scope, args.get(1)) else { return };
    let after = match args.get(2).is_null() {
        true => None,
        false => {
            let Some(after) = ops::to_rust_string(scope, args.get(2)) else { return };
            Some(after)
        }
    };
    let limit = arg_u32(&args, 3) as usize;
    call(scope, &args, rv, KvOperation::List(KvList { prefix, after, limit }), true);
}

/// `kvWrite(id, checks, changes)`: the version, or null if a check did not hold. Checks are `key, version, …`, where null is no
/// entry; changes `0, key, value, metadata, end, …` or `1, key, …`.
fn op_write<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, rv: Return<'s>) {
    let Some(checks) = list(scope, args.get(1)) else { return };
    let Some(changes) = list(scope, args.get(2)) else { return };
    if checks.len() / 2 + changes.len() / 2 > 3 * KvOperation::MOST_KEYS {
        // There are more than that, however many items each has.
        let message = format!("kv: at most {} checks and changes are made at once", KvOperation::MOST_KEYS);
        return ops::throw_type_error(scope, &message);
    }
    let Some(mut hold) = bound::hold(scope) else { return };
    let mut values = 0;
    let mut transaction = KvTransaction::default();
    for check in checks.chunks_exact(2) {
        let Some(key) = key(scope, check[0]) else { return };
        let version = match check[1].is_null() {
            true => None,
            false => {
                let Some(text) = ops::to_rust_string(scope, check[1]) else { return };
                match version(&text) {
                    Some(version) => Some(version),
                    None => return ops::throw_type_error(scope, "kv: a version is what an entry came with"),
                }
            }
        };
        transaction.checks.push((key, version));
    }
    let mut items = changes.into_iter();
    while let (Some(kind), Some(name)) = (items.next(), items.next()) {
        let Some(key) = key(scope, name) else { return };
        let change = if kind.uint32_value(scope) == Some(0) {
            let (Some(value), Some(metadata), Some(end)) = (items.next(), items.next(), items.next()) else {
                return;
            };
            let Some(value) = plain(scope, value) else { return };
            // All of them together, each as it comes: they are copies.
            values += value.len();
            if values > KvEntry::MAX_VALUE {
                return ops::throw_type_error(scope, "kv: at most 25 MB are put at once");
            }
            if !hold.grow(value.len() + KvKey::MAX) {
                let message = ops::no_room(scope);
                return ops::throw_range_error(scope, &message);
            }
            let metadata = match metadata.is_null() {
                true => None,
                false => {
                    let Some(text) = ops::to_rust_string(scope, metadata) else { return };
                    Some(text.into())
                }
            };
            let end = v8::Local::<v8::Number>::try_from(end).map_or(0, |end| end.value() as u64);
            KvChange::Put { value, metadata, expires: (end != 0).then_some(end) }
        } else {
            KvChange::Delete
        };
        transaction.changes.push((key, change));
    }
    call_with(scope, &args, rv, KvOperation::Write(transaction), true, hold);
}

/// The elements of an array that JavaScript has made for this.
fn list<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
) -> Option<Vec<v8::Local<'s, v8::Value>>> {
    let array = v8::Local::<v8::Array>::try_from(value).ok()?;
    if !ops::room(scope, array.length() as usize * 16) {
        return None;
    }
    (0..array.length()).map(|index| array.get_index(scope, index)).collect()
}

/// A key; `None`, with a `TypeError` pending, if it is none.
fn key(scope: &mut v8::PinScope<'_, '_>, value: v8::Local<'_, v8::Value>) -> Option<KvKey> {
    let text = ops::to_rust_string(scope, value)?;
    match text.parse() {
        Ok(key) => Some(key),
        Err(error) => {
            ops::throw_type_error(scope, &format!("kv: {error}"));
            None
        }
    }
}

fn version(text: &str) -> Option<KvVersion> {
    let is_one = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|_| is_one).map(KvVersion)
}

/// The bytes of a string or of a view. `None`, with an error pending, if there is no room for them.
fn plain(scope: &mut v8::PinScope<'_, '_>, value: v8::Local<'_, v8::Value>) -> Option<Bytes> {
    let mut bytes = Vec::new();
    if let Ok(string) = v8::Local::<v8::String>::try_from(value) {
        let size = ops::utf8_size(scope, string);
        if !fits(scope, size) || !ops::room(scope, size) {
            return None;
        }
        ops::write_utf8(scope, string, &mut bytes);
    } else {
        let size = byte_length(value);
        if !fits(scope, size) || !ops::room(scope, size) {
            return None;
        }
        ops::read_bytes(value, &mut bytes);
    }
    Some(bytes.into())
}

/// Whether a value is no larger than any may be; throws if it is. What comes by a string may be a little less.
fn fits(scope: &mut v8::PinScope<'_, '_>, size: usize) -> bool {
    let fits = size <= KvEntry::MAX_VALUE;
    if !fits {
        ops::throw_type_error(scope, "kv: a value has at most 25 MB");
    }
    fits
}

/// Has the store asked, and returns what it says: now, or as a promise.
fn call<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: &Args<'s>,
    rv: Return<'s>,
    operation: KvOperation,
    as_text: bool,
) {
    if let Some(hold) = bound::hold(scope) {
        call_with(scope, args, rv, operation, as_text, hold);
    }
}

fn call_with<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: &Args<'s>,
    mut rv: Return<'s>,
    operation: KvOperation,
    as_text: bool,
    hold: Holds,
) {
    let state = State::of(scope);
    let key = State::current(scope);
    let Some(kv) = bound(&state, arg_u32(args, 0)) else { return };
    match kv.call(state.request_id(key), operation, Box::new(hold)) {
        Answer::Now(result) => match to_value(scope, Told { result, as_text }) {
            Ok(value) => rv.set(value),
            Err(error) => {
                scope.throw_exception(error);
            }
        },
        Answer::Later(later) => {
            let operation = async move { Outcome::Kv(Box::new(Told { result: later.await, as_text })) };
            if let Some(promise) = state.spawn(scope, key, operation) {
                rv.set(promise.into());
            }
        }
    }
}

fn bound(state: &State, index: u32) -> Option<Rc<dyn Kv>> {
    match state.services.bindings.get(index as usize)? {
        (_, Bound::Kv(kv)) => Some(kv.clone()),
        _ => None,
    }
}

/// What was told, for JavaScript; the error's side is thrown.
pub(crate) fn to_value<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    told: Told,
) -> Result<v8::Local<'s, v8::Value>, v8::Local<'s, v8::Value>> {
    let answer = told.result.map_err(|error| bound::refusal(scope, Capability::Kv, &error))?;
    let value = match answer {
        KvAnswer::Entries(list) => entries(scope, &list, told.as_text),
        KvAnswer::Page(page) => self::page(scope, &page),
        KvAnswer::Written(written) => match written.version {
            Some(version) => Some(ops::latin1_string(scope, version.to_string().as_bytes()).into()),
            None => Some(v8::null(scope).into()),
        },
    };
    value.ok_or_else(|| {
        let message = ops::no_room(scope);
        let message = v8::String::new(scope, &message).unwrap_or_else(|| v8::String::empty(scope));
        v8::Exception::range_error(scope, message)
    })
}

fn entries<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    list: &[Option<KvEntry>],
    as_text: bool,
) -> Option<v8::Local<'s, v8::Value>> {
    let mut values: Vec<v8::Local<'_, v8::Value>> = Vec::with_capacity(list.len());
    for entry in list {
        let Some(entry) = entry else {
            values.push(v8::null(scope).into());
            continue;
        };
        let value: v8::Local<'_, v8::Value> =
            if as_text { text(scope, &entry.value)? } else { ops::uint8_array(scope, &entry.value)?.into() };
        let metadata = metadata(scope, entry.metadata.as_deref())?;
        let version = ops::latin1_string(scope, entry.version.to_string().as_bytes()).into();
        values.push(v8::Array::new_with_elements(scope, &[value, metadata, version]).into());
    }
    Some(v8::Array::new_with_elements(scope, &values).into())
}

fn page<'s>(scope: &mut v8::PinScope<'s, '_>, page: &KvPage) -> Option<v8::Local<'s, v8::Value>> {
    let mut values: Vec<v8::Local<'_, v8::Value>> = Vec::with_capacity(3 * page.keys.len());
    for listed in &page.keys {
        values.push(text(scope, listed.key.as_bytes())?);
        values.push(match listed.expires {
            Some(end) => v8::Number::new(scope, end as f64).into(),
            None => v8::null(scope).into(),
        });
        values.push(metadata(scope, listed.metadata.as_deref())?);
    }
    let keys = v8::Array::new_with_elements(scope, &values).into();
    let next = metadata(scope, page.next.as_deref())?;
    Some(v8::Array::new_with_elements(scope, &[keys, next]).into())
}

/// A string, or null.
fn metadata<'s>(scope: &mut v8::PinScope<'s, '_>, text: Option<&str>) -> Option<v8::Local<'s, v8::Value>> {
    match text {
        Some(text) => self::text(scope, text.as_bytes()),
        None => Some(v8::null(scope).into()),
    }
}

/// A string of these bytes, which are UTF-8 or nearly so; `None` if there is no room for it.
fn text<'s>(scope: &mut v8::PinScope<'s, '_>, bytes: &[u8]) -> Option<v8::Local<'s, v8::Value>> {
    if !ops::has_room(scope, bytes.len() * 2) {
        return None;
    }
    v8::String::new_from_utf8(scope, bytes, v8::NewStringType::Normal).map(Into::into)
}
