//! An app that has more to do than one worker can gets more of them, and gives them back.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::sync::atomic::{AtomicBool, Ordering};

use harness::{Client, Folder, Nexus, Start, until};

const APP: &str = r#"
let id = Math.random().toString(36);
const burn = (ms) => { const end = Date.now() + ms; while (Date.now() < end); };
export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/burn") burn(5);
    if (pathname === "/wait") await new Promise((resolve) => setTimeout(resolve, 20));
    return new Response(id);
  },
};
"#;

/// Asks for this path on some connections, until `test` is over.
fn under(address: &str, path: &str, clients: usize, test: impl FnOnce()) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut client = Client::connect(address);
                while !over.load(Ordering::Relaxed) {
                    let status = client.get(path).status;
                    assert!(status == 200, "{status}");
                }
            });
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test));
        over.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn workers(nexus: &Nexus) -> f64 {
    nexus.metric("nexus_app_workers{app=\"app\"}")
}

#[test]
fn a_saturated_app_gets_more_workers_up_to_its_limit_and_they_share_the_connections() {
    let folder = Folder::new(&[
        ("app/index.js", APP),
        ("app/nexus.toml", "[scale]\nworkers = 3\nidle = \"500 ms\"\n[limits]\nqueue = 100\n"),
        ("neighbour/index.js", APP),
    ]);
    let mut nexus = Nexus::serve(folder.path());
    let address = nexus.address("app");
    assert_eq!(workers(&nexus), 1.0);
    under(&address, "/burn", 8, || {
        until("three workers", || (workers(&nexus) == 3.0).then_some(()));
        // Who was there before them is served by them, too.
        until("the connections to be shared", || {
            let mut ids: Vec<String> = (0..8).map(|_| nexus.get("app", "/").text()).collect();
            ids.sort();
            ids.dedup();
            (ids.len() > 1).then_some(())
        });
        assert_eq!(nexus.get("neighbour", "/").status, 200);
        assert!(workers(&nexus) <= 3.0, "never more than its limit");
    });
    // Nobody asks: all of them go.
    nexus.await_metric("nexus_app_asleep{app=\"app\"}", 1.0);
    assert_eq!(workers(&nexus), 0.0);
    assert_eq!(nexus.get("app", "/").status, 200);
    assert_eq!(nexus.metric("nexus_requests_total{app=\"app\",status=\"5xx\"}"), 0.0);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_version_that_comes_to_serve_has_as_many_workers_as_the_one_before() {
    let folder = Folder::new(&[("app/index.js", APP), ("app/nexus.toml", "[scale]\nworkers = 3\n")]);
    let mut nexus = Start::in_folder(folder.path()).args(&["--watch"]).start();
    let address = nexus.address("app");
    under(&address, "/burn", 8, || until("three workers", || (workers(&nexus) == 3.0).then_some(())));
    // As a whole: a part of a file could be loaded.
    let replace = |file: &str, text: &str| {
        folder.write("app/.part", text);
        std::fs::rename(folder.path().join("app/.part"), folder.path().join(file)).unwrap();
    };
    let changes = || nexus.messages("the changed app serves").len();
    let serves = |file: &str, text: &str| {
        let before = changes();
        replace(file, text);
        until("the new version", || (changes() > before).then_some(()));
    };
    // From now on nothing asks for helpers.
    serves("app/index.js", &APP.replace("Response(id)", "Response(`new ${id}`)"));
    assert!(nexus.get("app", "/").text().starts_with("new "));
    nexus.await_metric("nexus_app_workers{app=\"app\"}", 3.0);
    // One that cannot be loaded has nobody wait who comes next.
    replace("app/index.js", "throw new Error('no')");
    nexus.message("the changed app is not served");
    serves("app/index.js", APP);
    nexus.await_metric("nexus_app_workers{app=\"app\"}", 3.0);
    // What it is to have at most counts all the same.
    serves("app/nexus.toml", "[scale]\nworkers = 2\n");
    nexus.await_metric("nexus_app_workers{app=\"app\"}", 2.0);
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(workers(&nexus), 2.0);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_helper_goes_when_there_is_little_to_do_and_its_connections_stay() {
    let folder =
        Folder::new(&[("app/index.js", APP), ("app/nexus.toml", "[scale]\nworkers = 2\nidle = \"never\"\n")]);
    let mut nexus = Nexus::serve(folder.path());
    let address = nexus.address("app");
    under(&address, "/burn", 8, || until("two workers", || (workers(&nexus) == 2.0).then_some(())));
    let mut clients: Vec<Client> = (0..20).map(|_| nexus.client("app")).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
    // Not nothing, which is another reason to go.
    until("one worker", || {
        assert_eq!(clients[0].get("/").status, 200);
        std::thread::sleep(std::time::Duration::from_millis(50));
        (workers(&nexus) == 1.0).then_some(())
    });
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/").status, 200));
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn requests_that_wait_for_a_place_bring_another_worker_though_no_processor_is_used() {
    let folder = Folder::new(&[
        ("app/index.js", APP),
        ("app/nexus.toml", "[scale]\nworkers = 2\n[limits]\nrequests = 2\nqueue = 100\n"),
    ]);
    let mut nexus = Nexus::serve(folder.path());
    let address = nexus.address("app");
    under(&address, "/wait", 12, || {
        until("two workers", || (workers(&nexus) == 2.0).then_some(()));
    });
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn an_app_of_one_worker_stays_one_and_one_that_keeps_two_has_two_from_the_start() {
    let folder = Folder::new(&[
        ("app/index.js", APP),
        ("app/nexus.toml", "[scale]\nworkers = 1\n"),
        ("two/index.js", APP),
        ("two/nexus.toml", "[scale]\nmin_workers = 2\nworkers = 2\nidle = \"100 ms\"\n"),
    ]);
    let mut nexus = Nexus::serve(folder.path());
    let address = nexus.address("app");
    nexus.await_metric("nexus_app_workers{app=\"two\"}", 2.0);
    under(&address, "/burn", 4, || std::thread::sleep(std::time::Duration::from_secs(2)));
    assert_eq!(workers(&nexus), 1.0);
    assert_eq!(nexus.metric("nexus_app_workers{app=\"two\"}"), 2.0);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn requests_that_wait_on_a_shared_port_bring_another_worker_too() {
    let folder = Folder::new(&[
        ("app/index.js", APP),
        (
            "app/nexus.toml",
            "[http]\npaths = [\"/\"]\n[scale]\nworkers = 2\n[limits]\nrequests = 2\nqueue = 100\n",
        ),
    ]);
    let mut nexus = Nexus::serve(folder.path());
    let address = nexus.address("app");
    under(&address, "/wait", 12, || {
        until("two workers", || (workers(&nexus) == 2.0).then_some(()));
    });
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn idle_connections_of_an_app_that_got_a_helper_outlast_a_replacement() {
    let folder = Folder::new(&[("app/index.js", APP), ("app/nexus.toml", "[scale]\nworkers = 2\n")]);
    let mut nexus = Start::in_folder(folder.path()).start();
    let address = nexus.address("app");
    let mut idle: Vec<Client> = (0..60).map(|_| nexus.client("app")).collect();
    for client in &mut idle {
        assert_eq!(client.get("/").status, 200);
    }
    // Half of all connections are to go to the helper, and most have no request at whose end they could.
    under(&address, "/burn", 4, || {
        until("two workers", || (workers(&nexus) == 2.0).then_some(()));
    });
    nexus.signal("USR2");
    nexus.message("a fresh host has taken over");
    std::thread::sleep(std::time::Duration::from_millis(500));
    for (number, client) in idle.iter_mut().enumerate() {
        assert_eq!(client.get("/").status, 200, "{number}");
    }
    assert_eq!(nexus.stop(), Some(0));
}
