//! Key-value stores as apps have them: what they keep, who sees it, and what becomes of it.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::time::Instant;

use harness::{Client, Folder, Managed, Nexus, Start, error, functions, serve_functions, until, value};
use serde_json::Value;

const KV: &str = "[bindings]\nKV = { kv = \"main\" }\n";

#[test]
fn values_are_what_was_put_in_each_type() {
    let (_folder, nexus) = serve_functions(
        "all: async ({ KV }) => {
           const out = [];
           const bytes = new Uint8Array([0, 255, 128]);
           await KV.put('text', 'grüße \\u{1f600}');
           await KV.put('json', JSON.stringify({ a: [1, null] }));
           await KV.put('bytes', bytes);
           await KV.put('buffer', bytes.buffer);
           await KV.put('view', new DataView(bytes.buffer, 1, 2));
           await KV.put('stream', new Response('streamed').body);
           await KV.put('empty', '');
           out.push(await KV.get('text'), await KV.get('text', 'text'), await KV.get('json', { type: 'json' }));
           for (const key of ['bytes', 'buffer', 'view']) out.push(Array.from(new Uint8Array(await KV.get(key, 'arrayBuffer'))).join());
           out.push(await new Response(await KV.get('stream', 'stream')).text(), await KV.get('empty'), await KV.get('none'));
           out.push((await new Response(await KV.get('empty', 'stream')).text()).length);
           out.push(await KV.get('none', 'json'), await KV.get('none', 'stream'), await KV.get('none', 'arrayBuffer'));
           out.push([...await KV.get(['text', 'none', 'empty'])], [...await KV.get(['json'], 'json')]);
           await KV.delete('text');
           await KV.delete('never');
           out.push(await KV.get('text'));
           return out;
         }",
        KV,
    );
    assert_eq!(
        value(&nexus, "/all"),
        serde_json::json!([
            "grüße 😀", "grüße 😀", { "a": [1, null] }, "0,255,128", "0,255,128", "255,128", "streamed", "", null, 0,
            null, null, null, [["text", "grüße 😀"], ["none", null], ["empty", ""]],
            [["json", { "a": [1, null] }]], null
        ])
    );
}

#[test]
fn metadata_ends_and_versions_are_told() {
    let (_folder, nexus) = serve_functions(
        "all: async ({ KV }) => {
           const out = [];
           const now = Math.floor(Date.now() / 1000);
           await KV.put('k', 'v', { metadata: { a: 1 }, expirationTtl: 100 });
           const { value, metadata, version, cacheStatus } = await KV.getWithMetadata('k');
           out.push(value, metadata, /^[0-9a-f]{16}$/.test(version), cacheStatus);
           out.push(await KV.getWithMetadata('none'));
           await KV.put('later', 'v', { expiration: now + 50 });
           const { keys, list_complete, cursor } = await KV.list();
           out.push(keys.map(({ name, expiration, metadata }) => [name, expiration >= now + 50 && expiration <= now + 110, metadata]), list_complete, cursor);
           await KV.put('k', 'w');
           const again = await KV.getWithMetadata('k', 'arrayBuffer');
           out.push(again.value.byteLength, again.metadata, again.version > version);
           await KV.put('soon', 'v', { expirationTtl: 1 });
           out.push(await KV.get('soon'));
           await new Promise((resolve) => setTimeout(resolve, 2100));
           out.push(await KV.get('soon'), (await KV.list({ prefix: 's' })).keys);
           return out;
         }",
        KV,
    );
    assert_eq!(
        value(&nexus, "/all"),
        serde_json::json!([
            "v", { "a": 1 }, true, null, { "value": null, "metadata": null, "version": null, "cacheStatus": null },
            [["k", true, { "a": 1 }], ["later", true, null]], true, null, 1, null, true, "v", null, []
        ])
    );
}

