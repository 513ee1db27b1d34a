"""Exactness: guests that compute for a known share of their CPU limit, and which of them are stopped.

A unit of work is calibrated against the worker's thread's CPU time as the kernel counts it
(/proc/PID/task/TID/schedstat), again and again from the runs that were not stopped: a machine's speed changes. What a
run used is then measured by the same clock, not by nexus's own.
"""

import statistics
import threading
import time

from bench.report import lines
from tools.term import Problem, step

from .host import get, serving, steady

FACTORS = (0.5, 0.9, 1.1, 2.0)
LIMIT = 0.050
# What the limit may be missed by.
TOLERANCE = max(0.1 * LIMIT, 0.005)
NEIGHBOURS = 9
STOPPED = b"(limit: cpu 50 ms)"


def measure(program, options):
    """Runs each factor in one turn and spread, alone and beside busy neighbours."""
    runs = 3 if options.smoke else 50
    apps = {"work": ("work.js", {"cpu": "50 ms"})}
    apps |= {f"busy{i}": ("burn.js", {"cpu": "50 ms"}) for i in range(NEIGHBOURS)}
    rows, faults = [], []
    with serving(program, apps) as host:
        worker = Worker(host)
        for busy in (False, True):
            with neighbours(host, busy):
                for path in ("/one", "/spread"):
                    where = f"{'beside nine' if busy else 'alone'}, {'a hundred awaits' if path == '/spread' else 'one turn'}"
                    with step(f"exactness: {where}"):
                        worker.begin(path)
                        for factor in FACTORS:
                            results = [worker.run(factor) for _ in range(runs)]
                            row = {"where": where, "factor": factor, **judge(factor, results)}
                            rows.append(row)
                            faults += [f"{where}, {factor} × the limit: {fault}" for fault in row.pop("faults")]
    return {"rows": rows, "faults": faults}


class neighbours:
    """Nine clients, each of which has a neighbour compute all the time."""

    def __init__(self, host, busy):
        self.host, self.busy, self.ended, self.threads = host, busy, threading.Event(), []

    def __enter__(self):
        for i in range(NEIGHBOURS if self.busy else 0):
            thread = threading.Thread(target=self.ask, args=(f"busy{i}",))
            thread.start()
            self.threads.append(thread)
        time.sleep(0.5 if self.busy else 0)

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def ask(self, app):
        connection = self.host.connect(app)
        while not self.ended.is_set():
            get(connection, "/")
            self.host.access[app].queue.clear()
        connection.close()


class Worker:
    """The worker that is measured: its thread, and how long it takes for a unit. Made while its neighbours rest."""

    def __init__(self, host):
        self.host = host
        self.connection = host.connect("work")
        get(self.connection, "/one?units=1")
        before = host.threads()
        for _ in range(20):
            get(self.connection, "/one?units=100")
        used = {task: spent - before.get(task, 0) for task, spent in host.threads().items()}
        self.task = max(used, key=used.get)
        self.path, self.rates, self.asked = None, [], 0

    def begin(self, path):
        """Measures runs of this kind from now on."""
        self.path, self.rates = path, []
        for units in (50, 100, 200, 200, 200, 200, 200):
            self.calibrate(units)
        if not self.rates:
            raise Problem("a fifth of the limit's work is stopped already")

    def ask(self, units):
        """One request: whether it was stopped, and its CPU seconds by the kernel and by nexus."""
        start = steady(self.task)
        self.asked += 1
        status, body = get(self.connection, f"{self.path}?units={units}", f"run-{self.asked}")
        account = self.host.cpu_seconds("work", f"run-{self.asked}")
        spent = steady(self.task) - start
        if status == 200:
            return False, spent, account
        if status != 503 or STOPPED not in body:
            raise Problem(f"the app answers {status} {body.decode(errors='replace').strip()}")
        # Until the fresh guest is there.
        get(self.connection, "/one?units=1")
        return True, spent, account

    def calibrate(self, units):
        stopped, spent, _ = self.ask(units)
        if not stopped:
            self.rates = self.rates[-8:] + [units / spent]

    def run(self, factor):
        """A run of this share of the limit."""
        self.calibrate(round(statistics.median(self.rates) * LIMIT * 0.75))
        units = round(statistics.median(self.rates) * LIMIT * factor)
        stopped, spent, account = self.ask(units)
        return {"stopped": stopped, "cpu_ms": spent * 1000, "account_ms": account * 1000}


def judge(factor, results):
    """How often it was stopped, what was used, and what is beyond the tolerance."""
    faults = []
    low, high = (LIMIT - TOLERANCE) * 1000, (LIMIT + TOLERANCE) * 1000
    for result in results:
        if factor < 1 and result["stopped"] and result["cpu_ms"] < LIMIT * 1000:
            faults.append(f"stopped after {result['cpu_ms']:.1f} ms")
        if factor > 1 and not result["stopped"] and result["cpu_ms"] > high:
            faults.append(f"not stopped in {result['cpu_ms']:.1f} ms")
        # By nexus's account: by the kernel's, the fresh guest's start is in it.
        if result["stopped"] and not low <= result["account_ms"] <= high:
            faults.append(f"stopped at {result['account_ms']:.1f} ms")
    stops = [result["account_ms"] for result in results if result["stopped"]]
    return {
        "runs": len(results), "stopped": len(stops),
        "cpu_ms": statistics.median(result["cpu_ms"] for result in results if not result["stopped"]) if len(stops) < len(results) else None,
        "stop_min_ms": min(stops, default=None), "stop_max_ms": max(stops, default=None), "faults": faults,
    }


def table(result):
    """The table for people."""
    def ms(value):
        return "-" if value is None else f"{value:.1f}"

    rows = [["exactness (limit 50 ms)", "work", "runs", "stopped", "expected", "CPU ms, not stopped", "stopped at, ms"]]
    for row in result["rows"]:
        span = "-" if row["stop_min_ms"] is None else f"{ms(row['stop_min_ms'])} to {ms(row['stop_max_ms'])}"
        expected = "never" if row["factor"] < 1 else "always"
        rows.append([row["where"], f"× {row['factor']}", str(row["runs"]), str(row["stopped"]), expected, ms(row["cpu_ms"]), span])
    verdict = "; ".join(result["faults"][:5]) or "all as expected, within 10 % or 5 ms"
    return "\n".join([*lines(rows), "", verdict])
