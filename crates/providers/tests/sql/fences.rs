//! What no statement may do.

use std::sync::Arc;

use nexus_guest::{CapabilityError, SqlOperation, SqlValue};
use nexus_providers::sql::SqlEngine;

use super::desk::{Desk, Folder, int, statement, with_each};

#[test]
fn who_may_read_writes_by_no_trick() {
    with_each(|engine| {
        let owner = Desk::of(engine, "a");
        owner
            .script(
                "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1); \
                 CREATE VIEW w AS SELECT * FROM t; \
                 CREATE TRIGGER r INSTEAD OF INSERT ON w BEGIN INSERT INTO t VALUES (new.id, new.v); END; \
                 CREATE TABLE f (body); CREATE INDEX i ON t (v); PRAGMA user_version = 7;",
            )
            .unwrap();
        let reader = owner.clone().reading("a");
        let before = owner.values("SELECT * FROM t");
        let tricks = [
            "INSERT INTO t VALUES (2, 2)",
            "  /* SELECT */ -- SELECT\n insert into t values (2, 2)",
            "REPLACE INTO t VALUES (1, 2)",
            "WITH a AS (SELECT 5) INSERT INTO t SELECT 5, 5 FROM a",
            "WITH a AS (SELECT 1) UPDATE t SET v = 9",
            "WITH a AS (SELECT 1) DELETE FROM t",
            "INSERT INTO t VALUES (3, 3) RETURNING id",
            "DELETE FROM t RETURNING id",
            "UPDATE t SET v = 2 RETURNING v",
            "INSERT INTO w VALUES (8, 8)",
            "INSERT INTO f VALUES ('a')",
            "CREATE TABLE u (a)",
            "CREATE TABLE IF NOT EXISTS t (a)",
            "DROP TABLE t",
            "ALTER TABLE t ADD COLUMN x",
            "PRAGMA user_version = 1",
            "PRAGMA application_id = 1",
            "ANALYZE",
            "REINDEX",
        ];
        for trick in tricks {
            let error = reader.run(trick).unwrap_err();
            assert!(matches!(error, CapabilityError::Denied(_)), "{trick}: {error:?}");
            let again = reader.batch(&[statement("SELECT 1", &[]), statement(trick, &[])]).unwrap_err();
            assert_eq!(again, error, "{trick}");
            let script = reader.script(&format!("SELECT 1; {trick}")).unwrap_err();
            assert_eq!(script, error, "{trick}");
            assert_eq!(
                error.to_string(),
                "the app may not write sql `a` by its binding DB: the host does not grant it; \
                 `nexus grants add shop sql a` does"
            );
        }
        assert_eq!(reader.values("SELECT * FROM t"), before);
        assert_eq!(reader.number("PRAGMA user_version"), 7);
        assert!(reader.run("EXPLAIN QUERY PLAN SELECT * FROM t").is_ok());
        // Nor does who reads only make what is not there.
        assert!(Desk::of(engine, "other/new").reading("other/new").run("SELECT * FROM t").is_err());
    });
}

