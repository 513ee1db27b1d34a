"""`./x bench-kv`: what a call to a key-value store takes from a guest, against redb called from Rust."""

import json
import shutil
import subprocess

from bench import command, measure, rounds, servers
from bench.report import lines, show
from bench.web.main import task
from tools.term import Problem, step

FOLDER = servers.BENCH / "kv"
BARE = servers.WORK / "redb" / "release" / "bare-redb"
STORAGE = servers.WORK / "kv-storage"
# Of the app, its title, and how many calls a request makes.
TASKS = (("get", "get", 20_000), ("put", "put, one after the other", 300), ("puts", "put, 64 at once", 6_000))


def parser():
    top = command.parser(
        "bench-kv", "Measures what a call to a key-value store takes, against redb called from Rust.", smoke="one round, few calls")
    top.add_argument("--rounds", type=command.positive, default=5, metavar="N", help="rounds [default: 5]")
    return top


def main(arguments):
    return rounds.main(parser(), arguments, run, table)


def run(options):
    reason = servers.build_bare("redb", FOLDER / "redb")
    if reason:
        raise Problem(f"bare redb cannot be built: {reason}")
    cores = measure.Cores()
    servers.fetch_wrk()
    chosen = servers.ready({"nexus"}, options.nexus, contenders)
    results = {"nexus": {}, "redb": {}}
    for round_ in range(options.rounds):
        with step(f"round {round_ + 1} of {options.rounds}"):
            for name, told in (("nexus", of_nexus(chosen[0], cores, options)), ("redb", of_redb(cores, options))):
                for title, value in told.items():
                    results[name].setdefault(title, []).append(value)
    return results


def contenders(nexus):
    def line(port, _):
        return [nexus, "serve", FOLDER / "app", "--port", port, "--storage", STORAGE]
    return [servers.Server("nexus", nexus, line, path="/nothing/1")]


def of_nexus(server, cores, options):
    """Microseconds of each task's call, and of a request with one call the 99th percentile."""
    shutil.rmtree(STORAGE, ignore_errors=True)
    told = {}
    with measure.running(server, cores) as (process, port):
        task(server, cores, port, "/fill/1", 1)
        for name, _, count in TASKS:
            count = 50 if options.smoke else count
            told[name] = task(server, cores, port, f"/{name}/{count}", 1)[0] * 1000 / count
        for name in ("nothing", "get", "put"):
            asked = servers.Server(server.name, server.program, server.command, path=f"/{name}/1")
            told[f"{name}_p99"] = 1000 * measure.ask(asked, cores, process, port, 1, connections=1)["p99_ms"]
    return told


def of_redb(cores, options):
    folder = servers.WORK / "bare-redb"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with measure.pinned(cores.server):
        ran = subprocess.run([BARE, folder, "1"], capture_output=True, text=True)
    if ran.returncode:
        raise Problem(f"bare redb failed: {ran.stderr.strip()}")
    told = json.loads(ran.stdout)
    return {**{name: told[name]["us"] for name, _, _ in TASKS}, **{f"{name}_p99": told[name]["p99_us"] for name in ("get", "put")}}


def table(results):
    own, bare = ({title: measure.median(values) for title, values in results[name].items()} for name in ("nexus", "redb"))
    titles = [(name, f"{title}, µs a call", 2 if name == "get" else 1) for name, title, _ in TASKS]
    titles += [("get_p99", "get, p99 µs", 1), ("put_p99", "put, p99 µs", 1), ("nothing_p99", "no call, p99 µs", 1)]
    listed = [["", "nexus", "redb", "more"]]
    for name, title, decimals in titles:
        values = own.get(name), bare.get(name)
        more = None if None in values else values[0] - values[1]
        listed.append([title, *(show(value, decimals) for value in (*values, more))])
    return "\n".join([*lines(listed), "", f"Medians of {len(results['nexus']['get'])} rounds, 10,000 keys, values of 100 bytes. The 99th "
                      "percentiles of nexus are of HTTP requests that make one call, or none; those of redb of the call."])