#[test]
fn lists_come_in_pages() {
    let (_folder, nexus) = serve_functions(
        "all: async ({ KV }) => {
           const out = [];
           for (let i = 0; i < 25; i++) await KV.put(`n/${String(i).padStart(2, '0')}`, 'v');
           await KV.put('other', 'v');
           let cursor, pages = 0, names = [];
           do {
             const page = await KV.list({ prefix: 'n/', limit: 10, cursor });
             names.push(...page.keys.map(({ name }) => name));
             cursor = page.cursor;
             pages++;
             if (page.list_complete) break;
           } while (true);
           out.push(pages, names.length, names[0], names[24]);
           // A cursor that was tampered with leads nowhere else.
           for (const cursor of ['a', 'zzz', 'n/23', '../', '\\u0000', 'n/zzzzz']) {
             out.push((await KV.list({ prefix: 'n/', cursor, limit: 3 })).keys.map(({ name }) => name).join());
           }
           return out;
         }",
        KV,
    );
    assert_eq!(
        value(&nexus, "/all"),
        serde_json::json!([
            3,
            25,
            "n/00",
            "n/24",
            "n/00,n/01,n/02",
            "",
            "n/24",
            "n/00,n/01,n/02",
            "n/00,n/01,n/02",
            ""
        ])
    );
}

#[test]
fn a_counter_of_many_requests_at_once_loses_none() {
    let (_folder, nexus) = serve_functions(
        "count: async ({ KV }) => {
           for (;;) {
             const { value, version } = await KV.getWithMetadata('n', 'json');
             const { ok } = await KV.atomic().check({ key: 'n', version }).put('n', String((value ?? 0) + 1)).commit();
             if (ok) return;
           }
         },
         many: async (env) => { await Promise.all(Array.from({ length: 20 }, () => TESTS.count(env))); },
         read: ({ KV }) => KV.get('n', 'json'),
         all: async ({ KV }) => {
           const first = await KV.atomic().check({ key: 'a', version: null }).put('a', '1', { metadata: 5 }).put('b', '2').commit();
           const second = await KV.atomic().check({ key: 'a', version: null }).delete('b').commit();
           const third = await KV.atomic().check({ key: 'a', version: first.version }, { key: 'c' }).delete('b').commit();
           return [first.ok, second, third.ok, third.version > first.version, await KV.get('b'), (await KV.getWithMetadata('a')).metadata];
         }",
        KV,
    );
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let address = nexus.address("shop");
            std::thread::spawn(move || Client::connect(&address).get("/many").status)
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 200);
    }
    assert_eq!(value(&nexus, "/read"), 80);
    assert_eq!(value(&nexus, "/all"), serde_json::json!([true, { "ok": false }, true, true, null, 5]));
}

#[test]
fn what_cannot_be_done_is_an_error_that_says_why() {
    let (_folder, nexus) = serve_functions(
        "empty: ({ KV }) => KV.get(''),
         dots: ({ KV }) => KV.put('..', 'v'),
         long: ({ KV }) => KV.get('k'.repeat(513)),
         type: ({ KV }) => KV.get('k', 'blob'),
         value: ({ KV }) => KV.put('k', 5),
         nothing: ({ KV }) => KV.put('k'),
         large: ({ KV }) => KV.put('k', new Uint8Array(26_214_401)),
         metadata: ({ KV }) => KV.put('k', 'v', { metadata: 'x'.repeat(1023) }),
         function: ({ KV }) => KV.put('k', 'v', { metadata() {} }),
         past: ({ KV }) => KV.put('k', 'v', { expiration: 1000 }),
         ttl: ({ KV }) => KV.put('k', 'v', { expirationTtl: 0 }),
         limit: ({ KV }) => KV.list({ limit: 1001 }),
         many: ({ KV }) => KV.get(Array.from({ length: 101 }, (_, i) => `k${i}`)),
         stream: ({ KV }) => KV.get(['k'], 'stream'),
         version: ({ KV }) => KV.atomic().check({ key: 'k', version: '12' }).commit(),
         json: async ({ KV }) => { await KV.put('k', '{'); return KV.get('k', 'json'); },
         illegal: ({ KV }) => KV.get.call({}, 'k'),
         construct: ({ KV }) => new KV.constructor(),
         alive: async ({ KV }) => { await KV.put('k', 'v'); return KV.get('k'); }",
        &format!("{KV}[limits]\nmemory = \"256 MB\"\n"),
    );
    for (path, name, part) in [
        ("empty", "TypeError", "a key is not empty"),
        ("dots", "TypeError", "neither `.` nor `..`"),
        ("long", "TypeError", "at most 512 bytes, not 513"),
        ("type", "TypeError", "\"blob\" is no type of values"),
        ("value", "TypeError", "no string, ArrayBuffer, view or ReadableStream"),
        ("nothing", "TypeError", "no string"),
        ("large", "TypeError", "at most 25 MB"),
        ("metadata", "Error", "metadata has at most 1024 bytes"),
        ("function", "TypeError", "nothing that JSON holds"),
        ("past", "TypeError", "not in the future"),
        ("ttl", "TypeError", "below 1"),
        ("limit", "Error", "1 to 1000 keys"),
        ("many", "TypeError", "at most 100 keys"),
        ("stream", "TypeError", "text or json"),
        ("version", "TypeError", "a version is what an entry came with"),
        ("json", "SyntaxError", "JSON"),
        ("illegal", "TypeError", ""),
        ("construct", "TypeError", "Illegal constructor"),
    ] {
        let error = error(&nexus, &format!("/{path}"));
        assert_eq!(error["name"], name, "{path}: {error}");
        assert!(error["error"].as_str().unwrap().contains(part), "{path}: {error}");
        assert_eq!(value(&nexus, "/alive"), "v");
    }
}

