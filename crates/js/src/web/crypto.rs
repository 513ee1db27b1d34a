//! Natives of `crypto.js` and `crypto_keys.js`: random numbers, and keys. What is done with keys is in `crypto_uses.rs`.
//! What those check is not checked again: names of algorithms, usages, the members of dictionaries.

use std::sync::Arc;
use std::time::Duration;

use nexus_crypto::{
    Curve, EcNumbers, Error, Hash, Kind, Okp, Pkey, RsaNumbers, RsaPrivateNumbers, Secret, erase, random,
    timing_safe_equal,
};

use super::base64;
use super::crypto_work::{Key, Made, answer, failure, keys, run, run_now, thread_cpu};
use super::encoding::with_bytes;
use super::held::Held;
use crate::ops::{self, arg_u32, byte_length};
use crate::state::State;

pub(crate) const OPS: &[ops::Op] = ops::ops![
    cryptoRandom => op_random,
    cryptoUuid => op_uuid,
    cryptoEqual => op_equal,
    cryptoCopy => op_copy,
    cryptoErase => op_erase,
    cryptoSecret => op_secret,
    cryptoRandomSecret => op_random_secret,
    cryptoSecretBytes => op_secret_bytes,
    cryptoSecretText => op_secret_text,
    cryptoGenerate => op_generate,
    cryptoImport => op_import,
    cryptoExport => op_export,
    cryptoFromNumbers => op_from_numbers,
    cryptoNumbers => op_numbers,
    cryptoRsa => op_rsa,
    cryptoFromBase64 => op_from_base64,
];

/// More random bytes take about a millisecond.
const MUCH_AT_RANDOM: usize = 512 << 10;
/// The bytes of a private RSA key's modulus, and of its PKCS #8, from which on it takes about a millisecond to see whether
/// its numbers fit each other: those of 4,096 bits take half of one.
const LONG_MODULUS: usize = 4096 / 8;
const LONG_PKCS8: usize = 2_400;
/// The most characters of a number in a JSON Web Key: some times what the longest RSA key has.
const LONGEST_NUMBER: usize = 4096;

pub(super) type Args<'s, 'a> = &'a v8::FunctionCallbackArguments<'s>;
pub(super) type Return<'s> = v8::ReturnValue<'s, v8::Value>;

pub(super) fn hash(number: u32) -> Hash {
    Hash::ALL.get(number as usize).copied().unwrap_or(Hash::Sha256)
}

fn curve(number: u32) -> Curve {
    Curve::ALL.get(number as usize).copied().unwrap_or(Curve::P256)
}

/// The bytes of an argument. There was room for them: JavaScript made them.
pub(super) fn bytes(args: Args<'_, '_>, index: i32) -> Vec<u8> {
    with_bytes(args.get(index), <[u8]>::to_vec).unwrap_or_default()
}

pub(super) fn key(scope: &mut v8::PinScope<'_, '_>, id: u32) -> Option<Key> {
    Held::with(scope, id, |key: &mut Key| (key.clone(), key.size()))
}

pub(super) fn pkey(scope: &mut v8::PinScope<'_, '_>, id: u32) -> Option<Arc<Pkey>> {
    match key(scope, id)? {
        Key::Pkey(key) => Some(key),
        Key::Secret(_) => None,
    }
}

pub(super) fn secret(scope: &mut v8::PinScope<'_, '_>, id: u32) -> Option<Arc<Secret>> {
    match key(scope, id)? {
        Key::Secret(key) => Some(key),
        Key::Pkey(_) => None,
    }
}

/// Lets `act` at the bytes of an argument that is a `Uint8Array`.
fn with_bytes_mut(scope: &mut v8::PinScope<'_, '_>, args: Args<'_, '_>, act: impl FnOnce(&mut [u8])) {
    let Ok(view) = v8::Local::<v8::Uint8Array>::try_from(args.get(0)) else { return };
    let (offset, length) = (view.byte_offset(), view.byte_length());
    if length > 0
        && let Some(buffer) = view.buffer(scope)
        && let Some(data) = buffer.data()
    {
        // SAFETY: V8 keeps a view inside its buffer, no JavaScript runs meanwhile, and `buffer` keeps the store.
        act(unsafe { std::slice::from_raw_parts_mut(data.as_ptr().cast::<u8>().add(offset), length) });
    }
}

/// `cryptoRandom(bytes)`: fills a `Uint8Array`.
fn op_random<'s>(scope: &mut v8::PinScope<'s, '_>, args: v8::FunctionCallbackArguments<'s>, _rv: Return<'s>) {
    let mut result = Ok(());
    with_bytes_mut(scope, &args, |bytes| result = random(bytes));
    if result.is_err() {
        ops::throw_type_error(scope, "there are no random bytes");
    }
}

