"""Scale: the CPU time that a request costs, with more workers of its app, and with more apps beside it."""

from bench import measure as measuring
from bench import servers
from bench.measure import Cores

from . import fleet

WORKERS = (1, 2, 4)
# Ten per cent more than with one.
GOAL = 1.1


class Hyper(servers.Server):
    """Bare hyper with so many threads: what the kernel and the processor's caches alone make of more of them."""

    def __init__(self, threads):
        super().__init__("hyper", servers.HYPER, lambda port, _: [servers.HYPER, port, threads])

    def load(self, cores, seconds, script=None):
        """One round with a process of its own."""
        with measuring.running(self, cores) as (process, port):
            return measuring.ask(self, cores, process, port, seconds, script=script)


def measure(program, cores, options):
    """Each number of workers; each number of apps with one of them asked, and, on a shared port, with all asked in turn."""
    counts = sorted({1, min(100, options.apps), options.apps})
    workers = {counted(n, "worker"): fleet.Fleet(program, 1, workers=n) for n in WORKERS}
    anywhere = Cores(pinned=False)
    parts = {
        "workers": {name: (served, cores, None) for name, served in workers.items()},
        "workers, any core": {name: (served, anywhere, None) for name, served in workers.items()},
        "apps": {counted(n, "app"): (fleet.Fleet(program, n), cores, None) for n in counts},
        "apps in turn": {counted(n, "app"): (fleet.Fleet(program, n, shared=True), cores, fleet.spread(n)) for n in counts},
    }
    servers.build_hyper()
    if servers.HYPER.exists():
        # Right after the workers, so that the machine is in the same mood.
        parts = {"workers": parts.pop("workers"), "bare hyper": {counted(n, "thread"): (Hyper(n), cores, None) for n in WORKERS}, **parts}
    rows = {part: rounds(f"scale, {part}", contenders, options) for part, contenders in parts.items()}
    # What workers cost that run beside wrk is told, not judged; so is what all apps in turn do: each has its own code and
    # heap, and caches hold a few.
    goals = [fleet.goal(f"CPU time a request with {row['name']} to that with one", row["ratios"]["cpu_us"], below=GOAL)
             for part in ("workers", "apps") for row in rows[part][1:]]
    return {"rows": rows, "goals": goals, "faults": fleet.faults(goals, options)}


def rounds(what, contenders, options):
    """The rows of contenders, `{name: (fleet, cores, script)}`, each compared with the first one."""
    results = fleet.interleaved(options.rounds, what, {
        name: lambda way=way: way[0].load(way[1], options.seconds, way[2]) for name, way in contenders.items()})
    first, *others = results
    return fleet.compare(results, dict.fromkeys(others, first))


def counted(number, what):
    return f"{number:,} {what}{'s' if number > 1 else ''}"


def table(result):
    """The table for people."""
    tables = ["\n".join(fleet.table(f"scale: {part}", rows)) for part, rows in result["rows"].items()]
    return "\n\n".join([*tables, "\n".join(map(fleet.told, result["goals"]))])
