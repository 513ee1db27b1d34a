//! Secrets, and variables of the host: who gets them, and where they never are.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harness::{Client, Folder, Managed, Start, functions, run};
use serde_json::json;

const TESTS: &str = "env: (env) => Object.entries(env).sort(),
                     print: ({ TOKEN }) => { console.log(`it is ${TOKEN}!`, { token: TOKEN }); console.error(new Error(`no ${TOKEN}`)); },
                     throws: ({ TOKEN }) => { throw new Error(`with ${TOKEN}`); }";
const MANIFEST: &str = "[secrets]\nTOKEN = { from = \"file:token\" }\nKEY = { from = \"env:SHOP_KEY\" }\n[permissions]\nenv = [\"REGION\", \"NOT_THERE\"]\n";

fn put(folder: &Folder, app: &str, name: &str, value: &str) {
    folder.write("value", value);
    let put = run(folder.path(), &["secret", "put", app, name, "--from-file", "value"]);
    assert_eq!((put.code, put.stderr.as_str()), (Some(0), ""), "{put:?}");
}

fn guest() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wasm/sql.wasm")).unwrap()
}

#[test]
fn apps_find_their_secrets_and_the_hosts_variables_and_no_more() {
    let folder = Folder::new(&[
        ("shop/index.js", &*functions(TESTS)),
        ("shop/nexus.toml", MANIFEST),
        ("other/index.js", &*functions(TESTS)),
        ("other/nexus.toml", "[secrets]\nTOKEN = { from = \"file:token\" }\n"),
        ("one/nexus.toml", &*format!("{MANIFEST}[env]\nPLAIN = \"p\"\n")),
    ]);
    folder.write("one/app.wasm", guest());
    put(&folder, "shop", "token", "hunter2-secret\n");
    put(&folder, "other", "token", "another one");
    put(&folder, "one", "token", "for wasm");
    let kept = folder.path().join(".nexus/secrets/shop/token");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let listed = run(folder.path(), &["secret", "ls"]);
    assert!(listed.stdout.contains("token") && !listed.stdout.contains("hunter2"), "{listed:?}");

    let serve = Start::in_folder(folder.path())
        .env("SHOP_KEY", "key of the shop")
        .env("REGION", "eu")
        .env("OTHER_SECRET", "x");
    let nexus = serve.start();
    assert_eq!(
        harness::value(&nexus, "/env"),
        json!([["KEY", "key of the shop"], ["REGION", "eu"], ["TOKEN", "hunter2-secret"]])
    );
    assert_eq!(nexus.get("other", "/env").json()["value"], json!([["TOKEN", "another one"]]));
    assert_eq!(nexus.get("one", "/config/TOKEN").text(), "for wasm");
    assert_eq!(nexus.get("one", "/config/REGION").text(), "eu");
    assert_eq!(nexus.get("one", "/config/OTHER_SECRET").status, 404);
    let mut all: Vec<String> = nexus.get("one", "/config").text().lines().map(str::to_owned).collect();
    all.sort();
    assert_eq!(all, ["KEY=key of the shop", "PLAIN=p", "REGION=eu", "TOKEN=for wasm"]);

    // What an app prints of them is masked, and what it throws.
    nexus.get("shop", "/print");
    harness::error(&nexus, "/throws");
    nexus.message("it is ***!");
    nexus.message("no ***");
    let log = format!("{:?} {}", nexus.lines(), nexus.errors());
    assert!(!log.contains("hunter2"), "{log}");
    let metrics = nexus.admin_get("/metrics").text();
    assert!(!metrics.contains("hunter2"));
}

#[test]
fn a_secret_that_is_not_there_is_told_by_its_name() {
    let folder = Folder::new(&[("shop/index.js", &*functions(TESTS)), ("shop/nexus.toml", MANIFEST)]);
    put(&folder, "shop", "token", "hunter2-secret");
    let nexus = Start::in_folder(folder.path()).start();
    let line = nexus.message("SHOP_KEY");
    let text = line["message"].as_str().unwrap();
    assert!(text.contains("KEY") && !text.contains("hunter2"), "{text}");
    drop(nexus);

    std::fs::remove_file(folder.path().join(".nexus/secrets/shop/token")).unwrap();
    let nexus = Start::in_folder(folder.path()).env("SHOP_KEY", "k").start();
    let text = nexus.message("secrets/shop/token")["message"].as_str().unwrap().to_owned();
    assert!(text.contains("TOKEN"), "{text}");
    drop(nexus);

    // One that others may read is none, nor is a link to somewhere else.
    put(&folder, "shop", "token", "hunter2-secret");
    let file = folder.path().join(".nexus/secrets/shop/token");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let nexus = Start::in_folder(folder.path()).env("SHOP_KEY", "k").start();
    nexus.message("chmod 600");
    drop(nexus);
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &file).unwrap();
    let nexus = Start::in_folder(folder.path()).env("SHOP_KEY", "k").start();
    nexus.message("secrets/shop/token");
}

#[test]
fn a_deployed_app_gets_none_of_the_hosts_variables_unless_it_is_allowed() {
    let files = [
        ("shop/index.js", functions(TESTS)),
        ("shop/nexus.toml", "[permissions]\nenv = [\"HOME\"]\n".into()),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let managed = Managed::new(&files);
    let told = managed.done(&["deploy", "shop"]);
    assert!(told.contains("env"), "{told}");
    assert_eq!(Client::connect(&managed.address("shop")).get("/env").json()["value"], json!([]));

    let folder = Folder::new(&files);
    folder.write("nexus-host.toml", "[deploy]\nallow = [\"env\"]\n");
    let managed = Managed::start(folder, &[]);
    managed.done(&["deploy", "shop"]);
    let value = Client::connect(&managed.address("shop")).get("/env").json()["value"].clone();
    assert_eq!(value[0][0], "HOME", "{value}");
}

#[test]
fn names_lead_to_no_other_place() {
    for from in [
        "file:../other/token",
        "file:/etc/passwd",
        "file:.hidden",
        "file:",
        "env:",
        "env:A B",
        "token",
        "file:a/b",
    ] {
        let folder = Folder::new(&[
            ("shop/index.js", &*functions(TESTS)),
            ("shop/nexus.toml", &*format!("[secrets]\nTOKEN = {{ from = \"{from}\" }}\n")),
        ]);
        let checked = run(folder.path(), &["check", "shop"]);
        assert_ne!(checked.code, Some(0), "{from}: {checked:?}");
        assert!(checked.stderr.contains("from") || checked.stdout.contains("from"), "{from}: {checked:?}");
    }
    let folder = Folder::new(&[]);
    for name in ["../x", ".x", "a/b", ""] {
        let put = run(folder.path(), &["secret", "put", "shop", name]);
        assert_ne!(put.code, Some(0), "{name}: {put:?}");
    }
}
