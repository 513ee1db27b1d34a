//! Takes secrets out of what guests log.
//!
//! It helps against slips, and is no wall: a guest that encodes a secret, or takes it apart, can print it.

use std::fmt;
use std::ops::Range;

use aho_corasick::AhoCorasick;
use nexus_guest::{CUT, LoadError, LogRecord, Secrets};

/// May stand behind the sign that something was cut off.
const CUT_OFF: &str = " (cut)";
/// What stands in a secret's place.
const MASKED: &str = "***";
/// Values with fewer characters are everywhere.
const LEAST: usize = 4;
/// From so many characters on, lines of a value count by themselves: a guest may print them one by one.
const LEAST_LINE: usize = 16;

/// The values that are taken out.
pub(crate) struct Mask {
    /// Finds each value, and each line of one.
    finder: AhoCorasick,
    /// The same, which may be cut anywhere.
    parts: Vec<Box<str>>,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({})", self.finder.patterns_len())
    }
}

impl Mask {
    /// A mask for these, if there is anything to take out.
    pub(crate) fn new(secrets: &Secrets) -> Option<Self> {
        let mut parts = Vec::new();
        for (_, value) in secrets.iter() {
            if value.chars().count() >= LEAST {
                parts.push(value);
            }
            // The lines around a key are no secrets.
            let is_own = |line: &&str| line.chars().count() >= LEAST_LINE && !line.starts_with("-----");
            parts.extend(value.lines().filter(|line| line.len() < value.len()).filter(is_own));
        }
        parts.sort_unstable();
        parts.dedup();
        // There is no finder for more than some 2 GB.
        let finder = AhoCorasick::new(&parts).ok().filter(|_| !parts.is_empty())?;
        Some(Self { finder, parts: parts.into_iter().map(Into::into).collect() })
    }

    /// Takes them out of a text.
    pub(crate) fn apply(&self, text: &mut String) {
        let mut found: Vec<Range<usize>> = Vec::new();
        for mut range in self.finder.find_overlapping_iter(&*text).map(|found| found.range()) {
            // They come by their ends. What overlaps is one, or they would be as many as the values times the text.
            while let Some(last) = found.pop_if(|last| last.end > range.start) {
                range.start = range.start.min(last.start);
            }
            found.push(range);
        }
        if text.starts_with(CUT) {
            found.extend(self.behind_cut(text, CUT.len()));
        }
        if let Some(left) = text.strip_suffix(CUT_OFF).unwrap_or(text).strip_suffix(CUT) {
            found.extend(self.before_cut(left));
        }
        if found.is_empty() {
            return;
        }
        found.sort_by_key(|range| range.start);
        let mut masked = String::with_capacity(text.len());
        let mut end = 0;
        for range in found {
            if range.start >= end {
                masked.push_str(text.get(end..range.start).unwrap_or_default());
                masked.push_str(MASKED);
            }
            end = end.max(range.end);
        }
        masked.push_str(text.get(end..).unwrap_or_default());
        *text = masked;
    }

    /// The beginning of a value that ends where something was cut off: the longest one.
    fn before_cut(&self, text: &str) -> Option<Range<usize>> {
        // The cut may have gone through a character.
        let text = text.trim_end_matches(char::REPLACEMENT_CHARACTER);
        let starts = self.parts.iter().filter_map(|line| {
            let from = text.len().saturating_sub(line.len());
            let first = line.chars().next()?;
            let tail = text.get(text.ceil_char_boundary(from)..)?;
            let rests = tail.match_indices(first).filter_map(|(place, _)| tail.get(place..));
            rests.into_iter().find(|rest| line.starts_with(rest)).map(|rest| text.len() - rest.len())
        });
        let start = starts.min()?;
        is_enough(text.get(start..)?).then_some(start..text.len())
    }

    /// The end of a value behind such a place.
    fn behind_cut(&self, text: &str, at: usize) -> Option<Range<usize>> {
        let rest = text.get(at..)?;
        let text = rest.trim_start_matches(char::REPLACEMENT_CHARACTER);
        let at = at + rest.len() - text.len();
        let ends = self.parts.iter().filter_map(|line| {
            let last = line.chars().next_back()?;
            let head = text.get(..text.floor_char_boundary(line.len()))?;
            let begins =
                head.rmatch_indices(last).filter_map(|(place, found)| head.get(..place + found.len()));
            begins.into_iter().find(|begin| line.ends_with(begin)).map(str::len)
        });
        let end = ends.max()?;
        is_enough(text.get(..end)?).then_some(at..at + end)
    }

