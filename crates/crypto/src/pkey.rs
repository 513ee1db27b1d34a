//! Keys of public-key cryptography.

use std::os::raw::c_int;
use std::ptr::null_mut;

use aws_lc_sys as lc;

use crate::ffi::{Owned, der, done, failed, parsed};
use crate::{Curve, Error, Hash, Okp, Secret};

/// The longest DER that is read, in bytes: a private RSA key of 8,192 bits has 4.8 KB, and longer ones take long to check.
const LONGEST: usize = 6 << 10;

/// What a [`Pkey`] is a key of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RSA, whatever it is used for.
    Rsa,
    /// An elliptic curve of NIST, for ECDSA and ECDH.
    Ec(Curve),
    /// Ed25519 or X25519.
    Okp(Okp),
}

/// A public or a private key. Clones are the same key.
pub struct Pkey {
    pub(crate) key: Owned<lc::EVP_PKEY>,
    kind: Kind,
    is_private: bool,
}

// SAFETY: AWS-LC counts a key's users atomically, and changes nothing in it by using it but what it locks (RSA's
// blinding).
unsafe impl Send for Pkey {}
// SAFETY: as above.
unsafe impl Sync for Pkey {}

impl std::fmt::Debug for Pkey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Nothing of the key itself.
        f.debug_struct("Pkey").field("kind", &self.kind).field("is_private", &self.is_private).finish()
    }
}

impl Pkey {
    /// # Safety
    /// The key is whole, of this kind, and has a private part if that is said.
    pub(crate) unsafe fn of(key: Owned<lc::EVP_PKEY>, kind: Kind, is_private: bool) -> Self {
        Self { key, kind, is_private }
    }

    /// A key around one of RSA or of a curve.
    pub(crate) fn around(
        kind: Kind,
        is_private: bool,
        set: impl FnOnce(*mut lc::EVP_PKEY) -> c_int,
    ) -> Result<Self, Error> {
        const FAILED: Error = Error::Operation("the key cannot be made");
        // SAFETY: the key is new, and `set` gives it its part.
        unsafe {
            let key = Owned::new(lc::EVP_PKEY_new(), FAILED)?;
            done(set(key.as_ptr()), FAILED)?;
            Ok(Self { key, kind, is_private })
        }
    }

    /// What it is a key of.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it is a private key.
    pub fn is_private(&self) -> bool {
        self.is_private
    }

