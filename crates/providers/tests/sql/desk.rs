//! What the tests ask databases with.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use nexus_core::{Access, AppName, Manifest, Resource, ResourceName};
use nexus_guest::{
    Answer, Capability, CapabilityError, CpuAccount, CpuBudget, Grant, GrantPolicy, GrantRule, Grants, Hold,
    SqlOperation, SqlResult, SqlStatement, SqlValue,
};
use nexus_providers::kv::Inside;
use nexus_providers::sql::{SqlCall, SqlEngine, SqliteSql, Work};

/// A folder of a test's own, which goes with it.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("nexus-sql-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn engine(&self) -> Arc<dyn SqlEngine> {
        Arc::new(SqliteSql::new(&self.0))
    }

    /// All files, by their paths within.
    pub(crate) fn list(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.0.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let path = entry.path();
                found.push(path.strip_prefix(&self.0).unwrap().to_str().unwrap().to_owned());
                if path.is_dir() {
                    folders.push(path);
                }
            }
        }
        found.sort();
        found
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a test against each engine.
pub(crate) fn with_each(test: impl Fn(&Arc<dyn SqlEngine>)) {
    test(&(Arc::new(SqliteSql::in_memory()) as Arc<dyn SqlEngine>));
    let folder = Folder::new();
    test(&folder.engine());
}

/// A database, asked in turn.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) engine: Arc<dyn SqlEngine>,
    pub(crate) database: Resource,
    pub(crate) grant: Arc<Grant>,
    pub(crate) cpu: Duration,
    /// What its calls took on other threads.
    pub(crate) paid: Arc<Paid>,
}

/// Memory of which so much is left.
pub(crate) struct Left(pub(crate) usize);

impl Hold for Left {
    fn grow(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

fn app(name: &str) -> AppName {
    AppName::parse(name).unwrap()
}

/// What the app `shop` may do with a database, whose owner has this quota.
pub(crate) fn grant(name: &str, access: Option<Access>, quota: &str) -> Arc<Grant> {
    let text = format!("[bindings]\nDB = {{ sql = \"{name}\" }}\n[limits]\nsql_storage = \"{quota}\"");
    let mut manifest = Manifest::parse(&text, "nexus.toml", "shop").unwrap();
    let grants = Grants::default();
    let scope = Capability::Sql.scope(name, &app("shop")).unwrap();
    grants.rule(GrantRule { app: app("shop"), capability: Capability::Sql, scope, given: access });
    grants.enter(GrantPolicy::All, &mut manifest).remove(0)
}

pub(crate) fn statement(text: &str, parameters: &[SqlValue]) -> SqlStatement {
    SqlStatement { text: text.into(), parameters: parameters.to_vec() }
}

pub(crate) fn text(text: &str) -> SqlValue {
    SqlValue::Text(text.into())
}

pub(crate) use SqlValue::Integer as int;

/// An account, in nanoseconds.
#[derive(Default)]
pub(crate) struct Paid(pub(crate) AtomicU64);

impl CpuAccount for Paid {
    fn charge(&self, cpu: Duration) {
        self.0.fetch_add(u64::try_from(cpu.as_nanos()).unwrap(), Ordering::Relaxed);
    }
}

pub(crate) fn wait<T: 'static>(answer: Answer<T>) -> Result<T, CapabilityError> {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(answer.wait())
}

impl Desk {
    pub(crate) fn of(engine: &Arc<dyn SqlEngine>, name: &str) -> Self {
        let database = name.parse::<ResourceName>().unwrap().of(&app("shop"));
        let grant = grant(name, Some(Access::Write), "100 MB");
        Self { engine: engine.clone(), database, grant, cpu: Duration::from_secs(20), paid: Arc::default() }
    }

    pub(crate) fn with_quota(mut self, name: &str, quota: &str) -> Self {
        self.grant = grant(name, Some(Access::Write), quota);
        self
    }

    pub(crate) fn reading(mut self, name: &str) -> Self {
        self.grant = grant(name, Some(Access::Read), "100 MB");
        self
    }

    pub(crate) fn ask(&self, operation: SqlOperation, work: Work) -> Answer<Vec<SqlResult>> {
        self.engine.call(
            &self.database,
            &self.grant,
            SqlCall { operation, budget: CpuBudget { most: self.cpu, account: self.paid.clone() } },
            work,
        )
    }

    pub(crate) fn call(&self, operation: SqlOperation) -> Result<Vec<SqlResult>, CapabilityError> {
        wait(self.ask(operation, Work::free()))
    }

    pub(crate) fn held(
        &self,
        operation: SqlOperation,
        bytes: usize,
    ) -> Result<Vec<SqlResult>, CapabilityError> {
        wait(self.ask(operation, Work { hold: Box::new(Left(bytes)), inside: Inside::nowhere() }))
    }

    pub(crate) fn batch(&self, statements: &[SqlStatement]) -> Result<Vec<SqlResult>, CapabilityError> {
        self.call(SqlOperation::Batch(statements.to_vec()))
    }

    pub(crate) fn with(&self, text: &str, parameters: &[SqlValue]) -> Result<SqlResult, CapabilityError> {
        self.batch(&[statement(text, parameters)]).map(|mut results| {
            assert_eq!(results.len(), 1);
            results.remove(0)
        })
    }

    pub(crate) fn run(&self, text: &str) -> Result<SqlResult, CapabilityError> {
        self.with(text, &[])
    }

    pub(crate) fn script(&self, text: &str) -> Result<SqlResult, CapabilityError> {
        self.call(SqlOperation::Script(text.into())).map(|mut results| results.remove(0))
    }

    /// What a query gives that has to go well.
    pub(crate) fn values(&self, text: &str) -> Vec<SqlValue> {
        self.run(text).unwrap_or_else(|error| panic!("{text}: {error}")).values
    }

    pub(crate) fn number(&self, text: &str) -> i64 {
        match self.values(text)[..] {
            [SqlValue::Integer(number)] => number,
            ref other => panic!("{text}: {other:?}"),
        }
    }

    /// The code and the text of what has to go wrong.
    pub(crate) fn refused(&self, text: &str) -> (&'static str, String) {
        match self.run(text) {
            Err(error) => (error.code(), error.to_string()),
            Ok(result) => panic!("{text}: {result:?}"),
        }
    }
}
