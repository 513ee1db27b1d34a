//! Patterns of paths.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use super::normal::{decoded, escaped, is_plain, push_segment};
use super::{PatternError, no};
use crate::env_file::is_variable_name;
use crate::schema::shortened;

/// A pattern of paths: `/api`, `/users/:id`, `/files/*`.
///
/// It matches by whole segments, from the left:
///
/// - a literal segment matches itself: in letter case, and as [`normal_path`](crate::normal_path) writes it;
/// - `:name` matches one segment that is not empty;
/// - `*`, which can only be the last, matches the rest: one segment or more, and the first may be empty.
///
/// Without a `*` it is a prefix: `/api` matches `/api`, `/api/` and `/api/users`, but not `/apis`;
/// `/users/:id` matches `/users/7/orders` as well. `/files/*` matches `/files/` and all below, but not
/// `/files`. `/` matches every path.
///
/// Two patterns are equal if they are written alike; whether they match the same paths, whatever the names in
/// them, says [`is_same`](Self::is_same).
///
/// ```
/// use nexus_core::PathPattern;
///
/// let pattern: PathPattern = "/users/:id".parse().unwrap();
/// assert!(pattern.is_same(&"/users/:name".parse().unwrap()));
/// assert!("users".parse::<PathPattern>().unwrap_err().to_string().contains("`/users`"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    segments: Vec<Segment>,
}

/// A segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    /// In its normal form; neither empty nor a dot segment.
    Literal(Box<str>),
    /// `:name`.
    Name(Box<str>),
    /// `*`, the last.
    Rest,
}

impl PathPattern {
    /// The most segments of a pattern.
    pub const MOST_SEGMENTS: usize = 32;

    /// `/`, which matches every path.
    pub const EVERY: Self = Self { segments: Vec::new() };

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether both match the same paths.
    pub fn is_same(&self, other: &Self) -> bool {
        self.shape() == other.shape()
    }

    /// The pattern without its names: the same for all that match the same paths.
    pub(crate) fn shape(&self) -> String {
        // Every path has a first segment, so `/*` leaves out none.
        if self.segments == [Segment::Rest] {
            return String::new();
        }
        let segment = |segment: &Segment| match segment {
            Segment::Literal(text) => format!("/{text}"),
            Segment::Name(_) => "/:".to_owned(),
            Segment::Rest => "/*".to_owned(),
        };
        self.segments.iter().map(segment).collect()
    }

    /// What the pattern's names stand for in a normal path that it matches: those of `:name` decoded, and
    /// that of `*`, which may be several segments, as it is.
    pub(super) fn values(&self, path: &str) -> Vec<(String, String)> {
        let mut values = Vec::new();
        let mut rest = path.strip_prefix('/').unwrap_or(path);
        for segment in &self.segments {
            let (first, below) = rest.split_once('/').unwrap_or((rest, ""));
            match segment {
                Segment::Literal(_) => {}
                Segment::Name(name) => values.push((name.to_string(), decoded(first))),
                Segment::Rest => values.push(("*".to_owned(), rest.to_owned())),
            }
            rest = below;
        }
        values
    }
}

impl fmt::Display for PathPattern {
    /// The pattern as it can be parsed, with literal segments in their normal form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            return f.write_str("/");
        }
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Literal(text) => write!(f, "/{text}"),
            Segment::Name(name) => write!(f, "/:{name}"),
            Segment::Rest => f.write_str("/*"),
        })
    }
}

impl FromStr for PathPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let Some(inner) = text.strip_prefix('/') else {
            return if text.is_empty() {
                no("a path starts with `/`, which alone is every path")
            } else if text.contains("://") {
                no("a path is written without scheme and host, as `/api`")
            } else {
                no(format!("a path starts with `/`: `/{}`", shortened(text)))
            };
        };
        if inner.is_empty() {
            return Ok(Self::EVERY);
        }
        let count = inner.split('/').count();
        if count > Self::MOST_SEGMENTS {
            return no(format!("a path has at most {} segments, this one {count}", Self::MOST_SEGMENTS));
        }
        let parse = |(place, text): (usize, &str)| match (text, place + 1 == count) {
            ("", true) => {
                let before = shortened(inner.trim_end_matches('/'));
                no(format!(
                    "leave out the `/` at the end: `/{before}` is all below it, too; `/{before}/*` is only that"
                ))
            }
            ("*", false) => no("`*` is the rest of the path, so it comes last"),
            ("*", true) => Ok(Segment::Rest),
            (text, _) => segment(text),
        };
        let segments = inner.split('/').enumerate().map(parse).collect::<Result<Vec<_>, _>>()?;
        let mut names = HashSet::new();
        for segment in &segments {
            if let Segment::Name(name) = segment
                && !names.insert(name)
            {
                return no(format!("`:{}` is there twice; a path's names differ", shortened(name)));
            }
        }
        Ok(Self { segments })
    }
}

fn segment(text: &str) -> Result<Segment, PatternError> {
    if let Some(name) = text.strip_prefix(':') {
        return match is_variable_name(name) {
            true => Ok(Segment::Name(name.into())),
            false => no(
                "a name, after `:`, is letters, digits and `_`, starts with no digit, and is all of its segment",
            ),
        };
    }
    if text.is_empty() {
        return no("a path has no empty segment, which is what two `/` in a row are");
    }
    for (at, c) in text.char_indices() {
        let wrong = match c {
            '?' | '#' => "a pattern is of the path alone: leave out what begins with `?` or `#`".to_owned(),
            '*' => "`*` is a segment of its own, the last one; a literal one is written `%2A`".to_owned(),
            '\\' => "segments are separated by `/`".to_owned(),
            '{' | '}' | '<' | '>' | '[' | ']' => named(text),
            '%' if escaped(&text.as_bytes()[at..]).is_none() => {
                "`%` comes before two hexadecimal digits; the character itself is written `%25`".to_owned()
            }
            c if c.is_control() => "a path holds no control characters".to_owned(),
            c if c.is_ascii() && c != '%' && !is_plain(c as u8) => {
                format!("`{c}` is written `%{:02X}` in a path", c as u8)
            }
            _ => continue,
        };
        return no(wrong);
    }
    let mut normal = String::with_capacity(text.len());
    push_segment(&mut normal, text);
    if matches!(normal.as_str(), "." | "..") {
        return no("a path has no `.` or `..` segment: requests for such paths are resolved before");
    }
    Ok(Segment::Literal(normal.into()))
}

