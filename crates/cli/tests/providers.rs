//! Providers, stopped, started and changed while apps use them, and hosts that take over from each other.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use harness::{Client, Folder, Managed, Nexus, Start, until};
use serde_json::Value;

/// Puts, gets, and says what came of it.
const APP: &str = "export default {
  async fetch(request, { KV }) {
    const [, act, key] = new URL(request.url).pathname.split('/');
    try {
      if (act === 'put') await KV.put(key, key);
      if (act === 'list') return Response.json((await KV.list({ prefix: key })).keys.map(({ name }) => name));
      return Response.json({ value: await KV.get(key) });
    } catch (error) {
      return Response.json({ code: error.code, retryable: error.retryable, error: error.message });
    }
  },
};
";
const KV: &str = "[bindings]\nKV = { kv = \"main\" }\n";

fn managed(host: &str) -> Managed {
    let files = [("shop/index.js", APP), ("shop/nexus.toml", KV)];
    let folder = Folder::new(&files);
    folder.write("nexus-host.toml", format!("[deploy]\nallow = [\"kv\"]\n{host}"));
    let managed = Managed::start(folder, &[]);
    managed.done(&["deploy", "shop"]);
    managed
}

/// Puts keys, one after the other, and gets each, from several threads, while `act` runs. Gives how many, of which none failed.
fn under_load(address: &str, act: impl FnOnce(&dyn Fn() -> usize)) -> Vec<String> {
    let (done, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                let (done, count) = (&done, &count);
                scope.spawn(move || {
                    let mut keys = Vec::new();
                    while !done.load(Ordering::Relaxed) {
                        // A host that ends closes connections that rest.
                        let mut client = Client::connect(address);
                        let key = format!("k{thread}-{}", keys.len());
                        let put = client.get(&format!("/put/{key}"));
                        assert_eq!(
                            (put.status, &put.json()["value"]),
                            (200, &Value::from(key.clone())),
                            "{}",
                            put.text()
                        );
                        let mut client = Client::connect(address);
                        assert_eq!(client.get(&format!("/get/{key}")).json()["value"], key);
                        keys.push(key);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    keys
                })
            })
            .collect();
        act(&|| count.load(Ordering::Relaxed));
        done.store(true, Ordering::Relaxed);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn a_stopped_provider_fails_at_once_and_apps_go_on() {
    let managed = managed("");
    let mut client = Client::connect(&managed.address("shop"));
    assert_eq!(client.get("/put/a").json()["value"], "a");
    assert_eq!(
        managed.done(&["provider"]),
        "NAME   CAPABILITY   TYPE     STATE     VERSION   CALLS   TIMEOUT\n\
         kv     kv           redb     running         1       0       5 s\n\
         sql    sql          sqlite   running         1       0       5 s\n"
    );
    assert_eq!(managed.done(&["provider", "stop", "kv"]), "kv: stopped, redb, version 1\n");
    for path in ["/get/a", "/put/b", "/list/"] {
        let answer = client.get(path);
        assert_eq!(answer.status, 200);
        let told = answer.json();
        assert_eq!(told["error"], "kv: the provider `kv` is stopped; try again later", "{path}");
        assert_eq!((&told["code"], &told["retryable"]), (&"EUNAVAILABLE".into(), &Value::Bool(true)));
    }
    assert_eq!(managed.done(&["provider", "start", "kv"]), "kv: running, redb, version 1\n");
    assert_eq!(managed.done(&["provider", "start", "kv"]), "kv: running, redb, version 1\n");
    assert_eq!(client.get("/get/a").json()["value"], "a");
    for args in [["provider", "stop", "none"], ["provider", "start", "none"]] {
        assert!(
            managed.refused(&args, 2).contains("there is no provider `none`; `nexus provider` lists them")
        );
    }
    assert!(
        managed.refused(&["provider", "update", "kv", "--timeout", "2 h"], 2).contains("from 1 ms to 60 s")
    );
    assert_eq!(managed.ask("PUT", "/v1/providers/kv?type=magic", b"").status, 400);
}

#[test]
fn an_update_loses_no_call() {
    let managed = managed("");
    let address = managed.address("shop");
    let keys = under_load(&address, |count| {
        for round in 0..5 {
            let before = count();
            managed.done(&["provider", "update", "kv", "--timeout", &format!("{}s", 3 + round)]);
            until("calls after the update", || (count() > before + 3).then_some(()));
        }
    });
    assert_eq!(managed.json(&["provider"])["providers"][0]["version"], 6);
    assert_eq!(managed.json(&["provider"])["providers"][0]["timeout_ms"], 7000);
    let mut client = Client::connect(&address);
    for key in &keys {
        assert_eq!(client.get(&format!("/get/{key}")).json()["value"], key.as_str());
    }
}

#[test]
fn a_provider_is_of_its_type_and_goes_with_it() {
    let managed = managed("[providers.fast]\ntype = \"memory\"\ntimeout = \"1 s\"\n");
    assert_eq!(
        managed.done(&["provider"]),
        "NAME   CAPABILITY   TYPE     STATE     VERSION   CALLS   TIMEOUT\n\
         fast   kv           memory   running         1       0       1 s\n\
         kv     kv           redb     running         1       0       5 s\n\
         sql    sql          sqlite   running         1       0       5 s\n"
    );
    managed.folder.write("quick/index.js", APP);
    managed.folder.write("quick/nexus.toml", "[bindings]\nKV = { kv = \"main\", provider = \"fast\" }\n");
    managed.done(&["deploy", "quick"]);
    let mut client = Client::connect(&managed.address("quick"));
    assert_eq!(client.get("/put/a").json()["value"], "a");
    assert_eq!(
        managed.done(&["provider", "update", "fast", "--type", "redb"]),
        "fast: running, redb, version 2\n"
    );
    assert_eq!(client.get("/get/a").json()["value"], Value::Null);
    assert_eq!(client.get("/put/b").json()["value"], "b");
    assert_eq!(managed.kept("fast").iter().filter(|name| name.ends_with(".redb")).count(), 1);
    // What one provider keeps, another one does not.
    assert_eq!(Client::connect(&managed.address("shop")).get("/list/").json(), serde_json::json!([]));
}

#[test]
fn calls_are_counted_by_provider_app_operation_and_result() {
    let folder = Folder::new(&[("shop/index.js", APP), ("shop/nexus.toml", KV), ("read/index.js", APP)]);
    folder.write("read/nexus.toml", "[bindings]\nKV = { kv = \"shop/main\", access = \"read\" }\n");
    let nexus = Nexus::serve(folder.path());
    for _ in 0..3 {
        nexus.get("shop", "/put/a");
        nexus.get("read", "/put/a");
    }
    let sample = |app: &str, operation: &str, result: &str| {
        format!(
            "nexus_capability_calls_total{{app=\"{app}\",provider=\"kv\",capability=\"kv\",operation=\"{operation}\",result=\"{result}\"}}"
        )
    };
    nexus.await_metric(&sample("shop", "write", "ok"), 3.0);
    nexus.await_metric(&sample("shop", "get", "ok"), 3.0);
    nexus.await_metric(&sample("read", "write", "denied"), 3.0);
    let seconds = sample("shop", "write", "ok").replace("calls_total", "call_seconds_total");
    assert!(nexus.metric(&seconds) > 0.0);
}

#[test]
fn a_host_that_takes_over_loses_no_call() {
    let folder = Folder::new(&[("shop/index.js", APP), ("shop/nexus.toml", KV)]);
    let nexus = Nexus::serve(folder.path());
    let address = nexus.address("shop");
    let mut rounds = 0;
    let keys = under_load(&address, |count| {
        for _ in 0..3 {
            let (before, host) = (count(), nexus.host());
            nexus.signal("USR2");
            until("another host", || (nexus.host() != host).then_some(()));
            until("calls after that", || (count() > before + 20).then_some(()));
            rounds += 1;
        }
    });
    assert_eq!(rounds, 3);
    let mut client = Client::connect(&address);
    for key in &keys {
        assert_eq!(client.get(&format!("/get/{key}")).json()["value"], key.as_str());
    }
}

#[test]
fn a_host_that_is_killed_again_and_again_keeps_what_it_answered() {
    let folder = Folder::new(&[("shop/index.js", APP), ("shop/nexus.toml", KV)]);
    let mut kept: Vec<String> = Vec::new();
    for round in 0..5 {
        // Without a supervisor, which would set an app aside that its host dies of again and again.
        let mut nexus = Start::in_folder(folder.path()).args(&["--no-supervisor"]).start();
        let address = nexus.address("shop");
        let mut client = Client::connect(&address);
        for key in &kept {
            assert_eq!(client.get(&format!("/get/{key}")).json()["value"], key.as_str(), "in round {round}");
        }
        let count = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..3)
                .map(|writer| {
                    let (address, count) = (&address, &count);
                    scope.spawn(move || {
                        let mut client = Client::connect(address);
                        let mut keys = Vec::new();
                        loop {
                            let key = format!("r{round}-{writer}-{}", keys.len());
                            client.try_send(format!("GET /put/{key} HTTP/1.1\r\nhost: a\r\n\r\n"));
                            let rest =
                                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.response()));
                            match rest {
                                Ok(answer) if answer.json()["value"] == key.as_str() => keys.push(key),
                                _ => return keys,
                            }
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            until("enough writes", || (count.load(Ordering::Relaxed) >= 20 + 13 * round).then_some(()));
            nexus.signal("KILL");
            kept.extend(writers.into_iter().flat_map(|writer| writer.join().unwrap()));
        });
        nexus.wait();
    }
    assert!(kept.len() >= 200, "{}", kept.len());
}

#[test]
fn a_guest_that_does_not_return_keeps_nobody_waiting_for_its_provider() {
    let spin = "export default { async fetch(request, { KV }) {
        KV.put('a', 'b');
        await null;
        console.log('spins');
        for (;;);
    } };";
    let folder = Folder::new(&[
        ("shop/index.js", APP),
        ("shop/nexus.toml", KV),
        ("spin/index.js", spin),
        ("spin/nexus.toml", &*format!("{KV}[limits]\ncpu = \"1 h\"\nwall = \"1 h\"\n")),
    ]);
    folder.write("nexus-host.toml", "[deploy]\nallow = [\"kv\"]\n");
    let managed = Managed::start(folder, &[]);
    managed.done(&["deploy", "shop"]);
    managed.done(&["deploy", "spin"]);
    let mut spinning = Client::connect(&managed.address("spin"));
    spinning.send_request("GET", "/", &[], b"");
    managed.nexus.message("spins");
    under_load(&managed.address("shop"), |count| {
        for _ in 0..3 {
            let before = count();
            managed.done(&["provider", "update", "kv"]);
            until("calls after the update", || (count() > before + 3).then_some(()));
        }
    });
    // It spins to the end, and longer.
    assert_eq!(managed.status("spin")["usage"]["requests"], 0);
}
