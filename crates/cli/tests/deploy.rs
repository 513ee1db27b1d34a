//! Apps that come, change and go while a host runs.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::io::{Read, Write};
use std::net::TcpStream;

use harness::{Client, DEADLINE, Folder, Managed, await_answers, under_load, until, until_refused};

/// An app that answers with this text.
fn app(text: &str) -> String {
    format!("export default {{ fetch() {{ return new Response({text:?}); }} }};")
}

/// What an app answers at an address where there may be nobody, or somebody who is just going.
fn ask(address: &str) -> Option<String> {
    let mut socket = TcpStream::connect(address).ok()?;
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    socket.read_to_string(&mut text).ok()?;
    Some(text.split_once("\r\n\r\n")?.1.to_owned())
}

#[test]
fn what_is_deployed_is_served_and_the_next_version_takes_over_without_a_lost_request() {
    let host = Managed::new(&[("shop/index.js", &app("ok")), ("shop/.env", "KEY=secret")]);
    assert!(host.done(&["ps"]).contains("has no apps"));
    let said = host.done(&["deploy", "shop"]);
    assert!(said.starts_with("shop: version 1 serves at http://127.0.0.1:"), "{said}");
    assert!(said.contains("left out: .env"), "{said}");
    assert_eq!(host.get("shop").text(), "ok");
    under_load(&host.nexus, &["shop"], false, |answered| {
        for version in 2..5 {
            await_answers(answered);
            let source = format!("const version = {version};\n{}", app("ok"));
            host.folder.write("shop/index.js", source);
            assert_eq!(host.json(&["deploy", "shop"])["version"], version);
        }
        await_answers(answered);
    });
    let again = host.json(&["deploy", "shop"]);
    assert_eq!((&again["version"], &again["unchanged"]), (&4.into(), &true.into()));
    let status = host.status("shop");
    assert_eq!(
        (&status["state"], &status["source"], &status["version"]),
        (&"running".into(), &"deployed".into(), &4.into())
    );
}

