//! The vectors of Project Wycheproof: what is right, and what looks nearly so. <https://github.com/C2SP/wycheproof>
#![allow(clippy::unwrap_used)]

use nexus_crypto::{
    Curve, Error, Hash, Okp, Pkey, aes_gcm_decrypt, aes_gcm_encrypt, aes_unwrap, aes_wrap, hkdf, hmac, pbkdf2,
};
use wycheproof::{
    EllipticCurve, HashFunction, TestResult, aead, ecdh, ecdsa, eddsa, hkdf as hkdf_set, keywrap, mac,
    pbkdf2 as pbkdf2_set, rsa_oaep, rsa_pkcs1_verify, rsa_pss_verify, xdh,
};

/// Counts what was looked at, so that a set which says nothing is noticed.
#[derive(Default)]
struct Seen {
    valid: usize,
    invalid: usize,
}

impl Seen {
    /// `holds`: whether what was tried turned out as it must for a valid one.
    #[track_caller]
    fn look(&mut self, result: TestResult, holds: bool, which: impl std::fmt::Display) {
        match result {
            TestResult::Valid => {
                assert!(holds, "{which}: a valid one is refused");
                self.valid += 1;
            }
            TestResult::Invalid => {
                assert!(!holds, "{which}: an invalid one is taken");
                self.invalid += 1;
            }
            TestResult::Acceptable => {}
        }
    }

    #[track_caller]
    fn has_seen(&self, valid: usize, invalid: usize) {
        assert!(
            self.valid >= valid && self.invalid >= invalid,
            "{} valid, {} invalid",
            self.valid,
            self.invalid
        );
    }
}

fn hash(function: HashFunction) -> Hash {
    match function {
        HashFunction::Sha1 => Hash::Sha1,
        HashFunction::Sha2_256 => Hash::Sha256,
        HashFunction::Sha2_384 => Hash::Sha384,
        HashFunction::Sha2_512 => Hash::Sha512,
        other => panic!("{other:?}"),
    }
}

#[test]
fn aes_gcm_is_right_about_all_vectors() {
    let mut seen = Seen::default();
    for group in aead::TestSet::load(aead::TestName::AesGcm).unwrap().test_groups {
        let tag = group.tag_size / 8;
        for test in group.tests {
            let both = [&test.ct[..], &test.tag[..]].concat();
            let mut text = vec![0; both.len() - tag];
            let decrypted = aes_gcm_decrypt(&test.key, &test.nonce, &test.aad, &both, &mut text);
            seen.look(test.result, decrypted.is_ok() && text[..] == test.pt[..], test.tc_id);
            let mut made = vec![0; test.pt.len() + tag];
            let encrypted = aes_gcm_encrypt(&test.key, &test.nonce, &test.aad, &test.pt, &mut made);
            if test.result == TestResult::Valid {
                encrypted.unwrap();
                assert_eq!(made, both, "{}", test.tc_id);
            } else if test.nonce.is_empty() {
                assert!(matches!(encrypted, Err(Error::Operation(_))));
            }
        }
    }
    seen.has_seen(200, 80);
}

#[test]
fn aes_kw_is_right_about_all_vectors() {
    let mut seen = Seen::default();
    for group in keywrap::TestSet::load(keywrap::TestName::AesKeyWrap).unwrap().test_groups {
        for test in group.tests {
            let unwrapped = aes_unwrap(&test.key, &test.ct);
            seen.look(test.result, unwrapped.as_ref().is_ok_and(|key| key[..] == test.pt[..]), test.tc_id);
            if test.result == TestResult::Valid {
                assert_eq!(aes_wrap(&test.key, &test.pt).unwrap(), test.ct[..], "{}", test.tc_id);
            }
        }
    }
    seen.has_seen(30, 100);
}

#[test]
fn hmac_is_right_about_all_vectors() {
    use mac::TestName::{HmacSha1, HmacSha256, HmacSha384, HmacSha512};
    let mut seen = Seen::default();
    for (name, hash) in [
        (HmacSha1, Hash::Sha1),
        (HmacSha256, Hash::Sha256),
        (HmacSha384, Hash::Sha384),
        (HmacSha512, Hash::Sha512),
    ] {
        for group in mac::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let code = hmac(hash, &test.key, &test.msg).unwrap();
                // Some are the beginnings only.
                let holds = code[..group.tag_size / 8] == test.tag[..];
                seen.look(test.result, holds, test.tc_id);
            }
        }
    }
    seen.has_seen(200, 200);
}

