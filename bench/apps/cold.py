"""Cold: from a request's first byte to its whole answer, by an app that sleeps.

That an app sleeps is nexus's own word (`nexus_app_asleep`), and so is that each request has started a guest
(`nexus_cold_starts_total`).
"""

import shutil
import socket
import statistics
import time
from pathlib import Path

from bench.limits.host import PATIENCE, hosting
from bench.measure import pinned
from bench.report import lines
from bench.servers import WORK
from tools.term import Problem, step

from . import fleet

FILES = Path(__file__).parent / "app"
CACHE = WORK / "apps-cache"
# Apps of a kind, which are asked in turn.
APPS = 10
IDLE = "500 ms"
# Between two starts: blank workers are made meanwhile, and whoever looked whether the app sleeps has gone.
PAUSE = 0.05
REQUEST = b"GET /bench HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
END = b", at /bench\n"
# Functions of the large app's bundle, of 300 bytes each.
FUNCTIONS = 350
GOAL_POOL_MS = 2
GOAL_ALONE_MS = 5


class Kind:
    """Apps that are started in one way. Their host is another one if nothing is to be `kept` on disk."""

    def __init__(self, name, title, memory="128 MB", large=False, kept=True, connected=True):
        self.name, self.title, self.memory, self.large, self.kept, self.connected = name, title, memory, large, kept, connected
        self.cold, self.warm = [], []

    def app(self, i):
        return f"{self.name}{i:02}"

    def apps(self):
        return [self.app(i) for i in range(APPS)]


def kinds():
    return [
        Kind("small", "a few files"),
        # Blank workers are made for the usual memory limit.
        Kind("alone", "a few files, without a blank worker", memory="64 MB"),
        Kind("caller", "a few files, and a new connection", connected=False),
        Kind("bundle", "and a bundle of 100 KB, compiled code kept", large=True),
        Kind("again", "and a bundle of 100 KB, compiled anew", large=True, kept=False),
    ]


def measure(program, cores, options):
    """Starts apps of each kind in turn, again and again."""
    listed = kinds()
    folders = {kept: folder(kept, [kind for kind in listed if kind.kept == kept]) for kept in (True, False)}
    shutil.rmtree(CACHE, ignore_errors=True)
    CACHE.mkdir(mode=0o700, parents=True)
    with step(f"cold: {options.starts} starts of {len(listed)} kinds of apps"), \
            served(program, cores, folders, listed, True, str(CACHE)) as kept, \
            served(program, cores, folders, listed, False, "") as other, pinned(cores.client):
        hosts = {True: kept, False: other}
        askers = {app: Asker(hosts[kind.kept], app, kind.connected) for kind in listed for app in kind.apps()}
        before = sum(map(starts, hosts.values()))
        for n in range(options.starts):
            for kind in listed:
                cold, warm = askers[kind.app(n % APPS)].wake()
                kind.cold.append(cold)
                kind.warm.append(warm)
        started = sum(map(starts, hosts.values())) - before
    if started != options.starts * len(listed):
        raise Problem(f"{options.starts * len(listed)} requests have started {started:.0f} guests")
    rows = [{"name": kind.title, "cold_ms": kind.cold, "warm_ms": kind.warm} for kind in listed]
    goals = [fleet.goal("cold start with a blank worker, median ms", statistics.median(listed[0].cold), below=GOAL_POOL_MS),
             fleet.goal("cold start without one, median ms", statistics.median(listed[1].cold), below=GOAL_ALONE_MS)]
    return {"rows": rows, "goals": goals, "faults": fleet.faults(goals, options)}


def folder(kept, listed):
    """The apps of these kinds."""
    top = fleet.FOLDERS / f"cold-{'kept' if kept else 'anew'}"
    shutil.rmtree(top, ignore_errors=True)
    for kind in listed:
        for app in kind.apps():
            write(top / app, kind)
    return top