#[test]
fn the_last_five_versions_are_kept_and_any_of_them_is_served_again() {
    let host = Managed::new(&[]);
    for version in 1..=7 {
        host.folder.write("shop/index.js", app(&version.to_string()));
        host.done(&["deploy", "shop"]);
    }
    let numbers = |status: &serde_json::Value| {
        let versions = status["versions"].as_array().unwrap().iter();
        versions.map(|version| version["number"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&host.status("shop")), [3, 4, 5, 6, 7]);
    until("the files of others to go", || (host.kept("versions").len() == 5).then_some(()));
    assert!(host.done(&["rollback", "shop"]).starts_with("shop: version 6 serves"));
    assert_eq!(host.get("shop").text(), "6");
    assert!(host.done(&["rollback", "shop", "--to", "3"]).starts_with("shop: version 3 serves"));
    assert_eq!(host.get("shop").text(), "3");
    let refused = host.refused(&["rollback", "shop", "--to", "2"], 2);
    assert!(refused.contains("has no version 2; it has 3, 4, 5, 6, 7"), "{refused}");
    assert_eq!(host.get("shop").text(), "3");
    assert!(host.refused(&["rollback", "blog"], 2).contains("no app `blog`"));
}

#[test]
fn a_host_that_starts_again_serves_what_was_deployed_at_the_same_ports() {
    let folder = Folder::new(&[("shop/index.js", &app("shop")), ("blog/index.js", &app("blog"))]);
    let mut host = Managed::start(folder, &[]);
    host.done(&["deploy", "shop"]);
    host.done(&["deploy", "blog"]);
    host.done(&["stop", "blog"]);
    let (shop, blog) = (host.address("shop"), host.address("blog"));
    // The host dies; its supervisor has another one.
    host.nexus.kill_host("KILL");
    until("the app to be served again", || (ask(&shop)? == "shop").then_some(()));
    until("the other one to be known", || host.run(&["ps", "blog"]).stdout.contains("stopped").then_some(()));
    assert_eq!(Client::connect(&blog).get("/").status, 503);
    // All of it ends, and starts anew.
    assert_eq!(host.nexus.stop(), Some(0));
    host.nexus = Managed::serve(host.folder.path(), &[]);
    assert_eq!((host.address("shop"), host.address("blog")), (shop, blog));
    assert_eq!((host.get("shop").text(), host.get("blog").status), ("shop".into(), 503));
    host.done(&["start", "blog"]);
    until("it to be loaded", || (host.get("blog").status == 200).then_some(()));
}

#[test]
fn a_fresh_host_takes_deployed_apps_over() {
    let host = Managed::new(&[("shop/index.js", &app("shop"))]);
    host.done(&["deploy", "shop"]);
    let shop = host.address("shop");
    host.nexus.signal("USR2");
    host.nexus.message("a fresh host has taken over");
    until("the old one to have ended", || (host.nexus.hosts().len() == 1).then_some(()));
    until("the app to be served by it", || (ask(&shop)? == "shop").then_some(()));
    host.folder.write("shop/index.js", app("next"));
    let answer = host.json(&["deploy", "shop"]);
    assert_eq!((&answer["version"], host.get("shop").text()), (&2.into(), "next".into()));
}

#[test]
fn an_upload_that_breaks_off_or_is_wrong_leaves_nothing_behind() {
    let host = Managed::new(&[("shop/index.js", &app("shop"))]);
    let mut client = Client::connect(&host.socket());
    client.send("PUT /v1/apps/shop HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    client.send([0u8; 700]);
    until("the upload to begin", || (!host.kept("incoming").is_empty()).then_some(()));
    drop(client);
    until("it to be gone", || host.kept("incoming").is_empty().then_some(()));
    for (body, part) in [(&b"this is no archive"[..], "broke off"), (&[7u8; 4096][..], "no tar archive")] {
        let answer = host.ask("PUT", "/v1/apps/shop", body);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.json()["error"].as_str().unwrap().contains(part), "{answer:?}");
    }
    assert!(
        host.kept("incoming").is_empty() && host.kept("versions").is_empty() && host.kept("apps").is_empty()
    );
    assert_eq!(host.json(&["ps"])["apps"], serde_json::json!([]));
    assert_eq!(host.ask("PUT", "/v1/apps/Shop!", b"").status, 400);
}

#[test]
fn an_app_that_cannot_be_loaded_is_refused_and_the_one_before_goes_on() {
    let host = Managed::new(&[("shop/index.js", "throw new Error('not today');")]);
    let refused = host.refused(&["deploy", "shop"], 1);
    assert!(refused.contains("not today"), "{refused}");
    assert!(host.refused(&["ps", "shop"], 2).contains("there is no app `shop`"));
    until("its files to be gone", || host.kept("versions").is_empty().then_some(()));
    host.folder.write("shop/index.js", app("fine"));
    let address = {
        host.done(&["deploy", "shop"]);
        host.address("shop")
    };
    host.folder.write("shop/index.js", "throw new Error('not tomorrow');");
    assert!(host.refused(&["deploy", "shop"], 1).contains("not tomorrow"));
    assert_eq!(Client::connect(&address).get("/").text(), "fine");
    assert_eq!(host.status("shop")["version"], 1);
    host.folder.write("shop/nexus.toml", "[http]\nprot = 1\n");
    let refused = host.refused(&["deploy", "shop", "--name", "shop"], 2);
    assert!(
        refused.contains("nexus.toml:2:1: unknown key `prot`") && !refused.contains("versions"),
        "{refused}"
    );
}

#[test]
fn a_first_version_that_cannot_be_loaded_is_told_to_its_deployer_and_tried_once() {
    let files = [("shop/index.js", "throw new Error('not today');"), ("site/index.js", &app("site"))];
    // With --watch apps of folders that are broken are tried again; this one is nobody's to mend.
    for options in [&[][..], &["--watch", "site"]] {
        let host = Managed::start(Folder::new(&files), options);
        for _ in 0..20 {
            assert!(host.refused(&["deploy", "shop"], 1).contains("not today"));
        }
        host.folder.write("shop/index.js", app("fine"));
        host.done(&["deploy", "shop"]);
        host.nexus.message("version 1 serves");
        assert!(host.nexus.messages("not today").is_empty(), "{:?}", host.nexus.messages("not today"));
    }
}

#[test]
fn deploys_of_one_app_at_once_come_one_after_the_other() {
    let host = Managed::new(&[]);
    for number in 0..4 {
        host.folder.write(&format!("{number}/index.js"), app(&number.to_string()));
    }
    let host = &host;
    let mut versions: Vec<u64> = std::thread::scope(|scope| {
        let deploy = |number: usize| {
            scope.spawn(move || {
                let path = number.to_string();
                let answer = host.json(&["deploy", &path, "--name", "shop"]);
                answer["version"].as_u64().unwrap()
            })
        };
        let all: Vec<_> = (0..4).map(deploy).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4]);
    let status = host.status("shop");
    assert_eq!(status["version"], 4);
    // What serves is what the record says: nothing changes when it is deployed again.
    let served: String = host.get("shop").text();
    assert_eq!(host.json(&["deploy", &served, "--name", "shop"])["unchanged"], true);
}

#[test]
fn permissions_are_granted_as_the_host_allows_and_the_deployer_is_told() {
    let manifest = "[permissions]\nread = [\"/etc\"]\nwrite = [\"/tmp\"]\n";
    let host = Managed::new(&[("shop/nexus.toml", manifest), ("shop/index.js", &app("js"))]);
    // To JavaScript the permissions mean nothing, but that they are not granted is told all the same.
    let said = host.done(&["deploy", "shop"]);
    assert!(
        said.contains("not granted: read = [\"/etc\"]") && said.contains("not granted: write = [\"/tmp\"]"),
        "{said}"
    );
    let folder = Folder::new(&[
        ("shop/nexus.toml", manifest),
        ("shop/index.js", &app("js")),
        ("nexus-host.toml", "[deploy]\nallow = [\"read\"]\n"),
    ]);
    let host = Managed::start(folder, &[]);
    let granted = host.json(&["deploy", "shop"]);
    assert_eq!(granted["not_granted"], serde_json::json!(["write = [\"/tmp\"]"]));
}

#[test]
fn deployed_apps_get_no_more_workers_than_the_host_has_for_each() {
    let folder = Folder::new(&[
        ("shop/nexus.toml", "[scale]\nidle = \"never\"\nmin_workers = 2\n"),
        ("shop/index.js", &app("shop")),
        ("nexus-host.toml", "[ceilings.scale]\nidle = \"200 ms\"\nworkers = 1\n"),
    ]);
    let host = Managed::start(folder, &[]);
    let refused = host.refused(&["deploy", "shop"], 2);
    assert!(
        refused.contains("nexus.toml:2:8: `idle` is \"never\", above the host's ceiling of 200 ms")
            && refused.contains("nexus.toml:3:15: `min_workers` is 2, above the host's ceiling of 1")
            && refused.contains("raise `workers` under [ceilings.scale] in nexus-host.toml:3"),
        "{refused}"
    );
    // What it leaves out gives way.
    host.folder.write("shop/nexus.toml", "");
    host.done(&["deploy", "shop"]);
    assert_eq!(host.get("shop").text(), "shop");
    until("it to fall asleep", || (host.status("shop")["state"] == "asleep").then_some(()));
}

#[test]
fn what_was_deployed_is_not_for_its_guest_to_change() {
    let folder = Folder::new(&[
        ("shop/nexus.toml", "[permissions]\nread = [\"data\"]\nwrite = [\"/etc\", \"./data\"]\n"),
        ("shop/data/a.txt", ""),
        ("shop/index.js", &app("js")),
        ("nexus-host.toml", "[deploy]\nallow = [\"read\", \"write\"]\n"),
    ]);
    let host = Managed::start(folder, &[]);
    let refused = host.refused(&["deploy", "shop"], 2);
    assert!(
        refused.contains("nexus.toml:3:18: `./data` is in the app's own folder, which does not change")
            && refused.contains("absolute path"),
        "{refused}"
    );
    let data = host.folder.path().join("data");
    for kept in [data.join("versions"), data, "/".into()] {
        let kept = kept.display();
        host.folder.write("shop/nexus.toml", format!("[permissions]\nwrite = [\"{kept}\"]\n"));
        let refused = host.refused(&["deploy", "shop"], 2);
        assert!(
            refused.contains(&format!("`{kept}` is where the host keeps what was deployed")),
            "{refused}"
        );
    }
    host.folder.write("mine/a.txt", "");
    let mine = host.folder.path().join("mine").display().to_string();
    host.folder.write("shop/nexus.toml", format!("[permissions]\nread = [\"data\"]\nwrite = [\"{mine}\"]\n"));
    assert_eq!(host.json(&["deploy", "shop"])["not_granted"], serde_json::json!([]));
}

#[test]
fn names_are_the_deployments_and_folder_apps_are_nobodys() {
    let folder = Folder::new(&[
        ("shop/nexus.toml", "[project]\nname = \"store\"\n"),
        ("shop/index.js", &app("shop")),
        ("site/index.js", &app("site")),
    ]);
    let host = Managed::start(folder, &["site"]);
    let refused = host.refused(&["deploy", "shop", "--name", "shop"], 2);
    assert!(
        refused.contains("nexus.toml:2:8: the name is `store`, and it is deployed as `shop`"),
        "{refused}"
    );
    assert!(host.done(&["deploy", "shop"]).starts_with("store: version 1"));
    for args in [&["deploy", "site"][..], &["rm", "site"], &["rollback", "site"]] {
        let refused = host.refused(args, 2);
        assert!(refused.contains("`site` is served from the folder"), "{refused}");
    }
    assert_eq!(host.status("site")["source"], "folder");
    host.done(&["stop", "site"]);
    let mut client = Client::connect(&host.address("site"));
    assert_eq!(client.get("/").status, 503);
    assert!(client.is_closed(), "its next request would be told the same once the app is started");
    host.done(&["start", "site"]);
    until("it to be loaded", || (host.get("site").status == 200).then_some(()));
}

#[test]
fn what_is_removed_frees_its_port_its_name_and_its_files() {
    let host = Managed::new(&[("shop/index.js", &app("one"))]);
    host.done(&["deploy", "shop"]);
    let address = host.address("shop");
    let mut idle = Client::connect(&address);
    assert_eq!(idle.get("/").text(), "one");
    assert_eq!(host.done(&["rm", "shop"]), "shop: removed\n");
    assert!(idle.is_closed());
    until_refused(&address);
    until("its files to be gone", || host.kept("versions").is_empty().then_some(()));
    assert!(host.kept("apps").is_empty());
    assert!(host.refused(&["rm", "shop"], 2).contains("there is no app `shop`"));
    let port = address.rsplit(':').next().unwrap();
    host.folder.write("shop/nexus.toml", format!("[http]\nport = {port}\n"));
    assert_eq!(host.json(&["deploy", "shop"])["version"], 1);
    assert_eq!(Client::connect(&address).get("/").text(), "one");
}

#[test]
fn apps_join_a_shared_port_and_conflicts_name_both() {
    let manifest = |path: &str| format!("[http]\npaths = [\"{path}\"]\n");
    let host = Managed::new(&[
        ("a/index.js", &app("a")),
        ("a/nexus.toml", &manifest("/a")),
        ("b/index.js", &app("b")),
        ("b/nexus.toml", &manifest("/b")),
        ("c/index.js", &app("c")),
        ("c/nexus.toml", &manifest("/b")),
    ]);
    host.done(&["deploy", "a"]);
    host.done(&["deploy", "b"]);
    let address = host.address("a");
    assert_eq!(host.address("b"), address);
    let mut client = Client::connect(&address);
    let mut text = |path: &str| client.get(path).text();
    assert_eq!((text("/a"), text("/b/x")), ("a".into(), "b".into()));
    let refused = host.refused(&["deploy", "c"], 2);
    assert!(refused.contains("`c` claims the path `/b` of any host, and so does `b`"), "{refused}");
    // A version may be served elsewhere on the same port.
    host.folder.write("b/nexus.toml", manifest("/elsewhere"));
    host.done(&["deploy", "b"]);
    assert_eq!(text("/elsewhere"), "b");
    host.done(&["deploy", "c"]);
    assert_eq!(text("/b"), "c");
    host.done(&["stop", "c"]);
    assert_eq!(client.get("/b").status, 503);
    host.done(&["rm", "c"]);
    assert_eq!(client.get("/b").status, 404);
    host.folder.write("a/nexus.toml", "");
    let refused = host.refused(&["deploy", "a"], 2);
    assert!(refused.contains("remove it first (`nexus rm a`)"), "{refused}");
    host.done(&["rm", "a"]);
    host.done(&["rm", "b"]);
    until_refused(&address);
}

#[test]
fn deployed_apps_join_the_shared_port_of_apps_from_folders() {
    let folder = Folder::new(&[
        ("site/index.js", &app("site")),
        ("site/nexus.toml", "[http]\npaths = [\"/site\"]\n"),
        ("shop/index.js", &app("shop")),
        ("shop/nexus.toml", "[http]\npaths = [\"/shop\", \"/\"]\n"),
    ]);
    let host = Managed::start(folder, &["site"]);
    host.done(&["deploy", "shop"]);
    let address = host.address("site");
    assert_eq!(host.address("shop"), address);
    let both = || {
        let mut client = Client::connect(&address);
        (client.get("/site").text(), client.get("/shop").text())
    };
    assert_eq!(both(), ("site".into(), "shop".into()));
    host.nexus.kill_host("KILL");
    // The socket is the supervisor's: nobody is refused, and the deployed app is back when the host is.
    until("both to be served again", || (ask(&address)? == "shop").then_some(()));
    assert_eq!(both(), ("site".into(), "shop".into()));
    host.done(&["rm", "shop"]);
    let mut client = Client::connect(&address);
    assert_eq!((client.get("/site").status, client.get("/shop").status), (200, 404));
}

#[test]
fn there_are_four_uploads_at_a_time_and_a_fifth_is_asked_to_come_again() {
    let host = Managed::new(&[("shop/index.js", &app("shop"))]);
    let begin = |_| {
        let mut client = Client::connect(&host.socket());
        client.send("PUT /v1/apps/shop HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
        client
    };
    let clients: Vec<Client> = (0..4).map(begin).collect();
    until("all to be received", || (host.kept("incoming").len() == 4).then_some(()));
    let refused = host.refused(&["deploy", "shop"], 3);
    assert!(refused.contains("try again"), "{refused}");
    drop(clients);
    until("them to be gone", || host.kept("incoming").is_empty().then_some(()));
    until("there to be room", || (host.run(&["deploy", "shop"]).code == Some(0)).then_some(()));
    assert_eq!(host.get("shop").text(), "shop");
}

#[test]
fn at_unix_sockets_apps_come_go_and_are_taken_over_too() {
    let folder = Folder::new(&[("shop/index.js", &app("shop"))]);
    let host = Managed::start(folder, &["--listen", "unix:sockets"]);
    let socket = host.folder.path().join("sockets/shop.sock");
    let address = format!("unix:{}", socket.display());
    host.done(&["deploy", "shop"]);
    assert_eq!(Client::connect(&address).get("/").text(), "shop");
    host.done(&["rm", "shop"]);
    assert!(!socket.exists());
    host.done(&["deploy", "shop"]);
    host.nexus.signal("USR2");
    host.nexus.message("a fresh host has taken over");
    until("the old one to have ended", || (host.nexus.hosts().len() == 1).then_some(()));
    until("the app to be known", || (host.run(&["ps", "shop"]).code == Some(0)).then_some(()));
    assert_eq!(Client::connect(&address).get("/").text(), "shop");
}

#[test]
fn a_deployed_guest_finds_the_folders_that_the_host_allows_and_no_others() {
    let guest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/wasm/http.wasm");
    let guest = std::fs::read(guest).unwrap();
    for (policy, finds) in [("", "no preopens"), ("[deploy]\nallow = [\"read\"]\n", "granted")] {
        let manifest = "[permissions]\nread = [\"data\"]\n[limits]\ncpu = \"5 s\"\n";
        let folder = Folder::new(&[
            ("shop/nexus.toml", manifest),
            ("shop/data/secret.txt", "granted"),
            ("nexus-host.toml", policy),
        ]);
        folder.write("shop/app.wasm", &guest);
        let host = Managed::start(folder, &[]);
        host.done(&["deploy", "shop"]);
        let found = Client::connect(&host.address("shop")).get("/open").text();
        assert!(found.contains(finds), "{policy}: {found}");
    }
}

#[test]
fn an_app_that_takes_long_to_load_holds_no_other_one_up() {
    let slow = "await new Promise((resolve) => setTimeout(resolve, 3600e3)); export default { fetch() {} };";
    let manifest = |path: &str| format!("[http]\npaths = [\"{path}\"]\n[limits]\nwall = \"10 s\"\n");
    let mut files: Vec<(String, String)> = Vec::new();
    for n in 0..5 {
        files.push((format!("slow{n}/index.js"), slow.to_owned()));
        files.push((format!("slow{n}/nexus.toml"), manifest(&format!("/slow{n}"))));
    }
    files.push(("shop/index.js".into(), app("shop")));
    files.push(("shop/nexus.toml".into(), manifest("/shop")));
    files.push(("thief/index.js".into(), app("thief")));
    files.push(("thief/nexus.toml".into(), manifest("/slow0")));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let host = Managed::new(&files);
    let names: Vec<String> = (0..5).map(|n| format!("slow{n}")).collect();
    std::thread::scope(|scope| {
        let mut slow = Vec::new();
        // One after the other: there are four uploads at a time.
        for name in &names {
            let host = &host;
            slow.push(scope.spawn(move || host.refused(&["deploy", name], 1)));
            until("it to be loaded", || {
                let apps = host.json(&["ps"])["apps"].clone();
                (apps.as_array().map(Vec::len) == Some(slow.len())).then_some(())
            });
        }
        host.done(&["deploy", "shop"]);
        let mut client = Client::connect(&host.address("shop"));
        assert_eq!(client.get("/shop").text(), "shop");
        assert!(slow.iter().all(|slow| !slow.is_finished()), "the others are still being loaded");
        // What one that is loaded will have is nobody else's, and not its own yet.
        assert_eq!(client.get("/slow0").status, 404);
        let refused = host.refused(&["deploy", "thief"], 2);
        assert!(refused.contains("`slow0`"), "{refused}");
        for slow in slow {
            let refused = slow.join().unwrap();
            assert!(
                refused.contains("top-level await has not settled in time (limit: wall 10 s)"),
                "{refused}"
            );
        }
        host.done(&["deploy", "thief"]);
        assert_eq!(client.get("/slow0").text(), "thief");
    });
}
