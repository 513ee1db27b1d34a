"""Endless loops: when a guest that computes for ever is stopped, and what a quiet app of the same process sees of it."""

import time

from bench.limits.host import get, serving, steady
from bench.limits.latency import GOAL_MS, burn, latencies
from bench.measure import median
from bench.report import lines
from bench.servers import fetch_wrk
from tools.paths import ROOT
from tools.term import Problem, step

from . import contenders

# The guest of all tests, which computes for ever at /spin.
SPIN = ROOT / "tests" / "wasm" / "http.wasm"
LIMIT_MS = 50
# How far from its limit a stop may come, as a share of it. A smoke run says nothing about that.
TOLERANCE, ROUGH = 0.10, 2.0


def measure(program, cores, options):
    """Stops alone, one after another; then 32 at a time beside the quiet app."""
    fetch_wrk()
    file, path = contenders.GUESTS["c"]
    seconds = 2 if options.smoke else 10
    apps = {"quiet": (file, {}), "spin": (SPIN, {"cpu": f"{LIMIT_MS} ms"})}
    with serving(program, apps) as host:
        quiet, spin = (path, host.ports["quiet"]), ("/spin", host.ports["spin"])
        with step("endless: stops, one after another"):
            stops = alone(host, 5 if options.smoke else 50)
        with step("endless: a quiet app alone"):
            row = {"alone": latencies(quiet, seconds)}
        host.access["spin"].queue.clear()
        with step("endless: a quiet app beside 32 loops"):
            with burn(spin, seconds + 2) as counted:
                time.sleep(1)
                row["beside"] = latencies(quiet, seconds)
        stopped = [line for line in list(host.access["spin"].queue) if line["status"] == 503]
    row |= {"stopped_s": counted["requests_s"], "stops": stops, "together": [line["cpu_ms"] for line in stopped]}
    accounts = [stop["account_ms"] for stop in stops]
    return {**row, "faults": judge(accounts, row["together"], ROUGH if options.smoke else TOLERANCE)}


def judge(one_by_one, together, tolerance):
    """The stops that came too early or too late by more than this share of the limit."""
    return [f"a loop was stopped after {cpu:.1f} ms of CPU time, its limit is {LIMIT_MS} ms"
            for cpu in [*one_by_one, *together] if abs(cpu - LIMIT_MS) > LIMIT_MS * tolerance]


def alone(host, count):
    """Each stop's CPU time, by nexus's account and by the kernel's clock of the worker's thread."""
    connection = host.connect("spin")
    get(connection, "/hello", "first")
    before = host.threads()
    for i in range(3):
        get(connection, "/spin", f"warm-{i}")
    used = {task: spent - before.get(task, 0) for task, spent in host.threads().items()}
    task = max(used, key=used.get)
    stops = []
    for i in range(count):
        start = steady(task)
        status, body = get(connection, "/spin", f"stop-{i}")
        if status != 503:
            raise Problem(f"an endless loop is answered with {status} {body.decode(errors='replace').strip()}")
        account = host.cpu_seconds("spin", f"stop-{i}")
        stops.append({"account_ms": account * 1000, "kernel_ms": (steady(task) - start) * 1000})
    connection.close()
    return stops


def table(result):
    """When the loops were stopped, and the quiet app's latency."""
    rows = [[f"CPU ms of endless loops, limit {LIMIT_MS} ms", "stops", "median", "max", "the kernel's: median", "max"]]
    account, kernel = ([stop[key] for stop in result["stops"]] for key in ("account_ms", "kernel_ms"))
    rows.append(["one after another", str(len(account)), *(f"{value:.1f}" for value in (median(account), max(account), median(kernel), max(kernel)))])
    together = result["together"]
    if together:
        rows.append(["32 at a time", str(len(together)), f"{median(together):.1f}", f"{max(together):.1f}", "-", "-"])
    quiet = [["latency of a quiet app, ms", "p50", "p99", "max", "requests"]]
    for name, title in (("alone", "alone"), ("beside", "beside 32 loops")):
        row = result[name]
        quiet.append([title, *(f"{row[key]:.2f}" for key in ("p50_ms", "p99_ms", "max_ms")), str(row["requests"])])
    return "\n".join([
        *lines(rows), "", *lines(quiet), "",
        f"goals: stopped by {LIMIT_MS * (1 + TOLERANCE):.0f} ms, and a p99 beside the loops below {GOAL_MS} ms"])
