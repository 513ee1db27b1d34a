//! `nexus serve --watch`: changed files count at once, and no request is lost over it.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::net::{TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use harness::{Client, Folder, Nexus, Start, await_answers, under_load, until};

fn app(text: &str) -> String {
    format!("export default {{ fetch: () => new Response('{text}') }};")
}

/// Serves a folder with `--watch`, once its apps are loaded or have failed.
fn watch(folder: &Folder) -> Nexus {
    let nexus = Start::in_folder(folder.path()).args(&["--watch"]).start();
    nexus.message("serving metrics and health");
    nexus
}

/// Writes a file as a whole: on a busy machine a part of one could be loaded, and be said to be wrong.
fn replace(folder: &Folder, file: &str, content: &str) {
    let file = folder.path().join(file);
    let part = file.with_file_name(".part");
    std::fs::write(&part, content).unwrap();
    std::fs::rename(part, file).unwrap();
}

#[track_caller]
fn await_answer(nexus: &Nexus, app: &str, text: &str) {
    until(text, || (nexus.get(app, "/").text() == text).then_some(()));
}

#[test]
fn a_hundred_reloads_under_load_lose_no_request() {
    let version = |n: u32| {
        format!(
            "import {{ number }} from './number.js';\n// {n}\nexport default {{ fetch: (request) => new Response(new URL(request.url).pathname === '/version' ? number : 'ok') }};"
        )
    };
    let folder = Folder::new(&[
        ("app/index.js", &version(0)),
        ("app/number.js", "export const number = '0';"),
        ("neighbour/index.js", &app("ok")),
    ]);
    let mut nexus = watch(&folder);
    let mut kept = nexus.client("app");
    under_load(&nexus, &["app", "neighbour"], false, |answered| {
        for n in 1..=100 {
            // A burst: both files change.
            replace(&folder, "app/index.js", &version(n));
            replace(&folder, "app/number.js", &format!("export const number = '{n}';"));
            let text = n.to_string();
            until(&format!("version {n}"), || (kept.get("/version").text() == text).then_some(()));
        }
        await_answers(answered);
    });
    assert_eq!(kept.get("/version").text(), "100", "the connection is the one from the beginning");
    assert_eq!(nexus.metric("nexus_requests_total{app=\"app\",status=\"5xx\"}"), 0.0);
    for part in ["cut off", "not served", "panicked"] {
        assert!(nexus.messages(part).is_empty(), "{:?}", nexus.messages(part));
    }
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_version_that_does_not_load_leaves_the_one_before_serving_and_says_why() {
    let folder = Folder::new(&[("app/index.js", &app("first"))]);
    let mut nexus = watch(&folder);
    folder.write("app/index.js", "export default { fetch( };");
    let line = nexus.message("the changed app is not served, the one before goes on");
    let message = line["message"].as_str().unwrap();
    assert!(message.contains("SyntaxError") && message.contains("index.js:1"), "{message}");
    assert_eq!(nexus.get("app", "/").text(), "first");
    folder.write("app/index.js", "throw new Error('at the top');");
    nexus.message("at the top");
    assert_eq!(nexus.get("app", "/").text(), "first");
    folder.write("app/nexus.toml", "[limits]\nmemroy = \"1 GB\"\n");
    nexus.message("memroy");
    assert_eq!(nexus.get("app", "/").text(), "first");
    std::fs::remove_file(folder.path().join("app/nexus.toml")).unwrap();
    folder.write("app/index.js", app("second"));
    await_answer(&nexus, "app", "second");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn an_app_that_is_broken_from_the_start_is_served_once_it_is_mended() {
    let folder = Folder::new(&[("app/index.js", "nonsense(")]);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    folder.write("app/nexus.toml", format!("[http]\nport = {port}\n"));
    let address = format!("127.0.0.1:{port}");
    let mut nexus = watch(&folder);
    nexus.message("not served");
    assert_eq!(Client::connect(&address).get("/").status, 503);
    folder.write("app/index.js", app("mended"));
    nexus.message("the changed app serves");
    assert_eq!(Client::connect(&address).get("/").text(), "mended");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn an_app_whose_folder_is_another_one_is_still_watched() {
    let folder = Folder::new(&[("app/index.js", &app("first")), ("neighbour/index.js", &app("neighbour"))]);
    let mut nexus = watch(&folder);
    let path = |name: &str| folder.path().join(name);
    for (new, later) in [("second", "third"), ("fourth", "fifth")] {
        folder.write("new/index.js", app(new));
        std::fs::rename(path("app"), path(&format!("before-{new}"))).unwrap();
        std::fs::rename(path("new"), path("app")).unwrap();
        await_answer(&nexus, "app", new);
        replace(&folder, "app/index.js", &app(later));
        await_answer(&nexus, "app", later);
    }
    // Later than a burst, so that nothing is there when the folder is looked at.
    std::fs::rename(path("app"), path("away")).unwrap();
    nexus.message("the changed app is not served, the one before goes on");
    let loaded = nexus.metric("nexus_cold_starts_total{app=\"app\"}");
    folder.write("away/index.js", app("not the app's"));
    folder.write("before-second/index.js", app("not the app's"));
    sleep(Duration::from_millis(300));
    assert_eq!(nexus.metric("nexus_cold_starts_total{app=\"app\"}"), loaded);
    std::fs::rename(path("before-fourth"), path("app")).unwrap();
    await_answer(&nexus, "app", "third");
    replace(&folder, "app/index.js", &app("sixth"));
    await_answer(&nexus, "app", "sixth");
    assert_eq!(nexus.get("neighbour", "/").text(), "neighbour");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_link_that_is_switched_to_another_folder_is_a_change_and_that_folder_is_watched() {
    let folder = Folder::new(&[("releases/1/index.js", &app("1")), ("releases/2/index.js", &app("2"))]);
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("apps")).unwrap();
    let switch = |to: &str| {
        std::os::unix::fs::symlink(path(to), path("apps/.next")).unwrap();
        std::fs::rename(path("apps/.next"), path("apps/app")).unwrap();
    };
    switch("releases/1");
    let mut nexus = Start::in_folder(&path("apps")).args(&["--watch"]).start();
    await_answer(&nexus, "app", "1");
    switch("releases/2");
    await_answer(&nexus, "app", "2");
    replace(&folder, "releases/2/index.js", &app("2, mended"));
    await_answer(&nexus, "app", "2, mended");
    let loaded = nexus.metric("nexus_cold_starts_total{app=\"app\"}");
    replace(&folder, "releases/1/index.js", &app("1, later"));
    sleep(Duration::from_millis(300));
    assert_eq!(nexus.metric("nexus_cold_starts_total{app=\"app\"}"), loaded);
    switch("releases/1");
    await_answer(&nexus, "app", "1, later");
    // The supervisor has found the app where it is no more.
    switch("releases/2");
    await_answer(&nexus, "app", "2, mended");
    std::fs::remove_dir_all(path("releases/1")).unwrap();
    nexus.signal("USR2");
    nexus.message("a fresh host has taken over");
    assert_eq!(nexus.get("app", "/").text(), "2, mended");
    replace(&folder, "releases/2/index.js", &app("2, later"));
    await_answer(&nexus, "app", "2, later");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn apps_whose_links_are_swapped_are_both_still_watched() {
    let folder = Folder::new(&[("releases/1/index.js", &app("1")), ("releases/2/index.js", &app("2"))]);
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("apps")).unwrap();
    let switch = |name: &str, to: &str| {
        std::os::unix::fs::symlink(path(to), path("apps/.next")).unwrap();
        std::fs::rename(path("apps/.next"), path("apps").join(name)).unwrap();
    };
    switch("a", "releases/1");
    switch("b", "releases/2");
    let mut nexus = Start::in_folder(&path("apps")).args(&["--watch"]).start();
    await_answer(&nexus, "a", "1");
    switch("a", "releases/2");
    switch("b", "releases/1");
    await_answer(&nexus, "a", "2");
    await_answer(&nexus, "b", "1");
    replace(&folder, "releases/1/index.js", &app("1, later"));
    replace(&folder, "releases/2/index.js", &app("2, later"));
    await_answer(&nexus, "a", "2, later");
    await_answer(&nexus, "b", "1, later");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn files_that_are_renamed_into_place_count_and_those_that_are_only_read_do_not() {
    let folder = Folder::new(&[("app/index.js", &app("first")), ("app/assets/a.txt", "a")]);
    let mut nexus = watch(&folder);
    // As many editors write.
    folder.write("app/.index.js.swp", app("second"));
    std::fs::rename(folder.path().join("app/.index.js.swp"), folder.path().join("app/index.js")).unwrap();
    await_answer(&nexus, "app", "second");
    std::fs::remove_file(folder.path().join("app/index.js")).unwrap();
    nexus.message("the changed app is not served");
    folder.write("app/index.js", app("third"));
    await_answer(&nexus, "app", "third");
    let loaded = nexus.metric("nexus_cold_starts_total{app=\"app\"}");
    let _ = std::fs::read(folder.path().join("app/index.js")).unwrap();
    folder.write("app/.hidden", "x");
    sleep(Duration::from_millis(300));
    assert_eq!(nexus.metric("nexus_cold_starts_total{app=\"app\"}"), loaded);
    // A folder that was not there when the watching began.
    folder.write("app/lib/deep/text.js", "export default 'fourth';");
    folder.write(
        "app/index.js",
        "import text from './lib/deep/text.js'; export default { fetch: () => new Response(text) };",
    );
    await_answer(&nexus, "app", "fourth");
    folder.write("app/lib/deep/text.js", "export default 'fifth';");
    await_answer(&nexus, "app", "fifth");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn what_is_in_flight_finishes_on_the_version_that_it_began_on() {
    let slow = |text: &str| {
        format!(
            "export default {{ async fetch(request) {{
               if (new URL(request.url).pathname === '/slow') {{
                 console.log('slow begins');
                 await new Promise((resolve) => setTimeout(resolve, 1500));
               }}
               return new Response('{text}');
             }} }};"
        )
    };
    let folder = Folder::new(&[("app/index.js", &slow("old"))]);
    let mut nexus = watch(&folder);
    let mut waiting = nexus.client("app");
    waiting.send_request("GET", "/slow", &[], b"");
    nexus.message("slow begins");
    folder.write("app/index.js", slow("new"));
    await_answer(&nexus, "app", "new");
    assert_eq!(waiting.response().text(), "old");
    assert_eq!(waiting.get("/").text(), "new", "the connection has moved");
    nexus.await_metric("nexus_draining_workers{app=\"app\"}", 0.0);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_sleeping_app_that_changes_is_checked_at_once_and_sleeps_again() {
    let folder =
        Folder::new(&[("app/index.js", &app("first")), ("app/nexus.toml", "[scale]\nidle = \"100 ms\"\n")]);
    let mut nexus = watch(&folder);
    nexus.await_metric("nexus_app_asleep{app=\"app\"}", 1.0);
    folder.write("app/index.js", "broken(");
    nexus.message("the changed app is not served");
    nexus.await_metric("nexus_app_asleep{app=\"app\"}", 1.0);
    let answer = nexus.get("app", "/");
    assert_eq!((answer.status, answer.text()), (200, "first".into()), "it sleeps on, and wakes as it was");
    folder.write("app/index.js", app("second"));
    nexus.message("the changed app serves");
    nexus.await_metric("nexus_app_asleep{app=\"app\"}", 1.0);
    assert_eq!(nexus.get("app", "/").text(), "second");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn what_a_reload_cannot_change_is_said() {
    let folder = Folder::new(&[("app/index.js", &app("first"))]);
    let mut nexus = watch(&folder);
    folder.write("app/nexus.toml", "[project]\nname = \"other\"\n");
    nexus.message("its name is `other` now; that takes a start of nexus");
    folder.write("app/nexus.toml", "[http]\nport = 4711\n");
    nexus.message("the app `app` would be served at another port, or begin or cease to share one: that takes a start of nexus");
    assert_eq!(nexus.get("app", "/").text(), "first");
    folder.write("app/nexus.toml", "[env]\nA = \"1\"\n");
    folder.write("app/index.js", "export default { fetch: (request, env) => new Response(env.A) };");
    await_answer(&nexus, "app", "1");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn hosts_and_paths_that_change_count_and_conflicts_are_refused() {
    let http = |text: &str| format!("[http]\n{text}\n");
    let folder = Folder::new(&[
        ("a/index.js", &app("a")),
        ("a/nexus.toml", &http("paths = [\"/a\"]")),
        ("b/index.js", &app("b")),
        ("b/nexus.toml", &http("paths = [\"/b\"]")),
    ]);
    let mut nexus = watch(&folder);
    let mut client = nexus.client("a");
    let mut ask = |path: &str| {
        let response = client.get(path);
        (response.status, response.text())
    };
    assert_eq!((ask("/a"), ask("/b"), ask("/c").0), ((200, "a".into()), (200, "b".into()), 404));
    folder.write("a/nexus.toml", http("paths = [\"/b\"]"));
    let refused = nexus.message("the changed app is not served, the one before goes on");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("nexus.toml:2") && message.contains("`b`"), "{message}");
    assert_eq!((ask("/a"), ask("/b")), ((200, "a".into()), (200, "b".into())));
    folder.write("a/nexus.toml", http("paths = [\"/c\"]"));
    until("/c to be its own", || (ask("/c").0 == 200).then_some(()));
    assert_eq!((ask("/a").0, ask("/b"), ask("/c")), (404, (200, "b".into()), (200, "a".into())));
    // What it has left is free.
    folder.write("b/nexus.toml", http("paths = [\"/a\", \"/b\"]"));
    until("/a to be the other's", || (ask("/a").0 == 200).then_some(()));
    assert_eq!((ask("/a"), ask("/b")), ((200, "b".into()), (200, "b".into())));
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn an_app_whose_manifest_is_wrong_from_the_start_is_served_once_it_is_mended() {
    let folder = Folder::new(&[
        ("app/index.js", &app("mended")),
        ("app/nexus.toml", "[limits]\nmemroy = \"1 GB\"\n"),
        ("other/index.js", &app("other")),
    ]);
    let mut nexus = watch(&folder);
    assert_eq!(nexus.get("other", "/").text(), "other");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    folder.write("app/nexus.toml", format!("[http]\nport = {port}\n[limits]\nmemroy = \"1 GB\"\n"));
    nexus.message("the changed app is not served: ");
    folder.write("app/nexus.toml", format!("[http]\nport = {port}\n"));
    nexus.message("the changed app serves");
    let ask = move || Client::connect(&format!("127.0.0.1:{port}")).get("/").text();
    assert_eq!(ask(), "mended");
    folder.write("app/index.js", app("changed"));
    until("the next version", || (ask() == "changed").then_some(()));
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_host_that_replaces_another_one_serves_apps_as_they_are_now() {
    let text = |text: &str| format!("[env]\nTEXT = \"{text}\"\n");
    let folder = Folder::new(&[
        ("app/index.js", "export default { fetch: (request, env) => new Response(env.TEXT) };"),
        ("app/nexus.toml", &text("first")),
        ("late/index.js", &app("late")),
        ("late/nexus.toml", "[http]\nprot = 1\n"),
    ]);
    let mut nexus = watch(&folder);
    folder.write("app/nexus.toml", text("second"));
    await_answer(&nexus, "app", "second");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    folder.write("late/nexus.toml", format!("[http]\nport = {port}\n"));
    nexus.message("the changed app serves");
    let address = format!("127.0.0.1:{port}");
    let late = || TcpStream::connect(&address).ok().map(|_| Client::connect(&address).get("/").text());
    until("the late one", || (late().as_deref() == Some("late")).then_some(()));
    nexus.kill_host("KILL");
    await_answer(&nexus, "app", "second");
    until("the late one again", || (late().as_deref() == Some("late")).then_some(()));
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_version_goes_on_as_it_was_loaded_whatever_becomes_of_the_files() {
    let index = "import part from './part.js';
        export default { fetch(request) {
          if (new URL(request.url).pathname === '/spin') for (;;);
          return new Response(part);
        } };";
    let folder = Folder::new(&[
        ("app/index.js", index),
        ("app/part.js", "export default 'first';"),
        ("app/nexus.toml", "[limits]\ncpu = \"100 ms\"\n[scale]\nidle = \"300 ms\"\n"),
    ]);
    let mut nexus = watch(&folder);
    assert_eq!(nexus.get("app", "/").text(), "first");
    replace(&folder, "app/part.js", "export default 'second'; nonsense(");
    nexus.message("the changed app is not served, the one before goes on");
    assert_eq!(nexus.get("app", "/spin").status, 503);
    assert_eq!(nexus.get("app", "/").text(), "first", "its guest was stopped, and loaded anew");
    nexus.await_metric("nexus_app_asleep{app=\"app\"}", 1.0);
    assert_eq!(nexus.get("app", "/").text(), "first", "it slept, and woke");
    std::fs::remove_file(folder.path().join("app/part.js")).unwrap();
    until("the other refusal", || {
        (nexus.messages("the changed app is not served, the one before goes on").len() == 2).then_some(())
    });
    assert_eq!(nexus.get("app", "/spin").status, 503);
    assert_eq!(nexus.get("app", "/").text(), "first", "its files are gone");
    replace(&folder, "app/part.js", "export default 'third';");
    await_answer(&nexus, "app", "third");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn an_app_with_a_guest_for_each_request_is_reloaded_under_load() {
    let version = |n: u32| {
        format!(
            "export default {{ fetch: (request) => new Response(new URL(request.url).pathname === '/version' ? '{n}' : 'ok') }};"
        )
    };
    let folder = Folder::new(&[
        ("app/index.js", &version(0)),
        ("app/nexus.toml", "[project]\nisolation = \"request\"\n"),
    ]);
    let mut nexus = watch(&folder);
    under_load(&nexus, &["app"], false, |answered| {
        for n in 1..=10 {
            replace(&folder, "app/index.js", &version(n));
            await_answers(answered);
            until("the version", || (nexus.get("app", "/version").text() == n.to_string()).then_some(()));
        }
    });
    assert!(!nexus.errors().contains("panicked"), "{}", nexus.errors());
    assert!(nexus.messages("panicked").is_empty(), "{:?}", nexus.messages("panicked"));
    assert_eq!(nexus.stop(), Some(0));
}
