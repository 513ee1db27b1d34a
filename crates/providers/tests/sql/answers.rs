//! What is asked and answered.

use nexus_guest::{CapabilityError, SqlOperation, SqlValue};

use super::desk::{Desk, int, statement, text, with_each};

#[test]
fn values_come_back_as_they_were_bound() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        desk.run("CREATE TABLE t (id INTEGER PRIMARY KEY, v)").unwrap();
        let values = [
            SqlValue::Null,
            int(0),
            int(i64::MAX),
            int(i64::MIN),
            int(-1),
            SqlValue::Real(0.5),
            SqlValue::Real(f64::MAX),
            SqlValue::Real(f64::INFINITY),
            SqlValue::Real(-1e-300),
            text(""),
            text("a\0b"),
            text("äöü€😀\u{10ffff}"),
            text(&"x".repeat(100_000)),
            SqlValue::Blob(vec![].into()),
            SqlValue::Blob((0..=255).collect::<Vec<u8>>().into()),
            SqlValue::Blob(vec![0; 1_000_000].into()),
        ];
        for (id, value) in values.iter().enumerate() {
            let id = id as i64;
            let written = desk.with("INSERT INTO t VALUES (?, ?)", &[int(id), value.clone()]).unwrap();
            assert_eq!((written.changes, written.last_row_id, written.statements), (1, id, 1));
            let read = desk.with("SELECT v, ?1 FROM t WHERE id = ?1", &[int(id)]).unwrap();
            assert_eq!(read.values, [value.clone(), int(id)]);
            assert_eq!((read.changes, read.rows_read), (0, 1));
        }
        desk.with("INSERT INTO t VALUES (99, ?)", &[SqlValue::Real(f64::NAN)]).unwrap();
        assert_eq!(desk.values("SELECT v FROM t WHERE id = 99"), [SqlValue::Null]);
        assert_eq!(desk.number("SELECT count(*) FROM t"), values.len() as i64 + 1);
    });
}

#[test]
fn a_result_has_its_columns_in_order_also_if_two_are_named_alike() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        let result = desk.run("SELECT 1 AS a, 2 AS b, 3 AS a UNION ALL SELECT 4, 5, 6").unwrap();
        assert_eq!(result.columns, ["a".into(), "b".into(), "a".into()]);
        assert_eq!(result.values, [1, 2, 3, 4, 5, 6].map(int));
        desk.script("CREATE TABLE t (x, y); INSERT INTO t VALUES (1, 2)").unwrap();
        let none = desk.run("SELECT y, x FROM t WHERE x = 9").unwrap();
        assert_eq!((none.columns.len(), none.values.len()), (2, 0));
        let star = desk.run("SELECT * FROM t").unwrap();
        desk.run("ALTER TABLE t ADD COLUMN z DEFAULT 7").unwrap();
        // The statement was kept, and is another one by now.
        let more = desk.run("SELECT * FROM t").unwrap();
        assert_eq!((star.columns.len(), more.columns.len(), more.values.len()), (2, 3, 3));
        let returned = desk.run("INSERT INTO t VALUES (5, 6, 7) RETURNING x, z").unwrap();
        assert_eq!((returned.values, returned.changes), (vec![int(5), int(7)], 1));
    });
}

#[test]
fn a_batch_is_done_or_not_at_all() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        let made = desk
            .batch(&[
                statement("CREATE TABLE t (id INTEGER PRIMARY KEY, n)", &[]),
                statement("INSERT INTO t VALUES (?, ?)", &[int(1), int(10)]),
                statement("SELECT n FROM t", &[]),
            ])
            .unwrap();
        assert_eq!((made.len(), &*made[2].values), (3, &[int(10)][..]));
        assert!(made[2].size_after >= 8192);
        let error = desk
            .batch(&[
                statement("UPDATE t SET n = 11", &[]),
                statement("INSERT INTO t VALUES (1, 1)", &[]),
                statement("INSERT INTO t VALUES (2, 2)", &[]),
            ])
            .unwrap_err();
        let told = "UNIQUE constraint failed: t.id: SQLITE_CONSTRAINT";
        assert_eq!(error, CapabilityError::Invalid(told.into()));
        let error = desk.batch(&[statement("DELETE FROM t", &[]), statement("nonsense", &[])]).unwrap_err();
        assert_eq!(error.to_string(), "near \"nonsense\": syntax error: SQLITE_ERROR");
        assert_eq!(desk.values("SELECT id, n FROM t"), [int(1), int(10)]);
        assert_eq!(desk.batch(&[]).unwrap(), []);
    });
}

