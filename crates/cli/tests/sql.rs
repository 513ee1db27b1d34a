//! Databases as apps have them: what statements give, who sees what, and what hostile ones come to.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use harness::{Client, Folder, Managed, Nexus, Start, error, functions, serve_functions, until, value};
use serde_json::{Value, json};

const DB: &str = "[bindings]\nDB = { sql = \"main\" }\n";

#[test]
fn statements_give_what_d1s_give() {
    let (_folder, nexus) = serve_functions(
        "make: async ({ DB }) => await DB.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, a, b);\\nCREATE INDEX i ON t (a)'),
         insert: async ({ DB }) => {
           const insert = DB.prepare('INSERT INTO t (a, b) VALUES (?, ?)');
           const { results, success, meta } = await insert.bind('one', 1).run();
           const { changes, last_row_id, changed_db, size_after, rows_written, duration } = meta;
           await insert.bind('two', 2.5).run();
           await insert.bind(null, true).run();
           return [results, success, changes, last_row_id, changed_db, size_after > 4096, rows_written, duration >= 0];
         },
         all: async ({ DB }) => (await DB.prepare('SELECT a, b FROM t ORDER BY id').all()).results,
         first: async ({ DB }) => {
           const one = DB.prepare('SELECT a, b FROM t WHERE a = ?1 OR b = ?1');
           return [await one.bind('two').first(), await one.bind(2.5).first('a'), await one.bind('none').first(),
             await one.bind('none').first('a'), await DB.prepare('DELETE FROM t WHERE a = ?').bind('none').first()];
         },
         missing: ({ DB }) => DB.prepare('SELECT a FROM t').first('c'),
         raw: async ({ DB }) => [await DB.prepare('SELECT id, a FROM t WHERE id < 3').raw(),
           await DB.prepare('SELECT id, a FROM t WHERE id < 2').raw({ columnNames: true }),
           await DB.prepare('SELECT 1 AS x, 2 AS x').raw(), await DB.prepare('SELECT 1 AS x, 2 AS x').first()],
         proto: async ({ DB }) => {
           const row = await DB.prepare('SELECT 1 AS \"__proto__\", 2 AS \"constructor\"').first();
           return [Object.keys(row), Object.getPrototypeOf(row) === Object.prototype];
         }",
        DB,
    );
    let made = value(&nexus, "/make");
    assert_eq!(made["count"], 2);
    assert!(made["duration"].is_number());
    assert_eq!(value(&nexus, "/insert"), json!([[], true, 1, 1, true, true, 1, true]));
    assert_eq!(
        value(&nexus, "/all"),
        json!([{ "a": "one", "b": 1 }, { "a": "two", "b": 2.5 }, { "a": null, "b": 1 }])
    );
    assert_eq!(value(&nexus, "/first"), json!([{ "a": "two", "b": 2.5 }, "two", null, null, null]));
    assert_eq!(error(&nexus, "/missing")["error"], "first: the result has no column `c`");
    assert_eq!(
        value(&nexus, "/raw"),
        json!([[[1, "one"], [2, "two"]], [["id", "a"], [1, "one"]], [[1, 2]], { "x": 2 }])
    );
    assert_eq!(value(&nexus, "/proto"), json!([["__proto__", "constructor"], true]));
}

