//! How much of it at a time: requests in flight and in the queue, bodies that stand still, descriptors.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Client, Folder, Nexus, Start, until};

const APP: &str = r#"
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let inside = 0, most = 0, opened = false;
export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/most": return new Response(String(most));
      case "/hold":
        console.log("held");
        while (!opened) await sleep(2);
        return new Response("released");
      case "/open": opened = true; return new Response("open");
      case "/brief":
        most = Math.max(most, ++inside);
        await sleep(5);
        inside--;
        return new Response("brief");
      case "/tail":
        ctx.waitUntil((async () => { console.log("tail"); while (!opened) await sleep(2); })());
        return new Response("tail");
      case "/count": return new Response(String((await request.text()).length));
      case "/stalls":
        request.signal.addEventListener("abort", () => console.log("stalled and aborted"));
        return new Response(new ReadableStream({ async pull(c) { c.enqueue(new TextEncoder().encode("begun")); for (;;) await sleep(50); } }));
      case "/large": return new Response(new Uint8Array(24 << 20));
    }
    return new Response("ok");
  },
};
"#;

fn serve(limits: &str) -> (Folder, Nexus) {
    let folder = Folder::app(APP);
    folder.write("app/nexus.toml", format!("[limits]\n{limits}"));
    let nexus = Start::in_folder(folder.path()).args(&["--access-log"]).start();
    (folder, nexus)
}

