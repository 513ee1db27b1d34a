//! Whose certificate authorities are trusted: those in the program, or the system's.

#![allow(clippy::unwrap_used)]

mod common;

use std::process::Command;

use common::secure::*;
use common::*;
use nexus_core::{OutboundSection, Roots};
use nexus_guest::HttpError;

/// Where a process of this test sends its requests.
const URL: &str = "NEXUS_TEST_ROOTS_URL";

/// The two variables in which OpenSSL, and all who read the system's authorities as it does, are told of others.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The variables are read from the process's environment, so the requests come from a process of their own: the same
/// test once more.
#[test]
fn the_systems_authorities_are_trusted_only_where_the_configuration_says_so() {
    if let Ok(url) = std::env::var(URL) {
        return run(ask(url));
    }
    let authority = authority("system");
    let folder = std::env::temp_dir().join(format!("nexus-providers-{}-roots", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    // Named as in such folders, by a hash; nobody computes it.
    std::fs::copy(authority.file(), folder.join("0123abcd.0")).unwrap();
    for (variable, value) in VARIABLES.into_iter().zip([authority.file(), &folder]) {
        run(async {
            let peer = secure(authority.acceptor(&["http/1.1"], |_| {}), |mut stream| async move {
                head(&mut stream).await;
                say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
            })
            .await;
            let mut command = Command::new(std::env::current_exe().unwrap());
            for variable in VARIABLES {
                command.env_remove(variable);
            }
            command.args([
                "--exact",
                "the_systems_authorities_are_trusted_only_where_the_configuration_says_so",
            ]);
            command.env(URL, secure_url(&peer, "/")).env(variable, value);
            let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
            assert!(output.status.success(), "{variable}: {}", String::from_utf8_lossy(&output.stdout));
            assert_eq!(peer.connections.get(), 2, "{variable}");
        });
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

async fn ask(url: String) {
    let client =
        |roots| client_with(&OutboundSection { roots, ..OutboundSection::default() }, &["localhost"], &[]);
    assert_eq!(client(Roots::Platform).text(&url).await, "hello");
    let error = client(Roots::Bundled).get(&url).await.unwrap_err();
    let expected = "localhost: its certificate is from an authority that is not trusted";
    assert_eq!(error, HttpError::Tls(expected.to_owned()));
}
