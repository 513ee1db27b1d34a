//! Clients that leave while their request is handled: what aborts, what goes on, what others still get.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use harness::direct::{TestGuest, load_with, main_file};
use nexus_core::{Isolation, Limit};
use nexus_guest::{Body, Level};

/// Starts a request, lets its handler begin, and leaves.
async fn ask_and_leave(guest: &TestGuest, url: &str) {
    let (ticket, pending) = guest.start(url, Body::Empty);
    guest.turns(2).await;
    drop(pending);
    guest.guest.abort(ticket);
}

#[tokio::test]
async fn a_client_that_leaves_aborts_the_signal_and_cancels_its_stream() {
    let guest = main_file(
        "let seen = 'nothing';
         export default { async fetch(request) {
            if (request.url.endsWith('/seen')) return new Response(seen);
            request.signal.addEventListener('abort', () => { seen = request.signal.reason.name; });
            return new Response(new ReadableStream({
                pull() { return new Promise((resolve) => setTimeout(resolve, 100000)); },
                cancel(reason) { seen += ' cancelled'; } })); } }",
    )
    .await;
    let (ticket, pending) = guest.start("/stream", Body::Empty);
    let reply = guest.drive(pending).await.unwrap();
    guest.turns(2).await;
    drop(reply);
    guest.guest.abort(ticket);
    guest.turns(3).await;
    guest.assert_nothing_is_held();
    assert_eq!(guest.text("/seen").await, "AbortError cancelled");
}

#[tokio::test]
async fn a_handler_whose_client_has_gone_comes_to_its_end_and_no_further() {
    let guest = main_file(
        "const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
         const seen = [];
         export default { async fetch(request) {
            if (request.url.endsWith('/seen')) return new Response(seen.join(' '));
            setTimeout(() => seen.push('too late'), 60);
            try { await sleep(10); seen.push(request.signal.aborted); throw new Error('in vain'); }
            finally { seen.push('cleaned up'); } } }",
    )
    .await;
    ask_and_leave(&guest, "/").await;
    guest.turns(1).await;
    assert_eq!(guest.guest.in_flight(), 1);
    guest.turns(50).await;
    assert_eq!(guest.text("/seen").await, "true cleaned up");
    guest.assert_nothing_is_held();
    // That it fails now is nobody's concern.
    let log = guest.log.0.borrow();
    assert!(log.iter().all(|record| record.level == Level::Debug), "{log:?}");
}

#[tokio::test]
async fn what_a_request_has_begun_for_all_is_there_for_the_others_when_its_client_leaves() {
    let guest = main_file(
        "let config;
         const load = async () => {
            await new Promise((resolve) => setTimeout(resolve, 10));
            return 'loaded'; };
         export default { async fetch() { return new Response(await (config ??= load())); } }",
    )
    .await;
    ask_and_leave(&guest, "/").await;
    assert_eq!(guest.text("/").await, "loaded");
    guest.turns(1).await;
    guest.assert_nothing_is_held();
}

#[tokio::test]
async fn no_more_handlers_without_clients_are_kept_than_may_be_in_flight() {
    let source = "export default { async fetch(request) {
        if (request.url.endsWith('/ok')) return new Response('ok');
        for (;;) await new Promise((resolve) => setTimeout(resolve, 1)); } }";
    let guest = load_with(&[("index.js", source)], |_, limits| limits.set(Limit::Requests, 3)).await.unwrap();
    for _ in 0..20 {
        ask_and_leave(&guest, "/").await;
    }
    guest.turns(2).await;
    assert_eq!(guest.guest.in_flight(), 3);
    assert_eq!(guest.text("/ok").await, "ok");
}

#[tokio::test]
async fn a_handler_that_can_never_settle_is_given_up_when_its_client_leaves() {
    let guest = main_file(
        "const busy = setInterval(() => {}, 1);
         setTimeout(() => clearInterval(busy), 20);
         export default { fetch() { return new Promise(() => {}); } }",
    )
    .await;
    ask_and_leave(&guest, "/").await;
    guest.turns(30).await;
    guest.assert_nothing_is_held();
    assert_eq!(guest.messages(), [""; 0]);
}

#[tokio::test]
async fn a_guest_of_one_request_ends_with_its_client() {
    let source = "export default { async fetch() {
        await new Promise((resolve) => setTimeout(resolve, 10));
        console.log('went on'); } }";
    let alone = |manifest: &mut nexus_core::Manifest| manifest.isolation = Isolation::Request;
    let guest = load_with(&[("index.js", source)], |manifest, _| alone(manifest)).await.unwrap();
    ask_and_leave(&guest, "/").await;
    guest.turns(1).await;
    guest.assert_nothing_is_held();
    guest.turns(20).await;
    assert_eq!(guest.messages(), [""; 0]);
}
