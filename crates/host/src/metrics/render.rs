//! The Prometheus text format 0.0.4.

use std::fmt::{Display, Write};
use std::time::Duration;

use super::counter::{HistogramSnapshot, LATENCY_BOUNDS};
use super::interventions::{Replaced, Scheduling, Shortage};
use super::process::ProcessSnapshot;
use super::stats::{REASONS, Sent};
use super::sum::{AppSum, HostSum};

/// The `content-type` of what [`render`] gives.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics as text, each family once, in base units (seconds, bytes). `build` are the labels of `nexus_build_info`:
/// the versions of the program and of each engine. No two apps may have one name.
///
/// Reads a few files of `/proc`.
pub(crate) fn render(apps: &[AppSum], host: &HostSum, build: &[(&'static str, String)]) -> String {
    let mut page = Page { out: String::with_capacity(4096 + apps.len() * 6144) };
    render_host(&mut page, apps, host, build);
    render_apps(&mut page, apps);
    render_interventions(&mut page, apps);
    render_process(&mut page, &ProcessSnapshot::take());
    page.out
}

fn render_host(page: &mut Page, apps: &[AppSum], host: &HostSum, build: &[(&'static str, String)]) {
    let build: Vec<(&str, &str)> = build.iter().map(|(name, value)| (*name, value.as_str())).collect();
    page.family("nexus_build_info", GAUGE, "The versions of the program and its engines; always 1.");
    page.sample("nexus_build_info", &build, 1);
    page.one("nexus_apps", GAUGE, "Apps that the host knows.", apps.len());
    let workers: u64 = apps.iter().map(|app| app.workers).sum();
    page.one("nexus_workers", GAUGE, "Workers that serve requests.", workers);
    let isolates: u64 = apps.iter().map(|app| app.isolates).sum();
    page.one("nexus_isolates", GAUGE, "Guests in their isolates.", isolates);
    page.one(
        "nexus_log_lines_dropped_total",
        COUNTER,
        "Log lines that were dropped.",
        host.log_lines_dropped,
    );
    page.one("nexus_memory_budget_bytes", GAUGE, "Memory that all guests may hold together.", host.budget);
    page.one("nexus_memory_held_bytes", GAUGE, "Memory that all guests hold, lost ones included.", host.held);
    page.one("nexus_watchdog_pokes_total", COUNTER, "Looks at a guest in the middle of a turn.", host.pokes);
    page.one(
        "nexus_watchdog_panics_total",
        COUNTER,
        "Panics of the watchdog, which went on.",
        host.watchdog_panics,
    );
}

fn render_apps(page: &mut Page, apps: &[AppSum]) {
    page.each("nexus_app_up", GAUGE, "1 if the app is served.", apps, |app| {
        u64::from(app.workers > 0 || app.is_asleep)
    });
    page.each("nexus_app_workers", GAUGE, "Workers that serve the app.", apps, |app| app.workers);
    page.each("nexus_app_asleep", GAUGE, "1 if it has no worker for want of requests.", apps, |app| {
        u64::from(app.is_asleep)
    });
    page.each("nexus_heap_used_bytes", GAUGE, "Heap in use by the app's guests.", apps, |app| {
        app.usage.heap_used
    });
    page.each("nexus_heap_limit_bytes", GAUGE, "Limit of the heaps of the app's guests.", apps, |app| {
        app.usage.heap_limit
    });
    page.each("nexus_request_scopes", GAUGE, "Live request scopes.", apps, |app| app.usage.scopes);
    page.each("nexus_timers", GAUGE, "Timers that have not fired.", apps, |app| app.usage.timers);
    page.each("nexus_operations", GAUGE, "Operations under way.", apps, |app| app.usage.operations);
    page.each("nexus_requests_in_flight", GAUGE, "Requests that are not over.", apps, |app| app.in_flight);
    page.each("nexus_requests_waiting", GAUGE, "Requests that wait for their turn.", apps, |app| app.waiting);
    page.each("nexus_connections", GAUGE, "Open connections.", apps, |app| app.connections);

    page.family("nexus_requests_total", COUNTER, "Requests that were answered, by status class.");
    for app in apps {
        for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(app.requests) {
            page.sample("nexus_requests_total", &[("app", &app.name), ("status", class)], count);
        }
    }
    page.family(
        "nexus_requests_refused_total",
        COUNTER,
        "Requests that the host answered in place of the guest.",
    );
    for app in apps {
        for (status, count) in &app.refused {
            let status = status.to_string();
            page.sample("nexus_requests_refused_total", &[("app", &app.name), ("status", &status)], count);
        }
    }
    page.each(
        "nexus_responses_aborted_total",
        COUNTER,
        "Responses that did not go out as a whole.",
        apps,
        |app| app.aborted,
    );
    page.each("nexus_sent_bytes_total", COUNTER, "Bytes of response bodies.", apps, |app| app.bytes_sent);
    page.histograms(
        "nexus_request_duration_seconds",
        "From a request's head to its response's end.",
        apps,
        |app| &app.latency,
    );
    page.each("nexus_cpu_seconds_total", COUNTER, "CPU time of the app's workers.", apps, |app| {
        Seconds::from_nanos(app.cpu_nanos)
    });
    page.each("nexus_cold_starts_total", COUNTER, "Guests that were started.", apps, |app| {
        app.cold_starts.count()
    });
    page.histograms(
        "nexus_cold_start_seconds",
        "From the decision to start a guest until it could take requests.",
        apps,
        |app| &app.cold_starts,
    );
    page.family("nexus_guest_stops_total", COUNTER, "Guests that ended, by reason.");
    for app in apps {
        for (reason, count) in REASONS.iter().zip(app.stops) {
            page.sample("nexus_guest_stops_total", &[("app", &app.name), ("reason", reason.label())], count);
        }
    }
    page.family(
        "nexus_subrequests_total",
        COUNTER,
        "Requests that the app's guests sent, by what they came to.",
    );
    for app in apps {
        for (result, count) in Sent::LABELS.iter().zip(app.subrequests) {
            page.sample("nexus_subrequests_total", &[("app", &app.name), ("result", result)], count);
        }
    }
    render_calls(page, apps);
}

/// What guests had done by providers.
fn render_calls(page: &mut Page, apps: &[AppSum]) {
    let families = [
        ("nexus_capability_calls_total", "Calls of the app's guests to providers, by what they came to."),
        ("nexus_capability_call_seconds_total", "How long they took, all together."),
    ];
    for (at, (family, help)) in families.into_iter().enumerate() {
        page.family(family, COUNTER, help);
        for app in apps {
            for ((provider, capability, operation, result), calls) in &app.calls {
                let labels = [
                    ("app", &*app.name),
                    ("provider", provider),
                    ("capability", capability),
                    ("operation", operation),
                    ("result", result),
                ];
                match at {
                    0 => page.sample(family, &labels, calls.count),
                    _ => page.sample(family, &labels, Duration::from_nanos(calls.nanos).as_secs_f64()),
                }
            }
        }
    }
}

/// What the host did for the sake of the others.
fn render_interventions(page: &mut Page, apps: &[AppSum]) {
    page.each("nexus_draining_workers", GAUGE, "Workers that finish what they have.", apps, |app| {
        app.draining
    });
    page.each(
        "nexus_guest_memory_bytes",
        GAUGE,
        "Memory of the app's guests, buffers included.",
        apps,
        |app| app.memory,
    );
    page.each(
        "nexus_app_sleeps_total",
        COUNTER,
        "How often it fell asleep for want of requests.",
        apps,
        |app| app.interventions.sleeps,
    );
    page.each(
        "nexus_unserved_requests_total",
        COUNTER,
        "Requests on a shared port that no worker took in time.",
        apps,
        |app| app.interventions.unserved,
    );
    page.each(
        "nexus_lost_workers_total",
        COUNTER,
        "Workers whose threads are lost within the engine.",
        apps,
        |app| app.interventions.lost,
    );
    page.each("nexus_lost_workers_memory_bytes", GAUGE, "Memory that lost workers hold.", apps, |app| {
        app.interventions.lost_bytes
    });
    page.each(
        "nexus_slowed_turns_total",
        COUNTER,
        "Turns that did not stop, whose threads were slowed down.",
        apps,
        |app| app.interventions.slowed,
    );
    let name = "nexus_worker_replacements_total";
    page.family(name, COUNTER, "Workers in whose place a fresh one was started, by reason.");
    for app in apps {
        for (why, count) in Replaced::ALL.iter().zip(app.interventions.replaced) {
            page.sample(name, &[("app", &app.name), ("reason", why.label())], count);
        }
    }
    let name = "nexus_scheduled_runs_total";
    page.family(name, COUNTER, "Runs of the app's triggers, by what came of them.");
    // Most apps have no triggers.
    for app in apps.iter().filter(|app| app.interventions.scheduled != [0; Scheduling::ALL.len()]) {
        for (what, count) in Scheduling::ALL.iter().zip(app.interventions.scheduled) {
            page.sample(name, &[("app", &app.name), ("result", what.label())], count);
        }
    }
    let name = "nexus_memory_shortages_total";
    let help =
        "Guests that were ended (idle, largest) or not made (refused), for the process is short of memory.";
    page.family(name, COUNTER, help);
    for app in apps {
        for (what, count) in Shortage::ALL.iter().zip(app.interventions.shortages) {
            page.sample(name, &[("app", &app.name), ("action", what.label())], count);
        }
    }
}

fn render_process(page: &mut Page, process: &ProcessSnapshot) {
    page.one("process_cpu_seconds_total", COUNTER, "CPU time of the process.", Seconds(process.cpu));
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Resident memory.", process.resident_bytes),
        ("process_virtual_memory_bytes", "Virtual memory.", process.virtual_bytes),
        ("process_open_fds", "Open file descriptors.", process.open_fds),
        ("process_threads", "Threads.", process.threads),
    ] {
        if let Some(value) = value {
            page.one(name, GAUGE, help, value);
        }
    }
    if let Some(start) = process.start_seconds {
        let help = "When the process started, in seconds since 1970.";
        page.one("process_start_time_seconds", GAUGE, help, format_args!("{start:.2}"));
    }
}

const GAUGE: &str = "gauge";
const COUNTER: &str = "counter";

/// A duration in seconds, to the nanosecond, without the rounding of floating point.
struct Seconds(Duration);

impl Seconds {
    fn from_nanos(nanos: u64) -> Self {
        Self(Duration::from_nanos(nanos))
    }
}

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:09}", self.0.as_secs(), self.0.subsec_nanos())
    }
}

