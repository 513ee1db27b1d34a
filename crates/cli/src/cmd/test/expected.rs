//! The list of tests that are expected to fail: paths of files, and below each, indented, the names of its tests with
//! a reason.

use std::fs;
use std::path::Path;

use crate::failure::Failure;

/// What an entry stands for in the list if it is the file as a whole.
pub(super) const FILE: &str = "(file)";

/// The list.
#[derive(Debug, Default)]
pub(super) struct Expected {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// A path, or one with a variant. A `*` stands for anything.
    file: String,
    name: Name,
    reason: String,
    line: usize,
    /// Whether its file was run, and whether something failed that it stands for.
    ran: bool,
    used: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Name {
    Exactly(String),
    /// With `*` for anything.
    Like(String),
}

impl Name {
    /// In quotes, as in JSON, a name stands for itself; otherwise each `*` in it for anything.
    fn parse(text: &str) -> Option<Self> {
        if text.starts_with('"') {
            return serde_json::from_str(text).ok().map(Name::Exactly);
        }
        let text = (!text.is_empty()).then(|| text.to_owned())?;
        Some(if text.contains('*') { Name::Like(text) } else { Name::Exactly(text) })
    }

    fn is(&self, name: &str) -> bool {
        match self {
            Name::Exactly(exactly) => exactly == name,
            Name::Like(pattern) => stands_for(pattern, name),
        }
    }
}

impl Expected {
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(file);
        let text =
            text.map_err(|error| Failure::usage(format!("{}: cannot be read: {error}", file.display())))?;
        Self::parse(&text)
            .map_err(|(line, what)| Failure::usage(format!("{}:{line}: {what}", file.display())))
    }

    fn parse(text: &str) -> Result<Self, (usize, &'static str)> {
        let mut entries = Vec::new();
        let mut file = None;
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            if !line.starts_with([' ', '\t']) {
                file = Some(content);
                continue;
            }
            let file = file.ok_or((number, "a test's name comes after its file's path"))?;
            let (name, reason) =
                content.rsplit_once(" # ").ok_or((number, "the reason is missing: NAME  # REASON"))?;
            let name =
                Name::parse(name.trim()).ok_or((number, "this is no name: TEXT, \"TEXT\" or TEXT with *"))?;
            let (file, reason) = (file.to_owned(), reason.trim().to_owned());
            entries.push(Entry { file, name, reason, line: number, ran: false, used: false });
        }
        Ok(Self { entries })
    }

    /// Notes that a file is run.
    pub(super) fn ran(&mut self, path: &str, variant: &str) {
        for entry in &mut self.entries {
            entry.ran |= entry.is_of(path, variant);
        }
    }

    /// Whether this test is expected to fail, which it has: the reason.
    pub(super) fn reason(&mut self, path: &str, variant: &str, name: &str) -> Option<&str> {
        let mut found = None;
        for entry in &mut self.entries {
            if entry.is_of(path, variant) && entry.name.is(name) {
                entry.used = true;
                found = found.or(Some(entry.reason.as_str()));
            }
        }
        found
    }

    /// The entries that stand for nothing which failed, though their files were run.
    pub(super) fn stale(&self) -> Vec<String> {
        let stale = self.entries.iter().filter(|entry| entry.ran && !entry.used);
        stale
            .map(|entry| {
                let (Name::Exactly(name) | Name::Like(name)) = &entry.name;
                format!("{}: {name} (line {})", entry.file, entry.line)
            })
            .collect()
    }
}

impl Entry {
    fn is_of(&self, path: &str, variant: &str) -> bool {
        if !self.file.contains('*') {
            return self.file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest == variant);
        }
        stands_for(&self.file, path) || stands_for(&self.file, &format!("{path}{variant}"))
    }
}

/// Whether a pattern stands for a text; a `*` in it for anything.
fn stands_for(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let (between, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut middle) = text.strip_prefix(first).and_then(|text| text.strip_suffix(last)) else {
        return false;
    };
    between.split('*').all(|part| match middle.split_once(part) {
        Some((_, after)) => {
            middle = after;
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_tests_of_their_file() {
        let text =
            "# all\nurl/a.any.js\n  one # two # why\n  \"b*\"  # so\n\nurl/a.any.js?x\n\tc* # x only\n";
        let mut expected = Expected::parse(text).unwrap();
        assert_eq!(expected.reason("url/a.any.js", "", "one # two"), Some("why"));
        assert_eq!(expected.reason("url/a.any.js", "?y", "b*"), Some("so"));
        assert_eq!(expected.reason("url/a.any.js", "", "bc"), None);
        assert_eq!(expected.reason("url/a.any.js", "", "cd"), None);
        assert_eq!(expected.reason("url/a.any.js", "?x", "cd"), Some("x only"));
        assert_eq!(expected.reason("url/b.any.js", "", "one # two"), None);
        let mut expected = Expected::parse("a.any.js\n  *: a *b # why\n").unwrap();
        assert_eq!(expected.reason("a.any.js", "", "x: a b"), Some("why"));
        assert_eq!(expected.reason("a.any.js", "", "x: b"), None);
    }

    #[test]
    fn paths_stand_for_all_files_that_fit() {
        let fits = |pattern: &str, path: &str, variant: &str| {
            let text = format!("{pattern}\n * # why\n");
            Expected::parse(&text).unwrap().reason(path, variant, "x").is_some()
        };
        assert!(fits("a/*", "a/b/c.any.js", "?x"));
        assert!(fits("a/*/c.any.js", "a/b/c.any.js", "?x"));
        assert!(fits("*/b/*.any.js?x", "a/b/c.any.js", "?x"));
        assert!(!fits("*/b/*.any.js?x", "a/b/c.any.js", "?y"));
        assert!(!fits("a/b/*/c.any.js", "a/b/c.any.js", ""));
        assert!(!fits("a*a", "a", ""), "nothing counts twice");
        assert!(!fits("b/*", "a/b/c.any.js", ""));
    }

    #[test]
    fn what_no_longer_fails_is_stale_once_its_file_has_run() {
        let mut expected = Expected::parse("a.any.js\n one # why\n two* # why\nb.any.js\n x # y\n").unwrap();
        assert!(expected.stale().is_empty());
        expected.ran("a.any.js", "");
        expected.reason("a.any.js", "", "one");
        assert_eq!(expected.stale(), ["a.any.js: two* (line 3)"]);
    }

    #[test]
    fn a_line_without_a_reason_is_refused() {
        assert_eq!(Expected::parse("a.any.js\n  one\n").unwrap_err().0, 2);
        assert_eq!(Expected::parse("  one # why\n").unwrap_err().0, 1);
    }
}
