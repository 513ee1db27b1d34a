//! `nexus:sql`: databases, as `wit/sql.wit` has them. What a guest opens is a binding of the app's to one.
//!
//! ```text
//! guest ─ connection.open("DB") ─► Connection ─ query, batch, script ─► View ─► Outgoing (in the store) ─► Post: Sql::call
//! ```
//!
//! There is no interface of WASI's for databases that others have, too: `wasi:sql` has rested since 2023, and has no
//! transactions.

use nexus_guest::{Capability, CapabilityError, SqlOperation, SqlResult, SqlStatement, SqlValue};
use wasmtime::component::{HasData, Linker, Resource};

use self::bindings::nexus::sql::database::{self, Error, Outcome, Statement, Value};
use crate::bound::{HasBindings, View};

mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "nexus:sql/imports",
        imports: { default: async | trappable },
        with: { "nexus:sql/database.connection": crate::sql::Connection },
        require_store_data_send: true,
    });
}

/// A database that a guest has opened.
#[allow(unreachable_pub, reason = "the bindings export it again")]
pub struct Connection {
    /// The binding's place among the app's.
    binding: usize,
}

/// Marks what the functions see of a store.
struct Databases;

impl HasData for Databases {
    type Data<'a> = View<'a>;
}

pub(crate) fn link<T: HasBindings + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    database::add_to_linker::<T, Databases>(linker, T::bindings)
}

/// What the guest is told.
type Told<T> = wasmtime::Result<Result<T, Error>>;

impl From<CapabilityError> for Error {
    fn from(error: CapabilityError) -> Self {
        let text = error.to_string();
        match error {
            CapabilityError::Denied(_) => Error::AccessDenied(text),
            CapabilityError::Unavailable(..) | CapabilityError::Busy(_) | CapabilityError::TimedOut(..) => {
                Error::Unavailable(text)
            }
            CapabilityError::Full(..) => Error::Quota(text),
            CapabilityError::Failed { .. } => Error::Other(text),
            _ => Error::Invalid(text),
        }
    }
}

impl From<Value> for SqlValue {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => SqlValue::Null,
            Value::Integer(number) => SqlValue::Integer(number),
            Value::Real(number) => SqlValue::Real(number),
            Value::Text(text) => SqlValue::Text(text.into()),
            Value::Blob(bytes) => SqlValue::Blob(bytes.into()),
        }
    }
}

impl From<SqlValue> for Value {
    fn from(value: SqlValue) -> Self {
        match value {
            SqlValue::Null => Value::Null,
            SqlValue::Integer(number) => Value::Integer(number),
            SqlValue::Real(number) => Value::Real(number),
            SqlValue::Text(text) => Value::Text(text.into()),
            SqlValue::Blob(bytes) => Value::Blob(bytes.into()),
        }
    }
}

impl From<SqlResult> for Outcome {
    fn from(result: SqlResult) -> Self {
        let SqlResult { columns, values, changes, last_row_id, .. } = result;
        let mut rows = Vec::new();
        let mut values = values.into_iter().map(Value::from);
        loop {
            let row: Vec<Value> = values.by_ref().take(columns.len()).collect();
            if row.is_empty() {
                break;
            }
            rows.push(row);
        }
        Outcome { columns: columns.into_iter().map(String::from).collect(), rows, changes, last_row_id }
    }
}

fn statement(text: String, parameters: Vec<Value>) -> SqlStatement {
    SqlStatement { text: text.into(), parameters: parameters.into_iter().map(SqlValue::from).collect() }
}

/// What is asked of a database, while the store is not looked at.
fn ask(
    view: &View<'_>,
    connection: &Resource<Connection>,
    operation: SqlOperation,
) -> impl Future<Output = Told<Vec<SqlResult>>> + Send + use<> {
    let (binding, outgoing) = (view.table.get(connection).map(|it| it.binding), view.outgoing.clone());
    async move { Ok(outgoing.sql(binding?, operation).await.map_err(Error::from)) }
}

impl database::Host for View<'_> {}

impl database::HostConnection for View<'_> {
    async fn open(&mut self, name: String) -> Told<Resource<Connection>> {
        match self.outgoing.binding(Capability::Sql, &name) {
            Some(binding) => Ok(Ok(self.table.push(Connection { binding })?)),
            None => Ok(Err(Error::NoSuchDatabase)),
        }
    }

    async fn query(
        &mut self,
        connection: Resource<Connection>,
        text: String,
        parameters: Vec<Value>,
    ) -> Told<Outcome> {
        let operation = SqlOperation::Batch(vec![statement(text, parameters)]);
        let results = ask(self, &connection, operation).await?;
        Ok(results.map(|results| results.into_iter().map(Outcome::from).next().unwrap_or_else(nothing)))
    }

    async fn batch(
        &mut self,
        connection: Resource<Connection>,
        statements: Vec<Statement>,
    ) -> Told<Vec<Outcome>> {
        let statements = statements.into_iter().map(|one| statement(one.text, one.parameters)).collect();
        let results = ask(self, &connection, SqlOperation::Batch(statements)).await?;
        Ok(results.map(|results| results.into_iter().map(Outcome::from).collect()))
    }

    async fn script(&mut self, connection: Resource<Connection>, text: String) -> Told<u64> {
        let results = ask(self, &connection, SqlOperation::Script(text.into())).await?;
        Ok(results.map(|results| results.iter().map(|result| result.statements).sum()))
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

fn nothing() -> Outcome {
    Outcome { columns: Vec::new(), rows: Vec::new(), changes: 0, last_row_id: 0 }
}
