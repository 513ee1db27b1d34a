//! More natives of `crypto.js`: what is hashed, signed, encrypted and derived.

use nexus_crypto::{
    Error, Hash, Secret, aes_ctr, aes_gcm_decrypt, aes_gcm_encrypt, aes_unwrap, aes_wrap, hkdf, hmac,
    hmac_verify, pbkdf2,
};

use super::crypto::{Args, Return, bytes, first_bits, hash, key, most_time, pkey, secret};
use super::crypto_work::{Key, Made, Result, answer, failure, run, run_now};
use super::encoding::with_bytes;
use crate::ops::{self, arg_u32, byte_length};

pub(crate) const OPS: &[ops::Op] = ops::ops![
    cryptoDigest => op_digest,
    cryptoSign => op_sign,
    cryptoVerify => op_verify,
    cryptoCrypt => op_crypt,
    cryptoDerive => op_derive,
];

/// From so many bytes on hashing takes notable time, about a millisecond: with SHA-384 and SHA-512, and, as processors have
/// instructions for them, with SHA-1 and SHA-256.
const MUCH_TO_HASH: usize = 512 << 10;
const MUCH_TO_HASH_FAST: usize = 1 << 20;
/// The same of what AES-GCM and AES-CTR encrypt.
const MUCH_TO_ENCRYPT: usize = 2 << 20;
/// AES-KW goes over the data six times, in steps of 8 bytes.
const MUCH_TO_WRAP: usize = 32 << 10;
/// An RSA key of more bits takes about a millisecond to sign or decrypt with.
const LONG_RSA: u32 = 2048;
/// What the longest RSA key gives and takes, in bytes. No signature is longer.
const LONGEST_RSA: usize = 8192 / 8;
/// The most iterations of PBKDF2, each for one block of what it gives: seconds, in which nothing stops it.
const MOST_ITERATIONS: u64 = 10_000_000;
/// More of them in a millisecond than processors make, of SHA-1 and SHA-256; of the others a third.
const ITERATIONS_A_MS: u64 = 12_000;
/// The most bytes that HKDF hashes.
const MOST_TO_DERIVE: u64 = 256 << 20;
/// More of them take about a millisecond.
const MANY_ITERATIONS: u64 = 1_000;

fn much_to_hash(hash: Hash) -> usize {
    if hash.block() == 64 { MUCH_TO_HASH_FAST } else { MUCH_TO_HASH }
}

/// The same of what is signed (see `signed`): Ed25519 hashes it twice with SHA-512.
fn much_to_sign(how: u32, hash: Hash) -> usize {
    if how == 4 { MUCH_TO_HASH / 2 } else { much_to_hash(hash) }
}

/// `cryptoDigest(hash, bytes)`.
fn op_digest<'s>(scope: &mut v8::PinScope<'s, '_>, args: v8::FunctionCallbackArguments<'s>, rv: Return<'s>) {
    let hash = hash(arg_u32(&args, 0));
    let length = byte_length(args.get(1));
    let digest = move |bytes: &[u8]| -> Result {
        let mut digest = nexus_crypto::Digest::new(hash)?;
        digest.update(bytes)?;
        Ok(digest.finish()?.into())
    };
    if length <= much_to_hash(hash) {
        let result = with_bytes(args.get(1), digest).unwrap_or_else(|| digest(&[]));
        run_now(scope, rv, result);
    } else if ops::room(scope, length) {
        let bytes = bytes(&args, 1);
        run(scope, rv, true, length, move |_| digest(&bytes));
    }
}

/// How something is signed: 0 HMAC, 1 RSASSA-PKCS1-v1_5, 2 RSA-PSS, 3 ECDSA, 4 Ed25519.
fn signed(how: u32, hash: Hash, salt: u32, key: &Key, data: &[u8]) -> Result {
    let signature = match key {
        Key::Secret(secret) => hmac(hash, secret, data)?,
        Key::Pkey(key) => match how {
            1 => key.rsa_sign(hash, data)?,
            2 => key.pss_sign(hash, salt, data)?,
            3 => key.ecdsa_sign(hash, data)?,
            _ => key.ed25519_sign(data)?,
        },
    };
    Ok(signature.into())
}

fn verified(how: u32, hash: Hash, salt: u32, key: &Key, signature: &[u8], data: &[u8]) -> Result {
    Ok(Made::Bool(match key {
        Key::Secret(secret) => hmac_verify(hash, secret, signature, data)?,
        Key::Pkey(key) => match how {
            1 => key.rsa_verify(hash, signature, data)?,
            2 => key.pss_verify(hash, salt, signature, data)?,
            3 => key.ecdsa_verify(hash, signature, data)?,
            _ => key.ed25519_verify(signature, data)?,
        },
    }))
}

/// What a secret key has, which is hashed with the data.
fn secret_length(key: &Key) -> usize {
    if let Key::Secret(bytes) = key { bytes.len() } else { 0 }
}

