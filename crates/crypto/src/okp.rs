//! Ed25519 and X25519. RFC 8032, RFC 7748.

use std::os::raw::c_int;
use std::ptr::null_mut;

use aws_lc_sys as lc;

use crate::ffi::{Owned, done, failed};
use crate::{Error, Kind, Pkey, Secret, random, timing_safe_equal};

/// What is done with the curve 25519.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Okp {
    /// Ed25519, which signs.
    Ed25519,
    /// X25519, which agrees upon secrets.
    X25519,
}

/// The length of a key, public or private, in bytes.
const SIZE: usize = 32;

const NONE: Error = Error::Data("this is no key of its curve");

impl Okp {
    const fn id(self) -> c_int {
        match self {
            Self::Ed25519 => lc::EVP_PKEY_ED25519,
            Self::X25519 => lc::EVP_PKEY_X25519,
        }
    }
}

impl Pkey {
    /// Makes a private key.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub fn generate_okp(okp: Okp) -> Result<Self, Error> {
        let mut bytes = Secret::new(vec![0; SIZE]);
        random(&mut bytes)?;
        Self::from_okp_private(okp, &bytes, None)
    }

    /// The public key of these bytes.
    ///
    /// # Errors
    /// [`Error::Data`] if they are not 32.
    pub fn from_okp_public(okp: Okp, bytes: &[u8]) -> Result<Self, Error> {
        // SAFETY: the pointer and the length are those of `bytes`; the key is new, and of that kind.
        unsafe {
            let key = lc::EVP_PKEY_new_raw_public_key(okp.id(), null_mut(), bytes.as_ptr(), bytes.len());
            Ok(Self::of(Owned::new(key, NONE)?, Kind::Okp(okp), false))
        }
    }

    /// The private key of these bytes, whose public part is to be that, if it is given.
    ///
    /// # Errors
    /// [`Error::Data`] if they are not 32, or do not fit each other.
    pub fn from_okp_private(okp: Okp, bytes: &[u8], public: Option<&[u8]>) -> Result<Self, Error> {
        if bytes.len() != SIZE {
            return Err(NONE);
        }
        // SAFETY: the pointer and the length are those of `bytes`; the key is new, and of that kind.
        let key = unsafe {
            let key = lc::EVP_PKEY_new_raw_private_key(okp.id(), null_mut(), bytes.as_ptr(), bytes.len());
            Self::of(Owned::new(key, NONE)?, Kind::Okp(okp), true)
        };
        match public {
            Some(public) if !timing_safe_equal(public, &key.okp_public()?) => Err(NONE),
            _ => Ok(key),
        }
    }

    fn okp(&self, wanted: Option<Okp>) -> Result<(), Error> {
        match self.kind() {
            Kind::Okp(okp) if wanted.is_none_or(|wanted| wanted == okp) => Ok(()),
            _ => Err(Error::Operation("the key is not one of this curve")),
        }
    }

    /// A key's public bytes.
    ///
    /// # Errors
    /// [`Error::Operation`] for other keys.
    pub fn okp_public(&self) -> Result<Vec<u8>, Error> {
        const FAILED: Error = Error::Operation("the key cannot be written");
        self.okp(None)?;
        let (mut bytes, mut length) = (vec![0; SIZE], SIZE);
        // SAFETY: the key is whole; `bytes` has that length.
        let got =
            unsafe { lc::EVP_PKEY_get_raw_public_key(self.key.as_ptr(), bytes.as_mut_ptr(), &mut length) };
        done(got, FAILED)?;
        Ok(bytes)
    }

    /// A private key's bytes: Ed25519's seed, X25519's number.
    ///
    /// # Errors
    /// [`Error::Operation`] for other keys.
    pub fn okp_private(&self) -> Result<Secret, Error> {
        const FAILED: Error = Error::Operation("the key cannot be written");
        self.okp(None)?;
        self.private()?;
        let (mut bytes, mut length) = (Secret::new(vec![0; SIZE]), SIZE);
        // SAFETY: the key is whole; `bytes` has that length.
        let got =
            unsafe { lc::EVP_PKEY_get_raw_private_key(self.key.as_ptr(), bytes.as_mut_ptr(), &mut length) };
        done(got, FAILED)?;
        Ok(bytes)
    }

    /// Ed25519.
    ///
    /// # Errors
    /// [`Error::Operation`] for keys that are not private ones of it.
    pub fn ed25519_sign(&self, data: &[u8]) -> Result<Vec<u8>, Error> {
        self.okp(Some(Okp::Ed25519))?;
        self.sign_with(None, data, |_| 1)
    }

    /// Whether that is a signature by Ed25519.
    ///
    /// # Errors
    /// [`Error::Operation`] for other keys.
    pub fn ed25519_verify(&self, signature: &[u8], data: &[u8]) -> Result<bool, Error> {
        self.okp(Some(Okp::Ed25519))?;
        self.verify_with(None, signature, data, |_| 1)
    }

    /// X25519: what this private key and another one's public part agree upon.
    ///
    /// # Errors
    /// [`Error::Operation`] for keys that are not private ones of it, and where nothing comes out but zeroes.
    pub fn x25519(&self, other: &Self) -> Result<Secret, Error> {
        self.okp(Some(Okp::X25519))?;
        other.okp(Some(Okp::X25519))?;
        let (own, others) = (self.okp_private()?, other.okp_public()?);
        let mut agreed = Secret::new(vec![0; SIZE]);
        // SAFETY: all three have 32 bytes.
        let made = unsafe { lc::X25519(agreed.as_mut_ptr(), own.as_ptr(), others.as_ptr()) };
        if made == 1 {
            Ok(agreed)
        } else {
            Err(failed(Error::Operation("these keys agree upon zeroes only")))
        }
    }
}
