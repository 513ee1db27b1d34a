"""`./x bench-web`: runs each task on every server in turn, round after round, and prints what they took."""

import http.client
import json
import os
import statistics
import time

from bench import command, measure, servers
from bench.report import lines, show, times
from tools.term import Problem, step

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


def parser():
    top = command.parser(
        "bench-web", "Measures what the Web APIs take, against workerd, Deno and Bun.", smoke="one round, each task once")
    top.add_argument("--rounds", type=command.positive, default=5, metavar="N", help="rounds over all servers [default: 5]")
    top.add_argument("--seconds", type=command.positive, default=2, metavar="S", help="of JSON in each round [default: 2]")
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
                for path, title, count in TASKS:
                    took = task(server, cores, port, path, 1 if options.smoke else count)
                    results[server.name].setdefault(title, []).extend(took)
                requests_s = load(server, cores, port, 1 if options.smoke else options.seconds)
                results[server.name].setdefault(JSON_TITLE, []).append(1e6 / requests_s)
    return results


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
    listed = [["", *results, "nexus to the best peer"]]
    for title in [title for _, title, _ in TASKS] + [JSON_TITLE]:
        row = {name: statistics.median(each[title]) if each.get(title) else None for name, each in results.items()}
        peers = [(value, name) for name, value in row.items() if name != "nexus" and value is not None]
        best, name = min(peers) if peers else (None, "")
        ratio = f"{times(row.get('nexus'), best)} {name}".strip()
        decimals = 1 if title == JSON_TITLE else 2
        listed.append([title, *(show(value, decimals) for value in row.values()), ratio])
    rounds = max(len(each[JSON_TITLE]) for each in results.values())
    return "\n".join([*lines(listed), "", f"Milliseconds where nothing else is said, medians of {rounds} "
                      f"round{'s' if rounds > 1 else ''}; lower is better. -: the server cannot do it."])
