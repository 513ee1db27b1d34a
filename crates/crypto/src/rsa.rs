//! RSA: signatures by PKCS #1 v1.5 and PSS, encryption by OAEP. RFC 8017.

use std::os::raw::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{null, null_mut};

use aws_lc_sys as lc;

use crate::ffi::{Owned, bytes_of, done, number, significant};
use crate::{Error, Hash, Kind, Pkey, Secret};

/// The numbers of a public key, the highest byte first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RsaNumbers {
    /// The modulus.
    pub n: Vec<u8>,
    /// The exponent.
    pub e: Vec<u8>,
}

/// Those of a private key. RFC 8017, section 3.2.
pub struct RsaPrivateNumbers {
    /// The private exponent.
    pub d: Secret,
    /// The first factor.
    pub p: Secret,
    /// The second factor.
    pub q: Secret,
    /// The first factor's exponent.
    pub dp: Secret,
    /// The second factor's exponent.
    pub dq: Secret,
    /// The coefficient.
    pub qi: Secret,
}

/// The shortest and the longest modulus, in bits.
const BITS: std::ops::RangeInclusive<u32> = 512..=8192;

impl Pkey {
    /// Makes a private key. It takes tens of milliseconds at least, seconds for one of 4,096 bits, and is given up when
    /// `goes_on`, which is asked every few milliseconds, says so.
    ///
    /// # Errors
    /// [`Error::Operation`] for fewer than 512 or more than 8,192 bits or no multiple of 128, or an exponent that is even or 1 or has more than 32
    /// bits, or when it was given up.
    pub fn generate_rsa<F: FnMut() -> bool>(
        bits: u32,
        exponent: &[u8],
        mut goes_on: F,
    ) -> Result<Self, Error> {
        const GIVEN_UP: Error = Error::Operation("no RSA key was found in the time that there is");
        const FAILED: Error = Error::Operation("no RSA key can be made with this length and exponent");
        // The library rounds others down.
        if !BITS.contains(&bits) || !bits.is_multiple_of(128) {
            return Err(FAILED);
        }
        let e = number(exponent)?;
        // SAFETY: all values are whole; the key takes over what it is given.
        unsafe {
            if lc::BN_is_odd(e.as_ptr()) == 0 || !(2..=32).contains(&lc::BN_num_bits(e.as_ptr())) {
                return Err(FAILED);
            }
            let rsa = Owned::new(lc::RSA_new(), FAILED)?;
            let asks = Owned::new(lc::BN_GENCB_new(), FAILED)?;
            let mut ended = false;
            let mut ask = || {
                ended |= !goes_on();
                !ended
            };
            set_asking(&asks, &mut ask);
            let made = lc::RSA_generate_key_ex(rsa.as_ptr(), bits as c_int, e.as_ptr(), asks.as_ptr());
            done(made, if ended { GIVEN_UP } else { FAILED })?;
            Self::around(Kind::Rsa, true, |key| lc::EVP_PKEY_set1_RSA(key, rsa.as_ptr()))
        }
    }

    /// The key of these numbers, private if there are those.
    ///
    /// # Errors
    /// [`Error::Data`] if they are none, or do not fit each other.
    pub fn from_rsa(numbers: &RsaNumbers, private: Option<&RsaPrivateNumbers>) -> Result<Self, Error> {
        const NONE: Error = Error::Data("these are not the numbers of an RSA key");
        // What is longer takes long to check.
        let length = significant(&numbers.n).len();
        let others = private.map(|of| [&of.d, &of.p, &of.q, &of.dp, &of.dq, &of.qi]);
        let too_long =
            others.is_some_and(|all| all.into_iter().any(|number| significant(number).len() > length));
        if too_long || length > BITS.end().div_ceil(8) as usize || significant(&numbers.e).len() > 4 {
            return Err(NONE);
        }
        let (n, e) = (number(&numbers.n)?, number(&numbers.e)?);
        // SAFETY: all values are whole; the functions copy them.
        unsafe {
            let made = match private {
                None => lc::RSA_new_public_key(n.as_ptr(), e.as_ptr()),
                Some(of) => {
                    let (d, p, q) = (number(&of.d)?, number(&of.p)?, number(&of.q)?);
                    let (dp, dq, qi) = (number(&of.dp)?, number(&of.dq)?, number(&of.qi)?);
                    lc::RSA_new_private_key(
                        n.as_ptr(),
                        e.as_ptr(),
                        d.as_ptr(),
                        p.as_ptr(),
                        q.as_ptr(),
                        dp.as_ptr(),
                        dq.as_ptr(),
                        qi.as_ptr(),
                    )
                }
            };
            let rsa = Owned::new(made, NONE)?;
            let key =
                Self::around(Kind::Rsa, private.is_some(), |key| lc::EVP_PKEY_set1_RSA(key, rsa.as_ptr()))?;
            key.is_usual_rsa(NONE)?;
            Ok(key)
        }
    }

