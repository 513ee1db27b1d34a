//! Places in a file's text: from byte ranges, as parsers give them, to lines and columns, as people
//! count them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::Diagnostic;

/// A file's name and text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Source {
    pub(crate) file: Arc<str>,
    pub(crate) text: Arc<str>,
}

impl Source {
    pub(crate) fn new(file: &str, text: &str) -> Self {
        Self { file: file.into(), text: text.into() }
    }

    /// A problem at `span`, in bytes. A span beyond the text or within a character is moved to the
    /// nearest place before it; of one over several lines the first line counts.
    pub(crate) fn diagnostic(&self, span: &Range<usize>, message: impl Into<String>) -> Diagnostic {
        let start = self.text.floor_char_boundary(span.start);
        let line_start = self.line_start(start);
        let line = self.line_at(line_start);
        // A span may begin in the line break, which is not part of the line.
        let start = start.min(line_start + line.len());
        let end = self.text.floor_char_boundary(span.end).clamp(start, line_start + line.len());
        let count = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        Diagnostic {
            file: self.file.to_string(),
            line: count_lines(&self.text[..line_start]),
            column: count(&self.text[line_start..start]) + 1,
            width: count(&self.text[start..end]).max(1),
            message: message.into(),
            help: None,
            source_line: line.to_owned(),
        }
    }

    /// Where the line begins that `offset` lies in.
    pub(crate) fn line_start(&self, offset: usize) -> usize {
        let offset = self.text.floor_char_boundary(offset);
        self.text[..offset].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// The line that begins at `line_start`, without its line break.
    pub(crate) fn line_at(&self, line_start: usize) -> &str {
        let line = self.text[line_start..].split('\n').next().unwrap_or_default();
        line.strip_suffix('\r').unwrap_or(line)
    }

    /// The number of the line that `offset` lies in, from 1.
    pub(crate) fn line_number(&self, offset: usize) -> u32 {
        count_lines(&self.text[..self.line_start(offset)])
    }
}

fn count_lines(before: &str) -> u32 {
    u32::try_from(before.bytes().filter(|b| *b == b'\n').count()).unwrap_or(u32::MAX - 1) + 1
}

/// Which keys a file sets, and where, so that what turns out later (a main file that is not there, a
/// port that is taken) can still be told at its place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Written {
    source: Source,
    places: BTreeMap<String, Range<usize>>,
}

impl Written {
    pub(crate) fn new(source: Source) -> Self {
        Self { source, places: BTreeMap::new() }
    }

    pub(crate) fn insert(&mut self, path: String, span: Range<usize>) {
        self.places.insert(path, span);
    }

    /// Whether the file sets `path`: a key (`http.port`, `env.NAME`), an element of an array
    /// (`permissions.read[0]`), a table (`assets`, `routes[0]`) or a key of one of several
    /// (`routes[0].module`).
    pub fn contains(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// The file's name; empty where there is no file.
    pub fn file(&self) -> &str {
        &self.source.file
    }

    /// The line on which `path` is set, from 1.
    pub fn line(&self, path: &str) -> Option<u32> {
        self.places.get(path).map(|span| self.source.line_number(span.start))
    }

    /// A problem at the value of `path`, or, where the file does not set it, with the file as a whole.
    pub fn diagnostic(&self, path: &str, message: impl Into<String>) -> Diagnostic {
        match self.places.get(path) {
            Some(span) => self.source.diagnostic(span, message),
            None => Diagnostic::of_file(self.file(), message),
        }
    }
}

#[cfg(test)]
pub(crate) use tests::assert_within;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn columns_count_characters_and_lines_have_no_break() {
        let source = Source::new("f", "é = 1\r\nüü = 2\r\n");
        let diagnostic = source.diagnostic(&(13..14), "m");
        assert_eq!((diagnostic.line, diagnostic.column, diagnostic.width), (2, 4, 1));
        assert_eq!(diagnostic.source_line, "üü = 2");
    }

    #[test]
    fn a_span_over_several_lines_ends_with_its_first() {
        let source = Source::new("f", "a = [\n1,\n]");
        let diagnostic = source.diagnostic(&(4..10), "m");
        assert_eq!((diagnostic.line, diagnostic.column, diagnostic.width), (1, 5, 1));
    }

    #[test]
    fn a_place_at_the_end_is_the_last_line() {
        let source = Source::new("f", "a\n");
        let diagnostic = source.diagnostic(&(2..2), "m");
        assert_eq!((diagnostic.line, diagnostic.column, diagnostic.width), (2, 1, 1));
    }

    proptest! {
        #[test]
        fn any_span_gives_a_place_within_the_text(
            text in "(\\PC|\n|\r\n|\t|é){0,40}", start in 0usize..200, length in 0usize..200,
        ) {
            let diagnostic = Source::new("f", &text).diagnostic(&(start..start + length), "m");
            assert_within(&diagnostic, &text);
        }
    }

    pub(crate) fn assert_within(diagnostic: &Diagnostic, text: &str) {
        let lines: Vec<&str> = text.split('\n').collect();
        assert!(diagnostic.line >= 1 && diagnostic.line as usize <= lines.len(), "{diagnostic:?}");
        let line = lines[diagnostic.line as usize - 1];
        let line = line.strip_suffix('\r').unwrap_or(line);
        assert_eq!(diagnostic.source_line, line);
        let characters = line.chars().count();
        assert!(diagnostic.column >= 1 && diagnostic.column as usize <= characters + 1, "{diagnostic:?}");
        let end = diagnostic.column as usize - 1 + diagnostic.width as usize;
        assert!(diagnostic.width >= 1 && end <= characters.max(diagnostic.column as usize), "{diagnostic:?}");
    }
}