#[test]
fn values_come_back_as_what_they_were() {
    let (_folder, nexus) = serve_functions(
        "round: async ({ DB }) => {
           const back = async (value) => {
             const { v, t } = await DB.prepare('SELECT ?1 AS v, typeof(?1) AS t').bind(value).first();
             return [v, t];
           };
           const bytes = new Uint8Array([0, 255, 7]);
           return [await back(null), await back(0), await back(-1.5), await back(2 ** 53 - 1), await back(2 ** 60), await back(1e300),
             await back(true), await back('grüße \\u0000 \\u{1f600}'), await back(''), await back(bytes), await back(bytes.buffer),
             await back(bytes.subarray(1)), await back([1, 2]), await back(new Uint8Array(0)), await back(12n),
             (await DB.prepare('SELECT CAST(? AS TEXT) AS v').bind(-(2n ** 63n)).first()).v];
         },
         kept: async ({ DB }) => {
           const bytes = new Uint8Array([1, 2]);
           const statement = DB.prepare('SELECT ? AS v').bind(bytes);
           bytes[0] = 9;
           return await statement.first('v');
         },
         lone: async ({ DB }) => await DB.prepare('SELECT hex(?)').bind('\\ud800').first('hex(?)'),
         bad: async ({ DB }, which) => {
           const values = { undefined, object: {}, symbol: Symbol(), function: () => 1, array: [1, 300], large: 2n ** 64n, long: 'x'.repeat(2_000_001) };
           return await DB.prepare('SELECT ?').bind(values[which]).first();
         }",
        DB,
    );
    assert_eq!(
        value(&nexus, "/round"),
        json!([
            [null, "null"],
            [0, "integer"],
            [-1.5, "real"],
            [9_007_199_254_740_991_i64, "integer"],
            [1_152_921_504_606_847_000_i64, "real"],
            [1e300, "real"],
            [1, "integer"],
            ["grüße \u{0} 😀", "text"],
            ["", "text"],
            [[0, 255, 7], "blob"],
            [[0, 255, 7], "blob"],
            [[255, 7], "blob"],
            [[1, 2], "blob"],
            [[], "blob"],
            [12, "integer"],
            "-9223372036854775808"
        ])
    );
    assert_eq!(value(&nexus, "/kept"), json!([1, 2]));
    assert_eq!(value(&nexus, "/lone"), "EFBFBD");
    for which in ["undefined", "object", "symbol", "function", "array", "large", "long"] {
        let told = error(&nexus, &format!("/bad/{which}"));
        assert!(["TypeError", "RangeError"].contains(&told["name"].as_str().unwrap()), "{which}: {told}");
    }
}

#[test]
fn a_batch_and_a_script_are_done_whole_or_not_at_all() {
    let (_folder, nexus) = serve_functions(
        "make: async ({ DB }) => (await DB.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER CHECK (n >= 0)); INSERT INTO t VALUES (1, 100), (2, 0)')).count,
         move: async ({ DB }, amount) => {
           const add = DB.prepare('UPDATE t SET n = n + ?2 WHERE id = ?1 RETURNING n');
           const results = await DB.batch([add.bind(2, Number(amount)), add.bind(1, -amount)]);
           return results.map(({ results, meta }) => [results[0].n, meta.changes]);
         },
         all: async ({ DB }) => (await DB.prepare('SELECT n FROM t ORDER BY id').raw()).flat(),
         none: async ({ DB }) => await DB.batch([]),
         wrong: async ({ DB }) => await DB.batch([{}]),
         script: async ({ DB }) => await DB.exec('UPDATE t SET n = 7; UPDATE t SET n = -1'),
         nested: async ({ DB }) => await DB.exec('BEGIN; UPDATE t SET n = 9; COMMIT')",
        DB,
    );
    assert_eq!(value(&nexus, "/make"), 2);
    assert_eq!(value(&nexus, "/move/30"), json!([[30, 1], [70, 1]]));
    let told = error(&nexus, "/move/71");
    assert_eq!((&told["code"], &told["retryable"]), (&json!("EINVAL"), &json!(false)));
    assert!(told["error"].as_str().unwrap().contains("CHECK constraint failed"), "{told}");
    assert_eq!(value(&nexus, "/all"), json!([70, 30]));
    assert_eq!(value(&nexus, "/none"), json!([]));
    assert_eq!(error(&nexus, "/wrong")["name"], "TypeError");
    error(&nexus, "/script");
    error(&nexus, "/nested");
    assert_eq!(value(&nexus, "/all"), json!([70, 30]));
}

/// Runs a statement, or a script, and gives its rows.
const ANY: &str = "query: async ({ DB }, text) => (await DB.prepare(text).raw()),
                   script: async ({ DB }, text) => (await DB.exec(text)).count";

