//! Apps that are run by the clock.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use harness::{Client, Folder, Managed, Nexus, until};
use serde_json::json;

const APP: &str = "
let runs = [];
export default {
  fetch: () => Response.json(runs),
  async scheduled(controller, env, ctx) {
    const { cron, scheduledTime, type } = controller;
    if (cron === '1 1 1 1 *') throw new Error('not today');
    if (cron === '2 2 2 2 *') for (;;);
    await new Promise((resolve) => setTimeout(resolve, 20));
    runs.push([cron, scheduledTime, type, typeof ctx.waitUntil, env.WHO]);
    console.log('ran');
  },
};
";
const MANIFEST: &str = "[triggers]\ncron = [\"*/5 * * * *\", \"1 1 1 1 *\", \"2 2 2 2 *\"]\n[env]\nWHO = \"me\"\n[limits]\ncpu = \"100 ms\"\n";

#[test]
fn a_trigger_is_run_at_will_and_says_what_came_of_it() {
    let folder = Folder::new(&[("shop/index.js", APP), ("shop/nexus.toml", MANIFEST)]);
    let managed = Managed::start(folder, &[]);
    managed.done(&["deploy", "shop"]);
    let ran = managed.json(&["cron", "trigger", "shop", "--time", "2026-01-31T00:05:00Z"]);
    assert_eq!(
        (&ran["app"], &ran["cron"], &ran["result"]),
        (&json!("shop"), &json!("*/5 * * * *"), &json!("ok"))
    );
    let address = managed.address("shop");
    let runs = Client::connect(&address).get("/").json();
    assert_eq!(runs, json!([["*/5 * * * *", 1_769_817_900_000_u64, "scheduled", "function", "me"]]));
    let line = managed.nexus.message("ran");
    assert!(line["request_id"].is_string(), "{line}");

    let failed = managed.run(&["cron", "trigger", "shop", "--cron", "1 1 1 1 *"]);
    assert_ne!(failed.code, Some(0), "{failed:?}");
    managed.nexus.message("not today");
    let stopped = managed.run(&["cron", "trigger", "shop", "--cron", "2 2 2 2 *"]);
    assert_ne!(stopped.code, Some(0), "{stopped:?}");
    managed.nexus.message("the app reached its cpu limit of 100 ms");
    // It goes on.
    assert_eq!(managed.json(&["cron", "trigger", "shop"])["result"], "ok");
    let listed = managed.done(&["cron"]);
    assert!(listed.contains("shop") && listed.contains("*/5 * * * *"), "{listed}");
    managed.nexus.await_metric("nexus_scheduled_runs_total{app=\"shop\",result=\"ok\"}", 2.0);
    managed.nexus.await_metric("nexus_scheduled_runs_total{app=\"shop\",result=\"failed\"}", 2.0);

    assert!(managed.refused(&["cron", "trigger", "none"], 2).contains("none"));
    managed.refused(&["cron", "trigger", "shop", "--cron", "9 9 9 9 *"], 2);
    managed.refused(&["cron", "trigger", "shop", "--time", "tomorrow"], 2);
}

#[test]
fn an_app_with_triggers_alone_answers_requests_with_404() {
    let folder = Folder::new(&[
        ("shop/index.js", "export default { scheduled() {} };"),
        ("shop/nexus.toml", "[triggers]\ncron = [\"0 0 * * *\"]\n"),
        ("bad/index.js", "export default { fetch: () => new Response('x') };"),
        ("bad/nexus.toml", "[triggers]\ncron = [\"0 0 * * *\"]\n"),
    ]);
    let nexus = Nexus::serve(folder.path());
    assert_eq!(nexus.get("shop", "/").status, 404);
    let line = nexus.message("has no scheduled handler");
    assert_eq!(line["app"], "bad");
}

#[test]
fn a_trigger_is_run_when_its_minute_comes_and_wakes_its_app() {
    // The next minute or the one after it: the test waits for a real one.
    let folder = Folder::new(&[
        (
            "shop/index.js",
            "export default { scheduled: (controller) => console.log(`due ${controller.scheduledTime} at ${Date.now()}`) };",
        ),
        ("shop/nexus.toml", "[triggers]\ncron = [\"* * * * *\"]\n[scale]\nidle = \"1 s\"\n"),
    ]);
    let nexus = Nexus::serve(folder.path());
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let line = until_within("a run by the clock", Duration::from_secs(75), || {
        nexus.messages("due ").into_iter().next()
    });
    let text = line["message"].as_str().unwrap().to_owned();
    let [due, at] =
        [text.split(' ').nth(1), text.split(' ').nth(3)].map(|part| part.unwrap().parse::<u64>().unwrap());
    assert_eq!(due % 60_000, 0);
    assert!(due > u64::try_from(begun.as_millis()).unwrap() && at >= due, "{text}");
    assert_eq!(nexus.messages("due ").len(), 1);
}

/// As [`until`], for what takes longer than anything else.
#[track_caller]
fn until_within<T>(what: &str, time: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let begun = std::time::Instant::now();
    let mut last = None;
    while last.is_none() && begun.elapsed() < time.saturating_sub(Duration::from_secs(50)) {
        last = probe();
        std::thread::sleep(Duration::from_millis(50));
    }
    last.unwrap_or_else(|| until(what, probe))
}
