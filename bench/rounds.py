"""What the benchmarks have that take every server in turn, round after round: their options, the rounds, the table's rows."""

from tools.term import step

from . import command, measure
from .report import show, times


def parser(name, description, names, smoke, seconds=None):
    """A parser with the options that all of them have; `seconds` is the default of --seconds and what is measured so long."""
    top = command.parser(name, description, smoke=smoke)
    top.add_argument("--rounds", type=command.positive, default=5, metavar="N", help="rounds over all servers [default: 5]")
    if seconds:
        default, told = seconds
        top.add_argument(
            "--seconds", type=command.positive, default=default, metavar="S", help=f"{told} in each round [default: {default}]")
    top.add_argument("--only", type=command.some(names), default=set(names), metavar="NAME,…", help=f"some of {', '.join(names)}")
    return top


def main(top, arguments, run, table):
    """Parses the arguments, runs, and shows. With --smoke there is one round, of one second."""
    options = command.parse(top, arguments)
    if options.smoke:
        options.rounds = 1
        if "seconds" in options:
            options.seconds = 1
    return command.conclude(options, lambda: run(options), table)


def over(chosen, rounds, one_round):
    """What `one_round(server)` measured, a list for each title, of each server: `{server: {title: [value]}}`."""
    results = {server.name: {} for server in chosen}
    for round_ in range(rounds):
        for server in chosen:
            with step(f"round {round_ + 1} of {rounds}: {server.name}"):
                for title, values in one_round(server).items():
                    results[server.name].setdefault(title, []).extend(values)
    return results


def row(results, title, decimals, best=min, limits=()):
    """A row of the table: each server's median, then nexus divided by the best peer, then by each of `limits`, which are none."""
    medians = {name: measure.median(each[title]) if each.get(title) else None for name, each in results.items()}
    peers = [(value, name) for name, value in medians.items() if name not in ("nexus", *limits) and value is not None]
    value, name = best(peers) if peers else (None, "")
    own = medians.get("nexus")
    return [title, *(show(value, decimals) for value in medians.values()), f"{times(own, value)} {name}".strip(),
            *(times(own, medians.get(name)) for name in limits)]


def medians_of(results, title):
    """`medians of 5 rounds`, by what is measured once in each."""
    rounds = max(len(each.get(title, ())) for each in results.values())
    return f"medians of {rounds} round{'s' if rounds > 1 else ''}"