def write(place, kind):
    """An app, whose modules nobody else has."""
    shutil.copytree(FILES, place)
    greeting = place / "greeting.js"
    greeting.write_text(greeting.read_text().replace("@NAME@", place.name))
    (place / "nexus.toml").write_text(
        f'[project]\nname = "{place.name}"\n\n[scale]\nidle = "{IDLE}"\n\n[limits]\nmemory = "{kind.memory}"\n')
    if kind.large:
        (place / "bundle.js").write_text(bundle(place.name))
        index = place / "index.js"
        index.write_text('import { total } from "./bundle.js";\n' + index.read_text() + "\nexport const loaded = total();\n")


def bundle(name):
    """A module as tools make them of many: a tenth of its functions run while it is loaded."""
    functions = [f"""\
function f{i}(value) {{
  const parts = [];
  for (let n = 0; n < value % 7; n += 1) {{
    const part = {{ app: "{name}", number: n, text: `f{i}-${{n}}`, even: n % 2 === 0 }};
    if (part.even) parts.push(part.text);
    else parts.unshift(`${{part.app}}/${{part.number}}`);
  }}
  return parts.join(", ").length + value;
}}
""" for i in range(FUNCTIONS)]
    called = " + ".join(f"f{i}({i})" for i in range(0, FUNCTIONS, 10))
    listed = ", ".join(f"f{i}" for i in range(FUNCTIONS))
    return "".join(functions) + f"export const all = [{listed}];\nexport function total() {{\n  return {called};\n}}\n"


def served(program, cores, folders, listed, kept, cache):
    names = [app for kind in listed if kind.kept == kept for app in kind.apps()]
    return hosting(program, folders[kept], names, core=cores.server, NEXUS_CACHE=cache)


def starts(host):
    """Guests that were started, of all apps."""
    return sum(value for name, value in host.metrics().items() if name.startswith("nexus_cold_starts_total{"))


class Asker:
    """Asks an app, on a connection that is kept while it sleeps, or on a new one each time."""

    def __init__(self, host, app, connected):
        self.host, self.app, self.connected = host, app, connected
        self.socket = None
        if connected:
            self.connect()
            self.ask()

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.host.ports[self.app]), timeout=PATIENCE)

    def wake(self):
        """Milliseconds of a request that finds the app asleep, and of a later one."""
        self.until_asleep()
        begin = time.perf_counter()
        if not self.connected:
            self.connect()
        self.ask()
        cold = (time.perf_counter() - begin) * 1000
        self.ask()
        begin = time.perf_counter()
        self.ask()
        warm = (time.perf_counter() - begin) * 1000
        if not self.connected:
            self.socket.close()
        return cold, warm

    def ask(self):
        self.socket.sendall(REQUEST)
        reply = b""
        while not reply.endswith(END):
            part = self.socket.recv(4096)
            if not part:
                raise Problem(f"{self.app} has closed the connection")
            reply += part
        if not reply.startswith(b"HTTP/1.1 200 "):
            raise Problem(f"{self.app} answers {reply.splitlines()[0].decode(errors='replace')}")

    def until_asleep(self):
        until = time.monotonic() + PATIENCE
        while not self.host.metrics().get(f'nexus_app_asleep{{app="{self.app}"}}'):
            if time.monotonic() > until:
                raise Problem(f"{self.app} does not fall asleep")
            time.sleep(0.01)
        time.sleep(PAUSE)


def table(result):
    """The table for people."""
    listed = [["cold, ms", "starts", "cold: median", "p90", "p99", "max", "warm: median", "p99"]]
    for row in result["rows"]:
        cold, warm = sorted(row["cold_ms"]), sorted(row["warm_ms"])
        figures = (*(quantile(cold, share) for share in (0.5, 0.9, 0.99, 1)), *(quantile(warm, share) for share in (0.5, 0.99)))
        listed.append([row["name"], str(len(cold)), *(f"{value:.2f}" for value in figures)])
    return "\n".join([*lines(listed), "", *map(fleet.told, result["goals"])])


def quantile(values, share):
    """Of sorted values."""
    return values[min(int(len(values) * share), len(values) - 1)]