#[test]
fn apps_have_namespaces_of_their_own_and_those_of_others_by_name() {
    let write = functions(
        "all: async ({ KV }, value) => { await KV.put('k', value); return KV.get('k'); },
                     list: async ({ KV }) => (await KV.list()).keys.map(({ name }) => name)",
    );
    let folder = Folder::new(&[
        ("one/index.js", &*write),
        ("one/nexus.toml", KV),
        ("two/index.js", &*write),
        ("two/nexus.toml", KV),
        ("three/index.js", &*write),
        ("three/nexus.toml", "[bindings]\nKV = { kv = \"one/main\", access = \"read\" }\n"),
        ("four/index.js", &*write),
    ]);
    let nexus = Nexus::serve(folder.path());
    let ask = |app: &str, path: &str| nexus.get(app, path).json();
    assert_eq!(ask("one", "/all/first")["value"], "first");
    assert_eq!(ask("two", "/list")["value"], serde_json::json!([]));
    assert_eq!(ask("two", "/all/second")["value"], "second");
    assert_eq!(ask("three", "/list")["value"], serde_json::json!(["k"]));
    let denied = ask("three", "/all/third");
    assert_eq!(denied["code"], "EPERM");
    assert_eq!(
        denied["error"],
        "kv: the app may not write kv `one/main` by its binding KV: its manifest asks for `access = \"read\"`; ask for \
         \"write\" there"
    );
    nexus.message("denied: the app may not write kv `one/main`");
    assert!(ask("four", "/list")["error"].as_str().unwrap().contains("undefined"));
}

#[test]
fn what_was_written_is_there_after_a_stop_and_after_a_kill() {
    let tests = "put: async ({ KV }, key) => { await KV.put(key, key); return 'put'; },
                 list: async ({ KV }) => (await KV.list()).keys.map(({ name }) => name)";
    let (folder, mut nexus) = serve_functions(tests, KV);
    assert_eq!(value(&nexus, "/put/a"), "put");
    assert_eq!(nexus.stop(), Some(0));
    let nexus = Nexus::serve(folder.path());
    assert_eq!(value(&nexus, "/list"), serde_json::json!(["a"]));
    assert_eq!(value(&nexus, "/put/b"), "put");
    nexus.kill_host("KILL");
    // The supervisor starts the host again.
    until("the app to answer again", || {
        let answer = nexus.get("shop", "/list");
        (answer.status == 200)
            .then(|| answer.json())
            .filter(|json| json["value"] == serde_json::json!(["a", "b"]))
    });
}

