//! `[triggers] cron`: patterns of times.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// A pattern of times, to the minute and in UTC: five fields for the minute, the hour, the day of the month, the month
/// and the day of the week, with lists, ranges, steps, `L`, `W`, `#` and names, or a word like `@daily`. There is always
/// a next time, as far as calendars reach.
///
/// ```
/// let nightly: nexus_core::CronPattern = "30 3 * * MON-FRI".parse().unwrap();
/// // From the midnight before Thursday, 1 January 1970.
/// assert_eq!(nightly.next_after(0), Some((3 * 60 + 30) * 60_000));
/// assert!("0 0 30 2 *".parse::<nexus_core::CronPattern>().is_err(), "30 February");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CronPattern {
    text: Box<str>,
    cron: Arc<Cron>,
}

/// The longest pattern, in bytes.
const LONGEST: usize = 256;
/// 1 January 2000. A pattern that comes at all comes within the 400 years after it, in which the calendar repeats itself:
/// so what is a pattern does not depend on when it is read.
const BEGIN: u64 = 946_684_800_000;

/// What each field is called, and takes.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, `L` for the last one, `15W` for the working day next to the 15th"),
    ("month", "1 to 12, or JAN to DEC"),
    (
        "day of the week",
        "0 to 7, where 0 and 7 are Sunday, or SUN to SAT; `FRIL` is the last Friday, `MON#2` the second Monday",
    ),
];

fn parse(text: &str) -> Option<Cron> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(text).ok()
}

impl CronPattern {
    /// The first time after this one, both in milliseconds since 1970.
    pub fn next_after(&self, time: u64) -> Option<u64> {
        to_millis(&self.cron.find_next_occurrence(&from_millis(time)?, false).ok()?)
    }

    /// The last time that is not after this one, both in milliseconds since 1970.
    pub fn latest_at(&self, time: u64) -> Option<u64> {
        to_millis(&self.cron.find_previous_occurrence(&from_millis(time)?, true).ok()?)
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What is the same for patterns that are written alike but for case and spaces.
    pub(crate) fn shape(&self) -> String {
        self.cron.as_str().split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

fn from_millis(time: u64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(i64::try_from(time).ok()?)
}

fn to_millis(time: &DateTime<Utc>) -> Option<u64> {
    u64::try_from(time.timestamp_millis()).ok()
}

/// A time as somebody writes it: milliseconds since 1970, or a time of RFC 3339 like `2026-07-01T03:30:00Z`.
///
/// ```
/// assert_eq!(nexus_core::parse_time("1970-01-01T00:01:00Z"), Some(60_000));
/// assert_eq!(nexus_core::parse_time("60000"), Some(60_000));
/// assert_eq!(nexus_core::parse_time("noon"), None);
/// ```
pub fn parse_time(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    u64::try_from(DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis()).ok()
}

/// A time in milliseconds since 1970 as RFC 3339 has it, in UTC and to the second: `2026-07-01T03:30:00Z`.
pub fn format_time(time: u64) -> String {
    let Some(time) = from_millis(time) else { return "never".to_owned() };
    time.naive_utc().to_string().split('.').next().unwrap_or_default().replace(' ', "T") + "Z"
}

impl fmt::Display for CronPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for CronPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CronPattern({:?})", self.text)
    }
}

/// Why a text is no [`CronPattern`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CronPatternError {
    /// It is too long, or holds something else than visible ASCII and spaces.
    Text,
    /// It has so many fields.
    Fields(usize),
    /// A word with `@` that is none of those that there are.
    Word,
    /// The field of this place, from 0 on, is wrong.
    Field(usize, Box<str>),
    /// The fields are right one by one, and not together.
    Together,
    /// No such time ever comes.
    Never,
}

impl fmt::Display for CronPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CronPatternError::Text => {
                write!(
                    f,
                    "a pattern has at most {LONGEST} characters: letters, digits, `* , - / # @` and spaces"
                )
            }
            CronPatternError::Fields(count) => {
                let are = if *count == 1 { "is 1" } else { &format!("are {count}") };
                f.write_str(
                    "a pattern has five fields: minute, hour, day of the month, month, day of the week; ",
                )?;
                write!(f, "here {are}")?;
                if *count > 5 { f.write_str(", and there are no seconds and no years") } else { Ok(()) }
            }
            CronPatternError::Word => {
                f.write_str("the words are `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly`")
            }
            CronPatternError::Field(place, text) => {
                let (name, takes) = FIELDS.get(*place).copied().unwrap_or_default();
                write!(
                    f,
                    "the {name} is wrong: `{text}`; it takes {takes}, `*`, lists as `1,2`, ranges as `1-3` and steps as \
                     `*/2`"
                )
            }
            CronPatternError::Together => f.write_str("the pattern's fields do not go together"),
            CronPatternError::Never => f.write_str("no such day ever comes"),
        }
    }
}

impl std::error::Error for CronPatternError {}

impl FromStr for CronPattern {
    type Err = CronPatternError;

    fn from_str(text: &str) -> Result<Self, CronPatternError> {
        if text.len() > LONGEST || !text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Err(CronPatternError::Text);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        if fields.len() == 1 && text.contains('@') {
            let cron = parse(text).ok_or(CronPatternError::Word)?;
            return Self::that_comes(text, cron);
        }
        if fields.len() != FIELDS.len() {
            return Err(CronPatternError::Fields(fields.len()));
        }
        if let Some(cron) = parse(text) {
            return Self::that_comes(text, cron);
        }
        let is_wrong = |place: &usize| {
            let mut alone = ["*"; FIELDS.len()];
            alone[*place] = fields[*place];
            parse(&alone.join(" ")).is_none()
        };
        Err(match (0..fields.len()).find(is_wrong) {
            Some(place) => CronPatternError::Field(place, crate::schema::shortened(fields[place]).into()),
            None => CronPatternError::Together,
        })
    }
}

