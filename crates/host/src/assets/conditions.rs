//! Conditional requests (RFC 9110 section 13).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nexus_guest::HeaderList;

/// What tells one version of a file from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validators {
    /// An entity tag as it is sent: `"…"` or `W/"…"`.
    pub(super) etag: String,
    /// Seconds since 1970, if HTTP can express them.
    pub(super) modified: Option<u64>,
    /// Whether the validators are strong.
    pub(super) strong: bool,
}

/// What the system says of a file's version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) size: u64,
    pub(super) inode: u64,
    /// Seconds and nanoseconds of the content's and of the inode's last change.
    pub(super) modified: (i64, i64),
    pub(super) changed: (i64, i64),
}

/// A file that changed this recently may change again without its time stamp showing it.
const UNSETTLED: Duration = Duration::from_secs(2);
/// The last second of the year 9999, the last that an HTTP date can express.
const LAST_SECOND: u64 = 253_402_300_799;

impl Validators {
    /// The tag is a hash of size, inode, and both time stamps to the nanosecond: whatever changes the bytes changes
    /// the inode's time, which nobody can set. Only within the clock's tick two changes may look the same, so
    /// the tag of a file that has just changed is weak (RFC 9110 section 8.8.1). `encoding` tells a file's
    /// representations apart even where they are links to one file.
    pub(super) fn new(stamp: &Stamp, encoding: Option<&str>, now: SystemTime) -> Self {
        let mut hasher = DefaultHasher::new();
        (stamp.size, stamp.inode, stamp.modified, stamp.changed, encoding).hash(&mut hasher);
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let settled = |(seconds, _): (i64, i64)| {
            let then = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            then + UNSETTLED < now
        };
        let strong = settled(stamp.modified) && settled(stamp.changed);
        let weak = if strong { "" } else { "W/" };
        Self {
            etag: format!("{weak}\"{:016x}\"", hasher.finish()),
            modified: u64::try_from(stamp.modified.0).ok().filter(|seconds| *seconds <= LAST_SECOND),
            strong,
        }
    }

    /// `last-modified`, if there is one.
    pub(super) fn last_modified(&self) -> Option<String> {
        Some(httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(self.modified?)))
    }

    /// The tag without `W/`.
    fn opaque(&self) -> &str {
        self.etag.strip_prefix("W/").unwrap_or(&self.etag)
    }

    /// Whether an `if-range` value names exactly this version (RFC 9110 section 13.1.5).
    pub(super) fn fits_if_range(&self, value: &str) -> bool {
        if value.contains('"') {
            return self.strong && value == self.etag;
        }
        self.strong && self.modified.is_some() && seconds(value) == self.modified
    }
}

/// A request's conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
    if_modified_since: Option<u64>,
    if_unmodified_since: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    /// `*`
    Any,
    /// Tags as they were sent.
    These(Vec<String>),
}

/// How a request with conditions goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As if there were none.
    Perform,
    /// 304
    NotModified,
    /// 412
    Failed,
}

impl Conditions {
    pub(super) fn of(headers: &HeaderList) -> Self {
        let date = |name| headers.get_str(name).and_then(seconds);
        Self {
            if_match: tags(headers, "if-match"),
            if_none_match: tags(headers, "if-none-match"),
            if_modified_since: date("if-modified-since"),
            if_unmodified_since: date("if-unmodified-since"),
        }
    }

    /// Evaluates them for a GET or HEAD in the order of RFC 9110 section 13.2.2.
    pub(super) fn evaluate(&self, validators: &Validators) -> Outcome {
        let passed = match (&self.if_match, self.if_unmodified_since, validators.modified) {
            (Some(Tags::Any), ..) => true,
            // If-Match compares strongly: a weak tag matches nothing.
            (Some(Tags::These(tags)), ..) => validators.strong && tags.contains(&validators.etag),
            (None, Some(limit), Some(modified)) => modified <= limit,
            (None, ..) => true,
        };
        if !passed {
            return Outcome::Failed;
        }
        let same = match (&self.if_none_match, self.if_modified_since, validators.modified) {
            (Some(Tags::Any), ..) => true,
            (Some(Tags::These(tags)), ..) => {
                tags.iter().any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == validators.opaque())
            }
            (None, Some(since), Some(modified)) => modified <= since,
            (None, ..) => false,
        };
        if same { Outcome::NotModified } else { Outcome::Perform }
    }
}

