"""Scale: the CPU time that a request costs, with more workers of its app, and with more apps beside it."""

from bench.measure import Cores

from . import fleet

WORKERS = (1, 2, 4)
# Ten per cent more than with one.
GOAL = 1.1


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
