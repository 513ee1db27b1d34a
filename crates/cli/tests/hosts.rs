//! Several host processes that share the apps.
#![allow(missing_docs, clippy::unwrap_used)]
#![cfg(target_os = "linux")]

mod harness;

use std::collections::BTreeSet;
use std::path::Path;

use harness::{
    Client, Folder, Nexus, OWN_GROUP, Start, await_answers, run, send_signal, under_load, until,
    until_refused,
};

const APP: &str =
    "export default { async fetch(request) { return new Response('ok' + await request.text()) } };";

/// Never done with loading.
const SLOW: &str = "await new Promise((resolve) => setTimeout(resolve, 3_600_000)); export default {};";

/// Apps of these names.
fn apps(names: &[&str]) -> Folder {
    let folder = Folder::new(&[]);
    for name in names {
        folder.write(&format!("{name}/index.js"), APP);
    }
    folder
}

/// Serves them by two hosts.
#[track_caller]
fn serve_by_two(folder: &Folder) -> Nexus {
    let args = ["--hosts", "2", "--log-level", "debug"];
    let nexus = Start::in_folder(folder.path()).args(&args).start();
    nexus.message("all hosts have started");
    nexus
}

/// The process of the host of this number that was started last.
#[track_caller]
fn pid(nexus: &Nexus, host: u64) -> u32 {
    // It comes by another process's log than what was waited for before.
    let line = until("the host's own line", || {
        nexus.messages("the host runs").into_iter().rfind(|line| line["host"] == host)
    });
    u32::try_from(line["pid"].as_u64().unwrap()).unwrap()
}

/// Which host serves the app.
#[track_caller]
fn host_of(nexus: &Nexus, app: &str) -> u64 {
    let line = nexus.line(app, |line| line["message"] == "serving" && line["app"] == app);
    line["host"].as_u64().unwrap()
}

/// Waits until a page of the admin address is this.
#[track_caller]
fn await_page(nexus: &Nexus, path: &str, status: u16, text: &str) {
    until(path, || {
        let page = nexus.admin_get(path);
        (page.status == status && page.text() == text).then_some(())
    });
}

/// Waits until a sample is there and has this value: a host that is too busy to answer is left out of a page.
#[track_caller]
fn await_sample(nexus: &Nexus, sample: &str, value: u64) {
    let line = format!("{sample} {value}");
    until(&line, || nexus.admin_get("/metrics").text().lines().any(|other| other == line).then_some(()));
}

fn is_there(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// The sockets that the process has, by their inodes.
fn sockets(pid: u32) -> BTreeSet<String> {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let links = fds.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    links
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned()))
        .collect()
}

/// The inode of the TCP socket that listens at this address.
#[track_caller]
fn inode(address: &str) -> String {
    let port: u16 = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut rows = rows.filter(|row| row[1].ends_with(&format!(":{port:04X}")) && row[3] == "0A");
    rows.next().unwrap()[9].to_owned()
}

