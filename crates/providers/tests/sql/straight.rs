//! What SQLite goes through without asking whether it is to go on: long programs without jumps, and functions over large values.

use std::time::Duration;

use nexus_guest::{CapabilityError, SqlOperation, SqlValue};

use super::desk::{Desk, int, statement, text, with_each};

fn large(size: usize) -> SqlValue {
    text(&"a".repeat(size))
}

/// Is asked of one database, and is stopped, while another one is asked.
fn is_stopped(desk: &Desk, other: &Desk, asked: &str, parameters: &[SqlValue]) {
    let mut desk = desk.clone();
    desk.cpu = Duration::from_millis(30);
    let (asked, parameters) = (asked.to_owned(), parameters.to_vec());
    let thread = std::thread::spawn(move || desk.with(&asked, &parameters));
    assert_eq!(other.values("SELECT 1"), [int(1)]);
    assert_eq!(thread.join().unwrap().unwrap_err(), CapabilityError::Stopped);
}

#[test]
fn a_statement_without_jumps_is_stopped() {
    with_each(|engine| {
        let (desk, other) = (Desk::of(engine, "a"), Desk::of(engine, "other/a"));
        // Each takes a part of a second.
        let columns = |term: &str, count: usize| format!("SELECT {}", vec![term; count].join(","));
        let pattern = text(&"%aaaa".repeat(9));
        is_stopped(&desk, &other, &columns("?1 LIKE ?2 || 'b'", 90), &[large(2_000_000), pattern.clone()]);
        is_stopped(
            &desk,
            &other,
            &columns("?1 GLOB '*' || ?2 || 'b'", 90),
            &[large(600_000), text(&"a".repeat(40))],
        );
        let blobs = vec!["length(hex(randomblob(999000)))"; 90].join("+");
        is_stopped(&desk, &other, &format!("SELECT {blobs}"), &[]);
        // What is small is tried on the caller's thread, and goes elsewhere.
        let small = columns("?1 LIKE ?2 || 'b'", 90);
        assert!(small.len() < 4096);
        let _ = desk.with(&small, &[large(32_000), pattern]);
        assert_eq!(other.values("SELECT 1"), [int(1)]);
        assert_eq!(desk.values("SELECT 1"), [int(1)]);
    });
}

#[test]
fn long_programs_have_small_values() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        let sum = |count: usize| {
            // Each is another one, for SQLite does once what is the same.
            let column = |i: usize| vec![format!("(?1 > 'A{i}')"); 90].join("+");
            format!("SELECT {}", (0..count).map(column).collect::<Vec<_>>().join(","))
        };
        // Short ones have any, long ones smaller ones, and there are none that are longer.
        assert_eq!(desk.with(&sum(1), &[large(1_000_000)]).unwrap().values, [int(90)]);
        assert_eq!(desk.with(&sum(35), &[large(90_000)]).unwrap().values[34], int(90));
        assert!(desk.with(&sum(35), &[large(1_000_000)]).unwrap_err().to_string().contains("TOOBIG"));
        // The same on the caller's thread: first elsewhere, then here, and as large as ever in between.
        for size in [10_000, 1_000_000, 10_000, 1_000_000] {
            let result = desk.with("SELECT length(?1)", &[large(size)]).unwrap();
            assert_eq!(result.values, [int(size as i64)]);
        }
        desk.run("CREATE TABLE t (v)").unwrap();
        desk.with("INSERT INTO t VALUES (?1)", &[large(1_500_000)]).unwrap();
        for _ in 0..3 {
            assert_eq!(desk.values("SELECT v FROM t"), [large(1_500_000)]);
            assert_eq!(desk.number("SELECT length(v || 'a') FROM t"), 1_500_001);
        }
    });
}

#[test]
fn unhex_takes_no_product() {
    with_each(|engine| {
        let (desk, other) = (Desk::of(engine, "a"), Desk::of(engine, "other/a"));
        // A million characters that are last in a set of as many: SQLite's own looks at each of them for each.
        let digits = text(&"z".repeat(1_000_000));
        let set = text(&format!("{}z", "y".repeat(1_000_000)));
        let result = desk.with("SELECT quote(unhex(?1 || '00', ?2))", &[digits, set]).unwrap();
        assert_eq!((result.values, other.values("SELECT 1")), (vec![text("X'00'")], vec![int(1)]));
        assert_eq!(desk.values("SELECT quote(unhex('4a-4B', '-'))"), [text("X'4A4B'")]);
        assert_eq!(desk.values("SELECT quote(unhex('4a-4', '-'))"), [text("NULL")]);
    });
}

#[test]
fn json_patch_takes_no_square_by_any_way() {
    with_each(|engine| {
        let desk = Desk::of(engine, "a");
        let keys = |from: usize, count: usize| {
            let keys: Vec<String> = (from..from + count).map(|key| format!("\"{key}\":1")).collect();
            text(&format!("{{{}}}", keys.join(",")))
        };
        let (a, b) = (keys(100_000, 80_000), keys(400_000, 80_000));
        desk.script(
            "CREATE TABLE t (a, b, c AS (json_patch(a, b)), CHECK (json_patch(a, b) IS NOT 1)); \
             CREATE TABLE u (a, b, c AS (jsonb_patch(a, b)));",
        )
        .unwrap();
        let both = [a.clone(), b.clone()];
        for asked in [
            "SELECT length(json_patch(?1, ?2))",
            "INSERT INTO t (a, b) VALUES (?1, ?2)",
            "INSERT INTO u (a, b) VALUES (?1, ?2) RETURNING c",
        ] {
            let told = desk.with(asked, &both).unwrap_err().to_string();
            assert!(told.contains("TOOBIG"), "{asked}: {told}");
        }
        // And then nothing is smaller than before for it.
        let operation = SqlOperation::Batch(vec![
            statement("SELECT json_patch('{}', '{\"a\":1}')", &[]),
            statement("SELECT length(?1)", &[large(1_900_000)]),
        ]);
        let results = desk.call(operation).unwrap();
        assert_eq!(
            (&results[0].values, &results[1].values),
            (&vec![text("{\"a\":1}")], &vec![int(1_900_000)])
        );
        desk.with("INSERT INTO t (a, b) VALUES (?1, ?2)", &[keys(0, 3), keys(3, 2)]).unwrap();
        assert_eq!(desk.values("SELECT json_array_length(json_array(c, 1)) FROM t"), [int(2)]);
    });
}
