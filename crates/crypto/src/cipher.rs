//! AES: authenticated, as a stream, and for keys.

use std::mem::MaybeUninit;
use std::os::raw::{c_int, c_uint};
use std::ptr::{null, null_mut};

use aws_lc_sys as lc;

use crate::ffi::{Owned, done, failed};
use crate::{Error, Secret, erase};

const BLOCK: usize = 16;

/// The most that is handed to the library in one call, whose lengths are 32-bit numbers.
const PIECE: usize = 1 << 30;

const NO_KEY: Error = Error::Operation("an AES key has 128, 192 or 256 bits");
const ENCRYPT: Error = Error::Operation("the data cannot be encrypted");
const DECRYPT: Error =
    Error::Operation("the data cannot be decrypted: it is not what was encrypted with this key");

/// AES-GCM: encrypts into `result`, which has room for the data and, behind it, for a tag of 1 to 16 bytes. NIST
/// SP 800-38D.
///
/// # Errors
/// [`Error::Operation`] for an empty `iv`, more data than AES-GCM permits, or a `result` of another length.
pub fn aes_gcm_encrypt(
    key: &[u8],
    iv: &[u8],
    also: &[u8],
    data: &[u8],
    result: &mut [u8],
) -> Result<(), Error> {
    let context = gcm(key, iv, true, ENCRYPT)?;
    let (result, tag) = result.split_at_mut_checked(data.len()).ok_or(ENCRYPT)?;
    if tag.is_empty() {
        return Err(ENCRYPT);
    }
    // SAFETY: the context is ready; the tag has room for its length.
    unsafe {
        authenticate(&context, also, ENCRYPT)?;
        update(&context, data, result, ENCRYPT)?;
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
        tag.copy_from_slice(made.get(..tag.len()).ok_or(ENCRYPT)?);
    }
    Ok(())
}

/// Decrypts what [`aes_gcm_encrypt`] has given, into `result`, which is shorter by the tag.
///
/// # Errors
/// [`Error::Operation`] if it is not that, by whatever difference; `result` is erased then.
pub fn aes_gcm_decrypt(
    key: &[u8],
    iv: &[u8],
    also: &[u8],
    data: &[u8],
    result: &mut [u8],
) -> Result<(), Error> {
    let decrypted = gcm_decrypt(key, iv, also, data, result);
    if decrypted.is_err() {
        erase(result);
    }
    decrypted
}

fn gcm_decrypt(key: &[u8], iv: &[u8], also: &[u8], data: &[u8], result: &mut [u8]) -> Result<(), Error> {
    let (data, made) = data.split_at_checked(result.len()).ok_or(DECRYPT)?;
    if made.is_empty() || made.len() > BLOCK {
        return Err(DECRYPT);
    }
    let context = gcm(key, iv, false, DECRYPT)?;
    let mut made = made.to_vec();
    // SAFETY: the context is ready; the tag goes with its length.
    unsafe {
        let pointer = made.as_mut_ptr().cast();
        let length = made.len() as c_int;
        let set = lc::EVP_CIPHER_CTX_ctrl(context.as_ptr(), lc::EVP_CTRL_AEAD_SET_TAG, length, pointer);
        done(set, DECRYPT)?;
        authenticate(&context, also, DECRYPT)?;
        update(&context, data, result, DECRYPT)?;
        let mut none = 0;
        done(lc::EVP_CipherFinal_ex(context.as_ptr(), [0; BLOCK].as_mut_ptr(), &mut none), DECRYPT)
    }
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
/// The context is ready, its cipher gives as many bytes as it gets, and `result` is as long as the data.
unsafe fn update(
    context: &Owned<lc::EVP_CIPHER_CTX>,
    data: &[u8],
    result: &mut [u8],
    error: Error,
) -> Result<(), Error> {
    for (piece, room) in data.chunks(PIECE).zip(result.chunks_mut(PIECE)) {
        let mut written = 0;
        // SAFETY: there is room for as many bytes as the piece has.
        let updated = unsafe {
            let (out, length) = (room.as_mut_ptr(), piece.len() as c_int);
            lc::EVP_CipherUpdate(context.as_ptr(), out, &mut written, piece.as_ptr(), length)
        };
        done(updated, error)?;
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

/// AES-CTR, both ways, into `result`, which is as long as the data. The last `bits` bits of `counter`, from 1 to 128, count.
/// NIST SP 800-38A.
///
/// # Errors
/// [`Error::Operation`] for more blocks than can be counted, or a `result` of another length.
pub fn aes_ctr(
    key: &[u8],
    counter: [u8; BLOCK],
    bits: u32,
    data: &[u8],
    result: &mut [u8],
) -> Result<(), Error> {
    if result.len() != data.len() {
        return Err(ENCRYPT);
    }
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
        erase(&mut rest);
        done = end;
    }
    Ok(())
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
