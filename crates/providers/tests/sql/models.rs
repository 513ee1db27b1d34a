//! Databases against what they should come to, for whatever is asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nexus_guest::SqlValue;
use nexus_providers::sql::{SqlEngine, SqliteSql};
use proptest::prelude::*;

use super::desk::{Desk, Folder, int, statement};

/// What statements are made of, so that some of them mean something.
fn any_text() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "SELECT",
        "*",
        "FROM",
        "t",
        "sqlite_schema",
        "WHERE",
        "v",
        "=",
        "1",
        "'a'",
        "INSERT",
        "INTO",
        "VALUES",
        "(",
        ")",
        ",",
        ";",
        "ATTACH",
        "AS",
        "x",
        "VACUUM",
        "'/tmp/nexus-sql-any.db'",
        "PRAGMA",
        "journal_mode",
        "writable_schema",
        "user_version",
        "ON",
        "CREATE",
        "TEMP",
        "TABLE",
        "VIRTUAL",
        "USING",
        "fts5",
        "VIEW",
        "TRIGGER",
        "AFTER",
        "BEGIN",
        "END",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT",
        "UPDATE",
        "SET",
        "DELETE",
        "DROP",
        "ALTER",
        "RENAME",
        "TO",
        "WITH",
        "RECURSIVE",
        "UNION",
        "ALL",
        "load_extension",
        "zeroblob",
        "randomblob",
        "9e9",
        "-",
        "+",
        "||",
        "ORDER",
        "BY",
        "GROUP",
        "LIMIT",
        "JOIN",
        "RETURNING",
        "EXPLAIN",
        "REINDEX",
        "ANALYZE",
        "json_each",
        "dbstat",
        "pragma_database_list",
        "?",
        "?2",
        ":a",
        "--",
        "/*",
        "*/",
        "\"",
        "'",
        "\0",
        "é",
        "x'00'",
        "NULL",
        "INDEX",
        "f",
    ]);
    prop_oneof![
        8 => prop::collection::vec(words, 1..14).prop_map(|words| words.join(" ")),
        2 => "\\PC{0,60}",
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn any_text_gives_an_answer_or_an_error_and_leads_nowhere(texts in prop::collection::vec(any_text(), 1..25)) {
        let folder = Folder::new();
        let memory: Arc<dyn SqlEngine> = Arc::new(SqliteSql::in_memory());
        for engine in [folder.engine(), memory] {
            let mut desk = Desk::of(&engine, "a");
            desk.cpu = Duration::from_millis(500);
            desk.script("CREATE TABLE t (v); INSERT INTO t VALUES (1); CREATE TABLE f (v);").unwrap();
            let reader = desk.clone().reading("a");
            let before = folder.list();
            for text in &texts {
                for result in [reader.run(text), desk.run(text), desk.with(text, &[int(1), int(2)]), desk.script(text)] {
                    if let Err(error) = result {
                        prop_assert!(["EINVAL", "EPERM", "EQUOTA", "ECPU"].contains(&error.code()), "{}: {:?}", text, error);
                        prop_assert!(!error.to_string().contains("panicked"), "{}: {}", text, error);
                    }
                }
                prop_assert_eq!(folder.list(), before.clone(), "{}", text);
            }
            prop_assert_eq!(folder.list(), before);
            prop_assert!(!std::path::Path::new("/tmp/nexus-sql-any.db").exists());
            prop_assert_eq!(desk.values("PRAGMA integrity_check"), [SqlValue::Text("ok".into())]);
            engine.close();
        }
    }
}

/// A step of a model.
#[derive(Debug, Clone)]
enum Step {
    /// These together: a key with what it is to be, or without. The last may fail on purpose.
    Write(Vec<(i64, Option<Vec<u8>>)>, bool),
    Add(i64),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = prop::option::of(prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        prop::collection::vec(any::<u8>(), 4000..9000),
    ]);
    let changes = prop::collection::vec((0i64..10, value), 1..5);
    let step = prop_oneof![
        6 => (changes, any::<bool>()).prop_map(|(changes, fails)| Step::Write(changes, fails)),
        2 => (0i64..10).prop_map(Step::Add),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..15)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn all_engines_keep_what_a_map_keeps(steps in steps()) {
        let folder = Folder::new();
        let mut engines: Vec<Arc<dyn SqlEngine>> = vec![Arc::new(SqliteSql::in_memory()), folder.engine()];
        let mut model: BTreeMap<i64, Vec<u8>> = BTreeMap::new();
        for engine in &engines {
            Desk::of(engine, "a").run("CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB)").unwrap();
        }
        for step in steps {
            match step {
                Step::Write(changes, fails) => {
                    let mut statements: Vec<_> = changes.iter().map(|(key, value)| match value {
                        Some(value) => statement(
                            "INSERT INTO t VALUES (?, ?) ON CONFLICT DO UPDATE SET v = excluded.v",
                            &[int(*key), SqlValue::Blob(value.clone().into())],
                        ),
                        None => statement("DELETE FROM t WHERE k = ?", &[int(*key)]),
                    }).collect();
                    if fails {
                        statements.push(statement("INSERT INTO t VALUES ('no number', 1)", &[]));
                    }
                    for engine in &engines {
                        prop_assert_eq!(Desk::of(engine, "a").batch(&statements).is_err(), fails);
                    }
                    for (key, value) in changes.into_iter().filter(|_| !fails) {
                        match value {
                            Some(value) => model.insert(key, value),
                            None => model.remove(&key),
                        };
                    }
                }
                Step::Add(key) => {
                    for engine in &engines {
                        let text = "UPDATE t SET v = CAST(v || x'61' AS BLOB) WHERE k >= ?";
                        let changed = Desk::of(engine, "a").with(text, &[int(key)]).unwrap().changes;
                        prop_assert_eq!(changed as usize, model.range(key..).count());
                    }
                    model.range_mut(key..).for_each(|(_, value)| value.push(b'a'));
                }
                Step::Reopen => {
                    engines[1].close();
                    engines[1] = folder.engine();
                }
            }
            let expected: Vec<SqlValue> = model
                .iter()
                .flat_map(|(key, value)| [int(*key), SqlValue::Blob(value.clone().into())])
                .collect();
            for engine in &engines {
                prop_assert_eq!(&Desk::of(engine, "a").values("SELECT k, v FROM t ORDER BY k"), &expected);
            }
        }
    }
}
