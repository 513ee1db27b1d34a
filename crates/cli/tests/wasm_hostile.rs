//! WebAssembly apps that attack, each beside quiet neighbours in the same process, which must go on answering; and
//! clients that do.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use harness::{Client, Folder, Nexus, Response, Start, until};

/// The attacks, each by an app of its own: its name, its path, how many clients ask at once, the statuses that they may
/// get.
const ATTACKS: [(&str, &str, usize, &[u16]); 10] = [
    ("spin", "/spin", 1, &[503]),
    ("grow", "/grow", 1, &[503]),
    ("recurse", "/recurse", 1, &[500]),
    ("flood", "/flood", 1, &[200, 503]),
    ("resources", "/resources", 1, &[500, 503]),
    ("drip", "/drip", 1, &[200]),
    ("after", "/spin-after", 1, &[200]),
    ("trap", "/trap", 1, &[500]),
    ("sleep", "/sleep/60000", 1, &[504]),
    ("many", "/spin/5", 60, &[200, 503]),
];
/// The same of services of WASI 0.3, each with an instance for each request, and with one for several.
const ATTACKS_OF_0_3: [(&str, &str, usize, &[u16]); 9] = [
    ("loop", "/loop", 1, &[503]),
    ("fill", "/fill", 1, &[503]),
    ("streams", "/streams", 1, &[500, 503]),
    ("tasks", "/tasks", 1, &[500, 503]),
    ("drip3", "/drip", 1, &[200]),
    ("tail", "/tail", 1, &[200, 503]),
    ("trap3", "/trap", 1, &[500, 503]),
    ("never", "/at-once?60000", 3, &[503, 504]),
    ("many3", "/burn?5", 60, &[200, 503]),
];
const LIMITS: &str = "memory = \"32 MB\"\nrequests = 20\nqueue = 20\n";
/// What the process may have more than at its start.
const KEPT: u64 = 200 << 20;
/// How often each neighbour must have been answered.
const ENOUGH: u64 = 20;

/// The limits of an app that attacks. Those that come to their memory limit have time for it, and none but those that
/// only wait comes to its wall limit, however busy the machine is.
fn limits(app: &str) -> String {
    let cpu = if ["grow", "fill"].contains(&app) { "10 s" } else { "100 ms" };
    let wall = if ["sleep", "never"].contains(&app) { "3 s" } else { "1 m" };
    format!("cpu = \"{cpu}\"\nwall = \"{wall}\"\n{LIMITS}")
}

fn guest() -> Vec<u8> {
    file("http.wasm")
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wasm").join(name)).unwrap()
}

/// A folder with these apps of the tests' guest, and two quiet ones.
fn folder(apps: &[&str], limits: &str) -> Folder {
    folder_each(apps, |_| limits.to_owned())
}

/// The same, each with its own limits.
fn folder_each(apps: &[&str], limits: impl Fn(&str) -> String) -> Folder {
    let folder =
        Folder::new(&[("quiet-js/index.js", "export default { fetch: () => new Response('quiet') };")]);
    folder.write("quiet-wasm/app.wasm", guest());
    for app in apps {
        folder.write(&format!("{app}/app.wasm"), guest());
        folder.write(
            &format!("{app}/nexus.toml"),
            format!("[project]\nmain = \"app.wasm\"\n[limits]\n{}", limits(app)),
        );
    }
    folder
}

fn serve(folder: &Folder) -> Nexus {
    Start::in_folder(folder.path()).path(".").env("NEXUS_CACHE", "").start()
}

