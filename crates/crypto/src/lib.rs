//! The cryptography of Nexus, as the Web Cryptography API needs it: safe functions over AWS-LC, the library that
//! rustls uses here, too. Nothing in this crate computes by itself; it checks what the library does not, owns what it
//! hands out, and names what went wrong as the standard does.
//!
//! ```text
//! bytes ─► digest, hmac, cipher, derive ─► bytes
//! DER, raw bytes, JWK's numbers ─► Pkey ─► sign, verify, encrypt, decrypt, agree
//! ```
//!
//! Secrets are erased when they are freed: [`Secret`] by itself, what AWS-LC holds by its own `OPENSSL_free`.
//!
//! Standard: <https://w3c.github.io/webcrypto/>, with Ed25519 and X25519 of
//! <https://wicg.github.io/webcrypto-secure-curves/>.

// AWS-LC is a C library: each call of it is unsafe. What it allocates is owned by `ffi::Owned`.
#![allow(unsafe_code)]

mod cipher;
mod derive;
mod digest;
mod ec;
mod ffi;
mod okp;
mod pkey;
mod rsa;

pub use cipher::{aes_ctr, aes_gcm_decrypt, aes_gcm_encrypt, aes_unwrap, aes_wrap};
pub use derive::{hkdf, pbkdf2};
pub use digest::{Digest, Hash, hmac, hmac_verify};
pub use ec::{Curve, EcNumbers};
pub use okp::Okp;
pub use pkey::{Kind, Pkey};
pub use rsa::{RsaNumbers, RsaPrivateNumbers};

use std::fmt;
use std::ops::{Deref, DerefMut};

/// Bytes that are erased when they are freed.
#[derive(Clone, Default)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// These bytes from now on.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// In a time that depends on their lengths only.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        timing_safe_equal(self, other)
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Deref for Secret {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Secret {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        // SAFETY: all that is allocated is this one's, also what has no bytes now and may have had some.
        unsafe { aws_lc_sys::OPENSSL_cleanse(self.0.as_mut_ptr().cast(), self.0.capacity()) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }
}

/// Erases bytes that stay allocated.
pub fn erase(bytes: &mut [u8]) {
    // SAFETY: the pointer and the length are those of `bytes`.
    unsafe { aws_lc_sys::OPENSSL_cleanse(bytes.as_mut_ptr().cast(), bytes.len()) }
}

/// What went wrong, by the name of the `DOMException` that the standard has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// `OperationError`: it cannot be done with these values.
    Operation(&'static str),
    /// `DataError`: what was given is no such key.
    Data(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Operation(message) | Error::Data(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {}

/// Fills bytes with cryptographically secure random ones.
///
/// # Errors
/// If the system has none, which it always has on Linux.
pub fn random(bytes: &mut [u8]) -> Result<(), Error> {
    // SAFETY: the pointer and the length are those of `bytes`.
    let done = unsafe { aws_lc_sys::RAND_bytes(bytes.as_mut_ptr(), bytes.len()) };
    ffi::done(done, Error::Operation("there are no random bytes"))
}

/// Whether two byte strings are the same, in a time that depends on their lengths only.
pub fn timing_safe_equal(a: &[u8], b: &[u8]) -> bool {
    // SAFETY: both are as long as the first.
    a.len() == b.len()
        && unsafe { aws_lc_sys::CRYPTO_memcmp(a.as_ptr().cast(), b.as_ptr().cast(), a.len()) } == 0
}
