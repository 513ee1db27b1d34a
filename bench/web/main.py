"""`./x bench-web`: runs each task on every server in turn, round after round, and prints what they took."""

import http.client
import json
import os
import time

from bench import measure, rounds, servers
from bench.report import lines
from tools.term import Problem

FOLDER = servers.BENCH / "web"
APP = FOLDER / "app"
NAMES = ("nexus", "workerd", "deno", "bun")
# Path, title, how often in a round.
TASKS = (
    ("/transform", "100 MB through a TransformStream", 3),
    ("/urls", "10,000 URLs", 5),
    ("/headers", "100,000 header operations", 5),
    ("/decode-ascii", "TextDecoder, 10 MB of ASCII", 5),
    ("/decode-utf8", "TextDecoder, 10 MB of UTF-8", 5),
    ("/clone", "structuredClone of 10,000 records", 5),
    ("/gzip", "gzip of 10 MB", 2),
)
JSON_TITLE = "JSON in and out, µs/request"
ORDER = json.dumps({
    "id": 4711, "customer": {"name": "Ada Lovelace", "city": "London", "tags": ["a", "b", "c"]},
    "lines": [{"sku": f"sku-{i}", "price": 100 + i, "count": i % 5 + 1, "note": "x" * 20} for i in range(20)],
})


def main(arguments):
    top = rounds.parser(
        "bench-web", "Measures what the Web APIs take, against workerd, Deno and Bun.", NAMES, smoke="one round, each task once",
        seconds=(2, "of JSON"))
    return rounds.main(top, arguments, run, table)


def run(options):
    chosen = servers.ready(options.only, options.nexus, contenders)
    cores = measure.Cores()
    return rounds.over(chosen, options.rounds, lambda server: one_round(server, cores, options))


def one_round(server, cores, options):
    told = {}
    with measure.running(server, cores) as (_, port):
        for path, title, count in TASKS:
            told[title] = task(server, cores, port, path, 1 if options.smoke else count)
        told[JSON_TITLE] = [1e6 / load(server, cores, port, options.seconds)]
    return told


def contenders(nexus):
    usual = {server.name: server for server in servers.all_servers(nexus)}
    commands = {
        "nexus": lambda port, _: [nexus, "serve", APP / "nexus", "--port", port],
        "workerd": lambda port, _: [usual["workerd"].program, "serve", workerd_config(port)],
        "deno": lambda port, _: [usual["deno"].program, "run", "--allow-net=127.0.0.1", APP / "deno.mjs", port],
        "bun": lambda port, _: [usual["bun"].program, APP / "bun.mjs", port],
    }
    return [servers.Server(name, usual[name].program, commands[name], path="/") for name in NAMES]


def workerd_config(port):
    text = (APP / "workerd.capnp.in").read_text()
    text = text.replace("@APP@", os.path.relpath(APP / "nexus", servers.WORK)).replace("@PORT@", str(port))
    path = servers.WORK / "workerd-web.capnp"
    path.write_text(text)
    return path


def task(server, cores, port, path, count):
    """Milliseconds of each run, as the client sees them, after one that does not count. None if the server cannot do it."""
    took = []
    with measure.pinned(cores.client):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        for i in range(count + 1):
            begin = time.perf_counter()
            client.request("GET", path)
            response = client.getresponse()
            body = response.read()
            if i:
                took.append((time.perf_counter() - begin) * 1000)
            if response.status != 200 or not body.strip().isdigit():
                if server.name == "nexus":
                    raise Problem(f"nexus answers {response.status} to {path}: {measure.last_line(server)}")
                client.close()
                return []
        client.close()
    return took


def load(server, cores, port, seconds):
    """Requests a second that each read a JSON body and answer with JSON."""
    script = servers.WORK / "json.lua"
    script.write_text(f"wrk.method = 'POST'\nwrk.body = [=[{ORDER}]=]\nwrk.headers['content-type'] = 'application/json'\n")
    asked = servers.Server(server.name, server.program, server.command, path="/json")
    measure.wrk(asked, cores, port, 1, 16, script)
    result = measure.parse_wrk(measure.wrk(asked, cores, port, seconds, 16, script))
    if result["failed"]:
        raise Problem(f"{server.name} failed requests under load; its last words: {measure.last_line(server)}")
    return result["requests_s"]


def table(results):
    listed = [["", *results, "nexus to the best peer"], *(rounds.row(results, title, 2) for _, title, _ in TASKS),
              rounds.row(results, JSON_TITLE, 1)]
    return "\n".join([*lines(listed), "", f"Milliseconds where nothing else is said, {rounds.medians_of(results, JSON_TITLE)}; "
                      "lower is better. -: the server cannot do it."])
