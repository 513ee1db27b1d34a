//! The `date` field (RFC 9110 section 6.6.1), written once a second and not once a response.

use std::cell::RefCell;
use std::io::Write;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// At most some milliseconds behind the exact clock, at a fraction of its price.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::RealtimeCoarse;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Realtime;

/// The length of an IMF-fixdate, in bytes.
const LENGTH: usize = 29;

struct Cached {
    second: i64,
    text: [u8; LENGTH],
}

thread_local! {
    static CACHED: RefCell<Cached> = const { RefCell::new(Cached { second: i64::MIN, text: [0; LENGTH] }) };
}

/// Passes the current date to `take`, as an IMF-fixdate.
pub(super) fn with_date<T>(take: impl FnOnce(&[u8; LENGTH]) -> T) -> T {
    let second = clock_gettime(CLOCK).tv_sec;
    CACHED.with_borrow_mut(|cached| {
        if cached.second != second {
            let since_epoch = Duration::from_secs(second.try_into().unwrap_or(0));
            let date = httpdate::HttpDate::from(SystemTime::UNIX_EPOCH + since_epoch);
            // An IMF-fixdate always fits: it has this one length.
            let _ = write!(&mut cached.text[..], "{date}");
            cached.second = second;
        }
        take(&cached.text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cached_date_is_a_date_of_now() {
        let text = with_date(|date| String::from_utf8(date.to_vec()).unwrap());
        let date = httpdate::parse_http_date(&text).unwrap();
        let now = SystemTime::now();
        assert!(date <= now + Duration::from_secs(1) && now <= date + Duration::from_secs(5), "{text}");
    }
}
