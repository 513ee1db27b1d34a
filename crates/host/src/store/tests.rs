//! The store as a whole: what is deployed is what is served, whatever happens in between.

mod together;

use super::*;
use crate::beneath::tests::Tree;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// A folder with a data folder in it, removed at the end.
struct Temp(Tree);

impl Temp {
    fn new() -> Self {
        Self(Tree::empty())
    }

    fn data(&self) -> PathBuf {
        self.0.path("data")
    }

    fn open(&self) -> Store {
        Store::open(&self.data()).unwrap()
    }

    /// What the data folder has in one of its folders.
    fn names(&self, folder: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(self.data().join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn write_record(&self, name: &str, text: &str) {
        fs::write(self.data().join("apps").join(name), text).unwrap();
    }

    /// Changes a stored file, which only its owner can, and not by mistake.
    fn tamper(&self, digest: Digest, change: impl FnOnce(&Path)) {
        let folder = self.data().join("versions").join(digest.to_string());
        disk::set_mode(&folder, 0o700).unwrap();
        change(&folder);
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = disk::remove(&self.0.path(""));
    }
}

fn app(name: &str) -> AppName {
    AppName::parse(name).unwrap()
}

const LIMITS: UploadLimits =
    UploadLimits { entries: 100, file: 1 << 20, total: 2 << 20, path: 512, depth: 32 };

/// The upload of an app with this text as its code.
fn upload(text: &str) -> Vec<u8> {
    let tree = Tree::empty();
    tree.write("index.js", text);
    tree.write("lib/a.js", "the same in all");
    packed(&tree.path(""))
}

fn packed(folder: &Path) -> Vec<u8> {
    let mut upload = Vec::new();
    Package::of(folder, &LIMITS).unwrap().write_to(&mut upload).unwrap();
    upload
}

fn deploy(store: &Store, name: &str, text: &str) -> Version {
    store.deploy(&app(name), &upload(text)[..], &LIMITS).unwrap()
}

/// What the app would serve.
fn served(store: &Store, name: &str) -> String {
    let (_, held) = store.get(&app(name), None).unwrap();
    fs::read_to_string(held.folder().join("index.js")).unwrap()
}

fn numbers(store: &Store, name: &str) -> Vec<u64> {
    store.deployed(&app(name)).unwrap().versions().iter().map(|version| version.number).collect()
}

#[test]
fn what_was_deployed_is_served_again_after_a_restart() {
    let temp = Temp::new();
    let store = temp.open();
    let version = deploy(&store, "shop", "1");
    assert_eq!((version.number, version.files, version.bytes), (1, 2, 16));
    deploy(&store, "shop", "2");
    deploy(&store, "cart", "1");
    let apps = store.apps();
    drop(store);
    let store = temp.open();
    assert_eq!(store.apps(), apps);
    assert_eq!((served(&store, "shop"), served(&store, "cart")), ("2".into(), "1".into()));
    assert_eq!(
        store.apps().iter().flatten().map(|app| app.app().as_str()).collect::<Vec<_>>(),
        ["cart", "shop"]
    );
    assert!(matches!(store.get(&app("other"), None), Err(StoreError::Missing(_))));
    let error = store.get(&app("shop"), Some(3)).unwrap_err();
    assert_eq!(error.to_string(), "the app `shop` has no version 3; it has 1, 2");
}

#[test]
fn five_versions_are_kept_and_the_sixth_takes_the_files_of_the_first_unless_another_app_has_them() {
    let temp = Temp::new();
    let store = temp.open();
    let first = deploy(&store, "shop", "1");
    let second = deploy(&store, "shop", "2");
    deploy(&store, "cart", "2");
    for text in ["3", "4", "5", "6"] {
        deploy(&store, "shop", text);
    }
    assert_eq!(numbers(&store, "shop"), [2, 3, 4, 5, 6]);
    assert!(!temp.names("versions").contains(&first.digest.to_string()));
    deploy(&store, "shop", "7");
    assert_eq!(numbers(&store, "shop"), [3, 4, 5, 6, 7]);
    assert!(temp.names("versions").contains(&second.digest.to_string()));
    store.turn(&app("cart")).remove().unwrap();
    assert!(!temp.names("versions").contains(&second.digest.to_string()));
    assert_eq!((temp.names("versions").len(), temp.names("incoming").len()), (5, 0));
    assert_eq!(temp.names("apps"), BTreeSet::from(["shop.json".to_owned()]));
}

#[test]
fn rolling_back_serves_the_version_before_also_after_a_restart() {
    let temp = Temp::new();
    let store = temp.open();
    for text in ["1", "2", "3"] {
        deploy(&store, "shop", text);
    }
    assert_eq!(store.turn(&app("shop")).roll_back(None).unwrap().number, 2);
    drop(store);
    let store = temp.open();
    assert_eq!(served(&store, "shop"), "2");
    assert_eq!(store.turn(&app("shop")).roll_back(None).unwrap().number, 1);
    let error = store.turn(&app("shop")).roll_back(None).unwrap_err();
    assert_eq!(error.to_string(), "the app `shop` has no version before 1; deploy another one");
    assert_eq!(store.turn(&app("shop")).roll_back(Some(3)).unwrap().number, 3);
    let error = store.turn(&app("shop")).roll_back(Some(9)).unwrap_err();
    assert_eq!(error.to_string(), "the app `shop` has no version 9; it has 1, 2, 3");
    assert_eq!((served(&store, "shop"), numbers(&store, "shop")), ("3".into(), vec![1, 2, 3]));
    assert!(matches!(store.turn(&app("other")).roll_back(None), Err(StoreError::Missing(_))));
}

#[test]
fn a_deploy_that_fails_or_is_given_up_leaves_nothing() {
    let temp = Temp::new();
    let store = temp.open();
    let version = deploy(&store, "shop", "1");
    let versions = temp.names("versions");
    let archive = upload("2");
    for length in (0..archive.len()).step_by(512) {
        let error = store.deploy(&app("shop"), &archive[..length], &LIMITS).unwrap_err();
        assert!(matches!(error, StoreError::Upload(_)), "{error}");
    }
    let small = UploadLimits { total: 10, ..LIMITS };
    assert!(matches!(store.deploy(&app("shop"), &archive[..], &small), Err(StoreError::TooMuch(_))));
    let received = store.receive(&archive[..], &LIMITS).unwrap();
    assert_eq!(fs::read_to_string(received.folder().join("index.js")).unwrap(), "2");
    assert_eq!(temp.names("versions").len(), 2);
    drop(received);
    // Of what an app has already, giving an upload up takes nothing away.
    drop(store.receive(&upload("1")[..], &LIMITS).unwrap());
    assert_eq!((temp.names("versions"), temp.names("incoming").len()), (versions, 0));
    assert_eq!(store.deployed(&app("shop")).unwrap().versions(), [version]);
}

#[test]
fn a_record_that_cannot_be_written_changes_nothing() {
    let temp = Temp::new();
    let store = temp.open();
    fs::create_dir(temp.data().join("apps/shop.json")).unwrap();
    let error = store.deploy(&app("shop"), &upload("1")[..], &LIMITS).unwrap_err();
    assert!(matches!(&error, StoreError::System(line) if line.contains("shop.json")), "{error}");
    assert!(store.apps().is_empty());
    assert_eq!((temp.names("versions").len(), temp.names("incoming").len()), (0, 0));
}

#[test]
fn files_that_somebody_holds_stay_until_they_are_let_go() {
    let temp = Temp::new();
    let store = temp.open();
    let version = deploy(&store, "shop", "1");
    let (_, held) = store.get(&app("shop"), None).unwrap();
    store.turn(&app("shop")).remove().unwrap();
    assert_eq!(fs::read_to_string(held.folder().join("index.js")).unwrap(), "1");
    assert_eq!(held.digest(), version.digest);
    drop(store);
    // The data folder is in use as long as files are held.
    assert!(matches!(Store::open(&temp.data()), Err(StoreError::Folder(_))));
    drop(held);
    assert!(temp.names("versions").is_empty());
    temp.open();
}

#[test]
fn files_that_were_changed_are_not_served_and_deploying_again_mends_them() {
    let temp = Temp::new();
    let store = temp.open();
    deploy(&store, "cart", "fine");
    let changes: [fn(&Path); 6] = [
        |folder| {
            fs::remove_file(folder.join("index.js")).unwrap();
            fs::write(folder.join("index.js"), "2").unwrap();
        },
        |folder| fs::write(folder.join("more.js"), "").unwrap(),
        |folder| fs::create_dir(folder.join("more")).unwrap(),
        |folder| fs::remove_file(folder.join("index.js")).unwrap(),
        |folder| {
            fs::rename(folder.join("index.js"), folder.join("other.js")).unwrap();
            symlink("other.js", folder.join("index.js")).unwrap();
        },
        |folder| disk::remove(folder).unwrap(),
    ];
    for change in changes {
        let version = deploy(&store, "shop", "1");
        temp.tamper(version.digest, change);
        let error = store.get(&app("shop"), None).unwrap_err();
        assert!(matches!(error, StoreError::Damaged(_)));
        let line = error.to_string();
        assert!(line.starts_with("the app `shop` cannot be served: the files of its version 1"), "{line}");
        assert_eq!(served(&store, "cart"), "fine");
        assert_eq!(deploy(&store, "shop", "1").number, 1, "it is the same content");
        assert_eq!((served(&store, "shop"), temp.names("incoming").len()), ("1".into(), 0));
    }
}

#[test]
fn a_broken_record_stops_its_app_only_and_loses_no_files() {
    let temp = Temp::new();
    let store = temp.open();
    deploy(&store, "shop", "1");
    deploy(&store, "cart", "2");
    drop(store);
    let (good, versions) =
        (fs::read_to_string(temp.data().join("apps/shop.json")).unwrap(), temp.names("versions"));
    let long = " ".repeat(100_000) + &good;
    for broken in ["", "{}", &good[..good.len() / 2], &long, "\0\0\0\0", &good.replace("shop", "cart")] {
        temp.write_record("shop.json", broken);
        let store = temp.open();
        let error = store.get(&app("shop"), None).unwrap_err();
        let line = error.to_string();
        assert!(matches!(error, StoreError::Damaged(_)), "{line}");
        assert!(line.starts_with("the app `shop` cannot be served: its record /"), "{line}");
        assert!(line.ends_with("or remove the app and deploy it again"), "{line}");
        assert_eq!((store.apps().len(), served(&store, "cart")), (2, "2".to_owned()));
        assert_eq!(store.deploy(&app("shop"), &upload("3")[..], &LIMITS).unwrap_err(), error);
        drop(store);
        // The record may come back from a backup.
        temp.write_record("shop.json", &good);
        assert!(temp.names("versions").is_superset(&versions));
        assert_eq!(served(&temp.open(), "shop"), "1");
    }
    assert_eq!(temp.names("versions"), versions);
    temp.write_record("shop.json", "");
    let store = temp.open();
    store.turn(&app("shop")).remove().unwrap();
    assert_eq!(deploy(&store, "shop", "4").number, 1);
}

#[test]
fn beside_a_broken_record_only_what_was_there_before_stays() {
    let temp = Temp::new();
    let store = temp.open();
    let before = deploy(&store, "shop", "1");
    deploy(&store, "cart", "2");
    drop(store);
    temp.write_record("shop.json", "");
    let store = temp.open();
    let there = temp.names("versions");
    drop(store.receive(&upload("3")[..], &LIMITS).unwrap());
    drop(store.receive(&upload("1")[..], &LIMITS).unwrap());
    assert_eq!(temp.names("versions"), there);
    for text in ["4", "5", "6", "7", "8", "9"] {
        deploy(&store, "cart", text);
    }
    store.turn(&app("cart")).remove().unwrap();
    assert_eq!(temp.names("versions"), there);
    assert!(there.contains(&before.digest.to_string()));
}

#[test]
fn a_link_is_no_record_and_a_file_that_can_be_none_is_told() {
    let temp = Temp::new();
    let store = temp.open();
    deploy(&store, "shop", "1");
    drop(store);
    fs::rename(temp.data().join("apps/shop.json"), temp.0.path("elsewhere")).unwrap();
    symlink(temp.0.path("elsewhere"), temp.data().join("apps/shop.json")).unwrap();
    temp.write_record("Not A Name.json", "{}");
    temp.write_record("notes.txt", "");
    let lines: Vec<_> = temp.open().apps().into_iter().map(|app| app.unwrap_err().to_string()).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("the app `shop` cannot be served"), "{}", lines[0]);
    assert!(lines[1].ends_with("as no app can have that name; remove the file"), "{}", lines[1]);
}

#[test]
fn what_nobody_needs_goes_when_the_store_is_opened_and_what_is_not_its_own_stays() {
    let temp = Temp::new();
    drop(temp.open());
    let stray = "0".repeat(64);
    for path in [format!("versions/{stray}/d/a"), "versions/mine/a".into(), "incoming/0/d/a".into()] {
        temp.0.write(&format!("data/{path}"), "");
    }
    disk::set_mode(&temp.data().join("versions").join(&stray).join("d"), 0o555).unwrap();
    let store = temp.open();
    assert_eq!(temp.names("versions"), BTreeSet::from(["mine".to_owned()]));
    assert!(temp.names("incoming").is_empty());
    assert_eq!(deploy(&store, "shop", "1").number, 1);
}

/// An upload of which the middle is something that happens.
struct Midway<F>(Option<F>);

impl<F: FnOnce()> Read for Midway<F> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        if let Some(happens) = self.0.take() {
            happens();
        }
        Ok(0)
    }
}

