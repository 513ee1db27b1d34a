//! What apps may, in one list: given and taken while they run.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Client, Folder, Managed, Upstream, functions};
use serde_json::json;

#[test]
fn hosts_are_given_and_taken_while_an_app_runs() {
    let upstream = Upstream::new(|asked| asked.reply("200 OK", &[], "well"));
    let grant = format!("127.0.0.1:{}", upstream.port());
    let tests = "get: async (env, url) => (await fetch(url)).text()";
    let folder = Folder::new(&[
        ("shop/index.js", &*functions(tests)),
        (
            "shop/nexus.toml",
            &*format!(
                "[permissions]\nnet = [\"{grant}\", \"other.example\"]\n[bindings]\nKV = {{ kv = \"main\" }}\n"
            ),
        ),
    ]);
    let managed = Managed::start(folder, &[]);
    let told = managed.done(&["deploy", "shop"]);
    assert!(told.contains(&grant), "{told}");
    let mut client = Client::connect(&managed.address("shop"));
    let path = format!("/get/http%3A%2F%2F{}%2F", grant.replace(':', "%3A"));
    assert_eq!(client.get(&path).json()["code"], "EPERM");
    managed.done(&["grants", "add", "shop", "net", &grant]);
    assert_eq!(client.get(&path).json()["value"], "well");
    // Also a connection that is open is asked for anew.
    managed.done(&["grants", "remove", "shop", "net", &grant]);
    let denied = client.get(&path).json();
    assert_eq!(denied["code"], "EPERM", "{denied}");
    assert!(
        denied["error"].as_str().unwrap().contains(&format!("nexus grants add shop net {grant}")),
        "{denied}"
    );
    let listed = managed.json(&["grants"]);
    let all: Vec<_> = listed["grants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|grant| (&grant["capability"], &grant["resource"], &grant["granted"]))
        .collect();
    assert!(all.contains(&(&json!("net"), &json!(grant), &json!(null))), "{listed}");
    assert!(all.contains(&(&json!("kv"), &json!("shop/main"), &json!(null))), "{listed}");
    managed.done(&["grants", "add", "shop", "net", &grant]);
    assert_eq!(client.get(&path).json()["value"], "well");
    managed.refused(&["grants", "add", "shop", "net", "not a host/"], 2);
}

#[test]
fn sockets_and_look_ups_of_webassembly_end_with_their_grant() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let grant = format!("localhost:{}", listener.local_addr().unwrap().port());
    let guest = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wasm/sockets.wasm");
    let folder = Folder::new(&[
        // The other grant stays: an app without any has no sockets at all.
        ("shop/nexus.toml", &*format!("[permissions]\nnet = [\"{grant}\", \"127.0.0.1:9\"]\n")),
    ]);
    folder.write("shop/app.wasm", std::fs::read(guest).unwrap());
    let managed = Managed::start(folder, &[]);
    managed.done(&["deploy", "shop"]);
    managed.done(&["grants", "add", "shop", "net", "127.0.0.1:9"]);
    let mut client = Client::connect(&managed.address("shop"));
    let mut text = |path: &str| client.get(path).text();
    let reach = format!("/reach/{grant}");
    let denied = "look-up: access-denied";
    assert_eq!((text("/look-up/localhost"), text(&reach)), (denied.to_owned(), denied.to_owned()));
    managed.done(&["grants", "add", "shop", "net", &grant]);
    assert_eq!((text("/look-up/localhost"), text(&reach)), ("127.0.0.1".to_owned(), "connected".to_owned()));
    managed.done(&["grants", "remove", "shop", "net", &grant]);
    assert_eq!((text("/look-up/localhost"), text(&reach)), (denied.to_owned(), denied.to_owned()));
    // Who knows the address comes no further.
    let address = grant.replace("localhost", "127.0.0.1");
    assert!(text(&format!("/connect/{address}")).ends_with(": access-denied"));
}
