//! Answers that are published: of NIST and RFCs. What Wycheproof has is in `wycheproof.rs`.
#![allow(clippy::unwrap_used)]

use nexus_crypto::{
    Curve, Digest, EcNumbers, Error, Hash, Kind, Okp, Pkey, RsaNumbers, aes_wrap, hkdf, hmac, pbkdf2, random,
    timing_safe_equal,
};

fn aes_ctr(key: &[u8], counter: [u8; 16], bits: u32, data: &[u8]) -> Result<Vec<u8>, Error> {
    let mut result = vec![0; data.len()];
    nexus_crypto::aes_ctr(key, counter, bits, data, &mut result)?;
    Ok(result)
}

fn aes_gcm_encrypt(key: &[u8], iv: &[u8], also: &[u8], tag: usize, data: &[u8]) -> Result<Vec<u8>, Error> {
    let mut result = vec![0; data.len() + tag];
    nexus_crypto::aes_gcm_encrypt(key, iv, also, data, &mut result)?;
    Ok(result)
}

fn hex(text: &str) -> Vec<u8> {
    let text: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    text.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// FIPS 180-4's examples, by NIST.
#[test]
fn hashes_are_those_of_nist() {
    const TWO_BLOCKS: &[u8] = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    for (hash, data, expected) in [
        (Hash::Sha1, &b"abc"[..], "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (Hash::Sha1, TWO_BLOCKS, "84983e441c3bd26ebaae4aa1f95129e5e54670f1"),
        (Hash::Sha256, b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (Hash::Sha256, b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (Hash::Sha256, TWO_BLOCKS, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
        (
            Hash::Sha384,
            b"abc",
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            Hash::Sha512,
            b"abc",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ] {
        for size in [1, 7, data.len().max(1)] {
            let mut digest = Digest::new(hash).unwrap();
            data.chunks(size).for_each(|piece| digest.update(piece).unwrap());
            assert_eq!(digest.finish().unwrap(), hex(expected), "{hash:?}");
        }
    }
}

/// RFC 4231, sections 4.2, 4.3 and 4.7.
#[test]
fn hmac_is_that_of_rfc_4231() {
    for (key, data, expected) in [
        (
            vec![0x0b; 20],
            &b"Hi There"[..],
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe".to_vec(),
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            vec![0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ] {
        assert_eq!(hmac(Hash::Sha256, &key, data).unwrap(), hex(expected));
    }
}

/// RFC 5869, section A.1; RFC 6070; RFC 7914, section 11.
#[test]
fn derived_keys_are_those_of_the_rfcs() {
    let made =
        hkdf(Hash::Sha256, &[0x0b; 22], &hex("000102030405060708090a0b0c"), &hex("f0f1f2f3f4f5f6f7f8f9"), 42);
    let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
    assert_eq!(made.unwrap()[..], hex(expected));
    assert!(hkdf(Hash::Sha1, b"key", b"", b"", 255 * 20).is_ok());
    assert!(matches!(hkdf(Hash::Sha1, b"key", b"", b"", 255 * 20 + 1), Err(Error::Operation(_))));

    for (count, expected) in [
        (1, "0c60c80f961f0e71f3a9b524af6012062fe037a6"),
        (2, "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"),
        (4096, "4b007901b765489abead49d926f721d065a429c1"),
    ] {
        assert_eq!(pbkdf2(Hash::Sha1, b"password", b"salt", count, 20).unwrap()[..], hex(expected));
    }
    let made = pbkdf2(Hash::Sha256, b"passwd", b"salt", 1, 64).unwrap();
    assert_eq!(
        made[..],
        hex("55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc
             49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783")
    );
    assert!(matches!(pbkdf2(Hash::Sha1, b"password", b"salt", 0, 20), Err(Error::Operation(_))));
}

/// NIST SP 800-38A, sections F.5.1 and F.5.5; the GCM specification's test cases 1 and 2; RFC 3394, section 4.1.
#[test]
fn aes_is_that_of_nist_and_rfc_3394() {
    let text = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
    let counter: [u8; 16] = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").try_into().unwrap();
    let key = hex("2b7e151628aed2a6abf7158809cf4f3c");
    let made = hex("874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff");
    assert_eq!(aes_ctr(&key, counter, 128, &text).unwrap(), made);
    assert_eq!(aes_ctr(&key, counter, 64, &made).unwrap(), text);
    let key = hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
    let made = hex("601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5");
    assert_eq!(aes_ctr(&key, counter, 128, &text).unwrap(), made);

    let zeroes = [0; 16];
    assert_eq!(
        aes_gcm_encrypt(&zeroes, &zeroes[..12], b"", 16, b"").unwrap(),
        hex("58e2fccefa7e3061367f1d57a4e7455a")
    );
    assert_eq!(
        aes_gcm_encrypt(&zeroes, &zeroes[..12], b"", 12, &zeroes).unwrap(),
        hex("0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b2")
    );

    assert_eq!(
        aes_wrap(&hex("000102030405060708090a0b0c0d0e0f"), &hex("00112233445566778899aabbccddeeff")).unwrap(),
        hex("1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5")
    );
    for (key, data) in [(&[0; 15][..], &[0; 16][..]), (&[0; 16], &[0; 8]), (&[0; 16], &[0; 17])] {
        assert!(matches!(aes_wrap(key, data), Err(Error::Operation(_))));
    }
}

/// A counter of few bits begins anew and leaves what lies before it alone; one that would come twice is refused.
#[test]
fn a_counter_of_few_bits_counts_those_only() {
    let key = [7; 16];
    let block = |counter: [u8; 16]| aes_ctr(&key, counter, 128, &[0; 16]).unwrap();
    for bits in [1, 3, 7, 8, 12, 64, 127] {
        // All ones: one step from the beginning.
        let (last, mut first) = ([0xff; 16], [0xff; 16]);
        for bit in 0..bits {
            first[15 - bit / 8] &= !(1 << (bit % 8));
        }
        let made = aes_ctr(&key, last, bits as u32, &[0; 32]).unwrap();
        assert_eq!(made[..], [block(last), block(first)].concat(), "{bits}");
        let part = aes_ctr(&key, last, bits as u32, &[0; 19]).unwrap();
        assert_eq!(part[..], made[..19], "{bits}");
    }
    assert!(aes_ctr(&key, [0xff; 16], 1, &[0; 32]).is_ok());
    assert!(matches!(aes_ctr(&key, [0xff; 16], 1, &[0; 33]), Err(Error::Operation(_))));
    assert!(aes_ctr(&key, [0; 16], 8, &vec![0; 256 * 16]).is_ok());
    assert!(matches!(aes_ctr(&key, [9; 16], 8, &vec![0; 256 * 16 + 1]), Err(Error::Operation(_))));
    assert!(aes_ctr(&key, [0xff; 16], 128, b"").unwrap().is_empty());
    let short = nexus_crypto::aes_ctr(&key, [0; 16], 8, &[0; 16], &mut [0; 15]);
    assert!(matches!(short, Err(Error::Operation(_))));
}

/// Who decrypts what was changed gets nothing of it, and neither does who has no room for the result.
#[test]
fn what_is_not_authentic_is_not_given() {
    let (key, iv, text) = ([7; 32], [1; 12], [9; 100]);
    let made = aes_gcm_encrypt(&key, &iv, b"also", 16, &text).unwrap();
    for at in [0, 50, 99, 100, 115] {
        let mut changed = made.clone();
        changed[at] ^= 1;
        let mut result = [3; 100];
        let decrypted = nexus_crypto::aes_gcm_decrypt(&key, &iv, b"also", &changed, &mut result);
        assert!(matches!(decrypted, Err(Error::Operation(_))), "{at}");
        assert_eq!(result, [0; 100], "{at}");
    }
    for length in [0, 83, 116, 117] {
        let decrypted = nexus_crypto::aes_gcm_decrypt(&key, &iv, b"also", &made, &mut vec![0; length]);
        assert!(matches!(decrypted, Err(Error::Operation(_))), "{length}");
    }
    for length in [0, 99, 100, 117] {
        let encrypted = nexus_crypto::aes_gcm_encrypt(&key, &iv, b"also", &text, &mut vec![0; length]);
        assert!(matches!(encrypted, Err(Error::Operation(_))), "{length}");
    }
}

/// RFC 8032, section 7.1.
#[test]
fn ed25519_is_that_of_rfc_8032() {
    let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let key = Pkey::from_okp_private(Okp::Ed25519, &seed, None).unwrap();
    assert_eq!(
        key.okp_public().unwrap(),
        hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    );
    let signature = key.ed25519_sign(b"").unwrap();
    assert_eq!(
        signature,
        hex(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        )
    );
    assert_eq!(key.to_public().unwrap().ed25519_verify(&signature, b""), Ok(true));
    assert_eq!(key.okp_private().unwrap()[..], seed);
}

/// With a key of small order a signature of zeroes would be one of any data.
#[test]
fn points_of_small_order_verify_nothing() {
    let one = [&[1][..], &[0; 31]].concat();
    let key = Pkey::from_okp_public(Okp::Ed25519, &one).unwrap();
    for sign in [0, 0x80] {
        let mut signature = [&one[..], &[0; 32]].concat();
        signature[31] |= sign;
        assert_eq!(key.ed25519_verify(&signature, b"anything"), Ok(false));
    }
    let honest = Pkey::generate_okp(Okp::Ed25519).unwrap();
    let mut signature = honest.ed25519_sign(b"data").unwrap();
    assert_eq!(honest.ed25519_verify(&signature, b"data"), Ok(true));
    signature[..32].copy_from_slice(&one);
    assert_eq!(honest.ed25519_verify(&signature, b"data"), Ok(false));
}

/// What a key is written as is read as the same key.
#[test]
fn keys_are_read_as_they_were_written() {
    let mut keys = vec![Pkey::generate_rsa(2048, &[1, 0, 1], || true).unwrap()];
    keys.extend(Curve::ALL.map(|curve| Pkey::generate_ec(curve).unwrap()));
    keys.extend([Okp::Ed25519, Okp::X25519].map(|okp| Pkey::generate_okp(okp).unwrap()));
    for key in keys {
        assert!(key.is_private());
        let again = Pkey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
        assert_eq!((again.kind(), again.to_pkcs8().unwrap()), (key.kind(), key.to_pkcs8().unwrap()));
        let public = key.to_public().unwrap();
        let read = Pkey::from_spki(&key.to_spki().unwrap()).unwrap();
        assert!(!public.is_private() && !read.is_private());
        assert_eq!(read.to_spki().unwrap(), public.to_spki().unwrap());
        assert!(matches!(public.to_pkcs8(), Err(Error::Operation(_))));
        let numbered = match key.kind() {
            Kind::Rsa => {
                let (public, private) = (key.rsa_numbers().unwrap(), key.rsa_private_numbers().unwrap());
                Pkey::from_rsa(&public, Some(&private)).unwrap()
            }
            Kind::Ec(curve) => Pkey::from_ec(curve, &key.ec_numbers().unwrap()).unwrap(),
            Kind::Okp(okp) => {
                let public = key.okp_public().unwrap();
                Pkey::from_okp_private(okp, &key.okp_private().unwrap(), Some(&public)).unwrap()
            }
        };
        assert_eq!(numbered.to_pkcs8().unwrap(), key.to_pkcs8().unwrap());
    }
}

#[test]
fn what_is_no_key_is_refused() {
    let key = Pkey::generate_ec(Curve::P256).unwrap();
    let EcNumbers { x, y, d } = key.ec_numbers().unwrap();
    let data = |key: Result<Pkey, Error>| assert!(matches!(key, Err(Error::Data(_))), "{key:?}");
    let mut other = y.clone();
    other[31] ^= 1;
    data(Pkey::from_ec(Curve::P256, &EcNumbers { x: x.clone(), y: other, d: None }));
    data(Pkey::from_ec(Curve::P256, &EcNumbers { x: x[1..].to_vec(), y: y.clone(), d: None }));
    data(Pkey::from_ec(Curve::P384, &EcNumbers { x: x.clone(), y: y.clone(), d: None }));
    // Another key's private number.
    let of_other = Pkey::generate_ec(Curve::P256).unwrap().ec_numbers().unwrap().d;
    data(Pkey::from_ec(Curve::P256, &EcNumbers { x, y, d: of_other }));
    drop(d);
    data(Pkey::from_ec_point(Curve::P256, &[0]));
    data(Pkey::from_ec_point(Curve::P256, &[]));
    data(Pkey::from_okp_public(Okp::X25519, &[1; 31]));
    data(Pkey::from_okp_private(Okp::Ed25519, &[1; 33], None));
    data(Pkey::from_okp_private(Okp::Ed25519, &[1; 32], Some(&[2; 32])));
    data(Pkey::from_rsa(&RsaNumbers { n: vec![6], e: vec![2] }, None));
    let mut longer = key.to_spki().unwrap();
    longer.push(0);
    data(Pkey::from_spki(&longer));
    data(Pkey::from_spki(&key.to_pkcs8().unwrap()));
    data(Pkey::from_pkcs8(&key.to_spki().unwrap()));
    for (bits, exponent) in
        [(256, &[3][..]), (8193, &[3]), (1000, &[3]), (2048, &[2]), (2048, &[1]), (2048, &[1, 0, 0, 0, 1])]
    {
        assert!(
            matches!(Pkey::generate_rsa(bits, exponent, || true), Err(Error::Operation(_))),
            "{bits} {exponent:?}"
        );
    }
}

/// The library reads RSA keys without their public exponent, and without their factors.
#[test]
fn an_rsa_key_has_all_of_its_numbers_and_a_usual_length() {
    fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = u8::try_from(content.len()).unwrap();
        let head = if length < 128 { vec![tag, length] } else { vec![tag, 0x81, length] };
        [head, content].concat()
    }
    let pkcs8 = |n: &[u8], rest: [u8; 7]| {
        let numbers: Vec<_> = rest.iter().flat_map(|&number| [2, 1, number]).collect();
        let key = value(0x30, &[&[2, 1, 0], &value(2, &[n]), &numbers]);
        let algorithm = hex("300d06092a864886f70d0101010500");
        value(0x30, &[&[2, 1, 0], &algorithm, &value(4, &[&key])])
    };
    let long = [&[0][..], &[0xff; 64]].concat();
    for n in [&[15][..], &long] {
        for rest in [[0, 1, 0, 0, 0, 0, 0], [3, 1, 0, 0, 0, 0, 0], [3, 3, 5, 3, 1, 3, 2]] {
            let key = Pkey::from_pkcs8(&pkcs8(n, rest));
            assert!(matches!(key, Err(Error::Data(_))), "{n:?} {rest:?} {key:?}");
        }
    }
    let of = |n: Vec<u8>, e: Vec<u8>| Pkey::from_rsa(&RsaNumbers { n, e }, None);
    assert!(of([&[0xff; 1024][..]].concat(), vec![3]).is_ok());
    assert!(matches!(of(vec![0xff; 1026], vec![3]), Err(Error::Data(_))));
    assert!(matches!(of(vec![0xff; 32], vec![3]), Err(Error::Data(_))));
    assert!(matches!(of(vec![0xff; 256], vec![3; 5]), Err(Error::Data(_))));
    // What takes long to check is not checked.
    let key = Pkey::generate_rsa(1024, &[3], || true).unwrap();
    let mut private = key.rsa_private_numbers().unwrap();
    private.d = vec![0xff; 1 << 20].into();
    assert!(matches!(Pkey::from_rsa(&key.rsa_numbers().unwrap(), Some(&private)), Err(Error::Data(_))));
    assert!(matches!(Pkey::from_pkcs8(&vec![0x30; 1 << 20]), Err(Error::Data(_))));
    assert!(matches!(Pkey::from_spki(&vec![0x30; 1 << 20]), Err(Error::Data(_))));
}

#[test]
fn the_search_for_a_key_can_be_given_up() {
    let mut asked = 0;
    let made = Pkey::generate_rsa(8192, &[1, 0, 1], || {
        asked += 1;
        asked < 20
    });
    assert!(matches!(made, Err(Error::Operation(why)) if why.contains("in the time")), "{made:?}");
    assert_eq!(asked, 20);
}

#[test]
fn keys_do_only_what_they_are_for() {
    let (ec, okp) = (Pkey::generate_ec(Curve::P256).unwrap(), Pkey::generate_okp(Okp::X25519).unwrap());
    let public = ec.to_public().unwrap();
    assert!(public.ecdsa_sign(Hash::Sha256, b"").is_err());
    assert!(okp.ecdsa_sign(Hash::Sha256, b"").is_err() && okp.ed25519_sign(b"").is_err());
    assert!(ec.rsa_sign(Hash::Sha256, b"").is_err() && ec.x25519(&okp).is_err() && okp.ecdh(&ec).is_err());
    assert!(ec.ecdh(&Pkey::generate_ec(Curve::P384).unwrap()).is_err());
    assert!(public.ecdh(&ec).is_err());
    assert_eq!(public.ecdsa_verify(Hash::Sha256, &[0; 64], b""), Ok(false));
    assert_eq!(public.ecdsa_verify(Hash::Sha256, &[], b""), Ok(false));
}

#[test]
fn random_bytes_differ_and_equal_ones_are_equal() {
    let (mut a, mut b) = ([0; 32], [0; 32]);
    random(&mut a).unwrap();
    random(&mut b).unwrap();
    assert!(!timing_safe_equal(&a, &b) && timing_safe_equal(&a, &a.clone()));
    assert!(!timing_safe_equal(&a, &a[1..]) && timing_safe_equal(b"", b""));
}
