//! `nexus cron`.

use clap::{Args, Subcommand};
use nexus_core::{AppName, CronPattern, format_time, parse_time};
use serde_json::Value;

use super::control::{Asked, Style, app_name, columns, plain};
use crate::failure::Failure;

/// List when apps are to do something by themselves, or have one do it now.
///
/// An app's manifest names the times, in UTC: `cron = ["30 3 * * *"]` under `[triggers]` is half past
/// three each night. The app handles them beside its requests:
///
///   export default {
///     async scheduled(controller, env, ctx) { … },
///   };
///
/// While a run goes on, the next one of the same pattern is skipped. A run that fails is in the
/// app's log.
///
///   nexus cron                            every app's times, the next and the last run
///   nexus cron shop                       those of one app
///   nexus cron trigger shop               run the first one now, and wait until it is over
///   nexus cron trigger shop --cron "30 3 * * *" --time 2026-07-01T03:30:00Z
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, args_conflicts_with_subcommands = true)]
pub(crate) struct Cron {
    #[command(subcommand)]
    act: Option<Act>,

    /// The app [default: all]
    #[arg(value_name = "APP", value_parser = app_name)]
    app: Option<AppName>,

    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Run one of an app's triggers now, and wait until it is over
    Trigger {
        /// The app
        #[arg(value_name = "APP", value_parser = app_name)]
        app: AppName,

        /// The pattern, as the manifest has it [default: the app's first]
        #[arg(long, value_name = "PATTERN")]
        cron: Option<CronPattern>,

        /// The time that the app is told: 2026-07-01T03:30:00Z, or milliseconds since 1970 [default: now]
        #[arg(long, value_name = "TIME", value_parser = time)]
        time: Option<u64>,

        #[command(flatten)]
        asked: Asked,
    },
}

fn time(text: &str) -> Result<u64, String> {
    parse_time(text).ok_or_else(|| "a time is as 2026-07-01T03:30:00Z, or milliseconds since 1970".to_owned())
}

/// The text, with all that means something in a URL percent-encoded.
pub(super) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

impl Cron {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Some(Act::Trigger { app, cron, time, asked }) = self.act else {
            let path = self.app.map_or_else(|| "/v1/cron".to_owned(), |app| format!("/v1/apps/{app}/cron"));
            let answer = self.asked.host()?.get(&path)?;
            return self.asked.show(&answer, || table(&answer, Style::of_output()));
        };
        let mut query = Vec::new();
        if let Some(cron) = cron {
            query.push(format!("cron={}", encoded(cron.as_str())));
        }
        if let Some(time) = time {
            query.push(format!("time={time}"));
        }
        let answer = asked.host()?.act("POST", &format!("/v1/apps/{app}/cron?{}", query.join("&")))?;
        asked.show(&answer, || {
            let took = answer["took_ms"].as_u64().unwrap_or_default();
            let cron = plain(answer["cron"].as_str().unwrap_or_default());
            match answer["error"].as_str() {
                None => format!("{app}: `{cron}` was run in {took} ms\n"),
                Some(error) => format!("{app}: `{cron}` failed after {took} ms: {}\n", plain(error)),
            }
        })?;
        if answer["result"] == "ok" { Ok(()) } else { Err(Failure::with_code(1)) }
    }
}

fn table(answer: &Value, style: Style) -> String {
    let list = answer["cron"].as_array().map(Vec::as_slice).unwrap_or_default();
    if list.is_empty() {
        return "no triggers: `cron` under [triggers] in an app's manifest adds some\n".into();
    }
    let row = |cron: &Value| {
        let text = |value: &Value| plain(value.as_str().unwrap_or("-"));
        let at = |value: &Value| value.as_u64().map_or_else(|| "-".to_owned(), format_time);
        let last = &cron["last"];
        let took = last["took_ms"].as_u64().map_or_else(|| "-".to_owned(), |took| format!("{took} ms"));
        vec![
            text(&cron["app"]),
            text(&cron["cron"]),
            at(&cron["next"]),
            at(&last["time"]),
            text(&last["result"]),
            took,
        ]
    };
    let rows: Vec<Vec<String>> = list.iter().map(row).collect();
    let heads = ["APP", "CRON", "NEXT", "LAST", "RESULT", "TOOK"];
    columns(&heads, &[false, false, false, false, false, true], &rows, style, |at, cell| match (at, cell) {
        (0, _) => style.bold,
        (4, "ok") => style.green,
        (4, "failed") => style.red,
        _ => "",
    })
}
