"""Leaks: memory and gauges while guests are stopped by the thousand, requests pass by the million, clients leave."""

import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from bench.report import lines
from tools.term import Problem, step

from .host import get, serving

# An app that is stopped again and again is started later and later, up to a second: so many at once pass the time.
LOOPING = 100
# What must be back at none, all apps together; and what must not grow, beside memory.
GAUGES = ("nexus_requests_in_flight", "nexus_request_scopes", "nexus_timers", "nexus_operations", "nexus_connections")
PROCESS = ("nexus_workers", "process_open_fds", "process_threads")
SAMPLES = 10
# What memory may grow by after the first tenth: a share, and what an allocator may hold back.
GROWTH, SLACK = 0.10, 16e6


def measure(program, options):
    """Runs the three."""
    scale = 100 if options.smoke else 1
    rows, faults = [], []
    looping = LOOPING // 10 if options.smoke else LOOPING
    for name, apps, run, count in (
            ("load, request, stop", {f"app{i}": ("loop.js", {"cpu": "2 ms"}) for i in range(looping)}, cycles, 10_000 // scale),
            ("requests on one worker", {"app": ("quiet.js", {})}, requests, 1_000_000 // scale),
            ("clients that leave", {"app": ("bodies.js", {"cpu": "10 s"})}, leavers, 1_000 // scale)):
        with step(f"leaks: {count:,} {name}"), serving(program, apps) as host:
            samples = [sample(host)]
            for _ in range(SAMPLES):
                run(host, count // SAMPLES)
                samples.append(sample(host))
        rows.append({"name": name, "count": count, "samples": samples})
        # Too few say nothing about memory: what is made on first use is still growing.
        faults += [f"{name}: {fault}" for fault in grown(samples, memory=not options.smoke)]
    return {"rows": rows, "faults": faults}


def cycles(host, count):
    """Requests that end their guest, each at its CPU limit; shared out among the apps."""
    with ThreadPoolExecutor(len(host.ports)) as clients:
        for done in [clients.submit(stops, host, app, count // len(host.ports)) for app in host.ports]:
            done.result()


def stops(host, app, count):
    connection = host.connect(app)
    for _ in range(count):
        status, body = get(connection, "/")
        if status != 503 or b"(limit: cpu " not in body:
            raise Problem(f"an endless loop is answered with {status} {body.decode(errors='replace').strip()}")
        host.access[app].queue.clear()
    connection.close()


def requests(host, count):
    """So many requests at least, by wrk."""
    name = 'nexus_requests_total{app="app",status="2xx"}'
    goal = host.metrics().get(name, 0) + count
    while host.metrics().get(name, 0) < goal:
        done = subprocess.run(
            ["wrk", "-t1", "-c16", "-d1s", f"http://127.0.0.1:{host.ports['app']}/"], stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode:
            raise Problem("wrk failed")
        host.access["app"].queue.clear()


def leavers(host, count):
    """Clients that leave in the middle of a body, in either direction."""
    address = ("127.0.0.1", host.ports["app"])
    for _ in range(count):
        with socket.create_connection(address, timeout=60) as upload:
            upload.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100_000)
        with socket.create_connection(address, timeout=60) as download:
            download.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            received = 0
            while received < 100_000:
                part = download.recv(65536)
                if not part:
                    raise Problem("a stream ended by itself")
                received += len(part)
    host.access["app"].queue.clear()


def sample(host):
    """Memory and gauges, once nothing is in flight."""
    until = time.monotonic() + 60
    while True:
        metrics = host.metrics()
        gauges = {name: sum(value for key, value in metrics.items() if key.startswith(name + "{")) for name in GAUGES}
        if not any(gauges.values()):
            break
        if time.monotonic() > until:
            break
        time.sleep(0.1)
    return {"memory": metrics["process_resident_memory_bytes"], **gauges, **{name: metrics.get(name, 0.0) for name in PROCESS}}


def grown(samples, memory):
    """What is not flat after the first tenth."""
    faults = []
    first, last = samples[1], samples[-1]
    most = max(each["memory"] for each in samples[2:])
    if memory and most > first["memory"] * (1 + GROWTH) + SLACK:
        faults.append(f"memory went from {first['memory'] / 1e6:.1f} MB to {most / 1e6:.1f} MB")
    faults += [f"{name} is {last[name]:.0f} at the end" for name in GAUGES if last[name]]
    # Some come and go: a guest that waits to be started again has one descriptor less.
    slack = 4 + first["nexus_workers"]
    faults += [f"{name} went from {first[name]:.0f} to {last[name]:.0f}" for name in PROCESS if last[name] > first[name] + slack]
    return faults


def table(result):
    """The table for people."""
    rows = [["leaks", "count", "at first", "after 10 %", "50 %", "100 %, MB", "descriptors", "threads", "held"]]
    for row in result["rows"]:
        samples = row["samples"]
        last = samples[-1]
        rows.append([row["name"], f"{row['count']:,}", *(f"{samples[i]['memory'] / 1e6:.1f}" for i in (0, 1, 5, 10)),
                     f"{last['process_open_fds']:.0f}", f"{last['process_threads']:.0f}", f"{sum(last[name] for name in GAUGES):.0f}"])
    return "\n".join([*lines(rows), "", "; ".join(result["faults"]) or "flat after the first tenth, and nothing is held"])
