"""Shared: what it costs an app to be served on a port that it shares with others, by its host name."""

from bench.measure import Cores

from . import fleet

COUNT = 100
# So many of them are asked in turn: few enough for each to be compiled as one alone would be.
SOME = 10
GOAL_REQUESTS = 0.7
GOAL_P99 = 2


def measure(program, cores, options):
    """The same apps on ports of their own and on one port: one of them asked, and some in turn."""
    count = min(COUNT, options.apps)
    some = min(SOME, count)
    own, shared = fleet.Fleet(program, count), fleet.Fleet(program, count, shared=True)
    # On a port of its own one app gets all requests, whatever their names: wrk has the same to do.
    script, anywhere = fleet.spread(some), Cores(pinned=False)
    names = ("own port", "shared port", f"own port, {some} names", f"shared port, {some} apps", "own port, any core",
             "shared port, any core")
    ways = ((own, cores, None), (shared, cores, None), (own, cores, script), (shared, cores, script), (own, anywhere, None),
            (shared, anywhere, None))
    results = fleet.interleaved(options.rounds, "shared", {
        name: lambda way=way: way[0].load(way[1], options.seconds, way[2]) for name, way in zip(names, ways)})
    rows = fleet.compare(results, dict(zip(names[1::2], names[::2])))
    ratios = rows[1]["ratios"]
    goals = [fleet.goal("requests/s on the shared port to the own one", ratios["requests_s"], least=GOAL_REQUESTS),
             fleet.goal("p99 on the shared port to the own one", ratios["p99_ms"], below=GOAL_P99)]
    return {"apps": count, "rows": rows, "goals": goals, "faults": fleet.faults(goals, options)}


def table(result):
    """The table for people."""
    return "\n".join([*fleet.table(f"shared, {result['apps']} apps", result["rows"]), "", *map(fleet.told, result["goals"])])