#[test]
fn the_quota_holds_and_neighbours_go_on() {
    let tests = "fill: async ({ KV }) => {
                   let count = 0;
                   try { for (;;) { await KV.put(`k${count}`, 'x'.repeat(100_000)); count++; } }
                   catch (error) { return [count, error.code, error.message]; }
                 },
                 one: async ({ KV }) => { await KV.put('k', 'x'.repeat(100_000)); return 'put'; }";
    let folder = Folder::new(&[
        ("greedy/index.js", &*functions(tests)),
        ("greedy/nexus.toml", &*format!("{KV}[limits]\nkv_storage = \"1 MB\"\n")),
        ("quiet/index.js", &*functions(tests)),
        ("quiet/nexus.toml", &*format!("{KV}[limits]\nkv_storage = \"1 MB\"\n")),
    ]);
    let nexus = Nexus::serve(folder.path());
    let filled = nexus.get("greedy", "/fill").json();
    assert_eq!(filled["value"][0], 10, "{filled}");
    assert_eq!(filled["value"][1], "EQUOTA");
    assert_eq!(filled["value"][2], "kv: the app keeps as much as it may (limit: kv_storage 1 MB)");
    assert_eq!(nexus.get("quiet", "/one").json()["value"], "put");
}

#[test]
fn a_damaged_file_is_told_with_a_way_out_and_is_one_apps() {
    let tests = "put: async ({ KV }) => { await KV.put('k', 'v'); return KV.get('k'); }";
    let folder = Folder::new(&[
        ("shop/index.js", &*functions(tests)),
        ("shop/nexus.toml", KV),
        ("other/index.js", &*functions(tests)),
        ("other/nexus.toml", KV),
        (".nexus/kv/shop.redb", "this is no database"),
    ]);
    let nexus = Nexus::serve(folder.path());
    let failed = error(&nexus, "/put");
    assert_eq!(failed["code"], "EIO");
    assert!(failed["error"].as_str().unwrap().starts_with("kv: the store "), "{failed}");
    assert!(!failed["error"].as_str().unwrap().contains("redb"), "{failed}");
    let line = nexus.message("the provider `kv` failed");
    let text = line["message"].as_str().unwrap();
    assert!(text.contains(".nexus/kv/shop.redb") && text.contains("move it away"), "{text}");
    assert_eq!(nexus.get("other", "/put").json()["value"], "v");
    // The way out, while the host runs.
    std::fs::remove_file(folder.path().join(".nexus/kv/shop.redb")).unwrap();
    assert_eq!(value(&nexus, "/put"), "v");
}

#[test]
fn a_deployed_app_gets_what_the_host_allows() {
    let source = functions("put: async ({ KV }) => { await KV.put('k', 'v'); return KV.get('k'); }");
    let files = [("shop/index.js", &*source), ("shop/nexus.toml", KV)];
    let managed = Managed::new(&files);
    let told = managed.done(&["deploy", "shop"]);
    assert!(
        told.contains("not granted: KV = { kv = \"main\" }; the host's `allow` under [deploy] decides"),
        "{told}"
    );
    let denied = Client::connect(&managed.address("shop")).get("/put").json();
    assert_eq!(denied["code"], "EPERM");
    assert!(denied["error"].as_str().unwrap().contains("the host does not grant it"), "{denied}");

    let folder = Folder::new(&files);
    folder.write("nexus-host.toml", "[deploy]\nallow = [\"kv\"]\n");
    let managed = Managed::start(folder, &[]);
    assert!(!managed.done(&["deploy", "shop"]).contains("not granted"));
    assert_eq!(Client::connect(&managed.address("shop")).get("/put").json()["value"], "v");
    assert_eq!(managed.kept("kv"), ["hosts.lock", "shop.redb"]);
}

#[test]
fn storage_may_be_elsewhere_and_is_made_when_it_is_needed() {
    let tests = "put: async ({ KV }) => { await KV.put('k', 'v'); return KV.get('k'); },
                 get: async ({ KV }) => KV.get('k')";
    let folder = Folder::new(&[("shop/index.js", &*functions(tests)), ("shop/nexus.toml", KV)]);
    let nexus = Start::in_folder(folder.path()).args(&["--storage", "kept/here"]).start();
    assert_eq!(value(&nexus, "/get"), Value::Null);
    assert!(!folder.path().join("kept").exists());
    assert_eq!(value(&nexus, "/put"), "v");
    assert!(folder.path().join("kept/here/kv/shop.redb").exists());
    assert!(!folder.path().join(".nexus").exists());
}

