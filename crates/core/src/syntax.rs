//! TOML, with its syntax errors as diagnostics.
//!
//! The parser goes on after an error, so that all of them are told at once. What it then makes of the
//! rest is a guess: only what stands above the first broken line is certain.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::source::Source;
use crate::{Diagnostic, Diagnostics};

/// The longest file that is read, in bytes. A configuration is a few lines; the bound keeps a file that
/// is none from costing more than its reading.
const MAX_LENGTH: usize = 256 * 1024;

/// A TOML file, as far as it could be read.
pub(crate) struct Toml<'a> {
    pub(crate) root: DeTable<'a>,
    /// Up to here, in bytes, `root` is what the author wrote; to the end, if the syntax is right.
    pub(crate) certain: usize,
}

/// Reads the source's text, which must not begin with a byte order mark.
pub(crate) fn parse<'a>(source: &'a Source, problems: &mut Diagnostics) -> Toml<'a> {
    if source.text.len() > MAX_LENGTH {
        let message = format!("the file is longer than {}", crate::format_byte_size(MAX_LENGTH as u64));
        problems.push(Diagnostic::of_file(&*source.file, message));
        return Toml { root: DeTable::new(), certain: 0 };
    }
    let (root, errors) = DeTable::parse_recoverable(&source.text);
    let mut errors: Vec<(Range<usize>, String)> =
        errors.iter().map(|error| (error.span().unwrap_or_default(), error.message().to_owned())).collect();
    errors.sort_by_key(|(span, _)| span.start);
    let mut certain = usize::MAX;
    let mut told_line = None;
    for (span, message) in errors {
        if message == "duplicate key" {
            problems.push_with(|| duplicate(source, root.get_ref(), &span));
            continue;
        }
        let line_start = source.line_start(span.start);
        certain = certain.min(line_start);
        // What follows on a broken line is mostly the same fault once more.
        if told_line.replace(line_start) != Some(line_start) {
            problems.push_with(|| syntax_error(source, line_start, span, &message));
        }
    }
    Toml { root: root.into_inner(), certain }
}

fn duplicate(source: &Source, root: &DeTable<'_>, span: &Range<usize>) -> Diagnostic {
    let key = source.text.get(span.clone()).unwrap_or_default();
    let line = source.line_at(source.line_start(span.start)).trim_start();
    if line.starts_with('[') {
        return source
            .diagnostic(span, format!("the table `{key}` is there twice"))
            .with_help("move its keys into the first one, and remove this one");
    }
    let diagnostic = source.diagnostic(span, format!("the key `{key}` is set twice"));
    match nearest_before(root, key.trim_matches(['"', '\'']), span.start) {
        Some(first) => diagnostic
            .with_help(format!("it is set in line {} already; remove one", source.line_number(first))),
        None => diagnostic.with_help("remove one of the two"),
    }
}

/// Where the last key called `name` before `before` stands.
fn nearest_before(table: &DeTable<'_>, name: &str, before: usize) -> Option<usize> {
    table
        .iter()
        .filter_map(|(key, value)| {
            let own = (key.get_ref() == name && key.span().start < before).then(|| key.span().start);
            let inner = match value.get_ref() {
                DeValue::Table(inner) => nearest_before(inner, name, before),
                DeValue::Array(items) => {
                    let tables = items.iter().filter_map(|item| item.get_ref().as_table());
                    tables.filter_map(|inner| nearest_before(inner, name, before)).max()
                }
                _ => None,
            };
            own.max(inner)
        })
        .max()
}

fn syntax_error(source: &Source, line_start: usize, span: Range<usize>, message: &str) -> Diagnostic {
    let line = source.line_at(line_start);
    let column = span.start - line_start;
    if let Some((key, value)) = unquoted_text(line)
        && column >= value.start
        && column <= value.end
    {
        let text = &line[value.clone()];
        let span = line_start + value.start..line_start + value.end;
        let right = match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => "true".to_owned(),
            "false" | "no" | "off" => "false".to_owned(),
            _ => format!("\"{text}\""),
        };
        let what = if right.starts_with('"') { "text stands in quotes" } else { "this is no TOML value" };
        return source.diagnostic(&span, what).with_help(format!("write `{key} = {right}`"));
    }
    if let Some((key, value)) = line.split_once(':')
        && column <= key.len()
        && !key.contains(['=', '"', '\'', '#', '['])
        && !key.trim().is_empty()
    {
        let colon = line_start + key.len();
        let right = format!("write `{} = {}`", key.trim(), value.trim());
        return source.diagnostic(&(colon..colon + 1), "expected `=` after the key").with_help(right);
    }
    let message = match message {
        "string values must be quoted, expected literal string" => "a value is missing after `=`",
        "key with no value, expected `=`" => "`=` and a value are missing after the key",
        "invalid key-value pair, expected key" => "expected `key = value` or `[table]`",
        other => other.trim_end_matches(", expected nothing"),
    };
    source.diagnostic(&span, message)
}

