//! Time stamps in UTC, cheaply: the text of a second is made once for all lines of that second.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 in UTC; 0 before.
pub(crate) fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Formats time stamps and remembers the last second.
pub(super) struct Clock {
    second: u64,
    /// `2026-01-02T03:04:05`.
    text: String,
}

/// The last second of the year 9999, beyond which RFC 3339 has no dates.
const LAST_SECOND: u64 = 253_402_300_799;

impl Clock {
    pub(super) fn new() -> Self {
        Self { second: 0, text: second_text(0) }
    }

    /// Appends `2026-01-02T03:04:05.678Z` (RFC 3339).
    pub(super) fn write_rfc3339(&mut self, millis: u64, out: &mut String) {
        self.turn_to(millis);
        out.push_str(&self.text);
        push_fraction(millis, out);
        out.push('Z');
    }

    /// Appends `03:04:05.678`.
    pub(super) fn write_time(&mut self, millis: u64, out: &mut String) {
        self.turn_to(millis);
        out.push_str(self.text.split_once('T').map_or("", |(_, time)| time));
        push_fraction(millis, out);
    }

    fn turn_to(&mut self, millis: u64) {
        let second = (millis / 1000).min(LAST_SECOND);
        if second != self.second {
            self.second = second;
            self.text = second_text(second);
        }
    }
}

fn push_fraction(millis: u64, out: &mut String) {
    out.push('.');
    let fraction = (millis % 1000) as u32;
    for digit in [fraction / 100, fraction / 10 % 10, fraction % 10] {
        out.push(char::from_digit(digit, 10).unwrap_or('0'));
    }
}

fn second_text(second: u64) -> String {
    let (year, month, day) = civil_date(second / 86_400);
    let of_day = second % 86_400;
    let (hour, minute) = (of_day / 3600, of_day / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}", of_day % 60)
}

/// The Gregorian date of a day counted from 1970-01-01.
///
/// Counts from 1 March of year 0, so that the leap day is a year's last day, and in eras of 400 years, all
/// of which have 146,097 days.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn a_time_stamp_is_rfc_3339_with_milliseconds() {
        let mut out = String::new();
        let mut clock = Clock::new();
        clock.write_rfc3339(1_709_164_799_999, &mut out);
        clock.write_rfc3339(1_709_164_800_007, &mut out);
        assert_eq!(out, "2024-02-28T23:59:59.999Z2024-02-29T00:00:00.007Z");
        let mut out = String::new();
        clock.write_time(1_709_164_799_050, &mut out);
        clock.write_rfc3339(u64::MAX, &mut out);
        assert_eq!(out, "23:59:59.0509999-12-31T23:59:59.615Z");
    }

    proptest! {
        #[test]
        fn every_second_has_the_date_that_the_http_date_library_gives(second in 0..=LAST_SECOND) {
            let theirs = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            // "Sun, 06 Nov 1994 08:49:37 GMT"
            let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let month = months.iter().position(|m| *m == &theirs[8..11]).unwrap() + 1;
            let expected = format!("{}-{month:02}-{}T{}", &theirs[12..16], &theirs[5..7], &theirs[17..25]);
            prop_assert_eq!(second_text(second), expected);
        }
    }
}
