//! Each format of keys, with bytes that anybody may send: refused or read, and what is read can be written.
#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use nexus_crypto::{Curve, EcNumbers, Okp, Pkey, RsaNumbers, RsaPrivateNumbers, Secret};
use proptest::prelude::*;

/// Keys of all kinds, as SPKI and as PKCS #8.
static KEYS: LazyLock<Vec<(Vec<u8>, Vec<u8>)>> = LazyLock::new(|| {
    let mut keys = vec![Pkey::generate_rsa(1024, &[1, 0, 1], || true).unwrap()];
    keys.extend(Curve::ALL.map(|curve| Pkey::generate_ec(curve).unwrap()));
    keys.extend([Okp::Ed25519, Okp::X25519].map(|okp| Pkey::generate_okp(okp).unwrap()));
    keys.iter().map(|key| (key.to_spki().unwrap(), key.to_pkcs8().unwrap().to_vec())).collect()
});

/// Bytes with some of them changed, cut out or put in.
fn changed(bytes: &[u8], changes: &[(usize, u8, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for &(at, how, value) in changes {
        let at = at % (bytes.len() + 1);
        match how % 4 {
            0 => bytes.insert(at, value),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => bytes.truncate(at),
            _ if at < bytes.len() => bytes[at] ^= value,
            _ => {}
        }
    }
    bytes
}

fn use_all(key: &Pkey) {
    key.to_spki().unwrap();
    let _ = (key.rsa_numbers(), key.ec_numbers(), key.okp_public(), key.ec_point());
    let _ = (
        key.rsa_verify(nexus_crypto::Hash::Sha256, b"s", b"d"),
        key.ecdsa_verify(nexus_crypto::Hash::Sha1, &[1; 64], b""),
    );
    if key.is_private() {
        key.to_pkcs8().unwrap();
        let _ = key.rsa_private_numbers();
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..140)
}

/// With the zeroes, what the library does in constant time would take hours.
#[test]
fn zeroes_before_numbers_cost_nothing() {
    let wide = |number: &[u8]| [&[0; 1 << 20][..], number].concat();
    let key = Pkey::generate_rsa(1024, &wide(&[1, 0, 1]), || true).unwrap();
    let RsaNumbers { n, e } = key.rsa_numbers().unwrap();
    let RsaPrivateNumbers { d, p, q, dp, dq, qi } = key.rsa_private_numbers().unwrap();
    let public = RsaNumbers { n: wide(&n), e: wide(&e) };
    let secret = |number: Secret| Secret::new(wide(&number));
    let private = RsaPrivateNumbers {
        d: secret(d),
        p: secret(p),
        q: secret(q),
        dp: secret(dp),
        dq: secret(dq),
        qi: secret(qi),
    };
    let again = Pkey::from_rsa(&public, Some(&private)).unwrap();
    assert_eq!(again.to_pkcs8().unwrap()[..], key.to_pkcs8().unwrap()[..]);
    let again = Pkey::from_rsa(&public, None).unwrap();
    assert_eq!(again.to_spki().unwrap(), key.to_spki().unwrap());
}

proptest! {
    #[test]
    fn der_that_was_changed_is_refused_or_read(
        which in 0..6usize,
        changes in proptest::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..4),
    ) {
        let (spki, pkcs8) = &KEYS[which];
        if let Ok(key) = Pkey::from_spki(&changed(spki, &changes)) {
            use_all(&key);
        }
        if let Ok(key) = Pkey::from_pkcs8(&changed(pkcs8, &changes)) {
            use_all(&key);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in bytes()) {
        let read = [Pkey::from_spki(&bytes), Pkey::from_pkcs8(&bytes)]
            .into_iter()
            .chain(Curve::ALL.map(|curve| Pkey::from_ec_point(curve, &bytes)))
            .chain([Okp::Ed25519, Okp::X25519].map(|okp| Pkey::from_okp_public(okp, &bytes)))
            .chain([Okp::Ed25519, Okp::X25519].map(|okp| Pkey::from_okp_private(okp, &bytes, None)));
        read.flatten().for_each(|key| use_all(&key));
    }

    #[test]
    fn any_numbers_are_refused_or_read(n in bytes(), e in bytes(), d in bytes(), p in bytes(), q in bytes()) {
        let secret = |bytes: &[u8]| Secret::new(bytes.to_vec());
        let public = RsaNumbers { n: n.clone(), e: e.clone() };
        let private = RsaPrivateNumbers {
            d: secret(&d), p: secret(&p), q: secret(&q), dp: secret(&d), dq: secret(&p), qi: secret(&q),
        };
        for key in [Pkey::from_rsa(&public, None), Pkey::from_rsa(&public, Some(&private))].into_iter().flatten() {
            use_all(&key);
        }
        for curve in Curve::ALL {
            let numbers = EcNumbers { x: n.clone(), y: e.clone(), d: Some(secret(&d)) };
            if let Ok(key) = Pkey::from_ec(curve, &numbers) {
                use_all(&key);
            }
        }
    }
}
