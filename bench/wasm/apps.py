"""Apps: what each deployed app of the C guest beyond the first adds to the host's memory, when all have answered once."""

from bench import measure as measuring
from tools.term import step

from . import contenders

GOAL_KB = 150


def measure(program, cores, options):
    """Memory of one app and of many, each on a port of its own."""
    server = contenders.all_servers(program, "c")[0]
    with step(f"memory of {options.apps:,} apps"):
        app = measuring.app_memory(server, cores, options.apps)
    return {"apps": options.apps, "app_kb": app * 1000}


def table(result):
    """The one figure."""
    return (f"an idle app of the C guest, of {result['apps']:,} that have each answered once: {result['app_kb']:.0f} KB, "
            f"the goal is below {GOAL_KB} KB")