#[test]
fn an_upload_of_a_host_that_is_replaced_fails_and_leaves_those_of_the_next_one_alone() {
    // One comes whole, the other one breaks off.
    for is_whole in [true, false] {
        let temp = Temp::new();
        let first = temp.open();
        let (one, two) = (upload("1"), upload("2"));
        let ((begun, has_begun), (go_on, may_go_on)) = (mpsc::channel(), mpsc::channel());
        let (start, rest) = (&one[..2000], if is_whole { &one[2000..] } else { &[] });
        let store = &first;
        thread::scope(|scope| {
            let late = scope.spawn(move || {
                let wait = Midway(Some(move || {
                    begun.send(()).unwrap();
                    may_go_on.recv().unwrap();
                }));
                store.receive(start.chain(wait).chain(rest), &LIMITS).unwrap_err()
            });
            has_begun.recv().unwrap();
            first.hand_over();
            let second = temp.open();
            assert!(temp.names("incoming").is_empty());
            let between = Midway(Some(|| {
                go_on.send(()).unwrap();
                let error = late.join().unwrap();
                assert!(
                    matches!(&error, StoreError::HandedOver(line) if line.ends_with("try again")),
                    "{error}"
                );
            }));
            second.deploy(&app("shop"), two[..2000].chain(between).chain(&two[2000..]), &LIMITS).unwrap();
            assert_eq!(served(&second, "shop"), "2");
            assert_eq!((temp.names("versions").len(), temp.names("incoming").len()), (1, 0));
        });
        let error = first.receive(&one[..], &LIMITS).unwrap_err();
        assert!(matches!(error, StoreError::HandedOver(_)), "{error}");
    }
}

