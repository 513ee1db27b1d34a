//! The kinds of values: what each one takes, how it is said in an error, how it is read.

use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use super::values::Value;
use crate::suggest::nearest;
use crate::units::{format_byte_size, format_duration, parse_byte_size, parse_duration};
use crate::{AppName, Hosts, IpNet};

/// What a key's value may be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// An app's name.
    AppName,
    /// A version of Semantic Versioning 2.0.
    Version,
    /// The path of a file that an engine runs, inside the app's folder.
    MainFile,
    /// The path of a folder inside the app's folder, and not that folder itself.
    Folder,
    /// Any text.
    Text,
    /// `true` or `false`.
    Flag,
    /// A whole number from `min` to `max`.
    Integer { min: i64, max: i64 },
    /// A size in bytes.
    Size { min: u64, max: u64 },
    /// A time in milliseconds.
    Time { min: u64, max: u64 },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An IP, `unix:PATH` or `systemd`.
    ListenAddress,
    /// `IP:PORT` or `unix:PATH`.
    AdminAddress,
    /// An array of IPs and ranges of IPs.
    Networks,
    /// `auto`, or a number of processes.
    Hosts,
}

/// Why a value does not fit, where that is narrower than the whole value, and what to do.
pub(crate) struct Misfit {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    pub(crate) span: Option<Range<usize>>,
}

/// The endings of files that an engine runs.
pub(crate) const MAIN_ENDINGS: [&str; 2] = [".js", ".mjs"];

/// App names as a regular expression (ECMA-262).
pub(crate) const APP_NAME_PATTERN: &str = "^[a-z0-9][a-z0-9_.-]{0,62}$";

impl Kind {
    /// What a value of this kind is, to follow "must be".
    pub(crate) fn expected(&self) -> String {
        match self {
            Kind::AppName => {
                "a name: 1 to 63 of `a-z 0-9 - _ .`, the first a letter or digit, in quotes".to_owned()
            }
            Kind::Version => "a version like \"1.2.3\"".to_owned(),
            Kind::MainFile => {
                "the path of a `.js` or `.mjs` file inside the app's folder, in quotes".to_owned()
            }
            Kind::Folder => "the path of a folder inside the app's folder, in quotes".to_owned(),
            Kind::Text => "text in quotes".to_owned(),
            Kind::Flag => "`true` or `false`".to_owned(),
            Kind::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Size { min, max } => format!(
                "a size from {} to {}, like \"64 {}\", or a number of bytes",
                format_byte_size(*min),
                format_byte_size(*max),
                if *min < 1 << 20 { "KB" } else { "MB" },
            ),
            Kind::Time { min, max } => format!(
                "a time from {} to {}, like \"30 s\", or a number of seconds",
                format_duration(Duration::from_millis(*min)),
                format_duration(Duration::from_millis(*max))
            ),
            Kind::Choice(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                match words.split_last() {
                    Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
                    _ => words.concat(),
                }
            }
            Kind::ListenAddress => "an IP address, \"unix:PATH\" or \"systemd\"".to_owned(),
            Kind::AdminAddress => "\"IP:PORT\" or \"unix:PATH\"".to_owned(),
            Kind::Networks => {
                "an array of IP addresses and ranges, like [\"10.0.0.0/8\", \"::1\"]".to_owned()
            }
            Kind::Hosts => format!("\"auto\" or a whole number from 1 to {}", Hosts::MOST),
        }
    }

