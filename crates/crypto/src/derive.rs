//! Keys from other keys, and from passwords.

use aws_lc_sys as lc;

use crate::ffi::done;
use crate::{Error, Hash, Secret};

/// HKDF with these bytes as its key. RFC 5869.
///
/// # Errors
/// [`Error::Operation`] for more than 255 times the hash's length.
pub fn hkdf(hash: Hash, key: &[u8], salt: &[u8], info: &[u8], length: usize) -> Result<Secret, Error> {
    const TOO_LONG: Error = Error::Operation("HKDF gives no more than 255 times the length of its hash");
    if length > 255 * hash.size() {
        return Err(TOO_LONG);
    }
    let mut result = Secret::new(vec![0; length]);
    // SAFETY: all pointers go with their lengths.
    let derived = unsafe {
        lc::HKDF(
            result.as_mut_ptr(),
            length,
            hash.md(),
            key.as_ptr(),
            key.len(),
            salt.as_ptr(),
            salt.len(),
            info.as_ptr(),
            info.len(),
        )
    };
    done(derived, TOO_LONG)?;
    Ok(result)
}

/// PBKDF2 of this password. RFC 8018, section 5.2.
///
/// # Errors
/// [`Error::Operation`] for no iterations.
pub fn pbkdf2(
    hash: Hash,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    length: usize,
) -> Result<Secret, Error> {
    const FAILED: Error = Error::Operation("PBKDF2 needs one iteration at least");
    if iterations == 0 {
        return Err(FAILED);
    }
    let mut result = Secret::new(vec![0; length]);
    // SAFETY: all pointers go with their lengths.
    let derived = unsafe {
        lc::PKCS5_PBKDF2_HMAC(
            password.as_ptr().cast(),
            password.len(),
            salt.as_ptr(),
            salt.len(),
            iterations,
            hash.md(),
            length,
            result.as_mut_ptr(),
        )
    };
    done(derived, FAILED)?;
    Ok(result)
}
