//! Sizes and times as people write them: `64 KB`, `30 s`.

use std::fmt;
use std::time::Duration;

/// The units of a size. `KB` and `KiB` are the same, 1024 bytes: limits are about memory, and nobody
/// should have to remember which of the two a limit means.
const SIZES: [(&str, u64); 4] = [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)];

/// The units of a time, in milliseconds.
const TIMES: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Sizes as a regular expression (ECMA-262), for the JSON Schema.
pub(crate) const SIZE_PATTERN: &str = "^[0-9]+ *([kKmMgGtT][iI]?)?[bB]$";

/// Times as a regular expression (ECMA-262), for the JSON Schema.
pub(crate) const TIME_PATTERN: &str = "^[0-9]+ *(ms|s|m|h)$";

/// Why a text is no size or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitError {
    /// No number and unit of size.
    NotASize,
    /// No number and unit of time.
    NotATime,
    /// More than 2⁶⁴ bytes or milliseconds.
    TooLarge,
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UnitError::NotASize => "a size is a whole number and B, KB, MB, GB or TB, like `64 KB`",
            UnitError::NotATime => "a time is a whole number and ms, s, m or h, like `30 s`",
            UnitError::TooLarge => "the number is too large",
        })
    }
}

impl std::error::Error for UnitError {}

/// The bytes of a size like `64 KB`, `100MB` or `1 GiB`; 1 KB is 1024 bytes. Case does not matter.
///
/// # Errors
/// When it is no whole number with a unit, or 2⁶⁴ bytes and more.
///
/// ```
/// assert_eq!(nexus_core::parse_byte_size("64 KB"), Ok(65536));
/// ```
pub fn parse_byte_size(text: &str) -> Result<u64, UnitError> {
    let (number, unit) = split(text).ok_or(UnitError::NotASize)?;
    let is = |name: &str| {
        // `KiB` is `KB`.
        let (prefix, byte) = name.split_at(1);
        unit.eq_ignore_ascii_case(name) || unit.eq_ignore_ascii_case(&format!("{prefix}i{byte}"))
    };
    let factor = match SIZES.iter().find(|(name, _)| is(name)) {
        Some((_, factor)) => *factor,
        None if unit.eq_ignore_ascii_case("B") => 1,
        None => return Err(UnitError::NotASize),
    };
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or(UnitError::TooLarge)
}

/// The time that `500 ms`, `30 s`, `1m` or `1 h` says.
///
/// # Errors
/// When it is no whole number with a unit, or 2⁶⁴ milliseconds and more.
///
/// ```
/// assert_eq!(nexus_core::parse_duration("30 s"), Ok(std::time::Duration::from_secs(30)));
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let (number, unit) = split(text).ok_or(UnitError::NotATime)?;
    let factor = TIMES.iter().find(|(name, _)| *name == unit).ok_or(UnitError::NotATime)?.1;
    let millis = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor));
    millis.map(Duration::from_millis).ok_or(UnitError::TooLarge)
}

fn split(text: &str) -> Option<(&str, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then(|| (&text[..digits], text[digits..].trim_start_matches(' ')))
}

/// A size in the largest unit that says it whole: `64 KB`, `1000 B`.
pub fn format_byte_size(bytes: u64) -> String {
    match SIZES.iter().find(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{} {unit}", bytes / factor),
        None => format!("{bytes} B"),
    }
}

/// A time in the largest unit that says it whole: `30 s`, `1 h`. What is below a millisecond is dropped.
pub fn format_duration(time: Duration) -> String {
    let millis = time.as_millis();
    match TIMES.iter().find(|(_, factor)| millis > 0 && millis.is_multiple_of(u128::from(*factor))) {
        Some((unit, factor)) => format!("{} {unit}", millis / u128::from(*factor)),
        None => "0 s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::string::string_regex;

    #[test]
    fn a_size_is_a_number_and_a_unit() {
        for (text, bytes) in [
            ("0 B", 0),
            ("64 KB", 65_536),
            ("64kb", 65_536),
            ("64 KiB", 65_536),
            ("100 MB", 104_857_600),
            ("1 GiB", 1 << 30),
            ("2TB", 2 << 40),
        ] {
            assert_eq!(parse_byte_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "KB", "64", "64 K", "6 4 KB", "-1 KB", "1.5 MB", "64 KB ", "64\tKB", "64 ib", "１ KB"]
        {
            assert_eq!(parse_byte_size(bad), Err(UnitError::NotASize), "{bad}");
        }
        assert_eq!(parse_byte_size("99999999999 TB"), Err(UnitError::TooLarge));
        assert_eq!(parse_byte_size("99999999999999999999999 B"), Err(UnitError::TooLarge));
    }

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        for (text, millis) in [("500 ms", 500), ("30 s", 30_000), ("1m", 60_000), ("2  h", 7_200_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "s", "30", "30 S", "30 sec", "1.5 s", "-1 s", "1 d"] {
            assert_eq!(parse_duration(bad), Err(UnitError::NotATime), "{bad}");
        }
        assert_eq!(parse_duration("18446744073709551615 h"), Err(UnitError::TooLarge));
    }

    proptest! {
        #[test]
        fn what_is_formatted_parses_back(bytes in any::<u64>(), millis in any::<u64>()) {
            prop_assert_eq!(parse_byte_size(&format_byte_size(bytes)), Ok(bytes));
            let time = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format_duration(time)), Ok(time));
        }

        #[test]
        fn any_text_is_a_unit_or_an_error(text in "[0-9]{0,25} ?\\PC{0,4}") {
            let _ = parse_byte_size(&text);
            let _ = parse_duration(&text);
        }

        #[test]
        fn what_the_schemas_patterns_match_is_accepted(
            size in string_regex(&within(SIZE_PATTERN)).unwrap(),
            time in string_regex(&within(TIME_PATTERN)).unwrap(),
        ) {
            prop_assert!(parse_byte_size(&size).is_ok(), "{}", size);
            prop_assert!(parse_duration(&time).is_ok(), "{}", time);
        }
    }

    /// A pattern without anchors, which the generator does not know, and with numbers that fit.
    fn within(pattern: &str) -> String {
        pattern.trim_start_matches('^').trim_end_matches('$').replacen("[0-9]+", "[0-9]{1,6}", 1)
    }
}
