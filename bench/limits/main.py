"""`./x bench-limits`: exactness, latency, leaks."""

from bench import command
from bench.measure import raise_file_limit
from bench.servers import nexus_program

from . import exactness, latency, leaks

PARTS = {"exactness": exactness, "latency": latency, "leaks": leaks}


def parser():
    top = command.parser("bench-limits", "Measures whether limits hold. Exit code 1: one did not.", smoke="few rounds, short loads")
    command.add_parts(top, PARTS)
    top.add_argument("--only", type=command.some(latency.NAMES), default=set(latency.NAMES), metavar="NAME,…",
                     help="latency: some of " + ", ".join(latency.NAMES))
    return top


def main(arguments):
    """Measures; returns 1 if a limit did not hold."""
    options = command.parse(parser(), arguments)
    raise_file_limit()
    return command.conclude(options, lambda: run(options), command.tables_of_parts(PARTS), command.faults_of_parts)


def run(options):
    program = nexus_program(options.nexus)
    return {part: PARTS[part].measure(program, options) for part in options.parts}
