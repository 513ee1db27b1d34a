//! What is taken from an app while it runs: its next request is decided anew, whatever connections it has.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::secure::*;
use common::*;
use hyper::Response;
use nexus_core::{Access, AppName, OutboundSection};
use nexus_guest::{Capability, GrantPolicy, GrantRule, Grants, HttpError};
use tokio::net::TcpListener;
use tokio::task::spawn_local;
use tokio::time::sleep;

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// A registry, and a client of an app that asks for these hosts and gets them.
fn registered(config: &OutboundSection, asked: &[&str]) -> (Grants, Client) {
    let (grants, mut manifest) = (Grants::default(), asking_for(asked));
    grants.enter(GrantPolicy::All, &mut manifest);
    (grants, client_of(config, manifest))
}

fn rule(grants: &Grants, entry: &str, given: Option<Access>) {
    let app = AppName::parse("test").unwrap();
    let scope = Capability::Net.scope(entry, &app).unwrap();
    grants.rule(GrantRule { app, capability: Capability::Net, scope, given });
}

async fn denied(client: &Client, url: &str) -> String {
    let error = client.get(url).await.unwrap_err();
    let HttpError::Denied(denied) = error else { panic!("{error:?}") };
    assert_eq!(client.told.denied.borrow_mut().pop().unwrap(), denied);
    denied.to_string()
}

#[test]
fn a_request_over_an_idle_connection_is_decided_anew() {
    run(async {
        let peer = answering(HELLO).await;
        let (grants, client) = registered(&OutboundSection::default(), &["127.0.0.1"]);
        assert_eq!(client.text(&peer.url("/")).await, "hello");
        assert_eq!(client.text(&peer.url("/")).await, "hello");
        rule(&grants, "127.0.0.1", None);
        let told = denied(&client, &peer.url("/")).await;
        assert!(told.ends_with("`nexus grants add test net 127.0.0.1` gives it"), "{told}");
        rule(&grants, "127.0.0.1", Some(Access::Write));
        assert_eq!(client.text(&peer.url("/")).await, "hello");
        assert_eq!(peer.connections.get(), 1);
    });
}

#[test]
fn a_connection_goes_on_to_no_address_that_was_taken_away() {
    run(async {
        let (server, _) = name_server(|_| vec!["127.0.0.1".parse().unwrap()]).await;
        let config = OutboundSection { name_servers: vec![server], ..OutboundSection::default() };
        let peer = answering(HELLO).await;
        let (grants, client) = registered(&config, &["db.example", "127.0.0.0/8"]);
        let url = format!("http://db.example:{}/", peer.port);
        assert_eq!(client.text(&url).await, "hello");
        // Its name is granted as before, and it has an idle connection.
        rule(&grants, "127.0.0.0/8", None);
        let told = denied(&client, &url).await;
        assert!(told.contains("is not a public one") && told.contains("net 127.0.0.0/8`"), "{told}");
        rule(&grants, "127.0.0.0/8", Some(Access::Read));
        assert_eq!(client.text(&url).await, "hello");
        assert_eq!(peer.connections.get(), 2);
    });
}

#[test]
fn a_response_that_has_begun_goes_on() {
    run(async {
        let peer = peer(|_, mut stream| async move {
            head(&mut stream).await.unwrap();
            say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
            sleep(Duration::from_millis(50)).await;
            say(&mut stream, "world").await;
        })
        .await;
        let (grants, client) = registered(&OutboundSection::default(), &["127.0.0.1"]);
        let mut response = client.get(&peer.url("/")).await.unwrap();
        assert_eq!(chunk(&mut response.body).await.unwrap().unwrap(), Bytes::from("hello"));
        rule(&grants, "127.0.0.1", None);
        denied(&client, &peer.url("/")).await;
        assert_eq!(read(response.body).await, ("world".to_owned(), Ok(())));
    });
}

#[test]
fn what_is_given_to_a_deployed_app_is_there_at_once() {
    run(async {
        let peer = answering(HELLO).await;
        let (grants, mut manifest) = (Grants::default(), asking_for(&["127.0.0.1"]));
        grants.enter(GrantPolicy::Own(vec![]), &mut manifest);
        manifest.permissions.net.ceiling = Some(vec!["127.0.0.0/8".parse().unwrap()]);
        let client = client_of(&OutboundSection::default(), manifest);
        denied(&client, &peer.url("/")).await;
        rule(&grants, "127.0.0.1", Some(Access::Write));
        assert_eq!(client.text(&peer.url("/")).await, "hello");
        // Nobody has asked for this one.
        rule(&grants, "127.0.0.2", Some(Access::Write));
        let told = denied(&client, "http://127.0.0.2:1/").await;
        assert!(told.ends_with("under [permissions] in nexus.toml"), "{told}");
    });
}

#[test]
fn who_waits_for_a_connection_is_decided_on_when_there_is_one() {
    run(async {
        // It takes one connection, and answers late.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
        spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            while head(&mut stream).await.is_some() {
                sleep(Duration::from_millis(100)).await;
                say(&mut stream, HELLO).await;
            }
        });
        let (grants, mut manifest) = (Grants::default(), asking_for(&["127.0.0.1"]));
        manifest.limits.set(nexus_core::Limit::OutboundConnections, 1);
        grants.enter(GrantPolicy::All, &mut manifest);
        let client = std::rc::Rc::new(client_of(&OutboundSection::default(), manifest));
        let (other, same) = (client.clone(), url.clone());
        let first = spawn_local(async move { other.text(&same).await });
        sleep(Duration::from_millis(20)).await;
        let (other, same) = (client.clone(), url.clone());
        let second = spawn_local(async move { other.get(&same).await.map(|response| response.status) });
        sleep(Duration::from_millis(20)).await;
        rule(&grants, "127.0.0.1", None);
        assert_eq!(first.await.unwrap(), "hello");
        assert!(matches!(second.await.unwrap(), Err(HttpError::Denied(_))));
    });
}

#[test]
fn a_shared_connection_ends_with_what_it_has_when_its_address_is_taken_away() {
    run(async {
        let authority = authority("grants");
        let peer = h2_peer(authority.acceptor(&["h2"], |_| {}), 100, |_| async {
            sleep(Duration::from_millis(50)).await;
            Response::builder().body(whole("hello")).unwrap()
        })
        .await;
        // Every name, and for this one the address.
        let (grants, client) = registered(&authority.config(), &["*", "127.0.0.0/8"]);
        let (client, url) = (std::rc::Rc::new(client), secure_url(&peer, "/"));
        assert_eq!(client.text(&url).await, "hello");
        let (other, same) = (client.clone(), url.clone());
        let under_way = spawn_local(async move { other.text(&same).await });
        sleep(Duration::from_millis(20)).await;
        rule(&grants, "127.0.0.0/8", None);
        denied(&client, &url).await;
        assert_eq!(under_way.await.unwrap(), "hello");
        rule(&grants, "127.0.0.0/8", Some(Access::Write));
        assert_eq!(client.text(&url).await, "hello");
        assert_eq!(peer.connections.get(), 2);
    });
}