#[test]
fn a_binding_to_a_provider_that_is_not_there_is_told() {
    let folder = Folder::new(&[
        ("shop/index.js", &*functions("")),
        ("shop/nexus.toml", "[bindings]\nKV = { kv = \"main\", provider = \"fast\" }\n"),
        ("other/index.js", &*functions("all: () => 'well'")),
    ]);
    let nexus = Nexus::serve(folder.path());
    let line = nexus.message("provider `fast`");
    assert!(line["message"].as_str().unwrap().contains("the binding KV"), "{line}");
    assert_eq!(nexus.get("other", "/all").json()["value"], "well");
}

#[test]
fn what_is_put_without_waiting_is_kept_all_the_same() {
    let tests = "put: ({ KV }, key) => { KV.put(key, 'v'); return 'answered'; },
                 list: async ({ KV }) => (await KV.list()).keys.length";
    let (_folder, nexus) = serve_functions(tests, KV);
    for i in 0..20 {
        assert_eq!(value(&nexus, &format!("/put/{i}")), "answered");
    }
    let began = Instant::now();
    until("all to be written", || (value(&nexus, "/list") == 20).then_some(()));
    assert!(began.elapsed().as_secs() < 60);
    nexus.await_nothing_held("shop");
}

#[test]
fn grants_are_listed_given_and_taken_while_an_app_runs() {
    let source = functions(
        "put: async ({ KV }) => { await KV.put('k', 'v'); return KV.get('k'); },
                      get: ({ KV }) => KV.get('k'),
                      long: async ({ KV }) => { for (let i = 0; i < 100_000; i++) await KV.put('k', 'v'); }",
    );
    let manifest = format!(
        "{KV}OTHER = {{ kv = \"blog/posts\", access = \"read\" }}\n[limits]\nwall = \"1 h\"\ncpu = \"1 h\"\n"
    );
    let files = [("shop/index.js", &*source), ("shop/nexus.toml", &*manifest)];
    let mut managed = Managed::new(&files);
    assert_eq!(managed.done(&["grants"]), "no app asks for anything\n");
    // Before the app is there.
    assert_eq!(
        managed.done(&["grants", "add", "shop", "kv", "blog/posts"]),
        "shop: granted kv blog/posts\nno binding of the app asks for it so far\n"
    );
    let told = managed.done(&["deploy", "shop"]);
    assert!(told.contains("not granted: KV = { kv = \"main\" };") && !told.contains("OTHER"), "{told}");
    assert_eq!(
        managed.done(&["grants"]),
        "APP    BINDING   CAPABILITY   RESOURCE     ASKED   GRANTED\n\
         shop   KV        kv           shop/main    write   -\n\
         shop   OTHER     kv           blog/posts   read    read\n"
    );
    let mut client = Client::connect(&managed.address("shop"));
    assert_eq!(client.get("/put").json()["code"], "EPERM");
    assert_eq!(
        managed.done(&["grants", "add", "shop", "kv", "main", "--read"]),
        "shop: granted to read kv main\n"
    );
    assert_eq!(client.get("/put").json()["code"], "EPERM");
    assert_eq!(client.get("/get").json()["value"], Value::Null);
    managed.done(&["grants", "add", "shop", "kv", "main"]);
    assert_eq!(client.get("/put").json()["value"], "v");
    // A guest in the middle of its work: its next call fails.
    let mut busy = Client::connect(&managed.address("shop"));
    busy.send_request("GET", "/long", &[], b"");
    assert_eq!(client.get("/put").json()["value"], "v");
    let taken = managed.json(&["grants", "remove", "shop", "kv", "main"]);
    assert_eq!((&taken["grants"][0]["granted"], &taken["kept"]), (&Value::Null, &Value::Bool(true)));
    assert_eq!(busy.response().json()["code"], "EPERM");
    assert_eq!(client.get("/get").json()["code"], "EPERM");
    // What was added and removed is known to the next host, too.
    managed.nexus.stop();
    managed.nexus = Managed::serve(managed.folder.path(), &[]);
    let all = managed.json(&["grants"]);
    let granted: Vec<&Value> =
        all["grants"].as_array().unwrap().iter().map(|grant| &grant["granted"]).collect();
    assert_eq!(granted, [&Value::Null, &Value::from("read")]);
    // With the app goes what it was granted.
    managed.done(&["rm", "shop"]);
    assert!(managed.done(&["deploy", "shop"]).contains("OTHER"));
    for (args, part) in [
        (["grants", "add", "shop", "magic", "main"], "invalid value 'magic'"),
        (["grants", "add", "shop", "kv", "../main"], "a name is 1 to 63"),
        (["grants", "remove", "A B", "kv", "main"], "a name is 1 to 63"),
    ] {
        let error = managed.refused(&args, 2);
        assert!(error.contains(part), "{error}");
    }
    for (path, status) in [
        ("/v1/apps/shop/grants", 400),
        ("/v1/apps/shop/grants?capability=kv&resource=a&access=all", 400),
        ("/v1/apps/shop/grants?capability=kv&resource=a/b/c", 400),
        ("/v1/apps/A/grants?capability=kv&resource=a", 400),
        ("/v1/apps/shop/grants?capability=kv&resource=a", 200),
    ] {
        assert_eq!(managed.ask("PUT", path, b"").status, status, "{path}");
    }
}

