//! `bare-redb FOLDER SECONDS`: what redb takes by itself for what `bench/kv/app` does, as JSON: for each task the mean and the
//! 99th percentile in microseconds.

use std::time::{Duration, Instant};

use redb::{Builder, Database, ReadableDatabase, TableDefinition};

const TABLE: TableDefinition<&str, &[u8]> = TableDefinition::new("table");
const KEYS: usize = 10_000;
const VALUE: [u8; 100] = [b'x'; 100];
/// As many puts as are under way at once in the app.
const TOGETHER: usize = 64;

fn main() {
    let mut args = std::env::args().skip(1);
    let (folder, seconds) = (args.next().expect("a folder"), args.next().expect("seconds"));
    let time = Duration::from_secs(seconds.parse().expect("a number of seconds"));
    let path = std::path::Path::new(&folder).join("bare.redb");
    let database = Builder::new().set_cache_size(1 << 20).create(path).expect("a database");
    put(&database, &(0..KEYS).map(|i| format!("key{i}")).collect::<Vec<_>>());
    let get = repeat(time, 1, |i| {
        let transaction = database.begin_read().expect("a transaction");
        let table = transaction.open_table(TABLE).expect("the table");
        let value = table.get(&*format!("key{}", i % KEYS)).expect("a value").expect("it is there");
        std::hint::black_box(value.value().to_vec());
    });
    let one = repeat(time, 1, |i| put(&database, &[format!("key{}", i % KEYS)]));
    let many = repeat(time, TOGETHER, |i| {
        put(&database, &(0..TOGETHER).map(|at| format!("key{}", (i + at) % KEYS)).collect::<Vec<_>>());
    });
    println!("{{\"get\": {get}, \"put\": {one}, \"puts\": {many}}}");
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

/// Does something of `each` parts again and again: the mean of a part, and the 99th percentile of the whole.
fn repeat(time: Duration, each: usize, mut act: impl FnMut(usize)) -> String {
    let (began, mut took) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        let at = Instant::now();
        act(took.len() * each);
        took.push(at.elapsed().as_secs_f64() * 1e6);
    }
    let mean = took.iter().sum::<f64>() / (took.len() * each) as f64;
    took.sort_by(f64::total_cmp);
    let p99 = took[took.len() * 99 / 100];
    format!("{{\"us\": {mean:.3}, \"p99_us\": {p99:.1}}}")
}
