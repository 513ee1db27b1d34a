//! The elliptic curves of NIST: ECDSA and ECDH. FIPS 186-5, SEC 1.

use std::ptr::null_mut;

use aws_lc_sys as lc;

use crate::ffi::{Owned, done, failed, number, padded_bytes_of};
use crate::pkey::algorithm_in;
use crate::{Error, Hash, Kind, Pkey, Secret};

/// A curve of NIST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// P-256, or secp256r1.
    P256,
    /// P-384, or secp384r1.
    P384,
    /// P-521, or secp521r1.
    P521,
}

impl Curve {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// The length of a coordinate, and of each number of a signature, in bytes.
    pub const fn size(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// The length of a coordinate in bits.
    pub const fn bits(self) -> u32 {
        match self {
            Self::P256 => 256,
            Self::P384 => 384,
            Self::P521 => 521,
        }
    }

    const fn nid(self) -> i32 {
        match self {
            Self::P256 => lc::NID_X9_62_prime256v1,
            Self::P384 => lc::NID_secp384r1,
            Self::P521 => lc::NID_secp521r1,
        }
    }

    /// Whether the DER of a key of this curve has its name, first of all behind its version, if it has one.
    pub(crate) fn is_named_in(self, der: &[u8], has_version: bool) -> bool {
        let name: &[u8] = match self {
            Self::P256 => {
                b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
            }
            Self::P384 => b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22",
            Self::P521 => b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23",
        };
        algorithm_in(der, has_version).is_some_and(|rest| rest.starts_with(name))
    }

    /// # Safety
    /// The group is whole.
    pub(crate) unsafe fn of(group: *const lc::EC_GROUP) -> Option<Self> {
        // SAFETY: as of this function.
        let nid = unsafe { lc::EC_GROUP_get_curve_name(group) };
        Self::ALL.into_iter().find(|curve| curve.nid() == nid)
    }

    fn key(self) -> Result<Owned<lc::EC_KEY>, Error> {
        // SAFETY: the key is new.
        unsafe {
            Owned::new(lc::EC_KEY_new_by_curve_name(self.nid()), Error::Operation("the key cannot be made"))
        }
    }
}

/// The numbers of a key, each as long as its curve's coordinates, the highest byte first.
pub struct EcNumbers {
    /// The first coordinate.
    pub x: Vec<u8>,
    /// The second one.
    pub y: Vec<u8>,
    /// A private key's number.
    pub d: Option<Secret>,
}

const NONE: Error = Error::Data("this is no key of its curve");

impl Pkey {
    /// Makes a private key.
    ///
    /// # Errors
    /// If the library fails, which it has no reason to.
    pub fn generate_ec(curve: Curve) -> Result<Self, Error> {
        let key = curve.key()?;
        // SAFETY: the key is whole.
        let made = unsafe { lc::EC_KEY_generate_key(key.as_ptr()) };
        done(made, Error::Operation("the key cannot be made"))?;
        Self::around_ec(key, curve, true)
    }

    fn around_ec(key: Owned<lc::EC_KEY>, curve: Curve, is_private: bool) -> Result<Self, Error> {
        // SAFETY: both keys are whole.
        Self::around(Kind::Ec(curve), is_private, |made| unsafe {
            lc::EVP_PKEY_set1_EC_KEY(made, key.as_ptr())
        })
    }

    /// The public key at this point of its curve. SEC 1, section 2.3.4.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none, or if it is the point at infinity.
    pub fn from_ec_point(curve: Curve, point: &[u8]) -> Result<Self, Error> {
        let key = curve.key()?;
        // SAFETY: all values are whole; the pointer and the length are those of `point`; the key copies its point.
        unsafe {
            let group = lc::EC_KEY_get0_group(key.as_ptr());
            let at = Owned::new(lc::EC_POINT_new(group), NONE)?;
            let read = lc::EC_POINT_oct2point(group, at.as_ptr(), point.as_ptr(), point.len(), null_mut());
            done(read, NONE)?;
            done(lc::EC_KEY_set_public_key(key.as_ptr(), at.as_ptr()), NONE)?;
            done(lc::EC_KEY_check_key(key.as_ptr()), NONE)?;
        }
        Self::around_ec(key, curve, false)
    }

    /// A key's public point, uncompressed. SEC 1, section 2.3.3.
    ///
    /// # Errors
    /// [`Error::Operation`] for other keys.
    pub fn ec_point(&self) -> Result<Vec<u8>, Error> {
        const FAILED: Error = Error::Operation("the key cannot be written");
        let (key, curve) = self.ec()?;
        let mut point = vec![0; 1 + 2 * curve.size()];
        // SAFETY: the key is whole; `point` has that length.
        let written = unsafe {
            let (group, at) = (lc::EC_KEY_get0_group(key), lc::EC_KEY_get0_public_key(key));
            let form = lc::point_conversion_form_t::POINT_CONVERSION_UNCOMPRESSED;
            lc::EC_POINT_point2oct(group, at, form, point.as_mut_ptr(), point.len(), null_mut())
        };
        if written == point.len() { Ok(point) } else { Err(failed(FAILED)) }
    }

