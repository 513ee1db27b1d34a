//! How much a call may take, of everything.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nexus_core::Limit;
use nexus_guest::{Answer, CapabilityError, SqlOperation, SqlValue};
use nexus_providers::sql::{SqlEngine, Work};

use super::desk::{Desk, Folder, int, statement, wait, with_each};

/// Never ends by itself.
const ENDLESS: &str = "WITH RECURSIVE a (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a) SELECT max(n) FROM a";

fn batch(text: &str) -> SqlOperation {
    SqlOperation::Batch(vec![statement(text, &[])])
}

#[test]
fn the_quota_is_of_all_databases_of_an_app_and_of_no_other() {
    with_each(|engine| {
        let [a, b] = ["a", "b"].map(|name| Desk::of(engine, name).with_quota(name, "1 MB"));
        let full = CapabilityError::Full(Limit::SqlStorage, 1 << 20);
        for desk in [&a, &b, &Desk::of(engine, "other/a")] {
            desk.run("CREATE TABLE t (v)").unwrap();
        }
        let put = |desk: &Desk, size: i64| desk.with("INSERT INTO t VALUES (randomblob(?))", &[int(size)]);
        put(&a, 700_000).unwrap();
        assert_eq!(put(&b, 400_000).unwrap_err(), full);
        assert!(put(&b, 200_000).is_ok());
        assert_eq!(put(&a, 200_000).unwrap_err(), full);
        assert!(put(&Desk::of(engine, "other/a"), 1_900_000).is_ok());
        let size = a.run("SELECT 1").unwrap().size_after + b.run("SELECT 1").unwrap().size_after;
        assert!((900_000..=1 << 20).contains(&size), "{size}");
        // What makes it less is done, also when it is full, and leaves room in the others.
        let less = a.clone().with_quota("a", "100 KB");
        assert_eq!(put(&less, 50_000).unwrap_err(), CapabilityError::Full(Limit::SqlStorage, 100 << 10));
        assert!(less.run("DELETE FROM t").unwrap().size_after < 50_000);
        // From then on it is held to what it may have, not to what it once had.
        assert_eq!(put(&less, 150_000).unwrap_err(), CapabilityError::Full(Limit::SqlStorage, 100 << 10));
        put(&b, 700_000).unwrap();
        // A transaction of many statements is held to it, too, and nothing of it stays.
        let many = vec![statement("INSERT INTO t VALUES (randomblob(100000))", &[]); 20];
        assert_eq!(a.batch(&many).unwrap_err(), full);
        assert_eq!(a.number("SELECT count(*) FROM t"), 0);
        assert_eq!(b.number("SELECT count(*) FROM t"), 2);
    });
}

#[test]
fn the_size_that_is_told_is_what_there_is_after_the_commit() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        for text in [
            "CREATE TABLE t (v)",
            "INSERT INTO t VALUES (randomblob(50000))",
            "INSERT INTO t SELECT v FROM t",
            "DELETE FROM t WHERE rowid = 1",
            "UPDATE t SET v = randomblob(100)",
            "DROP TABLE t",
        ] {
            let told = desk.run(text).unwrap().size_after;
            let pages = desk.number("SELECT page_count FROM pragma_page_count");
            assert_eq!(told, u64::try_from(pages).unwrap() * 4096, "{text}");
        }
    });
}

#[test]
fn empty_databases_count() {
    with_each(|engine| {
        let made = (0..10).filter(|i| {
            let name = format!("d{i}");
            let desk = Desk::of(engine, &name).with_quota(&name, "40 KB");
            match desk.run("CREATE TABLE t (v)") {
                Ok(_) => true,
                Err(error) => {
                    assert_eq!(error, CapabilityError::Full(Limit::SqlStorage, 40 << 10));
                    false
                }
            }
        });
        assert!((2..=5).contains(&made.count()));
        let none = Desk::of(engine, "e").with_quota("e", "0 B");
        assert_eq!(none.refused("CREATE TABLE t (v)").0, "EQUOTA");
        assert_eq!(none.values("SELECT 1"), [int(1)]);
    });
}

