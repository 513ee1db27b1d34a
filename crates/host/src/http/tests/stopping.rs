//! Stopping, and the other kind of socket.

use std::os::unix::net::UnixListener;

use nexus_guest::Reply;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::spawn_local;

use super::super::testing::{get, on_a_loop, post, server, with_server};
use super::super::{Listener, ServerConfig, serve};

#[test]
fn the_signal_closes_idle_connections_and_lets_the_others_finish() {
    with_server(ServerConfig::default(), async |harness| {
        let mut idle = harness.connect().await;
        idle.get("/hello").await;
        let mut busy = harness.connect().await;
        busy.send(get("/hold")).await;
        let mut uploading = harness.connect().await;
        uploading.send(post("/count", "Content-Length: 3")).await;
        harness.service.until(|service| service.calls.get() == 3).await;

        harness.shutdown.begin();
        assert_eq!(idle.rest().await, "");
        assert!(!harness.serving.is_finished());
        let (_, responder) = harness.service.held.borrow_mut().pop().unwrap();
        responder.send(Ok(Reply { status: 201, ..Reply::default() }));
        let answer = busy.answer().await;
        assert_eq!((answer.status, answer.field("connection")), (201, Some("close")));
        uploading.send("abc").await;
        assert_eq!(uploading.answer().await.text(), "3");
        assert_eq!(uploading.rest().await, "");
    });
}

#[test]
fn a_connection_ends_with_an_answer_that_is_to_be_its_last() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        assert_eq!(client.get("/hello").await.field("connection"), None);
        let answer = client.get("/last").await;
        assert_eq!((answer.text(), answer.field("connection")), ("hello", Some("close")));
        assert_eq!(client.rest().await, "");
    });
}

#[test]
fn a_server_that_drains_answers_one_more_request_of_an_idle_connection() {
    with_server(ServerConfig::default(), async |harness| {
        let mut idle = harness.connect().await;
        idle.get("/hello").await;
        let mut fresh = harness.connect().await;
        fresh.send("GE").await;
        let mut silent = harness.connect().await;
        let mut served = harness.connect().await;
        served.get("/hello").await;
        harness.shutdown.drain();
        let answer = idle.get("/hello").await;
        assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
        assert_eq!(idle.rest().await, "");
        fresh.send("T /hello HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(fresh.answer().await.field("connection"), Some("close"));
        assert!(!harness.serving.is_finished());
        // Those that want nothing are closed in the end.
        assert_eq!((served.rest().await, silent.rest().await), (String::new(), String::new()));
        harness.service.until(|_| harness.serving.is_finished()).await;
    });
}

#[test]
fn a_server_that_is_dropped_ends_its_calls() {
    with_server(ServerConfig::default(), async |harness| {
        let mut client = harness.connect().await;
        client.send(get("/hold")).await;
        harness.service.until(|service| !service.held.borrow().is_empty()).await;
        harness.shutdown.begin();
        harness.serving.abort();
        assert_eq!(client.rest().await, "");
        assert_eq!(harness.service.outcome().await.status, None);
    });
}

#[test]
fn a_unix_socket_is_served_too() {
    on_a_loop(async {
        let folder = std::env::temp_dir().join(format!("nexus-http-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("socket");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let same = listener.try_clone().unwrap();
        let (_, server) = server(ServerConfig::default());
        let shutdown = server.shutdown.clone();
        let serving = spawn_local(async move { serve(Listener::Unix(&listener), server).await });
        let mut client = UnixStream::connect(&path).await.unwrap();
        client.write_all(b"GET /info HTTP/1.0\r\n\r\n").await.unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        assert!(text.contains("client: Unix") && text.contains("http://localhost/info"), "{text}");
        // The host closes the socket before it tells whoever accepts from it, and the thread has other things to do.
        socket2::SockRef::from(&same).shutdown(std::net::Shutdown::Both).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert!(UnixStream::connect(&path).await.is_err());
        shutdown.begin();
        serving.await.unwrap().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    });
}
