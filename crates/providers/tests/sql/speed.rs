//! How much a call costs beside SQLite itself. Run by hand: `cargo test --test sql -- --ignored --nocapture`.

use std::time::Instant;

use super::desk::{Desk, Folder, int};

#[test]
#[ignore = "it measures"]
fn a_select_by_key_costs_little_more_than_sqlite() {
    let folder = Folder::new();
    let engine = folder.engine();
    let desk = Desk::of(&engine, "a");
    desk.run("CREATE TABLE t (id INTEGER PRIMARY KEY, v)").unwrap();
    desk.run("INSERT INTO t WITH RECURSIVE a (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a LIMIT 10000) SELECT n, 'value ' || n FROM a")
        .unwrap();
    desk.number("SELECT count(*) FROM t");
    let rounds = 20_000;
    let mut later = 0;
    let began = Instant::now();
    for id in 0..rounds {
        let asked = super::desk::statement("SELECT v FROM t WHERE id = ?", &[int(id % 10_000 + 1)]);
        let operation = nexus_guest::SqlOperation::Batch(vec![asked]);
        let answer = desk.ask(operation, nexus_providers::sql::Work::free());
        if matches!(answer, nexus_guest::Answer::Later(_)) {
            later += 1;
            super::desk::wait(answer).unwrap();
        }
    }
    let ours = began.elapsed() / u32::try_from(rounds).unwrap();
    let direct = rusqlite::Connection::open(folder.0.join("shop/a.sqlite")).unwrap();
    let began = Instant::now();
    for id in 0..rounds {
        let mut statement = direct.prepare_cached("SELECT v FROM t WHERE id = ?").unwrap();
        let value: String = statement.query_row([id % 10_000 + 1], |row| row.get(0)).unwrap();
        assert!(!value.is_empty());
    }
    let theirs = began.elapsed() / u32::try_from(rounds).unwrap();
    println!("select by key: {ours:?}, with rusqlite alone {theirs:?}; {later} of {rounds} elsewhere");
    let began = Instant::now();
    let threads: Vec<_> = (0..64)
        .map(|thread| {
            let desk = desk.clone();
            std::thread::spawn(move || {
                for i in 0..20 {
                    desk.with("INSERT INTO t VALUES (?, 'x')", &[int(100_000 + thread * 1000 + i)]).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    println!("64 writers: {:?} a write", began.elapsed() / (64 * 20));
    let began = Instant::now();
    for i in 0..200 {
        desk.with("INSERT INTO t VALUES (?, 'x')", &[int(900_000 + i)]).unwrap();
    }
    println!("1 writer: {:?} a write", began.elapsed() / 200);
}
