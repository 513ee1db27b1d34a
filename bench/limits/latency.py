"""Latency: a quiet app's, while another tenant of the same process computes on 32 connections as much as it may."""

import http.client
import os
import statistics
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from bench.report import lines
from bench.servers import MODULES, WORK, fetch
from tools.processes import end, free_port
from tools.term import Problem, say, step

from .host import APPS, get, serving

NAMES = ("nexus", "workerd", "deno", "node")
CONNECTIONS = 32
# A request of the quiet app's each so many seconds.
PACE = 0.005
# Below this the quiet app's p99 is to stay on nexus.
GOAL_MS = 10


def measure(program, options):
    """Measures each server alone and beside the burning tenant."""
    fetch(options.only & {"workerd", "deno"})
    seconds = 2 if options.smoke else 10
    rows = []
    for name in NAMES:
        if name not in options.only:
            continue
        starter = STARTERS[name](program)
        if starter is None:
            say(f"bench-limits: {name} is skipped, it is not there")
            continue
        with step(f"latency: {name}"), starter as (quiet, burning):
            for path, port in (quiet, burning):
                until_up(path, port, name)
            row = {"name": name, "alone": latencies(quiet, seconds)}
            with burn(burning, seconds + 2) as counted:
                time.sleep(1)
                row["beside"] = latencies(quiet, seconds)
            row["burnt"] = counted["requests_s"]
            rows.append(row)
    # What holds on this machine is the result; a machine under load does not fail.
    return {"rows": rows, "faults": []}


def latencies(target, seconds):
    """Asks at an even pace; milliseconds of each response."""
    path, port = target
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.connect()
    taken = []
    start = time.monotonic()
    due = start
    while due < start + seconds:
        time.sleep(max(0, due - time.monotonic()))
        begin = time.perf_counter()
        status, _ = get(connection, path)
        if status != 200:
            raise Problem(f"the quiet app answers {status}")
        taken.append((time.perf_counter() - begin) * 1000)
        # What was due meanwhile is not asked: it would all have waited for the same response.
        due = max(due + PACE, time.monotonic())
    connection.close()
    taken.sort()
    return {"requests": len(taken), "p50_ms": statistics.median(taken), "p99_ms": taken[int(len(taken) * 0.99)], "max_ms": taken[-1]}


@contextmanager
def burn(target, seconds):
    """Keeps 32 connections busy meanwhile; yields what will hold the rate of their requests."""
    path, port = target
    result = {}
    process = subprocess.Popen(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "60s", f"http://127.0.0.1:{port}{path}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        yield result
        told = process.communicate(timeout=120)[0]
    finally:
        end(process)
    rates = [line.split()[1] for line in told.splitlines() if line.startswith("Requests/sec:")]
    if not rates:
        raise Problem("wrk says nothing of the burning tenant")
    # On a machine under load it may be none at all.
    result["requests_s"] = float(rates[0])


def until_up(path, port, name):
    until = time.monotonic() + 30
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            if get(connection, path)[0] == 200:
                return
        except OSError:
            pass
        if time.monotonic() > until:
            raise Problem(f"{name} does not answer")
        time.sleep(0.05)


@contextmanager
def nexus(program):
    apps = {"quiet": ("quiet.js", {}), "burn": ("burn.js", {"cpu": "50 ms"})}
    with serving(program, apps) as host:
        yield ("/", host.ports["quiet"]), ("/", host.ports["burn"])


def workerd(_):
    program = MODULES / "@cloudflare" / "workerd-linux-64" / "bin" / "workerd"
    return started(program, workerd_command) if program.exists() else None


def workerd_command(program, quiet):
    burning = free_port()
    text = (APPS / "workerd.capnp.in").read_text()
    for mark, value in (("@APPS@", os.path.relpath(APPS, WORK)), ("@QUIET@", quiet), ("@BURN@", burning)):
        text = text.replace(mark, str(value))
    path = WORK / "limits.capnp"
    path.write_text(text)
    return [program, "serve", path], ("/", quiet), ("/", burning)


def deno(_):
    program = MODULES / "@deno" / "linux-x64-glibc" / "deno"
    command = lambda program, port: (
        [program, "run", "--allow-net=127.0.0.1", APPS / "deno.mjs", port], ("/", port), ("/burn", port))
    return started(program, command) if program.exists() else None


def node(_):
    program = next((Path(folder) / "node" for folder in os.get_exec_path() if (Path(folder) / "node").exists()), None)
    command = lambda program, port: ([program, APPS / "node.mjs", port], ("/", port), ("/burn", port))
    return started(program, command) if program else None


@contextmanager
def started(program, command):
    line, quiet, burning = command(program, free_port())
    with open(WORK / "limits.log", "w") as log:
        process = subprocess.Popen(
            [str(part) for part in line], cwd=WORK, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, "DENO_DIR": str(WORK / "deno"), "DENO_NO_UPDATE_CHECK": "1"})
    try:
        yield quiet, burning
    finally:
        end(process)


STARTERS = {"nexus": nexus, "workerd": workerd, "deno": deno, "node": node}


def table(result):
    """The table for people."""
    rows = [["latency of a quiet app, ms", "alone: p50", "p99", "beside: p50", "p99", "max", "requests", "burning requests/s"]]
    for row in result["rows"]:
        alone, beside = row["alone"], row["beside"]
        rows.append([row["name"], *(f"{value:.2f}" for value in (alone["p50_ms"], alone["p99_ms"], beside["p50_ms"], beside["p99_ms"], beside["max_ms"])),
                     str(beside["requests"]), f"{row['burnt']:.1f}"])
    own = next((row["beside"]["p99_ms"] for row in result["rows"] if row["name"] == "nexus"), None)
    goal = [] if own is None else ["", f"nexus's p99 beside the burning tenant: {own:.2f} ms, the goal is below {GOAL_MS} ms"]
    return "\n".join([*lines(rows), *goal])