/// Whether what a private key does takes long.
fn is_slow(key: &Key) -> bool {
    matches!(key, Key::Pkey(key) if key.rsa_bits() > LONG_RSA)
}

/// `cryptoSign(how, hash, salt, key, data)`.
fn op_sign<'s>(scope: &mut v8::PinScope<'s, '_>, args: v8::FunctionCallbackArguments<'s>, rv: Return<'s>) {
    let (how, hash, salt) = (arg_u32(&args, 0), hash(arg_u32(&args, 1)), arg_u32(&args, 2));
    let Some(key) = key(scope, arg_u32(&args, 3)) else { return };
    let length = byte_length(args.get(4));
    if length.max(secret_length(&key)) <= much_to_sign(how, hash) && !is_slow(&key) {
        let sign = |data: &[u8]| signed(how, hash, salt, &key, data);
        let result = with_bytes(args.get(4), sign).unwrap_or_else(|| sign(&[]));
        run_now(scope, rv, result);
    } else if ops::room(scope, length) {
        let data = bytes(&args, 4);
        run(scope, rv, true, length, move |_| signed(how, hash, salt, &key, &data));
    }
}

/// `cryptoVerify(how, hash, salt, key, signature, data)`.
fn op_verify<'s>(scope: &mut v8::PinScope<'s, '_>, args: v8::FunctionCallbackArguments<'s>, rv: Return<'s>) {
    let (how, hash, salt) = (arg_u32(&args, 0), hash(arg_u32(&args, 1)), arg_u32(&args, 2));
    let Some(key) = key(scope, arg_u32(&args, 3)) else { return };
    let length = byte_length(args.get(5));
    // A longer one is none, and not kept until its turn comes.
    let signature = if byte_length(args.get(4)) > LONGEST_RSA { Vec::new() } else { bytes(&args, 4) };
    if length.max(secret_length(&key)) <= much_to_sign(how, hash) {
        let verify = |data: &[u8]| verified(how, hash, salt, &key, &signature, data);
        let result = with_bytes(args.get(5), verify).unwrap_or_else(|| verify(&[]));
        run_now(scope, rv, result);
    } else if ops::room(scope, length) {
        let data = bytes(&args, 5);
        run(scope, rv, true, length, move |_| verified(how, hash, salt, &key, &signature, &data));
    }
}

/// `cryptoCrypt(how, encrypts, key, data, first, second, number)`: 0 AES-GCM with iv, additional data and the tag's bytes; 1
/// AES-CTR with the counter, and how many of its bits count; 2 RSA-OAEP with the label, and the hash as the number; 3 AES-KW.
fn op_crypt<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: Return<'s>,
) {
    let (how, encrypts, number) = (arg_u32(&args, 0), args.get(1).is_true(), arg_u32(&args, 6));
    let Some(key) = key(scope, arg_u32(&args, 2)) else { return };
    let length = [3, 4, 5].map(|index| byte_length(args.get(index))).iter().sum();
    if how == 2 && byte_length(args.get(3)) > LONGEST_RSA {
        let error = Error::Operation("the data is longer than a key of RSA-OAEP takes");
        return rv.set(failure(scope, error));
    }
    let is_long = match how {
        0 | 1 => length > MUCH_TO_ENCRYPT,
        // It hashes the label.
        2 => length > MUCH_TO_HASH || is_slow(&key) && !encrypts,
        _ => length > MUCH_TO_WRAP,
    };
    if let (0 | 1, false, Key::Secret(key)) = (how, is_long, &key) {
        return stream_now(scope, &args, rv, &Stream { how, encrypts, number, key });
    }
    // With the result.
    let takes = if how <= 1 { 2 * length + 16 } else { length };
    if !ops::room(scope, takes) {
        return;
    }
    let [data, first, second] = [3, 4, 5].map(|index| Secret::new(bytes(&args, index)));
    run(scope, rv, is_long, takes, move |_| match &key {
        Key::Pkey(key) if encrypts => Ok(key.oaep_encrypt(hash(number), &first, &data)?.into()),
        Key::Pkey(key) => Ok(Made::Bytes(key.oaep_decrypt(hash(number), &first, &data)?)),
        Key::Secret(key) if how <= 1 => {
            let stream = Stream { how, encrypts, number, key };
            let mut result = Secret::new(vec![0; stream.length(data.len())?]);
            stream.write(&data, &first, &second, &mut result)?;
            Ok(Made::Bytes(result))
        }
        Key::Secret(key) if encrypts => Ok(aes_wrap(key, &data)?.into()),
        Key::Secret(key) => Ok(Made::Bytes(aes_unwrap(key, &data)?)),
    });
}

/// What AES-GCM (0) or AES-CTR (1) does: with a tag of so many bytes, or with so many bits that count.
struct Stream<'k> {
    how: u32,
    encrypts: bool,
    number: u32,
    key: &'k [u8],
}

