"""`./x bench-limits`: exactness, latency, leaks."""

import argparse
import json
import sys

from bench.measure import raise_file_limit
from bench.servers import nexus_program
from tools.term import Problem

from . import exactness, latency, leaks

PARTS = {"exactness": exactness, "latency": latency, "leaks": leaks}


def parser():
    top = argparse.ArgumentParser(
        prog="./x bench-limits", description="Measures whether limits hold. Exit code 1: one did not. "
        "bench/README.md says how, and what the figures mean.")
    top.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)} [default: all]")
    top.add_argument("--nexus", metavar="PROGRAM", help="another build of nexus [default: target/dist/nexus, built now]")
    top.add_argument("--smoke", action="store_true", help="only see that it runs: few rounds, short loads")
    top.add_argument("--only", metavar="NAME,…", help="latency: some of " + ", ".join(latency.NAMES))
    top.add_argument("--json", action="store_true", help="print everything that was measured as JSON")
    return top


def main(arguments):
    """Measures; returns 1 if a limit did not hold."""
    options = parser().parse_args(arguments)
    parts = options.parts or list(PARTS)
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise Problem(f"there is no {unknown[0]}: choose from {', '.join(PARTS)}")
    if not sys.platform.startswith("linux"):
        raise Problem("these measurements read /proc: they need Linux")
    options.only = set((options.only or ",".join(latency.NAMES)).split(","))
    if not options.only <= set(latency.NAMES):
        raise Problem(f"--only takes some of {', '.join(latency.NAMES)}")
    raise_file_limit()
    # Tables and JSON are all that goes to standard output.
    output, sys.stdout = sys.stdout, sys.stderr
    try:
        program = nexus_program(options.nexus)
        results = {part: PARTS[part].measure(program, options) for part in parts}
    finally:
        sys.stdout = output
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        print("\n\n".join(PARTS[part].table(results[part]) for part in parts))
    faults = [f"{part}: {fault}" for part in parts for fault in results[part]["faults"]]
    for fault in faults:
        print(f"x: {fault}", file=sys.stderr)
    return 1 if faults else 0
