//! Natives of `sql.js`: what a guest asks of a database, and what it is told.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nexus_guest::{
    Answer, Bound, Capability, CapabilityError, CpuAccount, CpuBudget, Hold, Sql, SqlOperation, SqlResult,
    SqlStatement, SqlValue,
};

use super::bound::{self, Holds};
use crate::operations::Outcome;
use crate::ops::{self, arg_u32, byte_length};
use crate::scope::ScopeKey;
use crate::state::State;

pub(crate) const OPS: &[ops::Op] = ops::ops![
    sqlBatch => op_batch,
    sqlScript => op_script,
];

type Args<'a> = v8::FunctionCallbackArguments<'a>;
type Return<'s> = v8::ReturnValue<'s, v8::Value>;

/// What a database gave.
pub(crate) type Told = Result<Vec<SqlResult>, CapabilityError>;

/// `sqlBatch(id, texts, parameters)`: for each text, with its array of parameters, its result as
/// `[columns, values, changes, lastRowId, rowsRead, took, sizeAfter, statements]`; values are those of all rows, one after
/// another. A value, or a promise of it.
fn op_batch<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, rv: Return<'s>) {
    let Ok(texts) = v8::Local::<v8::Array>::try_from(args.get(1)) else { return };
    let Ok(parameters) = v8::Local::<v8::Array>::try_from(args.get(2)) else { return };
    if texts.length() as usize > SqlOperation::MOST_STATEMENTS {
        let message = format!("sql: at most {} statements are run at once", SqlOperation::MOST_STATEMENTS);
        return ops::throw_type_error(scope, &message);
    }
    let Some(mut hold) = bound::hold(scope) else { return };
    let mut statements = Vec::with_capacity(texts.length() as usize);
    for index in 0..texts.length() {
        let Some(text) = texts.get_index(scope, index) else { return };
        let Some(text) = self::text(scope, text, &mut hold) else { return };
        let Some(values) = parameters.get_index(scope, index) else { return };
        let Some(parameters) = self::parameters(scope, values, &mut hold) else { return };
        statements.push(SqlStatement { text: text.into(), parameters });
    }
    call(scope, &args, rv, SqlOperation::Batch(statements), hold);
}

/// `sqlScript(id, text)`: the result of all statements of a text together, likewise.
fn op_script<'s>(scope: &mut v8::PinScope<'s, '_>, args: Args<'s>, rv: Return<'s>) {
    let Some(mut hold) = bound::hold(scope) else { return };
    let Some(text) = text(scope, args.get(1), &mut hold) else { return };
    call(scope, &args, rv, SqlOperation::Script(text.into()), hold);
}