    /// Whether an RSA key has a usual length, and all of its numbers: the library also takes some without.
    pub(crate) fn is_usual_rsa(&self, error: Error) -> Result<(), Error> {
        let has_all =
            self.rsa_numbers().is_ok() && (!self.is_private() || self.rsa_private_numbers().is_ok());
        if has_all && BITS.contains(&self.rsa_bits()) { Ok(()) } else { Err(error) }
    }

    /// The length of an RSA key's modulus, in bits; 0 of others.
    pub fn rsa_bits(&self) -> u32 {
        match self.kind() {
            // SAFETY: the key is whole and of this kind.
            Kind::Rsa => unsafe { lc::RSA_bits(lc::EVP_PKEY_get0_RSA(self.key.as_ptr())) },
            _ => 0,
        }
    }

    /// An RSA key's public numbers.
    ///
    /// # Errors
    /// [`Error::Operation`] for other keys.
    pub fn rsa_numbers(&self) -> Result<RsaNumbers, Error> {
        let rsa = self.rsa()?;
        let (mut n, mut e) = (null(), null());
        // SAFETY: the key is whole; both numbers are the key's and live as long.
        unsafe {
            lc::RSA_get0_key(rsa, &mut n, &mut e, null_mut());
            Ok(RsaNumbers { n: bytes_of(n)?.to_vec(), e: bytes_of(e)?.to_vec() })
        }
    }

    /// An RSA key's private numbers.
    ///
    /// # Errors
    /// [`Error::Operation`] for other keys, and those that have no factors.
    pub fn rsa_private_numbers(&self) -> Result<RsaPrivateNumbers, Error> {
        self.private()?;
        let rsa = self.rsa()?;
        let (mut d, mut p, mut q, mut dp, mut dq, mut qi) = (null(), null(), null(), null(), null(), null());
        // SAFETY: the key is whole; the numbers are the key's and live as long.
        unsafe {
            lc::RSA_get0_key(rsa, null_mut(), null_mut(), &mut d);
            lc::RSA_get0_factors(rsa, &mut p, &mut q);
            lc::RSA_get0_crt_params(rsa, &mut dp, &mut dq, &mut qi);
            let (d, p, q) = (bytes_of(d)?, bytes_of(p)?, bytes_of(q)?);
            let (dp, dq, qi) = (bytes_of(dp)?, bytes_of(dq)?, bytes_of(qi)?);
            Ok(RsaPrivateNumbers { d, p, q, dp, dq, qi })
        }
    }

    fn rsa(&self) -> Result<*mut lc::RSA, Error> {
        match self.kind() {
            // SAFETY: the key is whole and of this kind.
            Kind::Rsa => Ok(unsafe { lc::EVP_PKEY_get0_RSA(self.key.as_ptr()) }),
            _ => Err(Error::Operation("the key is not one of RSA")),
        }
    }

    /// RSASSA-PKCS1-v1_5.
    ///
    /// # Errors
    /// [`Error::Operation`] for keys that are not private ones of RSA, or too short for the hash.
    pub fn rsa_sign(&self, hash: Hash, data: &[u8]) -> Result<Vec<u8>, Error> {
        self.rsa()?;
        self.sign_with(Some(hash), data, pkcs1)
    }

    /// Whether that is a signature by RSASSA-PKCS1-v1_5.
    ///
    /// # Errors
    /// [`Error::Operation`] for other keys.
    pub fn rsa_verify(&self, hash: Hash, signature: &[u8], data: &[u8]) -> Result<bool, Error> {
        self.rsa()?;
        self.verify_with(Some(hash), signature, data, pkcs1)
    }

    /// RSA-PSS with MGF1 by the same hash, and a salt of so many bytes.
    ///
    /// # Errors
    /// [`Error::Operation`] for keys that are not private ones of RSA, or too short for the salt.
    pub fn pss_sign(&self, hash: Hash, salt: u32, data: &[u8]) -> Result<Vec<u8>, Error> {
        self.rsa()?;
        self.sign_with(Some(hash), data, |context| pss(context, salt))
    }

    /// Whether that is a signature by RSA-PSS, with a salt of so many bytes.
    ///
    /// # Errors
    /// [`Error::Operation`] for other keys.
    pub fn pss_verify(&self, hash: Hash, salt: u32, signature: &[u8], data: &[u8]) -> Result<bool, Error> {
        self.rsa()?;
        if i32::try_from(salt).is_err() {
            return Ok(false);
        }
        self.verify_with(Some(hash), signature, data, |context| pss(context, salt))
    }

    /// RSA-OAEP with MGF1 by the same hash.
    ///
    /// # Errors
    /// [`Error::Operation`] for other keys, or data that is too long for this one.
    pub fn oaep_encrypt(&self, hash: Hash, label: &[u8], data: &[u8]) -> Result<Vec<u8>, Error> {
        const FAILED: Error = Error::Operation("the data cannot be encrypted: it is too long for this key");
        self.rsa()?;
        // SAFETY: the context is ready; the result has room for the length that was told.
        unsafe {
            let context = self.oaep(hash, label, FAILED, |context| lc::EVP_PKEY_encrypt_init(context))?;
            let (context, mut length) = (context.as_ptr(), 0);
            let told = lc::EVP_PKEY_encrypt(context, null_mut(), &mut length, data.as_ptr(), data.len());
            done(told, FAILED)?;
            let mut result = vec![0; length];
            let out = result.as_mut_ptr();
            done(lc::EVP_PKEY_encrypt(context, out, &mut length, data.as_ptr(), data.len()), FAILED)?;
            result.truncate(length);
            Ok(result)
        }
    }

