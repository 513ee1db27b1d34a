//! Hashes, and message authentication codes by them.

use std::ptr::null_mut;

use aws_lc_sys as lc;

use crate::ffi::{Owned, done};
use crate::{Error, Secret, timing_safe_equal};

/// A hash function of the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1, of which collisions are known: for what needs none of its strength.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// The length of its results, in bytes.
    pub const fn size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The length of the blocks that it works on, in bytes.
    pub const fn block(self) -> usize {
        match self {
            Self::Sha1 | Self::Sha256 => 64,
            Self::Sha384 | Self::Sha512 => 128,
        }
    }

    pub(crate) fn md(self) -> *const lc::EVP_MD {
        // SAFETY: they have no conditions, and give what lives for ever.
        unsafe {
            match self {
                Self::Sha1 => lc::EVP_sha1(),
                Self::Sha256 => lc::EVP_sha256(),
                Self::Sha384 => lc::EVP_sha384(),
                Self::Sha512 => lc::EVP_sha512(),
            }
        }
    }
}

const FAILED: Error = Error::Operation("the bytes cannot be hashed");

/// A hash in the making: bytes come piece by piece.
pub struct Digest {
    context: Owned<lc::EVP_MD_CTX>,
    hash: Hash,
}

// SAFETY: a context is data that knows no thread; `&mut` keeps it to one at a time.
unsafe impl Send for Digest {}

impl Digest {
    /// One that has no bytes so far.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn new(hash: Hash) -> Result<Self, Error> {
        // SAFETY: the context is new.
        unsafe {
            let context = Owned::new(lc::EVP_MD_CTX_new(), FAILED)?;
            done(lc::EVP_DigestInit_ex(context.as_ptr(), hash.md(), null_mut()), FAILED)?;
            Ok(Self { context, hash })
        }
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// If the library fails, which it has no reason to.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), Error> {
        // SAFETY: the context is in the making; the pointer and the length are those of `bytes`.
        let updated =
            unsafe { lc::EVP_DigestUpdate(self.context.as_ptr(), bytes.as_ptr().cast(), bytes.len()) };
        done(updated, FAILED)
    }

    /// The hash of all bytes.
    ///
    /// # Errors
    /// If the library fails, which it has no reason to.
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        let mut result = vec![0; self.hash.size()];
        // SAFETY: the context is in the making; there is room for what this hash gives.
        let finished =
            unsafe { lc::EVP_DigestFinal_ex(self.context.as_ptr(), result.as_mut_ptr(), null_mut()) };
        done(finished, FAILED)?;
        Ok(result)
    }
}

/// The message authentication code of these bytes. RFC 2104.
///
/// # Errors
/// If the library fails, which it has no reason to.
pub fn hmac(hash: Hash, key: &[u8], data: &[u8]) -> Result<Vec<u8>, Error> {
    let mut result = vec![0; hash.size()];
    let mut length = 0;
    // SAFETY: all pointers go with their lengths, and there is room for what this hash gives.
    let made = unsafe {
        lc::HMAC(
            hash.md(),
            key.as_ptr().cast(),
            key.len(),
            data.as_ptr(),
            data.len(),
            result.as_mut_ptr(),
            &mut length,
        )
    };
    done((!made.is_null()).into(), Error::Operation("the bytes cannot be signed"))?;
    Ok(result)
}

/// Whether that is the message authentication code of these bytes.
///
/// # Errors
/// If the library fails, which it has no reason to.
pub fn hmac_verify(hash: Hash, key: &[u8], code: &[u8], data: &[u8]) -> Result<bool, Error> {
    // The right code is a secret as long as somebody looks for it.
    Ok(timing_safe_equal(&Secret::new(hmac(hash, key, data)?), code))
}
