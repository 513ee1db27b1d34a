//! From when on an app's new state counts: as soon as a command has returned, for connections of any age.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::{Client, Managed, Response};

const MANIFEST: &str = "[scale]\nworkers = 1\n[limits]\ncpu = \"4 s\"\nwall = \"20 s\"\n";

fn app(text: &str) -> String {
    format!(
        "export default {{
            fetch(request) {{
                const burn = () => {{
                    console.log('it burns');
                    for (;;);
                }};
                if (request.url.endsWith('/long')) for (let i = 0; i < 3e6; i++);
                if (request.url.endsWith('/burn')) burn();
                if (request.url.endsWith('/burn-later')) return new Promise(() => setTimeout(burn, 50));
                return new Response({text:?});
            }}
        }};"
    )
}

/// What a connection's next request gets.
fn answer(client: &mut Client) -> (u16, String) {
    let response = client.get("/");
    (response.status, response.text().trim_end().to_owned())
}

fn stopped() -> (u16, String) {
    (503, "this app is stopped".to_owned())
}

#[test]
fn after_a_stop_and_after_a_start_connections_of_any_age_are_answered_accordingly() {
    let host = Managed::new(&[("app/index.js", &app("one")), ("app/nexus.toml", MANIFEST)]);
    host.done(&["deploy", "app"]);
    let address = host.address("app");
    let one = (200, "one".to_owned());
    for _ in 0..10 {
        let mut used = Client::connect(&address);
        assert_eq!(answer(&mut used), one);
        let (mut fresh, mut patient) = (Client::connect(&address), Client::connect(&address));
        assert_eq!(answer(&mut patient), one);
        host.done(&["stop", "app"]);
        let (mut late, mut waits) = (Client::connect(&address), Client::connect(&address));
        for client in [&mut used, &mut fresh, &mut late] {
            assert_eq!(answer(client), stopped());
        }
        assert!(late.is_closed(), "whoever asks again comes to the app as it is then");
        // What follows the last answer on a connection does not cost it.
        let mut hasty = Client::connect(&address);
        hasty.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(20));
        assert_eq!(hasty.response().status, 503);
        host.done(&["start", "app"]);
        // These have seen nothing of it.
        for client in [&mut patient, &mut waits, &mut Client::connect(&address)] {
            assert_eq!(answer(client), one);
        }
    }
    host.done(&["stop", "app"]);
    let mut kept = Client::connect(&address);
    host.done(&["rm", "app"]);
    assert!(!kept.try_send("GET / HTTP/1.1\r\nhost: a\r\n\r\n") || kept.rest().is_empty());
}

#[test]
fn after_a_removal_no_connection_is_answered() {
    let host = Managed::new(&[("app/index.js", &app("one"))]);
    for _ in 0..10 {
        host.done(&["deploy", "app"]);
        let address = host.address("app");
        let (mut used, mut fresh) = (Client::connect(&address), Client::connect(&address));
        assert_eq!(answer(&mut used).0, 200);
        host.done(&["rm", "app"]);
        for client in [&mut used, &mut fresh] {
            assert!(!client.try_send("GET / HTTP/1.1\r\nhost: a\r\n\r\n") || client.rest().is_empty());
        }
    }
}

#[test]
fn what_is_sent_after_a_deploy_is_not_for_the_old_version_be_it_stuck_in_a_turn() {
    // A request's first turn, and one of the guest's own.
    after_a_deploy_beside("/burn");
    after_a_deploy_beside("/burn-later");
}

#[test]
fn a_request_that_waits_for_a_stopped_guest_when_another_version_comes_is_answered() {
    // On a port of its own and on a shared one. Requests with long turns are handed over one at a time, so some are left
    // when `/burn-later` takes the thread for four seconds, in which the next version comes.
    for http in ["", "[http]\nhosts = [\"localhost\"]\n"] {
        let manifest = format!("{http}{MANIFEST}");
        let host = Managed::new(&[("app/index.js", &app("one")), ("app/nexus.toml", &manifest)]);
        host.done(&["deploy", "app"]);
        let address = host.address("app");
        let mut burning = Client::connect(&address);
        let mut waiting: Vec<Client> = (0..100).map(|_| Client::connect(&address)).collect();
        burning.send_request("GET", "/burn-later", &[], b"");
        for client in &mut waiting {
            client.send_request("GET", "/long", &[], b"");
        }
        host.nexus.message("it burns");
        host.folder.write("app/index.js", app("two"));
        host.done(&["deploy", "app"]);
        assert_eq!(burning.response().status, 503);
        let answers: Vec<Response> = waiting.iter_mut().map(Client::response).collect();
        let limit = |response: &&Response| response.text().contains("(limit: cpu 4 s)");
        let (at_limit, others): (Vec<_>, Vec<_>) = answers.iter().partition(limit);
        // Those that were with the guest, of which each has a turn.
        assert!(at_limit.len() < 3, "{}", at_limit.len());
        for response in others {
            assert_eq!(response.status, 200, "{}", response.text());
        }
    }
}

#[track_caller]
fn after_a_deploy_beside(path: &str) {
    let host = Managed::new(&[("app/index.js", &app("one")), ("app/nexus.toml", MANIFEST)]);
    host.done(&["deploy", "app"]);
    let address = host.address("app");
    let mut kept: Vec<Client> = (0..5).map(|_| Client::connect(&address)).collect();
    for client in &mut kept {
        assert_eq!(answer(client), (200, "one".to_owned()));
    }
    let mut burning = Client::connect(&address);
    burning.send_request("GET", path, &[], b"");
    host.nexus.message("it burns");
    host.folder.write("app/index.js", app("two"));
    host.done(&["deploy", "app"]);
    for client in &mut kept {
        client.send_request("GET", "/", &[], b"");
    }
    // The turn comes to its limit, and with that the thread to those who wait.
    let response = burning.response();
    assert!(response.status == 503 && response.text().contains("(limit: cpu 4 s)"), "{}", response.text());
    for client in &mut kept {
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, "two".to_owned()));
    }
}