/// A greedy app beside a quiet one: `act` of the first while the second puts and gets.
fn beside(greedy: &str, manifest: &str, path: &str) -> (Folder, Nexus, harness::Response) {
    let quiet = "put: async ({ KV }, key) => { await KV.put(key, key); return KV.get(key); }";
    let folder = Folder::new(&[
        ("greedy/index.js", &*functions(greedy)),
        ("greedy/nexus.toml", &*format!("{KV}{manifest}")),
        ("quiet/index.js", &*functions(quiet)),
        ("quiet/nexus.toml", KV),
    ]);
    let nexus = Nexus::serve(folder.path());
    nexus.get("greedy", "/prepare");
    let address = nexus.address("greedy");
    let answer = std::thread::scope(|scope| {
        let attack = scope.spawn(|| Client::connect(&address).get(path));
        let mut count = 0;
        while !attack.is_finished() || count < 20 {
            let key = format!("k{count}");
            let answer = nexus.get("quiet", &format!("/put/{key}"));
            assert_eq!(
                (answer.status, &answer.json()["value"]),
                (200, &Value::from(key)),
                "{}",
                answer.text()
            );
            count += 1;
        }
        attack.join().unwrap()
    });
    (folder, nexus, answer)
}

#[test]
fn one_write_brings_no_more_than_25_mb_whatever_the_guest_puts_into_it() {
    let greedy = "attack: async ({ KV }) => {
        const all = KV.atomic(), value = 'x'.repeat(20_000_000);
        for (let i = 0; i < 4000; i++) all.put(`k${i}`, value);
        await all.commit();
      },
      values: async ({ KV }) => {
        const all = KV.atomic(), value = new Uint8Array(20_000_000);
        for (let i = 0; i < 90; i++) all.put(`k${i}`, value);
        await all.commit();
      }";
    for (path, part) in
        [("/attack", "at most 100 checks and changes"), ("/values", "at most 25 MB are put at once")]
    {
        let (_folder, nexus, answer) = beside(greedy, "[limits]\nmemory = \"128 MB\"\ncpu = \"1 h\"\n", path);
        let told = answer.json();
        assert!(told["error"].as_str().unwrap().contains(part), "{told}");
        assert!(nexus.resident() < 600 << 20, "{}", nexus.resident());
    }
}

