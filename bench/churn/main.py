"""`./x bench-churn`."""

import random

from bench import command
from bench.measure import raise_file_limit
from bench.report import lines
from bench.servers import nexus_program

from . import driver

DEPLOYS = ("deploy", "deploy again", "deploy old", "deploy twice", "move", "add")
ROWS = (
    ("deploys, of them first versions", (DEPLOYS, ("add",))),
    ("deploys that are refused", (("deploy broken", "deploy stopped", "deploy over", "conflict", "upload cut"),)),
    ("rollbacks", (("rollback", "rollback to"),)),
    ("removals, and what was added again", (("remove",), ("add",))),
    ("stops, starts", (("stop",), ("start",))),
    ("reloads", (("edit by rename", "edit one file", "edit burst", "edit in place", "edit broken", "edit file gone"),)),
    ("reloads that are refused", (("edit broken", "edit file gone"),)),
)
ANSWERS = {
    "absent": "503, not available", "stopped": "503, stopped", "limit": "503, at a limit", "broken": "broken off", "left": "left alone",
    "closed": "closed connections", "refused": "refused connections",
}
CRASHES = ("cpu", "memory", "spin", "grow", "throw", "recursion", "cut", "trap", "recurse")


def parser():
    top = command.parser(
        "bench-churn", "Deploys, reloads, removes and crashes apps under load, and holds every answer against a model. Exit code 1: "
        "something was wrong.", smoke="fifteen seconds, without a judgement of memory", told="everything that was counted")
    top.add_argument("--seed", type=int, metavar="N", help="has the same decisions made again [default: any]")
    top.add_argument("--seconds", type=command.positive, default=300, metavar="S", help="how long [default: 300]")
    return top


def main(arguments):
    """Churns; returns 1 if something was wrong."""
    options = command.parse(parser(), arguments)
    if options.smoke:
        options.seconds = 15
    if options.seed is None:
        options.seed = random.randrange(1 << 32)
    raise_file_limit()
    return command.conclude(
        options, lambda: driver.measure(nexus_program(options.nexus), options), table, lambda result: result["faults"])


def table(result):
    """The table for people."""
    count = lambda names, of: f"{sum(of.get(name, 0) for name in names):,}"
    rows = [[f"churn, {result['seconds']} s, seed {result['seed']}", "count"]]
    rows += [[name, ", ".join(count(names, result["events"]) for names in groups)] for name, groups in ROWS]
    requests = result["requests"]
    rows += [
        ["apps that fell asleep, cold starts", f"{result['sleeps']:,.0f}, {result['cold_starts']:,.0f}"],
        ["crashes, of them guests that were stopped", f"{count(CRASHES, requests)}, {count(('cpu', 'memory', 'spin', 'grow'), requests)}"],
        ["clients that left", count(("leave", "leave-upload"), requests)],
        ["requests", f"{sum(requests.values()):,}"],
    ]
    rows += [[f"  {ANSWERS.get(name, name)}", f"{number:,}"] for name, number in sorted(result["answers"].items())]
    times = [f"{value:.1f}" for value in result["latency_ms"].values() if value is not None]
    rows.append(["latency of the plain ones: p50, p99, max", ", ".join(times) + " ms"])
    looks = [["at rest", "memory MB", "threads", "descriptors", "workers"]]
    looks += [[f"after part {i + 1}", f"{look['memory'] / 1e6:.1f}", f"{look['threads']}", f"{look['descriptors']}", f"{look['workers']:.0f}"]
              for i, look in enumerate(result["looks"])]
    never = [f"never: {', '.join(result['never'])}", ""] if result["never"] else []
    wrong = sum(result["fault_counts"].values())
    return "\n".join([*lines(rows), "", *lines(looks), "", *never, f"{wrong:,} faults, see below" if wrong else "every answer was right, and nothing is held"])