#[test]
fn memory_is_bounded_whatever_is_asked() {
    with_each(|engine| {
        let mut desk = Desk::of(engine, "a");
        desk.cpu = Duration::from_secs(4);
        desk.run("CREATE TABLE t (v)").unwrap();
        let numbers = "WITH RECURSIVE a (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a LIMIT 100000000)";
        let mut refused = 0;
        for text in [
            format!("{numbers} SELECT n, randomblob(1000) AS r FROM a ORDER BY r LIMIT 1 OFFSET 90000000"),
            format!("{numbers} SELECT count(*) FROM (SELECT DISTINCT randomblob(1000) FROM a)"),
            format!("{numbers} SELECT n % 1000000, group_concat(n) FROM a GROUP BY 1"),
            format!("{numbers} SELECT json_group_array(randomblob(10) || n) FROM a"),
            format!("{numbers} INSERT INTO t SELECT randomblob(1000000) FROM a ORDER BY random()"),
            format!(
                "{numbers} SELECT sum(length(b)) OVER (ROWS UNBOUNDED PRECEDING) FROM (SELECT randomblob(100000) b FROM a)"
            ),
        ] {
            let began = Instant::now();
            let (code, told) = desk.refused(&text);
            refused += usize::from(told.contains("NOMEM"));
            assert!(["EINVAL", "EQUOTA", "ECPU"].contains(&code), "{text}: {told}");
            assert!(
                code == "ECPU"
                    || told.contains("NOMEM")
                    || told.contains("TOOBIG")
                    || told.contains("at most"),
                "{text}: {told}"
            );
            assert!(began.elapsed() < Duration::from_secs(60));
            assert_eq!(desk.number("SELECT count(*) FROM t"), 0);
        }
        assert!(refused >= 2, "{refused}");
        for text in [
            "SELECT printf('%.*c', 3000000, 'a')",
            "SELECT zeroblob(100000000)",
            "SELECT randomblob(1 << 30)",
        ] {
            assert!(desk.refused(text).1.contains("TOOBIG"), "{text}");
        }
        desk.run("INSERT INTO t VALUES (1)").unwrap();
        assert_eq!(desk.values("PRAGMA integrity_check"), [super::desk::text("ok")]);
    });
}

#[test]
fn what_a_call_brings_is_bounded_and_held() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        desk.run("CREATE TABLE t (v)").unwrap();
        let rows = |n: usize| {
            format!(
                "WITH RECURSIVE a (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a LIMIT {n}) SELECT n FROM a"
            )
        };
        assert_eq!(desk.run(&rows(100_000)).unwrap().values.len(), 100_000);
        assert!(desk.refused(&rows(100_001)).1.contains("use LIMIT"));
        let half = statement(&rows(60_000), &[]);
        assert!(desk.batch(&[half.clone(), half]).is_err());
        let wide = format!("SELECT {}", ["randomblob(1900000)"; 12].join(","));
        assert_eq!(desk.run(&wide).unwrap().values.len(), 12);
        let wider = format!("SELECT {}", ["zeroblob(1900000)"; 100].join(","));
        let (_, told) = desk.refused(&wider);
        assert!(told.contains("use LIMIT") || told.contains("NOMEM"), "{told}");
        // What does not fit into the guest's memory is not read.
        let large = batch("SELECT randomblob(1000000)");
        assert!(desk.held(large.clone(), 1_001_000).is_ok());
        let error = desk.held(large, 999_000).unwrap_err();
        assert!(error.to_string().contains("more memory than the app's limit leaves"), "{error}");
        let written = batch("INSERT INTO t VALUES (randomblob(1000000)) RETURNING v");
        assert!(desk.held(written, 999_000).is_err());
        assert_eq!(desk.number("SELECT count(*) FROM t"), 0);
    });
}