/// The seconds since 1970 of an HTTP date.
fn seconds(date: &str) -> Option<u64> {
    let time = httpdate::parse_http_date(date.trim()).ok()?;
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// The tags of all fields called `name`. A field that is no list of tags gives those up to where it is none.
fn tags(headers: &HeaderList, name: &str) -> Option<Tags> {
    if !headers.contains(name) {
        return None;
    }
    let mut all = Vec::new();
    for value in headers.get_all(name) {
        let Ok(mut rest) = std::str::from_utf8(value) else { continue };
        if rest.trim() == "*" {
            return Some(Tags::Any);
        }
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            let start = if rest.starts_with("W/\"") { 3 } else { 1 };
            if start == 1 && !rest.starts_with('"') {
                break;
            }
            let Some(length) = rest[start..].find('"') else { break };
            let (tag, after) = rest.split_at(start + length + 1);
            all.push(tag.to_owned());
            rest = after;
        }
    }
    Some(Tags::These(all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAMP: Stamp = Stamp { size: 5, inode: 7, modified: (784_111_777, 5), changed: (784_111_777, 6) };
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn validators(seconds_later: u64) -> Validators {
        Validators::new(&STAMP, None, UNIX_EPOCH + Duration::from_secs(784_111_777 + seconds_later))
    }

    fn outcome(fields: &[(&str, &str)], validators: &Validators) -> Outcome {
        Conditions::of(&fields.iter().copied().collect()).evaluate(validators)
    }

    #[test]
    fn a_tag_is_strong_unless_the_file_has_just_changed() {
        let (fresh, settled) = (validators(1), validators(60));
        assert!(!fresh.strong && settled.strong);
        assert_eq!(fresh.etag, format!("W/{}", settled.etag));
        assert_eq!(settled.last_modified().as_deref(), Some(DATE));
    }

    #[test]
    fn whatever_changes_about_a_file_changes_its_tag() {
        let now = SystemTime::now();
        let tag = Validators::new(&STAMP, None, now).etag;
        for other in [
            Stamp { size: 6, ..STAMP },
            Stamp { inode: 8, ..STAMP },
            Stamp { modified: (784_111_777, 4), ..STAMP },
            Stamp { changed: (784_111_777, 7), ..STAMP },
        ] {
            assert_ne!(Validators::new(&other, None, now).etag, tag);
        }
        assert_ne!(Validators::new(&STAMP, Some("gzip"), now).etag, tag);
    }

    #[test]
    fn a_time_that_http_cannot_express_is_not_told() {
        for seconds in [-1, i64::MIN, 253_402_300_800, i64::MAX] {
            let stamp = Stamp { modified: (seconds, 0), ..STAMP };
            assert_eq!(Validators::new(&stamp, None, SystemTime::now()).last_modified(), None);
        }
    }

    #[test]
    fn conditions_decide_in_the_order_of_the_standard() {
        let strong = validators(60);
        let weak = validators(1);
        let tag = strong.etag.clone();
        let list = format!("\"other,\", W/\"x\" ,{tag}");
        let weak_tag = format!("W/{tag}");
        use Outcome::{Failed, NotModified, Perform};
        for (fields, expected) in [
            (&[][..], Perform),
            (&[("if-none-match", "*")], NotModified),
            (&[("if-none-match", tag.as_str())], NotModified),
            (&[("if-none-match", &weak_tag)], NotModified),
            (&[("if-none-match", &list)], NotModified),
            (&[("if-none-match", "\"other\"")], Perform),
            (&[("if-none-match", "\"other\""), ("if-none-match", &tag)], NotModified),
            (&[("if-none-match", "\"other\""), ("if-modified-since", DATE)], Perform),
            (&[("if-none-match", "nonsense"), ("if-modified-since", DATE)], Perform),
            (&[("if-modified-since", DATE)], NotModified),
            (&[("if-modified-since", BEFORE)], Perform),
            (&[("if-modified-since", "yesterday")], Perform),
            (&[("if-match", "*")], Perform),
            (&[("if-match", &tag)], Perform),
            (&[("if-match", &weak_tag)], Failed),
            (&[("if-match", "\"other\"")], Failed),
            (&[("if-match", &tag), ("if-unmodified-since", BEFORE)], Perform),
            (&[("if-unmodified-since", DATE)], Perform),
            (&[("if-unmodified-since", BEFORE)], Failed),
            (&[("if-unmodified-since", BEFORE), ("if-none-match", "*")], Failed),
        ] {
            assert_eq!(outcome(fields, &strong), expected, "{fields:?}");
        }
        assert_eq!(outcome(&[("if-match", &weak.etag)], &weak), Failed);
        assert_eq!(outcome(&[("if-none-match", &weak.etag)], &weak), NotModified);
    }

    #[test]
    fn only_a_strong_validator_fits_if_range() {
        let (strong, weak) = (validators(60), validators(1));
        assert!(strong.fits_if_range(&strong.etag) && strong.fits_if_range(DATE));
        assert!(
            !strong.fits_if_range("\"other\"") && !strong.fits_if_range(BEFORE) && !strong.fits_if_range("x")
        );
        assert!(!weak.fits_if_range(&weak.etag) && !weak.fits_if_range(DATE));
    }

    proptest! {
        #[test]
        fn any_list_that_holds_the_tag_matches(
            others in proptest::collection::vec("(W/)?\"[!#-~]{0,5}\"", 0..4),
            separator in "[ \t]{0,2},[ \t,]{0,3}",
        ) {
            let validators = validators(60);
            let mut tags = others;
            tags.push(validators.etag.clone());
            prop_assert_eq!(outcome(&[("if-none-match", &tags.join(&separator))], &validators), Outcome::NotModified);
        }

        #[test]
        fn any_text_is_taken_as_a_condition_without_harm(text: String) {
            for name in ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"] {
                outcome(&[(name, &text)], &validators(60));
            }
            validators(60).fits_if_range(&text);
        }
    }
}
