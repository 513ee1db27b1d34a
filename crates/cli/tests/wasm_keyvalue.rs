//! `wasi:keyvalue`, in both drafts: what WebAssembly apps keep, and share with JavaScript apps.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::path::Path;

use harness::{Client, Folder, Managed, Nexus};

const DRAFTS: [&str; 2] = ["keyvalue", "keyvalue2"];
const KV: &str = "[bindings]\nKV = { kv = \"main\" }\n";

fn guest(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/wasm/{name}.wasm")))
        .unwrap()
}

/// A host with an app `one` of this guest and this manifest.
fn serve(name: &str, manifest: &str) -> (Folder, Nexus) {
    let folder = Folder::new(&[("one/nexus.toml", manifest)]);
    folder.write("one/app.wasm", guest(name));
    let nexus = Nexus::serve(folder.path());
    (folder, nexus)
}

#[track_caller]
fn says(nexus: &Nexus, path: &str, status: u16, text: &str) {
    let answer = nexus.get("one", path);
    assert_eq!((answer.status, answer.text().as_str()), (status, text), "{path}");
}

#[test]
fn what_is_set_is_there_until_it_is_deleted() {
    for draft in DRAFTS {
        let (_folder, nexus) = serve(draft, KV);
        says(&nexus, "/get/a", 404, "none");
        says(&nexus, "/exists/a", 200, "no");
        says(&nexus, "/set/a/hello", 200, "set");
        says(&nexus, "/get/a", 200, "hello");
        says(&nexus, "/exists/a", 200, "yes");
        says(&nexus, "/keys", 200, "a\n1 pages\n");
        says(&nexus, "/delete/a", 200, "deleted");
        says(&nexus, "/delete/a", 200, "deleted");
        says(&nexus, "/get/a", 404, "none");
        says(&nexus, "/add/n/5", 200, "5");
        says(&nexus, "/add/n/37", 200, "42");
        says(&nexus, "/get/n", 200, "42");
        says(&nexus, "/many/k/90", 200, "90 right, 1 left");
        says(&nexus, "/large/l/3000000", 200, "set");
        assert_eq!(nexus.get("one", "/get/l").body.len(), 3_000_000);
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    for draft in DRAFTS {
        let (_folder, nexus) = serve(draft, &format!("{KV}[limits]\nkv_storage = \"64 KB\"\n"));
        says(&nexus, "/open/KV", 200, "opened");
        for other in ["OTHER", "kv", "main", "", "one/main"] {
            let answer = nexus.get("one", &format!("/open/{other}"));
            // The guest sees of a path what is before the next `/`.
            assert_eq!((answer.status, answer.text().as_str()), (403, "no-such-store"), "{other}");
        }
        says(&nexus, "/get/", 500, "other: a key is not empty");
        says(
            &nexus,
            &format!("/get/{}", "k".repeat(513)),
            500,
            "other: a key has at most 512 bytes, not 513",
        );
        says(&nexus, "/set/a/text", 200, "set");
        says(&nexus, "/add/a/1", 500, "other: the value is no number");
        says(&nexus, "/many/k/101", 500, "other: at most 100 checks and changes are made at once");
        says(
            &nexus,
            "/large/l/65536",
            500,
            "other: the app keeps as much as it may (limit: kv_storage 64 KB)",
        );
        says(&nexus, "/get/a", 200, "text");
    }
    let (_folder, nexus) = serve("keyvalue", KV);
    says(&nexus, "/add/n/-1", 500, "other: the delta is beyond 63 bits");
    let (_folder, nexus) = serve("keyvalue2", KV);
    says(&nexus, "/add/n/-1", 200, "-1");
}

#[test]
fn swaps_hold_against_what_was_seen() {
    let (_folder, nexus) = serve("keyvalue2", KV);
    says(&nexus, "/swap/a/one", 200, "was none, attempt 1");
    says(&nexus, "/swap/a/two", 200, "was one, attempt 1");
    says(&nexus, "/race/a/three", 200, "was two, attempt 2");
    says(&nexus, "/get/a", 200, "three");
}

#[test]
fn javascript_and_webassembly_share_what_both_are_granted() {
    let source = "export default { async fetch(request, { KV }) {
        const [, act, key, value] = new URL(request.url).pathname.split('/');
        if (act === 'set') await KV.put(key, value);
        return new Response(await KV.get(key) ?? 'none');
    } };";
    for draft in DRAFTS {
        let folder = Folder::new(&[
            ("one/nexus.toml", KV),
            ("js/index.js", source),
            ("js/nexus.toml", "[bindings]\nKV = { kv = \"one/main\" }\n"),
            ("reader/nexus.toml", "[bindings]\nKV = { kv = \"one/main\", access = \"read\" }\n"),
            ("alone/nexus.toml", KV),
        ]);
        for app in ["one", "reader", "alone"] {
            folder.write(&format!("{app}/app.wasm"), guest(draft));
        }
        let nexus = Nexus::serve(folder.path());
        assert_eq!(nexus.get("js", "/set/a/fromjs").text(), "fromjs");
        says(&nexus, "/get/a", 200, "fromjs");
        says(&nexus, "/set/b/fromwasm", 200, "set");
        assert_eq!(nexus.get("js", "/get/b").text(), "fromwasm");
        assert_eq!(nexus.get("reader", "/get/b").text(), "fromwasm");
        let denied = nexus.get("reader", "/set/b/other");
        assert_eq!((denied.status, denied.text().as_str()), (403, "access-denied"));
        nexus.message("denied: the app may not write kv `one/main` by its binding KV");
        assert_eq!(nexus.get("alone", "/keys").text(), "1 pages\n");
    }
}

