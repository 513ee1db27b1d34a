//! The kinds of values: what each one takes, how it is said in an error, how it is read.

use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use super::values::Value;
use crate::outbound::HostPath;
use crate::suggest::nearest;
use crate::units::{format_byte_size, format_duration, parse_byte_size, parse_duration};
use crate::{App, AppName, Hosts};

/// What a key's value may be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// An app's name.
    AppName,
    /// A version of Semantic Versioning 2.0.
    Version,
    /// The path of a file that an engine runs, inside the app's folder.
    MainFile,
    /// The path of a JavaScript module inside the app's folder.
    Module,
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
    /// A time in milliseconds, or `never`.
    TimeOrNever { min: u64, max: u64 },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// An IP, `unix:PATH` or `systemd`.
    ListenAddress,
    /// `IP:PORT` or `unix:PATH`.
    AdminAddress,
    /// An array of IPs and ranges of IPs.
    Networks,
    /// An array of hosts to connect to.
    NetGrants,
    /// An array of name servers' addresses.
    NameServers,
    /// An array of paths of folders, wherever they are.
    Folders,
    /// An array of paths of the host's files, wherever they are.
    Paths,
    /// The path of a file or folder of the host's, wherever it is.
    Path,
    /// An array of kinds of permissions.
    Permissions,
    /// `auto`, or a number of processes.
    Hosts,
    /// An array of patterns of hosts.
    HostPatterns,
    /// An array of patterns of paths.
    PathPatterns,
    /// A pattern of paths.
    PathPattern,
    /// The name of a namespace or a database, with the app's whose it is if that is another one.
    Resource,
    /// A name as of a provider.
    Part,
    /// An array of patterns of times.
    CronPatterns,
    /// An array of names of variables.
    VariableNames,
    /// Where a secret comes from.
    Secret,
}

