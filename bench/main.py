"""`./x bench`: takes every server in turn, round after round, and prints who did what."""

from tools.term import Problem, say, step

from . import command, measure, report, rounds, servers

NAMES = ("nexus", "workerd", "deno", "bun", "hyper")


def parser():
    top = rounds.parser(
        "bench", "Measures nexus against workerd, Deno and Bun, and bare hyper as the limit.", NAMES,
        smoke="one round, one second, few apps", seconds=(5, "load"))
    top.add_argument("--starts", type=command.positive, default=10, metavar="N", help="starts of each server [default: 10]")
    top.add_argument("--apps", type=command.positive, default=101, metavar="N", help="apps in the memory measurement [default: 101]")
    return top


def main(arguments):
    options = command.parse(parser(), arguments)
    if options.smoke:
        options.rounds, options.seconds, options.starts, options.apps = 1, 1, 2, 3
    if options.apps < 2:
        raise Problem("--apps needs at least 2, it measures what each one beyond the first costs")
    cores = measure.Cores()
    return command.conclude(options, lambda: run(options, cores), lambda results: report.table(results, cores))


def run(options, cores):
    measure.raise_file_limit()
    chosen = servers.ready(options.only, options.nexus, servers.all_servers)
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
    return results