    /// The key of these numbers, private if there is one for that.
    ///
    /// # Errors
    /// [`Error::Data`] if they are none, do not fit each other, or are not as long as those of their curve.
    pub fn from_ec(curve: Curve, numbers: &EcNumbers) -> Result<Self, Error> {
        let private = numbers.d.as_deref();
        let lengths = [Some(numbers.x.len()), Some(numbers.y.len()), private.map(|d| d.len())];
        if lengths.into_iter().flatten().any(|length| length != curve.size()) {
            return Err(NONE);
        }
        let key = curve.key()?;
        let (x, y) = (number(&numbers.x)?, number(&numbers.y)?);
        // SAFETY: all values are whole; the key copies them.
        unsafe {
            let set = lc::EC_KEY_set_public_key_affine_coordinates(key.as_ptr(), x.as_ptr(), y.as_ptr());
            done(set, NONE)?;
            if let Some(d) = private {
                done(lc::EC_KEY_set_private_key(key.as_ptr(), number(d)?.as_ptr()), NONE)?;
            }
            done(lc::EC_KEY_check_key(key.as_ptr()), NONE)?;
        }
        Self::around_ec(key, curve, private.is_some())
    }

    /// A key's numbers.
    ///
    /// # Errors
    /// [`Error::Operation`] for other keys.
    pub fn ec_numbers(&self) -> Result<EcNumbers, Error> {
        let (key, curve) = self.ec()?;
        let point = self.ec_point()?;
        let (x, y) = point[1..].split_at(curve.size());
        let d = match self.is_private() {
            // SAFETY: a private key has that number, which lives as long.
            true => unsafe { Some(padded_bytes_of(lc::EC_KEY_get0_private_key(key), curve.size())?) },
            false => None,
        };
        Ok(EcNumbers { x: x.to_vec(), y: y.to_vec(), d })
    }

    fn ec(&self) -> Result<(*mut lc::EC_KEY, Curve), Error> {
        match self.kind() {
            // SAFETY: the key is whole and of this kind.
            Kind::Ec(curve) => Ok((unsafe { lc::EVP_PKEY_get0_EC_KEY(self.key.as_ptr()) }, curve)),
            _ => Err(Error::Operation("the key is not one of an elliptic curve")),
        }
    }

    /// ECDSA: both numbers of the signature, one after the other.
    ///
    /// # Errors
    /// [`Error::Operation`] for keys that are not private ones of a curve.
    pub fn ecdsa_sign(&self, hash: Hash, data: &[u8]) -> Result<Vec<u8>, Error> {
        const FAILED: Error = Error::Operation("the data cannot be signed with this key");
        let (_, curve) = self.ec()?;
        let signature = self.sign_with(Some(hash), data, |_| 1)?;
        // SAFETY: the signature is new; both numbers live as long.
        unsafe {
            let signature =
                Owned::new(lc::ECDSA_SIG_from_bytes(signature.as_ptr(), signature.len()), FAILED)?;
            let (mut r, mut s) = (std::ptr::null(), std::ptr::null());
            lc::ECDSA_SIG_get0(signature.as_ptr(), &mut r, &mut s);
            let mut both = padded_bytes_of(r, curve.size())?.to_vec();
            both.extend_from_slice(&padded_bytes_of(s, curve.size())?);
            Ok(both)
        }
    }

    /// Whether that is a signature by ECDSA.
    ///
    /// # Errors
    /// [`Error::Operation`] for other keys.
    pub fn ecdsa_verify(&self, hash: Hash, signature: &[u8], data: &[u8]) -> Result<bool, Error> {
        const FAILED: Error = Error::Operation("the signature cannot be verified with this key");
        let (_, curve) = self.ec()?;
        if signature.len() != 2 * curve.size() {
            return Ok(false);
        }
        let (r, s) = signature.split_at(curve.size());
        let (r, s) = (number(r)?, number(s)?);
        // SAFETY: all values are whole; the signature takes over both numbers, and what is written is copied and freed.
        let written = unsafe {
            let signature = Owned::new(lc::ECDSA_SIG_new(), FAILED)?;
            done(lc::ECDSA_SIG_set0(signature.as_ptr(), r.into_raw(), s.into_raw()), FAILED)?;
            let (mut bytes, mut length) = (null_mut(), 0);
            if lc::ECDSA_SIG_to_bytes(&mut bytes, &mut length, signature.as_ptr()) != 1 {
                failed(FAILED);
                return Ok(false);
            }
            let written = std::slice::from_raw_parts(bytes, length).to_vec();
            lc::OPENSSL_free(bytes.cast());
            written
        };
        self.verify_with(Some(hash), &written, data, |_| 1)
    }

    /// ECDH: the first coordinate of the point that this private key and another one's public part agree upon.
    ///
    /// # Errors
    /// [`Error::Operation`] for keys that are not private, not of one curve, or not of a curve.
    pub fn ecdh(&self, other: &Self) -> Result<Secret, Error> {
        const FAILED: Error = Error::Operation("these keys do not agree upon anything");
        self.private()?;
        let ((own, curve), (others, same)) = (self.ec()?, other.ec()?);
        if curve != same {
            return Err(FAILED);
        }
        let mut agreed = Secret::new(vec![0; curve.size()]);
        // SAFETY: both keys are whole; `agreed` has that length.
        let length = unsafe {
            let point = lc::EC_KEY_get0_public_key(others);
            lc::ECDH_compute_key(agreed.as_mut_ptr().cast(), agreed.len(), point, own, None)
        };
        if usize::try_from(length) == Ok(curve.size()) { Ok(agreed) } else { Err(failed(FAILED)) }
    }
}