#[test]
fn a_call_beyond_its_cpu_time_is_stopped_and_others_go_on() {
    with_each(|engine| {
        let other = Desk::of(engine, "other/a");
        let mut desk = Desk::of(engine, "a");
        for desk in [&desk, &other] {
            desk.run("CREATE TABLE t (v)").unwrap();
        }
        desk.cpu = Duration::from_millis(300);
        let writes = format!("INSERT INTO t {ENDLESS}");
        let compiled = format!("SELECT * FROM {}", ["t"; 60].join(" NATURAL JOIN "));
        for text in [ENDLESS, &writes] {
            let thread = {
                let (desk, text) = (desk.clone(), text.to_owned());
                std::thread::spawn(move || (desk.run(&text), Instant::now()))
            };
            std::thread::sleep(Duration::from_millis(50));
            other.run("INSERT INTO t VALUES (1)").unwrap();
            assert!(other.number("SELECT count(*) FROM t") > 0);
            let done = Instant::now();
            let (result, stopped) = thread.join().unwrap();
            assert_eq!(result.unwrap_err(), CapabilityError::Stopped, "{text}");
            assert!(done < stopped);
        }
        let _ = desk.run(&compiled);
        // What was asked with it is undone.
        let with = [statement("INSERT INTO t VALUES (1)", &[]), statement(ENDLESS, &[])];
        assert_eq!(desk.batch(&with).unwrap_err(), CapabilityError::Stopped);
        assert_eq!(desk.number("SELECT count(*) FROM t"), 0);
        let error = CapabilityError::Stopped;
        assert_eq!((error.code(), error.label(), error.is_retryable()), ("ECPU", "stopped", false));
    });
}

#[test]
fn cpu_time_of_other_threads_is_told() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        desk.run("CREATE TABLE t (v)").unwrap();
        let count = "WITH RECURSIVE a (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a LIMIT 300000) SELECT max(n) FROM a";
        let paid = |operation| {
            desk.paid.0.store(0, Ordering::Relaxed);
            desk.call(operation).map(|_| Duration::from_nanos(desk.paid.0.load(Ordering::Relaxed)))
        };
        assert!(paid(batch(count)).unwrap() > Duration::from_millis(5));
        assert_eq!(paid(batch("SELECT v FROM t")).unwrap(), Duration::ZERO);
        assert!(paid(batch("INSERT INTO t VALUES (1)")).unwrap() > Duration::ZERO);
        // Of what fails, too.
        assert!(paid(batch("INSERT INTO none VALUES (1)")).is_err());
        assert!(desk.paid.0.load(Ordering::Relaxed) > 0);
    });
}

#[test]
fn a_call_that_nobody_waits_for_is_stopped() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        desk.run("CREATE TABLE t (v)").unwrap();
        for text in [ENDLESS.to_owned(), format!("INSERT INTO t {ENDLESS}")] {
            let began = Instant::now();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async {
                let Answer::Later(answer) = desk.ask(batch(&text), Work::free()) else { panic!("at once") };
                let waited = tokio::time::timeout(Duration::from_millis(50), answer).await;
                assert!(waited.is_err());
            });
            // The lane is free again long before the call's CPU time is over, which is 20 s.
            desk.run("INSERT INTO t VALUES (1)").unwrap();
            let slow = "WITH RECURSIVE a (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a LIMIT 100000) SELECT max(n) FROM a";
            assert_eq!(desk.number(slow), 100_000);
            assert!(began.elapsed() < Duration::from_secs(10), "{text}");
        }
        assert_eq!(desk.number("SELECT count(*) FROM t"), 2);
    });
}

#[test]
fn functions_over_large_values_come_to_an_end() {
    with_each(|engine| {
        let mut desk = Desk::of(engine, "a");
        desk.cpu = Duration::from_secs(5);
        let began = Instant::now();
        for text in [
            "SELECT instr(zeroblob(2000000), zeroblob(1000000) || x'01')",
            "SELECT instr(printf('%.1999999c', 'a'), printf('%.999999c', 'a') || 'b')",
            "SELECT length(replace(printf('%.1999999c', 'a'), printf('%.999999c', 'a') || 'b', 'c'))",
            "SELECT length(trim(printf('%.1999999c', 'a'), printf('%.999999c', 'b') || 'a'))",
            "SELECT printf('%.1999999c', 'a') LIKE '%a%a%a%a%a%a%a%a%a%a%b'",
            "SELECT printf('%.1999999c', 'a') GLOB '*a*a*a*a*a*a*a*a*a*b'",
        ] {
            let _ = desk.run(text);
            assert!(began.elapsed() < Duration::from_secs(15), "{text}");
        }
    });
}

