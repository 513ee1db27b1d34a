//! What the program is made of.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::process::Command;

/// Packages that TLS can have its cryptography from, and other implementations of TLS.
const CRYPTOGRAPHY: [&str; 12] = [
    "aws-lc-fips-sys",
    "aws-lc-rs",
    "boring",
    "graviola",
    "mbedtls",
    "native-tls",
    "openssl",
    "openssl-sys",
    "ring",
    "rustls-openssl",
    "rustls-rustcrypto",
    "wolfssl",
];

#[test]
fn the_program_has_one_provider_of_cryptography() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--locked", "--offline", "--package", "nexus-cli", "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    // Name and version; a package that was listed before has a star.
    let packages: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let names: Vec<&str> = packages.iter().filter_map(|package| package.split(' ').next()).collect();
    let of = |wanted: &[&str]| {
        let found = names.iter().copied().filter(|name| wanted.contains(name));
        found.collect::<Vec<_>>()
    };
    assert_eq!(of(&CRYPTOGRAPHY), ["aws-lc-rs"]);
    assert_eq!(of(&["rustls"]), ["rustls"], "one version");
}
