"""`./x bench-fetch`: what requests to others cost, against workerd, Deno and Bun, and bare hyper as the limit of a proxy."""

import http.client
import os
import shutil
import subprocess
import time
from contextlib import contextmanager

from bench import measure, rounds, servers
from bench.report import lines
from tools.processes import end, free_port
from tools.term import Problem

APP = servers.BENCH / "fetch" / "app"
NAMES = ("nexus", "workerd", "deno", "bun", "hyper")
# Path, title, how often in a round, what the answer's length is.
TASKS = (
    ("/large", "proxy of 100 MB, ms", 3, 104857600),
    ("/read", "100 MB read by the app, ms", 3, None),
    ("/parallel", "100 calls at once of 100 ms each, ms", 3, None),
    ("/calls", "2,000 calls one after another, ms", 3, None),
)
LARGE_CPU = "proxy of 100 MB, CPU ms"
PROXY, PROXY_CPU = "proxy of small bodies, requests/s", "proxy of small bodies, CPU µs/request"


def main(arguments):
    top = rounds.parser(
        "bench-fetch", "Measures what requests to others cost, against workerd, Deno and Bun.", NAMES,
        smoke="one round, each task once", seconds=(3, "of the proxy"))
    return rounds.main(top, arguments, run, table)


def run(options):
    measure.raise_file_limit()
    cores = measure.Cores()
    servers.fetch({"hyper"})
    with origin(cores) as port:
        chosen = servers.ready(options.only, options.nexus, lambda nexus: contenders(nexus, port))
        return rounds.over(chosen, options.rounds, lambda server: one_round(server, cores, options))


@contextmanager
def origin(cores):
    """The server that is asked, on the client's core: bare hyper, so that it is never what is waited for."""
    port = free_port()
    with measure.pinned(cores.client):
        process = subprocess.Popen([servers.HYPER, str(port)], stdin=subprocess.DEVNULL)
    try:
        server = servers.Server("origin", servers.HYPER, None, path="/")
        measure.first_response(server, process, port)
        yield port
    finally:
        end(process)


def one_round(server, cores, options):
    told = {}
    with measure.running(server, cores) as (process, port):
        asked = servers.Server(server.name, server.program, server.command, path="/proxy")
        load = measure.ask(asked, cores, process, port, options.seconds)
        told[PROXY], told[PROXY_CPU] = [load["requests_s"]], [load["cpu_us"]]
        for path, title, count, length in TASKS:
            # Bare hyper passes on and has no tasks.
            if server.name == "hyper" and path != "/large":
                continue
            path = "/bytes/104857600" if server.name == "hyper" else path
            count = 1 if options.smoke else count
            before = measure.processor_seconds(process.pid)
            told[title] = [task(server, cores, port, path, length) for _ in range(count + 1)][1:]
            if path in ("/large", "/bytes/104857600"):
                told[LARGE_CPU] = [(measure.processor_seconds(process.pid) - before) * 1000 / (count + 1)]
    return told


def contenders(nexus, origin_port):
    usual = {server.name: server for server in servers.all_servers(nexus)}
    where = f"http://127.0.0.1:{origin_port}"
    commands = {
        "nexus": lambda port, _: [nexus, "serve", nexus_app(where), "--port", port],
        "workerd": lambda port, _: [usual["workerd"].program, "serve", workerd_config(port, where)],
        "deno": lambda port, _: [usual["deno"].program, "run", "--allow-net=127.0.0.1", APP / "deno.mjs", port, where],
        "bun": lambda port, _: [usual["bun"].program, APP / "bun.mjs", port, where],
        "hyper": lambda port, _: [servers.HYPER, port, 1, origin_port],
    }
    return [servers.Server(name, usual[name].program, commands[name], path="/") for name in NAMES]


def nexus_app(where):
    """The app with where its requests go. None of the others has limits, so the tasks need some that are beyond the usual."""
    folder = servers.WORK / "fetch-nexus"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("index.js", "tasks.js"):
        shutil.copy(APP / name, folder / name)
    host = where.removeprefix("http://")
    (folder / "nexus.toml").write_text(
        f'[env]\nORIGIN = "{where}"\n\n[permissions]\nnet = ["{host}"]\n\n'
        '[limits]\nsubrequests = 10000\noutbound_connections = 100\ncpu = "10 s"\n')
    return folder


def workerd_config(port, where):
    text = (APP / "workerd.capnp.in").read_text()
    marks = {"@APP@": os.path.relpath(APP, servers.WORK), "@PORT@": str(port), "@ORIGIN@": where}
    for mark, value in marks.items():
        text = text.replace(mark, value)
    path = servers.WORK / "workerd-fetch.capnp"
    path.write_text(text)
    return path


def task(server, cores, port, path, length):
    """Milliseconds from the request to the end of its response."""
    with measure.pinned(cores.client):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        begin = time.perf_counter()
        client.request("GET", path)
        response = client.getresponse()
        received, buffer = 0, bytearray(1 << 20)
        while count := response.readinto(buffer):
            received += count
        took = (time.perf_counter() - begin) * 1000
        client.close()
    if response.status != 200 or (length is not None and received != length):
        raise Problem(f"{server.name} answers {response.status} to {path} with {received} bytes: {measure.last_line(server)}")
    return took


def table(results):
    limits = ("hyper",)
    tasks = [TASKS[0][1], LARGE_CPU, *(title for _, title, *_ in TASKS[1:])]
    listed = [["", *results, "nexus to the best peer", "to hyper"], rounds.row(results, PROXY, 0, max, limits),
              *(rounds.row(results, title, 1, limits=limits) for title in [PROXY_CPU, *tasks])]
    told = rounds.medians_of(results, PROXY)
    return "\n".join([*lines(listed), "", f"{told.capitalize()}; but for requests/s, lower is better."])
