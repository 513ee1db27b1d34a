"""Shared: what it costs an app to be served on a port that it shares with others, by its host name."""

from bench.measure import Cores

from . import fleet
from .fleet import Contender

COUNT = 100
# So many of them are asked in turn: few enough for each to be compiled as one alone would be.
SOME = 10
# Its tail of a few seconds is the machine's rather than the host's.
LONGER = 4
GOAL_REQUESTS = 0.7
GOAL_P99 = 2


def measure(program, cores, options):
    """The same apps on ports of their own and on one port: one of them asked, and some in turn."""
    count = min(COUNT, options.apps)
    some = min(SOME, count)
    own, shared = fleet.Fleet(program, count), fleet.Fleet(program, count, shared=True)
    # On a port of its own one app gets all requests, whatever their names: wrk has the same to do.
    script, anywhere = fleet.spread(some), Cores(pinned=False)
    parts = {
        "shared": {
            "own port": Contender(own, cores),
            "shared port": Contender(shared, cores),
            f"own port, {some} names": Contender(own, cores, script),
            f"shared port, {some} apps": Contender(shared, cores, script),
        },
        "shared, any core": {
            "own port, any core": Contender(own, anywhere),
            "shared port, any core": Contender(shared, anywhere),
        },
    }
    seconds = options.seconds if options.smoke else options.seconds * LONGER
    results = {}
    for part, contenders in parts.items():
        results |= fleet.alternating(part, contenders, options.rounds, seconds, options)
    names = list(results)
    rows = fleet.compare(results, dict(zip(names[1::2], names[::2])))
    ratios = rows[1]["ratios"]
    goals = [fleet.goal("requests/s on the shared port to the own one", ratios["requests_s"], least=GOAL_REQUESTS),
             fleet.goal("p99 on the shared port to the own one", ratios["p99_ms"], below=GOAL_P99)]
    return {"apps": count, "rows": rows, "goals": goals, "faults": fleet.faults(goals, options)}


def table(result):
    """The table for people."""
    return "\n".join([*fleet.table(f"shared, {result['apps']} apps", result["rows"]), "", *map(fleet.told, result["goals"])])