#[track_caller]
fn query(nexus: &Nexus, app: &str, text: &str) -> Value {
    nexus.get(app, &format!("/query/{}", encoded(text))).json()
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

#[test]
fn what_is_wrong_is_told_and_leads_nowhere_else() {
    let (folder, nexus) = serve_functions(ANY, DB);
    for (text, part) in [
        ("SELEC 1", "near \"SELEC\": syntax error"),
        ("SELECT * FROM none", "no such table: none"),
        ("SELECT 1; SELECT 2", ""),
        ("SELECT ?", ""),
        ("", ""),
        ("ATTACH 'other.sqlite' AS other", ""),
        ("ATTACH ':memory:' AS other", ""),
        ("VACUUM INTO 'copy.sqlite'", ""),
        ("SELECT load_extension('x')", ""),
        ("PRAGMA journal_mode = DELETE", ""),
        ("PRAGMA writable_schema = 1", ""),
        ("PRAGMA max_page_count = 1000000000", ""),
        ("PRAGMA temp_store_directory = '/tmp'", ""),
        ("PRAGMA mmap_size = 1000000000", ""),
        ("SELECT readfile('/etc/passwd')", ""),
        ("SELECT writefile('x', 'y')", ""),
        ("SELECT * FROM fsdir('/')", ""),
        ("CREATE VIRTUAL TABLE v USING csv(filename='/etc/passwd')", ""),
        ("SELECT * FROM dbstat", ""),
        ("SELECT * FROM sqlite_dbpage", ""),
        ("UPDATE sqlite_master SET sql = 'x'", ""),
        ("BEGIN", ""),
        ("COMMIT", ""),
        ("SAVEPOINT s", ""),
    ] {
        let told = query(&nexus, "shop", text);
        assert_eq!(told["code"], "EINVAL", "{text}: {told}");
        let message = told["error"].as_str().unwrap();
        assert!(message.starts_with("sql: ") && message.contains(part), "{text}: {message}");
        let path = folder.path().to_str().unwrap();
        assert!(!message.contains(path) && !message.contains(".sqlite:"), "{text}: {message}");
    }
    assert_eq!(query(&nexus, "shop", "SELECT 1")["value"], json!([[1]]));
    // Nothing was made beside the database's own files.
    let made = |path: &Path| -> Vec<String> {
        let names = std::fs::read_dir(path).into_iter().flatten();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert!(
        made(folder.path()).iter().all(|name| ["shop", ".nexus"].contains(&&**name)),
        "{:?}",
        made(folder.path())
    );
    let kept = made(&folder.path().join(".nexus/sql/shop"));
    assert!(kept.iter().all(|name| name.starts_with("main.sqlite")), "{kept:?}");
}

#[test]
fn what_apps_keep_is_there_after_a_restart_and_after_a_kill() {
    let tests = format!(
        "{ANY}, put: async ({{ DB }}, n) => {{
           for (let i = 0; i < Number(n); i++) await DB.prepare('INSERT INTO t DEFAULT VALUES').run();
           return (await DB.prepare('SELECT max(id) AS n FROM t').first()).n;
         }}"
    );
    let (folder, nexus) = serve_functions(&tests, DB);
    value(&nexus, "/script/CREATE%20TABLE%20t%20(id%20INTEGER%20PRIMARY%20KEY)");
    let acknowledged = Arc::new(AtomicU64::new(0));
    // An app that is executing in three deaths of its host is set aside.
    for _ in 0..2 {
        acknowledged.fetch_max(value(&nexus, "/put/20").as_u64().unwrap(), Ordering::Relaxed);
        let address = nexus.address("shop");
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let (address, acknowledged) = (address.clone(), acknowledged.clone());
                // Each ends with its connection.
                std::thread::spawn(move || {
                    let mut client = Client::connect(&address);
                    loop {
                        let put = client.get("/put/1").json()["value"].as_u64().unwrap();
                        acknowledged.fetch_max(put, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(200));
        nexus.kill_host("KILL");
        writers.into_iter().for_each(|writer| assert!(writer.join().is_err()));
        let found = until("the app to answer again", || {
            let answer = nexus.get("shop", &format!("/query/{}", encoded("SELECT max(id), count(*) FROM t")));
            (answer.status == 200).then(|| answer.json()["value"][0].clone())
        });
        let least = acknowledged.load(Ordering::Relaxed);
        assert!(found[0].as_u64().unwrap() >= least && found[0] == found[1], "{found} {least}");
        assert_eq!(query(&nexus, "shop", "PRAGMA integrity_check")["value"], json!([["ok"]]));
    }
    drop(nexus);
    let nexus = Nexus::serve(folder.path());
    let count = query(&nexus, "shop", "SELECT count(*) FROM t")["value"][0][0].as_u64();
    assert!(count >= Some(acknowledged.load(Ordering::Relaxed)));
}

/// Has an app attack while another one works with its own database, and gives what came of the attack.
fn beside(attack: &str, limits: &str) -> (Folder, Nexus, harness::Response) {
    let quiet = "work: async ({ DB }) => {
        await DB.exec('CREATE TABLE IF NOT EXISTS t (n)');
        for (let i = 0; i < 10; i++) await DB.prepare('INSERT INTO t VALUES (?)').bind(i).run();
        return (await DB.prepare('SELECT sum(n) AS n FROM t').first()).n;
      }";
    let folder = Folder::new(&[
        ("greedy/index.js", &*functions(attack)),
        ("greedy/nexus.toml", &*format!("{DB}{limits}")),
        ("quiet/index.js", &*functions(quiet)),
        ("quiet/nexus.toml", DB),
    ]);
    let nexus = Nexus::serve(folder.path());
    let address = nexus.address("greedy");
    let attacker = std::thread::spawn(move || Client::connect(&address).get("/attack"));
    let mut sum = 0;
    for _ in 0..10 {
        sum += 45;
        assert_eq!(nexus.get("quiet", "/work").json()["value"], sum);
    }
    let answer = attacker.join().unwrap();
    (folder, nexus, answer)
}

#[test]
fn a_query_without_an_end_is_stopped_at_the_cpu_limit_of_its_app() {
    let endless = "attack: async ({ DB }) => await DB.prepare('WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c').first()";
    let (_folder, nexus, answer) = beside(endless, "[limits]\ncpu = \"300 ms\"\n");
    assert_eq!(answer.status, 503, "{}", answer.text());
    nexus.message("the app reached its cpu limit of 300 ms");
}

#[test]
fn memory_of_a_query_is_bounded() {
    for attack in [
        "SELECT count(*) FROM (SELECT DISTINCT x, randomblob(1000) AS b FROM c ORDER BY b)",
        "SELECT length(group_concat(hex(randomblob(1000)))) FROM c",
        "SELECT zeroblob(2000000000) FROM c",
        "SELECT printf('%.*c', 2000000000, 'x')",
        "SELECT randomblob(1000000) FROM c",
    ] {
        let tests = format!(
            "attack: async ({{ DB }}) => await DB.prepare(`WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 10000000) {attack}`).raw()"
        );
        let (_folder, nexus, answer) =
            beside(&tests, "[limits]\ncpu = \"20 s\"\nwall = \"30 s\"\nmemory = \"64 MB\"\n");
        let told = answer.text();
        assert!(answer.status == 503 || told.contains("error"), "{attack}: {told}");
        assert!(nexus.resident() < 400 << 20, "{attack}: {}", nexus.resident());
    }
}

#[test]
fn databases_do_not_grow_beyond_the_apps_quota() {
    let fill = "attack: async ({ DB }) => {
        await DB.exec('CREATE TABLE IF NOT EXISTS t (b)');
        for (;;) await DB.prepare('INSERT INTO t VALUES (randomblob(10000))').run();
      },
      rest: async ({ DB }) => {
        const { n } = await DB.prepare('SELECT count(*) AS n FROM t').first();
        await DB.exec('DELETE FROM t');
        await DB.exec('INSERT INTO t VALUES (1)');
        return n;
      }";
    let (folder, nexus, answer) = beside(fill, "[limits]\nsql_storage = \"1 MB\"\ncpu = \"10 s\"\n");
    assert_eq!(answer.json()["code"], "EQUOTA", "{}", answer.text());
    assert!(answer.text().contains("limit: sql_storage 1 MB"), "{}", answer.text());
    let size: u64 = std::fs::read_dir(folder.path().join(".nexus/sql/greedy"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(size < 6 << 20, "{size}");
    let kept = nexus.get("greedy", "/rest").json();
    assert!(kept["value"].as_u64().unwrap() > 80, "{kept}");
}

#[test]
fn who_may_only_read_cannot_write_however_it_is_said() {
    let folder = Folder::new(&[
        ("shop/index.js", &*functions(ANY)),
        ("shop/nexus.toml", DB),
        ("stats/index.js", &*functions(ANY)),
        ("stats/nexus.toml", "[bindings]\nDB = { sql = \"shop/main\", access = \"read\" }\n"),
    ]);
    let nexus = Nexus::serve(folder.path());
    let script = encoded("CREATE TABLE t (n); CREATE INDEX i ON t (n); INSERT INTO t VALUES (1)");
    assert_eq!(nexus.get("shop", &format!("/script/{script}")).json()["value"], 3);
    assert_eq!(query(&nexus, "stats", "SELECT n FROM t")["value"], json!([[1]]));
    for text in [
        "INSERT INTO t VALUES (2)",
        "INSERT INTO t VALUES (2) RETURNING n",
        "WITH x AS (SELECT 2 AS n) INSERT INTO t SELECT n FROM x",
        "UPDATE t SET n = 2",
        "DELETE FROM t",
        "REPLACE INTO t VALUES (2)",
        "DROP TABLE t",
        "CREATE TABLE u (n)",
        "ALTER TABLE t ADD COLUMN m",
        "CREATE TRIGGER r AFTER INSERT ON t BEGIN DELETE FROM t; END",
        "PRAGMA user_version = 5",
        "REINDEX",
        "ANALYZE",
    ] {
        let told = query(&nexus, "stats", text);
        assert!(["EPERM", "EINVAL"].contains(&told["code"].as_str().unwrap_or_default()), "{text}: {told}");
        assert_eq!(query(&nexus, "shop", "SELECT n FROM t")["value"], json!([[1]]), "{text}");
    }
    let told = query(&nexus, "stats", "DELETE FROM t");
    assert_eq!(
        told["error"],
        "sql: the app may not write sql `shop/main` by its binding DB: its manifest asks for `access = \"read\"`; ask for \"write\" there"
    );
    nexus.message("the app may not write sql `shop/main` by its binding DB");
}

#[test]
fn a_grant_that_is_taken_away_stops_the_next_call() {
    let folder = Folder::new(&[
        ("shop/index.js", &*functions(ANY)),
        ("shop/nexus.toml", DB),
        ("spy/index.js", &*functions(ANY)),
        ("spy/nexus.toml", "[bindings]\nDB = { sql = \"shop/main\" }\n"),
        ("nexus-host.toml", "[deploy]\nallow = [\"sql\"]\n"),
    ]);
    let managed = Managed::start(folder, &[]);
    managed.done(&["deploy", "shop"]);
    managed.done(&["deploy", "spy"]);
    let ask = |app: &str| Client::connect(&managed.address(app)).get("/query/SELECT%201").json();
    assert_eq!(ask("shop")["value"], json!([[1]]));
    assert_eq!(ask("spy")["code"], "EPERM");
    assert!(ask("spy")["error"].as_str().unwrap().ends_with("`nexus grants add spy sql shop/main` does"));
    managed.done(&["grants", "add", "spy", "sql", "shop/main", "--read"]);
    assert_eq!(ask("spy")["value"], json!([[1]]));
    managed.done(&["grants", "remove", "shop", "sql", "main"]);
    assert_eq!(ask("shop")["code"], "EPERM");
    assert_eq!(ask("spy")["value"], json!([[1]]));
    // A provider that is stopped fails its calls at once, and says that they may be tried again.
    managed.done(&["provider", "stop", "sql"]);
    let told = ask("spy");
    assert_eq!((&told["code"], &told["retryable"]), (&json!("EUNAVAILABLE"), &json!(true)));
    managed.done(&["provider", "start", "sql"]);
    assert_eq!(ask("spy")["value"], json!([[1]]));
}

#[test]
fn a_broken_file_is_told_and_stays_its_apps_matter() {
    let folder = Folder::new(&[
        ("shop/index.js", &*functions(ANY)),
        ("shop/nexus.toml", "[bindings]\nDB = { sql = \"main\" }\nOTHER = { sql = \"other\" }\n"),
        ("fine/index.js", &*functions(ANY)),
        ("fine/nexus.toml", DB),
    ]);
    folder.write(".nexus/sql/shop/main.sqlite", vec![b'x'; 8192]);
    let nexus = Nexus::serve(folder.path());
    let told = query(&nexus, "shop", "SELECT 1 FROM sqlite_master");
    assert_eq!(told["code"], "EIO", "{told}");
    assert!(!told["error"].as_str().unwrap().contains(".nexus"), "{told}");
    let line = nexus.message("the provider `sql` failed");
    let text = line["message"].as_str().unwrap();
    assert!(text.contains(".nexus/sql/shop/main.sqlite") && text.contains("move it away"), "{text}");
    assert_eq!(query(&nexus, "fine", "SELECT 1")["value"], json!([[1]]));
}

fn guest() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wasm/sql.wasm")).unwrap()
}

#[test]
fn webassembly_asks_the_same_database() {
    let folder = Folder::new(&[
        ("shop/index.js", &*functions(ANY)),
        ("shop/nexus.toml", DB),
        ("one/nexus.toml", "[bindings]\nDB = { sql = \"shop/main\" }\n[limits]\ncpu = \"300 ms\"\n"),
    ]);
    folder.write("one/app.wasm", guest());
    let nexus = Nexus::serve(folder.path());
    let says = |path: &str, status: u16, text: &str| {
        let answer = nexus.get("one", path);
        assert_eq!((answer.status, answer.text().as_str()), (status, text), "{path}");
    };
    let made = encoded("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b); CREATE INDEX i ON t (a)");
    says(&format!("/script/{made}"), 200, "2 statements");
    let insert = encoded("INSERT INTO t (a, b) VALUES (?, ?)");
    says(&format!("/query/{insert}/tone/i1"), 200, ": (1, 1)\n");
    says(&format!("/query/{insert}/bxyz/r1.5"), 200, ": (1, 2)\n");
    says(&format!("/query/{insert}/n/i-9223372036854775808"), 200, ": (1, 3)\n");
    let all = encoded("SELECT a, b FROM t ORDER BY id");
    says(&format!("/query/{all}"), 200, "a,b: 'one',1; 3 bytes,1.5; null,-9223372036854775808; (0, 0)\n");
    assert_eq!(
        query(&nexus, "shop", "SELECT a, b FROM t WHERE id < 3")["value"],
        json!([["one", 1], [[120, 121, 122], 1.5]])
    );
    let (one, wrong) = (encoded("UPDATE t SET b = 9"), encoded("INSERT INTO t (id) VALUES (1)"));
    let refused = nexus.get("one", &format!("/batch/{one}/{wrong}"));
    assert_eq!(
        (refused.status, refused.text().contains("invalid: UNIQUE constraint failed: t.id")),
        (500, true),
        "{}",
        refused.text()
    );
    says(&format!("/query/{}", encoded("SELECT count(*) FROM t WHERE b = 9")), 200, "count(*): 0; (0, 0)\n");
    says("/open/OTHER", 403, "no-such-database");
    let endless =
        encoded("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c");
    assert_eq!(nexus.get("one", &format!("/query/{endless}")).status, 503);
    says("/open/DB", 200, "opened");
}

#[test]
fn calls_in_a_loop_are_paid_by_who_makes_them() {
    // Each is short; all together are beyond the limit.
    let tests = "attack: async ({ DB }) => {
        for (;;) await DB.prepare('WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 200000) SELECT count(*) FROM c').first();
      }";
    let (_folder, nexus, answer) = beside(tests, "[limits]\ncpu = \"500 ms\"\n");
    assert_eq!(answer.status, 503, "{}", answer.text());
    nexus.message("the app reached its cpu limit of 500 ms");
}

#[test]
fn a_host_that_takes_over_has_the_same_databases() {
    let tests = format!(
        "{ANY}, add: async ({{ DB }}) => (await DB.prepare('INSERT INTO t DEFAULT VALUES RETURNING id').first()).id"
    );
    let folder = Folder::new(&[("shop/index.js", &*functions(&tests)), ("shop/nexus.toml", DB)]);
    let one = Start::in_folder(folder.path()).path("shop").start();
    assert_eq!(
        one.get("shop", &format!("/script/{}", encoded("CREATE TABLE t (id INTEGER PRIMARY KEY)"))).json()["value"],
        1
    );
    let other = Start::in_folder(folder.path()).path("shop").start();
    for n in 0..20 {
        assert_eq!(one.get("shop", "/add").json()["value"], 2 * n + 1);
        assert_eq!(other.get("shop", "/add").json()["value"], 2 * n + 2);
    }
}
