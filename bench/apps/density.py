"""Density: a thousand apps that are all awake, what each of them adds, and whether one of them is served as if it were alone."""

import time

from bench import measure as measuring
from bench import servers
from bench.measure import median
from tools.term import say, step

from . import fleet

GOAL_MB = 1.2
GOAL_REQUESTS = 0.95
# Apps of workerd's: it takes seconds for as many.
PEER_APPS = 200


def measure(program, cores, options):
    """Memory and load of an app alone, and of one among all; memory of workerd's beside it."""
    alone, many = "alone", f"one of {options.apps:,}"
    fleets = {alone: fleet.Fleet(program, 1), many: fleet.Fleet(program, options.apps)}
    results = fleet.interleaved(options.rounds, "density", {
        name: lambda served=served: one(served, cores, options.seconds) for name, served in fleets.items()})
    each = [(all_["pss_mb"] - first["pss_mb"]) / (options.apps - 1) for first, all_ in zip(results[alone], results[many])]
    rows = fleet.compare(results, {many: alone})
    goals = [fleet.goal("memory of an app, MB", median(each), below=GOAL_MB),
             fleet.goal(f"requests/s of {many} to those alone", rows[1]["ratios"]["requests_s"], least=GOAL_REQUESTS)]
    return {"apps": options.apps, "rows": rows, "app_mb": each, "workerd": workerd(program, cores, options),
            "goals": goals, "faults": fleet.faults(goals, options)}


def one(served, cores, seconds):
    """A round: the memory of all its processes when each app has answered once, and then the load."""
    with served.running(cores) as (process, port):
        time.sleep(1)
        memory = measuring.memory(process.pid) / 1e6
        return {"pss_mb": memory, **served.ask(cores, process, port, seconds)}


def workerd(program, cores, options):
    """Megabytes that each app adds to workerd; None if it is not to be had."""
    servers.fetch({"workerd"})
    peer = next(server for server in servers.all_servers(program) if server.name == "workerd")
    if not peer.program.exists():
        say("bench-apps: workerd is skipped, it is not there")
        return None
    count = min(PEER_APPS, options.apps)
    with step(f"density: memory of {count} apps of workerd"):
        return {"apps": count, "app_mb": measuring.app_memory(peer, cores, count)}


def table(result):
    """The table for people."""
    peer = result["workerd"]
    sizes = [f"memory at rest: {median([each['pss_mb'] for each in row['rounds']]):.1f} MB {row['name']}" for row in result["rows"]]
    sizes += [f"memory of an app of workerd, of {peer['apps']}: {peer['app_mb']:.2f} MB"] if peer else []
    return "\n".join([*fleet.table("density", result["rows"]), "", *sizes, *map(fleet.told, result["goals"])])
