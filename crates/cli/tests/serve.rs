//! `nexus serve`: which apps, at which addresses, and what it says of those that it cannot serve.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use harness::{Client, Folder, Nexus, Start, run};

const OK: &str = "export default { fetch() { return new Response('ok') } }";

fn named(name: &str) -> String {
    format!("export default {{ fetch() {{ return new Response('{name}') }} }}")
}

fn port_of(address: &str) -> u16 {
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

#[test]
fn every_app_of_every_path_is_served_on_a_port_of_its_own() {
    let folder = Folder::new(&[
        ("apps/a/index.js", &named("a")),
        ("apps/b/index.js", &named("b")),
        ("apps/.hidden/index.js", &named("hidden")),
        ("apps/c/deeper/index.js", &named("deeper")),
        ("single/index.js", &named("single")),
    ]);
    let nexus = Start::in_folder(folder.path()).path("apps").path("single").start();
    let mut addresses = Vec::new();
    for app in ["a", "b", "single"] {
        assert_eq!(nexus.get(app, "/").text(), app);
        addresses.push(nexus.address(app));
    }
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 3);
    assert_eq!(nexus.messages("serving").len(), 4, "three apps and the admin address");
}

#[test]
fn ports_count_up_from_the_first_and_pass_over_those_that_are_taken_or_claimed() {
    // Three ports in a row that are free: the first stays taken by this process.
    let (taken, first) = harness::until("three ports in a row", || {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let first = taken.local_addr().unwrap().port();
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        (first < 65_000 && (1..=3).all(|more| free(first + more))).then_some((taken, first))
    });
    let claimed = first + 1;
    let folder = Folder::new(&[
        ("a/index.js", OK),
        ("b/index.js", OK),
        ("c/index.js", OK),
        ("c/nexus.toml", &format!("[http]\nport = {claimed}\n")),
    ]);
    let nexus = Start::in_folder(folder.path()).args(&["--port", &first.to_string()]).start();
    assert_eq!(port_of(&nexus.address("c")), claimed);
    let (a, b) = (port_of(&nexus.address("a")), port_of(&nexus.address("b")));
    assert!(a > claimed && b > a, "{first}: {a} {b}");
    assert_eq!(nexus.get("b", "/").status, 200);
    drop(taken);
}

#[test]
fn an_app_whose_port_is_taken_is_told_and_the_others_are_served() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = Folder::new(&[
        ("a/index.js", OK),
        ("a/nexus.toml", &format!("[http]\nport = {port}\n")),
        ("b/index.js", OK),
    ]);
    let nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.get("b", "/").text(), "ok");
    let line = nexus.message("not served");
    assert_eq!((line["app"].as_str(), line["level"].as_str()), (Some("a"), Some("error")));
    let message = line["message"].as_str().unwrap();
    assert!(message.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{message}");
    assert!(message.contains("choose another port"), "{message}");
}

