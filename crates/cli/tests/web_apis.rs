//! The list of all Web APIs, which `nexus types` prints: guests have what it says and nothing else, the documentation's
//! page is made from it, and it has what the WinterTC's Minimum Common Web API asks for.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;
mod list;

use std::fmt::Write;

use harness::{Folder, Nexus};
use list::{Entry, Kind};
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../../docs/web-apis.md");

/// ECMA-429, 1st edition, December 2025, clause 7: the interfaces, and the functions and properties.
const INTERFACES: &[&str] = &[
    "AbortController",
    "AbortSignal",
    "Blob",
    "ByteLengthQueuingStrategy",
    "CompressionStream",
    "CountQueuingStrategy",
    "Crypto",
    "CryptoKey",
    "CustomEvent",
    "DecompressionStream",
    "DOMException",
    "ErrorEvent",
    "Event",
    "EventTarget",
    "File",
    "FormData",
    "Headers",
    "MessageChannel",
    "MessageEvent",
    "MessagePort",
    "Performance",
    "PromiseRejectionEvent",
    "ReadableByteStreamController",
    "ReadableStream",
    "ReadableStreamBYOBReader",
    "ReadableStreamBYOBRequest",
    "ReadableStreamDefaultController",
    "ReadableStreamDefaultReader",
    "Request",
    "Response",
    "SubtleCrypto",
    "TextDecoder",
    "TextDecoderStream",
    "TextEncoder",
    "TextEncoderStream",
    "TransformStream",
    "TransformStreamDefaultController",
    "URL",
    "URLPattern",
    "URLSearchParams",
    "WebAssembly.Global",
    "WebAssembly.Instance",
    "WebAssembly.Memory",
    "WebAssembly.Module",
    "WebAssembly.Table",
    "WebAssembly.Tag",
    "WebAssembly.Exception",
    "WebAssembly.CompileError",
    "WebAssembly.LinkError",
    "WebAssembly.RuntimeError",
    "WritableStream",
    "WritableStreamDefaultController",
    "WritableStreamDefaultWriter",
];
const PROPERTIES: &[&str] = &[
    "globalThis",
    "atob",
    "btoa",
    "clearTimeout",
    "clearInterval",
    "console",
    "crypto",
    "fetch",
    "navigator.userAgent",
    "onerror",
    "onunhandledrejection",
    "onrejectionhandled",
    "performance",
    "queueMicrotask",
    "reportError",
    "self",
    "setTimeout",
    "setInterval",
    "structuredClone",
    "WebAssembly.compile",
    "WebAssembly.compileStreaming",
    "WebAssembly.instantiate",
    "WebAssembly.instantiateStreaming",
    "WebAssembly.JSTag",
    "WebAssembly.validate",
];

fn entries() -> Vec<Entry> {
    list::read(&nexus_js::types())
}

/// What a guest finds as a value, beside namespaces' own names.
fn globals(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(|entry| !matches!(entry.kind, Kind::Interface { statics: None, .. }))
}

fn is_of_the_minimum(name: &str) -> bool {
    let name = if name == "navigator" { "navigator.userAgent" } else { name };
    INTERFACES.contains(&name) || PROPERTIES.contains(&name)
}

/// What a guest finds that is not as the list has it.
fn problems(list: &Value) -> Vec<String> {
    let folder = Folder::new(&[]);
    folder.write("nexus.toml", "[project]\nname = \"list\"\n[limits]\ncpu = \"30 s\"\n");
    folder.write("index.js", include_str!("list/checker.js"));
    folder.write("list.json", list.to_string());
    let nexus = Nexus::serve(folder.path());
    let response = nexus.get("list", "/");
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_value(response.json()).unwrap()
}

