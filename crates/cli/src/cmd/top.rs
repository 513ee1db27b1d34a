//! `nexus top`.

use std::collections::HashMap;
use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use super::control::{Host, Style, Target, bytes, columns, plain};
use super::ps::milliseconds;
use crate::failure::{Failure, print};

/// How often the view is drawn anew, and over which time figures are taken.
const TICK: Duration = Duration::from_secs(1);

/// Watch the apps of a host: requests, errors, CPU, memory, p99, workers; the busiest first.
///
/// On a terminal the view is drawn anew each second until Ctrl-C. Elsewhere, and with --once, it is
/// one table, of one second.
///
///   nexus top
///   nexus top --once --json | jq .apps
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Top {
    /// Print one table
    #[arg(long)]
    once: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    target: Target,
}

/// The apps at one moment.
struct Sample {
    at: Instant,
    apps: HashMap<String, Value>,
}

/// An app over the time between two samples.
struct Row {
    name: String,
    state: String,
    requests: f64,
    errors: f64,
    /// In percent of one processor.
    cpu: f64,
    memory: u64,
    p99: Option<f64>,
    workers: u64,
}

impl Top {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let host = self.target.open()?;
        if self.once || self.json || !stdout().is_terminal() {
            let before = sample(&host)?;
            std::thread::sleep(TICK);
            let rows = rows(&before, &sample(&host)?);
            return print(&if self.json { as_json(&rows) } else { table(&rows, Style::of_output()) });
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| Failure::host(format!("cannot start the event loop: {error}")))?;
        runtime.block_on(watch(&host))
    }
}

/// Draws until Ctrl-C or SIGTERM.
async fn watch(host: &Host) -> Result<(), Failure> {
    let failed = |error| Failure::host(format!("cannot listen for signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut before = sample(host)?;
    // From here on the terminal is to be left as it was.
    let _screen = Screen::enter();
    let mut ticks = tokio::time::interval(TICK);
    draw(&rows(&before, &before))?;
    ticks.tick().await;
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = ticks.tick() => {
                let now = sample(host)?;
                draw(&rows(&before, &now))?;
                before = now;
            }
        }
    }
}

/// The terminal's other screen, without a cursor and with lines that are cut and not broken, until it is dropped.
struct Screen;

impl Screen {
    fn enter() -> Self {
        let _ = write!(stdout(), "\x1b[?1049h\x1b[?25l\x1b[?7l").and_then(|()| stdout().flush());
        Self
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = write!(stdout(), "\x1b[?7h\x1b[?25h\x1b[?1049l").and_then(|()| stdout().flush());
    }
}

fn draw(rows: &[Row]) -> Result<(), Failure> {
    let style = Style::of_output();
    let total = |of: fn(&Row) -> f64| rows.iter().map(of).fold(0.0, |sum, figure| sum + figure);
    let head = format!(
        "{}nexus{}   {} apps   {:.0} requests/s   {:.0} % CPU   {}\n\n",
        style.bold,
        style.plain,
        rows.len(),
        total(|row| row.requests),
        total(|row| row.cpu),
        bytes(rows.iter().map(|row| row.memory).sum()),
    );
    let size = rustix::termios::tcgetwinsize(stdout()).ok().map(|size| usize::from(size.ws_row));
    let most = size.filter(|rows| *rows > 0).unwrap_or(24).saturating_sub(1);
    let text = head + &table(rows, style);
    let mut screen = String::from("\x1b[H");
    for line in text.lines().take(most) {
        // Before it: after a line that ends in the last column, its last character would be cleared.
        screen.push_str("\x1b[2K");
        screen.push_str(line);
        screen.push('\n');
    }
    screen.push_str("\x1b[J");
    print(&screen)
}

