//! The admin address: metrics, health, readiness.
#![allow(missing_docs, clippy::unwrap_used)]

mod harness;

use std::collections::HashMap;

use harness::{Client, Folder, Nexus};

const APP: &str = "export default { async fetch(request) {
  const { pathname } = new URL(request.url);
  if (pathname === '/throw') throw new Error('on purpose');
  if (pathname === '/spin') { const end = performance.now() + 20; let n = 0; while (performance.now() < end) n++; }
  if (pathname === '/pending') { console.log('pending'); for (;;) await new Promise((resolve) => setTimeout(resolve, 10)); }
  return new Response('x'.repeat(100), { status: pathname === '/404' ? 404 : 200 });
} }";

#[test]
fn the_page_counts_what_happened() {
    let folder =
        Folder::new(&[("app/index.js", APP), ("idle/index.js", APP), ("broken/index.js", "throw 1")]);
    let nexus = Nexus::serve(folder.path());
    let mut client = nexus.client("app");
    for path in ["/", "/", "/404", "/throw", "/spin"] {
        client.get(path);
    }
    client.send_request("GET", "/pending", &[], b"");
    nexus.message("pending");
    nexus.client("app").request("GET", "/", &[&format!("X: {}", "x".repeat(70_000))], b"");
    // The refused client's connection is on its way out.
    nexus.await_metric("nexus_connections{app=\"app\"}", 1.0);

    let page = nexus.admin_get("/metrics");
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = page.text();
    let samples: HashMap<&str, f64> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect();
    for (name, value) in [
        ("nexus_apps", 3.0),
        ("nexus_workers", 2.0),
        ("nexus_isolates", 2.0),
        ("nexus_app_up{app=\"app\"}", 1.0),
        ("nexus_app_up{app=\"broken\"}", 0.0),
        ("nexus_requests_total{app=\"app\",status=\"2xx\"}", 3.0),
        ("nexus_requests_total{app=\"app\",status=\"4xx\"}", 1.0),
        ("nexus_requests_total{app=\"app\",status=\"5xx\"}", 1.0),
        ("nexus_requests_total{app=\"idle\",status=\"2xx\"}", 0.0),
        ("nexus_requests_refused_total{app=\"app\",status=\"431\"}", 1.0),
        ("nexus_requests_in_flight{app=\"app\"}", 1.0),
        ("nexus_request_scopes{app=\"app\"}", 1.0),
        ("nexus_timers{app=\"app\"}", 1.0),
        ("nexus_connections{app=\"app\"}", 1.0),
        ("nexus_connections{app=\"idle\"}", 0.0),
        ("nexus_request_duration_seconds_count{app=\"app\"}", 5.0),
        ("nexus_request_duration_seconds_bucket{app=\"app\",le=\"+Inf\"}", 5.0),
        ("nexus_cold_starts_total{app=\"app\"}", 1.0),
        ("nexus_cold_starts_total{app=\"broken\"}", 0.0),
        ("nexus_cold_start_seconds_count{app=\"app\"}", 1.0),
        ("nexus_guest_stops_total{app=\"app\",reason=\"memory\"}", 0.0),
        ("nexus_heap_limit_bytes{app=\"app\"}", 128.0 * 1024.0 * 1024.0),
        ("nexus_guest_stops_total{app=\"app\",reason=\"cpu\"}", 0.0),
        ("nexus_lost_workers_total{app=\"app\"}", 0.0),
        ("nexus_lost_workers_memory_bytes{app=\"app\"}", 0.0),
        ("nexus_draining_workers{app=\"app\"}", 0.0),
        ("nexus_slowed_turns_total{app=\"app\"}", 0.0),
        ("nexus_worker_replacements_total{app=\"app\",reason=\"memory\"}", 0.0),
        ("nexus_memory_shortages_total{app=\"app\",action=\"largest\"}", 0.0),
        ("nexus_watchdog_panics_total", 0.0),
        ("nexus_log_lines_dropped_total", 0.0),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name}\n{text}");
    }
    for name in [
        "nexus_heap_used_bytes{app=\"app\"}",
        "nexus_guest_memory_bytes{app=\"app\"}",
        "nexus_memory_budget_bytes",
        "nexus_memory_held_bytes",
        "nexus_cold_start_seconds_sum{app=\"app\"}",
        "nexus_request_duration_seconds_sum{app=\"app\"}",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_threads",
        "process_start_time_seconds",
        "process_cpu_seconds_total",
    ] {
        assert!(samples[name] > 0.0, "{name}\n{text}");
    }
    assert!(samples["nexus_sent_bytes_total{app=\"app\"}"] >= 400.0);
    // The spinning took 20 ms of wall time; on a busy machine little of it is CPU time.
    assert!(samples["nexus_cpu_seconds_total{app=\"app\"}"] > 0.0, "{text}");
    assert!(
        samples
            .keys()
            .any(|name| name.starts_with("nexus_build_info{version=\"") && name.contains("v8=\"14."))
    );
}