#[test]
fn a_guest_finds_all_of_the_list_to_the_letter_and_nothing_else() {
    let problems = problems(&list::expected(&entries()));
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn what_is_not_as_the_list_has_it_is_found() {
    let mut list = list::expected(&entries());
    let mut told = Vec::new();
    let entries = list.as_array_mut().unwrap();
    // Of an entry, or of one of its members: what is changed, and what is told of it.
    let changes = [
        ("AbortController", "", "length", json!(1), "AbortController.length: value is 0, not 1"),
        ("AbortSignal", "", "parent", json!("Event"), "AbortSignal: its parent"),
        ("Blob", "size", "readonly", json!(false), "Blob.prototype.size: setter: is no function"),
        ("Event", "type", "name", json!("kind"), "Event.prototype: has type, which is not in the list"),
        ("Event", "NONE", "value", json!(7), "Event.prototype.NONE: value is 0, not 7"),
        ("Headers", "get", "length", json!(2), "Headers.prototype.get.length: value is 1, not 2"),
        (
            "Response",
            "text",
            "promise",
            json!(false),
            "Response.prototype.text on another object: does not throw",
        ),
        ("URL", "search", "readonly", json!(true), "URL.prototype.search: has a setter"),
        ("URLPattern", "", "length", Value::Null, "new URLPattern(): does not throw"),
        ("atob", "", "length", json!(0), "atob.length: value is 1, not 0"),
        ("btoa", "", "inherited", json!(true), "btoa: is the global object's own"),
        ("console", "log", "kind", json!("attribute"), "console.log: getter: is no function"),
        ("navigator", "", "readonly", json!(false), "navigator: setter: is no function"),
        ("performance", "", "of", json!("Event"), "performance: is no Event"),
        ("self", "", "readonly", json!(true), "self: has a setter"),
        ("setTimeout", "", "name", json!("setLater"), "setLater: is missing"),
    ];
    for (name, member, key, value, problem) in changes {
        let entry = entries.iter_mut().find(|entry| entry["name"] == name).unwrap();
        let at =
            entry["members"].as_array().and_then(|all| all.iter().position(|other| other["name"] == member));
        let changed = at.map_or("".to_owned(), |at| format!("/members/{at}"));
        *entry.pointer_mut(&format!("{changed}/{key}")).unwrap() = value;
        told.push(problem.to_owned());
    }
    told.push("globalThis: has setTimeout, which is not in the list".to_owned());
    let problems = problems(&list);
    let silent: Vec<_> = told.iter().filter(|problem| !problems.contains(problem)).collect();
    assert!(silent.is_empty(), "{silent:#?} of {problems:#?}");
}

#[test]
fn the_list_has_the_minimum_common_web_api() {
    assert_eq!((INTERFACES.len(), PROPERTIES.len()), (53, 25));
    let entries = entries();
    let names: Vec<&str> = globals(&entries).map(|entry| entry.name.as_str()).collect();
    let is_there = |name: &&&str| match **name {
        "globalThis" => true,
        "navigator.userAgent" => names.contains(&"navigator"),
        name => names.contains(&name),
    };
    let all = INTERFACES.iter().chain(PROPERTIES);
    let missing: Vec<_> = all.filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_command_prints_the_list() {
    let output = harness::run(Folder::new(&[]).path(), &["types"]);
    assert_eq!((output.code, output.stdout), (Some(0), nexus_js::types()));
}

/// The page's reference: a table a section.
fn reference(entries: &[Entry]) -> String {
    let mut page = String::new();
    let mut section = "";
    for entry in globals(entries) {
        if section != entry.section {
            section = &entry.section;
            write!(
                page,
                "\n### {section}\n\n| | what it is | ECMA-429 | what differs |\n|---|---|---|---|\n"
            )
            .unwrap();
        }
        let call = if matches!(entry.kind, Kind::Function(_)) { "()" } else { "" };
        let name = format!("`{}{call}`", entry.name);
        let name = match &entry.doc.standard {
            Some(url) => format!("[{name}]({url})"),
            None => name,
        };
        let minimum = if is_of_the_minimum(&entry.name) { "yes" } else { "" };
        let (summary, differs) = (&entry.doc.summary, entry.doc.differs.join(" "));
        writeln!(page, "| {name} | {summary} | {minimum} | {differs} |").unwrap();
    }
    page.trim().to_owned()
}

#[test]
fn the_documentations_page_has_the_list() {
    let reference = reference(&entries());
    assert!(PAGE.contains(&reference), "docs/web-apis.md should hold:\n\n{reference}");
}

#[test]
fn each_difference_is_told_on_the_documentations_page() {
    let types = nexus_js::types();
    let told: Vec<_> = types.lines().filter_map(|line| line.split_once("@differs ")).collect();
    assert!(told.len() > 10);
    let missing: Vec<_> = told.iter().map(|(_, how)| how.trim()).filter(|how| !PAGE.contains(how)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn each_global_of_the_list_says_what_it_is_and_where_it_is_written() {
    let entries = entries();
    let bare = |entry: &&Entry| entry.doc.summary.is_empty() || entry.doc.standard.is_none();
    let names: Vec<_> = globals(&entries).filter(bare).map(|entry| &entry.name).collect();
    assert!(names.is_empty(), "{names:?}");
}