    /// The value as this kind of value, for a key called `name`.
    pub(crate) fn read(&self, name: &str, value: &Spanned<DeValue<'_>>) -> Result<Value, Misfit> {
        let read = match (self, value.get_ref()) {
            (Kind::Flag, DeValue::Boolean(flag)) => return Ok(Value::Flag(*flag)),
            (Kind::Integer { min, max }, DeValue::Integer(number)) => {
                return match to_i64(number) {
                    Some(number) if (*min..=*max).contains(&number) => Ok(Value::Integer(number)),
                    _ => Err(self.misfit(name, value)),
                };
            }
            (Kind::Hosts, DeValue::Integer(number)) => {
                let hosts = to_i64(number).and_then(Hosts::number).map(Value::Hosts);
                return hosts.ok_or_else(|| self.misfit(name, value));
            }
            (Kind::Size { .. }, DeValue::Integer(bytes)) => {
                let bytes = to_i64(bytes).and_then(|bytes| u64::try_from(bytes).ok());
                return self.size(bytes).ok_or_else(|| self.misfit(name, value));
            }
            (Kind::Time { .. }, DeValue::Integer(seconds)) => {
                let seconds = to_i64(seconds).and_then(|seconds| u64::try_from(seconds).ok());
                let millis = seconds.and_then(|seconds| seconds.checked_mul(1000));
                return self.time(millis.map(Duration::from_millis)).ok_or_else(|| self.misfit(name, value));
            }
            (Kind::Networks, DeValue::Array(networks)) => {
                return networks
                    .iter()
                    .map(|network| self.network(name, network))
                    .collect::<Result<_, _>>()
                    .map(Value::Networks);
            }
            (_, DeValue::String(text)) => self.read_text(text),
            _ => Err(None),
        };
        read.map_err(|reason| match reason {
            Some(reason) => self.misfit_because(name, value, &reason),
            None => self.misfit(name, value),
        })
    }

    /// A value that stands in quotes; an error says the reason where there is more to say than that
    /// the value is of no such kind.
    fn read_text(&self, text: &str) -> Result<Value, Option<String>> {
        match self {
            Kind::Text if text.contains('\0') => Err(Some("a variable holds no NUL".to_owned())),
            Kind::Text => Ok(Value::Text(text.to_owned())),
            Kind::AppName => AppName::parse(text).map(Value::Name).ok_or(None),
            Kind::Version if is_version(text) => Ok(Value::Text(text.to_owned())),
            Kind::Choice(words) => {
                let word = words.iter().find(|word| **word == text).ok_or(None)?;
                Ok(Value::Text((*word).to_owned()))
            }
            Kind::MainFile => main_file(text).map(Value::Text).map_err(Some),
            Kind::Folder => folder(text).map(Value::Text).map_err(|reason| Some(reason.to_owned())),
            Kind::Size { .. } => {
                let bytes = parse_byte_size(text).map_err(|error| Some(error.to_string()))?;
                self.size(Some(bytes)).ok_or(None)
            }
            Kind::Time { .. } => {
                let time = parse_duration(text).map_err(|error| Some(error.to_string()))?;
                self.time(Some(time)).ok_or(None)
            }
            Kind::ListenAddress => parsed(text).map(Value::Listen),
            Kind::AdminAddress => parsed(text).map(Value::Admin),
            Kind::Hosts if text == "auto" => Ok(Value::Hosts(Hosts::Auto)),
            Kind::Hosts | Kind::Version | Kind::Flag | Kind::Integer { .. } | Kind::Networks => Err(None),
        }
    }

    fn size(&self, bytes: Option<u64>) -> Option<Value> {
        let Kind::Size { min, max } = self else { return None };
        bytes.filter(|bytes| (*min..=*max).contains(bytes)).map(Value::Size)
    }

    fn time(&self, time: Option<Duration>) -> Option<Value> {
        let Kind::Time { min, max } = self else { return None };
        let range = Duration::from_millis(*min)..=Duration::from_millis(*max);
        time.filter(|time| range.contains(time)).map(Value::Time)
    }

    fn network(&self, name: &str, value: &Spanned<DeValue<'_>>) -> Result<IpNet, Misfit> {
        let misfit = match value.get_ref() {
            DeValue::String(text) => match text.parse() {
                Ok(network) => return Ok(network),
                Err(error) => self.misfit_because(name, value, &error.to_string()),
            },
            _ => self.misfit(name, value),
        };
        Err(Misfit { span: Some(value.span()), ..misfit })
    }

    fn misfit(&self, name: &str, value: &Spanned<DeValue<'_>>) -> Misfit {
        Misfit {
            message: format!("`{name}` must be {}, not {}", self.expected(), found(value.get_ref())),
            help: self.help(name, value.get_ref()),
            span: None,
        }
    }

