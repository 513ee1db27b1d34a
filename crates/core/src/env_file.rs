//! Files of variables for `--env-file`: lines of `NAME=value`, as dotenv tools read them.
//!
//! ```text
//! # a comment
//! PLAIN=text up to the end of the line   # or up to a comment
//! export SHELL=a leading export is fine
//! LITERAL='nothing is special in here'
//! ESCAPED="a line break: \n, a quote: \", a backslash: \\"
//! ```
//!
//! Nothing is substituted: `$HOME` is these five characters. Where a name comes twice, the later value
//! counts, as in a shell.

use std::iter::Peekable;
use std::ops::Range;
use std::str::CharIndices;

use crate::Diagnostics;
use crate::schema::shortened;
use crate::source::Source;

/// Names of variables as a regular expression (ECMA-262).
pub(crate) const VARIABLE_NAME_PATTERN: &str = "^[A-Za-z_][A-Za-z0-9_]*$";

/// Whether a variable may have this name: letters, digits and `_`, the first no digit.
pub(crate) fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Reads a file of variables. `file` is its name for the errors. Each name comes once, where it first stood.
///
/// # Errors
/// Every line that is neither empty, nor a comment, nor `NAME=value`.
///
/// ```
/// let variables = nexus_core::parse_env_file("A=1\nB=\"two\\nlines\" # comment\n", ".env").unwrap();
/// assert_eq!(variables, [("A".into(), "1".into()), ("B".into(), "two\nlines".into())]);
/// ```
pub fn parse_env_file(text: &str, file: &str) -> Result<Vec<(String, String)>, Diagnostics> {
    let source = Source::new(file, text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut problems = Diagnostics::new();
    let mut variables = Variables::default();
    let mut start = 0;
    for line in source.text.split('\n') {
        match parse_line(line.strip_suffix('\r').unwrap_or(line)) {
            Ok(Some((name, value))) => variables.set(name, value),
            Ok(None) => {}
            Err(fault) => {
                let span = start + fault.span.start..start + fault.span.end;
                let Fault { message, help, .. } = fault;
                problems.push_with(|| source.diagnostic(&span, message).with_help(help));
            }
        }
        start += line.len() + 1;
    }
    problems.into_result().map(|()| variables.list)
}

#[derive(Default)]
struct Variables {
    list: Vec<(String, String)>,
    places: std::collections::HashMap<String, usize>,
}

impl Variables {
    fn set(&mut self, name: &str, value: String) {
        match self.places.get(name) {
            Some(place) => self.list[*place].1 = value,
            None => {
                self.places.insert(name.to_owned(), self.list.len());
                self.list.push((name.to_owned(), value));
            }
        }
    }
}

struct Fault {
    /// In bytes of the line.
    span: Range<usize>,
    message: String,
    help: String,
}

fn fault<T>(span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { span, message: message.into(), help: help.into() })
}

fn parse_line(line: &str) -> Result<Option<(&str, String)>, Fault> {
    let indent = line.len() - line.trim_start().len();
    let mut start = indent;
    if line[start..].is_empty() || line[start..].starts_with('#') {
        return Ok(None);
    }
    if let Some(rest) = line[start..].strip_prefix("export")
        && rest.starts_with([' ', '\t'])
    {
        start = line.len() - rest.trim_start().len();
    }
    let Some(equals) = line[start..].find('=').map(|index| start + index) else {
        let end = line.trim_end().len().max(start);
        return fault(start..end, "expected `NAME=value`", "a comment starts with `#`");
    };
    let name = line[start..equals].trim_end();
    if !is_variable_name(name) {
        let message = format!("`{}` is no name of a variable", shortened(name));
        let help = "a name holds letters, digits and `_`, and starts with no digit";
        return fault(start..start + name.len(), message, help);
    }
    if let Some(nul) = line.find('\0') {
        return fault(nul..nul + 1, "a variable holds no NUL", "remove the character");
    }
    let rest = &line[equals + 1..];
    let begin = line.len() - rest.trim_start().len();
    let (value, end) = match line[begin..].chars().next() {
        Some('\'') => match line[begin + 1..].find('\'') {
            Some(length) => (line[begin + 1..begin + 1 + length].to_owned(), begin + length + 2),
            None => return unclosed(line, begin),
        },
        Some('"') => double_quoted(line, begin)?,
        _ => return Ok(Some((name, unquoted(rest).to_owned()))),
    };
    let after = line[end..].trim();
    if after.is_empty() || after.starts_with('#') {
        return Ok(Some((name, value)));
    }
    let begin = line.len() - line[end..].trim_start().len();
    let help = "put the whole value in quotes, or write `\\\"` for a quote within double quotes";
    fault(begin..begin + after.len(), "there is something behind the closing quote", help)
}

/// A value without quotes: up to the line's end, or a `#` at its beginning or after white space.
fn unquoted(rest: &str) -> &str {
    let blank = |index: usize| rest[..index].chars().next_back().is_none_or(char::is_whitespace);
    let comment = rest.match_indices('#').map(|(index, _)| index).find(|index| blank(*index));
    rest[..comment.unwrap_or(rest.len())].trim()
}

