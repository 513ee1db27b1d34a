//! Workers that were given up, and the processes that they burn in.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Folder, Nexus, Start, until};

const APP: &str = r#"
export default {
  fetch(request) {
    if (request.url.endsWith("/never")) [].indexOf.call({ length: 2 ** 53 - 1 }, "nothing");
    return new Response("ok");
  },
};
"#;

fn folder() -> Folder {
    Folder::new(&[("hung/index.js", APP), ("other/index.js", APP)])
}

/// Loses a worker to a built-in that never returns.
#[track_caller]
fn lose(nexus: &Nexus) {
    let response = nexus.get("hung", "/never");
    let text = "the app was stopped while it handled this request (limit: cpu 50 ms)\n";
    assert_eq!((response.status, &*response.text()), (503, text));
    assert_eq!(nexus.get("hung", "/").text(), "ok");
    assert_eq!(nexus.get("other", "/").text(), "ok");
}

#[test]
fn a_thread_that_goes_on_keeps_no_process_from_ending() {
    let folder = folder();
    let mut alone = Start::in_folder(folder.path())
        .with_default_limits()
        .args(&["--no-supervisor", "--grace", "1 m"])
        .start();
    lose(&alone);
    assert_eq!(alone.stop(), Some(0));
    assert_eq!(alone.errors(), "", "it ends in order");
}

#[test]
fn a_host_is_replaced_and_dies_without_holding_it_against_the_app() {
    let folder = folder();
    let mut nexus = Start::in_folder(folder.path()).with_default_limits().start();
    lose(&nexus);
    let old = nexus.host();
    nexus.signal("USR2");
    until("the fresh host", || (!nexus.hosts().contains(&old)).then_some(()));
    lose(&nexus);
    nexus.kill_host("KILL");
    let died = nexus.message("the host died");
    assert!(!died.to_string().contains("hung"), "it was executing nothing of the app's: {died}");
    assert_eq!(nexus.get("hung", "/").text(), "ok");
    assert_eq!(nexus.stop(), Some(0));
}
