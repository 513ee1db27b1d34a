//! AES: authenticated, as a stream, and for keys.

use std::mem::MaybeUninit;
use std::os::raw::{c_int, c_uint};
use std::ptr::{null, null_mut};

use aws_lc_sys as lc;
use zeroize::Zeroize;

use crate::ffi::{Owned, done, failed};
use crate::{Error, Secret};

const BLOCK: usize = 16;

/// The most that is handed to the library in one call, whose lengths are 32-bit numbers.
const PIECE: usize = 1 << 30;

const NO_KEY: Error = Error::Operation("an AES key has 128, 192 or 256 bits");
const ENCRYPT: Error = Error::Operation("the data cannot be encrypted");
const DECRYPT: Error =
    Error::Operation("the data cannot be decrypted: it is not what was encrypted with this key");

/// AES-GCM with a tag of so many bytes behind the result. NIST SP 800-38D.
///
/// # Errors
/// [`Error::Operation`] for an empty `iv`, or more data than AES-GCM permits.
pub fn aes_gcm_encrypt(
    key: &[u8],
    iv: &[u8],
    also: &[u8],
    tag: usize,
    data: &[u8],
) -> Result<Vec<u8>, Error> {
    let context = gcm(key, iv, true, ENCRYPT)?;
    let mut result = Vec::with_capacity(data.len() + tag);
    // SAFETY: the context is ready; the tag has room for its length.
    unsafe {
        authenticate(&context, also, ENCRYPT)?;
        update(&context, data, &mut result, ENCRYPT)?;
        let mut none = 0;
        done(lc::EVP_CipherFinal_ex(context.as_ptr(), [0; BLOCK].as_mut_ptr(), &mut none), ENCRYPT)?;
        let mut made = [0; BLOCK];
        let whole = BLOCK as c_int;
        let got = lc::EVP_CIPHER_CTX_ctrl(
            context.as_ptr(),
            lc::EVP_CTRL_AEAD_GET_TAG,
            whole,
            made.as_mut_ptr().cast(),
        );
        done(got, ENCRYPT)?;
        result.extend_from_slice(made.get(..tag).ok_or(ENCRYPT)?);
    }
    Ok(result)
}

/// Decrypts what [`aes_gcm_encrypt`] has given.
///
/// # Errors
/// [`Error::Operation`] if it is not that, by whatever difference.
pub fn aes_gcm_decrypt(key: &[u8], iv: &[u8], also: &[u8], tag: usize, data: &[u8]) -> Result<Secret, Error> {
    let (data, made) = data.split_at_checked(data.len().wrapping_sub(tag)).ok_or(DECRYPT)?;
    if tag == 0 || tag > BLOCK {
        return Err(DECRYPT);
    }
    let context = gcm(key, iv, false, DECRYPT)?;
    let mut made = made.to_vec();
    let mut result = Secret::new(Vec::with_capacity(data.len()));
    // SAFETY: the context is ready; the tag goes with its length.
    unsafe {
        let pointer = made.as_mut_ptr().cast();
        let length = made.len() as c_int;
        let set = lc::EVP_CIPHER_CTX_ctrl(context.as_ptr(), lc::EVP_CTRL_AEAD_SET_TAG, length, pointer);
        done(set, DECRYPT)?;
        authenticate(&context, also, DECRYPT)?;
        update(&context, data, &mut result, DECRYPT)?;
        let mut none = 0;
        done(lc::EVP_CipherFinal_ex(context.as_ptr(), [0; BLOCK].as_mut_ptr(), &mut none), DECRYPT)?;
    }
    Ok(result)
}

fn gcm(key: &[u8], iv: &[u8], encrypts: bool, error: Error) -> Result<Owned<lc::EVP_CIPHER_CTX>, Error> {
    let length = c_int::try_from(iv.len()).map_err(|_| error)?;
    if length == 0 {
        return Err(Error::Operation("an empty iv is none"));
    }
    // SAFETY: the context is new; the key has the length that its cipher wants, the iv the one that was set.
    unsafe {
        let cipher = match key.len() {
            16 => lc::EVP_aes_128_gcm(),
            24 => lc::EVP_aes_192_gcm(),
            32 => lc::EVP_aes_256_gcm(),
            _ => return Err(NO_KEY),
        };
        let context = Owned::new(lc::EVP_CIPHER_CTX_new(), error)?;
        let made = context.as_ptr();
        done(lc::EVP_CipherInit_ex(made, cipher, null_mut(), null(), null(), encrypts.into()), error)?;
        done(lc::EVP_CIPHER_CTX_ctrl(made, lc::EVP_CTRL_AEAD_SET_IVLEN, length, null_mut()), error)?;
        done(lc::EVP_CipherInit_ex(made, null(), null_mut(), key.as_ptr(), iv.as_ptr(), -1), error)?;
        Ok(context)
    }
}

/// # Safety
/// The context is ready for what is only authenticated.
unsafe fn authenticate(context: &Owned<lc::EVP_CIPHER_CTX>, also: &[u8], error: Error) -> Result<(), Error> {
    for piece in also.chunks(PIECE) {
        let mut none = 0;
        // SAFETY: the pointer and the length are those of the piece; nothing is written.
        let updated = unsafe {
            let length = piece.len() as c_int;
            lc::EVP_CipherUpdate(context.as_ptr(), null_mut(), &mut none, piece.as_ptr(), length)
        };
        done(updated, error)?;
    }
    Ok(())
}

