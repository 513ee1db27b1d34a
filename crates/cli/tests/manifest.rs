//! `nexus.toml`, `nexus-host.toml`, variables: what is read, what is refused, and how it is told.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Folder, Nexus, Start, run};
use serde_json::{Value, json};

const OK: &str = "export default { fetch() { return new Response('ok') } }";
/// Answers with its variables.
const ENV: &str = "export default { fetch(request, env) { return Response.json(env) } }";

#[test]
fn check_says_ok_for_what_is_right_and_runs_nothing() {
    let folder = Folder::new(&[
        ("a/index.js", "throw new Error('this must not run'); this is not even JavaScript"),
        ("b/nexus.toml", "[project]\nname = \"shop\"\nversion = \"1.2.3\"\nmain = \"src/server.mjs\"\n"),
        ("b/src/server.mjs", OK),
        ("c/index.mjs", OK),
        ("d/nexus.toml", "[assets]\nfolder = \"public\"\n"),
        ("d/public/index.html", "hello"),
        (".hidden/index.js", ""),
        ("notes/readme.txt", ""),
    ]);
    let output = run(folder.path(), &["check", "."]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output:?}");
    assert_eq!(output.stdout, "ok: a (./a)\nok: shop (./b)\nok: c (./c)\nok: d (./d)\n");
}

#[test]
fn check_names_the_file_the_line_the_column_and_what_was_expected() {
    let folder = Folder::new(&[
        ("a/index.js", OK),
        ("b/index.js", OK),
        (
            "b/nexus.toml",
            "[project]\nname = \"My Shop\"\n[http]\nprot = 8080\n[limits]\nbody = \"2 XB\"\n[env]\nN = 5\n",
        ),
    ]);
    let output = run(folder.path(), &["check", "."]);
    assert_eq!(output.code, Some(2));
    let text = &output.stdout;
    assert!(text.contains("ok: a (./a)\n"), "{text}");
    for part in [
        "./b/nexus.toml:2:8: `name` must be",
        "not \"My Shop\"",
        "./b/nexus.toml:4:1: unknown key `prot` in [http]\n4 | prot = 8080\n  | ^^^^\nhelp: did you mean `port`?",
        "./b/nexus.toml:6:8: `body` must be a size from 0 B to 1 TB",
        "./b/nexus.toml:8:5: `N` must be text in quotes, not 5",
    ] {
        assert!(text.contains(part), "{part}\n\n{text}");
    }
    assert_eq!(output.stderr, "error: 4 problems were found\n");
}