#[test]
fn apps_that_cannot_be_loaded_say_why_and_do_not_keep_the_others_from_being_served() {
    let folder = Folder::new(&[
        ("good/index.js", OK),
        ("syntax/index.js", "// a comment\nexport default {\n  fetch() { return new Response('x' }\n}\n"),
        ("throws/index.js", "const a = 1;\nthrow new TypeError('not today');\n"),
        ("import/index.js", "import { x } from './gone.js';\nexport default {};\n"),
        ("nothing/index.js", "export const fetch = () => {};\n"),
        ("nohandler/index.js", "export default { fitch() {} }\n"),
        ("manifest/index.js", OK),
        ("manifest/nexus.toml", "[http]\nprot = 1\n"),
        ("nomain/nexus.toml", "[project]\n"),
        ("hangs/index.js", "await new Promise(() => {});\nexport default { fetch() {} }\n"),
    ]);
    let nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.get("good", "/").text(), "ok");
    let told = |app: &str, parts: &[&str]| {
        let line = nexus.line(app, |line| line["app"] == app && line["level"] == "error");
        let message = line["message"].as_str().unwrap();
        assert!(message.starts_with("not served: "), "{message}");
        for part in parts {
            assert!(message.contains(part), "{app}: {part:?} is not in\n{message}");
        }
    };
    told(
        "syntax",
        &[
            "SyntaxError: missing )",
            " --> index.js:3:33\n",
            "3 |   fetch() { return new Response('x' }\n",
            "^",
        ],
    );
    told("throws", &["TypeError: not today", "index.js:2:7", "throw new TypeError", "^"]);
    told(
        "import",
        &[
            "cannot import \"./gone.js\" from \"index.js\"",
            "index.js:1:19",
            "import { x } from './gone.js';",
            "^^^",
        ],
    );
    told("nothing", &["no default export", "export default {"]);
    told("nohandler", &["no fetch handler"]);
    told("manifest", &["nexus.toml:2:1: unknown key `prot`", "did you mean `port`?"]);
    told("nomain", &["no main file"]);
    told("hangs", &["top-level await can never settle"]);
    for up in ["good", "syntax"] {
        assert_eq!(nexus.metric(&format!("nexus_app_up{{app=\"{up}\"}}")), f64::from(up == "good"));
    }
}

#[test]
fn if_no_app_can_be_loaded_the_exit_code_is_1_and_with_none_that_is_rightly_configured_it_is_2() {
    let folder = Folder::app("throw new Error('never')");
    let output = run(folder.path(), &["serve", ".", "--port", "0"]);
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stdout.contains("Error: never"), "{output:?}");
    folder.write("app/nexus.toml", "[http]\nprot = 1\n");
    let output = run(folder.path(), &["serve", ".", "--port", "0"]);
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(output.stderr.contains("nexus.toml:2:1: unknown key `prot`"), "{output:?}");
}

#[test]
fn if_no_app_can_have_its_address_the_exit_code_is_2() {
    let folder = Folder::app(OK);
    // Documentation's own range (RFC 5737): no machine has it.
    let output = run(folder.path(), &["serve", ".", "--listen", "192.0.2.1", "--log-format", "json"]);
    assert!(output.stdout.contains("this machine does not have that address"), "{output:?}");
    assert_eq!(output.code, Some(2), "{output:?}");
}

#[test]
fn the_pretty_start_up_table_says_name_url_and_main_file_and_what_is_not_served() {
    let folder = Folder::new(&[
        ("a/index.js", OK),
        ("a-longer-name/nexus.toml", "[project]\nmain = \"src/main.mjs\"\n"),
        ("a-longer-name/src/main.mjs", OK),
        ("broken/index.js", "throw new Error('never')"),
        ("files/nexus.toml", "[assets]\nfolder = \"p\"\n"),
        ("files/p/index.html", "x"),
    ]);
    let nexus = Start::in_folder(folder.path()).plain().args(&["--log-format", "pretty"]).start();
    nexus.text_line("the admin address", |line| line.contains("metrics and health"));
    let table = nexus.lines().join("\n");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|row| row.len() > 1)
        .collect();
    assert_eq!(rows[0], ["APP", "URL", "MAIN"]);
    for (row, name, main) in [(1, "a", "index.js"), (2, "a-longer-name", "src/main.mjs")] {
        assert_eq!((rows[row][0], rows[row][2]), (name, main));
        assert!(rows[row][1].starts_with("http://127.0.0.1:"));
    }
    assert_eq!((rows[3][0], &rows[3][2..]), ("files", &["(static", "files)"][..]));
    assert!(table.contains("error: the app broken is not served: Error: never"), "{table}");
    assert!(!table.contains('\x1b'), "no colours but on a terminal");
    let url = rows[1][1].strip_prefix("http://").unwrap();
    assert_eq!(Client::connect(url).get("/").text(), "ok");
}

