//! Well-formed UTF-8 as V8's strings have it: a byte a character up to U+00FF, else UTF-16.
//!
//! V8 decodes by itself too, a byte at a time and twice: first for the length. Here both passes take many bytes at a
//! time where the text allows it, which halves the time of most.

/// What some UTF-8 says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// A byte a character.
    Latin1(Vec<u8>),
    Utf16(Vec<u16>),
}

/// Decodes; `None` if it is ill-formed. A byte order mark is a character.
pub(super) fn decode(bytes: &[u8]) -> Option<Decoded> {
    match latin1_length(bytes) {
        Some(length) => units(bytes, length).map(Decoded::Latin1),
        None => {
            let length = sum(bytes, |byte| u8::from(byte & 0xc0 != 0x80) + u8::from(byte >= 0xf0));
            units(bytes, length).map(Decoded::Utf16)
        }
    }
}

/// How many characters these bytes are, if they are well-formed and all are below U+0100: each byte C2 or C3 has a
/// continuation after it, each continuation one of them before it, and there are no others.
fn latin1_length(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 4096;
    let is_lead = |byte: u8| byte >= 0xc0;
    if bytes.first().is_some_and(|byte| (0x80..0xc0).contains(byte))
        || bytes.last().copied().is_some_and(is_lead)
    {
        return None;
    }
    let mut leads = 0;
    for (index, block) in bytes.chunks(BLOCK).enumerate() {
        let next = &bytes[index * BLOCK + 1..];
        let is_odd = block.iter().fold(false, |odd, byte| odd | (*byte > 0xc3) | (byte & 0xfe == 0xc0));
        let is_torn = block
            .iter()
            .zip(next)
            .fold(false, |torn, (byte, next)| torn | (is_lead(*byte) != (next & 0xc0 == 0x80)));
        if is_odd || is_torn {
            return None;
        }
        leads += sum(block, |byte| u8::from(is_lead(byte)));
    }
    Some(bytes.len() - leads)
}

/// The sum of what each byte counts: 2 at the most.
fn sum(bytes: &[u8], worth: impl Fn(u8) -> u8) -> usize {
    // Few enough for a sum of 8 bits, of which the processor adds many at a time.
    let few = bytes.chunks(127).map(|bytes| bytes.iter().fold(0_u8, |sum, byte| sum + worth(*byte)));
    few.map(usize::from).sum()
}

/// A unit of a string.
trait Unit: Copy {
    /// As many of its bits as there are.
    fn new(bits: u32) -> Self;

    /// These characters' units, if they are ASCII.
    fn of_ascii(bytes: &[u8; STEP]) -> [Self; STEP];
}

impl Unit for u8 {
    fn new(bits: u32) -> Self {
        bits as Self
    }

    fn of_ascii(bytes: &[u8; STEP]) -> [Self; STEP] {
        *bytes
    }
}

impl Unit for u16 {
    fn new(bits: u32) -> Self {
        bits as Self
    }

    fn of_ascii(bytes: &[u8; STEP]) -> [Self; STEP] {
        let mut units = [0; STEP];
        for (unit, byte) in units.iter_mut().zip(bytes) {
            *unit = Self::from(*byte);
        }
        units
    }
}

/// So many bytes are taken at once while they are ASCII.
const STEP: usize = 16;

/// Decodes what has `length` units, if it is well-formed; `None` if it is not.
fn units<U: Unit>(bytes: &[u8], length: usize) -> Option<Vec<U>> {
    let mut units = Vec::<U>::with_capacity(length + STEP);
    let out = units.spare_capacity_mut();
    let (mut from, mut to) = (0, 0);
    while let Some(rest) = bytes.get(from..).filter(|rest| !rest.is_empty()) {
        let run = match (rest.first_chunk::<STEP>(), out.get_mut(to..to + STEP)) {
            (Some(step), Some(out)) => {
                // All of them, whatever they are: what follows the run is written anew.
                out.write_copy_of_slice(&U::of_ascii(step));
                let high = u128::from_le_bytes(*step) & (u128::MAX / 255 * 128);
                if high == 0 { STEP } else { high.trailing_zeros() as usize / 8 }
            }
            // The last few.
            _ => {
                let run = rest.iter().take_while(|byte| byte.is_ascii()).count();
                for (unit, byte) in out.get_mut(to..to + run)?.iter_mut().zip(&rest[..run]) {
                    unit.write(U::new(u32::from(*byte)));
                }
                run
            }
        };
        (from, to) = (from + run, to + run);
        // Others come in runs as well.
        while let Some(byte) = bytes.get(from)
            && !byte.is_ascii()
        {
            let (character, taken) = character(&bytes[from..])?;
            from += taken;
            if character > 0xffff {
                out.get_mut(to)?.write(U::new(0xd7c0 + (character >> 10)));
                out.get_mut(to + 1)?.write(U::new(0xdc00 | (character & 0x3ff)));
                to += 2;
            } else {
                out.get_mut(to)?.write(U::new(character));
                to += 1;
            }
        }
    }
    // SAFETY: each unit up to here was written, and `out` has as many.
    unsafe { units.set_len(to) };
    Some(units)
}

