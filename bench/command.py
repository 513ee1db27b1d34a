"""What every benchmark's command has: its options, what goes where, and how it ends."""

import argparse
import json
import sys

from tools.term import Problem


def parser(name, description, smoke, told="everything that was measured", profile="dist"):
    """A parser of the options that all have."""
    top = argparse.ArgumentParser(prog=f"./x {name}", description=f"{description} bench/README.md says how, and what the figures mean.")
    top.add_argument("--nexus", metavar="PROGRAM", help=f"another build of nexus [default: target/{profile}/nexus, built now]")
    top.add_argument("--smoke", action="store_true", help=f"only see that it runs: {smoke}")
    top.add_argument("--json", action="store_true", help=f"print {told} as JSON")
    return top


def positive(text):
    """The type of an option: a whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def some(names):
    """The type of an option: some of these names, with commas between them."""
    def chosen(text):
        unknown = [name for name in text.split(",") if name not in names]
        if unknown:
            raise argparse.ArgumentTypeError(f"there is no {unknown[0]!r}: choose from {','.join(names)}")
        return set(text.split(","))
    return chosen


def add_parts(top, parts):
    """The names of the parts to measure, as arguments."""
    # argparse holds an empty list against `choices`.
    top.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(parts)} [default: all]")
    top.set_defaults(all_parts=list(parts))


def parse(top, arguments):
    """The options; everything that does not fit is refused."""
    options = top.parse_args(arguments)
    if "all_parts" in options:
        options.parts = options.parts or options.all_parts
        unknown = [part for part in options.parts if part not in options.all_parts]
        if unknown:
            raise Problem(f"there is no {unknown[0]}: choose from {', '.join(options.all_parts)}")
    if not sys.platform.startswith("linux"):
        raise Problem("the benchmarks read /proc and pin cores: they need Linux")
    return options


def conclude(options, run, table, faults=lambda results: []):
    """Runs, and prints the table or the JSON, which is all that goes to standard output; then what was wrong. The exit code."""
    output, sys.stdout = sys.stdout, sys.stderr
    try:
        results = run()
    finally:
        sys.stdout = output
    print(json.dumps(results, indent=2) if options.json else table(results))
    found = faults(results)
    for fault in found:
        print(f"x: {fault}", file=sys.stderr)
    return 1 if found else 0


def faults_of_parts(results):
    """What was wrong with each part, where a part tells."""
    return [f"{part}: {fault}" for part, result in results.items() for fault in result.get("faults", [])]


def tables_of_parts(parts):
    """The tables of the parts that were measured."""
    return lambda results: "\n\n".join(parts[part].table(result) for part, result in results.items())
