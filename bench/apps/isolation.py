"""Isolation: what it costs to give each request a guest of its own."""

from bench import measure as measuring

from . import fleet

WAYS = {"one guest a worker": None, "one guest a request": "request"}


def measure(program, cores, options):
    """The same app with each kind of isolation and one worker, asked by one client: its latency is what a request takes.

    Told, not judged: it is what a fresh isolate costs.
    """
    fleets = {name: fleet.Fleet(program, 1, isolation=isolation) for name, isolation in WAYS.items()}
    results = fleet.interleaved(options.rounds, "isolation", {
        name: lambda each=each: load(each, cores, options.seconds) for name, each in fleets.items()})
    first, second = WAYS
    return {"rows": fleet.compare(results, {second: first}), "goals": [], "faults": []}


def load(fleet_, cores, seconds):
    with fleet_.running(cores) as (process, port):
        return measuring.ask(fleet_, cores, process, port, seconds, connections=1)


def table(result):
    """The table for people."""
    return "\n".join(fleet.table("isolation, one client", result["rows"]))