impl CronPattern {
    fn that_comes(text: &str, cron: Cron) -> Result<Self, CronPatternError> {
        let pattern = Self { text: text.into(), cron: Arc::new(cron) };
        pattern.next_after(BEGIN).map(|_| pattern).ok_or(CronPatternError::Never)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: u64 = 60_000;

    fn pattern(text: &str) -> CronPattern {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn error(text: &str) -> String {
        text.parse::<CronPattern>().unwrap_err().to_string()
    }

    fn next(text: &str, after: &str) -> String {
        format_time(pattern(text).next_after(parse_time(after).unwrap()).unwrap())
    }

    #[test]
    fn the_next_time_is_after_the_given_one_and_fits() {
        for (text, after, expected) in [
            ("*/5 * * * *", "2026-02-28T23:57:00Z", "2026-03-01T00:00:00Z"),
            ("*/5 * * * *", "2026-02-28T23:55:00Z", "2026-03-01T00:00:00Z"),
            ("0 0 L * *", "2028-02-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 9 15W * *", "2026-08-01T00:00:00Z", "2026-08-14T09:00:00Z"),
            ("0 9 * * MON#2", "2026-06-01T00:00:00Z", "2026-06-08T09:00:00Z"),
            ("0 9 * * fril", "2026-06-01T00:00:00Z", "2026-06-26T09:00:00Z"),
            ("0 0 29 FEB *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("@daily", "2026-12-31T12:00:00Z", "2027-01-01T00:00:00Z"),
            ("0 0 * * 7", "2026-06-01T00:00:00Z", "2026-06-07T00:00:00Z"),
        ] {
            assert_eq!(next(text, after), expected, "{text}");
        }
        let each = pattern("* * * * *");
        assert_eq!((each.next_after(0), each.next_after(MINUTE - 1)), (Some(MINUTE), Some(MINUTE)));
        assert_eq!((each.latest_at(0), each.latest_at(MINUTE - 1)), (Some(0), Some(0)));
        assert_eq!(each.latest_at(2 * MINUTE + 1), Some(2 * MINUTE));
        assert_eq!((each.next_after(u64::MAX), each.latest_at(u64::MAX)), (None, None));
    }

    #[test]
    fn a_pattern_is_shown_as_it_was_written() {
        let text = " 0  9 * jan-mar  Mon ";
        assert_eq!((pattern(text).to_string().as_str(), pattern(text).as_str()), (text, text));
        assert_eq!(pattern(text).shape(), pattern("0 9 * 1-3 1").shape());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_field() {
        assert!(error("* * * *").ends_with("here are 4"));
        assert!(error("").ends_with("here are 0"));
        assert!(error("5").ends_with("here is 1"));
        assert!(error("0 * * * * *").ends_with("here are 6, and there are no seconds and no years"));
        assert!(error("0 25 * * *").starts_with("the hour is wrong: `25`; it takes 0 to 23, `*`"));
        assert!(error("60 * * * *").starts_with("the minute is wrong"));
        assert!(error("0 0 32 * *").starts_with("the day of the month is wrong"));
        assert!(error("0 0 * MAI *").starts_with("the month is wrong: `MAI`"));
        assert!(error("0 0 * * 8").starts_with("the day of the week is wrong"));
        assert!(error("@often").contains("`@hourly`"));
        assert!(error("@daily @daily @daily @daily @daily").starts_with("the minute is wrong"));
        assert_eq!(error("0 0 30 2 *"), "no such day ever comes");
        assert_eq!(error("0 0 31 4,6,9,11 *"), "no such day ever comes");
        assert!(error("0\t0 * * *").starts_with("a pattern has at most 256"));
        assert!(error(&"*".repeat(300)).starts_with("a pattern has at most 256"));
    }

    #[test]
    fn a_time_is_read_as_it_is_shown() {
        for time in [0, 1_782_876_600_000, 4_102_444_799_000] {
            assert_eq!(parse_time(&format_time(time)), Some(time));
        }
        assert_eq!(parse_time("2026-07-01T05:30:00+02:00"), parse_time("2026-07-01T03:30:00Z"));
        for bad in ["", "-1", "1969-12-31T23:59:59Z", "2026-07-01", "99999999999999999999"] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
        assert_eq!(format_time(u64::MAX), "never");
    }

    proptest! {
        #[test]
        fn any_text_is_a_pattern_or_an_error(
            text in "(\\PC{0,20}|([0-9*/,#@LW+?-]|MON|JAN|-SUN| ){0,20}|((([0-9]{1,2}|\\*|[LW?+#-]|SUN|DEC)[-,/#LW]?){1,4} ){4}[0-9*?L#/+A-Z-]{1,4})",
            time in 0..4_102_444_800_000u64,
        ) {
            match text.parse::<CronPattern>() {
                Ok(pattern) => {
                    prop_assert_eq!(pattern.to_string(), text);
                    let next = pattern.next_after(time).unwrap();
                    prop_assert!(next > time && next % MINUTE == 0);
                    // It is the first one after that time, and the last one at itself.
                    prop_assert_eq!(pattern.latest_at(next), Some(next));
                    prop_assert!(pattern.latest_at(next - 1).is_none_or(|before| before <= time));
                }
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }
}