/// The text of a statement. `None`, with an error pending, if it is too long.
fn text(
    scope: &mut v8::PinScope<'_, '_>,
    value: v8::Local<'_, v8::Value>,
    hold: &mut Holds,
) -> Option<String> {
    let Ok(string) = v8::Local::<v8::String>::try_from(value) else { return Some(String::new()) };
    let size = ops::utf8_size(scope, string);
    if size > SqlOperation::MAX_TEXT {
        let message = format!("sql: a statement has at most {} bytes, not {size}", SqlOperation::MAX_TEXT);
        ops::throw_type_error(scope, &message);
        return None;
    }
    held(scope, hold, size)?;
    let mut bytes = Vec::new();
    ops::write_utf8(scope, string, &mut bytes);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// What is bound to a statement's parameters.
fn parameters(
    scope: &mut v8::PinScope<'_, '_>,
    values: v8::Local<'_, v8::Value>,
    hold: &mut Holds,
) -> Option<Vec<SqlValue>> {
    let values = v8::Local::<v8::Array>::try_from(values).ok()?;
    if values.length() as usize > SqlOperation::MOST_PARAMETERS {
        let message = format!("sql: a statement has at most {} parameters", SqlOperation::MOST_PARAMETERS);
        ops::throw_type_error(scope, &message);
        return None;
    }
    let mut read = Vec::with_capacity(values.length() as usize);
    for index in 0..values.length() {
        let value = values.get_index(scope, index)?;
        read.push(parameter(scope, value, hold)?);
    }
    Some(read)
}

fn parameter(
    scope: &mut v8::PinScope<'_, '_>,
    value: v8::Local<'_, v8::Value>,
    hold: &mut Holds,
) -> Option<SqlValue> {
    if value.is_null() {
        return Some(SqlValue::Null);
    }
    if value.is_boolean() {
        return Some(SqlValue::Integer(i64::from(value.is_true())));
    }
    if let Ok(number) = v8::Local::<v8::Number>::try_from(value) {
        return Some(number_of(number.value()));
    }
    if let Ok(number) = v8::Local::<v8::BigInt>::try_from(value) {
        let (number, is_whole) = number.i64_value();
        if !is_whole {
            ops::throw_range_error(scope, "sql: a whole number of SQLite's has at most 64 bits");
            return None;
        }
        return Some(SqlValue::Integer(number));
    }
    let string = v8::Local::<v8::String>::try_from(value).ok();
    let size = match string {
        Some(string) => ops::utf8_size(scope, string),
        None => byte_length(value),
    };
    if size > SqlOperation::MAX_VALUE {
        let message = format!("sql: a value has at most {} bytes, not {size}", SqlOperation::MAX_VALUE);
        ops::throw_type_error(scope, &message);
        return None;
    }
    held(scope, hold, size)?;
    let mut bytes = Vec::new();
    match string {
        Some(string) => {
            ops::write_utf8(scope, string, &mut bytes);
            Some(SqlValue::Text(String::from_utf8_lossy(&bytes).into()))
        }
        None => {
            ops::read_bytes(value, &mut bytes);
            Some(SqlValue::Blob(bytes.into()))
        }
    }
}

/// A number as SQLite has it: a whole one, where it is one that a double holds for sure.
fn number_of(number: f64) -> SqlValue {
    const SAFE: f64 = 9_007_199_254_740_991.0;
    if number.fract() == 0.0 && number.abs() <= SAFE {
        SqlValue::Integer(number as i64)
    } else {
        SqlValue::Real(number)
    }
}

/// Counts bytes of a call. `None`, with a `RangeError` pending, if there is no room for them.
fn held(scope: &mut v8::PinScope<'_, '_>, hold: &mut Holds, bytes: usize) -> Option<()> {
    if ops::room(scope, bytes) && hold.grow(bytes + 32) {
        return Some(());
    }
    if !scope.is_execution_terminating() {
        let message = ops::no_room(scope);
        ops::throw_range_error(scope, &message);
    }
    None
}

/// Who pays for what a call takes on other threads: its request, or, if nobody waits for the call any more, whoever asks next.
#[derive(Debug)]
struct Payer {
    spent: AtomicU64,
    has_gone: AtomicBool,
    unpaid: Arc<AtomicU64>,
}

impl CpuAccount for Payer {
    fn charge(&self, cpu: Duration) {
        let cpu = u64::try_from(cpu.as_nanos()).unwrap_or(u64::MAX);
        let account = if self.has_gone.load(Ordering::Acquire) { &self.unpaid } else { &self.spent };
        account.fetch_add(cpu, Ordering::Relaxed);
    }
}

/// Somebody waits for a call.
struct Waiting(Arc<Payer>);

impl Waiting {
    /// What was spent since the last time.
    fn spent(&self) -> Duration {
        Duration::from_nanos(self.0.spent.swap(0, Ordering::Relaxed))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.has_gone.store(true, Ordering::Release);
        let spent = self.0.spent.swap(0, Ordering::Relaxed);
        self.0.unpaid.fetch_add(spent, Ordering::Relaxed);
    }
}

/// Has the database asked, and returns what it says: now, or as a promise.
fn call<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: &Args<'s>,
    mut rv: Return<'s>,
    operation: SqlOperation,
    hold: Holds,
) {
    let state = State::of(scope);
    let key = State::current(scope);
    let Some(sql) = bound(&state, arg_u32(args, 0)) else { return };
    state.charge(key, Duration::from_nanos(state.unpaid.swap(0, Ordering::Relaxed)));
    let payer = Arc::new(Payer {
        spent: AtomicU64::new(0),
        has_gone: AtomicBool::new(false),
        unpaid: state.unpaid.clone(),
    });
    let budget = CpuBudget { most: state.cpu_left(key), account: payer.clone() };
    let waiting = Waiting(payer);
    match sql.call(state.request_id(key), operation, budget, Box::new(hold)) {
        Answer::Now(told) => match to_value(scope, told) {
            Ok(value) => rv.set(value),
            Err(error) => {
                scope.throw_exception(error);
            }
        },
        Answer::Later(later) => {
            let weak = Rc::downgrade(&state);
            let operation = async move {
                let told = later.await;
                if let Some(state) = weak.upgrade() {
                    state.charge(key, waiting.spent());
                }
                Outcome::Sql(Box::new(told))
            };
            if let Some(promise) = state.spawn(scope, key, operation) {
                rv.set(promise.into());
            }
        }
    }
}