impl Stream<'_> {
    /// How many bytes it gives for so many.
    fn length(&self, data: usize) -> std::result::Result<usize, Error> {
        let tag = self.number as usize;
        match (self.how, self.encrypts) {
            (0, true) => Ok(data + tag),
            (0, false) => data.checked_sub(tag).ok_or(Error::Operation("the data is shorter than its tag")),
            _ => Ok(data),
        }
    }

    fn write(
        &self,
        data: &[u8],
        first: &[u8],
        second: &[u8],
        result: &mut [u8],
    ) -> std::result::Result<(), Error> {
        match (self.how, self.encrypts) {
            (0, true) => aes_gcm_encrypt(self.key, first, second, data, result),
            (0, false) => aes_gcm_decrypt(self.key, first, second, data, result),
            _ => {
                let counter = first.try_into().map_err(|_| Error::Operation("a counter has 16 bytes"))?;
                aes_ctr(self.key, counter, self.number, data, result)
            }
        }
    }
}

/// From the guest's memory into the guest's memory: a copy of a megabyte takes longer than AES does.
fn stream_now<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: Args<'s, '_>,
    mut rv: Return<'s>,
    stream: &Stream<'_>,
) {
    let length = match stream.length(byte_length(args.get(3))) {
        Ok(length) => length,
        Err(error) => return rv.set(failure(scope, error)),
    };
    let (first, second) = (bytes(args, 4), bytes(args, 5));
    let mut done = Ok(());
    // No JavaScript runs meanwhile, and the result is nobody's yet.
    let made = ops::uint8_array_with(scope, length, |result| {
        let write = |data: &[u8]| stream.write(data, &first, &second, result);
        done = with_bytes(args.get(3), write).unwrap_or(Err(Error::Operation("there is no data")));
    });
    match done {
        Ok(()) => answer(scope, rv, made.map(Into::into)),
        Err(error) => rv.set(failure(scope, error)),
    }
}

/// `cryptoDerive(how, key, hash, salt, info, number, bits)`: so many bits. 0 HKDF and 1 PBKDF2, of which the number are its
/// iterations, in whole bytes; 2 ECDH and 3 X25519, the number is the other key, and all bits if they are null.
fn op_derive<'s>(scope: &mut v8::PinScope<'s, '_>, args: v8::FunctionCallbackArguments<'s>, rv: Return<'s>) {
    let (how, hash, number) = (arg_u32(&args, 0), hash(arg_u32(&args, 2)), arg_u32(&args, 5));
    let bits = if args.get(6).is_null() { None } else { Some(arg_u32(&args, 6)) };
    let id = arg_u32(&args, 1);
    if how >= 2 {
        let (Some(own), Some(other)) = (pkey(scope, id), pkey(scope, number)) else { return };
        run(scope, rv, false, 0, move |_| {
            let mut agreed = if how == 2 { own.ecdh(&other)? } else { own.x25519(&other)? };
            if let Some(bits) = bits {
                if bits.div_ceil(8) as usize > agreed.len() {
                    return Err(Error::Operation("these keys do not agree upon so many bits"));
                }
                first_bits(&mut agreed, bits);
            }
            Ok(Made::Bytes(agreed))
        });
        return;
    }
    let size = bits.unwrap_or(0) as usize / 8;
    let Some(key) = secret(scope, id) else { return };
    let taken = byte_length(args.get(3)) + byte_length(args.get(4)) + size;
    if !ops::room(scope, taken) {
        return;
    }
    let (salt, info) = (bytes(&args, 3), bytes(&args, 4));
    let blocks = size.div_ceil(hash.size()) as u64;
    if how == 0 {
        // Each block hashes all of `info`.
        let hashed =
            (key.len() + salt.len()) as u64 + blocks.saturating_mul((info.len() + hash.block()) as u64);
        let is_long = hashed > MUCH_TO_HASH as u64;
        run(scope, rv, is_long, taken, move |_| {
            if hashed > MOST_TO_DERIVE {
                return Err(Error::Operation("HKDF would hash more than 256 MB"));
            }
            Ok(Made::Bytes(hkdf(hash, &key, &salt, &info, size)?))
        });
        return;
    }
    // Each block hashes the salt once, and the password at first.
    let salted = (salt.len() / hash.block() + 1) as u64;
    let work = blocks.saturating_mul(u64::from(number).saturating_add(salted));
    let is_long = work > MANY_ITERATIONS || key.len() > MUCH_TO_HASH;
    let rate = if hash.block() == 64 { ITERATIONS_A_MS } else { ITERATIONS_A_MS / 3 };
    let most = u64::try_from(most_time(scope).as_millis()).unwrap_or(u64::MAX).saturating_mul(rate);
    run(scope, rv, is_long, taken, move |_| {
        if work > MOST_ITERATIONS {
            return Err(Error::Operation(
                "PBKDF2 makes 10,000,000 iterations at the most, those of all blocks together",
            ));
        }
        if work > most {
            return Err(Error::Operation("so many iterations take more CPU time than the app's limit (cpu)"));
        }
        Ok(Made::Bytes(pbkdf2(hash, &key, &salt, number, size)?))
    });
}
