//! The examples do what they show.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::path::Path;

use harness::{Nexus, run};
use serde_json::json;

fn examples() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn serve() -> Nexus {
    Nexus::serve(&examples())
}

#[test]
fn all_of_them_are_in_order_and_served() {
    let output = run(&examples(), &["check", "."]);
    assert_eq!(output.code, Some(0), "{output:?}");
    let nexus = serve();
    for entry in std::fs::read_dir(examples()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            nexus.address(entry.file_name().to_str().unwrap());
        }
    }
    assert!(nexus.messages("not served").is_empty());
}

#[test]
fn hello_greets_with_the_path() {
    assert_eq!(serve().get("hello", "/you?x").text(), "Hello from /you\n");
}

#[test]
fn api_keeps_notes() {
    let nexus = serve();
    let mut client = nexus.client("api");
    assert_eq!(client.get("/").json(), json!({ "message": "Welcome to the notes", "notes": 1 }));
    let created = client.request("POST", "/notes", &[], br#"{"text":"buy milk"}"#);
    assert_eq!((created.status, created.header("location")), (201, Some("/notes/2")));
    assert_eq!(created.json(), json!({ "id": 2, "text": "buy milk" }));
    assert_eq!(nexus.message("added note 2")["app"], "api");
    assert_eq!(client.get("/notes/2").json()["text"], "buy milk");
    assert_eq!(client.get("/notes").json().as_array().unwrap().len(), 2);
    assert_eq!(client.request("DELETE", "/notes/2", &[], b"").status, 204);
    let missing = client.get("/notes/2");
    assert_eq!((missing.status, missing.json()), (404, json!({ "error": "note 2 is not there" })));
    let bad = client.request("POST", "/notes", &[], b"{");
    assert_eq!((bad.status, bad.json()), (400, json!({ "error": "the body is not JSON" })));
    assert_eq!(
        client.request("POST", "/notes", &[], b"{}").json(),
        json!({ "error": "a note needs a text" })
    );
    assert_eq!(client.request("POST", "/notes", &[], &vec![b'x'; 70_000]).status, 413);
}

#[test]
fn stream_ticks_while_it_is_read_and_stops_when_its_client_leaves() {
    let nexus = serve();
    let mut client = nexus.client("stream");
    client.send_request("GET", "/?ticks=3", &[], b"");
    let head = client.head();
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    for tick in 1..=3 {
        assert_eq!(client.chunk().unwrap(), format!("data: tick {tick}\n\n").into_bytes());
    }
    assert_eq!(client.chunk(), None);
    nexus.message("started a clock of 3 ticks");
    assert_eq!(client.request("POST", "/echo", &[], b"some body").text(), "some body");

    client.send_request("GET", "/?ticks=1000", &[], b"");
    client.head();
    client.chunk();
    drop(client);
    nexus.message("the client left after tick");
    nexus.await_nothing_held("stream");
}

#[test]
fn page_serves_its_files_and_its_api() {
    let nexus = serve();
    let mut client = nexus.client("page");
    let page = client.get("/");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("<h1>A page on Nexus</h1>"));
    for file in ["/style.css", "/script.js"] {
        assert!(page.text().contains(file));
        let file = client.get(file);
        assert!(file.status == 200 && file.header("etag").is_some());
    }
    assert!(client.get("/api/uptime").json()["seconds"].is_number());
    assert_eq!(client.get("/gone").status, 404);
}

#[test]
fn wasm_c_and_wasm_rust_greet_whom_the_query_names() {
    let nexus = serve();
    for app in ["wasm-c", "wasm-rust"] {
        let greeting = nexus.get(app, "/greet?name=Ann");
        assert_eq!((greeting.status, greeting.json()), (200, json!({ "greeting": "Hello, Ann!" })), "{app}");
    }
}