#[test]
fn two_hosts_share_the_apps_and_each_has_its_own_sockets_only() {
    let folder = apps(&["a", "b", "d", "e"]);
    folder.write("c/nexus.toml", "nonsense");
    let mut nexus = serve_by_two(&folder);
    let started = nexus.messages("all hosts have started");
    assert_eq!(started.len(), 1);
    assert_eq!((started[0]["hosts"].as_u64(), started[0]["host"].as_u64()), (Some(2), None));
    assert_eq!(nexus.hosts().len(), 2);
    for (app, host) in [("a", 1), ("b", 2), ("d", 1), ("e", 2)] {
        assert_eq!(nexus.get(app, "/").text(), "ok");
        assert_eq!(host_of(&nexus, app), host, "{app}");
        let inode = inode(&nexus.address(app));
        assert!(sockets(pid(&nexus, host)).contains(&inode), "{app} has its socket");
        assert!(!sockets(pid(&nexus, 3 - host)).contains(&inode), "nobody else has {app}'s socket");
    }
    let broken = nexus.message("not served");
    assert!(broken["message"].as_str().unwrap().contains("c/nexus.toml"), "{broken}");
    assert_eq!(broken["host"], 1);
    assert_eq!(nexus.messages("not served").len(), 1);
    nexus.admin();
    assert_eq!(nexus.messages("serving metrics and health").len(), 1);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_host_that_is_killed_disturbs_no_app_of_the_other() {
    let folder = apps(&["a", "b", "c"]);
    let mut nexus = serve_by_two(&folder);
    for (round, killed) in [2, 1].into_iter().enumerate() {
        let (hit, others): (Vec<&str>, Vec<&str>) =
            ["a", "b", "c"].into_iter().partition(|app| host_of(&nexus, app) == killed);
        under_load(&nexus, &others, false, |answered| {
            await_answers(answered);
            let pid = pid(&nexus, killed);
            send_signal("KILL", &pid.to_string());
            until("the report", || {
                (nexus.messages("the host died of SIGKILL").len() == round + 1).then_some(())
            });
            for app in hit {
                assert_eq!(nexus.get(app, "/").text(), "ok");
            }
            await_answers(answered);
            assert!(!is_there(pid), "it was waited for");
        });
        let line = nexus.messages("the host died of SIGKILL")[round].clone();
        assert_eq!(line["host"], killed);
    }
    assert_eq!(nexus.hosts().len(), 2);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_replacement_replaces_every_host_and_loses_no_request() {
    let folder = apps(&["a", "b", "c", "d"]);
    let mut nexus = serve_by_two(&folder);
    under_load(&nexus, &["a", "b", "c", "d"], false, |answered| {
        for round in 1..=2 {
            await_answers(answered);
            let old = nexus.hosts();
            nexus.signal("USR2");
            until("the fresh hosts", || {
                (nexus.messages("a fresh host has taken over").len() == 2 * round).then_some(())
            });
            await_answers(answered);
            until("the old hosts' end", || old.iter().all(|pid| !is_there(*pid)).then_some(()));
            assert_eq!(nexus.hosts().len(), 2);
        }
    });
    let told: BTreeSet<u64> = nexus
        .messages("a fresh host has taken over")
        .iter()
        .map(|line| line["host"].as_u64().unwrap())
        .collect();
    assert_eq!(told, BTreeSet::from([1, 2]));
    let bad: Vec<_> =
        nexus.log().into_iter().filter(|line| line["level"] == "warn" || line["level"] == "error").collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn one_admin_address_answers_for_all_hosts() {
    let folder = apps(&["a", "b", "c"]);
    let args = ["--hosts", "2", "--log-level", "debug", "--memory", "256MB"];
    let mut nexus = Start::in_folder(folder.path()).args(&args).start();
    nexus.message("all hosts have started");
    for app in ["a", "b", "b", "c"] {
        nexus.get(app, "/");
    }
    let up = |host, is| await_sample(&nexus, &format!("nexus_host_up{{host=\"{host}\"}}"), is);
    up(1, 1);
    up(2, 1);
    for (sample, value) in [
        ("nexus_requests_total{app=\"a\",status=\"2xx\"}", 1),
        ("nexus_requests_total{app=\"b\",status=\"2xx\"}", 2),
        ("nexus_requests_total{app=\"c\",status=\"2xx\"}", 1),
        ("nexus_apps{host=\"1\"}", 2),
        ("nexus_apps{host=\"2\"}", 1),
        ("nexus_memory_budget_bytes{host=\"2\"}", 128 << 20),
    ] {
        await_sample(&nexus, sample, value);
    }
    let page = nexus.admin_get("/metrics").text();
    let types: Vec<&str> = page.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    assert_eq!(types.iter().collect::<BTreeSet<_>>().len(), types.len(), "{page}");
    assert!(page.contains("process_threads{host=\"1\"} "), "{page}");
    let ready = || await_page(&nexus, "/ready", 200, "ready\n");
    await_page(&nexus, "/health", 200, "ok\n");
    ready();

    // One that hangs is missed, and the other one's figures are there.
    let second = pid(&nexus, 2).to_string();
    send_signal("STOP", &second);
    await_page(&nexus, "/health", 503, "host 2 does not answer\n");
    await_page(&nexus, "/ready", 503, "host 2 does not answer\n");
    up(2, 0);
    let page = nexus.admin_get("/metrics").text();
    assert!(page.contains("nexus_app_up{app=\"a\"} 1\n") && !page.contains("app=\"b\""), "{page}");
    send_signal("CONT", &second);
    ready();
    up(2, 1);

    // Neither a death nor a replacement changes who is asked.
    send_signal("KILL", &second);
    nexus.message("the host died of SIGKILL");
    ready();
    await_sample(&nexus, "nexus_requests_total{app=\"b\",status=\"2xx\"}", 0);
    nexus.signal("USR2");
    until("the fresh hosts", || (nexus.messages("a fresh host has taken over").len() == 2).then_some(()));
    await_sample(&nexus, "nexus_app_up{app=\"a\"}", 1);
    await_sample(&nexus, "nexus_app_up{app=\"b\"}", 1);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn a_ctrl_c_ends_all_hosts_and_a_second_one_at_once() {
    let folder = apps(&["a", "b"]);
    for (args, code) in [(["--grace", "1m"], 0), (["--grace", "1h"], 130)] {
        let start = Start::in_folder(folder.path()).args(&["--hosts", "2"]).args(&args);
        let mut nexus = start.start_by(&OWN_GROUP);
        nexus.message("all hosts have started");
        let hosts = nexus.hosts();
        assert_eq!(hosts.len(), 2);
        let mut busy = nexus.client("b");
        busy.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
        assert_eq!(busy.head().status, 100);
        let group = format!("-{}", nexus.pid());
        send_signal("INT", &group);
        for app in ["a", "b"] {
            until_refused(&nexus.address(app));
        }
        assert!(!nexus.has_ended());
        if code == 0 {
            busy.send("done");
            assert_eq!(busy.response().text(), "okdone");
        } else {
            send_signal("INT", &group);
        }
        assert_eq!(nexus.wait().code(), Some(code));
        assert!(hosts.iter().all(|pid| !is_there(*pid)));
    }
}

#[test]
fn no_host_outlives_the_supervisor_and_whoever_stops_one_stops_all() {
    let folder = apps(&["a", "b"]);
    let mut nexus = serve_by_two(&folder);
    let hosts = nexus.hosts();
    nexus.signal("KILL");
    assert_eq!(nexus.wait().code(), None);
    until("the hosts' end", || hosts.iter().all(|pid| !is_there(*pid)).then_some(()));

    let mut nexus = serve_by_two(&folder);
    send_signal("TERM", &pid(&nexus, 2).to_string());
    assert_eq!(nexus.wait().code(), Some(0));
}

#[test]
fn a_host_all_of_whose_apps_are_broken_leaves_the_others_at_work() {
    let folder = apps(&["a", "b"]);
    folder.write("b/index.js", "throw new Error('not yet')");
    // Where the broken one is served, were it served.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    folder.write("b/nexus.toml", format!("[http]\nport = {}\n", free.port()));
    let mut nexus = serve_by_two(&folder);
    until_refused(&free.to_string());
    let broken = nexus.message("not yet");
    assert_eq!((broken["app"].as_str(), broken["host"].as_u64()), (Some("b"), Some(2)));
    assert_eq!(nexus.get("a", "/").text(), "ok");
    await_page(&nexus, "/ready", 200, "ready\n");
    await_sample(&nexus, "nexus_app_up{app=\"b\"}", 0);
    // Neither can a fresh one serve it; and once it is mended, one does.
    nexus.signal("USR2");
    let line = nexus.message("the host that was to take over ended by code 1");
    assert_eq!(line["host"], 2);
    until_refused(&free.to_string());
    folder.write("b/index.js", APP);
    until("the first one's replacement", || {
        (nexus.messages("a fresh host has taken over").len() == 1).then_some(())
    });
    nexus.signal("USR2");
    assert_eq!(nexus.get("b", "/").text(), "ok");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn hosts_of_which_none_can_serve_anything_end_with_the_code_of_one() {
    let folder = apps(&["a", "b"]);
    for app in ["a", "b"] {
        folder.write(&format!("{app}/index.js"), "throw new Error('no')");
    }
    let mut nexus = Start::in_folder(folder.path()).args(&["--hosts", "2"]).start();
    nexus.message("no app is served");
    assert_eq!(nexus.wait().code(), Some(1));
}

#[test]
fn a_host_that_dies_again_and_again_is_not_given_up_while_the_other_serves() {
    let folder = apps(&["a", "b"]);
    folder.write("b/index.js", SLOW);
    let mut nexus = Start::in_folder(folder.path()).args(&["--hosts", "2", "--log-level", "debug"]).start();
    assert_eq!(nexus.get("a", "/").text(), "ok");
    for round in 1..=5 {
        let host = until("the next host", || {
            let mut lines = nexus.messages("the host runs");
            lines.retain(|line| line["host"] == 2);
            (lines.len() == round).then(|| lines[round - 1]["pid"].to_string())
        });
        send_signal("KILL", &host);
        until("the report", || (nexus.messages("the host died of SIGKILL").len() == round).then_some(()));
    }
    let line = nexus.message("the next one starts in 10000 ms");
    assert_eq!(line["host"], 2);
    assert_eq!(nexus.get("a", "/").text(), "ok");
    assert_eq!(Client::connect(&nexus.admin()).get("/metrics").status, 200);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn the_number_of_hosts_is_what_was_asked_for_or_one_for_few_apps() {
    let folder = apps(&["a", "b"]);
    for (args, count) in
        [(&[][..], 1), (&["--hosts", "auto"], 1), (&["--hosts", "1"], 1), (&["--hosts", "64"], 2)]
    {
        let mut nexus = Start::in_folder(folder.path()).args(args).start();
        for app in ["a", "b"] {
            assert_eq!(nexus.get(app, "/").text(), "ok");
        }
        assert_eq!(nexus.hosts().len(), count, "{args:?}");
        let has_number = nexus.log().iter().any(|line| line["host"].is_number());
        assert_eq!(has_number, count > 1, "{args:?}");
        await_sample(&nexus, "nexus_app_up{app=\"a\"}", 1);
        assert_eq!(nexus.admin_get("/metrics").text().contains("host="), count > 1);
        assert_eq!(nexus.stop(), Some(0));
    }
    folder.write("nexus-host.toml", "[process]\nhosts = 2\n");
    let mut nexus = Start::in_folder(folder.path()).start();
    nexus.message("all hosts have started");
    assert_eq!(nexus.hosts().len(), 2);
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn beyond_256_apps_there_is_another_host_if_there_is_memory_for_it() {
    let folder = Folder::new(&[]);
    for app in 0..257 {
        folder.write(&format!("app-{app}/nexus.toml"), "[assets]\nfolder = \"public\"\n");
        folder.write(&format!("app-{app}/public/index.html"), "static");
    }
    for (memory, count) in [("8GB", 2), ("7GB", 1)] {
        let mut nexus = Start::in_folder(folder.path()).args(&["--memory", memory]).start();
        assert_eq!(nexus.get("app-0", "/").text(), "static");
        assert_eq!(nexus.get("app-256", "/").text(), "static");
        assert_eq!(nexus.hosts().len(), count, "{memory}");
        assert_eq!(nexus.stop(), Some(0));
    }
}

#[test]
fn what_cannot_be_is_told_with_what_to_do() {
    let folder = apps(&["a", "b", "c"]);
    for (args, text) in [
        (&["--hosts", "0"][..], "it must be `auto` or a whole number from 1 to 64"),
        (&["--hosts", "65"], "it must be `auto` or a whole number from 1 to 64"),
        (&["--hosts", "many"], "it must be `auto` or a whole number from 1 to 64"),
        (&["--hosts", "2", "--no-supervisor"], "leave out --no-supervisor, or ask for one host"),
        (&["--hosts", "3", "--memory", "128MB"], "3 hosts cannot share 128 MB of memory, each needs 64 MB"),
    ] {
        let output = run(folder.path(), &[&["serve", "."], args].concat());
        assert_eq!(output.code, Some(2), "{output:?}");
        assert!(output.stderr.contains(text), "{output:?}");
    }
    let mut nexus = Start::in_folder(folder.path()).args(&["--hosts", "auto", "--no-supervisor"]).start();
    assert_eq!(nexus.get("a", "/").text(), "ok");
    assert_eq!(nexus.stop(), Some(0));
}

#[test]
fn lines_of_several_hosts_do_not_come_to_stand_within_each_other() {
    let source = "export default { fetch() {
      for (let n = 0; n < 60; n++) console.log('x'.repeat(20_000));
      return new Response('ok');
    } };";
    let (a, b) = (("a/index.js", source), ("b/index.js", source));
    let folder = Folder::new(&[a, b, ("nexus-host.toml", "[defaults.limits]\nlog = \"100 MB\"\n")]);
    let mut nexus = serve_by_two(&folder);
    let mut clients: Vec<Client> = ["a", "b"].into_iter().map(|app| nexus.client(app)).collect();
    // So that the pipe is full, and both have to wait with the rest of a line.
    nexus.hold_output(true);
    clients.iter_mut().for_each(|client| client.send_request("GET", "/", &[], b""));
    clients.iter_mut().for_each(|client| assert_eq!(client.response().text(), "ok"));
    nexus.hold_output(false);
    let from = |app| nexus.messages("xxx").iter().filter(|line| line["app"] == app).count();
    until("all lines, each whole", || (from("a") == 60 && from("b") == 60).then_some(()));
    assert_eq!(nexus.stop(), Some(0));
    let lines = nexus.lines();
    let torn: Vec<&String> =
        lines.iter().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_err()).collect();
    assert!(torn.is_empty(), "{torn:#?}");
}

#[test]
fn a_terminals_lines_say_which_host_serves_what() {
    let folder = apps(&["a", "b"]);
    let start = Start::in_folder(folder.path()).plain().without_admin();
    let mut nexus = start.args(&["--log-format", "pretty", "--hosts", "2"]).start();
    for (app, host) in [("a", 1), ("b", 2)] {
        let line =
            nexus.text_line(app, |line| line.contains("serving") && line.contains(&format!("app={app}")));
        assert!(line.contains(&format!("host={host}")), "{line}");
    }
    nexus.text_line("the summary", |line| line.contains("all hosts have started"));
    assert_eq!(nexus.stop(), Some(0));
}
