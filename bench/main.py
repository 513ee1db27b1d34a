"""`./x bench`: takes every server in turn, round after round, and prints who did what."""

import argparse
import json
import sys

from tools.term import Problem, say, step

from . import measure, report, servers

NAMES = ("nexus", "workerd", "deno", "bun", "hyper")


def parser():
    top = argparse.ArgumentParser(
        prog="./x bench", description="Measures nexus against workerd, Deno and Bun, and bare hyper as the limit. "
        "bench/README.md says how, and what the figures mean.")
    top.add_argument("--rounds", type=positive, default=5, metavar="N", help="rounds over all servers [default: 5]")
    top.add_argument("--seconds", type=positive, default=5, metavar="S", help="load in each round [default: 5]")
    top.add_argument("--starts", type=positive, default=10, metavar="N", help="starts of each server [default: 10]")
    top.add_argument("--apps", type=positive, default=101, metavar="N", help="apps in the memory measurement [default: 101]")
    top.add_argument("--only", type=names, default=set(NAMES), metavar="NAME,…", help=f"some of {', '.join(NAMES)}")
    top.add_argument("--nexus", metavar="PROGRAM", help="another build of nexus [default: target/dist/nexus, built now]")
    top.add_argument("--smoke", action="store_true", help="only see that it runs: one round, one second, few apps")
    top.add_argument("--json", action="store_true", help="print everything that was measured as JSON")
    return top


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def names(text):
    chosen = set(text.split(","))
    if not chosen <= set(NAMES):
        raise argparse.ArgumentTypeError(f"choose from {','.join(NAMES)}")
    return chosen


def main(arguments):
    options = parser().parse_args(arguments)
    if not sys.platform.startswith("linux"):
        raise Problem("the benchmark reads /proc and pins cores: it needs Linux")
    if options.smoke:
        options.rounds, options.seconds, options.starts, options.apps = 1, 1, 2, 3
    if options.apps < 2:
        raise Problem("--apps needs at least 2, it measures what each one beyond the first costs")
    # The table or the JSON is all that goes to standard output.
    output, sys.stdout = sys.stdout, sys.stderr
    try:
        results, cores = run(options)
    finally:
        sys.stdout = output
    print(json.dumps(results, indent=2) if options.json else report.table(results, cores))
    return 0


def run(options):
    measure.raise_file_limit()
    chosen = servers.ready(options.only, options.nexus, servers.all_servers)
    cores = measure.Cores()
    if cores.shared:
        say("bench: there is one core only, so servers and wrk share it and the figures mean little")
    results = {server.name: {"rounds": [], "start_ms": [], "app_mb": None} for server in chosen}
    for round_ in range(options.rounds):
        for server in chosen:
            with step(f"round {round_ + 1} of {options.rounds}: {server.name}"):
                results[server.name]["rounds"].append(measure.load(server, cores, options.seconds))
                share = options.starts // options.rounds + (round_ < options.starts % options.rounds)
                results[server.name]["start_ms"] += measure.start_times(server, cores, share)
    for server in chosen:
        if server.many:
            with step(f"memory of an app: {server.name}"):
                results[server.name]["app_mb"] = measure.app_memory(server, cores, options.apps)
    return results, cores
