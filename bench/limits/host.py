"""A running `nexus serve` with small apps: its addresses, its log, its metrics, its threads."""

import http.client
import json
import os
import queue
import re
import shutil
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from bench.measure import pinned
from tools.processes import end, tree
from tools.term import Problem

APPS = Path(__file__).parent / "apps"
PATIENCE = 60


@contextmanager
def serving(program, apps):
    """Serves apps, `{name: (file, {limit: value})}`, a file of bench/limits/apps or a whole path; ended afterwards.

    Yields a Host.
    """
    with tempfile.TemporaryDirectory(prefix="nexus-limits-") as folder:
        for name, (file, limits) in apps.items():
            app = Path(folder) / name
            app.mkdir()
            shutil.copyfile(APPS / file, app / f"index{Path(file).suffix}")
            lines = "".join(f'{key} = {json.dumps(value)}\n' for key, value in limits.items())
            # A helper would come and go with the load, and what it holds with it.
            (app / "nexus.toml").write_text(f'[project]\nname = "{name}"\n\n[scale]\nworkers = 1\n\n[limits]\n{lines}')
        with hosting(program, folder, apps, "--access-log") as host:
            yield host


@contextmanager
def hosting(program, folder, names, *options, core=None, **variables):
    """Serves a folder with apps of these names, on one core if it is given; ended afterwards. Yields a Host."""
    with pinned(core):
        process = subprocess.Popen(
            [program, "serve", folder, "--port", "0", "--admin", "127.0.0.1:0", "--log-format", "json", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
            env={**os.environ, **variables})
    try:
        yield Host(process, set(names))
    finally:
        end(process)


class Host:
    """The process, once it has told where its apps are."""

    def __init__(self, process, names):
        self.process, self.ports, self.admin = process, {}, None
        self.access = {name: queue.Queue() for name in names}
        self.last = []
        self._ready = threading.Event()
        self._names = names
        threading.Thread(target=self._read, daemon=True).start()
        if not self._ready.wait(PATIENCE) or self.admin is None:
            raise Problem(f"nexus does not come up; its last words: {' '.join(self.last[-3:])}")

    def _read(self):
        for text in self.process.stdout:
            try:
                line = json.loads(text)
            except ValueError:
                self.last.append(text.strip())
                continue
            message, app = line.get("message", ""), line.get("app")
            if line.get("kind") == "access":
                self.access[app].put(line)
                continue
            self.last = self.last[-9:] + [f"{app or ''} {message}"]
            if message == "serving" and app in self._names:
                self.ports[app] = int(line["url"].rsplit(":", 1)[1].rstrip("/"))
            elif message.startswith("serving metrics"):
                self.admin = int(line["url"].rsplit(":", 1)[1].rstrip("/"))
            elif message.startswith("not served"):
                break
            if self.admin and len(self.ports) == len(self._names):
                self._ready.set()
        self._ready.set()

    def connect(self, app):
        """A connection to an app."""
        return http.client.HTTPConnection("127.0.0.1", self.ports[app], timeout=PATIENCE)

    def cpu_seconds(self, app, request_id):
        """What nexus says that a request used, by its access line."""
        while True:
            try:
                line = self.access[app].get(timeout=PATIENCE)
            except queue.Empty:
                raise Problem("a request has no access line") from None
            if line.get("request_id") == request_id:
                return line["cpu_ms"] / 1000

    def metrics(self):
        """All samples of /metrics by name and labels, as they stand there."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=PATIENCE)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        samples = re.findall(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE)
        return {name: float(value) for name, value in samples}

    def threads(self):
        """The CPU seconds of each thread of the process and its children, by thread."""
        found = {}
        for pid in tree(self.process.pid):
            for task in Path(f"/proc/{pid}/task").iterdir():
                try:
                    found[task] = int((task / "schedstat").read_text().split()[0]) / 1e9
                except OSError:
                    continue
        return found


def get(connection, path, request_id="-"):
    """Asks on a connection that is kept; gives status and body."""
    connection.request("GET", path, headers={"x-request-id": request_id})
    response = connection.getresponse()
    return response.status, response.read()


def steady(task, patience=PATIENCE):
    """The CPU seconds of a thread, once it sleeps and uses none any more."""
    until = time.monotonic() + patience
    last = None
    while time.monotonic() < until:
        now = int((task / "schedstat").read_text().split()[0]) / 1e9
        # One that waits for a processor uses none either.
        sleeps = (task / "stat").read_text().rpartition(")")[2].split()[0] == "S"
        if sleeps and now == last:
            return now
        last = now if sleeps else None
        time.sleep(0.003)
    raise Problem("a worker does not come to rest")