/// `cryptoErase(bytes)`: of a `Uint8Array`.
fn op_erase<'s>(scope: &mut v8::PinScope<'s, '_>, args: v8::FunctionCallbackArguments<'s>, _rv: Return<'s>) {
    with_bytes_mut(scope, &args, erase);
}

/// `cryptoUuid()`: one of version 4.
fn op_uuid<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    _args: v8::FunctionCallbackArguments<'s>,
    mut rv: Return<'s>,
) {
    let mut bytes = [0; 16];
    if random(&mut bytes).is_err() {
        ops::throw_type_error(scope, "there are no random bytes");
        return;
    }
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let (mut text, mut at) = ([b'-'; 36], 0);
    for (i, byte) in bytes.into_iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    rv.set(ops::latin1_string(scope, &text).into());
}

/// `cryptoEqual(a, b)`: whether they are the same.
fn op_equal<'s>(
    _scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: Return<'s>,
) {
    let same = with_bytes(args.get(0), |a| with_bytes(args.get(1), |b| timing_safe_equal(a, b)));
    rv.set_bool(same.flatten().unwrap_or(false));
}

/// `cryptoCopy(source, most)`: its bytes by now, as a `Uint8Array`; none if there are more than `most`.
fn op_copy<'s>(scope: &mut v8::PinScope<'s, '_>, args: v8::FunctionCallbackArguments<'s>, rv: Return<'s>) {
    let most = if args.get(1).is_undefined() { usize::MAX } else { arg_u32(&args, 1) as usize };
    let length = Some(byte_length(args.get(0))).filter(|length| *length <= most).unwrap_or(0);
    let made = ops::uint8_array_with(scope, length, |copy| {
        with_bytes(args.get(0), |bytes| copy.copy_from_slice(&bytes[..length]));
    });
    answer(scope, rv, made.map(Into::into));
}

/// `cryptoSecret(bytes, bits)`: a secret key of the first `bits`, or of all, as `[object, number]`. The bytes are erased.
fn op_secret<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: Return<'s>,
) {
    if !ops::room(scope, byte_length(args.get(0))) {
        return;
    }
    let mut bytes = Secret::new(bytes(&args, 0));
    with_bytes_mut(scope, &args, erase);
    if !args.get(1).is_undefined() {
        first_bits(&mut bytes, arg_u32(&args, 1));
    }
    rv.set(keys(scope, [Key::Secret(Arc::new(bytes))]));
}

/// `cryptoRandomSecret(bits)`: the same of so many random bits.
fn op_random_secret<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    rv: Return<'s>,
) {
    let bits = arg_u32(&args, 0);
    let size = bits.div_ceil(8) as usize;
    if !ops::room(scope, size) {
        return;
    }
    run(scope, rv, size > MUCH_AT_RANDOM, size, move |_| {
        let mut bytes = Secret::new(vec![0; size]);
        random(&mut bytes)?;
        first_bits(&mut bytes, bits);
        Ok(Made::One(Key::Secret(Arc::new(bytes))))
    });
}

/// Cuts bytes off behind the first `bits`, of which there are so many; what is left of a byte is zero.
pub(super) fn first_bits(bytes: &mut Secret, bits: u32) {
    let length = bits.div_ceil(8) as usize;
    bytes.truncate(length);
    if let Some(last) = bytes.last_mut() {
        *last &= 0xff << (bits.wrapping_neg() & 7);
    }
}

/// `cryptoSecretBytes(key)`.
fn op_secret_bytes<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    rv: Return<'s>,
) {
    let Some(bytes) = secret(scope, arg_u32(&args, 0)) else { return };
    run(scope, rv, false, 0, move |_| Ok(Made::Bytes((*bytes).clone())));
}

/// `cryptoSecretText(key)`: the same in base64url.
fn op_secret_text<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: Return<'s>,
) {
    let Some(bytes) = secret(scope, arg_u32(&args, 0)) else { return };
    if ops::room(scope, bytes.len() * 3) {
        rv.set(ops::latin1_string(scope, &Secret::new(base64::encode_url(&bytes))).into());
    }
}

/// What the running turn's request may take of CPU time: a calculation that takes as much is too long anyway.
pub(super) fn most_time(scope: &mut v8::PinScope<'_, '_>) -> Duration {
    let state = State::of(scope);
    state.services.limits.time(state.accounts.which())
}

