//! What is on the disk.

use nexus_core::AppName;
use nexus_guest::{CapabilityError, SqlOperation, SqlValue};

use super::desk::{Desk, Folder, int, statement, with_each};

fn fill(desk: &Desk) {
    desk.run("CREATE TABLE t (id INTEGER PRIMARY KEY, v); ").unwrap();
    desk.run("CREATE INDEX i ON t (v)").unwrap();
    for id in 0..40 {
        desk.with("INSERT INTO t VALUES (?, randomblob(?))", &[int(id), int(id * 300)]).unwrap();
    }
}

#[test]
fn what_was_answered_is_there_when_it_is_opened_again() {
    let folder = Folder::new();
    let engine = folder.engine();
    let desk = Desk::of(&engine, "a");
    fill(&desk);
    assert_eq!(folder.list().iter().filter(|name| name.ends_with(".sqlite")).count(), 1);
    assert!(folder.list().contains(&"shop/a.sqlite".to_owned()));
    // As a process that is killed leaves it: another one has the files as they are, and the first one never closes them.
    let copy = Folder::new();
    std::fs::create_dir_all(copy.0.join("shop")).unwrap();
    for name in folder.list().iter().filter(|name| name.contains(".sqlite")) {
        std::fs::copy(folder.0.join(name), copy.0.join(name)).unwrap();
    }
    let again = Desk::of(&copy.engine(), "a");
    assert_eq!(again.number("SELECT count(*) FROM t"), 40);
    assert_eq!(again.values("PRAGMA integrity_check"), [super::desk::text("ok")]);
    // Two hosts have the folder for a while.
    let second = Desk::of(&folder.engine(), "a");
    assert_eq!(second.number("SELECT count(*) FROM t"), 40);
    second.run("INSERT INTO t VALUES (100, 1)").unwrap();
    desk.run("INSERT INTO t VALUES (101, 1)").unwrap();
    assert_eq!(desk.number("SELECT count(*) FROM t"), 42);
    assert_eq!(second.number("SELECT count(*) FROM t"), 42);
    engine.close();
    second.engine.close();
    // Closed, it is one file.
    assert_eq!(folder.list(), ["shop", "shop/a.sqlite"]);
    assert_eq!(desk.number("SELECT count(*) FROM t"), 42);
}

#[test]
fn reading_makes_no_file() {
    let folder = Folder::new();
    let engine = folder.engine();
    let desk = Desk::of(&engine, "other/a");
    assert_eq!(desk.values("SELECT 1"), [int(1)]);
    assert!(desk.refused("SELECT * FROM t").1.starts_with("no such table"));
    assert!(desk.script("SELECT 1; SELECT 2").is_ok());
    assert_eq!(folder.list(), Vec::<String>::new());
}

