"""Exactness: guests that compute for a known share of their CPU limit, and which of them are stopped.

A unit of work is calibrated against the worker's thread's CPU time as the kernel counts it
(/proc/PID/task/TID/schedstat), again and again from the runs that were not stopped: a machine's speed changes. What a
run used is then measured by the same clock, not by nexus's own, and nexus's account is compared with it.
"""

import statistics
import threading
import time

from bench.report import lines
from tools.term import Problem, step

from .host import get, serving, steady

FACTORS = (0.5, 0.9, 1.1, 2.0)
LIMIT = 0.050
# What the limit may be missed by; and what it may be missed by where the machine may have other things to do.
TOLERANCE = max(0.1 * LIMIT, 0.005)
ROUGH = 0.6 * LIMIT
NEIGHBOURS = 9
STOPPED = b"(limit: cpu 50 ms)"


def measure(program, options):
    """Runs each factor in one turn and spread, alone and beside busy neighbours."""
    runs, tolerance = (3, ROUGH) if options.smoke else (50, TOLERANCE)
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
                            row = {"where": where, "factor": factor, **judge(factor, results, tolerance)}
                            rows.append(row)
                            faults += [f"{where}, {factor} × the limit: {fault}" for fault in row.pop("faults")]
    return {"rows": rows, "faults": faults, "tolerance": tolerance}


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
        if status == 200 and account <= LIMIT:
            return False, spent, account
        # A turn that answers and goes beyond the limit at once is answered, and its guest stopped.
        if status != 200 and (status != 503 or STOPPED not in body):
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


def judge(factor, results, tolerance):
    """How often it was stopped, what was used, and what is beyond the tolerance."""
    faults = []
    low, high, slack = (LIMIT - tolerance) * 1000, (LIMIT + tolerance) * 1000, tolerance * 1000
    for result in results:
        cpu, account = result["cpu_ms"], result["account_ms"]
        # By nexus's account: by the kernel's, the fresh guest's start may be in it.
        if result["stopped"] and not low <= account <= high:
            faults.append(f"stopped at {account:.1f} ms")
        if not result["stopped"] and cpu > high:
            faults.append(f"not stopped in {cpu:.1f} ms")
        if not result["stopped"] and abs(cpu - account) > slack:
            faults.append(f"{account:.1f} ms are charged for {cpu:.1f}")
        if result["stopped"] and factor < 1 and cpu < LIMIT * 1000:
            faults.append(f"stopped after {cpu:.1f} ms")
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
    verdict = "; ".join(result["faults"][:5]) or f"all as expected, within {result['tolerance'] * 1000:.0f} ms"
    return "\n".join([*lines(rows), "", verdict])
