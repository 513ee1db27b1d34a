"""Many apps: their folders, how they are served and asked; and rounds that are compared, and what is to come of it."""

import contextlib
import shutil
import statistics
import time
from pathlib import Path
from typing import NamedTuple

from bench import measure as measuring
from bench.measure import median
from bench.report import lines, show, times
from bench.servers import APP, WORK, Server
from tools.processes import tree
from tools.term import Problem, step

FOLDERS = WORK / "apps"
# Seconds of load for each worker before it counts: each compiles what is hot for itself, and gets its share of the requests.
WARM = 4
# Name, key, decimals.
COLUMNS = (("requests/s", "requests_s", 0), ("CPU µs/request", "cpu_us", 2), ("p50 ms", "p50_ms", 2), ("p99 ms", "p99_ms", 2))


class Fleet(Server):
    """nexus with so many apps, each with a text of its own and workers that never end: each on a port of its own, or all on
    one port, each under a host name.

    As many workers as are asked for, neither fewer nor more: helpers that come under load would be compared, too.
    """

    def __init__(self, program, count, shared=False, workers=1, isolation=None):
        folder = FOLDERS / f"{'shared' if shared else 'own'}-{count}-{workers}-{isolation or 'worker'}"
        super().__init__("nexus", program, lambda port, _: [program, "serve", folder, "--port", port], many=True,
                         host=host if shared else None)
        self.count, self.workers, self.warm, self.log = count, workers, WARM * workers, FOLDERS / f"{folder.name}.log"
        shutil.rmtree(folder, ignore_errors=True)
        for i in range(count):
            write(folder / name(i), manifest(i, shared, workers, isolation))

    def running(self, cores):
        """All apps, once each has answered. Yields the process and the first port."""
        return measuring.running(self, cores, self.count)

    def ask(self, cores, process, port, seconds, **how):
        """Loads one in the middle of its apps, or what a script asks for; see `measure.ask`."""
        app = self.count // 2
        self.wait(process, name(app))
        # Under its name in any case: each request has as many bytes.
        return measuring.ask(self, cores, process, self.place(port, app)[0], seconds, host=host(app), **how)

    def wait(self, process, app, patience=10):
        """Until the app has all its workers, whose threads have its name."""
        until = time.monotonic() + patience
        while threads(process.pid, app) != self.workers:
            if time.monotonic() > until:
                raise Problem(f"{app} has {threads(process.pid, app)} workers and not {self.workers}")
            time.sleep(0.05)


def name(i):
    return f"app{i:04}"


def host(i):
    return f"{name(i)}.localhost"


def manifest(i, shared, workers, isolation):
    isolated = f'isolation = "{isolation}"\n' if isolation else ""
    http = f'\n[http]\nhosts = ["{host(i)}"]\n' if shared else ""
    return f'[project]\nname = "{name(i)}"\n{isolated}{http}\n[scale]\nidle = "never"\nmin_workers = {workers}\nworkers = {workers}\n'


def write(folder, text):
    """The benchmark's app, whose text has the folder's name in it."""
    shutil.copytree(APP / "nexus", folder)
    handler = folder / "handler.js"
    handler.write_text(handler.read_text().replace("Hello from", f"Hello from {folder.name} at"))
    (folder / "nexus.toml").write_text(text)


def threads(pid, app):
    """How many threads of a process and its descendants have this name."""
    names = (task / "comm" for each in tree(pid) for task in Path(f"/proc/{each}/task").iterdir())
    return sum(file.read_text().strip() == app for file in names)


def spread(count):
    """A script for wrk that asks so many apps in turn, by their host names."""
    path = WORK / f"spread-{count}.lua"
    path.write_text(f"""\
local requests, last = {{}}, 0
function init()
  for i = 0, {count - 1} do
    requests[i + 1] = wrk.format("GET", wrk.path, {{ Host = string.format("app%04d.localhost", i) }})
  end
end
function request()
  last = last % {count} + 1
  return requests[last]
end
""")
    return path


