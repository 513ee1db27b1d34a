//! Secure connections, and certificates that are not trusted.

#![allow(clippy::unwrap_used)]

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::secure::*;
use common::*;
use nexus_core::{Limit, OutboundSection};
use nexus_guest::HttpError;
use rcgen::{CertificateParams, SanType};

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

#[test]
fn http1_over_tls_uses_connections_again() {
    run(async {
        let authority = authority("http1");
        let acceptor = authority.acceptor(&["http/1.1"], |_| {});
        let peer = secure(acceptor, |mut stream| async move {
            while head(&mut stream).await.is_some() {
                say(&mut stream, HELLO).await;
            }
        })
        .await;
        let client = authority.client(&[]);
        for _ in 0..3 {
            assert_eq!(client.text(&secure_url(&peer, "/")).await, "hello");
        }
        assert_eq!(peer.connections.get(), 1);
        // A certificate for an address.
        assert_eq!(client.text(&format!("https://127.0.0.1:{}/", peer.port)).await, "hello");
    });
}

#[test]
fn certificates_that_are_not_trusted_are_told_apart() {
    run(async {
        let (known, unknown) = (authority("known"), authority("unknown"));
        let client = known.client(&[]);
        let long_ago = |params: &mut CertificateParams| {
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        };
        let not_yet = |params: &mut CertificateParams| {
            params.not_before = rcgen::date_time_ymd(3000, 1, 1);
            params.not_after = rcgen::date_time_ymd(3001, 1, 1);
        };
        let elsewhere = |params: &mut CertificateParams| {
            params.subject_alt_names = vec![SanType::DnsName("example.com".try_into().unwrap())];
        };
        for (acceptor, expected) in [
            (known.acceptor(&[], long_ago), "localhost: its certificate has expired"),
            (known.acceptor(&[], not_yet), "localhost: its certificate is not valid yet"),
            (known.acceptor(&[], elsewhere), "localhost: its certificate is for another name"),
            (
                unknown.acceptor(&[], |_| {}),
                "localhost: its certificate is from an authority that is not trusted",
            ),
        ] {
            let peer = secure(acceptor, |_| async {}).await;
            let error = client.get(&secure_url(&peer, "/")).await.unwrap_err();
            assert_eq!(error, HttpError::Tls(expected.to_owned()));
        }
        let plain = peer(|_, mut stream| async move {
            say(&mut stream, "HTTP/1.1 400 Bad Request\r\n\r\n").await;
            closed(&mut stream).await;
        })
        .await;
        let error = client.get(&secure_url(&plain, "/")).await.unwrap_err();
        assert_eq!(error, HttpError::Tls("localhost: the peer does not speak TLS here".to_owned()));
    });
}

#[test]
fn a_handshake_that_never_ends_is_given_up() {
    run(async {
        let authority = authority("silent");
        let silent = peer(|_, mut stream| async move { closed(&mut stream).await }).await;
        let client = authority.client(&[(Limit::Connect, 150)]);
        let error = client.get(&secure_url(&silent, "/")).await.unwrap_err();
        assert_eq!(error, HttpError::Limit(Limit::Connect, 150));
    });
}

#[test]
fn files_of_authorities_are_checked_at_the_start() {
    let told = |text: &str| {
        let file = std::env::temp_dir().join(format!("nexus-providers-{}-bad.pem", std::process::id()));
        std::fs::write(&file, text).unwrap();
        let config = OutboundSection { ca: vec![file.clone()], ..OutboundSection::default() };
        let error = nexus_providers::Outbound::new(&config).unwrap_err();
        std::fs::remove_file(&file).unwrap();
        error.strip_prefix(&format!("{}: ", file.display())).unwrap().to_owned()
    };
    assert!(told("").contains("no certificate"));
    assert!(told("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").contains("certificate 1"));
    assert_eq!(told("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"), "it is not valid PEM");
    let config = OutboundSection { ca: vec!["/nowhere/ca.pem".into()], ..OutboundSection::default() };
    assert!(nexus_providers::Outbound::new(&config).unwrap_err().starts_with("/nowhere/ca.pem: "));
}

#[test]
fn sessions_are_resumed_within_a_worker_and_not_between_them() {
    run(async {
        let authority = authority("resume");
        let kinds = Rc::new(RefCell::new(Vec::new()));
        let seen = kinds.clone();
        let peer = secure(authority.acceptor(&[], |_| {}), move |mut stream| {
            let seen = seen.clone();
            async move {
                head(&mut stream).await;
                seen.borrow_mut().push(format!("{:?}", stream.get_ref().1.handshake_kind().unwrap()));
                say(&mut stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello")
                    .await;
            }
        })
        .await;
        for _ in 0..2 {
            let client = authority.client(&[]);
            for _ in 0..2 {
                assert_eq!(client.text(&secure_url(&peer, "/")).await, "hello");
            }
        }
        assert_eq!(*kinds.borrow(), ["Full", "Resumed", "Full", "Resumed"]);
    });
}
