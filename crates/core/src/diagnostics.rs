//! What is wrong in a file, told so that its author can mend it: where, what, and what to do.
//!
//! All problems of a file are collected and told at once, in the order of their places.

use std::fmt;

use serde_json::{Value, json};

/// One problem in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as it was named by whoever asked.
    pub file: String,
    /// The line, from 1; 0 where the problem concerns the file as a whole.
    pub line: u32,
    /// The column, from 1, in characters; 0 where `line` is.
    pub column: u32,
    /// How many characters the problem spans, at least 1; 0 where `line` is.
    pub width: u32,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it, in one line.
    pub help: Option<String>,
    /// The text of the line; empty where `line` is 0.
    pub source_line: String,
}

impl Diagnostic {
    /// A problem of the file as a whole: it cannot be read, say.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            width: 0,
            message: message.into(),
            help: None,
            source_line: String::new(),
        }
    }

    /// The same problem, with what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The problem as an object with the keys `file`, `line`, `column`, `width`, `message`, `help` and
    /// `source_line`; `help` may be null.
    pub fn to_json(&self) -> Value {
        json!({
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "width": self.width,
            "message": self.message,
            "help": self.help,
            "source_line": self.source_line,
        })
    }
}

/// The most characters of a source line that are shown.
const SHOWN: usize = 120;
/// How many of them stand before the problem in a line that is longer.
const SHOWN_BEFORE: usize = 40;

impl fmt::Display for Diagnostic {
    /// `file:line:column: message`, the source line with carets under the problem, `help: …`; no line
    /// break at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", Plain(&self.file), Plain(&self.message))?;
        } else {
            write!(f, "{}:{}:{}: {}", Plain(&self.file), self.line, self.column, Plain(&self.message))?;
            self.write_excerpt(f)?;
        }
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {}", Plain(help))?;
        }
        Ok(())
    }
}

impl Diagnostic {
    fn write_excerpt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.column.saturating_sub(1) as usize;
        let width = self.width.max(1) as usize;
        let skipped = if self.source_line.chars().nth(SHOWN).is_some() {
            before.saturating_sub(SHOWN_BEFORE)
        } else {
            0
        };
        let mut rest = self.source_line.chars().skip(skipped);
        let mut shown: String = rest.by_ref().take(SHOWN).collect();
        if rest.next().is_some() {
            shown.push('…');
        }
        // Tabs stay tabs, so that the caret stands under its character in any terminal.
        let mut indent: String =
            shown.chars().take(before - skipped).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        if skipped > 0 {
            shown.insert(0, '…');
            indent.insert(0, ' ');
        }
        let carets = "^".repeat(width.min(SHOWN.saturating_sub(before - skipped)).max(1));
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        write!(f, "\n{number} | {}\n{margin} | {indent}{carets}", Plain(&shown))
    }
}

/// Text on its way to a terminal: what would steer it, or turn the direction of writing, shows as U+FFFD.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steers = |c: char| {
            (c.is_control() && c != '\t')
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        let mut pieces = self.0.split(steers);
        f.write_str(pieces.next().unwrap_or_default())?;
        pieces.try_for_each(|piece| write!(f, "\u{fffd}{piece}"))
    }
}

/// All problems of a file, in the order of their places. As an error it holds at least one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    left_out: usize,
}

impl Diagnostics {
    /// How many problems are kept; the others are only counted, for nobody reads them.
    pub const MAX: usize = 100;

    /// No problem yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a problem behind those that stand before it in the file.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.push_with(|| diagnostic);
    }

    /// Adds a problem that is made only if it is kept: its place costs a walk through the text, and a file
    /// that somebody else wrote may hold very many.
    pub(crate) fn push_with(&mut self, diagnostic: impl FnOnce() -> Diagnostic) {
        if self.list.len() == Self::MAX {
            self.left_out += 1;
            return;
        }
        let diagnostic = diagnostic();
        let place = (diagnostic.line, diagnostic.column);
        let index = self.list.partition_point(|d| (d.line, d.column) <= place);
        self.list.insert(index, diagnostic);
    }

    /// The problems that are kept.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// The number of problems that are kept.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is no problem.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// `Err` with the problems, if there is one.
    ///
    /// # Errors
    /// The problems.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    /// The problems as an array of what [`Diagnostic::to_json`] gives.
    pub fn to_json(&self) -> Value {
        Value::Array(self.list.iter().map(Diagnostic::to_json).collect())
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: I) {
        diagnostics.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { list: vec![diagnostic], left_out: 0 }
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    /// The problems, with an empty line between them; no line break at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            diagnostic.fmt(f)?;
        }
        if self.left_out > 0 {
            write!(f, "\n\n… and {} more", self.left_out)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, column: u32, width: u32, source_line: &str) -> Diagnostic {
        Diagnostic {
            line,
            column,
            width,
            source_line: source_line.into(),
            ..Diagnostic::of_file("nexus.toml", "wrong")
        }
    }

    #[test]
    fn the_caret_stands_under_the_problem() {
        assert_eq!(
            at(12, 3, 2, "\tx yz").with_help("mend it").to_string(),
            "nexus.toml:12:3: wrong\n12 | \tx yz\n   | \t ^^\nhelp: mend it",
        );
    }

    #[test]
    fn a_problem_of_the_whole_file_shows_no_line() {
        assert_eq!(Diagnostic::of_file("a/nexus.toml", "unreadable").to_string(), "a/nexus.toml: unreadable");
    }

    #[test]
    fn a_long_line_is_shown_around_the_problem() {
        let line = format!("{}BAD{}", "a".repeat(500), "b".repeat(500));
        let text = at(1, 501, 3, &line).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("1 | …a") && lines[1].ends_with("b…"), "{text}");
        assert!(lines[1].chars().count() < 130);
        let caret = lines[2].chars().position(|c| c == '^').unwrap();
        assert_eq!(lines[1].chars().skip(caret).take(3).collect::<String>(), "BAD");
        assert!(lines[2].ends_with("^^^") && !lines[2].ends_with("^^^^"));
    }

    #[test]
    fn what_would_steer_a_terminal_is_not_passed_on() {
        let mut diagnostic = at(1, 1, 1, "\u{1b}[31mred \u{202e}");
        diagnostic.message = "a\u{7}b".into();
        assert_eq!(diagnostic.to_string(), "nexus.toml:1:1: a\u{fffd}b\n1 | \u{fffd}[31mred \u{fffd}\n  | ^");
    }

    #[test]
    fn problems_are_told_in_the_order_of_their_places() {
        let mut all = Diagnostics::new();
        all.push(at(2, 5, 1, "second"));
        all.push(at(1, 9, 1, "first"));
        all.push(at(2, 7, 1, "third"));
        let lines: Vec<&str> = all.iter().map(|d| d.source_line.as_str()).collect();
        assert_eq!(lines, ["first", "second", "third"]);
    }

    #[test]
    fn problems_past_the_most_are_counted() {
        let mut all = Diagnostics::new();
        for line in 1..=103 {
            all.push(at(line, 1, 1, "x"));
        }
        assert_eq!(all.len(), Diagnostics::MAX);
        assert!(all.to_string().ends_with("\n\n… and 3 more"));
    }

    #[test]
    fn json_holds_every_field() {
        assert_eq!(
            Diagnostics::from(at(3, 5, 2, "x = yy").with_help("h")).to_json(),
            json!([{ "file": "nexus.toml", "line": 3, "column": 5, "width": 2, "message": "wrong",
                     "help": "h", "source_line": "x = yy" }]),
        );
    }
}
