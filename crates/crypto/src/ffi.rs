//! What AWS-LC allocates, owned.

use std::os::raw::c_int;
use std::ptr::{NonNull, null_mut};

use aws_lc_sys as lc;

use crate::{Error, Secret};

/// What AWS-LC allocates and frees.
pub(crate) trait Free {
    /// # Safety
    /// The value is whole, and nobody uses it any more.
    unsafe fn free(value: *mut Self);
}

macro_rules! freed_by {
    ($($type:ident: $free:ident;)*) => {
        $(impl Free for lc::$type {
            unsafe fn free(value: *mut Self) {
                // SAFETY: as of the trait.
                unsafe { lc::$free(value) }
            }
        })*
    };
}

freed_by! {
    BIGNUM: BN_clear_free;
    BN_GENCB: BN_GENCB_free;
    EC_KEY: EC_KEY_free;
    EC_POINT: EC_POINT_free;
    ECDSA_SIG: ECDSA_SIG_free;
    EVP_CIPHER_CTX: EVP_CIPHER_CTX_free;
    EVP_MD_CTX: EVP_MD_CTX_free;
    EVP_PKEY: EVP_PKEY_free;
    EVP_PKEY_CTX: EVP_PKEY_CTX_free;
    RSA: RSA_free;
}

/// A value of AWS-LC, freed with this one.
pub(crate) struct Owned<T: Free>(NonNull<T>);

impl<T: Free> Owned<T> {
    /// Owns what a function has returned; null is its failure.
    ///
    /// # Safety
    /// The value is whole, and nobody else frees it.
    pub(crate) unsafe fn new(value: *mut T, error: Error) -> Result<Self, Error> {
        match NonNull::new(value) {
            Some(value) => Ok(Self(value)),
            None => Err(failed(error)),
        }
    }

    pub(crate) fn as_ptr(&self) -> *mut T {
        self.0.as_ptr()
    }

    /// Gives it away, to a function that frees it.
    pub(crate) fn into_raw(self) -> *mut T {
        let value = self.0.as_ptr();
        std::mem::forget(self);
        value
    }
}

impl<T: Free> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: it is this one's alone.
        unsafe { T::free(self.0.as_ptr()) }
    }
}

/// Forgets the library's own account of a failure, of which nobody asks.
pub(crate) fn failed(error: Error) -> Error {
    // SAFETY: it has no conditions.
    unsafe { lc::ERR_clear_error() };
    error
}

/// What most functions return: 1 if it is done.
pub(crate) fn done(result: c_int, error: Error) -> Result<(), Error> {
    if result == 1 { Ok(()) } else { Err(failed(error)) }
}

/// A number from its bytes, the highest first.
///
/// Zeroes before it are left out: the library would keep them as the number's width, in which what it does in constant time
/// is quadratic, however small the number.
pub(crate) fn number(bytes: &[u8]) -> Result<Owned<lc::BIGNUM>, Error> {
    let bytes = significant(bytes);
    // SAFETY: the pointer and the length are those of `bytes`; the result is new.
    unsafe {
        let number = lc::BN_bin2bn(bytes.as_ptr(), bytes.len(), null_mut());
        Owned::new(number, Error::Operation("a number is too large"))
    }
}

/// A number's bytes without the zeroes in front.
pub(crate) fn significant(bytes: &[u8]) -> &[u8] {
    let zeroes = bytes.iter().take_while(|&&byte| byte == 0).count();
    &bytes[zeroes..]
}

/// What is told of a key that lacks a part.
const NO_NUMBER: Error = Error::Operation("the key lacks a number");

/// A number's bytes, the highest first, none of them a leading zero.
///
/// # Safety
/// The number is whole.
pub(crate) unsafe fn bytes_of(number: *const lc::BIGNUM) -> Result<Secret, Error> {
    if number.is_null() {
        return Err(NO_NUMBER);
    }
    // SAFETY: as of this function; there is room for as many bytes as it has.
    unsafe {
        let mut bytes = vec![0; lc::BN_num_bytes(number) as usize];
        let written = lc::BN_bn2bin(number, bytes.as_mut_ptr());
        debug_assert_eq!(written, bytes.len());
        Ok(Secret::new(bytes))
    }
}

/// A number's bytes, the highest first, with zeroes before them up to a length.
///
/// # Safety
/// The number is whole.
pub(crate) unsafe fn padded_bytes_of(number: *const lc::BIGNUM, length: usize) -> Result<Secret, Error> {
    if number.is_null() {
        return Err(NO_NUMBER);
    }
    let mut bytes = vec![0; length];
    // SAFETY: as of this function; `bytes` has that length.
    let written = unsafe { lc::BN_bn2bin_padded(bytes.as_mut_ptr(), length, number) };
    done(written, Error::Operation("a number is too large"))?;
    Ok(Secret::new(bytes))
}

/// The DER that a function writes.
pub(crate) fn der(write: impl FnOnce(*mut lc::CBB) -> c_int) -> Result<Secret, Error> {
    const FAILED: Error = Error::Operation("the key cannot be written");
    // SAFETY: a builder of zeroes is a whole one; `CBB_finish` ends its life, `CBB_cleanup` does where that was not
    // reached. What it hands out is copied, then erased and freed.
    unsafe {
        let mut builder = std::mem::zeroed::<lc::CBB>();
        done(lc::CBB_init(&mut builder, 256), FAILED)?;
        let (mut bytes, mut length) = (null_mut(), 0);
        if write(&mut builder) != 1 || lc::CBB_finish(&mut builder, &mut bytes, &mut length) != 1 {
            lc::CBB_cleanup(&mut builder);
            return Err(failed(FAILED));
        }
        let copy = std::slice::from_raw_parts(bytes, length).to_vec();
        lc::OPENSSL_free(bytes.cast());
        Ok(Secret::new(copy))
    }
}

/// What a function reads from DER, all of it.
pub(crate) fn parsed<T: Free>(
    der: &[u8],
    error: Error,
    read: impl FnOnce(*mut lc::CBS) -> *mut T,
) -> Result<Owned<T>, Error> {
    // SAFETY: the reader is whole once it was made, and does not outlive `der`.
    unsafe {
        let mut reader = std::mem::zeroed::<lc::CBS>();
        lc::CBS_init(&mut reader, der.as_ptr(), der.len());
        let value = Owned::new(read(&mut reader), error)?;
        if lc::CBS_len(&reader) != 0 {
            return Err(error);
        }
        Ok(value)
    }
}