#[test]
fn every_kind_of_wrong_value_is_an_error_with_its_place() {
    let cases = [
        ("[http]\nport = 0\n", "2:8: `port` must be a whole number from 1 to 65535, not 0"),
        ("[http]\nport = \"80\"\n", "2:8: `port` must be a whole number"),
        ("[http]\nport = 80.5\n", "2:8: `port` must be a whole number"),
        ("[limits]\nheaders = 1\n", "2:11: `headers` must be a size from 1 KB to 1 MB"),
        ("[limits]\nwall = \"2 h\"\n", "2:8: `wall` must be a time from 1 ms to 1 h"),
        ("[limits]\nrequests = \"many\"\n", "2:12: `requests` must be a whole number from 1 to 100000"),
        ("[project]\nmain = \"../up.js\"\n", "2:8: `main` must be the path of a"),
        ("[project]\nmain = \"/etc/passwd\"\n", "2:8: `main` must be the path of a"),
        ("[project]\nversion = \"one\"\n", "2:11: `version` must be a version"),
        ("[project]\nmain = \"gone.js\"\n", "2:8: the main file `gone.js` is not there"),
        ("[assets]\nfolder = \"..\"\n", "2:10: `folder` must be"),
        ("[assets]\nfolder = \"gone\"\n", "2:10: the folder `gone` is not there"),
        ("[assets]\n", "1:"),
        ("[porject]\n", "1:2: unknown table [porject]"),
        ("[http\nport = 1\n", "1:"),
        ("[http]\nport = 1\nport = 2\n", "3:1"),
        ("[env]\n\"a-b\" = \"x\"\n", "2:1: "),
        ("[project]\nmain = \"a.ts\"\n", "2:8: `main` must be the path of a `.js`, `.mjs` or `.wasm` file"),
        ("[wasm]\ncompiler = \"llvm\"\n", "2:12: `compiler` must be \"cranelift\", \"winch\" or \"pulley\""),
        ("[wasm]\nreuse = 0\n", "2:9: `reuse` must be a whole number from 1 to 1000000, not 0"),
        ("[wasm]\ntables = \"1\"\n", "2:10: `tables` must be a whole number from 1 to 1000000"),
        ("[wasm]\ninstances = -1\n", "2:13: `instances` must be a whole number from 1 to 1000"),
        ("[permissions]\nread = \"data\"\n", "2:8: `read` must be an array of paths of folders"),
        ("[permissions]\nread = [\"\"]\n", "2:9: `read` must hold paths of folders, not \"\""),
        ("[permissions]\nwrite = [\".\", \"a\\u0000\"]\n", "2:15: `write` must hold paths of folders"),
        ("[permissions]\nread = [\"gone\"]\n", "2:9: the folder `gone` is not there"),
        ("[permissions]\nwrite = [\"index.js\"]\n", "2:10: `index.js` is no folder"),
        ("http = 5\n", "1:1: `http` is a table, not 5"),
    ];
    for (manifest, told) in cases {
        let folder = Folder::new(&[("nexus.toml", manifest), ("index.js", OK)]);
        let output = run(folder.path(), &["check", "."]);
        assert_eq!(output.code, Some(2), "{manifest}: {output:?}");
        assert!(output.stdout.contains(&format!("nexus.toml:{told}")), "{manifest}\n{}", output.stdout);
    }
}

#[test]
fn near_misses_suggest_the_right_key() {
    for (manifest, help) in [
        ("[htpp]\nport = 1\n", "help: did you mean [http]?"),
        ("[limits]\nqueue-wait = 1\n", "help: did you mean `queue_wait`?"),
        ("[http]\nmax_body = 1\n", "help: `body` belongs under [limits]"),
        ("[project]\nport = 1\n", "help: `port` belongs under [http]"),
        ("name = \"x\"\n", "help: `name` belongs under [project]"),
        ("[assets]\nfolder = \"p\"\ncolour = 1\n", "help: [assets] takes `folder`"),
        ("[wasm]\ncompiler = \"cranlift\"\n", "help: did you mean \"cranelift\"?"),
        ("[http]\nreuse = 2\n", "help: `reuse` belongs under [wasm]"),
        ("[permission]\nread = []\n", "help: did you mean [permissions]?"),
        ("[permissions]\nread = \"p\"\n", "help: in brackets: `read = [\"p\"]`"),
    ] {
        let folder = Folder::new(&[("nexus.toml", manifest), ("index.js", OK), ("p/x", "")]);
        let output = run(folder.path(), &["check", "."]);
        assert!(output.stdout.contains(help), "{manifest}\n{}", output.stdout);
    }
}

