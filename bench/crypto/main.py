"""`./x bench-crypto`: runs each task on every server in turn, round after round, and prints what one of it took."""

import shutil
from pathlib import Path

from bench import measure, rounds, servers
from bench.report import lines
from bench.web.main import task

APP = servers.BENCH / "crypto" / "app"
NAMES = ("nexus", "node", "deno", "bun")
# The task, its title, and how often in a request: of 1 KB, and of 1 MB.
TASKS = (
    ("sha-1", "SHA-1", 3000, 60),
    ("sha-256", "SHA-256", 3000, 60),
    ("sha-384", "SHA-384", 3000, 60),
    ("sha-512", "SHA-512", 3000, 60),
    ("hmac-256", "HMAC with SHA-256", 3000, 60),
    ("hmac-512", "HMAC with SHA-512", 3000, 60),
    ("encrypt", "AES-GCM, encrypt", 3000, 300),
    ("decrypt", "AES-GCM, decrypt", 3000, 300),
    ("ecdsa-sign", "ECDSA P-256, sign", 1500, 60),
    ("ecdsa-verify", "ECDSA P-256, verify", 1000, 60),
    ("ed25519-sign", "Ed25519, sign", 1500, 40),
    ("ed25519-verify", "Ed25519, verify", 1000, 40),
)
SIZES = ((1, "1 KB"), (1024, "1 MB"))


def main(arguments):
    top = rounds.parser(
        "bench-crypto", "Measures what Web Crypto takes, against Node.js, Deno and Bun.", NAMES,
        smoke="one round, each task a few times")
    return rounds.main(top, arguments, run, table)


def run(options):
    chosen = servers.ready(options.only, options.nexus, contenders)
    cores = measure.Cores()
    return rounds.over(chosen, options.rounds, lambda server: one_round(server, cores, options))


def one_round(server, cores, options):
    told = {}
    with measure.running(server, cores) as (_, port):
        for name, title, *counts in TASKS:
            for (size, size_told), count in zip(SIZES, counts):
                count = 3 if options.smoke else count
                took = task(server, cores, port, f"/{name}/{size}/{count}", 1)
                told[f"{title}, {size_told}"] = [1000 * ms / count for ms in took]
    return told


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
    ready = "/sha-256/1/1"
    return [servers.Server(name, programs[name], commands[name], path=ready) for name in NAMES]


def table(results):
    titles = [f"{title}, {told}" for _, title, *_ in TASKS for _, told in SIZES]
    listed = [["", *results, "nexus to the best peer"], *(rounds.row(results, title, 1) for title in titles)]
    return "\n".join([*lines(listed), "", f"Microseconds for one, {rounds.medians_of(results, titles[0])}; lower is better. "
                      "-: the server cannot do it."])