#[test]
fn hkdf_and_pbkdf2_are_right_about_all_vectors() {
    use hkdf_set::TestName as H;
    use pbkdf2_set::TestName as P;
    let mut seen = Seen::default();
    for (name, hash) in [
        (H::HkdfSha1, Hash::Sha1),
        (H::HkdfSha256, Hash::Sha256),
        (H::HkdfSha384, Hash::Sha384),
        (H::HkdfSha512, Hash::Sha512),
    ] {
        for test in hkdf_set::TestSet::load(name).unwrap().test_groups.into_iter().flat_map(|g| g.tests) {
            let made = hkdf(hash, &test.ikm, &test.salt, &test.info, test.size);
            seen.look(test.result, made.is_ok_and(|key| key[..] == test.okm[..]), test.tc_id);
        }
    }
    for (name, hash) in [
        (P::Pbkdf2HmacSha1, Hash::Sha1),
        (P::Pbkdf2HmacSha256, Hash::Sha256),
        (P::Pbkdf2HmacSha384, Hash::Sha384),
        (P::Pbkdf2HmacSha512, Hash::Sha512),
    ] {
        for test in pbkdf2_set::TestSet::load(name).unwrap().test_groups.into_iter().flat_map(|g| g.tests) {
            let count = u32::try_from(test.iteration_count).unwrap();
            let made = pbkdf2(hash, &test.password, &test.salt, count, test.dk_len);
            seen.look(test.result, made.is_ok_and(|key| key[..] == test.dk[..]), test.tc_id);
        }
    }
    seen.has_seen(300, 5);
}

#[test]
fn ecdsa_is_right_about_all_vectors() {
    use ecdsa::TestName::{
        EcdsaSecp256r1Sha256P1363, EcdsaSecp256r1Sha512P1363, EcdsaSecp384r1Sha384P1363,
        EcdsaSecp384r1Sha512P1363, EcdsaSecp521r1Sha512P1363,
    };
    let mut seen = Seen::default();
    for name in [
        EcdsaSecp256r1Sha256P1363,
        EcdsaSecp256r1Sha512P1363,
        EcdsaSecp384r1Sha384P1363,
        EcdsaSecp384r1Sha512P1363,
        EcdsaSecp521r1Sha512P1363,
    ] {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let key = Pkey::from_spki(&group.der).unwrap();
            assert_eq!(key.to_spki().unwrap(), group.der[..]);
            for test in group.tests {
                let holds = key.ecdsa_verify(hash(group.hash), &test.sig, &test.msg);
                seen.look(test.result, holds == Ok(true), format!("{name:?} {}", test.tc_id));
            }
        }
    }
    seen.has_seen(1000, 400);
}

#[test]
fn ed25519_is_right_about_all_vectors() {
    let mut seen = Seen::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let key = Pkey::from_spki(&group.der).unwrap();
        assert_eq!(key.okp_public().unwrap(), group.key.pk[..]);
        for test in group.tests {
            let holds = key.ed25519_verify(&test.sig, &test.msg);
            seen.look(test.result, holds == Ok(true), test.tc_id);
        }
    }
    seen.has_seen(80, 50);
}

#[test]
fn rsa_signatures_are_right_about_all_vectors() {
    use rsa_pkcs1_verify::TestName as P;
    use rsa_pss_verify::TestName as S;
    let mut seen = Seen::default();
    for name in [
        P::Rsa2048Sha256,
        P::Rsa2048Sha384,
        P::Rsa2048Sha512,
        P::Rsa3072Sha256,
        P::Rsa3072Sha384,
        P::Rsa3072Sha512,
        P::Rsa4096Sha256,
        P::Rsa4096Sha512,
        P::Rsa8192Sha256,
    ] {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let key = Pkey::from_spki(&group.der).unwrap();
            for test in group.tests {
                let holds = key.rsa_verify(hash(group.hash), &test.sig, &test.msg);
                seen.look(test.result, holds == Ok(true), format!("{name:?} {}", test.tc_id));
            }
        }
    }
    for name in [
        S::RsaPss2048Sha1Mgf1SaltLen20,
        S::RsaPss2048Sha256Mgf1SaltLen0,
        S::RsaPss2048Sha256Mgf1SaltLen32,
        S::RsaPss2048Sha384Mgf1SaltLen48,
        S::RsaPss3072Sha256Mgf1SaltLen32,
        S::RsaPss4096Sha256Mgf1SaltLen32,
        S::RsaPss4096Sha384Mgf1SaltLen48,
        S::RsaPss4096Sha512Mgf1SaltLen32,
        S::RsaPss4096Sha512Mgf1SaltLen64,
    ] {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let key = Pkey::from_spki(&group.der).unwrap();
            let salt = u32::try_from(group.salt_size).unwrap();
            for test in group.tests {
                let holds = key.pss_verify(hash(group.hash), salt, &test.sig, &test.msg);
                seen.look(test.result, holds == Ok(true), format!("{name:?} {}", test.tc_id));
            }
        }
    }
    seen.has_seen(300, 1500);
}

