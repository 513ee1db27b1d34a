//! Runs the tests of the Web APIs, `tests/web/*.js`, each as an app of its own.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::path::Path;

use harness::{Folder, Nexus};

/// What every test file imports; no test itself.
const HARNESS: &str = "harness.js";

#[test]
fn the_web_apis_hold_what_their_tests_say() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/web");
    let harness = std::fs::read_to_string(sources.join(HARNESS)).unwrap();
    let mut names: Vec<String> = std::fs::read_dir(&sources)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".js") && name != HARNESS)
        .collect();
    names.sort();
    assert!(!names.is_empty());
    let folder = Folder::new(&[]);
    for name in &names {
        let app = name.trim_end_matches(".js");
        // All tests of an API are one request.
        let manifest = format!(
            "[project]\nname = \"{app}\"\nmain = \"{name}\"\n[limits]\ncpu = \"30 s\"\nlog = \"100 MB\"\n"
        );
        folder.write(&format!("{app}/nexus.toml"), manifest);
        folder.write(&format!("{app}/{name}"), std::fs::read(sources.join(name)).unwrap());
        folder.write(&format!("{app}/{HARNESS}"), &harness);
    }
    let nexus = Nexus::serve(folder.path());
    nexus.admin();
    let mut failures = Vec::new();
    let mut total = 0;
    for name in &names {
        let app = name.trim_end_matches(".js");
        if let Some(line) = nexus.messages("not served").iter().find(|line| line["app"] == app) {
            failures.push(format!("{name}: {}", line["message"].as_str().unwrap()));
            continue;
        }
        let response = nexus.get(app, "/");
        if response.status != 200 {
            failures.push(format!("{name}: {} {}", response.status, response.text()));
            continue;
        }
        let results = response.json();
        let results = results.as_array().unwrap();
        let failed: Vec<_> = results.iter().filter(|result| result["ok"] != true).collect();
        println!("{name}: {} of {} passed", results.len() - failed.len(), results.len());
        if results.is_empty() {
            failures.push(format!("{name}: has no tests"));
        }
        total += results.len();
        failures.extend(failed.iter().map(|result| {
            format!("{name}: {}: {}", result["name"].as_str().unwrap(), result["message"].as_str().unwrap())
        }));
    }
    assert!(failures.is_empty(), "{} of {total} failed:\n{}", failures.len(), failures.join("\n"));
}
