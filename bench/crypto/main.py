"""`./x bench-crypto`: runs each task on every server in turn, round after round, and prints what one of it took."""

import shutil
import statistics
from pathlib import Path

from bench import command, measure, servers
from bench.report import lines, show, times
from bench.web.main import task
from tools.term import step

APP = servers.BENCH / "crypto" / "app"
NAMES = ("nexus", "node", "deno", "bun")
# The task, its title, and how often in a request: of 1 KB, and of 1 MB.
TASKS = (
    ("digest", "SHA-256", 3000, 60),
    ("hmac", "HMAC with SHA-256", 3000, 60),
    ("encrypt", "AES-GCM, encrypt", 3000, 300),
    ("decrypt", "AES-GCM, decrypt", 3000, 300),
    ("ecdsa-sign", "ECDSA P-256, sign", 1500, 60),
    ("ecdsa-verify", "ECDSA P-256, verify", 1000, 60),
    ("ed25519-sign", "Ed25519, sign", 1500, 40),
    ("ed25519-verify", "Ed25519, verify", 1000, 40),
)
SIZES = ((1, "1 KB"), (1024, "1 MB"))


def parser():
    top = command.parser(
        "bench-crypto", "Measures what Web Crypto takes, against Node.js, Deno and Bun.", smoke="one round, each task a few times")
    top.add_argument("--rounds", type=command.positive, default=5, metavar="N", help="rounds over all servers [default: 5]")
    top.add_argument("--only", type=command.some(NAMES), default=set(NAMES), metavar="NAME,…", help=f"some of {', '.join(NAMES)}")
    return top


def main(arguments):
    options = command.parse(parser(), arguments)
    return command.conclude(options, lambda: run(options), table)


def run(options):
    rounds = 1 if options.smoke else options.rounds
    chosen = servers.ready(options.only, options.nexus, contenders)
    cores = measure.Cores()
    results = {server.name: {} for server in chosen}
    for round_ in range(rounds):
        for server in chosen:
            with step(f"round {round_ + 1} of {rounds}: {server.name}"), measure.running(server, cores) as (_, port):
                for name, title, *counts in TASKS:
                    for (size, told), count in zip(SIZES, counts):
                        count = 3 if options.smoke else count
                        took = task(server, cores, port, f"/{name}/{size}/{count}", 1)
                        results[server.name].setdefault(f"{title}, {told}", []).extend(1000 * ms / count for ms in took)
    return results


def contenders(nexus):
    usual = {server.name: server for server in servers.all_servers(nexus)}
    node = Path(shutil.which("node") or "node")
    programs = {"nexus": usual["nexus"].program, "node": node, "deno": usual["deno"].program, "bun": usual["bun"].program}
    commands = {
        "nexus": lambda port, _: [nexus, "serve", APP / "nexus", "--port", port],
        "node": lambda port, _: [node, "--no-warnings", APP / "node.mjs", port],
        "deno": lambda port, _: [programs["deno"], "run", "--allow-net=127.0.0.1", APP / "deno.mjs", port],
        "bun": lambda port, _: [programs["bun"], APP / "bun.mjs", port],
    }
    ready = "/digest/1/1"
    return [servers.Server(name, programs[name], commands[name], path=ready) for name in NAMES]


def table(results):
    listed = [["", *results, "nexus to the best peer"]]
    titles = [f"{title}, {told}" for _, title, *_ in TASKS for _, told in SIZES]
    for title in titles:
        row = {name: statistics.median(each[title]) if each.get(title) else None for name, each in results.items()}
        peers = [(value, name) for name, value in row.items() if name != "nexus" and value is not None]
        best, name = min(peers) if peers else (None, "")
        ratio = f"{times(row.get('nexus'), best)} {name}".strip()
        listed.append([title, *(show(value, 1) for value in row.values()), ratio])
    rounds = max(len(each[titles[0]]) for each in results.values())
    return "\n".join([*lines(listed), "", f"Microseconds for one, medians of {rounds} round{'s' if rounds > 1 else ''}; lower is "
                      "better. -: the server cannot do it."])
