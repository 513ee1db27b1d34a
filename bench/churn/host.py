"""The `nexus serve` under test: its process, its log, its control API, its figures."""

import asyncio
import calendar
import json
import re
import subprocess
import time
from pathlib import Path

from bench.measure import memory
from tools.processes import tree
from tools.term import Problem

from . import client

PATIENCE = 60
# What must be back at none when nobody asks for anything, all apps together.
GAUGES = ("nexus_requests_in_flight", "nexus_requests_waiting", "nexus_request_scopes", "nexus_timers", "nexus_operations",
          "nexus_connections", "nexus_draining_workers")
# What the host may say of itself at level error: of versions that are broken on purpose.
MAY_SAY = ("the changed app is not served, the one before goes on", "the fresh worker cannot take over: ")
# What it must not say at any level.
WRONG = ("panicked", "cannot be loaded any more", "is cut off", "could not be acted on")


class Host:
    """The process and what it says."""

    def __init__(self, program, folder, port):
        self.program, self.folder, self.first_port = program, folder, port
        self.process = self.admin = None
        self.lines, self.urls, self.wrong, self.stops = [], {}, [], 0
        self.changed = asyncio.Condition()
        self.is_killed = self.has_text = False

    @property
    def socket(self):
        return self.folder / "data" / "nexus.sock"

    async def start(self, apps):
        """Serves the folder `apps` and what is deployed; returns when it is ready."""
        self.process = await asyncio.create_subprocess_exec(
            str(self.program), "serve", str(apps), "--watch", "--data", str(self.folder / "data"),
            "--port", str(self.first_port), "--admin", "127.0.0.1:0", "--log-format", "json", cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, limit=1 << 22)
        self.reading = asyncio.create_task(self.read())
        await self.line(lambda line: line["message"] == "serving the control API", 0, PATIENCE)

    async def read(self):
        """Keeps what it says, and tells those who wait for it."""
        async for text in self.process.stdout:
            try:
                line = json.loads(text)
                line["at"] = moment(line["time"])
            except (ValueError, KeyError):
                self.note_text(text.decode(errors="replace").strip())
                continue
            self.note(line)
            async with self.changed:
                self.changed.notify_all()
        async with self.changed:
            self.changed.notify_all()

    def note_text(self, text):
        """What is no line of the log is somebody's last words: the first of them tells enough."""
        if text and (not self.has_text or "panicked" in text):
            self.wrong.append(text[:300])
            self.has_text = True

    def note(self, line):
        message = line["message"]
        self.lines.append({key: line.get(key) for key in ("at", "app", "kind", "message", "url")})
        if message.startswith("serving metrics"):
            self.admin = port_of(line["url"])
        if message == "serving":
            self.urls[line["app"]] = port_of(line["url"])
        if line["kind"] == "app" and message.startswith("the guest was stopped"):
            self.stops += 1
        is_error = line["kind"] == "host" and line["level"] == "error" and not message.startswith(MAY_SAY)
        if (is_error or any(word in message for word in WRONG)) and not self.is_killed:
            self.wrong.append(f"{line.get('app') or ''} {message}"[:300].strip())

    async def line(self, fits, start, patience):
        """The first line that fits, of those from the number `start` on."""
        until = time.monotonic() + patience
        looked = start
        async with self.changed:
            while True:
                for line in self.lines[looked:]:
                    if fits(line):
                        return line
                looked = len(self.lines)
                left = until - time.monotonic()
                if left <= 0:
                    return None
                if self.process.returncode is not None and self.process.stdout.at_eof():
                    raise Problem(f"nexus has ended with {self.process.returncode}: {self.last_words()}")
                try:
                    await asyncio.wait_for(self.changed.wait(), min(left, 1))
                except asyncio.TimeoutError:
                    pass

    def last_words(self):
        return " / ".join([line["message"] for line in self.lines[-3:]] + self.wrong[-2:])

    async def control(self, method, path, body=None):
        """A request to the control API: status and JSON."""
        answer = await client.ask(self.socket, method, path, body)
        return answer.status, json.loads(answer.body)

    async def command(self, *arguments):
        """A command that manages the host: its exit code and what it prints."""
        process = await asyncio.create_subprocess_exec(
            str(self.program), *arguments, "--host", f"unix:{self.socket}", cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        except asyncio.TimeoutError:
            process.kill()
            await process.wait()
            return None, f"`nexus {arguments[0]}` does not end"
        return process.returncode, (out + err).decode()

    async def metrics(self):
        """All samples by name and labels."""
        answer = await client.ask(self.admin, "GET", "/metrics")
        samples = re.findall(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", answer.body.decode(), re.MULTILINE)
        return {name: float(value) for name, value in samples}

    def figures(self):
        """Memory, threads and descriptors of all its processes."""
        pids = tree(self.process.pid)
        count = lambda what: sum(len(list(Path(f"/proc/{pid}/{what}").iterdir())) for pid in pids)
        return {"memory": memory(self.process.pid), "threads": count("task"), "descriptors": count("fd")}

    async def end(self, patience=PATIENCE):
        """Asks it to end; its exit code, or None if it does not."""
        if self.process is None:
            return None
        if self.process.returncode is None:
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), patience)
            # Its last words come before the end of the pipe.
            await asyncio.wait_for(self.reading, 5)
        except asyncio.TimeoutError:
            if self.process.returncode is None:
                self.process.kill()
                await self.process.wait()
            self.reading.cancel()
            return None
        return self.process.returncode


def sums(metrics):
    """The gauges that must be back at none, all apps together."""
    return {name: sum(value for key, value in metrics.items() if key.startswith(name + "{")) for name in GAUGES}


def total(metrics, name):
    return sum(value for key, value in metrics.items() if key.startswith(name + "{"))


def moment(text):
    """Seconds since 1970 of a line's time."""
    whole, _, rest = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{rest or 0}")


def port_of(url):
    return int(url.rsplit(":", 1)[1].rstrip("/"))
