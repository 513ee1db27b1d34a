"""The measurements: load, processor time, memory, start."""

import os
import re
import resource
import socket
import statistics
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from tools.processes import end, free_port, stat, tree
from tools.term import Problem

from .servers import WORK

TICK = os.sysconf("SC_CLK_TCK")


class Cores:
    """One core for the server and another one for whoever asks it; or None, for any core, where nothing is pinned."""

    def __init__(self, pinned=True):
        usable = sorted(os.sched_getaffinity(0))
        self.server, self.client = (usable[0], usable[-1]) if pinned else (None, None)

    @property
    def shared(self):
        return self.server is not None and self.server == self.client


@contextmanager
def pinned(core):
    """Runs this process, and what it starts meanwhile, on one core; on any if that is None."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def spawn(server, cores, port, apps=1):
    command = [str(part) for part in server.command(port, apps)]
    with open(server.log, "w") as log, pinned(cores.server):
        return subprocess.Popen(
            command, cwd=WORK, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, "DENO_DIR": str(WORK / "deno"), "DENO_NO_UPDATE_CHECK": "1"})


@contextmanager
def running(server, cores, apps=1):
    """A server that has answered for each of its apps; ended afterwards. Yields its process and first port."""
    port = free_port() if apps == 1 else free_block(apps)
    process = spawn(server, cores, port, apps)
    try:
        for i in range(apps):
            first_response(server, process, *server.place(port, i))
        yield process, port
    finally:
        end(process)


def free_block(count):
    """The first of so many free ports in a row."""
    for first in range(20000, 60000, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
    raise Problem(f"there are no {count} free ports in a row")


def first_response(server, process, port, host=None, patience=30):
    """Asks until the server answers, without pausing for longer than it takes to notice."""
    request = f"GET {server.path} HTTP/1.1\r\nHost: {host or '127.0.0.1'}\r\n\r\n".encode()
    until = time.monotonic() + patience
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=patience) as client:
                client.sendall(request)
                reply = client.recv(4096)
            if reply.startswith(b"HTTP/1.1 200 "):
                return
            if reply:
                raise Problem(f"{server.name} answers {reply.splitlines()[0].decode(errors='replace')}")
        except (ConnectionError, socket.timeout):
            pass
        if process.poll() is not None or time.monotonic() > until:
            raise Problem(f"{server.name} does not answer; its last words: {last_line(server)}")
        time.sleep(0.0002)


def last_line(server):
    lines = server.log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "none"


def processor_seconds(pid):
    """User and system time of all threads of a process and its descendants, ended threads included."""
    fields = [stat(each) for each in tree(pid)]
    return sum(int(each[11]) + int(each[12]) for each in fields) / TICK


def memory(pid):
    """Proportional set size of a process and its descendants, in bytes."""
    total = 0
    for each in tree(pid):
        text = Path(f"/proc/{each}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE).group(1)) * 1024
    return total


def start_times(server, cores, count):
    """Milliseconds from the start of the process to the first byte of its first response, `count` times."""
    times = []
    with pinned(cores.client):
        for _ in range(count):
            port = free_port()
            begin = time.perf_counter()
            process = spawn(server, cores, port)
            try:
                first_response(server, process, port)
                times.append((time.perf_counter() - begin) * 1000)
            finally:
                end(process)
    return times


def load(server, cores, seconds, connections=64):
    """One round: memory at rest, `wrk` for so many seconds, memory after it."""
    with running(server, cores) as (process, port):
        time.sleep(0.5)
        idle = memory(process.pid)
        result = ask(server, cores, process, port, seconds, connections)
        time.sleep(1)
        after = memory(process.pid)
    return {**result, "idle_mb": idle / 1e6, "loaded_mb": after / 1e6}


def ask(server, cores, process, port, seconds, connections=64, host=None, script=None, warm=1):
    """`wrk` for so many seconds, after some that do not count: requests a second, latency, CPU time a request."""
    if warm:
        wrk(server, cores, port, warm, connections, script, host)
    before = processor_seconds(process.pid)
    told = wrk(server, cores, port, seconds, connections, script, host)
    spent = processor_seconds(process.pid) - before
    result = parse_wrk(told)
    if result.pop("failed"):
        raise Problem(f"{server.name} failed requests under load; its last words: {last_line(server)}")
    return {**result, "cpu_us": spent / result.pop("requests") * 1e6}


def wrk(server, cores, port, seconds, connections, script=None, host=None):
    more = [*(["-s", str(script)] if script else []), *(["-H", f"Host: {host}"] if host else [])]
    with pinned(cores.client):
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *more,
             f"http://127.0.0.1:{port}{server.path}"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise Problem(f"wrk failed: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    return done.stdout


UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


def parse_wrk(text):
    """Requests a second, latency in milliseconds, the number of requests and of failed ones."""
    def latency(percent):
        value, unit = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)$", text, re.MULTILINE).groups()
        return float(value) * UNITS[unit]

    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return {
        "requests_s": float(re.search(r"^Requests/sec:\s+([\d.]+)", text, re.MULTILINE).group(1)),
        "p50_ms": latency(50), "p99_ms": latency(99),
        "requests": int(re.search(r"^\s+(\d+) requests in", text, re.MULTILINE).group(1)),
        "failed": sum(map(int, errors.groups())) + (int(bad.group(1)) if bad else 0) if errors or bad else 0,
    }


def app_memory(server, cores, apps):
    """Megabytes that each app beyond the first adds to a process where every app has answered once."""
    sizes = []
    for count in (1, apps):
        with running(server, cores, count) as (process, _):
            time.sleep(1)
            sizes.append(memory(process.pid))
    return (sizes[1] - sizes[0]) / (apps - 1) / 1e6


def raise_file_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)) if hard != resource.RLIM_INFINITY else 8192, hard))


def median(values):
    return statistics.median(values) if values else None