def interleaved(rounds, what, contenders):
    """Round after round, each of `{name: function}` once; `{name: [result, …]}`."""
    results = {contender: [] for contender in contenders}
    for round_ in range(rounds):
        for contender, run in contenders.items():
            with step(f"{what}, round {round_ + 1} of {rounds}: {contender}"):
                results[contender].append(run())
    return results


class Contender(NamedTuple):
    """Who is loaded, and how."""

    served: object
    cores: measuring.Cores
    script: object = None
    connections: int = 64


def alternating(what, contenders, rounds, seconds, options):
    """Rounds of `{name: Contender}`, in which each is loaded for so many seconds; `{name: [result, …]}`."""
    results = {name: [] for name in contenders}
    for round_ in range(rounds):
        with step(f"{what}, round {round_ + 1} of {rounds}"):
            for name, result in one_round(contenders, seconds, options).items():
                results[name].append(result)
    return results


def one_round(contenders, count, options):
    """A process of each that is served, all there at once, and loaded in turn, a second each: what a machine does beside
    all this changes from second to second, and hits all of them alike. Means of so many seconds; of latencies the median,
    for a second in which the machine was away says nothing else."""
    with contextlib.ExitStack() as stack:
        processes = {}
        for served, cores, *_ in contenders.values():
            if served not in processes:
                processes[served] = stack.enter_context(served.running(cores))

        def load(contender, warm):
            served, cores, script, connections = contender
            return served.ask(cores, *processes[served], 1, script=script, connections=connections, warm=warm)

        for contender in contenders.values():
            load(contender, warm=1 if options.smoke else contender.served.warm)
        seconds = {name: [] for name in contenders}
        for _ in range(count):
            for name, contender in contenders.items():
                seconds[name].append(load(contender, warm=0))
    return {name: {key: middle(key)(each[key] for each in of) for key in of[0]} for name, of in seconds.items()}


def middle(key):
    return statistics.median if key.endswith("_ms") else statistics.mean


def ratio(results, contender, base, key):
    """A contender's figures divided by another one's of the same round; the median."""
    return median([own[key] / other[key] for own, other in zip(results[contender], results[base])])


def compare(results, bases):
    """A row for each contender: medians, and what they are to its base in `{name: base}`."""
    rows = []
    for contender, rounds in results.items():
        base = bases.get(contender)
        row = {"name": contender, "base": base, "rounds": rounds, **{key: median([each[key] for each in rounds]) for _, key, _ in COLUMNS}}
        row["ratios"] = {key: ratio(results, contender, base, key) for _, key, _ in COLUMNS} if base else None
        rows.append(row)
    return rows


def table(title, rows):
    """The rows of `compare`, as lines."""
    listed = [[title, *(column for column, _, _ in COLUMNS), "to", *(column.split()[0] for column, _, _ in COLUMNS)]]
    for row in rows:
        ratios = [times(row["ratios"][key], 1) for _, key, _ in COLUMNS] if row["base"] else ["" for _ in COLUMNS]
        listed.append([row["name"], *(show(row[key], decimals) for _, key, decimals in COLUMNS), row["base"] or "", *ratios])
    return lines(listed)


def goal(what, value, least=None, below=None):
    """A figure that is to be at least so much, or below so much."""
    is_reached = value >= least if below is None else value < below
    return {"what": what, "value": value, "least": least, "below": below, "reached": is_reached}


def told(one):
    """A goal and where it stands, in a line."""
    bound = f"at least {one['least']:g}" if one["below"] is None else f"below {one['below']:g}"
    return f"{one['what']}: {one['value']:.2f}, the goal is {bound}{'' if one['reached'] else ': NOT REACHED'}"


def faults(goals, options):
    """The goals that were missed. A smoke run's figures say nothing."""
    return [] if options.smoke else [told(one) for one in goals if not one["reached"]]
