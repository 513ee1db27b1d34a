"""`./x bench-wasm`: load, costs, apps, endless."""

import argparse
import json
import os
import sys
from pathlib import Path

from bench import measure, servers
from bench.main import positive
from tools import cli, prepare
from tools.term import Problem

from . import apps, contenders, costs, endless, load

PARTS = {"load": load, "costs": costs, "apps": apps, "endless": endless}


def parser():
    top = argparse.ArgumentParser(
        prog="./x bench-wasm", description="Measures WebAssembly apps, side by side with `wasmtime serve`. "
        "Exit code 1: a limit did not hold. bench/README.md says how, and what the figures mean.")
    top.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)} [default: all]")
    top.add_argument("--rounds", type=positive, default=5, metavar="N", help="load, costs: rounds over all [default: 5]")
    top.add_argument("--seconds", type=positive, default=5, metavar="S", help="load: of each round [default: 5]")
    top.add_argument("--apps", type=positive, default=1001, metavar="N", help="apps in the memory measurement [default: 1001]")
    top.add_argument("--only", metavar="NAME,…", help="load: some of " + ", ".join(contenders.NAMES))
    top.add_argument("--guests", metavar="NAME,…", help="load: some of " + ", ".join(contenders.GUESTS))
    top.add_argument("--profile", default="dist", metavar="NAME", help="cargo's profile of what is measured [default: dist]")
    top.add_argument("--nexus", metavar="PROGRAM", help="another build of nexus [default: target/PROFILE/nexus, built now]")
    top.add_argument("--smoke", action="store_true", help="only see that it runs: one short round, few apps, the dev profile")
    top.add_argument("--json", action="store_true", help="print everything that was measured as JSON")
    return top


def main(arguments):
    """Measures; returns 1 if a limit did not hold."""
    options = parser().parse_args(arguments)
    parts = options.parts or list(PARTS)
    some(parts, PARTS, "PART")
    options.only = some((options.only or ",".join(contenders.NAMES)).split(","), contenders.NAMES, "--only")
    options.guests = some((options.guests or ",".join(contenders.GUESTS)).split(","), contenders.GUESTS, "--guests")
    if not sys.platform.startswith("linux"):
        raise Problem("the benchmark reads /proc and pins cores: it needs Linux")
    if options.smoke:
        options.rounds, options.seconds, options.apps, options.profile = 1, 1, min(options.apps, 20), "dev"
    if options.apps < 2:
        raise Problem("--apps needs at least 2, it measures what each one beyond the first costs")
    measure.raise_file_limit()
    # Compiled code that nobody else uses, in all processes that are started here.
    servers.WORK.mkdir(parents=True, exist_ok=True)
    os.environ["NEXUS_CACHE"] = str(servers.WORK / "wasm-cache")
    # Tables and JSON are all that goes to standard output.
    output, sys.stdout = sys.stdout, sys.stderr
    try:
        program = nexus(options)
        cores = measure.Cores()
        results = {part: PARTS[part].measure(program, cores, options) for part in parts}
    finally:
        sys.stdout = output
    if options.json:
        print(json.dumps(results, indent=2))
    else:
        print("\n\n".join(PARTS[part].table(results[part]) for part in parts))
    faults = [f"{part}: {fault}" for part in parts for fault in results[part].get("faults", [])]
    for fault in faults:
        print(f"x: {fault}", file=sys.stderr)
    return 1 if faults else 0


def some(chosen, names, what):
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise Problem(f"{what}: there is no {unknown[0]}: choose from {', '.join(names)}")
    return set(chosen)


def nexus(options):
    """The program to measure, built unless one was named."""
    if not options.nexus:
        prepare.ready()
        if cli.cargo("build", "--locked", "--profile", options.profile, "--bin", "nexus"):
            raise Problem("nexus does not build")
    program = Path(options.nexus).resolve() if options.nexus else contenders.built(options.profile) / "nexus"
    if not program.exists():
        raise Problem(f"there is no {program}")
    return program