/// The text in the double quotes that open at `open`, and where they have closed.
fn double_quoted(line: &str, open: usize) -> Result<(String, usize), Fault> {
    let mut value = String::new();
    let mut chars: Peekable<CharIndices<'_>> = line[open + 1..].char_indices().peekable();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Ok((value, open + 1 + index + 1)),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, 't')) => value.push('\t'),
                Some((_, same @ ('"' | '\\' | '\'' | '$' | '`'))) => value.push(same),
                Some((_, other)) => {
                    let begin = open + 1 + index;
                    let message = format!("unknown escape `\\{}`", shortened(&other.to_string()));
                    let help = "the escapes are \\n, \\r, \\t, \\\", \\', \\$, \\` and \\\\; \
                                in single quotes nothing is special";
                    return fault(begin..begin + 1 + other.len_utf8(), message, help);
                }
                None => break,
            },
            other => value.push(other),
        }
    }
    unclosed(line, open)
}

fn unclosed<T>(line: &str, open: usize) -> Result<T, Fault> {
    let help = "close it on the same line; within double quotes `\\n` is a line break";
    fault(open..line.trim_end().len(), "the quote is not closed", help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::assert_within;
    use proptest::prelude::*;

    fn value(line: &str) -> String {
        let variables = parse_env_file(line, ".env").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((variables.len(), variables[0].0.as_str()), (1, "A"), "{line}");
        variables[0].1.clone()
    }

    fn error(text: &str) -> String {
        parse_env_file(text, ".env").unwrap_err().to_string()
    }

    #[test]
    fn a_value_is_plain_literal_or_escaped() {
        for (line, expected) in [
            ("A=1", "1"),
            ("  export  A = b c  # d", "b c"),
            ("A=", ""),
            ("A=# comment", ""),
            ("A=b#c", "b#c"),
            ("A=it's \"fine\"", "it's \"fine\""),
            ("A=a=b", "a=b"),
            ("A='$x \\n # \"' # c", "$x \\n # \""),
            ("A=\"\\n\\r\\t\\\"\\\\\\$\\'#\"", "\n\r\t\"\\$'#"),
            ("A=\"é\"\r\n", "é"),
            ("A=$HOME", "$HOME"),
            ("\u{feff}A=1", "1"),
        ] {
            assert_eq!(value(line), expected, "{line}");
        }
        assert_eq!(parse_env_file("\n # c\n\t\n", ".env"), Ok(vec![]));
        assert_eq!(parse_env_file("export=1", ".env"), Ok(vec![("export".into(), "1".into())]));
    }

    #[test]
    fn the_later_of_two_values_counts() {
        let variables = parse_env_file("A=1\nB=2\nA=3", ".env").unwrap();
        assert_eq!(variables, [("A".into(), "3".into()), ("B".into(), "2".into())]);
    }

    #[test]
    fn every_bad_line_is_told() {
        assert_eq!(
            error("A=1\nfoo bar\nB=\"x\n"),
            ".env:2:1: expected `NAME=value`\n2 | foo bar\n  | ^^^^^^^\nhelp: a comment starts with `#`\n\n\
             .env:3:3: the quote is not closed\n3 | B=\"x\n  |   ^^\n\
             help: close it on the same line; within double quotes `\\n` is a line break",
        );
        assert!(error("1A=1").starts_with(".env:1:1: `1A` is no name of a variable"));
        assert!(error("=1").starts_with(".env:1:1: `` is no name"));
        assert!(error("A='x").contains("not closed"));
        assert!(error("A=\"x\\").contains("not closed"));
        assert!(error("A=\"x\" y").starts_with(".env:1:7: there is something behind the closing quote"));
        assert!(error("é=1\nA=\"ü\\q\"").contains(".env:2:5: unknown escape `\\q`"));
        assert!(error("A=a\0").contains("NUL"));
    }

    proptest! {
        #[test]
        fn any_text_is_variables_or_errors_within_it(
            text in "(\\PC|[A-Z]=|[ =\"'#\\\\\n]|\r\n|export |\u{0}|\u{85}){0,30}",
        ) {
            match parse_env_file(&text, ".env") {
                Ok(variables) => prop_assert!(variables.iter().all(|(name, _)| is_variable_name(name))),
                Err(problems) => problems.iter().for_each(|problem| assert_within(problem, &text)),
            }
        }

        #[test]
        fn what_is_quoted_and_escaped_comes_back(values in proptest::collection::vec("(\\PC|[\n\r\t\"\\\\$#'])*", 0..6)) {
            let escape = |value: &str| {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"");
                value.replace('\n', "\\n").replace('\r', "\\r")
            };
            let line = |(index, value): (usize, &String)| format!("export V{index} = \"{}\" # c\n", escape(value));
            let text: String = values.iter().enumerate().map(line).collect();
            let expected: Vec<_> =
                values.iter().enumerate().map(|(index, value)| (format!("V{index}"), value.clone())).collect();
            prop_assert_eq!(parse_env_file(&text, ".env"), Ok(expected));
        }
    }
}