    fn misfit_because(&self, name: &str, value: &Spanned<DeValue<'_>>, reason: &str) -> Misfit {
        let misfit = self.misfit(name, value);
        Misfit { help: misfit.help.or_else(|| Some(reason.to_owned())), ..misfit }
    }

    /// What the author may have meant.
    fn help(&self, name: &str, value: &DeValue<'_>) -> Option<String> {
        match (self, value) {
            (Kind::Integer { .. } | Kind::Flag | Kind::Hosts, DeValue::String(text)) => {
                let fits = DeValue::parse(text).is_ok_and(|value| self.read(name, &value).is_ok());
                fits.then(|| format!("without quotes: `{name} = {text}`"))
            }
            (Kind::Time { .. }, DeValue::Float(seconds)) => {
                let millis = seconds.as_str().parse::<f64>().ok()? * 1000.0;
                (1.0..=1e9).contains(&millis).then(|| format!("write `{name} = \"{millis:.0} ms\"`"))
            }
            (Kind::AppName, DeValue::String(text)) => {
                let near = AppName::from_folder(text)?;
                Some(format!("`{name} = \"{near}\"` would do"))
            }
            (Kind::Choice(words), DeValue::String(text)) => {
                nearest(text, words.iter().copied()).map(|word| format!("did you mean \"{word}\"?"))
            }
            (Kind::Networks, DeValue::String(text)) => {
                text.parse::<IpNet>().ok().map(|_| format!("in brackets: `{name} = [\"{text}\"]`"))
            }
            (Kind::Version, DeValue::String(text)) => nearest_version(text),
            (Kind::Text | Kind::Version, DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)) => {
                let text = plain_text(value)?;
                matches!(self, Kind::Text)
                    .then(|| format!("put it in quotes: `{name} = \"{text}\"`"))
                    .or_else(|| nearest_version(&text))
            }
            _ => None,
        }
    }
}

fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, Option<String>> {
    text.parse().map_err(|error: T::Err| Some(error.to_string()))
}

fn to_i64(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// The value as it would stand between quotes.
fn plain_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The value as an error tells it, to follow "not".
pub(crate) fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{}\"", shortened(text)),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) => {
            shortened(&plain_text(value).unwrap_or_default())
        }
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// Somebody else's text in an error: on one line, and not too long.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    let mut short: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short.replace("\\\"", "\"").replace("\\'", "'")
}

/// A path from the app's folder in its normal form, without a leading `./`.
fn relative_path(text: &str) -> Result<String, &'static str> {
    let path = text.strip_prefix("./").unwrap_or(text);
    let drive = |b: &[u8]| b.len() >= 2 && b[0].is_ascii_alphabetic() && b[1] == b':';
    if path.starts_with('/') || drive(path.as_bytes()) {
        Err("the path is relative to the app's folder; an absolute one leaves it")
    } else if path.contains('\\') {
        Err("folders are separated by `/`")
    } else if path.contains('\0') {
        Err("a path holds no NUL")
    } else if path.split('/').any(|part| part == "..") {
        Err("a path with `..` could leave the app's folder; move what it names into the folder")
    } else if path.split('/').any(|part| part.is_empty() || part == ".") {
        Err("the path has an empty or `.` part")
    } else {
        Ok(path.to_owned())
    }
}

fn main_file(text: &str) -> Result<String, String> {
    let path = relative_path(text)?;
    let name = path.rsplit('/').next().unwrap_or_default();
    // A name that is nothing but its ending is a hidden file without one.
    let ending = name.rfind('.').filter(|dot| *dot > 0).map(|dot| &name[dot..]);
    match ending {
        Some(ending) if MAIN_ENDINGS.contains(&ending) => Ok(path),
        Some(ending) => Err(format!("`{}` files cannot be run; `.js` and `.mjs` can", shortened(ending))),
        None => Err("the file's name ends in `.js` or `.mjs`".to_owned()),
    }
}

fn folder(text: &str) -> Result<String, &'static str> {
    let path = text.trim_end_matches('/');
    if matches!(path, "." | "") && !text.starts_with('/') {
        return Err("the app's whole folder holds its code too; name a folder in it, like `public`");
    }
    relative_path(if path.is_empty() { text } else { path })
}