/// The character that begins here, which is not ASCII, and of how many bytes it is; `None` if it is ill-formed.
#[inline]
fn character(bytes: &[u8]) -> Option<(u32, usize)> {
    let next =
        |at: usize| bytes.get(at).filter(|byte| **byte & 0xc0 == 0x80).map(|byte| u32::from(byte & 0x3f));
    let lead = u32::from(*bytes.first()?);
    let (character, taken, least) = match lead {
        0xc2..=0xdf => ((lead & 0x1f) << 6 | next(1)?, 2, 0x80),
        0xe0..=0xef => ((lead & 0xf) << 12 | next(1)? << 6 | next(2)?, 3, 0x800),
        0xf0..=0xf4 => ((lead & 7) << 18 | next(1)? << 12 | next(2)? << 6 | next(3)?, 4, 0x1_0000),
        _ => return None,
    };
    let is_one = character >= least && character <= 0x10_ffff && character & 0xffff_f800 != 0xd800;
    is_one.then_some((character, taken))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8]) {
        let expected = std::str::from_utf8(bytes).ok().map(|text| {
            let units: Vec<u16> = text.encode_utf16().collect();
            match units.iter().map(|unit| u8::try_from(*unit)).collect() {
                Ok(latin1) => Decoded::Latin1(latin1),
                Err(_) => Decoded::Utf16(units),
            }
        });
        assert_eq!(decode(bytes), expected, "{bytes:x?}");
    }

    #[test]
    fn each_pair_of_bytes_anywhere_in_a_block_is_what_the_standard_library_says() {
        for at in [0, 1, 7, 8, 16, 4095, 4096] {
            for first in
                [0, 0x41, 0x7f, 0x80, 0xa9, 0xbf, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xdf, 0xe0, 0xed, 0xf0, 0xff]
            {
                for second in 0..=255 {
                    let mut bytes = vec![b'a'; at];
                    bytes.extend([first, second]);
                    check(&bytes);
                    bytes.extend([b'z'; 9]);
                    check(&bytes);
                }
            }
        }
    }

    #[test]
    fn characters_of_three_and_four_bytes_are_what_the_standard_library_says() {
        let edges = [0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0];
        for first in 0xe0..=0xff {
            for second in 0x70..=0xc8 {
                for third in edges {
                    check(&[first, second, third]);
                    for fourth in edges {
                        check(&[first, second, third, fourth]);
                        check(&[b'a', first, second, third, fourth, b'z']);
                    }
                }
            }
        }
    }

    #[test]
    fn random_texts_and_torn_ones_are_what_the_standard_library_says() {
        let characters = [
            'a',
            'z',
            '\0',
            '\u{7f}',
            '\u{80}',
            'é',
            'ÿ',
            'Ā',
            '\u{7ff}',
            '東',
            '\u{ffff}',
            '🙂',
            '\u{10ffff}',
        ];
        let mut seed = 1_u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        for _ in 0..5_000 {
            // Of ASCII alone, of Latin-1, of anything; in runs.
            let kinds = [4, 7, characters.len()][random(3)];
            let mut text = String::new();
            for _ in 0..random(12) {
                let character = characters[random(kinds)];
                text.extend(std::iter::repeat_n(character, random(20)));
            }
            check(text.as_bytes());
            let mut bytes = text.into_bytes();
            if !bytes.is_empty() {
                let at = random(bytes.len());
                bytes[at] = random(256) as u8;
                check(&bytes);
                check(&bytes[at..]);
                check(&bytes[..at]);
            }
        }
    }
}
