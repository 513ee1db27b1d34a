"""`./x bench-apps`: density, deployed, cold, shared, scale, isolation."""

from bench import command, measure, servers
from bench.command import positive
from tools.term import Problem, say

from . import cold, density, deployed, isolation, scale, shared

PARTS = {"density": density, "deployed": deployed, "cold": cold, "shared": shared, "scale": scale, "isolation": isolation}


def parser():
    top = command.parser(
        "bench-apps", "Measures many apps in one host: their memory, how fast they wake, shared ports, more workers. Exit code 1: "
        "a goal was missed.", smoke="one short round, few apps")
    command.add_parts(top, PARTS)
    top.add_argument("--rounds", type=positive, default=5, metavar="N", help="rounds of each comparison [default: 5]")
    top.add_argument("--seconds", type=positive, default=2, metavar="S", help="load in each round [default: 2]")
    top.add_argument("--apps", type=positive, default=1000, metavar="N", help="density, scale: so many apps [default: 1000]")
    top.add_argument("--starts", type=positive, default=100, metavar="N", help="cold: starts of each kind [default: 100]")
    return top


def main(arguments):
    """Measures; returns 1 if a goal was missed."""
    options = command.parse(parser(), arguments)
    if options.smoke:
        options.rounds, options.seconds, options.apps, options.starts = 1, 1, 5, 3
    if options.apps < 2:
        raise Problem("--apps needs at least 2, it measures what each one beyond the first costs")
    measure.raise_file_limit()
    cores = measure.Cores()
    return command.conclude(
        options, lambda: run(options, cores), lambda results: report(results, cores, options), command.faults_of_parts)


def run(options, cores):
    program = servers.nexus_program(options.nexus)
    servers.WORK.mkdir(parents=True, exist_ok=True)
    servers.fetch_wrk()
    if cores.shared:
        say("bench-apps: there is one core only, so servers and wrk share it and the figures mean little")
    return {part: PARTS[part].measure(program, cores, options) for part in options.parts}


def report(results, cores, options):
    """The tables for people."""
    rounds = f"{options.rounds} round{'s' if options.rounds > 1 else ''}"
    twice = ", twice as many of what scale judges" if "scale" in results and not options.smoke else ""
    note = (f"Medians of {rounds}{twice}, and of the ratios within each; the server on core {cores.server}, wrk -t1 -c64 on core "
            f"{cores.client}. Lower is better, except requests/s.{' A smoke run: nothing is judged.' if options.smoke else ''}")
    return "\n\n".join([command.tables_of_parts(PARTS)(results), note])