/// Whether the text is a version of Semantic Versioning 2.0.
fn is_version(text: &str) -> bool {
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let number = |s: &str| digits(s) && (s == "0" || !s.starts_with('0'));
    let word = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    core.split('.').count() == 3
        && core.split('.').all(number)
        && pre.is_none_or(|pre| pre.split('.').all(|s| word(s) && (!digits(s) || number(s))))
        && build.is_none_or(|build| build.split('.').all(word))
}

/// `1` and `v1.2` with what is missing or too much.
fn nearest_version(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches(['v', 'V']);
    [text.to_owned(), format!("{text}.0"), format!("{text}.0.0")]
        .into_iter()
        .find(|version| version.len() < 40 && is_version(version))
        .map(|version| format!("write `version = \"{version}\"`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::string::string_regex;

    fn read(kind: Kind, toml: &str) -> Result<Value, Misfit> {
        kind.read("key", &DeValue::parse(toml).unwrap())
    }

    fn help(kind: Kind, toml: &str) -> String {
        read(kind, toml).err().unwrap().help.unwrap_or_default()
    }

    #[test]
    fn a_size_is_bytes_or_text_within_its_range() {
        let kind = Kind::Size { min: 1024, max: 4096 };
        for fine in ["1024", "4096", "\"1 KB\"", "\"4 KiB\"", "0x400", "2_000"] {
            assert!(read(kind, fine).is_ok(), "{fine}");
        }
        for bad in ["1023", "4097", "-1", "\"5 KB\"", "\"big\"", "1.5", "true", "99999999999999999999"] {
            assert!(read(kind, bad).is_err(), "{bad}");
        }
        assert_eq!(
            read(kind, "\"5 KB\"").err().unwrap().message,
            "`key` must be a size from 1 KB to 4 KB, like \"64 KB\", or a number of bytes, not \"5 KB\"",
        );
        assert!(help(kind, "\"2 kilo\"").contains("B, KB, MB, GB or TB"));
    }

    #[test]
    fn a_time_is_seconds_or_text_within_its_range() {
        let kind = Kind::Time { min: 1, max: 3_600_000 };
        assert_eq!(read(kind, "30").ok(), Some(Value::Time(Duration::from_secs(30))));
        assert_eq!(read(kind, "\"1 ms\"").ok(), Some(Value::Time(Duration::from_millis(1))));
        for bad in ["0", "\"0 s\"", "3601", "\"2 h\"", "-1", "9223372036854775807", "\"soon\""] {
            assert!(read(kind, bad).is_err(), "{bad}");
        }
        assert_eq!(help(kind, "0.5"), "write `key = \"500 ms\"`");
    }

    #[test]
    fn a_number_in_quotes_is_told_to_drop_them() {
        let port = Kind::Integer { min: 1, max: 65535 };
        assert_eq!(help(port, "\"8080\""), "without quotes: `key = 8080`");
        assert_eq!(help(port, "\"0\""), "");
        assert_eq!(help(Kind::Flag, "\"true\""), "without quotes: `key = true`");
        assert!(read(port, "65536").is_err() && read(port, "0").is_err() && read(port, "80.0").is_err());
    }

    #[test]
    fn a_number_among_variables_is_told_to_take_quotes() {
        assert_eq!(help(Kind::Text, "8080"), "put it in quotes: `key = \"8080\"`");
        assert_eq!(help(Kind::Text, "0x1F"), "put it in quotes: `key = \"0x1F\"`");
        assert_eq!(help(Kind::Text, "true"), "put it in quotes: `key = \"true\"`");
        assert!(help(Kind::Text, "\"\\u0000\"").contains("NUL"));
    }

    #[test]
    fn a_main_file_lies_inside_the_folder_and_can_be_run() {
        assert_eq!(main_file("src/index.mjs"), Ok("src/index.mjs".into()));
        assert_eq!(main_file("./index.js"), Ok("index.js".into()));
        for bad in
            ["/a.js", "C:/a.js", "../a.js", "a/../b.js", "a//b.js", "a/./b.js", "a\\b.js", "a.js\0", ""]
        {
            assert!(main_file(bad).is_err(), "{bad}");
        }
        assert_eq!(main_file("a.ts"), Err("`.ts` files cannot be run; `.js` and `.mjs` can".into()));
        assert_eq!(main_file("a.wasm"), Err("`.wasm` files cannot be run; `.js` and `.mjs` can".into()));
        assert_eq!(main_file(".js"), Err("the file's name ends in `.js` or `.mjs`".into()));
        assert_eq!(main_file("lib.js/main"), Err("the file's name ends in `.js` or `.mjs`".into()));
    }

    #[test]
    fn an_assets_folder_is_a_folder_inside_the_apps() {
        assert_eq!(folder("public"), Ok("public".into()));
        assert_eq!(folder("./web/public/"), Ok("web/public".into()));
        for bad in ["", ".", "./", "/", "/srv", "..", "a/..", "../a", "a\\b"] {
            assert!(folder(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_version_follows_semantic_versioning() {
        for fine in ["0.0.0", "1.2.3", "1.0.0-alpha.1", "1.0.0-x-y", "1.0.0+20.a", "1.0.0-rc.1+b-5.001"] {
            assert!(is_version(fine), "{fine}");
        }
        for bad in
            ["", "1", "1.2", "1.2.3.4", "v1.2.3", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "1.2.-3", "a.b.c"]
        {
            assert!(!is_version(bad), "{bad}");
        }
        assert_eq!(help(Kind::Version, "\"v1.2\""), "write `version = \"1.2.0\"`");
        assert_eq!(help(Kind::Version, "1"), "write `version = \"1.0.0\"`");
        assert_eq!(help(Kind::Version, "\"new\""), "");
    }

    #[test]
    fn the_element_of_an_array_that_does_not_fit_is_named() {
        let misfit = read(Kind::Networks, "[\"::1\", \"10.0.0.1/8\"]").err().unwrap();
        assert_eq!(misfit.span, Some(8..20));
        assert!(misfit.help.unwrap().contains("`10.0.0.0/8`"));
        assert_eq!(help(Kind::Networks, "\"::1\""), "in brackets: `key = [\"::1\"]`");
        assert!(read(Kind::Networks, "[1]").is_err());
        assert_eq!(read(Kind::Networks, "[]").ok(), Some(Value::Networks(vec![])));
    }

    #[test]
    fn a_word_that_is_none_of_the_choices_suggests_the_nearest() {
        let kind = Kind::Choice(&["pretty", "json"]);
        assert_eq!(help(kind, "\"JSON\""), "did you mean \"json\"?");
        assert_eq!(
            read(kind, "\"xml\"").err().unwrap().message,
            "`key` must be \"pretty\" or \"json\", not \"xml\""
        );
    }

    #[test]
    fn a_name_that_is_none_shows_one_that_would_do() {
        assert_eq!(help(Kind::AppName, "\"My App\""), "`key = \"my-app\"` would do");
    }

    #[test]
    fn a_long_value_is_shortened_in_the_error() {
        assert_eq!(found(&DeValue::String("a\n\"".into())), "\"a\\n\"\"");
        assert_eq!(shortened(&"a".repeat(100)).chars().count(), 41);
    }

    proptest! {
        #[test]
        fn names_are_what_the_schemas_pattern_matches(
            name in string_regex(APP_NAME_PATTERN.trim_matches(['^', '$'])).unwrap(), any in "\\PC{0,70}",
        ) {
            prop_assert!(AppName::parse(&name).is_some());
            let _ = (main_file(&any), folder(&any), is_version(&any), nearest_version(&any), shortened(&any));
        }

        #[test]
        fn an_accepted_path_stays_inside(path in "(\\.|/|a|\\\\|:|\\.\\.|js|C){0,8}") {
            for accepted in [main_file(&path).ok(), folder(&path).ok()].into_iter().flatten() {
                prop_assert!(!accepted.starts_with('/') && !accepted.contains('\\'));
                prop_assert!(accepted.split('/').all(|part| !matches!(part, "" | "." | "..")));
            }
        }
    }
}
