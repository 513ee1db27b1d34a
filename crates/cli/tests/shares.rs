//! The process's descriptors, which apps that connect to others share.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::sync::{Arc, Barrier};

use harness::fetching::app;
use harness::{Asked, Client, Folder, Start, Upstream, until};

/// Sends this many requests at once, and tells how many came back; says `ready` at `/ready`.
fn asking(upstream: &Upstream, requests: usize) -> String {
    let run = format!(
        "async (request) => {{
            if (new URL(request.url).pathname === '/ready') return 'ready';
            const all = Array.from({{ length: {requests} }}, async () => (await fetch(U)).text());
            return (await Promise.allSettled(all)).filter((one) => one.value === 'through').length;
        }}"
    );
    app(upstream, &run)
}

#[test]
fn apps_that_connect_as_often_as_they_may_leave_the_others_their_share() {
    // 240 are for connections, half of them for those that lead out, and four workers share these: 30 each, and more
    // while there are less than 60.
    const SHARE: usize = 30;
    let silent = Upstream::new(Asked::await_close);
    let gate = Arc::new(Barrier::new(SHARE));
    // Nobody is answered before all have asked.
    let answering = Upstream::new(move |asked| {
        gate.wait();
        asked.reply("200 OK", &[], "through");
    });
    let folder = Folder::new(&[]);
    let greedy = ["first", "second", "third"];
    let apps = greedy.map(|name| (name, &silent, 200)).into_iter().chain([("modest", &answering, SHARE)]);
    for (name, upstream, requests) in apps {
        let limits = "subrequests = 200\noutbound_connections = 200\nconnect = \"5 m\"\nfirst_byte = \"5 m\"\nwall = \"5 m\"";
        let manifest = format!(
            "[permissions]\nnet = [\"{}\"]\n[limits]\n{limits}\n[scale]\nmin_workers = 1\nworkers = 1\n",
            upstream.address()
        );
        folder.write(&format!("{name}/index.js"), asking(upstream, requests));
        folder.write(&format!("{name}/nexus.toml"), manifest);
    }
    let nexus = Start::in_folder(folder.path()).start_by(&["sh", "-c", "ulimit -n 256; exec \"$@\"", "sh"]);
    for name in greedy.into_iter().chain(["modest"]) {
        assert_eq!(nexus.get(name, "/ready").json(), "ready");
    }
    let mut asked: Vec<Client> = Vec::new();
    for (name, open) in greedy.into_iter().zip([60, 90, 120]) {
        let mut client = nexus.client(name);
        client.send_request("GET", "/", &[], b"");
        asked.push(client);
        until(&format!("{name} has what it may have"), || (silent.open() == open).then_some(()));
    }
    assert_eq!(nexus.get("modest", "/").json(), SHARE);
    assert_eq!((silent.accepted(), answering.accepted()), (120, SHARE));
    // What they have is given back when their clients leave, and the requests that waited do not come after them.
    drop(asked);
    until("all are closed", || (silent.open() == 0).then_some(()));
    assert_eq!(nexus.get("modest", "/").json(), SHARE);
}