/// Help for who writes a name as other programs do: `{id}`, `[id]`, `<id>`.
fn named(text: &str) -> String {
    let name = text.trim_matches(['{', '}', '<', '>', '[', ']']);
    let name = if is_variable_name(name) { name } else { "name" };
    format!("a segment with a name is written `:{}`", shortened(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> PathPattern {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn error(text: &str) -> String {
        text.parse::<PathPattern>().unwrap_err().to_string()
    }

    #[test]
    fn a_pattern_is_shown_in_its_normal_form() {
        for same in ["/", "/*", "/api", "/users/:id", "/:a/b/:c_1/*", "/v1:batch", "/a.b/~c", "/%2A/%C3%A9"] {
            assert_eq!(pattern(same).to_string(), same);
        }
        for (text, normal) in
            [("/%61pi", "/api"), ("/é", "/%C3%A9"), ("/a%2fb", "/a%2Fb"), ("/a%2eb", "/a.b")]
        {
            assert_eq!(pattern(text).to_string(), normal);
        }
    }

    #[test]
    fn a_wrong_pattern_is_told_how_it_is_right() {
        for (text, told) in [
            ("", "a path starts with `/`, which alone is every path"),
            ("api", "a path starts with `/`: `/api`"),
            ("https://shop.example/api", "without scheme and host"),
            ("/api/", "leave out the `/` at the end: `/api` is all below it, too; `/api/*` is only that"),
            ("//", "no empty segment"),
            ("/a//b", "no empty segment"),
            ("/*/a", "`*` is the rest of the path, so it comes last"),
            ("/a*", "`*` is a segment of its own"),
            ("/**", "`*` is a segment of its own"),
            ("/:", "a name, after `:`, is letters"),
            ("/:id?", "a name, after `:`, is letters"),
            ("/:id.json", "is all of its segment"),
            ("/:1", "starts with no digit"),
            ("/:a/:a", "`:a` is there twice"),
            ("/a?b", "leave out what begins with `?`"),
            ("/a#b", "leave out what begins with `?` or `#`"),
            ("/a\\b", "separated by `/`"),
            ("/users/{id}", "written `:id`"),
            ("/users/[...id]", "written `:name`"),
            ("/a/..", "no `.` or `..` segment"),
            ("/%2e/a", "no `.` or `..` segment"),
            ("/100%", "written `%25`"),
            ("/a b", "` ` is written `%20`"),
            ("/a|b", "`|` is written `%7C`"),
            ("/a\tb", "no control characters"),
        ] {
            assert!(error(text).contains(told), "{text}: {}", error(text));
        }
        let long = "/a".repeat(PathPattern::MOST_SEGMENTS);
        assert_eq!(pattern(&long).segments().len(), PathPattern::MOST_SEGMENTS);
        assert_eq!(error(&format!("{long}/*")), "a path has at most 32 segments, this one 33");
    }

    #[test]
    fn patterns_are_the_same_whatever_their_names() {
        assert!(pattern("/a/:x").is_same(&pattern("/a/:y")) && pattern("/a/:x") != pattern("/a/:y"));
        assert!(pattern("/%61").is_same(&pattern("/a")));
        assert!(pattern("/").is_same(&pattern("/*")));
        for (a, b) in [("/a", "/a/*"), ("/:x", "/*"), ("/:x", "/"), ("/a", "/A"), ("/a/:x/*", "/a/*")] {
            assert!(!pattern(a).is_same(&pattern(b)), "{a} {b}");
        }
    }

    #[test]
    fn names_stand_for_what_they_match() {
        let values = |text: &str, path: &str| {
            let values = pattern(text).values(path);
            values.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(values("/users/:id/:tab", "/users/7%2F8/%C3%A9/more"), "id=7/8 tab=é");
        assert_eq!(values("/files/*", "/files/a/b%2Fc"), "*=a/b%2Fc");
        assert_eq!(values("/files/*", "/files/"), "*=");
        assert_eq!(values("/:a/*", "/x//y/"), "a=x *=/y/");
        assert_eq!(values("/*", "/"), "*=");
        assert_eq!(values("/api", "/api/x"), "");
    }

    proptest! {
        #[test]
        fn any_text_is_a_pattern_or_an_error(text in "(/|:|\\*|%|\\.|[a-z0-9]|\\PC){0,12}") {
            match text.parse::<PathPattern>() {
                Ok(pattern) => {
                    prop_assert_eq!(pattern.to_string().parse::<PathPattern>(), Ok(pattern.clone()));
                    prop_assert!(pattern.is_same(&pattern));
                }
                Err(error) => prop_assert!(!error.to_string().contains('\n')),
            }
        }

        #[test]
        fn what_is_displayed_parses_back(text in "(/([a-z.~]{1,3}[a-z]|%2F|é)){1,5}(/:n)?(/\\*)?") {
            let pattern = pattern(&text);
            prop_assert_eq!(pattern.to_string().parse(), Ok(pattern));
        }
    }
}