struct Page {
    out: String,
}

impl Page {
    /// Starts a family; its samples must follow at once. No help text here has a backslash or a line feed,
    /// which would have to be escaped.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.out.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.out.push(if at == 0 { '{' } else { ',' });
            self.out.push_str(label);
            self.out.push_str("=\"");
            for c in text.chars() {
                match c {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    c => self.out.push(c),
                }
            }
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value}");
    }

    /// A family of one sample without labels.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A family with one sample for each app.
    fn each<V: Display>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        apps: &[AppSum],
        value: impl Fn(&AppSum) -> V,
    ) {
        self.family(name, kind, help);
        for app in apps {
            self.sample(name, &[("app", &app.name)], value(app));
        }
    }

    /// A family with one histogram for each app.
    fn histograms(
        &mut self,
        name: &str,
        help: &str,
        apps: &[AppSum],
        histogram: impl Fn(&AppSum) -> &HistogramSnapshot,
    ) {
        self.family(name, "histogram", help);
        let [bucket, sum, count] = ["bucket", "sum", "count"].map(|part| format!("{name}_{part}"));
        for app in apps {
            let histogram = histogram(app);
            let mut so_far = 0;
            let bounds = LATENCY_BOUNDS.iter().map(|(_, text)| *text).chain(["+Inf"]);
            for (bound, number) in bounds.zip(histogram.buckets) {
                so_far += number;
                self.sample(&bucket, &[("app", &app.name), ("le", bound)], so_far);
            }
            self.sample(&sum, &[("app", &app.name)], Seconds::from_nanos(histogram.nanos));
            self.sample(&count, &[("app", &app.name)], so_far);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::text_format::{Family, parse};
    use crate::metrics::{AppStats, Interventions, WorkerStats};
    use nexus_guest::{StopReason, Usage};
    use std::collections::BTreeMap;

    fn page() -> BTreeMap<String, Family> {
        let (stats, none, worker) = (AppStats::default(), AppStats::default(), WorkerStats::default());
        stats.ended(Some(200), Duration::from_micros(700), 10, Duration::from_millis(1500), true);
        stats.ended(Some(404), Duration::from_secs(60), 5, Duration::ZERO, true);
        worker.report(
            Usage { heap_used: 1000, heap_limit: 2000, scopes: 3, timers: 0, operations: 0 },
            2,
            true,
        );
        worker.waiting(8);
        stats.cold_start(Duration::from_millis(3));
        stats.stopped(StopReason::Memory);
        stats.sent(Sent::Failed);
        stats.sent(Sent::Aborted);
        stats.refused(413);
        let mut hello = AppSum::new("hello");
        hello.add(&stats, &worker, 6, 1500);
        hello.serving();
        hello.draining();
        let interventions = Interventions::default();
        interventions.lost(77);
        interventions.slowed();
        interventions.replaced(Replaced::Memory);
        interventions.shortage(Shortage::Refused);
        hello.intervened(&interventions);
        let mut odd = AppSum::new("o\"d\\d\n");
        odd.add(&none, &WorkerStats::default(), 0, 0);
        let host = HostSum { budget: 9000, held: 1577, pokes: 4, watchdog_panics: 0, log_lines_dropped: 5 };
        let text = render(&[hello, odd], &host, &[("version", "1.2.3".into()), ("v8", "14.4".into())]);
        parse(&text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
    }

    #[track_caller]
    fn value(page: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: BTreeMap<String, String> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut samples = page.values().flat_map(|family| &family.samples);
        samples
            .find(|sample| sample.name == name && sample.labels == labels)
            .expect("the sample is there")
            .value
    }

    #[test]
    fn the_page_is_valid_and_says_what_was_counted() {
        let page = page();
        assert_eq!(value(&page, "nexus_build_info", &[("version", "1.2.3"), ("v8", "14.4")]), 1.0);
        assert_eq!(value(&page, "nexus_apps", &[]), 2.0);
        assert_eq!(value(&page, "nexus_workers", &[]), 1.0);
        assert_eq!(value(&page, "nexus_isolates", &[]), 1.0);
        assert_eq!(value(&page, "nexus_log_lines_dropped_total", &[]), 5.0);
        let hello = ("app", "hello");
        let odd = ("app", "o\"d\\d\n");
        assert_eq!(value(&page, "nexus_app_up", &[hello]), 1.0);
        assert_eq!(value(&page, "nexus_app_up", &[odd]), 0.0);
        assert_eq!(value(&page, "nexus_connections", &[hello]), 6.0);
        assert_eq!(value(&page, "nexus_requests_in_flight", &[hello]), 2.0);
        assert_eq!(value(&page, "nexus_requests_waiting", &[hello]), 8.0);
        assert_eq!(value(&page, "nexus_heap_used_bytes", &[hello]), 1000.0);
        assert_eq!(value(&page, "nexus_heap_limit_bytes", &[hello]), 2000.0);
        assert_eq!(value(&page, "nexus_request_scopes", &[hello]), 3.0);
        assert_eq!(value(&page, "nexus_requests_total", &[hello, ("status", "2xx")]), 1.0);
        assert_eq!(value(&page, "nexus_requests_total", &[hello, ("status", "5xx")]), 0.0);
        assert_eq!(value(&page, "nexus_requests_refused_total", &[hello, ("status", "413")]), 1.0);
        assert_eq!(value(&page, "nexus_request_duration_seconds_bucket", &[hello, ("le", "0.001")]), 1.0);
        assert_eq!(value(&page, "nexus_request_duration_seconds_bucket", &[hello, ("le", "10")]), 1.0);
        assert_eq!(value(&page, "nexus_request_duration_seconds_bucket", &[hello, ("le", "+Inf")]), 2.0);
        assert_eq!(value(&page, "nexus_request_duration_seconds_sum", &[hello]), 60.0007);
        assert_eq!(value(&page, "nexus_cpu_seconds_total", &[hello]), 1.5);
        assert_eq!(value(&page, "nexus_cold_starts_total", &[hello]), 1.0);
        assert_eq!(value(&page, "nexus_cold_start_seconds_sum", &[hello]), 0.003);
        assert_eq!(value(&page, "nexus_guest_stops_total", &[hello, ("reason", "memory")]), 1.0);
        for (result, count) in [("answered", 0.0), ("failed", 1.0), ("denied", 0.0), ("aborted", 1.0)] {
            assert_eq!(value(&page, "nexus_subrequests_total", &[hello, ("result", result)]), count);
        }
        assert_eq!(value(&page, "nexus_sent_bytes_total", &[odd]), 0.0);
        assert_eq!(value(&page, "nexus_memory_budget_bytes", &[]), 9000.0);
        assert_eq!(value(&page, "nexus_memory_held_bytes", &[]), 1577.0);
        assert_eq!(value(&page, "nexus_watchdog_pokes_total", &[]), 4.0);
        assert_eq!(value(&page, "nexus_watchdog_panics_total", &[]), 0.0);
        assert_eq!(value(&page, "nexus_draining_workers", &[hello]), 1.0);
        assert_eq!(value(&page, "nexus_guest_memory_bytes", &[hello]), 1500.0);
        assert_eq!(value(&page, "nexus_lost_workers_total", &[hello]), 1.0);
        assert_eq!(value(&page, "nexus_lost_workers_memory_bytes", &[hello]), 77.0);
        assert_eq!(value(&page, "nexus_lost_workers_total", &[odd]), 0.0);
        assert_eq!(value(&page, "nexus_slowed_turns_total", &[hello]), 1.0);
        for (reason, count) in [("memory", 1.0), ("lost", 0.0), ("slow", 0.0)] {
            assert_eq!(value(&page, "nexus_worker_replacements_total", &[hello, ("reason", reason)]), count);
        }
        for (action, count) in [("idle", 0.0), ("largest", 0.0), ("refused", 1.0)] {
            assert_eq!(value(&page, "nexus_memory_shortages_total", &[hello, ("action", action)]), count);
        }
        assert!(value(&page, "process_cpu_seconds_total", &[]) >= 0.0);
    }

    #[test]
    fn counters_end_in_total_and_units_are_base_units() {
        for (name, family) in page() {
            assert_eq!(family.kind == "counter", name.ends_with("_total"), "{name}");
            assert!(!["_ms", "_millis", "_kb", "_mb"].iter().any(|unit| name.contains(unit)), "{name}");
        }
    }
}