#[test]
fn check_takes_wasm_apps_main_files_and_what_javascript_has_no_use_for() {
    let wasm = "[wasm]\nreuse = 10\n[permissions]\nread = [\"data\"]\n";
    let folder = Folder::new(&[
        ("a/index.wasm", ""),
        ("a/nexus.toml", wasm),
        ("a/data/x", ""),
        ("b/app.wasm", ""),
        ("c/index.js", OK),
        ("c/nexus.toml", wasm),
        ("c/data/x", ""),
        ("lone/hello.wasm", ""),
        ("lone/hi.mjs", OK),
    ]);
    let output = run(folder.path(), &["check", ".", "lone/hello.wasm", "./lone/hi.mjs"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""), "{output:?}");
    assert_eq!(
        output.stdout,
        "ok: a (./a)\nok: b (./b)\nok: c (./c)\nok: hello (lone/hello.wasm)\nok: hi (./lone/hi.mjs)\n"
    );
    let output = run(folder.path(), &["check", "--json", "c", "b", "lone/hi.mjs"]);
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    let mains: Vec<_> = (0..3).map(|place| &report["apps"][place]["main"]).collect();
    assert_eq!(mains, ["index.js", "app.wasm", "hi.mjs"]);
    let output = run(folder.path(), &["check", "lone/gone.wasm"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stdout.contains("lone/gone.wasm: there is no such file"), "{}", output.stdout);
}

#[test]
fn a_main_file_is_served_with_the_manifest_beside_it() {
    let folder = Folder::new(&[
        ("nexus.toml", "[project]\nname = \"shop\"\nmain = \"gone.js\"\n[env]\nA = \"1\"\n"),
        ("other.js", ENV),
    ]);
    let nexus = Start::in_folder(folder.path()).path("other.js").start();
    assert_eq!(nexus.get("shop", "/").json(), json!({ "A": "1" }));
    assert_eq!(nexus.line("serving", |line| line["app"] == "shop")["main"], "other.js");
}

#[test]
fn a_manifest_that_is_no_text_is_told() {
    let folder = Folder::new(&[("index.js", OK)]);
    folder.write("nexus.toml", b"[http]\n\xff\xfe");
    let output = run(folder.path(), &["check", "."]);
    assert_eq!(output.code, Some(2));
    assert!(output.stdout.contains("line 2 is not UTF-8 text"), "{}", output.stdout);
}

#[test]
fn check_tells_programs_the_same_as_json() {
    let folder = Folder::new(&[
        ("a/index.js", OK),
        ("b/index.js", OK),
        ("b/nexus.toml", "[http]\nport = 1\nprot = 2\n"),
    ]);
    let output = run(folder.path(), &["check", "--json", "."]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(2), ""));
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(report["ok"], false);
    assert_eq!(report["apps"][0]["name"], "a");
    assert_eq!((&report["apps"][0]["ok"], &report["apps"][0]["problems"]), (&json!(true), &json!([])));
    assert_eq!(report["apps"][0]["main"], "index.js");
    let problem = &report["apps"][1]["problems"][0];
    let place = (&problem["line"], &problem["column"], &problem["width"], &problem["help"]);
    assert_eq!(place, (&json!(3), &json!(1), &json!(4), &json!("did you mean `port`?")));
    assert_eq!(problem["file"], "./b/nexus.toml");
    assert_eq!(problem["source_line"], "prot = 2");

    let output = run(folder.path(), &["check", "--json", "a"]);
    assert_eq!(output.code, Some(0));
    assert_eq!(serde_json::from_str::<Value>(&output.stdout).unwrap()["ok"], true);
    let output = run(folder.path(), &["check", "--json", "gone"]);
    assert_eq!(output.code, Some(2));
    let report: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(report["others"][0]["path"], "gone");
}

#[test]
fn check_finds_conflicts_between_apps() {
    let folder = Folder::new(&[
        ("a/index.js", OK),
        ("a/nexus.toml", "[http]\nport = 3000\n"),
        ("b/index.js", OK),
        ("b/nexus.toml", "[project]\nname = \"a\"\n"),
        ("c/index.js", OK),
        ("c/nexus.toml", "[http]\nport = 3000\n"),
    ]);
    let output = run(folder.path(), &["check", "."]);
    assert_eq!(output.code, Some(2));
    let text = output.stdout;
    assert!(text.contains("./b/nexus.toml:2:8: the name `a` is taken by ./a"), "{text}");
    assert!(text.contains("./c/nexus.toml:2:8: the port 3000 is taken by the app `a`"), "{text}");
    assert_eq!(output.stderr, "error: 2 problems were found\n");
}