/// What is refused, whoever asks.
const REFUSED: &[&str] = &[
    "ATTACH '/tmp/nexus-sql-attached.db' AS x",
    "/**/ATTACH ':memory:' AS x",
    "DETACH main",
    "VACUUM",
    "VACUUM INTO '/tmp/nexus-sql-vacuum.db'",
    "SELECT load_extension('/tmp/x.so')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT fts3_tokenizer('simple', x'0000000000000000')",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('/tmp/nexus-sql-file', 'a')",
    "SELECT edit('a')",
    "SELECT sqlite_log(1, 'a')",
    "BEGIN",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "END",
    "ROLLBACK",
    "SAVEPOINT a",
    "RELEASE call",
    "ROLLBACK TO call",
    "EXPLAIN BEGIN",
    "EXPLAIN ATTACH 'a' AS b",
    "CREATE VIRTUAL TABLE x USING fts3(a)",
    "CREATE VIRTUAL TABLE x USING fts4(a)",
    "CREATE VIRTUAL TABLE x USING rtree(a, b, c)",
    "CREATE VIRTUAL TABLE x USING fts5(a)",
    "CREATE VIRTUAL TABLE x USING fts5vocab(f, row)",
    "SELECT rank FROM f('a', 'snippet(0, 1, 2, 3, 4)')",
    "PRAGMA data_version",
    "CREATE VIRTUAL TABLE x USING dbstat",
    "CREATE VIRTUAL TABLE x USING csv(filename='/etc/passwd')",
    "SELECT * FROM dbstat",
    "SELECT count(*) FROM DbStat",
    "SELECT * FROM sqlite_dbpage",
    "UPDATE sqlite_dbpage SET data = x'00'",
    "CREATE TEMP TABLE x (a)",
    "CREATE TABLE temp.x (a)",
    "CREATE TEMP VIEW x AS SELECT 1",
    "CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END",
    "UPDATE sqlite_master SET sql = 'x'",
    "UPDATE sqlite_schema SET sql = 'x'",
    "INSERT INTO sqlite_master VALUES ('table', 'x', 'x', 2, 'CREATE TABLE x (a)')",
    "DELETE FROM sqlite_master",
    "DROP TABLE sqlite_master",
    "PRAGMA writable_schema = ON",
    "PRAGMA main.writable_schema = 1",
    "PRAGMA writable_schema(1)",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA journal_mode",
    "PRAGMA page_size = 512",
    "PRAGMA max_page_count = 1000000000",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA temp_store_directory = '/tmp'",
    "PRAGMA data_store_directory = '/tmp'",
    "PRAGMA temp_store = FILE",
    "PRAGMA mmap_size = 1000000000",
    "PRAGMA cache_size = 1000000",
    "PRAGMA main.cache_size = 1000000",
    "PRAGMA cache_spill = OFF",
    "PRAGMA hard_heap_limit = 1",
    "PRAGMA soft_heap_limit = 1",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA query_only = OFF",
    "PRAGMA trusted_schema = ON",
    "PRAGMA recursive_triggers = ON",
    "PRAGMA case_sensitive_like = ON",
    "PRAGMA synchronous = OFF",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA wal_autocheckpoint = 0",
    "PRAGMA journal_size_limit = -1",
    "PRAGMA busy_timeout = 100000",
    "PRAGMA threads = 8",
    "PRAGMA encoding = 'UTF-16'",
    "PRAGMA schema_version = 1",
    "PRAGMA auto_vacuum = 0",
    "PRAGMA incremental_vacuum",
    "PRAGMA database_list",
    "SELECT file FROM pragma_database_list",
    "SELECT * FROM pragma_journal_mode",
    "PRAGMA module_list",
    "PRAGMA shrink_memory",
    "PRAGMA ignore_check_constraints = ON",
    "PRAGMA cell_size_check = OFF",
    "PRAGMA legacy_alter_table = ON",
    "PRAGMA read_uncommitted = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA nothing_of_the_kind",
];

fn prepared(engine: &Arc<dyn SqlEngine>) -> Desk {
    let desk = Desk::of(engine, "a");
    desk.script("CREATE TABLE t (v); INSERT INTO t VALUES (1); CREATE TABLE f (body);").unwrap();
    desk
}

fn is_refused(error: &CapabilityError, text: &str) {
    assert_eq!(error.code(), "EINVAL", "{text}: {error}");
    assert!(!error.to_string().contains("/tmp/nexus-sql-") || text.contains("/tmp/"), "{text}: {error}");
}

#[test]
fn nothing_leads_out_of_a_database_or_into_sqlite() {
    let folder = Folder::new();
    let memory: Arc<dyn SqlEngine> = Arc::new(nexus_providers::sql::SqliteSql::in_memory());
    for engine in [folder.engine(), memory] {
        let desk = prepared(&engine);
        let before = folder.list();
        let mut open = Vec::new();
        for text in REFUSED {
            // Asked twice, for what is kept is not to get by; and by who may only read; and within others.
            for _ in 0..2 {
                let Err(error) = desk.run(text) else {
                    open.push(*text);
                    break;
                };
                is_refused(&error, text);
            }
            if open.last() == Some(text) {
                continue;
            }
            is_refused(&desk.script(&format!("SELECT 1; {text}")).unwrap_err(), text);
            let written = [statement("INSERT INTO t VALUES (2)", &[]), statement(text, &[])];
            is_refused(&desk.batch(&written).unwrap_err(), text);
            assert!(desk.clone().reading("a").run(text).is_err(), "{text}");
        }
        assert_eq!(open, Vec::<&str>::new());
        // What was asked with them is undone, and all is as it was.
        assert_eq!(desk.values("SELECT v FROM t"), [int(1)]);
        assert_eq!(desk.values("PRAGMA integrity_check"), [super::desk::text("ok")]);
        assert_eq!(desk.number("PRAGMA foreign_keys"), 1);
        assert_eq!(folder.list(), before);
        engine.close();
    }
    for path in ["attached.db", "vacuum.db", "file"] {
        assert!(!std::path::Path::new(&format!("/tmp/nexus-sql-{path}")).exists());
    }
}

