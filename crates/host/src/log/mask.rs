//! Takes secrets out of what guests log.
//!
//! It helps against slips, and is no wall: a guest that encodes a secret, or takes it apart, can print it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use nexus_guest::{LoadError, LogRecord, Secrets};

/// What stands in a secret's place.
const MASKED: &str = "***";
/// Values with fewer characters are everywhere.
const LEAST: usize = 4;
/// From so many characters on, lines of a value count by themselves: a guest may print them one by one.
const LEAST_LINE: usize = 16;

/// The values that are taken out.
pub(crate) struct Mask {
    secrets: Arc<Secrets>,
    /// Each value, or line of one: the secret's place and the part of its value.
    parts: Vec<(usize, Range<usize>)>,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({})", self.parts.len())
    }
}

impl Mask {
    /// A mask for these, if there is anything to take out.
    pub(crate) fn new(secrets: &Arc<Secrets>) -> Option<Self> {
        let mut parts = Vec::new();
        for (place, (_, value)) in secrets.iter().enumerate() {
            if value.chars().count() >= LEAST {
                parts.push((place, 0..value.len()));
            }
            // The lines around a key are no secrets.
            let is_own = |line: &str| line.chars().count() >= LEAST_LINE && !line.starts_with("-----");
            let lines = value.lines().filter(|line| line.len() < value.len() && is_own(line));
            parts.extend(lines.map(|line| {
                let start = line.as_ptr().addr() - value.as_ptr().addr();
                (place, start..start + line.len())
            }));
        }
        (!parts.is_empty()).then(|| Self { secrets: secrets.clone(), parts })
    }

    /// Takes them out of a text.
    pub(crate) fn apply(&self, text: &mut String) {
        let mut found: Vec<Range<usize>> = Vec::new();
        let values: Vec<&str> = self.secrets.iter().map(|(_, value)| value).collect();
        for (place, range) in &self.parts {
            let Some(part) = values.get(*place).and_then(|value| value.get(range.clone())) else { continue };
            let step = part.chars().next().map_or(1, char::len_utf8);
            let mut from = 0;
            while let Some(at) = text.get(from..).and_then(|rest| rest.find(part)) {
                let start = from + at;
                found.push(start..start + part.len());
                // It may begin again within itself.
                from = start + step;
            }
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

#[cfg(test)]
mod tests {
    use nexus_guest::Secret;
    use proptest::prelude::*;

    use super::*;

    fn mask(values: &[&str]) -> Option<Mask> {
        let all = values.iter().map(|value| ("S".into(), Secret::new((*value).to_owned())));
        Mask::new(&Arc::new(Secrets::new(all.collect())))
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