/// Why a value does not fit, where that is narrower than the whole value, and what to do.
pub(crate) struct Misfit {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    pub(crate) span: Option<Range<usize>>,
}

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
                let endings = listed(&App::MAIN_ENDINGS, '`', "or");
                format!("the path of a {endings} file inside the app's folder, in quotes")
            }
            Kind::Module => {
                let endings = listed(&App::MODULE_ENDINGS, '`', "or");
                format!("the path of a {endings} module inside the app's folder, in quotes")
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
            Kind::TimeOrNever { min, max } => {
                format!("{}, or \"never\"", Kind::Time { min: *min, max: *max }.expected())
            }
            Kind::Choice(words) => listed(words, '"', "or"),
            Kind::ListenAddress => "an IP address, \"unix:PATH\" or \"systemd\"".to_owned(),
            Kind::AdminAddress => "\"IP:PORT\" or \"unix:PATH\"".to_owned(),
            Kind::Path => "a path, in quotes".to_owned(),
            Kind::Networks | Kind::NameServers | Kind::Folders | Kind::Paths | Kind::Permissions => {
                let (what, example) = self.elements();
                format!("an array of {what}, like {example}")
            }
            Kind::NetGrants
            | Kind::HostPatterns
            | Kind::PathPatterns
            | Kind::CronPatterns
            | Kind::VariableNames => {
                let (what, example) = self.elements();
                format!("an array of up to {} {what}, like {example}", self.most())
            }
            Kind::Resource => "a name like \"cache\", or \"APP/cache\" for another app's".to_owned(),
            Kind::Part => "a name of `a-z 0-9 - _ .`, the first a letter or digit, in quotes".to_owned(),
            Kind::Secret => "`file:NAME` or `env:NAME`, in quotes".to_owned(),
            Kind::PathPattern => "a path that starts with `/`, like \"/users/:id\"".to_owned(),
            Kind::Hosts => format!("\"auto\" or a whole number from 1 to {}", Hosts::MOST),
        }
    }

    /// What the elements of an array are, and an example of it.
    fn elements(&self) -> (&'static str, &'static str) {
        match self {
            Kind::Networks => ("IP addresses and ranges", r#"["10.0.0.0/8", "::1"]"#),
            Kind::NetGrants => ("hosts", r#"["api.example.com:443", "*.example.org", "10.1.0.0/16:5432"]"#),
            Kind::NameServers => ("IP addresses with or without a port", r#"["9.9.9.9", "[::1]:5353"]"#),
            Kind::Folders => ("paths of folders", r#"["data", "/srv/shared"]"#),
            Kind::Paths => ("paths of files", r#"["/etc/nexus/ca.pem"]"#),
            Kind::Permissions => (
                "permissions, \"read\", \"write\", \"net\", \"env\", \"kv\" or \"sql\"",
                r#"["read", "net"]"#,
            ),
            Kind::HostPatterns => ("host names", r#"["shop.example", "*.shop.example"]"#),
            Kind::PathPatterns => ("paths that start with `/`", r#"["/api", "/users/:id"]"#),
            Kind::CronPatterns => ("cron patterns", r#"["*/5 * * * *", "30 3 * * MON"]"#),
            Kind::VariableNames => ("names of variables", r#"["REGION"]"#),
            _ => ("values", "[]"),
        }
    }

    /// The most elements of an array. The host holds each of an app's hosts with each of its paths, so
    /// neither may be many; each connection that an app makes is compared with all that it may connect to.
    pub(super) fn most(&self) -> usize {
        match self {
            Kind::NetGrants | Kind::HostPatterns => 1000,
            Kind::PathPatterns | Kind::VariableNames => 100,
            Kind::CronPatterns => 32,
            _ => usize::MAX,
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
            (Kind::Time { .. } | Kind::TimeOrNever { .. }, DeValue::Integer(seconds)) => {
                let seconds = to_i64(seconds).and_then(|seconds| u64::try_from(seconds).ok());
                let millis = seconds.and_then(|seconds| seconds.checked_mul(1000));
                return self.time(millis.map(Duration::from_millis)).ok_or_else(|| self.misfit(name, value));
            }
            (_, DeValue::Array(items)) => {
                return self.read_array(name, items).unwrap_or_else(|| Err(self.misfit(name, value)));
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
            Kind::Path => {
                parsed::<HostPath>(text)?;
                Ok(Value::Text(text.to_owned()))
            }
            Kind::AppName => AppName::parse(text).map(Value::Name).ok_or(None),
            Kind::Version if is_version(text) => Ok(Value::Text(text.to_owned())),
            Kind::Choice(words) => {
                let word = words.iter().find(|word| **word == text).ok_or(None)?;
                Ok(Value::Text((*word).to_owned()))
            }
            Kind::MainFile => main_file(text).map(Value::Text).map_err(Some),
            Kind::Module => module(text).map(Value::Text).map_err(Some),
            Kind::Folder => folder(text).map(Value::Text).map_err(|reason| Some(reason.to_owned())),
            Kind::Size { .. } => {
                let bytes = parse_byte_size(text).map_err(|error| Some(error.to_string()))?;
                self.size(Some(bytes)).ok_or(None)
            }
            Kind::TimeOrNever { .. } if text == "never" => Ok(Value::Idle(None)),
            Kind::Time { .. } | Kind::TimeOrNever { .. } => {
                let time = parse_duration(text).map_err(|error| Some(error.to_string()))?;
                self.time(Some(time)).ok_or(None)
            }
            Kind::ListenAddress => parsed(text).map(Value::Listen),
            Kind::AdminAddress => parsed(text).map(Value::Admin),
            Kind::PathPattern => parsed(text).map(Value::Path),
            Kind::Resource => parsed(text).map(Value::Resource),
            Kind::Part => parsed(text).map(Value::Part),
            Kind::Secret => parsed(text).map(Value::Secret),
            Kind::Hosts if text == "auto" => Ok(Value::Hosts(Hosts::Auto)),
            Kind::Hosts | Kind::Version | Kind::Flag | Kind::Integer { .. } => Err(None),
            Kind::Networks | Kind::NetGrants | Kind::NameServers | Kind::Folders | Kind::Paths => Err(None),
            Kind::Permissions | Kind::HostPatterns | Kind::PathPatterns => Err(None),
            Kind::CronPatterns | Kind::VariableNames => Err(None),
        }
    }

    /// A value that is an array, if one is of this kind.
    fn read_array(&self, name: &str, items: &[Spanned<DeValue<'_>>]) -> Option<Result<Value, Misfit>> {
        Some(match self {
            Kind::Networks => self.array(name, items).map(Value::Networks),
            Kind::NetGrants => self.array(name, items).map(Value::NetGrants),
            Kind::NameServers => self.array(name, items).map(Value::NameServers),
            Kind::Folders => self.array(name, items).map(Value::Folders),
            Kind::Paths => self.array(name, items).map(Value::Paths),
            Kind::Permissions => self.array(name, items).map(Value::Permissions),
            Kind::HostPatterns => self.array(name, items).map(Value::HostPatterns),
            Kind::PathPatterns => self.array(name, items).map(Value::PathPatterns),
            Kind::CronPatterns => self.array(name, items).map(Value::CronPatterns),
            Kind::VariableNames => self.array(name, items).map(Value::VariableNames),
            _ => return None,
        })
    }

    fn size(&self, bytes: Option<u64>) -> Option<Value> {
        let Kind::Size { min, max } = self else { return None };
        bytes.filter(|bytes| (*min..=*max).contains(bytes)).map(Value::Size)
    }

    fn time(&self, time: Option<Duration>) -> Option<Value> {
        let (Kind::Time { min, max } | Kind::TimeOrNever { min, max }) = self else { return None };
        let range = Duration::from_millis(*min)..=Duration::from_millis(*max);
        let time = time.filter(|time| range.contains(time))?;
        Some(if matches!(self, Kind::Time { .. }) { Value::Time(time) } else { Value::Idle(Some(time)) })
    }

    /// The elements of an array, each of which stands in quotes.
    fn array<T>(&self, name: &str, items: &[Spanned<DeValue<'_>>]) -> Result<Vec<T>, Misfit>
    where
        T: FromStr<Err: Display>,
    {
        let element = |item: &Spanned<DeValue<'_>>| {
            let help = match item.get_ref() {
                DeValue::String(text) => match text.parse() {
                    Ok(read) => return Ok(read),
                    Err(error) => Some(T::Err::to_string(&error)),
                },
                _ => None,
            };
            let message = format!("`{name}` must hold {}, not {}", self.elements().0, found(item.get_ref()));
            Err(Misfit { message, help, span: Some(item.span()) })
        };
        let read = items.iter().map(element).collect::<Result<Vec<T>, _>>()?;
        if read.len() > self.most() {
            let (what, most, len) = (self.elements().0, self.most(), read.len());
            let message = format!("`{name}` must hold at most {most} {what}, not {len}");
            return Err(Misfit { message, help: None, span: None });
        }
        Ok(read)
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
            (Kind::Time { .. } | Kind::TimeOrNever { .. }, DeValue::Float(seconds)) => {
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
            (Kind::Choice(words), DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)) => {
                let text = plain_text(value)?;
                words.contains(&text.as_str()).then(|| format!("put it in quotes: `{name} = \"{text}\"`"))
            }
            (Kind::Version, DeValue::String(text)) => nearest_version(text),
            (Kind::Text | Kind::Version, DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)) => {
                let text = plain_text(value)?;
                matches!(self, Kind::Text)
                    .then(|| format!("put it in quotes: `{name} = \"{text}\"`"))
                    .or_else(|| nearest_version(&text))
            }
            (_, DeValue::String(text)) if self.read_array(name, &[]).is_some() => {
                let array = format!("[{text:?}]");
                let fits =
                    |array: &str| DeValue::parse(array).is_ok_and(|array| self.read(name, &array).is_ok());
                (text.len() < 100 && fits(&array)).then(|| format!("in brackets: `{name} = {array}`"))
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

/// `a`, `b` or `c`, each between quotes of that kind.
pub(super) fn listed(words: &[&str], quote: char, before_last: &str) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("{quote}{word}{quote}")).collect();
    match words.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} {before_last} {last}", others.join(", ")),
        _ => words.concat(),
    }
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

pub(crate) fn main_file(text: &str) -> Result<String, String> {
    file_ending_in(&App::MAIN_ENDINGS, text, ("cannot be run", "can"))
}

fn module(text: &str) -> Result<String, String> {
    file_ending_in(&App::MODULE_ENDINGS, text, ("are no JavaScript modules", "are"))
}

/// The path of a file whose name has one of these endings; `cannot` and `can` are what an error says of
/// others and of these.
fn file_ending_in(endings: &[&str], text: &str, (cannot, can): (&str, &str)) -> Result<String, String> {
    let path = relative_path(text)?;
    let name = path.rsplit('/').next().unwrap_or_default();
    // A name that is nothing but its ending is a hidden file without one.
    let ending = name.rfind('.').filter(|dot| *dot > 0).map(|dot| &name[dot..]);
    match ending {
        Some(ending) if endings.contains(&ending) => Ok(path),
        Some(ending) => {
            Err(format!("`{}` files {cannot}; {} {can}", shortened(ending), listed(endings, '`', "and")))
        }
        None => Err(format!("the file's name ends in {}", listed(endings, '`', "or"))),
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
mod tests;