#[test]
fn lists_come_in_pages() {
    for draft in DRAFTS {
        let (_folder, nexus) = serve(draft, &format!("{KV}[limits]\nmemory = \"64 MB\"\n"));
        // Each leaves its first.
        for i in 0..3 {
            says(&nexus, &format!("/many/p{i}-/50"), 200, "50 right, 1 left");
        }
        says(&nexus, "/keys", 200, "p0-0\np1-0\np2-0\n1 pages\n");
    }
    let source = "export default { async fetch(request, { KV }) {
        for (let i = 0; i < 2500; i += 100) {
            const all = KV.atomic();
            for (let j = i; j < i + 100; j++) all.put(`k${String(j).padStart(4, '0')}`, '');
            await all.commit();
        }
        return new Response('filled');
    } };";
    for draft in DRAFTS {
        let folder = Folder::new(&[
            ("one/nexus.toml", KV),
            ("js/index.js", source),
            ("js/nexus.toml", "[bindings]\nKV = { kv = \"one/main\" }\n"),
        ]);
        folder.write("one/app.wasm", guest(draft));
        let nexus = Nexus::serve(folder.path());
        assert_eq!(nexus.get("js", "/").text(), "filled");
        let text = nexus.get("one", "/keys").text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[2499], lines[2500]), (2501, "k0000", "k2499", "3 pages"));
    }
}

#[test]
fn a_grant_that_is_taken_counts_from_the_next_call_on() {
    let folder =
        Folder::new(&[("one/nexus.toml", &*format!("{KV}[limits]\ncpu = \"1 h\"\nwall = \"1 h\"\n"))]);
    folder.write("one/app.wasm", guest("keyvalue2"));
    folder.write("nexus-host.toml", "[deploy]\nallow = [\"kv\"]\n");
    let managed = Managed::start(folder, &[]);
    managed.done(&["deploy", "one"]);
    let address = managed.address("one");
    let mut client = Client::connect(&address);
    assert_eq!(client.get("/set/a/1").text(), "set");
    let mut busy = Client::connect(&address);
    busy.send_request("GET", "/loop/a/1000000000", &[], b"");
    std::thread::sleep(std::time::Duration::from_millis(100));
    managed.done(&["grants", "remove", "one", "kv", "main"]);
    let ended = busy.response();
    assert_eq!((ended.status, ended.text().as_str()), (403, "access-denied"));
    assert_eq!(client.get("/get/a").text(), "access-denied");
    managed.done(&["provider", "stop", "kv"]);
    managed.done(&["grants", "add", "one", "kv", "main"]);
    assert_eq!(client.get("/get/a").text(), "other: the provider `kv` is stopped; try again later");
}