    /// Its public part alone.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn to_public(&self) -> Result<Self, Error> {
        match self.kind {
            Kind::Rsa => Self::from_rsa(&self.rsa_numbers()?, None),
            Kind::Ec(curve) => Self::from_ec_point(curve, &self.ec_point()?),
            Kind::Okp(okp) => Self::from_okp_public(okp, &self.okp_public()?),
        }
    }

    /// Reads a public key: a `SubjectPublicKeyInfo`. RFC 5280, section 4.1.2.7.
    ///
    /// # Errors
    /// [`Error::Data`] if it is none, or one of an algorithm that is not known here.
    pub fn from_spki(spki: &[u8]) -> Result<Self, Error> {
        const NONE: Error = Error::Data("this is no SubjectPublicKeyInfo of a key that is known here");
        if spki.len() > LONGEST || !is_known(spki, false) {
            return Err(NONE);
        }
        // SAFETY: the reader is whole.
        let key = parsed(spki, NONE, |reader| unsafe { lc::EVP_parse_public_key(reader) })?;
        Self::known(key, spki, false, NONE)
    }

    /// Reads a private key: a `PrivateKeyInfo`. RFC 5208, RFC 5958.
    ///
    /// # Errors
    /// [`Error::Data`] if it is none, or one of an algorithm that is not known here, or if its parts do not fit each
    /// other.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, Error> {
        const NONE: Error = Error::Data("this is no PrivateKeyInfo of a key that is known here");
        if pkcs8.len() > LONGEST || !is_known(pkcs8, true) {
            return Err(NONE);
        }
        // SAFETY: the reader is whole.
        let key = parsed(pkcs8, NONE, |reader| unsafe { lc::EVP_parse_private_key(reader) })?;
        Self::known(key, pkcs8, true, NONE)
    }

    fn known(key: Owned<lc::EVP_PKEY>, der: &[u8], is_private: bool, error: Error) -> Result<Self, Error> {
        // SAFETY: the key is whole; a key of a curve has one.
        let kind = unsafe {
            match lc::EVP_PKEY_id(key.as_ptr()) {
                lc::EVP_PKEY_RSA => Kind::Rsa,
                lc::EVP_PKEY_ED25519 => Kind::Okp(Okp::Ed25519),
                lc::EVP_PKEY_X25519 => Kind::Okp(Okp::X25519),
                lc::EVP_PKEY_EC => {
                    let key = lc::EVP_PKEY_get0_EC_KEY(key.as_ptr());
                    let curve = Curve::of(lc::EC_KEY_get0_group(key)).ok_or(error)?;
                    // The library also takes a curve that is spelled out, which the standard does not.
                    if !curve.is_named_in(der, is_private) {
                        return Err(error);
                    }
                    Kind::Ec(curve)
                }
                _ => return Err(error),
            }
        };
        let key = Self { key, kind, is_private };
        key.check(error)?;
        Ok(key)
    }

    /// Whether the parts of a key fit each other.
    fn check(&self, error: Error) -> Result<(), Error> {
        // SAFETY: the key is whole and of this kind.
        unsafe {
            match self.kind {
                // It was checked when it was read.
                Kind::Rsa => self.is_usual_rsa(error),
                Kind::Ec(_) => done(lc::EC_KEY_check_key(lc::EVP_PKEY_get0_EC_KEY(self.key.as_ptr())), error),
                Kind::Okp(_) => Ok(()),
            }
        }
    }

    /// Its public part as a `SubjectPublicKeyInfo`, in DER.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn to_spki(&self) -> Result<Vec<u8>, Error> {
        // SAFETY: both are whole.
        let spki = der(|builder| unsafe { lc::EVP_marshal_public_key(builder, self.key.as_ptr()) })?;
        Ok(spki.to_vec())
    }

    /// It as a `PrivateKeyInfo`, in DER.
    ///
    /// # Errors
    /// [`Error::Operation`] if it is not private.
    pub fn to_pkcs8(&self) -> Result<Secret, Error> {
        self.private()?;
        // SAFETY: both are whole.
        der(|builder| unsafe { lc::EVP_marshal_private_key(builder, self.key.as_ptr()) })
    }

    pub(crate) fn private(&self) -> Result<(), Error> {
        if self.is_private { Ok(()) } else { Err(Error::Operation("the key is not a private one")) }
    }

    /// Signs: gives what the library gives.
    pub(crate) fn sign_with(
        &self,
        hash: Option<Hash>,
        data: &[u8],
        prepare: impl FnOnce(*mut lc::EVP_PKEY_CTX) -> c_int,
    ) -> Result<Vec<u8>, Error> {
        const FAILED: Error = Error::Operation("the data cannot be signed with this key");
        self.private()?;
        // SAFETY: the context is new and becomes ready in this order; the signature has room for the length that was
        // told.
        unsafe {
            let context = Owned::new(lc::EVP_MD_CTX_new(), FAILED)?;
            let (context, mut of_key) = (context.as_ptr(), null_mut());
            let md = hash.map_or(std::ptr::null(), Hash::md);
            done(lc::EVP_DigestSignInit(context, &mut of_key, md, null_mut(), self.key.as_ptr()), FAILED)?;
            done(prepare(of_key), FAILED)?;
            let mut length = 0;
            let told = lc::EVP_DigestSign(context, null_mut(), &mut length, data.as_ptr(), data.len());
            done(told, FAILED)?;
            let mut signature = vec![0; length];
            let out = signature.as_mut_ptr();
            done(lc::EVP_DigestSign(context, out, &mut length, data.as_ptr(), data.len()), FAILED)?;
            signature.truncate(length);
            Ok(signature)
        }
    }

    /// Whether that is what [`Pkey::sign_with`] gives for the data.
    pub(crate) fn verify_with(
        &self,
        hash: Option<Hash>,
        signature: &[u8],
        data: &[u8],
        prepare: impl FnOnce(*mut lc::EVP_PKEY_CTX) -> c_int,
    ) -> Result<bool, Error> {
        const FAILED: Error = Error::Operation("the signature cannot be verified with this key");
        // SAFETY: the context is new and becomes ready in this order; all pointers go with their lengths.
        unsafe {
            let context = Owned::new(lc::EVP_MD_CTX_new(), FAILED)?;
            let (context, mut of_key) = (context.as_ptr(), null_mut());
            let md = hash.map_or(std::ptr::null(), Hash::md);
            done(lc::EVP_DigestVerifyInit(context, &mut of_key, md, null_mut(), self.key.as_ptr()), FAILED)?;
            done(prepare(of_key), FAILED)?;
            let (out, bytes) = (signature.as_ptr(), data.as_ptr());
            let verified = lc::EVP_DigestVerify(context, out, signature.len(), bytes, data.len());
            Ok(verified == 1 || {
                failed(FAILED);
                false
            })
        }
    }
}

/// What a key's DER has from its `AlgorithmIdentifier` on. A private key has its version before.
pub(crate) fn algorithm_in(der: &[u8], has_version: bool) -> Option<&[u8]> {
    // Of the outermost value: its tag, and its length in one byte or in as many more as that says.
    let head = match der.get(1) {
        Some(&length) if length > 0x80 => 2 + usize::from(length & 0x7f),
        _ => 2,
    };
    der.get(head + if has_version { 3 } else { 0 }..)
}

/// Whether that is a key of an algorithm that is known here: of others the library would take whole keys first, at a price
/// that we have not looked at.
fn is_known(der: &[u8], has_version: bool) -> bool {
    // Each with its tag and its length: rsaEncryption, id-ecPublicKey, id-X25519, id-Ed25519.
    const OIDS: [&[u8]; 4] = [
        b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01",
        b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01",
        b"\x06\x03\x2b\x65\x6e",
        b"\x06\x03\x2b\x65\x70",
    ];
    // The identifier's own tag, and its length in one byte: it is short unless it spells a curve out.
    matches!(algorithm_in(der, has_version), Some([0x30, 0..0x80, rest @ ..]) if OIDS.iter().any(|oid| rest.starts_with(oid)))
}