#[test]
fn a_script_is_done_or_not_at_all_and_counts_its_statements() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        let script =
            "-- a; b\nCREATE TABLE t (v); ;; INSERT INTO t VALUES ('a;b'), (2); /* ; */ SELECT * FROM t;";
        let done = desk.script(script).unwrap();
        assert_eq!((done.statements, done.changes, done.values.len()), (3, 2, 0));
        assert!(desk.script("DELETE FROM t; INSERT INTO none VALUES (1)").is_err());
        assert!(desk.script("INSERT INTO t VALUES (?)").is_err());
        assert_eq!(desk.number("SELECT count(*) FROM t"), 2);
        assert_eq!(desk.script(" -- nothing").unwrap().statements, 0);
        assert_eq!(desk.script("SELECT 1; SELECT 2").unwrap().statements, 2);
        assert_eq!(desk.script(&"SELECT 1;".repeat(1000)).unwrap().statements, 1000);
        assert!(desk.script(&"SELECT 1;".repeat(1001)).is_err());
        assert!(desk.script("PRAGMA user_version = 3; SELECT 1").is_ok());
        assert_eq!(desk.number("PRAGMA user_version"), 3);
    });
}

#[test]
fn parameters_are_as_many_as_there_are_places() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        assert_eq!(desk.with("SELECT ?2, ?1, ?", &[1, 2, 3].map(int)).unwrap().values, [2, 1, 3].map(int));
        assert_eq!(desk.with("SELECT ?3", &[1, 2, 3].map(int)).unwrap().values, [int(3)]);
        for (query, given) in [("SELECT ?", 0), ("SELECT ?", 2), ("SELECT 1", 1), ("SELECT ?3", 1)] {
            let error = desk.with(query, &vec![int(0); given]).unwrap_err();
            assert_eq!(error.code(), "EINVAL", "{query}");
        }
        for query in ["SELECT :a", "SELECT @a", "SELECT $a"] {
            assert!(desk.with(query, &[int(1)]).is_err(), "{query}");
        }
        assert!(desk.with("SELECT ?101", &vec![int(0); 101]).is_err());
        // What was bound before is gone.
        assert_eq!(desk.with("SELECT ?", &[int(5)]).unwrap().values, [int(5)]);
        assert!(desk.with("SELECT ?", &[]).is_err());
    });
}

#[test]
fn a_text_is_one_statement() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        desk.run("CREATE TABLE t (v)").unwrap();
        for fine in ["SELECT 1;", " ; SELECT 1 ; ; -- more\n /* and more */", "SELECT 1 -- SELECT 2;"] {
            assert_eq!(desk.values(fine), [int(1)], "{fine}");
        }
        for bad in [
            "SELECT 1; SELECT 2",
            "SELECT 1;; DELETE FROM t",
            "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)",
            "",
            " ;",
            "-- nothing",
            "SELECT 1; nonsense",
            "SELECT 1\0; DELETE FROM t",
        ] {
            assert_eq!(desk.refused(bad).0, "EINVAL", "{bad}");
        }
        // Each is prepared once, not a level deeper than the one before.
        assert_eq!(desk.refused(&"SELECT 1;".repeat(11_000)).0, "EINVAL");
        assert_eq!(desk.number("SELECT count(*) FROM t"), 0);
    });
}

#[test]
fn errors_say_what_sqlite_says() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        assert_eq!(desk.refused("SELECT * FROM x").1, "no such table: x: SQLITE_ERROR");
        assert_eq!(desk.refused("INSERT INTO x VALUES (1)").1, "no such table: x: SQLITE_ERROR");
        desk.run("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL CHECK (v <> 'x')) STRICT").unwrap();
        for (query, told) in [
            ("INSERT INTO t VALUES (1, NULL)", "NOT NULL constraint failed: t.v: SQLITE_CONSTRAINT"),
            ("INSERT INTO t VALUES (1, 'x')", "CHECK constraint failed: v <> 'x': SQLITE_CONSTRAINT"),
            ("INSERT INTO t VALUES ('a', 'b')", "datatype mismatch: SQLITE_MISMATCH"),
            ("SELECT zeroblob(2000001)", "string or blob too big: SQLITE_TOOBIG"),
            ("SELECT \"nothing\"", "no such column: nothing: SQLITE_ERROR"),
        ] {
            assert!(desk.refused(query).1.starts_with(told.split(':').next().unwrap()), "{query}");
            assert_eq!(desk.refused(query).1.rsplit(' ').next(), told.rsplit(' ').next(), "{query}");
        }
    });
}

