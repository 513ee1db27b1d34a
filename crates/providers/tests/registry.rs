//! The providers of a host: which binding comes to which, and what each may become.
#![allow(missing_docs, clippy::unwrap_used)]

use std::rc::Rc;
use std::time::Duration;

use nexus_core::{App, AppName, Manifest, OutboundSection, Provider, ProviderConfig, ProviderKind};
use nexus_guest::{
    Bound, Called, Capabilities, Capability, CapabilitySink, CpuBudget, Denied, GrantPolicy, Grants, NoHold,
    ProviderError, ProviderState, RequestId, SqlOperation, SqlStatement,
};
use nexus_providers::{Outbound, Providers};

struct Ear;

impl CapabilitySink for Ear {
    fn denied(&self, _: Option<RequestId>, _: &Denied) {}
    fn failed(&self, _: Option<RequestId>, _: &str) {}
    fn called(&self, _: Called<'_>) {}
}

fn config(kind: ProviderKind) -> ProviderConfig {
    ProviderConfig { kind, ..ProviderConfig::default() }
}

fn bind(providers: &Providers, bindings: &str) -> Result<Bound, String> {
    let mut manifest = Manifest::parse(&format!("[bindings]\n{bindings}"), "nexus.toml", "shop").unwrap();
    let grant = Grants::default().enter(GrantPolicy::All, &mut manifest).remove(0);
    let app = App { folder: "/nowhere".into(), manifest, main: None };
    providers.bind(&app, &app.manifest.bindings[0], grant, Rc::new(Ear))
}

fn ask(bound: &Bound, text: &str) -> Result<usize, String> {
    let Bound::Sql(sql) = bound else { panic!("no database") };
    let statement = SqlStatement { text: text.into(), parameters: vec![] };
    let (operation, budget) =
        (SqlOperation::Batch(vec![statement]), CpuBudget::unpaid(Duration::from_secs(5)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let answer = runtime.block_on(async { sql.call(None, operation, budget, Box::new(NoHold)).wait().await });
    answer.map(|results| results[0].values.len()).map_err(|error| error.to_string())
}

#[test]
fn each_capability_has_its_providers() {
    let folder = std::env::temp_dir().join(format!("nexus-registry-{}", std::process::id()));
    let outbound = Outbound::new(&OutboundSection::default()).unwrap();
    let fast = Provider { name: "fast".parse().unwrap(), config: config(ProviderKind::SqliteMemory) };
    let providers = Providers::new(outbound, &[fast], &folder);
    let control = providers.control().unwrap();
    let list: Vec<_> = control.list().iter().map(|status| (status.name.clone(), status.capability)).collect();
    let expected = [("fast", Capability::Sql), ("kv", Capability::Kv), ("sql", Capability::Sql)];
    assert_eq!(list, expected.map(|(name, capability)| (name.to_owned(), capability)));

    assert!(matches!(bind(&providers, "A = { kv = \"a\" }"), Ok(Bound::Kv(_))));
    let error = |text| bind(&providers, text).err().unwrap();
    assert_eq!(
        error("A = { sql = \"a\", provider = \"kv\" }"),
        "the provider `kv` is for kv, and the binding A is for sql; the host has for that: fast, sql"
    );
    assert_eq!(
        error("A = { kv = \"a\", provider = \"fast\" }"),
        "the provider `fast` is for sql, and the binding A is for kv; the host has for that: kv"
    );
    assert_eq!(
        error("A = { sql = \"a\", provider = \"none\" }"),
        "the host has no provider `none` for the binding A; it has: fast, sql"
    );

    let database = bind(&providers, "A = { sql = \"a\" }").unwrap();
    ask(&database, "CREATE TABLE t (v)").unwrap();
    assert_eq!(ask(&database, "SELECT 1, 2"), Ok(2));
    assert!(ask(&database, &"x".repeat(100_001)).unwrap_err().contains("at most 100000 bytes"));
    let reading = bind(&providers, "A = { sql = \"a\", access = \"read\" }").unwrap();
    assert_eq!(ask(&reading, "SELECT v FROM t"), Ok(0));
    assert!(
        ask(&reading, "WITH a AS (SELECT 1) DELETE FROM t").unwrap_err().contains("ask for \"write\" there")
    );

    // What it carries out stays; how it does may change, and its files are there again.
    let unfit = control.update("sql", config(ProviderKind::Redb)).unwrap_err();
    assert!(matches!(&unfit, ProviderError::Unfit(why) if why.contains("for sql")), "{unfit}");
    assert!(control.update("kv", config(ProviderKind::SqliteMemory)).is_err());
    control.update("sql", config(ProviderKind::SqliteMemory)).unwrap();
    assert!(ask(&database, "SELECT * FROM t").unwrap_err().starts_with("no such table"));
    control.update("sql", config(ProviderKind::Sqlite)).unwrap();
    assert_eq!(ask(&database, "SELECT * FROM t"), Ok(0));
    control.stop("sql").unwrap();
    assert_eq!(ask(&database, "SELECT 1").unwrap_err(), "the provider `sql` is stopped; try again later");
    let state = |name: &str| control.list().into_iter().find(|status| status.name == name).unwrap();
    assert_eq!(
        (state("sql").state, state("sql").version, state("sql").calls),
        (ProviderState::Stopped, 3, 0)
    );
    control.start("sql").unwrap();
    assert_eq!(ask(&database, "SELECT * FROM t"), Ok(0));
    control.release(&AppName::parse("shop").unwrap());
    assert!(ask(&database, "SELECT * FROM t").unwrap_err().starts_with("no such table"));
    std::fs::remove_dir_all(&folder).unwrap();
}