#[test]
fn a_file_with_broken_bytes_gives_errors_and_no_more() {
    let folder = Folder::new();
    let engine = folder.engine();
    fill(&Desk::of(&engine, "a"));
    engine.close();
    let path = folder.0.join("shop/a.sqlite");
    let whole = std::fs::read(&path).unwrap();
    let (mut failed, mut seed) = (0, 1u64);
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for round in 0..60 {
        let mut bytes = whole.clone();
        match round % 4 {
            0 => {
                let at = random() % bytes.len();
                let end = (at + 4096 * (1 + random() % 16)).min(bytes.len());
                bytes[at..end].fill(0);
            }
            1 => (0..200).for_each(|_| {
                let at = random() % bytes.len();
                bytes[at] ^= 1 << (random() % 8);
            }),
            2 => (0..5).for_each(|_| {
                let at = random() % 8192;
                bytes[at] ^= 1 << (random() % 8);
            }),
            _ => bytes.truncate(random() % bytes.len()),
        }
        std::fs::write(&path, &bytes).unwrap();
        let engine = folder.engine();
        let desk = Desk::of(&engine, "a");
        for text in [
            "SELECT sum(length(v)) FROM t",
            "SELECT count(*) FROM t INDEXED BY i WHERE v > x'00'",
            "PRAGMA integrity_check",
            "UPDATE t SET v = randomblob(1000) WHERE id % 3 = 0",
            "DELETE FROM t WHERE id < 20",
            "INSERT INTO t SELECT id + 1000, v FROM t",
            "CREATE TABLE IF NOT EXISTS u (v)",
        ] {
            if let Err(error) = desk.run(text) {
                failed += 1;
                let told = error.to_string();
                assert!(!told.contains("nexus-sql-"), "{told}");
                if let CapabilityError::Failed { detail, .. } = error {
                    assert!(detail.contains("a.sqlite"), "{detail}");
                }
            }
        }
        // Other databases notice nothing.
        Desk::of(&engine, "b").script("CREATE TABLE IF NOT EXISTS t (v); INSERT INTO t VALUES (1)").unwrap();
        engine.close();
    }
    assert!(failed > 20, "{failed}");
    // What is no database at all says so, and moved away it is no more in the way.
    std::fs::write(&path, [7; 10_000]).unwrap();
    let engine = folder.engine();
    let desk = Desk::of(&engine, "a");
    for text in ["SELECT * FROM sqlite_schema", "CREATE TABLE t (v)"] {
        let (code, told) = desk.refused(text);
        assert_eq!((code, &*told), ("EIO", "sql: the database is damaged; the host's log says more"));
    }
    std::fs::remove_file(&path).unwrap();
    desk.run("CREATE TABLE t (v)").unwrap();
}

#[test]
fn what_an_app_kept_is_put_aside_when_it_is_gone() {
    with_each(|engine| {
        let (desk, other) = (Desk::of(engine, "a"), Desk::of(engine, "other/a"));
        for desk in [&desk, &other] {
            desk.run("CREATE TABLE t (v)").unwrap();
        }
        engine.release(&AppName::parse("shop").unwrap());
        engine.release(&AppName::parse("nobody").unwrap());
        assert!(desk.run("SELECT * FROM t").is_err());
        desk.run("CREATE TABLE t (w)").unwrap();
        engine.release(&AppName::parse("shop").unwrap());
        assert!(desk.run("SELECT * FROM t").is_err());
        assert!(other.run("SELECT v FROM t").is_ok());
    });
    let folder = Folder::new();
    let engine = folder.engine();
    for _ in 0..3 {
        Desk::of(&engine, "a").run("CREATE TABLE t (v)").unwrap();
        engine.release(&AppName::parse("shop").unwrap());
    }
    let aside: Vec<_> = folder.list().into_iter().filter(|name| name.ends_with("a.sqlite")).collect();
    assert_eq!(aside.len(), 3, "{aside:?}");
    for name in aside {
        let name = name.split('/').next().unwrap();
        assert!(name.starts_with("shop.removed~") && AppName::parse(name).is_none(), "{name}");
    }
}

#[test]
fn many_databases_are_open_by_turns() {
    let folder = Folder::new();
    let engine = folder.engine();
    for i in 0..520 {
        let desk = Desk::of(&engine, &format!("d{i}")).with_quota(&format!("d{i}"), "1 GB");
        desk.with("CREATE TABLE t (v)", &[]).unwrap();
    }
    let open = folder.list().iter().filter(|name| name.ends_with("-shm")).count();
    assert!((400..=500).contains(&open), "{open}");
    for i in (0..520).step_by(37) {
        let desk = Desk::of(&engine, &format!("d{i}"));
        assert_eq!(desk.number("SELECT count(*) FROM t"), 0);
    }
    engine.close();
    assert_eq!(folder.list().len(), 521);
}

