//! `nexus logs`.

use std::io::BufRead;

use clap::Args;
use nexus_core::AppName;
use serde_json::Value;

use super::control::{Style, Target, app_name, plain};
use crate::failure::{Failure, print};

/// Show the last lines of an app's log, and those that come.
///
/// A host keeps the last 64 KB of each app's lines, of the levels that it writes. Ctrl-C ends it.
///
///   nexus logs shop                   the last 100 lines
///   nexus logs shop -f                and those that come
///   nexus logs shop -n 1000 --json    as the host's own log has them
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Logs {
    /// The app
    #[arg(value_name = "APP", value_parser = app_name)]
    app: AppName,

    /// Go on with the lines that come
    #[arg(short, long)]
    follow: bool,

    /// How many of the last lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    lines: u32,

    /// Print each line as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

impl Logs {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let host = self.target.open()?;
        let path = format!("/v1/apps/{}/logs?tail={}&follow={}", self.app, self.lines, self.follow);
        let style = Style::of_output();
        for line in host.lines(&path)?.lines() {
            let line =
                line.map_err(|error| Failure::host(format!("the host's answer broke off: {error}")))?;
            // An empty one is a sign of life.
            if line.is_empty() {
                continue;
            }
            print(&match self.json {
                true => format!("{line}\n"),
                false => for_people(&line, style),
            })?;
        }
        Ok(())
    }
}

fn for_people(line: &str, style: Style) -> String {
    let Style { dim, red, yellow, plain: end, .. } = style;
    let Ok(record) = serde_json::from_str::<Value>(line) else { return format!("{}\n", plain(line)) };
    if let Some(missed) = record["missed"].as_u64() {
        return format!("{yellow}… {missed} lines were lost{end}\n");
    }
    let text = |name: &str| plain(record[name].as_str().unwrap_or_default());
    let (time, level) = (text("time"), text("level"));
    // The day is the reader's.
    let time = time.get(11..23).unwrap_or(&time);
    let color = match level.as_str() {
        "error" => red,
        "warn" => yellow,
        _ => dim,
    };
    let mut out = format!("{dim}{time}{end} {color}{level:5}{end} ");
    if record["kind"] == "access" {
        let status = record["status"].as_u64().map_or_else(|| "-".into(), |status| status.to_string());
        let took = record["duration_ms"].as_f64().unwrap_or_default();
        out.push_str(&format!("{} {} {status} {took:.1} ms\n", text("method"), text("path")));
    } else {
        let host = if record["kind"] == "host" { format!("{dim}(host){end} ") } else { String::new() };
        let message = text("message");
        let mut lines = message.lines();
        out.push_str(&format!("{host}{}\n", lines.next().unwrap_or_default()));
        further_lines(lines, &mut out);
    }
    further_lines(text("stack").lines(), &mut out);
    out
}

/// Indented, so that none looks like a record's first.
fn further_lines<'a>(lines: impl Iterator<Item = &'a str>, out: &mut String) {
    for line in lines {
        out.push_str(&format!("    {line}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_for_people_and_for_no_terminal() {
        let none = Style { bold: "", dim: "", red: "", green: "", yellow: "", plain: "" };
        let show = |line: &str| for_people(line, none);
        let line = r#"{"time":"2024-02-29T01:02:03.007Z","level":"warn","kind":"app","message":"a\u001b[0m","stack":"b\nc"}"#;
        assert_eq!(show(line), "01:02:03.007 warn  a\\u{1b}[0m\n    b\n    c\n");
        let line = r#"{"time":"2024-02-29T01:02:03.007Z","level":"info","kind":"access","method":"GET","path":"/a","status":200,"duration_ms":1.25}"#;
        assert_eq!(show(line), "01:02:03.007 info  GET /a 200 1.2 ms\n");
        let line = r#"{"time":"2024-02-29T01:02:03.007Z","level":"info","kind":"app","message":"a\n01:02:03.007 error (host) b\n\nc"}"#;
        assert_eq!(
            show(line),
            "01:02:03.007 info  a\n    01:02:03.007 error (host) b\n    \n    c\n",
            "no line of an app looks like the host's"
        );
        let line = r#"{"time":"2024-02-29T01:02:03.007Z","level":"info","kind":"app","message":""}"#;
        assert_eq!(show(line), "01:02:03.007 info  \n");
        assert_eq!(show(r#"{"missed":7}"#), "… 7 lines were lost\n");
        assert_eq!(show("?"), "?\n");
    }
}