/// Asks a neighbour again and again, until it is told to stop; every answer must be whole and right.
fn ask(address: &str, path: &str, text: &str, over: &AtomicBool, answered: &AtomicU64) {
    let mut client = Client::connect(address);
    while !over.load(Ordering::Relaxed) {
        let answer = client.get(path);
        assert_eq!((answer.status, &*answer.text()), (200, text), "a neighbour");
        answered.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Has two neighbours answer while `act` goes on; neither may fail once.
fn beside_neighbours(nexus: &Nexus, act: impl FnOnce()) {
    let over = AtomicBool::new(false);
    let counts: [AtomicU64; 2] = Default::default();
    let asked = [("quiet-js", "/", "quiet"), ("quiet-wasm", "/hello", "hello from wasm\n")];
    std::thread::scope(|scope| {
        let threads = asked.iter().zip(&counts).map(|((app, path, text), answered)| {
            let (address, over) = (nexus.address(app), &over);
            scope.spawn(move || ask(&address, path, text, over, answered))
        });
        let threads: Vec<_> = threads.collect();
        let _end = Over(&over);
        act();
        until("the neighbours to be answered often enough", || {
            let failed = threads.iter().any(|thread| thread.is_finished());
            let enough = counts.iter().all(|count| count.load(Ordering::Relaxed) >= ENOUGH);
            (failed || enough).then_some(())
        });
    });
}

/// Tells the threads beside a test that it is over, also if it panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Asks for an attack once; of a body without an end only the beginning is read. Gives the status, or that of a guest
/// that was stopped where it was: its body breaks off when the head has gone out before.
fn attack(address: &str, path: &str) -> u16 {
    let mut client = Client::connect(address);
    client.send_request("GET", path, &[], b"");
    let head = client.head();
    if path == "/drip" {
        client.chunk();
        return head.status;
    }
    if client.is_whole(&head) { head.status } else { 503 }
}

/// Has all clients attack at once, three times.
fn attack_three_times(attacks: &[(&str, &str, usize, &[u16])], addresses: &[String]) {
    std::thread::scope(|scope| {
        for ((name, path, clients, statuses), address) in attacks.iter().zip(addresses) {
            for _ in 0..*clients {
                scope.spawn(move || {
                    for round in 1..=3 {
                        let status = attack(address, path);
                        assert!(statuses.contains(&status), "{name} in round {round}: {status}");
                    }
                });
            }
        }
    });
}

/// Waits until the process has about the memory that it had, and asserts that it is the same one.
fn assert_same(nexus: &mut Nexus, host: u32, resident: u64) {
    until("the memory to come back", || (nexus.resident() < resident + KEPT).then_some(()));
    assert_eq!(nexus.host(), host, "the host was replaced");
    assert!(nexus.runs());
    for part in ["panicked", "fatal", "died of", "a fresh host has taken over"] {
        assert!(nexus.messages(part).is_empty(), "{:?}", nexus.messages(part));
        assert!(!nexus.errors().contains(part), "{}", nexus.errors());
    }
}

/// Waits until nothing is left of an app's requests, nor of its memory.
fn await_all_given_back(nexus: &Nexus, app: &str) {
    nexus.await_nothing_held(app);
    nexus.await_metric(&format!("nexus_guest_memory_bytes{{app=\"{app}\"}}"), 0.0);
}

#[test]
fn ten_apps_that_attack_at_once_and_again_do_not_touch_their_neighbours() {
    let apps: Vec<&str> = ATTACKS.iter().map(|attack| attack.0).collect();
    let folder = folder_each(&apps, limits);
    let mut nexus = serve(&folder);
    let addresses: Vec<String> = apps.iter().map(|app| nexus.address(app)).collect();
    let (host, resident) = (nexus.host(), nexus.resident());
    beside_neighbours(&nexus, || {
        attack_three_times(&ATTACKS, &addresses);
        for app in &apps {
            await_all_given_back(&nexus, app);
        }
    });
    for (app, reason, count) in [("spin", "cpu", 3.0), ("after", "cpu", 3.0), ("grow", "memory", 3.0)] {
        nexus.await_metric(&format!("nexus_guest_stops_total{{app=\"{app}\",reason=\"{reason}\"}}"), count);
    }
    for (app, address) in apps.iter().zip(&addresses) {
        assert_eq!(Client::connect(address).get("/hello").status, 200, "{app} goes on");
    }
    assert_same(&mut nexus, host, resident);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn services_of_0_3_that_attack_do_not_touch_their_neighbours() {
    for how in ["", "reuse = 1000\nconcurrency = 5\n"] {
        let folder = folder(&[], "");
        let apps: Vec<&str> = ATTACKS_OF_0_3.iter().map(|attack| attack.0).collect();
        for app in &apps {
            folder.write(&format!("{app}/app.wasm"), file("p3-service.wasm"));
            folder.write(
                &format!("{app}/nexus.toml"),
                format!(
                    "[project]\nmain = \"app.wasm\"\n[wasm]\nwasi = \"0.3\"\n{how}[limits]\n{}",
                    limits(app)
                ),
            );
        }
        let mut nexus = serve(&folder);
        let addresses: Vec<String> = apps.iter().map(|app| nexus.address(app)).collect();
        let (host, resident) = (nexus.host(), nexus.resident());
        beside_neighbours(&nexus, || {
            attack_three_times(&ATTACKS_OF_0_3, &addresses);
            for app in &apps {
                nexus.await_nothing_held(app);
            }
        });
        for (app, reason) in [("loop", "cpu"), ("tail", "cpu"), ("fill", "memory")] {
            let name = format!("nexus_guest_stops_total{{app=\"{app}\",reason=\"{reason}\"}}");
            until(&name, || (nexus.metric(&name) >= 1.0).then_some(()));
        }
        for (app, address) in apps.iter().zip(&addresses) {
            assert_eq!(Client::connect(address).get("/hello").status, 200, "{app} goes on");
        }
        assert_same(&mut nexus, host, resident);
        assert_eq!(nexus.stop(), Some(0));
    }
}

#[test]
fn files_that_are_held_open_are_bounded() {
    let folder = folder(&["app"], "");
    folder.write("app/data/secret.txt", "x");
    folder.write(
        "app/nexus.toml",
        "[project]\nmain = \"app.wasm\"\n[permissions]\nread = [\"data\"]\n[limits]\ncpu = \"5 s\"\n[scale]\nworkers = 1\n",
    );
    let mut nexus = serve(&folder);
    let address = nexus.address("app");
    let (host, resident) = (nexus.host(), nexus.resident());
    let open = || std::fs::read_dir(format!("/proc/{host}/fd")).map_or(0, Iterator::count);
    let before = open();
    let (most, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    beside_neighbours(&nexus, || {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    most.fetch_max(open(), Ordering::Relaxed);
                }
            });
            let _end = Over(&over);
            // They are open for a few milliseconds: on a busy machine nobody may have looked just then.
            until("a look at open files", || {
                let mut clients: Vec<Client> = (0..80).map(|_| Client::connect(&address)).collect();
                for client in &mut clients {
                    client.send_request("GET", "/hoard-files/100", &[], b"");
                }
                for client in &mut clients {
                    let answer = client.response();
                    assert_eq!((answer.status, &*answer.text()), (200, "100 open"));
                }
                (most.load(Ordering::Relaxed) > before + 100).then_some(())
            });
        });
        // Beyond what one may have it is at fault, and what it has is closed.
        assert_eq!(Client::connect(&address).get("/hoard-files/1000").status, 500);
        await_all_given_back(&nexus, "app");
    });
    // A connection each, and the files of those that have an instance.
    let most = most.into_inner();
    assert!(most < before + 80 + 16 * 103 + 50, "{before} before, {most} at most");
    until("the files to be closed", || (open() < before + 50).then_some(()));
    assert_same(&mut nexus, host, resident);
}