#[test]
fn rsa_oaep_is_right_about_all_vectors() {
    use rsa_oaep::TestName as O;
    let mut seen = Seen::default();
    for name in [
        O::Rsa2048Sha1Mgf1Sha1,
        O::Rsa2048Sha256Mgf1Sha256,
        O::Rsa2048Sha384Mgf1Sha384,
        O::Rsa2048Sha512Mgf1Sha512,
        O::Rsa3072Sha256Mgf1Sha256,
        O::Rsa3072Sha512Mgf1Sha512,
    ] {
        for group in rsa_oaep::TestSet::load(name).unwrap().test_groups {
            let key = Pkey::from_pkcs8(&group.pkcs8).unwrap();
            let (hash, public) = (hash(group.hash), key.to_public().unwrap());
            for test in group.tests {
                let decrypted = key.oaep_decrypt(hash, &test.label, &test.ct);
                seen.look(
                    test.result,
                    decrypted.as_ref().is_ok_and(|text| text[..] == test.pt[..]),
                    format!("{name:?} {}", test.tc_id),
                );
                if let Ok(text) = decrypted {
                    let again = public.oaep_encrypt(hash, &test.label, &text).unwrap();
                    assert_eq!(key.oaep_decrypt(hash, &test.label, &again).unwrap(), text);
                }
            }
        }
    }
    seen.has_seen(90, 100);
}

/// A private number as long as its curve's, from one with any zeroes in front.
fn padded(number: &[u8], size: usize) -> Vec<u8> {
    let start = number.iter().position(|&byte| byte != 0).unwrap_or(number.len());
    let number = &number[start..];
    [&vec![0; size.saturating_sub(number.len())], number].concat()
}

/// The `PrivateKeyInfo` of a curve's private number.
fn pkcs8(curve: Curve, number: &[u8]) -> Vec<u8> {
    fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let length = u8::try_from(content.len()).unwrap();
        let head = if length < 128 { vec![tag, length] } else { vec![tag, 0x81, length] };
        [head, content].concat()
    }
    let of_curve: &[u8] = match curve {
        Curve::P256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
        Curve::P384 => &[0x2b, 0x81, 4, 0, 34],
        Curve::P521 => &[0x2b, 0x81, 4, 0, 35],
    };
    let algorithm =
        value(0x30, &[&value(6, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]]), &value(6, &[of_curve])]);
    let key = value(0x30, &[&[2, 1, 1], &value(4, &[number])]);
    value(0x30, &[&[2, 1, 0], &algorithm, &value(4, &[&key])])
}

#[test]
fn ecdh_is_right_about_all_vectors() {
    use ecdh::TestName as E;
    let mut seen = Seen::default();
    for (name, is_point) in [
        (E::EcdhSecp256r1, false),
        (E::EcdhSecp384r1, false),
        (E::EcdhSecp521r1, false),
        (E::EcdhSecp256r1Ecpoint, true),
        (E::EcdhSecp384r1Ecpoint, true),
        (E::EcdhSecp521r1Ecpoint, true),
    ] {
        for group in ecdh::TestSet::load(name).unwrap().test_groups {
            let curve = match group.curve {
                EllipticCurve::Secp256r1 => Curve::P256,
                EllipticCurve::Secp384r1 => Curve::P384,
                EllipticCurve::Secp521r1 => Curve::P521,
                other => panic!("{other:?}"),
            };
            for test in group.tests {
                let private =
                    Pkey::from_pkcs8(&pkcs8(curve, &padded(&test.private_key, curve.size()))).unwrap();
                let public = match is_point {
                    true => Pkey::from_ec_point(curve, &test.public_key),
                    false => Pkey::from_spki(&test.public_key),
                };
                let agreed = public.and_then(|public| private.ecdh(&public));
                let holds = agreed.is_ok_and(|agreed| agreed[..] == test.shared_secret[..]);
                seen.look(test.result, holds, format!("{name:?} {}", test.tc_id));
            }
        }
    }
    seen.has_seen(1000, 50);
}

#[test]
fn x25519_is_right_about_all_vectors() {
    let mut seen = Seen::default();
    for test in
        xdh::TestSet::load(xdh::TestName::X25519).unwrap().test_groups.into_iter().flat_map(|g| g.tests)
    {
        let private = Pkey::from_okp_private(Okp::X25519, &test.private_key, None).unwrap();
        let agreed =
            Pkey::from_okp_public(Okp::X25519, &test.public_key).and_then(|public| private.x25519(&public));
        if test.shared_secret.iter().all(|&byte| byte == 0) {
            // The standard wants this refused.
            assert!(agreed.is_err(), "{}", test.tc_id);
            continue;
        }
        let holds = agreed.is_ok_and(|agreed| agreed[..] == test.shared_secret[..]);
        assert!(holds || test.result != TestResult::Acceptable, "{}", test.tc_id);
        seen.look(test.result, holds, test.tc_id);
    }
    seen.has_seen(200, 0);
}