#[test]
fn the_providers_own_statements_are_not_kept_for_guests() {
    with_each(|engine| {
        let desk = prepared(engine);
        // These were done by the provider itself, on both connections.
        desk.batch(&[statement("SELECT 1", &[]), statement("SELECT 2", &[])]).unwrap();
        for text in [
            "BEGIN IMMEDIATE",
            "COMMIT",
            "SAVEPOINT call",
            "RELEASE call",
            "PRAGMA max_page_count = 25600",
            "PRAGMA query_only = OFF",
        ] {
            assert_eq!(desk.refused(text).0, "EINVAL", "{text}");
            assert!(desk.script(&format!("INSERT INTO t VALUES (1); {text}")).is_err());
        }
        assert_eq!(desk.values("SELECT v FROM t"), [int(1)]);
    });
}

#[test]
fn views_and_triggers_are_held_to_the_same() {
    with_each(|engine| {
        let desk = prepared(engine);
        for text in [
            "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT load_extension('a'); END",
            "CREATE VIEW x AS SELECT load_extension('a') AS a",
            "CREATE VIEW x AS SELECT * FROM dbstat",
            "CREATE TABLE y (a DEFAULT (load_extension('a')))",
        ] {
            // SQLite may take the definition, but not the use.
            let _ = desk.run(text);
        }
        assert!(desk.run("SELECT * FROM x").is_err());
        let _ = desk.run("INSERT INTO y DEFAULT VALUES").map(|_| panic!("it was used"));
    });
}

#[test]
fn deep_and_wide_texts_are_refused_without_harm() {
    with_each(|engine| {
        let desk = prepared(engine);
        let nested = |n: usize| format!("SELECT * FROM {}t{}", "(SELECT * FROM ".repeat(n), ")".repeat(n));
        let texts = [
            format!("SELECT {}1{}", "(".repeat(40_000), ")".repeat(40_000)),
            "SELECT 1".to_owned() + &"+1".repeat(40_000),
            format!("SELECT {}1", "NOT ".repeat(24_000)),
            format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(5000)),
            format!("SELECT {}", ["1"; 40_000].join(",")),
            format!("SELECT max({})", ["1"; 40_000].join(",")),
            nested(100),
            nested(1000),
            nested(5000),
            format!("SELECT {}1{}", "(SELECT ".repeat(10_000), ")".repeat(10_000)),
            format!("SELECT * FROM {}", vec!["t"; 30_000].join(",")),
            format!("SELECT * FROM {}", ["t"; 63].join(",")),
            format!(
                "WITH {} SELECT 1",
                (0..3000).map(|i| format!("a{i} AS (SELECT 1)")).collect::<Vec<_>>().join(",")
            ),
            "SELECT '".to_owned() + &"a".repeat(90_000),
            "SELECT ".to_owned() + &"case when 1 then ".repeat(5000),
        ];
        for text in &texts {
            let result = desk.run(text);
            assert!(result.is_ok() || result.unwrap_err().code() == "EINVAL", "{}", &text[..40]);
        }
        // Views on views, and triggers that start triggers.
        desk.run("CREATE VIEW v0 AS SELECT 1 AS a").unwrap();
        for block in 0..20 {
            let views: Vec<String> = (block * 100..block * 100 + 100)
                .map(|i| format!("CREATE VIEW v{} AS SELECT a FROM v{i}", i + 1))
                .collect();
            desk.script(&views.join(";")).unwrap();
        }
        for depth in [10, 100, 500, 2000] {
            let result = desk.run(&format!("SELECT a FROM v{depth}"));
            assert!(result.is_ok() || result.unwrap_err().code() == "EINVAL");
        }
        assert_eq!(desk.values("SELECT v FROM t"), [int(1)]);
    });
}

#[test]
fn an_operation_has_its_name() {
    let one = SqlOperation::Batch(vec![statement("SELECT 1", &[SqlValue::Null])]);
    assert_eq!((one.name(), one.size()), ("query", 24));
    assert_eq!(SqlOperation::Batch(vec![]).name(), "batch");
    assert_eq!(SqlOperation::Script("a".into()).name(), "script");
}