#[test]
fn an_upload_that_is_slow_or_left_in_the_middle_holds_nothing_and_nobody() {
    let folder = folder(&["app"], "idle = \"5 s\"\nrequests = 10\n");
    let mut nexus = serve(&folder);
    let address = nexus.address("app");
    let (host, resident) = (nexus.host(), nexus.resident());
    beside_neighbours(&nexus, || {
        // Byte by byte, slower than any other but faster than the limit.
        let mut slow = Client::connect(&address);
        slow.send("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n");
        for _ in 0..20 {
            slow.send("x");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(slow.response().text().trim(), "20");
        // In the middle: of a body of a known length, of chunks, and of one that the guest gives back as it comes.
        for path in ["/count", "/echo"] {
            for field in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
                for _ in 0..10 {
                    let mut client = Client::connect(&address);
                    client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n"));
                    let chunk = "y".repeat(5000);
                    client.send(if field.starts_with('C') { chunk } else { format!("1388\r\n{chunk}\r\n") });
                }
            }
        }
        await_all_given_back(&nexus, "app");
        // Who stays, and sends no more, is told so, or has its connection closed; and whoever comes is served.
        let mut waiting = Client::connect(&address);
        waiting.send("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nz");
        assert_eq!(Client::connect(&address).get("/hello").status, 200);
        let end = String::from_utf8(waiting.rest()).unwrap();
        assert!(end.is_empty() || !end.starts_with("HTTP/1.1 200"), "{end}");
        await_all_given_back(&nexus, "app");
    });
    assert_same(&mut nexus, host, resident);
}

#[test]
fn a_body_that_the_guest_does_not_read_is_not_gathered() {
    let folder = folder(&["app"], "wall = \"2 s\"\n");
    let mut nexus = serve(&folder);
    let (host, resident) = (nexus.host(), nexus.resident());
    let mut client = nexus.client("app");
    client.send(
        "POST /sleep/1000 HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\nConnection: close\r\n\r\n",
    );
    let piece = vec![b'x'; 64 * 1024];
    let mut sent = 0;
    while sent < 90_000_000 && client.try_send(&piece) {
        sent += piece.len();
        assert!(nexus.resident() < resident + KEPT, "{sent} bytes were taken");
        if sent > 8 << 20 {
            break;
        }
    }
    drop(client);
    await_all_given_back(&nexus, "app");
    assert_same(&mut nexus, host, resident);
}

#[test]
fn more_requests_than_there_is_room_for_wait_or_are_told_to_come_later() {
    let folder = folder(&["app"], "requests = 50\nqueue = 100\ncpu = \"2 s\"\n");
    let mut nexus = serve(&folder);
    let address = nexus.address("app");
    let (host, resident) = (nexus.host(), nexus.resident());
    let mut answers: Vec<Response> = Vec::new();
    beside_neighbours(&nexus, || {
        let mut clients: Vec<Client> = (0..300).map(|_| Client::connect(&address)).collect();
        for client in &mut clients {
            client.send_request("GET", "/sleep/200", &[], b"");
        }
        answers.extend(clients.iter_mut().map(Client::response));
        await_all_given_back(&nexus, "app");
    });
    let slept = answers.iter().filter(|answer| answer.status == 200).count();
    for answer in &answers {
        match answer.status {
            200 => assert_eq!(answer.text(), "slept"),
            status => {
                assert_eq!(status, 503, "{answer:?}");
                assert!(answer.header("retry-after").is_some(), "{answer:?}");
            }
        }
    }
    // Those that have a place and those that wait for one are answered, whatever the others are.
    assert!(slept >= 150, "{slept} of {}", answers.len());
    assert_same(&mut nexus, host, resident);
}