/// `cryptoGenerate(kind, …)`: `[private object, its number, public object, its number]`. Kinds: 0 RSA, with its bits and its
/// exponent; 1 of a curve, with that; 2 Ed25519; 3 X25519.
fn op_generate<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    rv: Return<'s>,
) {
    let (kind, first) = (arg_u32(&args, 0), arg_u32(&args, 1));
    // Without zeroes before it, and no more of it than tells that it is too long: it waits for its turn in no account.
    let few = |bytes: &[u8]| bytes.iter().copied().skip_while(|&byte| byte == 0).take(5).collect();
    let exponent: Vec<u8> = with_bytes(args.get(2), few).unwrap_or_default();
    let most = most_time(scope);
    run(scope, rv, kind == 0, 4096, move |gone| {
        let private = match kind {
            0 => {
                let until = thread_cpu() + most;
                Pkey::generate_rsa(first, &exponent, || thread_cpu() < until && !gone.is_so())?
            }
            1 => Pkey::generate_ec(curve(first))?,
            2 => Pkey::generate_okp(Okp::Ed25519)?,
            _ => Pkey::generate_okp(Okp::X25519)?,
        };
        let public = private.to_public()?;
        Ok(Made::Pair(private, public))
    });
}

/// What a kind's number stands for, beside a curve's.
fn kind(number: u32, of_curve: u32) -> Kind {
    match number {
        0 => Kind::Rsa,
        1 => Kind::Ec(curve(of_curve)),
        2 => Kind::Okp(Okp::Ed25519),
        _ => Kind::Okp(Okp::X25519),
    }
}

/// `cryptoImport(format, kind, curve, bytes)`: a key, as `[object, number]`. Formats: 0 raw, 1 SPKI, 2 PKCS #8; kinds as of
/// `cryptoGenerate`.
fn op_import<'s>(scope: &mut v8::PinScope<'s, '_>, args: v8::FunctionCallbackArguments<'s>, rv: Return<'s>) {
    let (format, kind) = (arg_u32(&args, 0), kind(arg_u32(&args, 1), arg_u32(&args, 2)));
    // What is longer than any is refused at once.
    let is_long =
        format == 2 && kind == Kind::Rsa && (LONG_PKCS8..8 << 10).contains(&byte_length(args.get(3)));
    if is_long {
        let bytes = Secret::new(bytes(&args, 3));
        return run(scope, rv, true, bytes.len(), move |_| imported(format, kind, &bytes));
    }
    let result = with_bytes(args.get(3), |bytes| imported(format, kind, bytes));
    run_now(scope, rv, result.unwrap_or(Err(Error::Data("this is no key"))));
}

fn imported(format: u32, kind: Kind, bytes: &[u8]) -> Result<Made, Error> {
    let key = match (format, kind) {
        (0, Kind::Ec(curve)) => Pkey::from_ec_point(curve, bytes),
        (0, Kind::Okp(okp)) => Pkey::from_okp_public(okp, bytes),
        (2, _) => Pkey::from_pkcs8(bytes),
        _ => Pkey::from_spki(bytes),
    }?;
    if key.kind() == kind {
        Ok(Made::One(key.into()))
    } else {
        Err(Error::Data("this is a key of another algorithm, or of another curve"))
    }
}

/// `cryptoExport(format, key)`: bytes; formats as of `cryptoImport`.
fn op_export<'s>(scope: &mut v8::PinScope<'s, '_>, args: v8::FunctionCallbackArguments<'s>, rv: Return<'s>) {
    let Some(key) = pkey(scope, arg_u32(&args, 1)) else { return };
    let format = arg_u32(&args, 0);
    run(scope, rv, false, 0, move |_| {
        Ok(match (format, key.kind()) {
            (0, Kind::Ec(_)) => key.ec_point()?.into(),
            (0, _) => key.okp_public()?.into(),
            (1, _) => key.to_spki()?.into(),
            _ => Made::Bytes(key.to_pkcs8()?),
        })
    });
}

/// `cryptoFromNumbers(kind, curve, texts)`: a key from a JSON Web Key's numbers, as `[object, number]`; kinds as of
/// `cryptoGenerate`. The numbers are base64url: n, e, d, p, q, dp, dq, qi; x, y, d; or x, d.
fn op_from_numbers<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    rv: Return<'s>,
) {
    let kind = kind(arg_u32(&args, 0), arg_u32(&args, 1));
    let Ok(texts) = v8::Local::<v8::Array>::try_from(args.get(2)) else { return };
    let mut numbers = Vec::with_capacity(texts.length() as usize);
    for index in 0..texts.length() {
        let Some(text) = texts.get_index(scope, index) else { return };
        let length = v8::Local::<v8::String>::try_from(text).map_or(0, |text| text.length());
        if length > LONGEST_NUMBER {
            return run_now(scope, rv, Err(Error::Data("a number of the JSON Web Key is too long")));
        }
        let Some(number) = decoded(scope, text) else { return };
        match number {
            Some(number) => numbers.push(number),
            None => {
                return run_now(scope, rv, Err(Error::Data("a number of the JSON Web Key is no base64url")));
            }
        }
    }
    let is_long = kind == Kind::Rsa && numbers.len() > 2 && numbers[0].len() > LONG_MODULUS;
    let takes = numbers.iter().map(|number| number.len()).sum();
    run(scope, rv, is_long, takes, move |_| Ok(Made::One(from_numbers(kind, numbers)?.into())));
}

