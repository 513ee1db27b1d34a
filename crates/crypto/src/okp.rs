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

/// The points of small order on the curve of Ed25519, in all their encodings, without the sign of x.
const SMALL: [[u8; SIZE]; 7] = [
    ends([0; SIZE], 0, 0),
    ends([0; SIZE], 1, 0),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    ends([0xff; SIZE], 0xec, 0x7f),
    ends([0xff; SIZE], 0xed, 0x7f),
    ends([0xff; SIZE], 0xee, 0x7f),
];

const fn ends(mut bytes: [u8; SIZE], first: u8, last: u8) -> [u8; SIZE] {
    bytes[0] = first;
    bytes[SIZE - 1] = last;
    bytes
}

fn is_of_small_order(point: &[u8]) -> bool {
    let Ok(mut point) = <[u8; SIZE]>::try_from(point) else { return false };
    point[SIZE - 1] &= 0x7f;
    SMALL.contains(&point)
}

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

    /// Whether that is a signature by Ed25519. None is of a key, or has a point, of small order: such ones verify for
    /// data that nobody has signed.
    ///
    /// # Errors
    /// [`Error::Operation`] for other keys.
    pub fn ed25519_verify(&self, signature: &[u8], data: &[u8]) -> Result<bool, Error> {
        self.okp(Some(Okp::Ed25519))?;
        if is_of_small_order(&self.okp_public()?) || signature.get(..SIZE).is_none_or(is_of_small_order) {
            return Ok(false);
        }
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