fn sample(host: &Host) -> Result<Sample, Failure> {
    let mut answer = host.get("/v1/apps")?;
    let apps = answer["apps"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let apps = apps.into_iter().filter_map(|app| Some((app["name"].as_str()?.to_owned(), app)));
    Ok(Sample { at: Instant::now(), apps: apps.collect() })
}

/// The busiest first.
fn rows(before: &Sample, now: &Sample) -> Vec<Row> {
    let seconds = now.at.duration_since(before.at).as_secs_f64().max(0.001);
    let mut rows: Vec<Row> =
        now.apps.iter().map(|(name, app)| row(name, before.apps.get(name), app, seconds)).collect();
    rows.sort_by(|a, b| b.cpu.total_cmp(&a.cpu).then_with(|| a.name.cmp(&b.name)));
    rows
}

fn row(name: &str, before: Option<&Value>, now: &Value, seconds: f64) -> Row {
    // An app that has just come has done nothing before.
    let was = before.map(|app| &app["usage"]).unwrap_or(&Value::Null);
    let is = &now["usage"];
    let more = |key: &str| {
        let [was, is] = [was, is].map(|usage| usage[key].as_f64().unwrap_or_default());
        (is - was).max(0.0) / seconds
    };
    Row {
        name: plain(name),
        state: plain(now["state"].as_str().unwrap_or_default()),
        requests: more("requests"),
        errors: more("errors"),
        cpu: more("cpu_seconds") * 100.0,
        memory: is["memory"].as_u64().unwrap_or_default(),
        p99: p99(was, is),
        workers: is["workers"].as_u64().unwrap_or_default(),
    }
}

/// Of the requests between two samples: the upper bound of the bucket that it falls into, or the lower one of the last.
fn p99(was: &Value, is: &Value) -> Option<f64> {
    let counts = |usage: &Value| -> Vec<(Option<f64>, u64)> {
        let buckets = usage["durations"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        buckets.map(|bucket| (bucket["below"].as_f64(), bucket["count"].as_u64().unwrap_or(0))).collect()
    };
    let (was, is) = (counts(was), counts(is));
    let fresh = |at: usize, count: u64| count.saturating_sub(was.get(at).map_or(0, |(_, count)| *count));
    let all: u64 = is.iter().enumerate().map(|(at, (_, count))| fresh(at, *count)).sum();
    let (mut seen, mut last) = (0, None);
    for (at, (below, count)) in is.iter().enumerate() {
        seen += fresh(at, *count);
        last = below.or(last);
        if all > 0 && seen * 100 >= all * 99 {
            return last;
        }
    }
    None
}

fn table(rows: &[Row], style: Style) -> String {
    let heads = ["APP", "STATE", "REQUESTS/S", "ERRORS/S", "CPU %", "MEMORY", "P99", "WORKERS"];
    let right = [false, false, true, true, true, true, true, true];
    let cells = rows.iter().map(|row| {
        vec![
            row.name.clone(),
            row.state.clone(),
            format!("{:.1}", row.requests),
            format!("{:.1}", row.errors),
            format!("{:.1}", row.cpu),
            bytes(row.memory),
            milliseconds(row.p99),
            row.workers.to_string(),
        ]
    });
    columns(&heads, &right, &cells.collect::<Vec<_>>(), style, |at, cell| match at {
        0 => style.bold,
        1 => style.of_state(cell),
        3 if cell != "0.0" => style.red,
        _ => "",
    })
}

fn as_json(rows: &[Row]) -> String {
    let apps: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "name": row.name,
                "state": row.state,
                "requests_per_second": row.requests,
                "errors_per_second": row.errors,
                "cpu_percent": row.cpu,
                "memory": row.memory,
                "p99_seconds": row.p99,
                "workers": row.workers,
            })
        })
        .collect();
    format!("{:#}\n", json!({ "apps": apps }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(at: Instant, requests: u64, cpu: f64, counts: [u64; 3]) -> Sample {
        let bounds = [Some(0.001), Some(0.01), None];
        let durations: Vec<Value> = bounds
            .iter()
            .zip(counts)
            .map(|(below, count)| json!({ "below": below, "count": count }))
            .collect();
        let usage = json!({ "requests": requests, "errors": 0, "cpu_seconds": cpu, "memory": 5,
                            "durations": durations, "workers": 1 });
        let app = json!({ "name": "shop", "state": "running", "usage": usage });
        Sample { at, apps: HashMap::from([("shop".to_owned(), app)]) }
    }

    #[test]
    fn figures_are_of_the_time_between_two_samples() {
        let at = Instant::now();
        let before = sampled(at, 100, 1.0, [90, 5, 5]);
        let now = sampled(at + 2 * TICK, 300, 2.0, [289, 6, 5]);
        let rows = rows(&before, &now);
        assert_eq!((rows[0].requests, rows[0].cpu, rows[0].p99), (100.0, 50.0, Some(0.001)));
        let slow = sampled(at + 2 * TICK, 300, 2.0, [90, 5, 205]);
        assert_eq!(super::rows(&before, &slow)[0].p99, Some(0.01));
        let restarted = sampled(at + TICK, 3, 0.0, [3, 0, 0]);
        let rows = super::rows(&before, &restarted);
        assert_eq!((rows[0].requests, rows[0].cpu, rows[0].p99), (0.0, 0.0, None));
    }
}