    /// Decrypts what [`Pkey::oaep_encrypt`] has given.
    ///
    /// # Errors
    /// [`Error::Operation`] for keys that are not private ones of RSA, or if it is not that.
    pub fn oaep_decrypt(&self, hash: Hash, label: &[u8], data: &[u8]) -> Result<Secret, Error> {
        const FAILED: Error =
            Error::Operation("the data cannot be decrypted: it is not what was encrypted for this key");
        self.rsa()?;
        self.private()?;
        // SAFETY: the context is ready; the result has room for the length that was told.
        unsafe {
            let context = self.oaep(hash, label, FAILED, |context| lc::EVP_PKEY_decrypt_init(context))?;
            let (context, mut length) = (context.as_ptr(), 0);
            let told = lc::EVP_PKEY_decrypt(context, null_mut(), &mut length, data.as_ptr(), data.len());
            done(told, FAILED)?;
            let mut result = Secret::new(vec![0; length]);
            let out = result.as_mut_ptr();
            done(lc::EVP_PKEY_decrypt(context, out, &mut length, data.as_ptr(), data.len()), FAILED)?;
            result.truncate(length);
            Ok(result)
        }
    }

    fn oaep(
        &self,
        hash: Hash,
        label: &[u8],
        error: Error,
        begin: impl FnOnce(*mut lc::EVP_PKEY_CTX) -> c_int,
    ) -> Result<Owned<lc::EVP_PKEY_CTX>, Error> {
        // SAFETY: the context is new and becomes ready in this order; it takes over the label's copy, which has that
        // length.
        unsafe {
            let context = Owned::new(lc::EVP_PKEY_CTX_new(self.key.as_ptr(), null_mut()), error)?;
            let made = context.as_ptr();
            done(begin(made), error)?;
            done(lc::EVP_PKEY_CTX_set_rsa_padding(made, lc::RSA_PKCS1_OAEP_PADDING), error)?;
            done(lc::EVP_PKEY_CTX_set_rsa_oaep_md(made, hash.md()), error)?;
            done(lc::EVP_PKEY_CTX_set_rsa_mgf1_md(made, hash.md()), error)?;
            if !label.is_empty() {
                let copy = lc::OPENSSL_malloc(label.len()).cast::<u8>();
                done((!copy.is_null()).into(), error)?;
                copy.copy_from_nonoverlapping(label.as_ptr(), label.len());
                let set = lc::EVP_PKEY_CTX_set0_rsa_oaep_label(made, copy, label.len());
                if set != 1 {
                    lc::OPENSSL_free(copy.cast());
                }
                done(set, error)?;
            }
            Ok(context)
        }
    }
}

fn pkcs1(context: *mut lc::EVP_PKEY_CTX) -> c_int {
    // SAFETY: the context is one of an RSA key that signs or verifies.
    unsafe { lc::EVP_PKEY_CTX_set_rsa_padding(context, lc::RSA_PKCS1_PADDING) }
}

fn pss(context: *mut lc::EVP_PKEY_CTX, salt: u32) -> c_int {
    // Negative lengths have meanings of their own there.
    let Ok(salt) = c_int::try_from(salt) else { return 0 };
    // SAFETY: the context is one of an RSA key that signs or verifies.
    unsafe {
        let is_set = lc::EVP_PKEY_CTX_set_rsa_padding(context, lc::RSA_PKCS1_PSS_PADDING) == 1
            && lc::EVP_PKEY_CTX_set_rsa_pss_saltlen(context, salt) == 1;
        is_set.into()
    }
}

/// Has a search ask `goes_on` between its steps.
///
/// # Safety
/// The search ends before `goes_on` does.
unsafe fn set_asking<F: FnMut() -> bool>(asks: &Owned<lc::BN_GENCB>, goes_on: &mut F) {
    unsafe extern "C" fn ask<F: FnMut() -> bool>(_: c_int, _: c_int, asks: *mut lc::BN_GENCB) -> c_int {
        // SAFETY: the argument is what was set, and nobody else has it during the search.
        let goes_on = unsafe { &mut *lc::BN_GENCB_get_arg(asks).cast::<F>() };
        // A panic may not leave through C: it is taken as a no.
        catch_unwind(AssertUnwindSafe(goes_on)).unwrap_or(false).into()
    }
    // SAFETY: the value is whole, and `ask` takes what is set here.
    unsafe { lc::BN_GENCB_set(asks.as_ptr(), Some(ask::<F>), std::ptr::from_mut(goes_on).cast()) }
}
