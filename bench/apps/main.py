"""`./x bench-apps`: density, cold, shared, scale, isolation."""

import argparse
import json
import sys

from bench import measure, servers
from bench.main import positive
from tools.term import Problem, say

from . import cold, density, isolation, scale, shared

PARTS = {"density": density, "cold": cold, "shared": shared, "scale": scale, "isolation": isolation}


def parser():
    top = argparse.ArgumentParser(
        prog="./x bench-apps", description="Measures many apps in one host: their memory, how fast they wake, shared ports, "
        "more workers. Exit code 1: a goal was missed. bench/README.md says how, and what the figures mean.")
    top.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)} [default: all]")
    top.add_argument("--rounds", type=positive, default=5, metavar="N", help="rounds of each comparison [default: 5]")
    top.add_argument("--seconds", type=positive, default=2, metavar="S", help="load in each round [default: 2]")
    top.add_argument("--apps", type=positive, default=1000, metavar="N", help="density, scale: so many apps [default: 1000]")
    top.add_argument("--starts", type=positive, default=100, metavar="N", help="cold: starts of each kind [default: 100]")
    top.add_argument("--nexus", metavar="PROGRAM", help="another build of nexus [default: target/dist/nexus, built now]")
    top.add_argument("--smoke", action="store_true", help="only see that it runs: one short round, few apps")
    top.add_argument("--json", action="store_true", help="print everything that was measured as JSON")
    return top


def main(arguments):
    """Measures; returns 1 if a goal was missed."""
    options = parser().parse_args(arguments)
    parts = options.parts or list(PARTS)
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise Problem(f"there is no {unknown[0]}: choose from {', '.join(PARTS)}")
    if not sys.platform.startswith("linux"):
        raise Problem("these measurements read /proc and pin cores: they need Linux")
    if options.smoke:
        options.rounds, options.seconds, options.apps, options.starts = 1, 1, 5, 3
    if options.apps < 2:
        raise Problem("--apps needs at least 2, it measures what each one beyond the first costs")
    measure.raise_file_limit()
    # Tables and JSON are all that goes to standard output.
    output, sys.stdout = sys.stdout, sys.stderr
    try:
        results, cores = run(parts, options)
    finally:
        sys.stdout = output
    print(json.dumps(results, indent=2) if options.json else report(results, cores, options))
    faults = [f"{part}: {fault}" for part in parts for fault in results[part]["faults"]]
    for fault in faults:
        print(f"x: {fault}", file=sys.stderr)
    return 1 if faults else 0


def run(parts, options):
    program = servers.nexus_program(options.nexus)
    servers.WORK.mkdir(parents=True, exist_ok=True)
    servers.fetch_wrk()
    cores = measure.Cores()
    if cores.shared:
        say("bench-apps: there is one core only, so servers and wrk share it and the figures mean little")
    return {part: PARTS[part].measure(program, cores, options) for part in parts}, cores


def report(results, cores, options):
    """The tables for people."""
    rounds = f"{options.rounds} round{'s' if options.rounds > 1 else ''}"
    note = (f"Medians of {rounds}, and of the ratios within each; the server on core {cores.server}, wrk -t1 -c64 on core "
            f"{cores.client}. Lower is better, except requests/s.{' A smoke run: nothing is judged.' if options.smoke else ''}")
    return "\n\n".join([*(PARTS[part].table(result) for part, result in results.items()), note])