#[test]
fn who_reads_much_at_once_keeps_no_neighbour_waiting_and_holds_no_more_than_its_memory() {
    let greedy = "prepare: async ({ KV }) => { await KV.put('large', new Uint8Array(10_000_000)); },
      attack: async ({ KV }) => {
        const all = Array.from({ length: 3000 }, () => KV.get('large', 'arrayBuffer').then((value) => value.byteLength, (error) => error.code));
        const until = Date.now() + 3000;
        while (Date.now() < until);
        const codes = {};
        for (const found of await Promise.all(all)) codes[found] = (codes[found] ?? 0) + 1;
        return codes;
      }";
    let (_folder, nexus, answer) =
        beside(greedy, "[limits]\nmemory = \"64 MB\"\ncpu = \"1 h\"\nwall = \"1 h\"\n", "/attack");
    // Whatever it comes to: some are refused, or the guest is stopped.
    if answer.status == 200 {
        let codes = answer.json()["value"].clone();
        assert!(codes["EBUSY"].as_u64().unwrap_or(0) + codes["EINVAL"].as_u64().unwrap_or(0) > 0, "{codes}");
    }
    assert!(nexus.resident() < 700 << 20, "{}", nexus.resident());
}

#[test]
fn the_quota_is_the_owners_whoever_writes() {
    let fill = "fill: async ({ KV }, size) => { await KV.put('k', 'x'.repeat(size)); return 'put'; }";
    let folder = Folder::new(&[
        ("owner/index.js", &*functions(fill)),
        ("owner/nexus.toml", &*format!("{KV}[limits]\nkv_storage = \"1 MB\"\n")),
        ("writer/index.js", &*functions(fill)),
        ("writer/nexus.toml", "[bindings]\nKV = { kv = \"owner/main\" }\n[limits]\nkv_storage = \"1 TB\"\n"),
        ("small/index.js", &*functions(fill)),
        ("small/nexus.toml", "[bindings]\nKV = { kv = \"owner/main\" }\n[limits]\nkv_storage = \"1 KB\"\n"),
    ]);
    let nexus = Nexus::serve(folder.path());
    let ask = |app: &str, size: u32| nexus.get(app, &format!("/fill/{size}")).json();
    assert_eq!(ask("writer", 2_000_000)["code"], "EQUOTA");
    assert_eq!(ask("small", 900_000)["value"], "put");
    assert_eq!(ask("owner", 1_000_000)["value"], "put");
}

#[test]
fn a_removed_app_leaves_nothing_to_one_of_its_name() {
    let source = functions(
        "put: async ({ KV }, key) => { await KV.put(key, key); return 'put'; },
                      list: async ({ KV }) => (await KV.list()).keys.map(({ name }) => name)",
    );
    let folder = Folder::new(&[
        ("shop/index.js", &*source),
        ("shop/nexus.toml", KV),
        ("stats/index.js", &*source),
        ("stats/nexus.toml", "[bindings]\nKV = { kv = \"shop/main\" }\n"),
        ("nexus-host.toml", "[deploy]\nallow = [\"kv\"]\n"),
    ]);
    let managed = Managed::start(folder, &[]);
    managed.done(&["deploy", "shop"]);
    managed.done(&["deploy", "stats"]);
    let ask = |app: &str, path: &str| Client::connect(&managed.address(app)).get(path).json();
    assert_eq!(ask("stats", "/list")["code"], "EPERM");
    managed.done(&["grants", "add", "stats", "kv", "shop/main"]);
    assert_eq!(ask("shop", "/put/a")["value"], "put");
    assert_eq!(ask("stats", "/list")["value"], serde_json::json!(["a"]));
    managed.done(&["rm", "shop"]);
    assert_eq!(ask("stats", "/list")["code"], "EPERM");
    managed.done(&["deploy", "shop"]);
    assert_eq!(ask("shop", "/list")["value"], serde_json::json!([]));
    assert_eq!(ask("stats", "/list")["code"], "EPERM");
    assert!(managed.kept("kv").iter().any(|name| name.starts_with("shop.removed-")));
}

#[test]
fn what_is_refused_for_its_number_is_not_done_all_the_same() {
    let tests = "many: async ({ KV }) => {
        const all = Array.from({ length: 50 }, (_, i) => KV.put(`k${i}`, 'v').then(() => i, (error) => error.name));
        const done = (await Promise.all(all)).filter((found) => typeof found === 'number').length;
        return [done, (await KV.list()).keys.length];
      }";
    let (_folder, nexus) = serve_functions(tests, &format!("{KV}[limits]\noperations = 10\n"));
    let told = value(&nexus, "/many");
    assert_eq!(told[0], told[1], "{told}");
    assert!(told[0].as_u64().unwrap() < 50, "{told}");
}