fn bound(state: &State, index: u32) -> Option<Rc<dyn Sql>> {
    match state.services.bindings.get(index as usize)? {
        (_, Bound::Sql(sql)) => Some(sql.clone()),
        _ => None,
    }
}

impl State {
    /// The CPU time that a request has left, before the running turn is counted.
    fn cpu_left(&self, key: ScopeKey) -> Duration {
        let limit = self.accounts.which();
        let spent = self.with_scope(key, |scope| Duration::from_nanos(scope.spent())).unwrap_or_default();
        self.services.limits.time(limit).saturating_sub(spent)
    }
}

/// What was told, for JavaScript; the error's side is thrown.
pub(crate) fn to_value<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    told: Told,
) -> Result<v8::Local<'s, v8::Value>, v8::Local<'s, v8::Value>> {
    let results = told.map_err(|error| bound::refusal(scope, Capability::Sql, &error))?;
    let mut values: Vec<v8::Local<'_, v8::Value>> = Vec::with_capacity(results.len());
    for result in &results {
        match self::result(scope, result) {
            Some(value) => values.push(value),
            None => {
                let message = ops::no_room(scope);
                let message = v8::String::new(scope, &message).unwrap_or_else(|| v8::String::empty(scope));
                return Err(v8::Exception::range_error(scope, message));
            }
        }
    }
    Ok(v8::Array::new_with_elements(scope, &values).into())
}

fn result<'s>(scope: &mut v8::PinScope<'s, '_>, result: &SqlResult) -> Option<v8::Local<'s, v8::Value>> {
    let mut columns: Vec<v8::Local<'_, v8::Value>> = Vec::with_capacity(result.columns.len());
    for name in &result.columns {
        let kind = v8::NewStringType::Internalized;
        columns.push(v8::String::new_from_utf8(scope, name.as_bytes(), kind)?.into());
    }
    if !ops::has_room(scope, result.values.len() * 16) {
        return None;
    }
    let mut values: Vec<v8::Local<'_, v8::Value>> = Vec::with_capacity(result.values.len());
    for value in &result.values {
        values.push(self::value(scope, value)?);
    }
    let columns = v8::Array::new_with_elements(scope, &columns).into();
    let values = v8::Array::new_with_elements(scope, &values).into();
    let number = |number: f64| v8::Number::new(scope, number).into();
    let parts = [
        columns,
        values,
        number(result.changes as f64),
        number(result.last_row_id as f64),
        number(result.rows_read as f64),
        number(result.took.as_secs_f64() * 1000.0),
        number(result.size_after as f64),
        number(result.statements as f64),
    ];
    Some(v8::Array::new_with_elements(scope, &parts).into())
}

/// A value of SQLite's for JavaScript; `None` if there is no room for it. Bytes are a `Uint8Array`.
fn value<'s>(scope: &mut v8::PinScope<'s, '_>, value: &SqlValue) -> Option<v8::Local<'s, v8::Value>> {
    Some(match value {
        SqlValue::Null => v8::null(scope).into(),
        SqlValue::Integer(number) => match i32::try_from(*number) {
            Ok(number) => v8::Integer::new(scope, number).into(),
            Err(_) => v8::Number::new(scope, *number as f64).into(),
        },
        SqlValue::Real(number) => v8::Number::new(scope, *number).into(),
        SqlValue::Text(text) => {
            if !ops::has_room(scope, text.len() * 2) {
                return None;
            }
            v8::String::new_from_utf8(scope, text.as_bytes(), v8::NewStringType::Normal)?.into()
        }
        SqlValue::Blob(bytes) => ops::uint8_array(scope, bytes)?.into(),
    })
}