#[test]
fn check_reads_the_hosts_configuration_too() {
    let folder = Folder::new(&[
        ("good.toml", "[listen]\naddress = \"0.0.0.0\"\nport = 0\n[log]\nlevel = \"debug\"\n"),
        ("bad.toml", "[listen]\nadress = \"::1\"\n[defaults.limits]\nmemory = \"1 MB\"\n"),
    ]);
    let output = run(folder.path(), &["check", "good.toml"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), "ok: good.toml\n"));
    let output = run(folder.path(), &["check", "bad.toml"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stdout.contains("bad.toml:2:1: unknown key `adress` in [listen]"), "{}", output.stdout);
    assert!(output.stdout.contains("help: did you mean `address`?"), "{}", output.stdout);
    assert!(output.stdout.contains("bad.toml:4:10: `memory` must be a size from 16 MB"), "{}", output.stdout);
}

#[test]
fn the_schema_describes_every_key_of_both_files() {
    let folder = Folder::new(&[]);
    let tables = |args: &[&str]| {
        let output = run(folder.path(), args);
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
        let schema: Value = serde_json::from_str(&output.stdout).unwrap();
        assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"));
        assert_eq!(schema["additionalProperties"], false);
        schema["properties"].clone()
    };
    let app = tables(&["schema"]);
    assert_eq!(app["http"]["properties"]["port"]["maximum"], 65535);
    assert!(app["project"]["properties"]["main"]["description"].as_str().unwrap().contains("default export"));
    for (table, key) in [
        ("project", "name"),
        ("project", "version"),
        ("limits", "headers"),
        ("wasm", "compiler"),
        ("permissions", "read"),
        ("assets", "folder"),
    ] {
        assert!(app[table]["properties"][key].is_object(), "{table}.{key}");
    }
    assert!(app["env"].is_object() && app["listen"].is_null());
    let host = tables(&["schema", "--host"]);
    for (table, key) in [("listen", "address"), ("log", "format"), ("log", "access"), ("shutdown", "grace")] {
        assert!(host[table]["properties"][key].is_object(), "{table}.{key}");
    }
    for table in ["defaults", "ceilings"] {
        assert!(host[table]["properties"]["limits"]["properties"]["memory"].is_object(), "{table}");
    }
    assert!(host["project"].is_null());
}

#[test]
fn a_folder_without_a_manifest_is_an_app_called_like_it() {
    let folder =
        Folder::new(&[("My Shop/index.mjs", OK), ("both/index.js", OK), ("both/index.mjs", "throw 1")]);
    let nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.get("my-shop", "/").text(), "ok");
    // `index.js` comes before `index.mjs`.
    assert_eq!(nexus.get("both", "/").text(), "ok");
    let line = nexus.line("serving", |line| line["app"] == "my-shop");
    assert_eq!(line["main"], "index.mjs");
}

#[test]
fn an_app_is_served_as_its_manifest_says() {
    let port = free_port();
    let manifest = format!(
        "[project]\nname = \"shop\"\nversion = \"1.0.0\"\nmain = \"src/main.js\"\n[http]\nport = {port}\n\
         [limits]\nbody = 10\nheaders = \"1 KB\"\n[env]\nGREETING = \"hé \\\"you\\\"\"\n"
    );
    let folder = Folder::new(&[("app/nexus.toml", &manifest), ("app/src/main.js", ENV)]);
    let nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.address("shop"), format!("127.0.0.1:{port}"));
    assert_eq!(nexus.get("shop", "/").json(), json!({ "GREETING": "hé \"you\"" }));
    assert_eq!(nexus.client("shop").request("POST", "/", &[], b"01234567890").status, 413);
    let long = format!("X: {}", "x".repeat(1024));
    assert_eq!(nexus.client("shop").request("GET", "/", &[&long], b"").status, 431);
}

/// A port that nobody has at the moment.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn variables_of_env_files_come_before_those_of_the_manifest_and_later_files_before_earlier_ones() {
    let folder = Folder::new(&[
        ("a/index.js", ENV),
        ("a/nexus.toml", "[env]\nA = \"manifest\"\nB = \"manifest\"\nC = \"manifest\"\n"),
        ("b/index.js", ENV),
        ("one.env", "# comment\nexport B=one\nC = one\nSECRET='$x \\n'\n"),
        ("two.env", "C=\"two\\nlines\" # comment\n"),
    ]);
    let nexus = Start::in_folder(folder.path())
        .args(&["--env-file", "one.env", "--env-file", "two.env"])
        .env("NOT_FOR_APPS", "1")
        .start();
    let shared = json!({ "B": "one", "C": "two\nlines", "SECRET": "$x \\n" });
    let mut own = shared.clone();
    own["A"] = "manifest".into();
    assert_eq!(nexus.get("a", "/").json(), own);
    assert_eq!(nexus.get("b", "/").json(), shared, "and nothing of the host's environment");
}

