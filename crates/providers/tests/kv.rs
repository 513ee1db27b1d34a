//! The contract of key-value stores: one suite, against all that keep namespaces.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nexus_core::{AppName, Limit, Resource, ResourceName};
use nexus_guest::{
    CapabilityError, KvAnswer, KvChange, KvEntry, KvKey, KvList, KvOperation, KvPage, KvTransaction,
    KvVersion, KvWritten,
};
use nexus_providers::kv::{KvEngine, MemoryKv, RedbKv, Work};
use proptest::prelude::*;

/// A folder of a test's own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("nexus-kv-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn engine(&self) -> Arc<dyn KvEngine> {
        Arc::new(RedbKv::new(&self.0))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What keeps a namespace, asked in turn.
struct Store {
    engine: Arc<dyn KvEngine>,
    namespace: Resource,
    quota: u64,
}

fn resource(name: &str) -> Resource {
    name.parse::<ResourceName>().unwrap().of(&AppName::parse("shop").unwrap())
}

fn key(text: &str) -> KvKey {
    text.parse().unwrap()
}

fn put(value: &[u8]) -> KvChange {
    KvChange::Put { value: value.to_vec().into(), metadata: None, expires: None }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Store {
    fn of(engine: &Arc<dyn KvEngine>, name: &str) -> Self {
        Self { engine: engine.clone(), namespace: resource(name), quota: 100 << 20 }
    }

    fn call(&self, operation: KvOperation) -> Result<KvAnswer, CapabilityError> {
        let answer = self.engine.call(&self.namespace, self.quota, operation, Work::free());
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(answer.wait())
    }

    fn entries(&self, keys: &[&str]) -> Vec<Option<KvEntry>> {
        match self.call(KvOperation::Get(keys.iter().map(|text| key(text)).collect())).unwrap() {
            KvAnswer::Entries(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.entries(&[key]).remove(0).map(|entry| entry.value.to_vec())
    }

    fn write(&self, transaction: KvTransaction) -> Result<KvWritten, CapabilityError> {
        self.call(KvOperation::Write(transaction)).map(|answer| match answer {
            KvAnswer::Written(written) => written,
            other => panic!("{other:?}"),
        })
    }

    fn change(&self, name: &str, change: KvChange) -> KvVersion {
        let changes = vec![(key(name), change)];
        self.write(KvTransaction { checks: vec![], changes }).unwrap().version.unwrap()
    }

    fn page(&self, prefix: &str, after: Option<&str>, limit: usize) -> KvPage {
        let list = KvList { prefix: prefix.to_owned(), after: after.map(str::to_owned), limit };
        match self.call(KvOperation::List(list)).unwrap() {
            KvAnswer::Page(page) => page,
            other => panic!("{other:?}"),
        }
    }

    fn keys(&self, prefix: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let mut after = None;
        loop {
            let page = self.page(prefix, after.as_deref(), 7);
            keys.extend(page.keys.iter().map(|listed| listed.key.to_string()));
            after = page.next.map(String::from);
            if after.is_none() {
                return keys;
            }
        }
    }
}

/// Runs a test against each engine.
fn with_each(test: impl Fn(&Arc<dyn KvEngine>)) {
    test(&(Arc::new(MemoryKv::default()) as Arc<dyn KvEngine>));
    let folder = Folder::new();
    test(&folder.engine());
}

#[test]
fn what_is_put_is_there_until_it_is_deleted() {
    with_each(|engine| {
        let store = Store::of(engine, "a");
        assert_eq!(store.get("k"), None);
        assert_eq!(store.keys(""), Vec::<String>::new());
        for value in [&b"one"[..], b"", &[7; 1024], &[8; 1025], &[9; 300_000], b"two"] {
            store.change("k", put(value));
            assert_eq!(store.get("k").unwrap(), value);
        }
        store.change("k", KvChange::Delete);
        store.change("k", KvChange::Delete);
        assert_eq!(store.get("k"), None);
    });
}

#[test]
fn namespaces_and_apps_see_nothing_of_each_other() {
    with_each(|engine| {
        let names = ["a", "b", "other/a", "a.b", "other/heads"];
        for name in names {
            Store::of(engine, name).change("k", put(name.as_bytes()));
        }
        for name in names {
            let store = Store::of(engine, name);
            assert_eq!(store.get("k").unwrap(), name.as_bytes());
            assert_eq!(store.keys(""), ["k"]);
            store.change("k", KvChange::Delete);
        }
    });
}

#[test]
fn an_entry_has_its_metadata_its_end_and_a_version_that_grows() {
    with_each(|engine| {
        let store = Store::of(engine, "a");
        let end = now() + 1000;
        let metadata: Option<Box<str>> = Some("{\"a\":1}".into());
        let value = vec![1; 2000];
        let first = store.change(
            "k",
            KvChange::Put { value: value.clone().into(), metadata: metadata.clone(), expires: Some(end) },
        );
        let entry = store.entries(&["k"]).remove(0).unwrap();
        assert_eq!((entry.metadata, entry.expires, entry.version), (metadata.clone(), Some(end), first));
        assert_eq!(entry.value, value);
        let listed = store.page("", None, 10);
        assert_eq!((&listed.keys[0].metadata, listed.keys[0].expires), (&metadata, Some(end)));
        let second = store.change("other", put(b""));
        assert!(second > first);
        assert_eq!(store.entries(&["other", "none", "k"])[1], None);
    });
}

#[test]
fn what_has_expired_is_not_there_and_counts_no_more() {
    with_each(|engine| {
        let mut store = Store::of(engine, "a");
        store.quota = 20_000;
        // Late enough for what is asked before, on a busy machine, too.
        let end = now() + 4;
        let gone =
            |size: usize| KvChange::Put { value: vec![0; size].into(), metadata: None, expires: Some(end) };
        store.change("a", gone(9000));
        store.change("b", gone(9000));
        store.change("c", put(b"stays"));
        assert_eq!(store.keys(""), ["a", "b", "c"]);
        while now() <= end {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(store.get("a"), None);
        assert_eq!(store.keys(""), ["c"]);
        // It is as if it had never been: for checks, for sums, and for the quota.
        let checks = vec![(key("a"), None)];
        let written =
            store.write(KvTransaction { checks, changes: vec![(key("b"), KvChange::Add(3))] }).unwrap();
        assert_eq!(written.sums, [3]);
        store.change("d", put(&[0; 18_000]));
    });
}

#[test]
fn lists_are_in_the_order_of_utf_8_by_prefix_and_page() {
    with_each(|engine| {
        let store = Store::of(engine, "a");
        let mut names: Vec<String> = (0..40).map(|i| format!("n/{i}")).collect();
        names.extend(["a", "n", "n0", "né", "n\u{ffff}", "n\u{10000}", "z", "N/1"].map(String::from));
        for name in &names {
            store.change(name, put(name.as_bytes()));
        }
        names.sort();
        assert_eq!(store.keys(""), names);
        let within: Vec<String> = names.iter().filter(|name| name.starts_with("n/")).cloned().collect();
        assert_eq!(store.keys("n/"), within);
        assert_eq!(store.keys("nothing"), Vec::<String>::new());
        assert_eq!(store.page("n/", None, 40).next, None);
        assert_eq!(store.page("n/", None, 39).keys.len(), 39);
        assert!(store.page("n/", None, 39).next.is_some());
        // A cursor is any text, and leads nowhere but behind itself within the prefix.
        for after in ["", "a", "n/", "n/0", "\u{0}", "n/zzz", "\u{10ffff}"] {
            let page = store.page("n/", Some(after), 1000);
            let expected: Vec<_> = within.iter().filter(|name| name.as_str() > after).cloned().collect();
            assert_eq!(
                page.keys.iter().map(|listed| listed.key.to_string()).collect::<Vec<_>>(),
                expected,
                "{after}"
            );
        }
    });
}

#[test]
fn changes_are_made_if_all_checks_hold_or_not_at_all() {
    with_each(|engine| {
        let store = Store::of(engine, "a");
        let first = store.change("k", put(b"1"));
        let try_with = |checks: Vec<(KvKey, Option<KvVersion>)>| {
            let changes = vec![(key("k"), put(b"2")), (key("other"), put(b"2"))];
            store.write(KvTransaction { checks, changes }).unwrap().version
        };
        assert_eq!(try_with(vec![(key("k"), None)]), None);
        assert_eq!(try_with(vec![(key("k"), Some(first)), (key("none"), Some(first))]), None);
        assert_eq!(store.get("k").unwrap(), b"1");
        assert_eq!(store.get("other"), None);
        let second = try_with(vec![(key("k"), Some(first)), (key("none"), None)]).unwrap();
        assert!(second > first);
        assert_eq!(
            store.entries(&["k", "other"]).into_iter().map(|e| e.unwrap().version).collect::<Vec<_>>(),
            [second; 2]
        );
        assert_eq!(try_with(vec![(key("k"), Some(first))]), None);
    });
}

#[test]
fn later_changes_of_a_transaction_see_the_earlier() {
    with_each(|engine| {
        let store = Store::of(engine, "a");
        store.change("n", put(b"40"));
        let changes = vec![
            (key("n"), KvChange::Add(2)),
            (key("n"), KvChange::Add(-50)),
            (key("n"), KvChange::Delete),
            (key("n"), KvChange::Add(5)),
            (key("x"), put(b"1")),
            (key("x"), KvChange::Delete),
        ];
        let written = store.write(KvTransaction { checks: vec![], changes }).unwrap();
        assert_eq!(written.sums, [42, -8, 5]);
        assert_eq!(store.get("n").unwrap(), b"5");
        assert_eq!(store.get("x"), None);
    });
}

#[test]
fn what_is_no_number_and_what_is_beyond_one_gets_no_sum() {
    with_each(|engine| {
        let store = Store::of(engine, "a");
        store.change("text", put(b"12x"));
        store.change("most", put(i64::MAX.to_string().as_bytes()));
        for name in ["text", "most"] {
            let changes = vec![(key("other"), put(b"")), (key(name), KvChange::Add(1))];
            let error = store.write(KvTransaction { checks: vec![], changes }).unwrap_err();
            assert_eq!(error.code(), "EINVAL");
            assert_eq!(store.get("other"), None);
        }
    });
}

#[test]
fn the_quota_is_of_all_namespaces_of_an_app_and_of_no_other() {
    with_each(|engine| {
        let [mut a, mut b, other] = ["a", "b", "other/a"].map(|name| Store::of(engine, name));
        (a.quota, b.quota) = (10_000, 10_000);
        a.change("k", put(&[0; 6000]));
        let full = CapabilityError::Full(Limit::KvStorage, 10_000);
        let beyond = |store: &Store, size: usize| {
            store.write(KvTransaction { checks: vec![], changes: vec![(key("l"), put(&vec![0; size]))] })
        };
        assert_eq!(beyond(&b, 4000), Err(full.clone()));
        assert!(beyond(&b, 3800).is_ok());
        assert_eq!(beyond(&a, 100), Err(full.clone()));
        assert!(beyond(&other, 50_000).is_ok());
        // What makes it less is done, also above the quota.
        a.quota = 5000;
        assert!(beyond(&Store { quota: 5000, ..Store::of(engine, "b") }, 3700).is_ok());
        a.change("k", put(&[0; 100]));
        a.quota = 10_000;
        assert!(beyond(&a, 5000).is_ok());
        for name in ["k", "l"] {
            a.change(name, KvChange::Delete);
            b.change(name, KvChange::Delete);
        }
        // Nothing is left over of what was counted.
        assert!(beyond(&a, 9900).is_ok());
        assert_eq!(beyond(&a, 10_000), Err(full));
    });
}

#[test]
fn a_read_brings_so_much_and_no_more() {
    with_each(|engine| {
        let store = Store::of(engine, "a");
        store.change("a", put(&vec![1; 13 << 20]));
        store.change("b", put(&vec![2; 13 << 20]));
        assert_eq!(store.get("a").unwrap().len(), 13 << 20);
        let error = store.call(KvOperation::Get(vec![key("a"), key("b")])).unwrap_err();
        assert_eq!(error.code(), "EINVAL");
    });
}

#[test]
fn a_page_over_much_that_has_expired_comes_to_an_end() {
    with_each(|engine| {
        let store = Store::of(engine, "a");
        let end = now() + 2;
        for block in 0..110 {
            let gone = KvChange::Put { value: "".into(), metadata: None, expires: Some(end) };
            let changes = (0..100).map(|i| (key(&format!("{block:03}-{i:03}")), gone.clone())).collect();
            store.write(KvTransaction { checks: vec![], changes }).unwrap();
        }
        store.change("last", put(b""));
        while now() <= end {
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(store.keys(""), ["last"]);
    });
}

#[test]
fn a_key_is_short_and_not_empty() {
    for fine in ["a", "é", "a/b", "...", &"a".repeat(512)] {
        assert!(fine.parse::<KvKey>().is_ok(), "{fine}");
    }
    for bad in ["", ".", "..", &"a".repeat(513), &"é".repeat(257)] {
        assert!(bad.parse::<KvKey>().is_err(), "{bad}");
    }
}

#[test]
fn a_file_with_broken_bytes_gives_errors_and_no_more() {
    let folder = Folder::new();
    let fill = || {
        let engine = folder.engine();
        let store = Store::of(&engine, "a");
        for i in 0..40 {
            store.change(&format!("k{i}"), put(&vec![i; 500 * usize::from(i)]));
        }
        engine.close();
    };
    fill();
    let path = folder.0.join("shop.redb");
    let whole = std::fs::read(&path).unwrap();
    let (mut failed, mut seed) = (0, 1u64);
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for round in 0..60 {
        let mut bytes = whole.clone();
        match round % 3 {
            // A piece of nothing, some bytes that are others, an end that is missing.
            0 => {
                let at = random() % bytes.len();
                let end = (at + 4096 * (1 + random() % 64)).min(bytes.len());
                bytes[at..end].fill(0);
            }
            1 => (0..50).for_each(|_| {
                let at = random() % bytes.len();
                bytes[at] ^= 1 << (random() % 8);
            }),
            _ => bytes.truncate(random() % bytes.len()),
        }
        std::fs::write(&path, &bytes).unwrap();
        let engine = folder.engine();
        let store = Store::of(&engine, "a");
        // Each is answered, one way or the other, and the next one, too.
        for i in 0..40 {
            let key = key(&format!("k{i}"));
            failed += usize::from(store.call(KvOperation::Get(vec![key.clone()])).is_err());
            let changes = vec![(key, put(b"new"))];
            failed += usize::from(store.write(KvTransaction { checks: vec![], changes }).is_err());
        }
        let list = KvList { prefix: String::new(), after: None, limit: 1000 };
        failed += usize::from(store.call(KvOperation::List(list)).is_err());
        // Other apps notice nothing.
        Store::of(&engine, "other/a").change("k", put(b"v"));
        engine.close();
    }
    assert!(failed > 0);
}

#[test]
fn what_an_app_kept_is_put_aside_when_it_is_gone() {
    with_each(|engine| {
        let (store, other) = (Store::of(engine, "a"), Store::of(engine, "other/a"));
        store.change("k", put(b"old"));
        other.change("k", put(b"stays"));
        engine.release(&AppName::parse("shop").unwrap());
        engine.release(&AppName::parse("nobody").unwrap());
        assert_eq!(store.get("k"), None);
        assert_eq!(store.keys(""), Vec::<String>::new());
        store.change("k", put(b"new"));
        assert_eq!(store.get("k").unwrap(), b"new");
        assert_eq!(other.get("k").unwrap(), b"stays");
    });
    let folder = Folder::new();
    let engine = folder.engine();
    Store::of(&engine, "a").change("k", put(b"old"));
    engine.release(&AppName::parse("shop").unwrap());
    let names: Vec<String> = std::fs::read_dir(&folder.0)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.iter().filter(|name| name.starts_with("shop.removed-")).count(), 1, "{names:?}");
}

/// A step of a model: what is asked of namespace 0 or 1.
#[derive(Debug, Clone)]
enum Step {
    Write(usize, Vec<(u8, Option<Vec<u8>>)>),
    Check(usize, u8, bool),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = proptest::option::of(prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..20),
        proptest::collection::vec(any::<u8>(), 1020..1030),
    ]);
    let changes = proptest::collection::vec((0u8..8, value), 1..5);
    let step = prop_oneof![
        6 => (0usize..2, changes).prop_map(|(place, changes)| Step::Write(place, changes)),
        2 => (0usize..2, 0u8..8, any::<bool>()).prop_map(|(place, key, right)| Step::Check(place, key, right)),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..15)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn all_engines_keep_what_a_map_keeps(steps in steps()) {
        let folder = Folder::new();
        let mut engines: Vec<Arc<dyn KvEngine>> = vec![Arc::new(MemoryKv::default()), folder.engine()];
        let mut models: [std::collections::BTreeMap<String, Vec<u8>>; 2] = Default::default();
        for step in steps {
            match step {
                Step::Write(place, changes) => {
                    for engine in &engines {
                        let store = Store::of(engine, ["a", "b"][place]);
                        let changes = changes.iter().map(|(name, value)| {
                            (key(&format!("k{name}")), value.as_ref().map_or(KvChange::Delete, |value| put(value)))
                        });
                        store.write(KvTransaction { checks: vec![], changes: changes.collect() }).unwrap();
                    }
                    for (name, value) in changes {
                        let name = format!("k{name}");
                        match value {
                            Some(value) => models[place].insert(name, value),
                            None => models[place].remove(&name),
                        };
                    }
                }
                Step::Check(place, name, right) => {
                    let name = format!("k{name}");
                    for engine in &engines {
                        let store = Store::of(engine, ["a", "b"][place]);
                        let version = store.entries(&[&name]).remove(0).map(|entry| entry.version);
                        let version = if right { version } else { Some(KvVersion(u64::MAX)) };
                        let checks = vec![(key(&name), version)];
                        let changes = vec![(key("checked"), put(b"yes"))];
                        let written = store.write(KvTransaction { checks, changes }).unwrap();
                        prop_assert_eq!(written.version.is_some(), right);
                    }
                    if right {
                        models[place].insert("checked".into(), b"yes".to_vec());
                    }
                }
                Step::Reopen => {
                    engines[1].close();
                    engines[1] = folder.engine();
                }
            }
            for engine in &engines {
                for place in 0..2 {
                    let store = Store::of(engine, ["a", "b"][place]);
                    prop_assert_eq!(store.keys(""), models[place].keys().cloned().collect::<Vec<_>>());
                    for (name, value) in &models[place] {
                        prop_assert_eq!(&store.get(name).unwrap(), value);
                    }
                }
            }
        }
    }
}