#[test]
fn a_burst_is_served_a_few_at_a_time_and_all_of_it() {
    let (_folder, nexus) = serve("requests = 4\nqueue = 1000\n");
    let address = nexus.address("app");
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let address = address.clone();
            std::thread::spawn(move || {
                let mut clients: Vec<_> = (0..8).map(|_| Client::connect(&address)).collect();
                for _ in 0..5 {
                    for client in &mut clients {
                        client.send_request("GET", "/brief", &[], b"");
                    }
                    for client in &mut clients {
                        assert_eq!(client.response().text(), "brief");
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(nexus.get("app", "/most").text(), "4");
    nexus.await_nothing_held("app");
}

#[test]
fn beyond_the_queue_there_is_503_and_the_connection_goes_on() {
    let (_folder, nexus) = serve("requests = 1\nqueue = 1\n");
    let mut held = nexus.client("app");
    held.send_request("GET", "/hold", &[], b"");
    nexus.message("held");
    // A queue of one: of these two one waits, and one is told.
    let mut others = [nexus.client("app"), nexus.client("app")];
    for client in &mut others {
        client.send_request("GET", "/open", &[], b"");
    }
    let refused = nexus.line("one is refused", |line| line["kind"] == "access" && line["status"] == 503);
    let mut third = nexus.client("app");
    let response = third.get("/open");
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    assert_eq!(response.text(), "the app has too many requests (limit: queue 1)\n");
    assert_eq!(response.header("content-type"), Some("text/plain;charset=utf-8"));
    assert_eq!(response.header("connection"), None);
    // The one that waits opens the door, once the one that holds has left.
    drop(held);
    let mut statuses: Vec<_> = others.iter_mut().map(|client| client.response().status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
    assert!(refused["request_id"].is_string());
    assert_eq!(third.get("/").text(), "ok");
    nexus.await_nothing_held("app");
}

#[test]
fn the_wait_is_bounded_and_part_of_the_wall_limit() {
    let (_folder, nexus) = serve("requests = 1\nqueue_wait = \"200 ms\"\nwall = \"60 s\"\n");
    let mut held = nexus.client("app");
    held.send_request("GET", "/hold", &[], b"");
    nexus.message("held");
    let mut client = nexus.client("app");
    let response = client.get("/");
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    assert_eq!(response.text(), "the app has too many requests (limit: queue_wait 200 ms)\n");
    drop(held);
    until("there is a place", || (client.get("/").status == 200).then_some(()));

    let (_folder, nexus) = serve("requests = 1\nwall = \"2 s\"\n");
    let mut streaming = nexus.client("app");
    streaming.send_request("GET", "/stalls", &[], b"");
    assert_eq!(streaming.head().status, 200);
    let response = nexus.get("app", "/");
    assert_eq!((response.status, response.header("retry-after")), (504, None));
    assert_eq!(response.text(), "the app did not respond in time (limit: wall 2 s)\n");
    drop(streaming);
    nexus.await_nothing_held("app");
}

#[test]
fn what_wait_until_keeps_has_no_place() {
    let (_folder, nexus) = serve("requests = 1\nqueue = 1\n");
    for _ in 0..5 {
        assert_eq!(nexus.get("app", "/tail").text(), "tail");
    }
    until("all are kept", || (nexus.messages("tail").len() == 5).then_some(()));
    assert_eq!(nexus.get("app", "/open").text(), "open");
    nexus.await_nothing_held("app");
}

#[test]
fn a_body_that_stands_still_ends_in_either_direction() {
    let (_folder, nexus) = serve("idle = \"300 ms\"\ncpu = \"60 s\"\n");
    let mut slow = nexus.client("app");
    slow.send("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    // Slow is not still.
    for _ in 0..8 {
        std::thread::sleep(std::time::Duration::from_millis(100));
        slow.send("x");
    }
    let response = slow.response();
    assert_eq!((response.status, response.header("connection")), (408, Some("close")));
    assert_eq!(response.text(), "the request's body stopped coming (limit: idle 300 ms)\n");

    let mut reader = nexus.client("app");
    reader.send_request("GET", "/stalls", &[], b"");
    let id = reader.head().header("x-request-id").unwrap().to_owned();
    assert_eq!(reader.chunk().unwrap(), b"begun");
    assert!(reader.is_closed(), "and the body does not look complete");
    let line = nexus.message("no byte of the response's body within the idle limit of 300 ms");
    assert_eq!(line["request_id"], id.as_str());
    nexus.message("stalled and aborted");

    let mut deaf = nexus.client("app");
    deaf.send_request("GET", "/large", &[], b"");
    nexus.line("it is closed", |line| {
        line["kind"] == "access" && line["path"] == "/large" && line["complete"] == false
    });
    nexus.await_nothing_held("app");
}

#[test]
fn the_process_opens_as_many_files_as_it_may() {
    let folder = Folder::app(APP);
    let nexus =
        Start::in_folder(folder.path()).start_by(&["sh", "-c", "ulimit -S -n 128; exec \"$@\"", "sh"]);
    assert_eq!(nexus.get("app", "/").text(), "ok");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", nexus.host())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut values = line.split_whitespace();
    let (soft, hard) = (values.next().unwrap(), values.next().unwrap());
    let hard = if hard == "unlimited" { u64::MAX } else { hard.parse().unwrap() };
    assert_eq!(soft.parse::<u64>().unwrap(), hard.min(65_536));
}

#[test]
fn an_app_with_all_the_connections_in_the_world_leaves_some_to_its_neighbours() {
    let folder = Folder::new(&[("greedy/index.js", APP), ("quiet/index.js", APP)]);
    let nexus = Start::in_folder(folder.path()).start_by(&["sh", "-c", "ulimit -n 256; exec \"$@\"", "sh"]);
    assert_eq!(nexus.get("quiet", "/").text(), "ok");
    let greedy = nexus.address("greedy");
    let mut clients: Vec<_> = (0..300).map(|_| Client::connect(&greedy)).collect();
    assert_eq!(clients[0].get("/").text(), "ok");
    // Half of what there is; the kernel holds the others for it.
    let open = "nexus_connections{app=\"greedy\"}";
    until("it has what it gets", || (nexus.metric(open) >= 100.0).then_some(()));
    std::thread::sleep(std::time::Duration::from_millis(200));
    let held = nexus.metric(open);
    assert!((100.0..=128.0).contains(&held), "{held} are open");
    // Its neighbour has its share all the same.
    let mut quiet = Vec::new();
    for number in 0..60 {
        let mut client = nexus.client("quiet");
        assert_eq!(client.get("/").text(), "ok", "{number}");
        quiet.push(client);
    }
    // Those that close make room for those that wait.
    drop(quiet);
    for client in clients.iter_mut().skip(1) {
        assert_eq!(client.request("GET", "/", &["Connection: close"], b"").text(), "ok");
    }
    assert!(nexus.messages("cannot accept").is_empty());
    drop(clients);
    nexus.await_metric(open, 0.0);
}

#[test]
fn connections_of_an_app_that_sleeps_leave_some_to_its_neighbours() {
    let folder = Folder::new(&[
        ("greedy/index.js", APP),
        ("greedy/nexus.toml", "[scale]\nidle = \"50 ms\"\n"),
        ("quiet/index.js", APP),
    ]);
    let nexus = Start::in_folder(folder.path()).start_by(&["sh", "-c", "ulimit -n 256; exec \"$@\"", "sh"]);
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..10 {
        // They connect, ask, and leave the app to its sleep with their connections open.
        clients.extend((0..40).map(|_| nexus.client("greedy")));
        let newest = clients.len() - 40;
        for client in &mut clients[newest..] {
            client.try_send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    let mut quiet = Vec::new();
    for number in 0..40 {
        let mut client = nexus.client("quiet");
        assert_eq!(client.get("/").text(), "ok", "{number}");
        quiet.push(client);
    }
    assert!(nexus.messages("cannot accept").is_empty(), "{:?}", nexus.messages("cannot accept"));
}