#[test]
fn a_wrong_env_file_is_told_with_all_its_places() {
    let folder = Folder::app(OK);
    folder.write("bad.env", "FINE=1\nno assignment\n1X=2\nQ=\"open\n");
    let output = run(folder.path(), &["serve", ".", "--env-file", "bad.env"]);
    assert_eq!(output.code, Some(2));
    for part in [
        "bad.env:2:1: expected `NAME=value`",
        "bad.env:3:1: `1X` is no name of a variable",
        "bad.env:4:3: the quote is not closed",
    ] {
        assert!(output.stderr.contains(part), "{part}\n{}", output.stderr);
    }
}

#[test]
fn the_hosts_configuration_is_found_read_and_narrowed_by_the_command_line() {
    let folder = Folder::app(OK);
    folder.write(
        "nexus-host.toml",
        "[log]\nformat = \"json\"\naccess = true\n[admin]\naddress = \"127.0.0.1:0\"\n[listen]\naddress = \"127.0.0.2\"\n",
    );
    let nexus = Start::in_folder(folder.path()).plain().without_admin().start();
    assert!(nexus.address("app").starts_with("127.0.0.2:"));
    assert_eq!(nexus.admin_get("/health").status, 200);
    assert_eq!(nexus.get("app", "/hello").status, 200);
    assert_eq!(nexus.line("access", |line| line["kind"] == "access")["path"], "/hello");
    drop(nexus);

    let nexus = Start::in_folder(folder.path()).args(&["--listen", "127.0.0.3"]).start();
    assert!(nexus.address("app").starts_with("127.0.0.3:"));
}

#[test]
fn a_wrong_configuration_of_the_host_keeps_it_from_starting() {
    let folder = Folder::app(OK);
    folder.write("nexus-host.toml", "[listen]\nport = -1\n");
    for command in ["serve", "check"] {
        let output = run(folder.path(), &[command, "."]);
        assert_eq!(output.code, Some(2));
        assert!(output.stderr.contains("nexus-host.toml:2:8: `port` must be"), "{}", output.stderr);
    }
}

#[test]
fn defaults_hold_where_manifests_are_silent_and_ceilings_bound_what_they_ask_for() {
    let folder = Folder::new(&[
        ("silent/index.js", OK),
        ("modest/index.js", OK),
        ("modest/nexus.toml", "[limits]\nbody = 30\n"),
        ("greedy/index.js", OK),
        ("greedy/nexus.toml", "[limits]\nbody = \"1 GB\"\n"),
        ("host.toml", "[defaults.limits]\nbody = 20\n[ceilings.limits]\nbody = 40\n"),
    ]);
    let nexus = Start::in_folder(folder.path()).args(&["--config", "host.toml"]).start();
    let post = |app: &str, size: usize| nexus.client(app).request("POST", "/", &[], &vec![b'x'; size]).status;
    assert_eq!((post("silent", 20), post("silent", 21)), (200, 413));
    assert_eq!((post("modest", 30), post("modest", 31)), (200, 413));
    let refused = nexus.message("not served");
    let message = refused["message"].as_str().unwrap();
    assert_eq!(refused["app"], "greedy");
    assert!(
        message.contains("greedy/nexus.toml:2:8: `body` is 1 GB, above the host's ceiling of 40 B")
            && message.contains("host.toml:4"),
        "{message}"
    );
    let output = run(folder.path(), &["check", "--config", "host.toml", "greedy"]);
    assert_eq!(output.code, Some(2));
    assert!(output.stdout.contains("above the host's ceiling"), "{}", output.stdout);
}