    /// Takes them out of a line of the log.
    pub(crate) fn apply_to(&self, record: &mut LogRecord) {
        self.apply(&mut record.message);
        record.stack.iter_mut().for_each(|stack| self.apply(stack));
    }

    /// Takes them out of why an app cannot be loaded, which others read than those who read its log.
    pub(crate) fn apply_to_error(&self, mut error: LoadError) -> LoadError {
        self.apply(&mut error.message);
        error.stack.iter_mut().for_each(|stack| self.apply(stack));
        error
    }
}

/// Whether so much of a value tells anything.
fn is_enough(part: &str) -> bool {
    part.chars().count() >= LEAST
}

#[cfg(test)]
mod tests {
    use nexus_guest::Secret;
    use proptest::prelude::*;

    use super::*;

    fn mask(values: &[&str]) -> Option<Mask> {
        let all = values.iter().map(|value| ("S".into(), Secret::new((*value).to_owned())));
        Mask::new(&Secrets::new(all.collect()))
    }

    fn masked(values: &[&str], text: &str) -> String {
        let mut text = text.to_owned();
        mask(values).unwrap().apply(&mut text);
        text
    }

    #[test]
    fn values_are_taken_out_wherever_they_stand() {
        assert_eq!(masked(&["hunter2"], "it is hunter2, hunter2!"), "it is ***, ***!");
        assert_eq!(masked(&["hunter2"], "it is hunter3"), "it is hunter3");
        assert_eq!(masked(&["hunter2", "ter2abcd"], "hunter2abcd"), "***", "where they overlap, too");
        assert_eq!(masked(&["aaaa"], "aaaaaa b"), "*** b", "and with themselves");
        assert_eq!(masked(&["äöüß"], "xäöüßäöüß"), "x******");
        assert!(mask(&["abc", "", "äöü"]).is_none(), "what is short is everywhere");
        assert!(mask(&[]).is_none());
        assert_eq!(format!("{:?}", mask(&["hunter2"]).unwrap()), "Mask(1)");
    }

    #[test]
    fn a_keys_lines_are_taken_out_one_by_one() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG\nshort\n-----END PRIVATE KEY-----\n";
        assert_eq!(masked(&[key], &format!("<{key}>")), "<***>");
        assert_eq!(masked(&[key], "> MIIEvQIBADANBgkqhkiG"), "> ***");
        assert_eq!(masked(&[key], "-----BEGIN PRIVATE KEY-----"), "-----BEGIN PRIVATE KEY-----");
        assert_eq!(masked(&[key], "in short"), "in short");
    }

    #[test]
    fn what_a_cut_has_left_of_a_value_is_taken_out() {
        let cut = |text: &str| masked(&["hunter2", "äöüß-x"], text);
        assert_eq!(cut("it is hunter…"), "it is ***…");
        assert_eq!(cut("it is hunt… (cut)"), "it is ***… (cut)");
        assert_eq!(cut("…nter2 and more"), "…*** and more");
        assert_eq!(cut("it is hun…"), "it is hun…", "three characters are everywhere");
        assert_eq!(cut("it is hunter"), "it is hunter", "nothing is cut");
        assert_eq!(cut("it is äöüß\u{fffd}…"), "it is ***\u{fffd}…", "through a character");
        assert_eq!(cut("…\u{fffd}öüß-x."), "…\u{fffd}***.");
        assert_eq!(masked(&["abababab"], "xabababab…"), "x***…");
        assert_eq!(masked(&["ab-ab-ab-cd"], "x ab-ab-ab-ab-…"), "x ab-***…", "the longest one");
        assert_eq!(cut("……"), "……");
        let codes = "one-code\ntwo-code\nsix-code\n";
        assert_eq!(masked(&[codes], "they are one-code\ntwo-co…"), "they are ***…", "short lines, too");
        let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG\n-----END PRIVATE KEY-----\n";
        assert_eq!(masked(&[key], "-----BEGIN PRIVATE KEY-----\nMIIEvQIB…"), "***…");
    }

    proptest! {
        #[test]
        fn no_value_is_left_and_nothing_else_is_lost(
            secret in "[a-cä]{4,6}", other in "[a-cä]{4,6}", text in "([a-cä]{0,4}|[xyz ]){0,20}",
        ) {
            let with = format!("{text}{secret}{text}{other}");
            let masked = masked(&[&secret, &other], &with);
            prop_assert!(!masked.contains(&secret) && !masked.contains(&other));
            let kept = |text: &str| text.chars().filter(|c| "xyz ".contains(*c)).collect::<String>();
            prop_assert_eq!(kept(&masked), kept(&with));
        }
    }
}