#[test]
fn foreign_keys_are_enforced() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        desk.script(
            "CREATE TABLE p (id INTEGER PRIMARY KEY); \
             CREATE TABLE c (p REFERENCES p (id)); \
             CREATE TABLE d (p REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED);",
        )
        .unwrap();
        assert!(desk.refused("INSERT INTO c VALUES (1)").1.starts_with("FOREIGN KEY constraint failed"));
        assert!(desk.refused("INSERT INTO d VALUES (1)").1.starts_with("FOREIGN KEY constraint failed"));
        let late = |table: &str| {
            vec![
                statement("PRAGMA defer_foreign_keys = ON", &[]),
                statement(&format!("INSERT INTO {table} VALUES (1)"), &[]),
                statement("INSERT INTO p VALUES (1)", &[]),
            ]
        };
        assert!(desk.batch(&late("d")[1..]).is_ok());
        desk.script("DELETE FROM d; DELETE FROM p").unwrap();
        assert!(desk.batch(&late("c")[1..]).is_err());
        assert!(desk.batch(&late("c")).is_ok());
        // It was for that call.
        assert!(desk.refused("INSERT INTO c VALUES (2)").1.starts_with("FOREIGN KEY"));
        assert_eq!(desk.number("PRAGMA foreign_keys"), 1);
    });
}

#[test]
fn apps_and_databases_see_nothing_of_each_other() {
    with_each(|engine| {
        let names = ["a", "b", "other/a", "a.sqlite", "a.sqlite-wal", "other.removed-1/a"];
        for name in names {
            let desk = Desk::of(engine, name);
            desk.run("CREATE TABLE t (v)").unwrap();
            desk.with("INSERT INTO t VALUES (?)", &[text(name)]).unwrap();
        }
        engine.close();
        for name in names {
            assert_eq!(Desk::of(engine, name).values("SELECT v FROM t"), [text(name)]);
        }
    });
}

#[test]
fn what_most_apps_need_is_there() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        assert_eq!(desk.values("SELECT json_extract('{\"a\":[1,2]}', '$.a[1]')"), [int(2)]);
        assert_eq!(desk.values("SELECT value FROM json_each('[3,4]')"), [int(3), int(4)]);
        desk.script(
            "CREATE TABLE f (body); \
             INSERT INTO f VALUES ('one two'), ('two three'); \
             CREATE TABLE t (a, b); CREATE INDEX i ON t (a); CREATE VIEW v AS SELECT a FROM t; \
             CREATE TRIGGER r AFTER INSERT ON t BEGIN INSERT INTO f VALUES (new.a); END; \
             INSERT INTO t VALUES ('two', 1); ALTER TABLE t RENAME COLUMN b TO c; ANALYZE; REINDEX;",
        )
        .unwrap();
        assert_eq!(desk.number("SELECT count(*) FROM f WHERE body LIKE '%two%'"), 3);
        assert_eq!(desk.number("SELECT count(*) FROM f WHERE body GLOB 'one*'"), 1);
        assert_eq!(desk.values("SELECT json_patch('{\"a\":1}', '{\"b\":2}')"), [text("{\"a\":1,\"b\":2}")]);
        assert_eq!(desk.values("SELECT atom FROM json_tree('{\"a\":7}') WHERE key = 'a'"), [int(7)]);
        assert_eq!(desk.values("SELECT * FROM v"), [text("two")]);
        assert_eq!(desk.values("SELECT name FROM pragma_table_info('t')"), [text("a"), text("c")]);
        assert_eq!(desk.values("SELECT row_number() OVER (ORDER BY a) FROM t"), [int(1)]);
        assert!(desk.run("PRAGMA optimize").is_ok());
        assert_eq!(desk.values("PRAGMA quick_check"), [text("ok")]);
        desk.script("DROP TABLE f; DROP VIEW v; DROP TABLE t").unwrap();
        assert_eq!(desk.number("SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'sqlite%'"), 0);
    });
}

#[test]
fn a_read_sees_what_was_answered_before() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        desk.run("CREATE TABLE t (n)").unwrap();
        desk.run("INSERT INTO t VALUES (0)").unwrap();
        for n in 1..200 {
            desk.with("UPDATE t SET n = ?", &[int(n)]).unwrap();
            assert_eq!(desk.number("SELECT n FROM t"), n);
        }
        let operation = SqlOperation::Batch(vec![statement("SELECT n FROM t", &[])]);
        assert!(matches!(
            desk.ask(operation, nexus_providers::sql::Work::free()),
            nexus_guest::Answer::Now(Ok(_))
        ));
    });
}
