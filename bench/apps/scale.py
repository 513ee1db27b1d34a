"""Scale: the CPU time that a request costs, with more workers of its app, with more apps beside it, with more connections."""

from bench import measure as measuring
from bench import servers
from bench.measure import Cores

from . import fleet
from .fleet import Contender

WORKERS = (1, 2, 4)
CONNECTIONS = (64, 256, 1000)
# Ten per cent more than with one.
GOAL = 1.1
# What is judged has twice the rounds, of twice the seconds: from one second to the next, and from one process to the
# next, more than a tenth changes on a machine that others use, too.
JUDGED = ("workers", "apps")
MORE = 2


class Hyper(servers.Server):
    """Bare hyper with so many threads: what the kernel and the processor's caches alone make of more of them."""

    def __init__(self, threads):
        super().__init__("hyper", servers.HYPER, lambda port, _: [servers.HYPER, port, threads])
        self.warm, self.log = 1, fleet.FOLDERS / f"hyper-{threads}.log"

    def running(self, cores):
        """Yields the process and the port."""
        return measuring.running(self, cores)

    def ask(self, cores, process, port, seconds, **how):
        """Loads it, see `measure.ask`."""
        return measuring.ask(self, cores, process, port, seconds, **how)


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
    more = MORE if part in JUDGED and not options.smoke else 1
    results = fleet.alternating(f"scale, {part}", contenders, options.rounds * more, options.seconds * more, options)
    first, *others = results
    return fleet.compare(results, dict.fromkeys(others, first))


def counted(number, what):
    return f"{number:,} {what}{'s' if number > 1 else ''}"


def table(result):
    """The table for people."""
    tables = ["\n".join(fleet.table(f"scale: {part}", rows)) for part, rows in result["rows"].items()]
    return "\n\n".join([*tables, "\n".join(map(fleet.told, result["goals"]))])