#[test]
fn stored_files_and_folders_can_only_be_read() {
    use std::os::unix::fs::PermissionsExt;
    let temp = Temp::new();
    let store = temp.open();
    deploy(&store, "shop", "1");
    let (_, held) = store.get(&app("shop"), None).unwrap();
    for path in ["", "lib", "index.js", "lib/a.js"] {
        let mode = fs::metadata(held.folder().join(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o222, 0, "{path}: {mode:o}");
    }
}

/// Names the data folder for the second process of the test below.
const SECOND: &str = "NEXUS_TEST_STORE";

#[test]
fn one_process_at_a_time_has_the_store_and_what_it_did_not_finish_is_gone_after_it() {
    if let Some(data) = std::env::var_os(SECOND) {
        return be_killed(Path::new(&data));
    }
    let temp = Temp::new();
    let name =
        "store::tests::one_process_at_a_time_has_the_store_and_what_it_did_not_finish_is_gone_after_it";
    let mut second = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(SECOND, temp.data())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !temp.data().join("ready").exists() {
        assert_eq!(second.try_wait().unwrap(), None, "the second process has failed");
        thread::sleep(Duration::from_millis(5));
    }
    let error = Store::open(&temp.data()).unwrap_err();
    assert!(error.to_string().contains("another host uses this data folder"), "{error}");
    assert_eq!((temp.names("versions").len(), temp.names("incoming").len()), (2, 1));
    second.kill().unwrap();
    second.wait().unwrap();
    let store = temp.open();
    assert_eq!((temp.names("versions").len(), temp.names("incoming").len()), (1, 0));
    assert_eq!((served(&store, "shop"), store.apps().len()), ("1".into(), 1));
}

/// Has deployed one version, received another one, and is in the middle of a third.
fn be_killed(data: &Path) {
    struct Stuck<'a>(&'a Path);
    impl Read for Stuck<'_> {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            fs::write(self.0.join("ready"), "")?;
            loop {
                thread::park();
            }
        }
    }
    let store = Store::open(data).unwrap();
    deploy(&store, "shop", "1");
    let _received = store.receive(&upload("2")[..], &LIMITS).unwrap();
    let archive = upload("3");
    let _ = store.receive(archive[..2000].chain(Stuck(data)), &LIMITS);
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 48,
        rng_seed: RngSeed::Fixed(3),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_packed_is_what_is_received(
        files in proptest::collection::btree_map(
            proptest::collection::vec("[a-zäß☃ ~$-]{1,40}[.a-z]{0,3}", 1..7),
            proptest::collection::vec(any::<u8>(), 0..1600),
            1..12,
        ),
        folders in proptest::collection::vec("[A-Z]{1,3}(/[A-Z]{1,3}){0,2}", 0..3),
    ) {
        let temp = Temp::new();
        for (names, contents) in &files {
            let path = temp.0.path("app").join(names.join("/"));
            // A file may be in the way of another one's folders.
            if fs::create_dir_all(path.parent().unwrap()).is_ok() && !path.exists() {
                fs::write(path, contents).unwrap();
            }
        }
        for folder in folders {
            fs::create_dir_all(temp.0.path("app").join(folder)).unwrap();
        }
        let store = temp.open();
        let received = store.receive(&packed(&temp.0.path("app"))[..], &LIMITS).unwrap();
        let sent = listing::Listing::read(&temp.0.path("app")).unwrap();
        prop_assert_eq!(&sent, &listing::Listing::read(&received.folder()).unwrap());
        prop_assert_eq!(received.digest(), sent.digest());
        prop_assert_eq!((received.files(), received.bytes()), (sent.files().count() as u64, sent.bytes()));
        // Packed again, it is the same version.
        let again = store.receive(&packed(&received.folder())[..], &LIMITS).unwrap();
        prop_assert_eq!(again.digest(), received.digest());
    }
}