#[test]
fn one_app_listens_on_a_unix_socket_that_is_gone_after_it() {
    let folder =
        Folder::app("export default { fetch(request, env, ctx) { return Response.json(ctx.client) } }");
    let path = folder.path().join("app.sock");
    // What a process left that was killed is in the way, and replaced.
    drop(UnixListener::bind(&path).unwrap());
    let mut nexus = Start::in_folder(folder.path()).args(&["--listen", "unix:app.sock"]).start();
    let address = nexus.address("app");
    assert!(address.starts_with("unix:") && address.ends_with("app.sock"), "{address}");
    let client = || Client::connect(&format!("unix:{}", path.display()));
    assert_eq!(client().get("/").text(), r#"{"address":null,"port":null}"#);

    // A second one must not take it away.
    let output = run(folder.path(), &["serve", ".", "--listen", "unix:app.sock", "--log-format", "json"]);
    assert!(output.stdout.contains("another process does"), "{output:?}");
    assert_ne!(output.code, Some(0));
    assert_eq!(client().get("/").status, 200);

    assert_eq!(nexus.stop(), Some(0));
    assert!(!path.exists());
}

#[test]
fn several_apps_listen_on_unix_sockets_in_a_folder() {
    let folder = Folder::new(&[("apps/a/index.js", &named("a")), ("apps/b/index.js", &named("b"))]);
    let mut nexus =
        Start::in_folder(folder.path()).path("apps").args(&["--listen", "unix:run/sockets"]).start();
    for app in ["a", "b"] {
        nexus.address(app);
        let path = folder.path().join(format!("run/sockets/{app}.sock"));
        assert_eq!(Client::connect(&format!("unix:{}", path.display())).get("/").text(), app);
    }
    assert_eq!(nexus.stop(), Some(0));
    assert!(!folder.path().join("run/sockets/a.sock").exists());
}

#[test]
fn a_file_that_is_no_socket_is_not_replaced() {
    let folder = Folder::app(OK);
    folder.write("precious", "data");
    let output = run(folder.path(), &["serve", "app", "--listen", "unix:precious", "--log-format", "json"]);
    assert_ne!(output.code, Some(0));
    assert!(output.stdout.contains("cannot listen on unix:precious"), "{output:?}");
    assert_eq!(std::fs::read_to_string(folder.path().join("precious")).unwrap(), "data");
}

/// Passes listening sockets as systemd does (sd_listen_fds(3)), named by its first argument, and becomes the rest
/// of its arguments.
const SYSTEMD: &str = r#"
import fcntl, os, socket, sys, time
names = sys.argv[1].split(":")
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
# Out of the way first: a number below may be one of theirs.
high = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 50) for s in sockets]
for at, fd in enumerate(high):
    os.dup2(fd, 3 + at)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(names))
os.environ["LISTEN_FDNAMES"] = sys.argv[1]
print("ports", *(s.getsockname()[1] for s in sockets), flush=True)
if "KEEP" in os.environ and os.fork() == 0:
    # The part of systemd: keeps the socket, and accepts from it again when the program has ended.
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.01)
    sockets[0].settimeout(60)
    sockets[0].accept()
    print("accepted again", flush=True)
    os._exit(0)
os.execv(sys.argv[2], sys.argv[2:])
"#;