#[test]
fn every_family_is_described_once_before_its_samples() {
    let folder = Folder::app(APP);
    let nexus = Nexus::serve(folder.path());
    nexus.get("app", "/");
    let page = nexus.admin_get("/metrics").text();
    let mut families: Vec<(&str, &str)> = Vec::new();
    for line in page.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert!(families.iter().all(|(other, _)| *other != name), "{name} comes twice");
            families.push((name, kind));
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let (family, kind) = families.last().unwrap();
            let parts: &[&str] = if *kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(
                parts.iter().any(|part| name == format!("{family}{part}")),
                "{name} stands under {family}"
            );
        }
    }
    assert!(families.len() > 20);
}

#[test]
fn health_and_readiness_answer_and_nothing_else_does() {
    let folder = Folder::new(&[("app/index.js", APP), ("broken/index.js", "throw 1")]);
    let nexus = Nexus::serve(folder.path());
    let mut admin = Client::connect(&nexus.admin());
    let health = admin.get("/health");
    assert_eq!((health.status, health.text().as_str()), (200, "ok\n"));
    let ready = admin.get("/ready?x");
    assert_eq!((ready.status, ready.text().as_str()), (200, "ready\n"), "an app that is broken stays broken");
    assert_eq!(admin.get("/").status, 404);
    assert_eq!(admin.get("/metrics/../x").status, 404);
    assert_eq!(admin.request("HEAD", "/metrics", &[], b"").status, 200);
    let post = admin.request("POST", "/health", &[], b"");
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn the_admin_address_answers_while_every_worker_is_busy() {
    let folder = Folder::app("export default { fetch() { console.log('looping'); for (;;); } }");
    let nexus = Nexus::serve(folder.path());
    let mut client = nexus.client("app");
    client.send_request("GET", "/", &[], b"");
    nexus.message("looping");
    assert_eq!(nexus.admin_get("/health").status, 200);
    assert_eq!(nexus.metric("nexus_app_up{app=\"app\"}"), 1.0);
    assert_eq!(nexus.metric("nexus_connections{app=\"app\"}"), 1.0);
}

#[test]
fn stops_are_counted_by_app_and_reason() {
    let folder =
        Folder::new(&[("app/index.js", "export default { fetch() { for (;;); } }"), ("idle/index.js", APP)]);
    folder.write("app/nexus.toml", "[limits]\ncpu = \"500 ms\"\n");
    let nexus = Nexus::serve(folder.path());
    for _ in 0..3 {
        assert_eq!(nexus.get("app", "/").status, 503);
    }
    nexus.await_metric("nexus_guest_stops_total{app=\"app\",reason=\"cpu\"}", 3.0);
    assert_eq!(nexus.metric("nexus_guest_stops_total{app=\"app\",reason=\"memory\"}"), 0.0);
    assert_eq!(nexus.metric("nexus_guest_stops_total{app=\"idle\",reason=\"cpu\"}"), 0.0);
    assert!(nexus.metric("nexus_watchdog_pokes_total") > 0.0);
}
