//! HTTP/1.1: bodies of requests.

#![allow(clippy::unwrap_used)]

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use common::*;
use nexus_core::Limit;
use nexus_guest::{Body, BodyError, HttpError, pipe};
use tokio::io::AsyncReadExt;
use tokio::task::spawn_local;
use tokio::time::sleep;

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

#[test]
fn an_upload_that_goes_on_extends_the_time_for_the_response() {
    run(async {
        let peer = peer(|_, mut stream| async move {
            head(&mut stream).await;
            let mut body = [0; 5];
            stream.read_exact(&mut body).await.unwrap();
            say(&mut stream, HELLO).await;
        })
        .await;
        let client = client(&[(Limit::FirstByte, 200)]);
        let (writer, body) = pipe(100, Some(5));
        let sent = spawn_local(client.http.send(request("POST", &peer.url("/"), body)));
        for letter in ["h", "e", "l", "l", "o"] {
            sleep(Duration::from_millis(120)).await;
            writer.write(Bytes::from(letter));
        }
        assert_eq!(sent.await.unwrap().unwrap().status, 200);
        let (_writer, body) = pipe(100, Some(5));
        let error = client.send(request("POST", &peer.url("/"), body)).await.unwrap_err();
        assert_eq!(error, HttpError::Limit(Limit::FirstByte, 200));
    });
}

#[test]
fn uploads_have_their_length_or_are_chunked() {
    run(async {
        let heads = Rc::new(std::cell::RefCell::new(Vec::new()));
        let seen = heads.clone();
        let peer = peer(move |_, mut stream| {
            let seen = seen.clone();
            async move {
                while let Some(head) = head(&mut stream).await {
                    let mut body = vec![0; if head.contains("chunked") { 15 } else { 5 }];
                    stream.read_exact(&mut body).await.unwrap();
                    seen.borrow_mut().push((head, String::from_utf8(body).unwrap()));
                    say(&mut stream, HELLO).await;
                }
            }
        })
        .await;
        let client = client(&[]);
        let source = |length| {
            let mut chunks = vec![Bytes::from("hello")].into_iter();
            Body::Stream(Box::new(Source { chunks: Box::new(move || chunks.next().map(Ok)), length }))
        };
        for (body, framing, sent) in [
            (Body::Full(Bytes::from("hello")), "content-length: 5", "hello"),
            (source(Some(5)), "content-length: 5", "hello"),
            (source(None), "transfer-encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ] {
            let response = client.send(request("GET", &peer.url("/"), body)).await.unwrap();
            read(response.body).await.1.unwrap();
            let (head, body) = heads.borrow_mut().pop().unwrap();
            assert!(head.contains(&format!("\r\n{framing}\r\n")), "{head}");
            assert_eq!(body, sent);
        }
        assert_eq!(peer.connections.get(), 1);
    });
}

#[test]
fn an_upload_that_fails_breaks_the_exchange_off() {
    run(async {
        let peer = peer(|_, mut stream| async move { closed(&mut stream).await }).await;
        let client = client(&[]);
        let mut chunks = vec![Ok(Bytes::from("a")), Err(BodyError::Aborted)].into_iter();
        let failing = Source { chunks: Box::new(move || chunks.next()), length: None };
        let mut chunks = vec![Ok(Bytes::from("a"))].into_iter();
        let short = Source { chunks: Box::new(move || chunks.next()), length: Some(2) };
        let mut chunks = vec![Ok(Bytes::from("abc"))].into_iter();
        let long = Source { chunks: Box::new(move || chunks.next()), length: Some(2) };
        for source in [failing, short, long] {
            let request = request("POST", &peer.url("/"), Body::Stream(Box::new(source)));
            let error = client.send(request).await.unwrap_err();
            assert!(matches!(error, HttpError::Body(_)), "{error:?}");
        }
    });
}

#[test]
fn an_upload_waits_for_the_peer() {
    run(async {
        let (go, went) = tokio::sync::oneshot::channel::<()>();
        let went = Rc::new(std::cell::RefCell::new(Some(went)));
        let peer = peer(move |_, mut stream| {
            let went = went.borrow_mut().take();
            async move {
                head(&mut stream).await;
                went.unwrap().await.unwrap();
                let mut buffer = vec![0; 1 << 20];
                let mut end = Vec::new();
                while !end.ends_with(b"0\r\n\r\n") {
                    let n = stream.read(&mut buffer).await.unwrap();
                    end = buffer[n.saturating_sub(5)..n].to_vec();
                }
                say(&mut stream, HELLO).await;
            }
        })
        .await;
        let client = client(&[(Limit::FirstByte, 10_000)]);
        let pulled = Rc::new(Cell::new(0usize));
        let counted = pulled.clone();
        let chunks = move || {
            counted.set(counted.get() + 1);
            (counted.get() <= 1024).then(|| Ok(Bytes::from(vec![b'x'; 64 << 10])))
        };
        let source = Body::Stream(Box::new(Source { chunks: Box::new(chunks), length: None }));
        let sent = client.http.send(request("POST", &peer.url("/"), source));
        let sent = spawn_local(sent);
        sleep(Duration::from_millis(200)).await;
        // What the kernel's buffers hold is some megabytes.
        assert!(pulled.get() < 300, "{} chunks were pulled", pulled.get());
        go.send(()).unwrap();
        assert_eq!(sent.await.unwrap().unwrap().status, 200);
        assert_eq!(pulled.get(), 1025);
    });
}

#[test]
fn a_response_that_comes_early_leaves_the_upload_going() {
    run(async {
        let peer = peer(|_, mut stream| async move {
            head(&mut stream).await;
            say(&mut stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nearly\r\n").await;
            let mut rest = vec![0; 10];
            stream.read_exact(&mut rest).await.unwrap();
            say(&mut stream, "4\r\nlate\r\n0\r\n\r\n").await;
            closed(&mut stream).await;
        })
        .await;
        let client = client(&[]);
        let (writer, body) = pipe(100, None);
        let mut response = client.send(request("POST", &peer.url("/"), body)).await.unwrap();
        assert_eq!(chunk(&mut response.body).await.unwrap().unwrap(), "early");
        writer.write(Bytes::from("hello"));
        assert_eq!(chunk(&mut response.body).await.unwrap().unwrap(), "late");
        assert_eq!(chunk(&mut response.body).await, None);
        settle().await;
        // The response is over, so nobody waits for the rest, and the connection is not used again.
        assert_eq!(writer.write(Bytes::from("more")), nexus_guest::PipeState::Closed);
        spawn_local(async move { client.get(&peer.url("/")).await });
        settle().await;
    });
}
