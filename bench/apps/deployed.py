"""Deployed: as many apps that come by the control API, all in one host: what a deploy takes, what each app holds, and how
long a start takes that serves them again, beside one of the same apps from folders."""

import http.client
import io
import json
import shutil
import socket
import statistics
import tarfile
import tempfile
import time
from pathlib import Path

from bench import measure as measuring
from bench.limits.host import PATIENCE, hosting
from bench.measure import pinned
from bench.report import lines
from tools.term import Problem, step

from . import fleet
from .cold import quantile


class Control(http.client.HTTPConnection):
    """A connection to the control API's socket, and the ports of the apps that were deployed over it."""

    def __init__(self, path):
        super().__init__("nexus", timeout=PATIENCE)
        self.path, self.ports = str(path), {}

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def put(self, app, upload):
        """Deploys an app, which serves then; milliseconds."""
        begin = time.perf_counter()
        self.request("PUT", f"/v1/apps/{app}", upload)
        response = self.getresponse()
        answer = json.loads(response.read())
        if response.status != 200 or not answer["app"]["url"]:
            raise Problem(f"deploying {app} is answered with {response.status}: {answer}")
        self.ports[app] = int(answer["app"]["url"].rsplit(":", 1)[1])
        return (time.perf_counter() - begin) * 1000


def measure(program, cores, options):
    """Deploys all apps but one, which is there from the beginning; then starts the host anew."""
    names = [fleet.name(i) for i in range(options.apps)]
    folders = fleet.FOLDERS / "deployed"
    shutil.rmtree(folders, ignore_errors=True)
    for i, name in enumerate(names):
        fleet.write(folders / name, fleet.manifest(i, False, 1, None))
    first, *others = names
    with tempfile.TemporaryDirectory(prefix="nexus-deployed-") as place:
        alone, data = Path(place) / "apps", Path(place) / "data"
        shutil.copytree(folders / first, alone / first)
        stored = ("--data", str(data))
        with step(f"deployed: {len(others):,} deploys to one host"), hosting(program, alone, [first], *stored, core=cores.server) as host, \
                pinned(cores.client):
            ask(host.ports.values())
            before = at_rest(host)
            control = Control(data / "nexus.sock")
            deploys = [control.put(name, archive(folders / name)) for name in others]
            ask(control.ports.values())
            after = at_rest(host)
            control.close()
        again = start(program, cores, alone, names, "deployed apps", *stored)
    return {"apps": len(others), "deploy_ms": deploys, "app_mb": (after - before) / len(others), "start_s": again,
            "folders_start_s": start(program, cores, folders, names, "the same from folders", "--hosts", "1")}


def start(program, cores, folder, names, what, *options):
    """Seconds from the host's start until each of its apps has answered."""
    with step(f"deployed: a start of {what}"):
        begin = time.perf_counter()
        with hosting(program, folder, names, *options, core=cores.server) as host, pinned(cores.client):
            ask(host.ports.values())
            return time.perf_counter() - begin


def ask(ports):
    """One request to each app."""
    for port in ports:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request("GET", "/bench")
        status = connection.getresponse().status
        connection.close()
        if status != 200:
            raise Problem(f"the app at port {port} answers {status}")


def at_rest(host):
    """Megabytes of the host's processes."""
    time.sleep(1)
    return measuring.memory(host.process.pid) / 1e6


def archive(folder):
    """What `nexus deploy` sends of a folder."""
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            tar.add(path, path.relative_to(folder).as_posix())
    return into.getvalue()


def table(result):
    """The table for people."""
    deploys = sorted(result["deploy_ms"])
    return "\n".join(lines([
        ["deployed, one host", "deploy ms: median", "p99", "memory of an app MB", "start s: deployed", "from folders"],
        [f"{result['apps']:,} apps", f"{statistics.median(deploys):.1f}", f"{quantile(deploys, 0.99):.1f}", f"{result['app_mb']:.2f}",
         f"{result['start_s']:.2f}", f"{result['folders_start_s']:.2f}"],
    ]))