#[test]
fn a_file_that_somebody_else_made_is_held_to_the_same() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.0.join("shop")).unwrap();
    let path = folder.0.join("shop/a.sqlite");
    // This also begins SQLite as it is here, before rusqlite does.
    let engine = folder.engine();
    Desk::of(&engine, "b").run("CREATE TABLE t (v)").unwrap();
    let made = rusqlite::Connection::open(&path).unwrap();
    made.execute_batch(
        "PRAGMA encoding = 'UTF-16'; PRAGMA page_size = 1024; CREATE TABLE t (v); INSERT INTO t VALUES ('ä😀'); \
         CREATE VIEW w AS SELECT load_extension('a'); CREATE VIRTUAL TABLE r USING rtree(a, b, c); \
         CREATE VIRTUAL TABLE f USING fts5(body); INSERT INTO f VALUES ('a a a'); INSERT INTO f(f, rank) VALUES ('rank', 'snippet(0, 1, 2, 3, 4)'); \
         CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT fts3_tokenizer('simple'); END;",
    )
    .unwrap();
    drop(made);
    let desk = Desk::of(&engine, "a");
    assert_eq!(desk.values("SELECT v FROM t"), [super::desk::text("ä😀")]);
    for text in
        ["SELECT * FROM f", "SELECT rank FROM f('a')", "INSERT INTO f VALUES ('b')", "SELECT * FROM r"]
    {
        assert!(desk.refused(text).1.contains("no such module"), "{text}");
    }
    assert!(desk.run("SELECT * FROM w").is_err() && desk.run("INSERT INTO t VALUES (1)").is_err());
    desk.script("DROP TRIGGER x; INSERT INTO t VALUES ('é')").unwrap();
    let operation =
        SqlOperation::Batch(vec![statement("SELECT v FROM t WHERE v = ?", &[super::desk::text("é")])]);
    assert_eq!(desk.call(operation).unwrap()[0].values, [SqlValue::Text("é".into())]);
}

#[test]
fn the_journal_stays_small_while_somebody_reads_all_the_time() {
    let folder = Folder::new();
    let engine = folder.engine();
    let desk = Desk::of(&engine, "a");
    desk.run("CREATE TABLE t (v)").unwrap();
    for _ in 0..4 {
        desk.run("INSERT INTO t VALUES (randomblob(1900000))").unwrap();
    }
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let journal = folder.0.join("shop/a.sqlite-wal");
    let mut largest = 0;
    std::thread::scope(|scope| {
        // Two, so that one waits whenever the other is done.
        for _ in 0..2 {
            scope.spawn(|| {
                let slow = "WITH RECURSIVE a (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a LIMIT 100000) SELECT max(n) FROM a, t";
                while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                    desk.run(slow).unwrap();
                }
            });
        }
        for _ in 0..20 {
            desk.run("UPDATE t SET v = randomblob(1900000)").unwrap();
            largest = largest.max(std::fs::metadata(&journal).unwrap().len());
        }
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    // As large as it may be, and what was written when it was not yet.
    assert!(largest < 33 << 20, "{largest}");
    assert_eq!(desk.values("PRAGMA quick_check"), [super::desk::text("ok")]);
}

#[test]
fn a_journal_that_somebody_else_keeps_has_no_more_written() {
    let folder = Folder::new();
    let engine = folder.engine();
    let desk = Desk::of(&engine, "a");
    desk.run("CREATE TABLE t (v)").unwrap();
    desk.run("INSERT INTO t VALUES (1)").unwrap();
    // Another process reads, and does not end.
    let other = rusqlite::Connection::open(folder.0.join("shop/a.sqlite")).unwrap();
    other.execute_batch("BEGIN; SELECT * FROM t;").unwrap();
    let many = vec![statement("INSERT INTO t VALUES (randomblob(1900000))", &[]); 36];
    desk.batch(&many).unwrap();
    let error = desk.run("DELETE FROM t").unwrap_err();
    assert_eq!((error.code(), error.is_retryable()), ("EBUSY", true));
    assert_eq!(desk.number("SELECT count(*) FROM t"), 37);
    other.execute_batch("COMMIT").unwrap();
    desk.run("DELETE FROM t").unwrap();
    assert!(std::fs::metadata(folder.0.join("shop/a.sqlite-wal")).unwrap().len() < 16 << 20);
}
