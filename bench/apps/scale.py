"""Scale: the CPU time that a request costs, with more workers of its app, with more apps beside it, with more connections."""

import contextlib
import statistics
from typing import NamedTuple

from bench import measure as measuring
from bench import servers
from bench.measure import Cores
from tools.term import step

from . import fleet

WORKERS = (1, 2, 4)
CONNECTIONS = (64, 256, 1000)
# Ten per cent more than with one.
GOAL = 1.1
# Seconds of load for each worker before it counts.
WARM = 4
# What is judged is loaded for four times the seconds that are asked for: from one second to the next more than a tenth
# changes on a machine that others use, too.
JUDGED = ("workers", "apps")
LONGER = 4


class Hyper(servers.Server):
    """Bare hyper with so many threads: what the kernel and the processor's caches alone make of more of them."""

    def __init__(self, threads):
        super().__init__("hyper", servers.HYPER, lambda port, _: [servers.HYPER, port, threads])
        self.workers, self.log = threads, fleet.FOLDERS / f"hyper-{threads}.log"

    def running(self, cores):
        """Yields the process and the port."""
        return measuring.running(self, cores)

    def ask(self, cores, process, port, seconds, **how):
        """Loads it, see `measure.ask`."""
        return measuring.ask(self, cores, process, port, seconds, **how)


class Contender(NamedTuple):
    """Who is loaded, and how."""

    served: object
    cores: Cores
    script: object = None
    connections: int = 64


def measure(program, cores, options):
    """Each number of workers; each number of apps with one of them asked, and, on a shared port, with all asked in turn;
    each number of connections to one worker."""
    counts = sorted({1, min(100, options.apps), options.apps})
    workers = {counted(n, "worker"): fleet.Fleet(program, 1, workers=n) for n in WORKERS}
    anywhere = Cores(pinned=False)
    one, spread = workers["1 worker"], fleet.spread
    parts = {
        "workers": {name: Contender(served, cores) for name, served in workers.items()},
        "workers, any core": {name: Contender(served, anywhere) for name, served in workers.items()},
        "apps": {counted(n, "app"): Contender(fleet.Fleet(program, n), cores) for n in counts},
        "apps in turn": {counted(n, "app"): Contender(fleet.Fleet(program, n, shared=True), cores, spread(n)) for n in counts},
        "connections": {counted(n, "connection"): Contender(one, cores, connections=n) for n in CONNECTIONS},
    }
    servers.build_hyper()
    if servers.HYPER.exists():
        # Right after its match, so that the machine is in the same mood.
        threads = {counted(n, "thread"): Contender(Hyper(n), cores) for n in WORKERS}
        bare = Hyper(1)
        parts = {"workers": parts.pop("workers"), "bare hyper, threads": threads, **parts,
                 "bare hyper, connections": {counted(n, "connection"): Contender(bare, cores, connections=n) for n in CONNECTIONS}}
    rows = {part: rounds(part, contenders, options) for part, contenders in parts.items()}
    # What workers cost that run beside wrk is told, not judged; so is what all apps in turn do: each has its own code and
    # heap, and caches hold a few.
    goals = [fleet.goal(f"CPU time a request with {row['name']} to that with one", row["ratios"]["cpu_us"], below=GOAL)
             for part in JUDGED for row in rows[part][1:]]
    return {"rows": rows, "goals": goals, "faults": fleet.faults(goals, options)}


def rounds(part, contenders, options):
    """The rows of contenders, `{name: Contender}`, each compared with the first one."""
    results = {name: [] for name in contenders}
    for round_ in range(options.rounds):
        with step(f"scale, {part}, round {round_ + 1} of {options.rounds}"):
            seconds = options.seconds if options.smoke else options.seconds * (LONGER if part in JUDGED else 1)
            for name, result in one_round(contenders, seconds, options).items():
                results[name].append(result)
    first, *others = results
    return fleet.compare(results, dict.fromkeys(others, first))


def one_round(contenders, count, options):
    """A process of each that is served, all there at once, and loaded in turn, a second each: what a machine does beside
    all this changes from second to second, and hits all of them alike. The means of so many seconds."""
    with contextlib.ExitStack() as stack:
        processes = {}
        for served, cores, *_ in contenders.values():
            if served not in processes:
                processes[served] = stack.enter_context(served.running(cores))

        def load(contender, warm):
            served, cores, script, connections = contender
            return served.ask(cores, *processes[served], 1, script=script, connections=connections, warm=warm)

        for contender in contenders.values():
            # Each worker compiles what is hot for itself, and gets its share of the requests only.
            load(contender, warm=1 if options.smoke else WARM * contender.served.workers)
        seconds = {name: [] for name in contenders}
        for _ in range(count):
            for name, contender in contenders.items():
                seconds[name].append(load(contender, warm=0))
    return {name: {key: statistics.mean(each[key] for each in of) for key in of[0]} for name, of in seconds.items()}


def counted(number, what):
    return f"{number:,} {what}{'s' if number > 1 else ''}"


def table(result):
    """The table for people."""
    tables = ["\n".join(fleet.table(f"scale: {part}", rows)) for part, rows in result["rows"].items()]
    return "\n\n".join([*tables, "\n".join(map(fleet.told, result["goals"]))])
