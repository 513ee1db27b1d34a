"""`./x bench-wasm`: load, costs, apps, endless."""

import os
from pathlib import Path

from bench import command, measure, servers
from bench.command import positive
from tools import cli, prepare
from tools.term import Problem

from . import apps, contenders, costs, endless, load

PARTS = {"load": load, "costs": costs, "apps": apps, "endless": endless}


def parser():
    top = command.parser(
        "bench-wasm", "Measures WebAssembly apps, side by side with `wasmtime serve`. Exit code 1: a limit did not hold.",
        smoke="one short round, few apps, the dev profile", profile="PROFILE")
    command.add_parts(top, PARTS)
    top.add_argument("--rounds", type=positive, default=5, metavar="N", help="load, costs: rounds over all [default: 5]")
    top.add_argument("--seconds", type=positive, default=5, metavar="S", help="load: of each round [default: 5]")
    top.add_argument("--apps", type=positive, default=1001, metavar="N", help="apps in the memory measurement [default: 1001]")
    for option, names in (("--only", contenders.NAMES), ("--guests", contenders.GUESTS)):
        top.add_argument(option, type=command.some(names), default=set(names), metavar="NAME,…", help="load: some of " + ", ".join(names))
    top.add_argument("--profile", default="dist", metavar="NAME", help="cargo's profile of what is measured [default: dist]")
    return top


def main(arguments):
    """Measures; returns 1 if a limit did not hold."""
    options = command.parse(parser(), arguments)
    if options.smoke:
        options.rounds, options.seconds, options.apps, options.profile = 1, 1, min(options.apps, 20), "dev"
    if options.apps < 2:
        raise Problem("--apps needs at least 2, it measures what each one beyond the first costs")
    measure.raise_file_limit()
    # Compiled code that nobody else uses, in all processes that are started here.
    servers.WORK.mkdir(parents=True, exist_ok=True)
    os.environ["NEXUS_CACHE"] = str(servers.WORK / "wasm-cache")
    return command.conclude(options, lambda: run(options), command.tables_of_parts(PARTS), command.faults_of_parts)


def run(options):
    program = nexus(options)
    cores = measure.Cores()
    return {part: PARTS[part].measure(program, cores, options) for part in options.parts}


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