/// The key and the place of the value in a line of the form `key = text without quotes`.
fn unquoted_text(line: &str) -> Option<(&str, Range<usize>)> {
    let (key, value) = line.split_once('=')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let value = value.split(" #").next().unwrap_or_default();
    let text = value.trim();
    let start = key.len() + 1 + value.find(text)?;
    let key = key.trim();
    let is_text = text.chars().next()?.is_alphanumeric() || text.starts_with(['/', '.']);
    let clean = !text.contains(['"', '\'', '\\', '=', '[', '{', ','])
        && (text.contains(char::is_alphabetic) || text.matches('.').count() > 1);
    (!key.is_empty() && key.chars().all(plain) && is_text && clean).then(|| (key, start..start + text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> String {
        let mut problems = Diagnostics::new();
        parse(&Source::new("nexus.toml", text), &mut problems);
        problems.to_string()
    }

    #[test]
    fn text_without_quotes_is_shown_with_quotes() {
        assert_eq!(
            problems("[project]\nmain = index.js # start\n"),
            "nexus.toml:2:8: text stands in quotes\n2 | main = index.js # start\n  |        ^^^^^^^^\n\
             help: write `main = \"index.js\"`",
        );
        assert!(problems("max_body = 64 KB").contains("write `max_body = \"64 KB\"`"));
        assert!(problems("address = 127.0.0.1").contains("write `address = \"127.0.0.1\"`"));
        assert!(problems("folder = ./public").contains("write `folder = \"./public\"`"));
        assert!(problems("access = True").contains("write `access = true`"));
    }

    #[test]
    fn a_colon_in_place_of_the_equals_sign_is_told() {
        assert_eq!(
            problems("port: 80"),
            "nexus.toml:1:5: expected `=` after the key\n1 | port: 80\n  |     ^\nhelp: write `port = 80`",
        );
    }

    #[test]
    fn every_broken_line_is_told_once() {
        let text = problems("a = \nb = \"x\nc = 01\n[http\n");
        let places: Vec<&str> = text.lines().filter(|l| l.starts_with("nexus.toml")).collect();
        assert_eq!(
            places,
            [
                "nexus.toml:1:5: a value is missing after `=`",
                "nexus.toml:2:7: invalid basic string, expected `\"`",
                "nexus.toml:3:5: unexpected leading zero",
                "nexus.toml:4:6: unclosed table, expected `]`",
            ]
        );
    }

    #[test]
    fn a_duplicate_is_told_with_the_line_of_the_first() {
        assert_eq!(
            problems("[a]\nport = 1\n[b]\nport = 2\nport = 3\n"),
            "nexus.toml:5:1: the key `port` is set twice\n5 | port = 3\n  | ^^^^\n\
             help: it is set in line 4 already; remove one",
        );
        assert!(problems("[a]\n[a]\n").starts_with("nexus.toml:2:2: the table `a` is there twice"));
        let within = problems("[[a]]\nx = 1\n[[a]]\nx = 2\nx = 3\n[[a]]\nx = 4\n");
        assert!(within.starts_with("nexus.toml:5:1: the key `x` is set twice"), "{within}");
        assert!(within.ends_with("help: it is set in line 4 already; remove one"), "{within}");
    }

    #[test]
    fn what_stands_above_the_first_broken_line_is_certain() {
        let source = Source::new("f", "a = 1\na = 2\nb = \nc = 3\n");
        assert_eq!(parse(&source, &mut Diagnostics::new()).certain, 12);
        let source = Source::new("f", "a = 1\na = 2\n");
        assert_eq!(parse(&source, &mut Diagnostics::new()).certain, usize::MAX);
    }

    #[test]
    fn a_file_that_is_far_too_long_is_not_read() {
        let text = "#".repeat(MAX_LENGTH + 1);
        assert_eq!(problems(&text), "nexus.toml: the file is longer than 256 KB");
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        assert!(problems(&format!("a = {}", "[".repeat(100_000))).contains("recursion"));
        assert!(problems(&format!("a = {}", "{a=".repeat(50_000))).contains("recursion"));
        assert!(problems(&format!("{}a = 1", "a.".repeat(100_000))).contains("recursion"));
    }
}