#[test]
fn writers_wait_in_turn_and_none_is_lost() {
    let folder = Folder::new();
    let memory: Arc<dyn SqlEngine> = Arc::new(nexus_providers::sql::SqliteSql::in_memory());
    for engine in [memory, folder.engine()] {
        let desk = Desk::of(&engine, "a");
        desk.run("CREATE TABLE t (k PRIMARY KEY, n)").unwrap();
        desk.run("INSERT INTO t VALUES ('sum', 0)").unwrap();
        let threads: Vec<_> = (0..16)
            .map(|thread| {
                let desk = desk.clone();
                std::thread::spawn(move || {
                    let mut sum = 0;
                    for i in 0..30 {
                        desk.run("UPDATE t SET n = n + 1 WHERE k = 'sum'").unwrap();
                        desk.with("INSERT INTO t VALUES (?, 1)", &[int(thread * 1000 + i)]).unwrap();
                        // One that fails takes none of those with it that are written beside it.
                        assert!(desk.with("INSERT INTO t VALUES (?, 1)", &[int(thread * 1000 + i)]).is_err());
                        sum += 1;
                    }
                    sum
                })
            })
            .collect();
        let sum: i64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(desk.number("SELECT n FROM t WHERE k = 'sum'"), sum);
        assert_eq!(desk.number("SELECT count(*) FROM t"), sum + 1);
    }
}

#[test]
fn calls_that_share_a_commit_do_not_share_their_fate() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        desk.script("CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (v, p REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED);")
            .unwrap();
        let stopped = format!("INSERT INTO t (v) {ENDLESS}");
        // The first one keeps the lane busy, so that the others wait together.
        let texts = [
            "INSERT INTO t (v) WITH RECURSIVE a (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a LIMIT 500000) SELECT max(n) FROM a",
            "INSERT INTO t (v) VALUES (1)",
            "INSERT INTO t VALUES (2, 77)",
            "INSERT INTO none VALUES (1)",
            "INSERT INTO t (v) VALUES (3)",
            &stopped,
            "INSERT INTO t (v) VALUES (4)",
        ];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let results = runtime.block_on(async {
            let mut answers = Vec::new();
            for text in texts {
                let mut desk = desk.clone();
                desk.cpu = Duration::from_secs(if text == stopped { 1 } else { 20 });
                answers.push(desk.ask(batch(text), Work::free()));
            }
            let mut results = Vec::new();
            for answer in answers {
                results.push(answer.wait().await.map(drop).map_err(|error| error.code()));
            }
            results
        });
        assert_eq!(results, [Ok(()), Ok(()), Err("EINVAL"), Err("EINVAL"), Ok(()), Err("ECPU"), Ok(())]);
        let values = desk.values("SELECT v FROM t ORDER BY rowid");
        assert_eq!(values, [500_000, 1, 3, 4].map(int));
    });
}

#[test]
fn a_lane_takes_so_much_and_no_more() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        desk.run("CREATE TABLE t (v)").unwrap();
        let endless = desk.ask(batch(&format!("INSERT INTO t {ENDLESS}")), Work::free());
        let waiting: Vec<_> =
            (0..1100).map(|_| desk.ask(batch("INSERT INTO t VALUES (1)"), Work::free())).collect();
        let busy = waiting
            .iter()
            .filter(|answer| matches!(answer, Answer::Now(Err(error)) if error.code() == "EBUSY"));
        // Up to 64 are taken out of the lane at once.
        assert!((30..=101).contains(&busy.count()));
        drop(endless);
        drop(waiting);
        assert!(desk.with("SELECT ?", &[SqlValue::Null]).is_ok());
        wait(desk.ask(batch("SELECT 1"), Work::free())).unwrap();
    });
}

#[test]
fn what_is_done_again_is_held_once() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        desk.script("CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (v, p REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED);")
            .unwrap();
        // The first one keeps the lane busy; the others share a commit, which the last one spoils.
        let slow = "INSERT INTO t (v) WITH RECURSIVE a (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a LIMIT 500000) SELECT max(n) FROM a";
        let held = "INSERT INTO t (v) VALUES (randomblob(500000)) RETURNING v";
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let results = runtime.block_on(async {
            let work = || Work {
                hold: Box::new(super::desk::Left(600_000)),
                inside: nexus_providers::kv::Inside::nowhere(),
            };
            let answers =
                [slow, slow, held, "INSERT INTO t VALUES (2, 77)"].map(|text| desk.ask(batch(text), work()));
            let mut results = Vec::new();
            for answer in answers {
                results.push(answer.wait().await.map(drop).map_err(|error| error.code()));
            }
            results
        });
        assert_eq!(results, [Ok(()), Ok(()), Ok(()), Err("EINVAL")]);
    });
}