#[test]
fn sockets_passed_by_systemd_go_to_the_apps_of_their_names() {
    let folder = Folder::new(&[("a/index.js", &named("a")), ("b/index.js", &named("b"))]);
    let start = Start::in_folder(folder.path()).args(&["--listen", "systemd"]);
    let mut nexus = start.start_by(&["python3", "-c", SYSTEMD, "b:other"]);
    let ports = nexus.text_line("the ports", |line| line.starts_with("ports"));
    let ports: Vec<u16> = ports.split(' ').skip(1).map(|port| port.parse().unwrap()).collect();
    assert_eq!(port_of(&nexus.address("b")), ports[0]);
    assert_eq!(port_of(&nexus.address("a")), ports[1], "what no name takes goes to who is left");
    assert_eq!(nexus.get("a", "/").text(), "a");
    assert_eq!(nexus.get("b", "/").text(), "b");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_socket_of_systemd_stays_open_for_the_next_process() {
    let folder = Folder::app(OK);
    let start = Start::in_folder(folder.path()).args(&["--listen", "systemd"]).env("KEEP", "1");
    let mut nexus = start.start_by(&["python3", "-c", SYSTEMD, "app"]);
    let address = nexus.address("app");
    assert_eq!(nexus.get("app", "/").text(), "ok");
    nexus.signal("TERM");
    harness::until("a connection after the end", || {
        // Nexus may still take this one, or the keeper be done already.
        let _connection = std::net::TcpStream::connect(&address);
        nexus.lines().iter().any(|line| line == "accepted again").then_some(())
    });
    assert_eq!(nexus.wait().code(), Some(0));
}

#[test]
fn an_app_for_which_systemd_passed_no_socket_is_told() {
    let folder = Folder::new(&[("a/index.js", &named("a")), ("b/index.js", &named("b"))]);
    let start = Start::in_folder(folder.path()).args(&["--listen", "systemd"]);
    let nexus = start.start_by(&["python3", "-c", SYSTEMD, "one"]);
    assert_eq!(nexus.get("a", "/").text(), "a");
    let line = nexus.message("not served");
    assert_eq!(line["app"], "b");
    assert!(line["message"].as_str().unwrap().contains("systemd passed 1 sockets, none is left"), "{line}");
}

#[test]
fn without_sockets_from_systemd_there_is_nothing_to_listen_on() {
    let folder = Folder::app(OK);
    let output = run(folder.path(), &["serve", ".", "--listen", "systemd"]);
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(output.stderr.contains("systemd passed no socket"), "{}", output.stderr);
}

#[test]
fn the_admin_address_is_an_ip_or_a_unix_socket_and_never_an_apps() {
    let folder = Folder::app(OK);
    let nexus = Nexus::serve(folder.path());
    assert_ne!(nexus.admin(), nexus.address("app"));
    assert_eq!(nexus.admin_get("/health").text(), "ok\n");
    assert_eq!(nexus.get("app", "/health").text(), "ok", "the app's own");
    drop(nexus);

    let start = Start::in_folder(folder.path()).without_admin().args(&["--admin", "unix:admin.sock"]);
    let mut nexus = start.start();
    nexus.admin();
    let path = folder.path().join("admin.sock");
    assert_eq!(Client::connect(&format!("unix:{}", path.display())).get("/health").status, 200);
    assert_eq!(nexus.stop(), Some(0));
    assert!(!path.exists());
}

#[test]
fn an_admin_address_that_is_taken_keeps_the_host_from_starting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::app(OK);
    let output = run(folder.path(), &["serve", ".", "--port", "0", "--admin", &address]);
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(output.stderr.contains(&format!("cannot listen on {address}")), "{}", output.stderr);
}

#[test]
fn an_app_of_static_files_alone_is_served_and_knows_no_other_paths() {
    let folder =
        Folder::new(&[("app/nexus.toml", "[assets]\nfolder = \"p\"\n"), ("app/p/index.html", "<p>")]);
    let nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.get("app", "/").text(), "<p>");
    let missing = nexus.get("app", "/gone");
    assert_eq!((missing.status, missing.text().as_str()), (404, "not found\n"));
}

#[test]
fn an_app_that_does_not_get_done_with_its_start_does_not_keep_the_others_from_being_served() {
    let folder = Folder::new(&[
        ("good/index.js", OK),
        (
            "slow/index.js",
            "await new Promise((resolve) => setTimeout(resolve, 3_600_000)); export default {};",
        ),
    ]);
    let mut nexus = Start::in_folder(folder.path()).args(&["--listen", "unix:sockets"]).start();
    let good = folder.path().join("sockets/good.sock");
    assert_eq!(Client::connect_when_open(&good).get("/").text(), "ok");
    assert!(nexus.runs());
}