fn from_numbers(kind: Kind, numbers: Vec<Secret>) -> Result<Pkey, Error> {
    const FEW: Error = Error::Data("the JSON Web Key has too few numbers");
    let count = numbers.len();
    let mut numbers = numbers.into_iter();
    let mut next = || numbers.next().ok_or(FEW);
    match kind {
        Kind::Rsa => {
            let public = RsaNumbers { n: next()?.to_vec(), e: next()?.to_vec() };
            if count == 2 {
                return Pkey::from_rsa(&public, None);
            }
            let (d, p, q) = (next()?, next()?, next()?);
            let (dp, dq, qi) = (next()?, next()?, next()?);
            Pkey::from_rsa(&public, Some(&RsaPrivateNumbers { d, p, q, dp, dq, qi }))
        }
        Kind::Ec(curve) => {
            let (x, y) = (next()?.to_vec(), next()?.to_vec());
            Pkey::from_ec(curve, &EcNumbers { x, y, d: next().ok() })
        }
        Kind::Okp(okp) => {
            let x = next()?;
            match next() {
                Ok(d) => Pkey::from_okp_private(okp, &d, Some(&x)),
                Err(_) => Pkey::from_okp_public(okp, &x),
            }
        }
    }
}

/// `cryptoNumbers(key)`: its numbers in the same order, base64url.
fn op_numbers<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: Return<'s>,
) {
    let Some(key) = pkey(scope, arg_u32(&args, 0)) else { return };
    let value = match numbers(&key) {
        Ok(numbers) => {
            let mut texts: Vec<v8::Local<'_, v8::Value>> = Vec::with_capacity(numbers.len());
            for number in numbers {
                texts.push(ops::latin1_string(scope, &Secret::new(base64::encode_url(&number))).into());
            }
            v8::Array::new_with_elements(scope, &texts).into()
        }
        Err(error) => failure(scope, error),
    };
    rv.set(value);
}

fn numbers(key: &Pkey) -> Result<Vec<Secret>, Error> {
    Ok(match key.kind() {
        Kind::Rsa => {
            let RsaNumbers { n, e } = key.rsa_numbers()?;
            let mut all = vec![Secret::new(n), Secret::new(e)];
            if key.is_private() {
                let RsaPrivateNumbers { d, p, q, dp, dq, qi } = key.rsa_private_numbers()?;
                all.extend([d, p, q, dp, dq, qi]);
            }
            all
        }
        Kind::Ec(_) => {
            let EcNumbers { x, y, d } = key.ec_numbers()?;
            [Secret::new(x), Secret::new(y)].into_iter().chain(d).collect()
        }
        Kind::Okp(_) => {
            let mut all = vec![Secret::new(key.okp_public()?)];
            if key.is_private() {
                all.push(key.okp_private()?);
            }
            all
        }
    })
}

/// `cryptoRsa(key)`: `[bits, exponent]`.
fn op_rsa<'s>(scope: &mut v8::PinScope<'s, '_>, args: v8::FunctionCallbackArguments<'s>, mut rv: Return<'s>) {
    let Some(key) = pkey(scope, arg_u32(&args, 0)) else { return };
    let exponent = key.rsa_numbers().map(|numbers| numbers.e).unwrap_or_default();
    let Some(exponent) = ops::uint8_array(scope, &exponent) else { return };
    let bits = v8::Integer::new_from_unsigned(scope, key.rsa_bits()).into();
    rv.set(v8::Array::new_with_elements(scope, &[bits, exponent.into()]).into());
}

/// `cryptoFromBase64(text)`: a `Uint8Array`; null if it is no base64url.
fn op_from_base64<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    args: v8::FunctionCallbackArguments<'s>,
    mut rv: Return<'s>,
) {
    let Some(bytes) = decoded(scope, args.get(0)) else { return };
    match bytes {
        Some(bytes) => run(scope, rv, false, 0, move |_| Ok(Made::Bytes(bytes))),
        None => rv.set_null(),
    }
}

/// What a text of base64url stands for, or `None` if it is none. The outer `None`: there is no room for it.
fn decoded(scope: &mut v8::PinScope<'_, '_>, text: v8::Local<'_, v8::Value>) -> Option<Option<Secret>> {
    let text = Secret::new(ops::to_rust_string(scope, text)?.into_bytes());
    Some(base64::decode_url(&text))
}
