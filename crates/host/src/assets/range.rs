//! Range requests (RFC 9110 section 14): one range of bytes.

use nexus_guest::HeaderList;

use super::conditions::Validators;

/// A request's range, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RangeRequest {
    spec: Spec,
    /// `if-range`
    only_if: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spec {
    /// From the first byte to the last, or to the end.
    From(u64, Option<u64>),
    /// The last so many bytes.
    Last(u64),
}

/// What is sent of a representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// 200
    Whole,
    /// 206: so many bytes from an offset; at least one.
    Slice {
        /// The first byte.
        start: u64,
        /// How many.
        length: u64,
    },
    /// 416
    Unsatisfiable,
}

impl RangeRequest {
    /// The range that is asked for. `None` (the whole is sent) if there is none, or more than one, which
    /// a server need not give, or one that is not valid.
    pub(super) fn of(headers: &HeaderList) -> Option<Self> {
        if headers.get_all("range").count() != 1 || headers.get_all("if-range").count() > 1 {
            return None;
        }
        let spec = parse(headers.get_str("range")?)?;
        let only_if = match headers.get("if-range") {
            Some(value) => Some(std::str::from_utf8(value).ok()?.trim().to_owned()),
            None => None,
        };
        Some(Self { spec, only_if })
    }

    /// What to send of a representation of `size` bytes.
    pub(super) fn part(&self, size: u64, validators: &Validators) -> Part {
        if self.only_if.as_ref().is_some_and(|value| !validators.fits_if_range(value)) {
            return Part::Whole;
        }
        match self.spec {
            Spec::From(first, last) if first < size => {
                let last = last.unwrap_or(u64::MAX).min(size - 1);
                Part::Slice { start: first, length: last - first + 1 }
            }
            Spec::Last(count) if count > 0 => match size {
                // The last bytes of nothing are nothing, which no 206 can express.
                0 => Part::Whole,
                size => Part::Slice { start: size.saturating_sub(count), length: count.min(size) },
            },
            Spec::From(..) | Spec::Last(_) => Part::Unsatisfiable,
        }
    }
}

fn parse(value: &str) -> Option<Spec> {
    let (unit, range) = value.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim_matches([' ', '\t', ',']).split_once('-')?;
    match (first, last) {
        ("", last) => Some(Spec::Last(number(last)?)),
        (first, "") => Some(Spec::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From(first, Some(last)))
        }
    }
}

/// Digits only; a number too large for 64 bits is the largest one, for no file has it.
fn number(digits: &str) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn validators() -> Validators {
        Validators { etag: "\"x\"".into(), modified: None, strong: true }
    }

    fn part(range: &str, size: u64) -> Part {
        let headers: HeaderList = [("range", range)].into_iter().collect();
        RangeRequest::of(&headers).map_or(Part::Whole, |range| range.part(size, &validators()))
    }

    #[test]
    fn one_range_gives_a_slice_and_what_is_none_the_whole() {
        let slice = |start, length| Part::Slice { start, length };
        for (range, expected) in [
            ("bytes=0-0", slice(0, 1)),
            ("bytes=2-5", slice(2, 4)),
            ("Bytes = 2-", slice(2, 8)),
            ("bytes=9-99999999999999999999999", slice(9, 1)),
            ("bytes=-3", slice(7, 3)),
            ("bytes=-30", slice(0, 10)),
            ("bytes=10-", Part::Unsatisfiable),
            ("bytes=10-12", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=5-2", Part::Whole),
            ("bytes=1-2,4-5", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=1 - 2", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=", Part::Whole),
            ("lines=1-2", Part::Whole),
            ("1-2", Part::Whole),
        ] {
            assert_eq!(part(range, 10), expected, "{range}");
        }
        assert_eq!(part("bytes=0-", 0), Part::Unsatisfiable);
        assert_eq!(part("bytes=-5", 0), Part::Whole);
    }

    #[test]
    fn if_range_lets_a_range_count_only_for_the_same_version() {
        for (if_range, expected) in [("\"x\"", Part::Slice { start: 1, length: 1 }), ("\"y\"", Part::Whole)] {
            let headers: HeaderList = [("range", "bytes=1-1"), ("if-range", if_range)].into_iter().collect();
            assert_eq!(RangeRequest::of(&headers).unwrap().part(10, &validators()), expected);
        }
    }

    proptest! {
        #[test]
        fn a_slice_lies_within_the_file(range in "bytes=[0-9]{0,3}-[0-9]{0,3}|bytes=[0-9,-]{0,9}", size in 0u64..200) {
            if let Part::Slice { start, length } = part(&range, size) {
                prop_assert!(length > 0 && start + length <= size);
            }
        }
    }
}
