//! `bare-stores FOLDER SECONDS`: what redb and SQLite take by themselves for what `bench/capabilities/app` does with them, as JSON:
//! for each task the mean and the 99th percentiles in microseconds. Beside it what two threads take that only hand over to each other.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use redb::{Builder, Database, ReadableDatabase, TableDefinition};
use rusqlite::Connection;

const TABLE: TableDefinition<&str, &[u8]> = TableDefinition::new("table");
const KEYS: usize = 10_000;
const VALUE: [u8; 100] = [b'x'; 100];
/// As many writes as are under way at once in the app.
const TOGETHER: usize = 64;
/// As many as the app in JavaScript needs to time short calls.
const GROUP: usize = 50;
const INSERT: &str = "INSERT INTO u (v) VALUES (?)";

fn main() {
    let mut args = std::env::args().skip(1);
    let (folder, seconds) = (args.next().expect("a folder"), args.next().expect("seconds"));
    let time = Duration::from_secs_f64(seconds.parse().expect("a number of seconds"));
    let folder = Path::new(&folder);
    let told: Vec<_> = key_value(folder, time).into_iter().chain(sql(folder, time)).chain(threads(time)).collect();
    println!("{{{}}}", told.join(", "));
}

fn key_value(folder: &Path, time: Duration) -> [String; 4] {
    let database =
        Builder::new().set_cache_size(1 << 20).create(folder.join("bare.redb")).expect("a database");
    put(&database, &(0..KEYS).map(|i| format!("key{i}")).collect::<Vec<_>>());
    let get = repeat("get", time, 1, |i| {
        let transaction = database.begin_read().expect("a transaction");
        let table = transaction.open_table(TABLE).expect("the table");
        let value = table.get(&*format!("key{}", i % KEYS)).expect("a value").expect("it is there");
        std::hint::black_box(value.value().to_vec());
    });
    let one = repeat("put", time, 1, |i| put(&database, &[format!("key{}", i % KEYS)]));
    let put_one = |i: usize| put(&database, &[format!("key{}", i % KEYS)]);
    let apart = elsewhere(put_one, |ask| repeat("put_apart", time, 1, ask));
    let many = repeat("puts", time, TOGETHER, |i| {
        put(&database, &(0..TOGETHER).map(|at| format!("key{}", (i + at) % KEYS)).collect::<Vec<_>>());
    });
    [get, one, apart, many]
}

/// Puts these keys, in one commit that is like the provider's.
fn put(database: &Database, keys: &[String]) {
    let mut transaction = database.begin_write().expect("a transaction");
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    {
        let mut table = transaction.open_table(TABLE).expect("the table");
        for key in keys {
            table.insert(&**key, &VALUE[..]).expect("room");
        }
    }
    transaction.commit().expect("a commit");
}

fn sql(folder: &Path, time: Duration) -> [String; 4] {
    let value = str::from_utf8(&VALUE).expect("text");
    let database = Connection::open(folder.join("bare.sqlite")).expect("a database");
    // What the provider says.
    database
        .execute_batch(
            "PRAGMA cache_size = -1024; PRAGMA mmap_size = 0; PRAGMA synchronous = FULL; PRAGMA auto_vacuum = FULL; \
             PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 4194304; PRAGMA wal_autocheckpoint = 1000; \
             CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT NOT NULL); CREATE TABLE u (id INTEGER PRIMARY KEY, v TEXT NOT NULL); \
             BEGIN;",
        )
        .expect("tables");
    for id in 0..KEYS {
        database.execute("INSERT INTO t VALUES (?, ?)", (id as i64, value)).expect("room");
    }
    database.execute_batch("COMMIT").expect("a commit");
    let select = repeat("select", time, 1, |i| {
        let mut statement = database.prepare_cached("SELECT v FROM t WHERE id = ?").expect("a statement");
        let value: String = statement.query_row([(i % KEYS) as i64], |row| row.get(0)).expect("it is there");
        std::hint::black_box(value);
    });
    let insert = |database: &Connection| {
        database.prepare_cached(INSERT).expect("a statement").execute([value]).expect("room");
    };
    let one = repeat("insert", time, 1, |_| insert(&database));
    let many = repeat("inserts", time, TOGETHER, |_| {
        database.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
        (0..TOGETHER).for_each(|_| insert(&database));
        database.execute_batch("COMMIT").expect("a commit");
    });
    let apart = elsewhere(move |_| insert(&database), |ask| repeat("insert_apart", time, 1, ask));
    [select, one, apart, many]
}

/// What there is for two threads that do nothing: a word to the other one and one back, inside and over loopback.
fn threads(time: Duration) -> [String; 2] {
    let inside = elsewhere(|_| (), |ask| repeat("hand_over", time, 1, ask));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut client = TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
    let (mut server, _) = listener.accept().expect("a connection");
    [&client, &server].map(|socket| socket.set_nodelay(true).expect("no delay"));
    let echo = thread::spawn(move || {
        let mut word = VALUE;
        while server.read_exact(&mut word).is_ok() && server.write_all(&word).is_ok() {}
    });
    let mut word = VALUE;
    let loopback = repeat("hand_over_tcp", time, 1, |_| {
        client.write_all(&word).and_then(|()| client.read_exact(&mut word)).expect("an echo");
    });
    drop(client);
    echo.join().expect("its end");
    [inside, loopback]
}

/// Has `act` done on another thread whenever `task` asks for it and waits.
fn elsewhere(mut act: impl FnMut(usize) + Send, task: impl FnOnce(&dyn Fn(usize)) -> String) -> String {
    let ((ask, asked), (answer, answered)) = (mpsc::channel(), mpsc::channel());
    thread::scope(|scope| {
        scope.spawn(move || {
            for i in asked {
                act(i);
                answer.send(()).expect("who asked waits");
            }
        });
        let told = task(&|i| {
            ask.send(i).expect("it is there");
            answered.recv().expect("it answers");
        });
        drop(ask);
        told
    })
}

/// Does something of `each` parts again and again: the mean of a part, the 99th percentile of the whole, and that of the means of
/// groups.
fn repeat(name: &str, time: Duration, each: usize, mut act: impl FnMut(usize)) -> String {
    let (began, mut took) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        let at = Instant::now();
        act(took.len() * each);
        took.push(at.elapsed().as_secs_f64() * 1e6);
    }
    let mean = took.iter().sum::<f64>() / (took.len() * each) as f64;
    let groups = took.chunks(GROUP).map(|group| group.iter().sum::<f64>() / group.len() as f64).collect();
    let (p99, groups) = (p99(took), p99(groups));
    format!("\"{name}\": {{\"us\": {mean:.3}, \"p99_us\": {p99:.3}, \"groups_us\": {groups:.3}}}")
}

fn p99(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() * 99 / 100]
}
