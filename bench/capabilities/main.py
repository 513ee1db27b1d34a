"""`./x bench-capabilities`: what calls to stores take from a guest, beside redb and SQLite called from Rust, and calls to other
apps beside HTTP over loopback."""

import http.client
import json
import os
import shutil
import subprocess

from bench import command, measure, rounds, servers
from bench.report import lines, show
from tools.term import Problem, step

FOLDER = servers.BENCH / "capabilities"
BARE = servers.WORK / "stores" / "release" / "bare-stores"
STORAGE = servers.WORK / "capabilities-storage"
# The apps, one port after the other.
APPS = ("app", "callee", "guest")
# Title, name, which guests do it, how many calls the mean is of, and the 99th percentile of single ones.
STORES = (
    ("kv get", "get", ("js", "wasm"), 50_000, 3_000),
    ("kv put", "put", ("js", "wasm"), 1_000, 1_000),
    ("kv put, 64 at once", "puts", ("js",), 6_000, 6_000),
    ("sql select by key", "select", ("js", "wasm"), 50_000, 3_000),
    ("sql insert", "insert", ("js", "wasm"), 1_000, 1_000),
    ("sql insert, 64 at once", "inserts", ("js",), 6_000, 6_000),
)
# Those that bare Rust does on another thread, too, and waits for it.
APART = {"put": "put_apart", "insert": "insert_apart"}
# Inside and over loopback.
CALLS = (
    ("one after the other", "call", "http", ("js", "wasm"), 20_000, 2_000),
    ("64 at once", "call64", "http64", ("js",), 20_000, 10_000),
)
GUESTS = {"js": "JS", "wasm": "Wasm"}


def parser():
    top = command.parser(
        "bench-capabilities", "Measures what calls to stores and to other apps take, against redb and SQLite called from Rust, and "
        "against HTTP over loopback.", smoke="one round, few calls")
    top.add_argument("--rounds", type=command.positive, default=5, metavar="N", help="rounds [default: 5]")
    return top


def main(arguments):
    return rounds.main(parser(), arguments, run, table)


def run(options):
    reason = servers.build_bare("stores", FOLDER / "bare")
    if reason:
        raise Problem(f"bare redb and SQLite cannot be built: {reason}")
    cores = measure.Cores()
    server = contender(servers.nexus_program(options.nexus))
    # Compiled code that nobody else uses.
    os.environ["NEXUS_CACHE"] = str(servers.WORK / "capabilities-cache")
    results = {**{guest: {} for guest in GUESTS}, "bare": {}}
    for round_ in range(options.rounds):
        with step(f"round {round_ + 1} of {options.rounds}"):
            for name, told in {**of_nexus(server, cores, options), "bare": of_bare(cores, options)}.items():
                for task, values in told.items():
                    for title, value in values.items():
                        results[name].setdefault(task, {}).setdefault(title, []).append(value)
    return results


def contender(nexus):
    def line(port, _):
        return [nexus, "serve", *(FOLDER / app for app in APPS), "--port", port, "--storage", STORAGE]
    return servers.Server("nexus", nexus, line, path="/nothing/1/1")


def of_nexus(server, cores, options):
    """Of each guest what each task told: microseconds of a call, calls a second, the 99th percentiles."""
    shutil.rmtree(STORAGE, ignore_errors=True)
    told = {guest: {} for guest in GUESTS}
    tasks = [("nothing", tuple(GUESTS), 50_000, 3_000), *(task[1:] for task in STORES)]
    tasks += [(name, *rest) for _, inside, loopback, *rest in CALLS for name in (inside, loopback)]
    with measure.running(server, cores, len(APPS)) as (_, port):
        ports = {"js": port, "wasm": port + APPS.index("guest")}
        callee = port + APPS.index("callee")
        for guest in GUESTS:
            ask(server, cores, ports[guest], "/fill")
        for name, guests, count, samples in tasks:
            few = 200 if options.smoke else None
            for guest in guests:
                # The first time does not count.
                ask(server, cores, ports[guest], f"/{name}/{few or max(count // 10, 100)}/100/{callee}")
                told[guest][name] = ask(server, cores, ports[guest], f"/{name}/{few or count}/{few or samples}/{callee}")
    return told


def ask(server, cores, port, path):
    """What a task answers."""
    with measure.pinned(cores.client):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        client.request("GET", path)
        response = client.getresponse()
        body = response.read()
        client.close()
    if response.status != 200:
        raise Problem(f"nexus answers {response.status} to {path}: {measure.last_line(server)}")
    return json.loads(body)


def of_bare(cores, options):
    folder = servers.WORK / "bare-stores"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with measure.pinned(cores.server):
        ran = subprocess.run([BARE, folder, "0.2" if options.smoke else "1"], capture_output=True, text=True)
    if ran.returncode:
        raise Problem(f"bare redb and SQLite failed: {ran.stderr.strip()}")
    return json.loads(ran.stdout)


def table(results):
    def of(name, task, title):
        return measure.median(results[name].get(task, {}).get(title))

    listed = [["µs", *GUESTS.values(), "bare", "bare, 2 threads", *(f"{guest} more" for guest in GUESTS.values()),
               *(f"{guest}, a second" for guest in GUESTS.values())]]
    for title, task in [*(store[:2] for store in STORES), ("nothing", "nothing")]:
        short = of("js", task, "groups_us") is not None
        for told, kind in (("a call", "us"), ("p99", "p99_us"), ("p99 of groups of 50", "groups_us")):
            if kind == "groups_us" and not short:
                continue
            values, bare = [of(name, task, kind) for name in GUESTS], of("bare", task, kind)
            apart = of("bare", APART.get(task), kind)
            more = [None if None in (value, bare) else value - bare for value in values]
            rates = [of(guest, task, "per_second") if kind == "us" else None for guest in GUESTS]
            decimals = 2 if short else 1
            shown = [*(show(value, decimals) for value in (*values, bare, apart, *more)), *(show(rate, 0) for rate in rates)]
            listed.append([f"{title}, {told}", *shown])
    calls = [["µs", "inside", "loopback", "ratio", "inside, a second", "loopback, a second"]]

    def call(title, name, inside, loopback):
        for told, kind in (("a call", "us"), ("p99", "p99_us")):
            own, other = (of(name, task, kind) for task in (inside, loopback))
            rates = [of(name, task, "per_second") if kind == "us" else None for task in (inside, loopback)]
            ratio = f"× {other / own:.1f}" if own and other else "-"
            shown = [show(own, 1), show(other, 1), ratio, *(show(rate, 0) for rate in rates)]
            calls.append([f"{title}, {told}", *shown])

    for title, inside, loopback, guests, _, _ in CALLS:
        for guest in guests:
            call(f"{GUESTS[guest]}, {title}", guest, inside, loopback)
    call("two threads that do nothing", "bare", "hand_over", "hand_over_tcp")
    count = len(results["js"]["get"]["us"])
    return "\n".join([
        *lines(listed), "", *lines(calls), "",
        f"Medians of {count} round{'s' if count > 1 else ''}; 10,000 keys and rows, values of 100 bytes. more: than bare. 2 threads: the "
        "caller waits for another one that writes. p99 of groups: of the means of calls in a row. Writes at once: the p99 of bare is "
        "of their one commit. ratio: loopback to inside."])