/// # Safety
/// The context is ready, and its cipher gives as many bytes as it gets.
unsafe fn update(
    context: &Owned<lc::EVP_CIPHER_CTX>,
    data: &[u8],
    result: &mut Vec<u8>,
    error: Error,
) -> Result<(), Error> {
    result.reserve_exact(data.len());
    for piece in data.chunks(PIECE) {
        let mut written = 0;
        let room = result.spare_capacity_mut();
        debug_assert!(room.len() >= piece.len());
        // SAFETY: there is room for as many bytes as the piece has, and so many were written.
        unsafe {
            let (out, length) = (room.as_mut_ptr().cast(), piece.len() as c_int);
            let updated = lc::EVP_CipherUpdate(context.as_ptr(), out, &mut written, piece.as_ptr(), length);
            done(updated, error)?;
            result.set_len(result.len() + written as usize);
        }
    }
    Ok(())
}

/// A key's schedule, erased with it.
struct Schedule(lc::AES_KEY);

impl Schedule {
    fn new(key: &[u8], encrypts: bool) -> Result<Self, Error> {
        if ![16, 24, 32].contains(&key.len()) {
            return Err(NO_KEY);
        }
        let bits = key.len() as c_uint * 8;
        let mut schedule = MaybeUninit::zeroed();
        // SAFETY: the key has so many bits; zeroes are a whole schedule before.
        unsafe {
            let set = match encrypts {
                true => lc::AES_set_encrypt_key(key.as_ptr(), bits, schedule.as_mut_ptr()),
                false => lc::AES_set_decrypt_key(key.as_ptr(), bits, schedule.as_mut_ptr()),
            };
            if set == 0 { Ok(Self(schedule.assume_init())) } else { Err(failed(NO_KEY)) }
        }
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        // SAFETY: it is a plain value that nobody uses any more.
        unsafe { lc::OPENSSL_cleanse((&raw mut self.0).cast(), size_of::<lc::AES_KEY>()) }
    }
}

/// AES-CTR, both ways. The last `bits` bits of `counter`, from 1 to 128, count. NIST SP 800-38A.
///
/// # Errors
/// [`Error::Operation`] for more blocks than can be counted.
pub fn aes_ctr(key: &[u8], counter: [u8; BLOCK], bits: u32, data: &[u8]) -> Result<Secret, Error> {
    let schedule = Schedule::new(key, true)?;
    let mask = u128::MAX >> (128 - bits.clamp(1, 128));
    let blocks = data.len().div_ceil(BLOCK) as u128;
    if blocks.saturating_sub(1) > mask {
        return Err(Error::Operation("the counter is too short for the data"));
    }
    let start = u128::from_be_bytes(counter);
    // Until the counter begins anew; the library's counts on in what lies before it.
    let until = (mask - (start & mask)).saturating_add(1);
    let split = usize::try_from(until.saturating_mul(BLOCK as u128)).unwrap_or(usize::MAX).min(data.len());
    let mut result = Secret::new(vec![0; data.len()]);
    let mut done = 0;
    for (counter, end) in [(start, split), (start & !mask, data.len())] {
        let (mut counter, mut rest, mut used) = (counter.to_be_bytes(), [0; BLOCK], 0);
        // SAFETY: both have so many bytes from there.
        unsafe {
            lc::AES_ctr128_encrypt(
                data[done..end].as_ptr(),
                result[done..end].as_mut_ptr(),
                end - done,
                &schedule.0,
                counter.as_mut_ptr(),
                rest.as_mut_ptr(),
                &mut used,
            );
        }
        rest.zeroize();
        done = end;
    }
    Ok(result)
}

/// AES-KW: wraps a key, a multiple of 8 bytes and 16 of them at least. RFC 3394.
///
/// # Errors
/// [`Error::Operation`] for other lengths.
pub fn aes_wrap(key: &[u8], data: &[u8]) -> Result<Vec<u8>, Error> {
    const FAILED: Error = Error::Operation("AES-KW wraps what has a multiple of 8 bytes, and 16 at least");
    let schedule = Schedule::new(key, true)?;
    if !data.len().is_multiple_of(8) || data.len() < 16 {
        return Err(FAILED);
    }
    let mut result = vec![0; data.len() + 8];
    // SAFETY: there is room for 8 bytes more than the data has.
    let length =
        unsafe { lc::AES_wrap_key(&schedule.0, null(), result.as_mut_ptr(), data.as_ptr(), data.len()) };
    if usize::try_from(length) == Ok(result.len()) { Ok(result) } else { Err(failed(FAILED)) }
}

/// Unwraps what [`aes_wrap`] has given.
///
/// # Errors
/// [`Error::Operation`] if it is not that.
pub fn aes_unwrap(key: &[u8], data: &[u8]) -> Result<Secret, Error> {
    const FAILED: Error =
        Error::Operation("the key cannot be unwrapped: it is not what was wrapped with this key");
    let schedule = Schedule::new(key, false)?;
    if !data.len().is_multiple_of(8) || data.len() < 24 {
        return Err(FAILED);
    }
    let mut result = Secret::new(vec![0; data.len() - 8]);
    // SAFETY: there is room for 8 bytes less than the data has.
    let length =
        unsafe { lc::AES_unwrap_key(&schedule.0, null(), result.as_mut_ptr(), data.as_ptr(), data.len()) };
    if usize::try_from(length) == Ok(result.len()) { Ok(result) } else { Err(failed(FAILED)) }
}
