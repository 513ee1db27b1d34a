"""One run: the host is started, churned and looked at a few times, killed, replaced and ended."""

import asyncio
import collections
import json
import os
import random
import signal
import tempfile
import time
from pathlib import Path

from tools.processes import tree
from tools.term import Problem, step

from . import apps, client
from .changes import Changes
from .clients import Clients
from .edits import Edits
from .host import Host, sums, total
from .model import Faults
from .traffic import Traffic
from .world import World

# The parts of the time after each of which all comes to rest, and is looked at.
PARTS, SHORT = (0.2,) * 5, (0.2, 0.8)
# What memory may grow by from the first look to the better one of the last two: a share, and what an allocator may hold
# back, which is more at one time and less at another. Descriptors and threads come and go by ones, and threads for files
# stay for a while.
GROWTH, SLACK, FEW = 0.10, 16e6, 3
# How long an app may take to answer rightly when nothing else is asked for; for the host to come to rest; to end.
ANSWER, REST, END = 5, 60, 15


class Run:
    """All that a run consists of."""

    def __init__(self, program, options, folder):
        self.options, self.folder = options, folder
        self.faults, self.events, self.kinds, self.answers = Faults(), collections.Counter(), collections.Counter(), collections.Counter()
        self.world = World()
        self.host = Host(program, folder, self.world.first_port)
        rng = random.Random(f"{options.seed}-schedule")
        self.traffic = Traffic(rng, self.faults, self.kinds, self.answers)
        self.changes = Changes(self.world, self.host, rng, self.faults)
        self.edits = Edits(self.world, self.host, self.changes, folder / "apps", rng, self.faults)
        self.clients = Clients(self.world, self.traffic, self.changes, self.edits, options.seed, self.events)
        self.looks, self.took = [], {}

    async def go(self):
        seconds = self.options.seconds
        self.world.lay_out(self.folder / "apps")
        with step(f"churn: start, with seed {self.options.seed}"):
            await self.host.start(self.folder / "apps")
            self.world.found(self.host.urls)
            await self.restore()
            await self.check("at the start")
        for i, part in enumerate(SHORT if self.options.smoke else PARTS):
            with step(f"churn: {seconds * part:.0f} s"):
                await self.clients.run(seconds * part)
            with step("churn: come to rest"):
                await self.restore()
                await self.check(f"after part {i + 1}")
                self.looks.append(await self.look())
        with step("churn: compare"):
            await self.compare()
        with step("churn: kill the host, replace it, end it"):
            await self.die()
            await self.replace()
            await self.end()

    # -------------------------------------------------------------------- rest

    async def restore(self):
        """Every app is there and started."""
        for app in self.world.apps:
            if app.state == "gone":
                await self.changes.add(app)
            elif app.state == "stopped":
                await self.changes.start(app)

    async def check(self, when, patience=0.0):
        """Every door answers as it must: at once, or within so long where the host is only coming."""
        until = time.monotonic() + patience
        for door in [door for app in self.world.apps for door in app.doors]:
            before = self.faults.so_far()
            await self.check_one(door, when)
            while self.faults.counts != before[0] and time.monotonic() < until:
                self.faults.back_to(before)
                before = self.faults.so_far()
                await asyncio.sleep(0.02)
                await self.check_one(door, when)

    async def check_one(self, door, when):
        try:
            connection = await asyncio.wait_for(self.traffic.one(door, "plain"), ANSWER)
            if connection:
                connection.close()
        except asyncio.TimeoutError:
            self.faults.add("stuck", f"{door.app.name} does not answer {when}")

    async def look(self):
        """Memory, threads and descriptors, once nothing is in flight and all who may sleep do."""
        awake = sum(not app.rare for app in self.world.apps)
        until = time.monotonic() + REST
        while True:
            metrics = await self.host.metrics()
            held = {name: value for name, value in sums(metrics).items() if value}
            if not held and metrics["nexus_workers"] == awake:
                break
            if time.monotonic() > until:
                told = ", ".join(f"{name} is {value:.0f}" for name, value in held.items())
                self.faults.add("no rest", f"after {REST} s {told or 'nothing'} is held, and {metrics['nexus_workers']:.0f} workers are "
                                           f"there, not {awake}")
                break
            await asyncio.sleep(0.2)
        # What stands ready for the next cold starts goes two seconds after the last of them.
        await asyncio.sleep(3)
        samples = []
        # V8 keeps pages for a while in case they are wanted again.
        for _ in range(5 if self.options.smoke else 60):
            samples.append(self.host.figures())
            await asyncio.sleep(0.2)
        return {**{key: min(sample[key] for sample in samples) for key in samples[0]}, "workers": metrics["nexus_workers"]}

    async def compare(self):
        """What is not as it was at the first look, or not as it must be at rest."""
        first, last = self.looks[0], {key: min(look[key] for look in self.looks[-3:]) for key in self.looks[0]}
        told = lambda what, unit=1: ", ".join(f"{look[what] / unit:,.0f}" for look in self.looks)
        # Too short a time says nothing about memory: what is made on first use is still growing.
        if not self.options.smoke and last["memory"] > first["memory"] * (1 + GROWTH) + SLACK:
            self.faults.add("a leak", f"memory at rest was {told('memory', 1e6)} MB")
        for what in ("threads", "descriptors"):
            if last[what] > first[what] + FEW:
                self.faults.add("a leak", f"{what} at rest were {told(what)}")
        metrics = await self.host.metrics()
        self.took.update(sleeps=total(metrics, "nexus_app_sleeps_total"), cold_starts=total(metrics, "nexus_cold_starts_total"))
        for name in ("nexus_lost_workers_total", "nexus_memory_shortages_total"):
            if total(metrics, name):
                self.faults.add("the host gave way", f"{name} is {total(metrics, name):.0f}")
        crashes = sum(self.kinds[kind] for kind in ("cpu", "memory", "spin", "grow"))
        if self.host.stops > crashes:
            self.faults.add("a guest stopped for nothing", f"{self.host.stops} were stopped, {crashes} requests were to do that")
        await self.compare_records()

    async def compare_records(self):
        """What the API tells of each app is what the model knows."""
        code, text = await self.host.command("ps", "--json")
        if code != 0:
            self.faults.add("a wrong exit code", f"`nexus ps` ends with {code}: {text.strip()[:300]}")
            return
        listed = json.loads(text)
        found = {told["name"]: (told["state"] in ("running", "asleep"), told["version"], len(told["versions"])) for told in listed["apps"]}
        for app in self.world.apps:
            right = (True, None, 0) if app.folder else (True, app.record.current[0], len(app.record.versions))
            if found.get(app.name) != right:
                self.faults.add("a wrong record", f"{app.name} is {found.get(app.name)}, by the model {right}")
        self.compare_stored("at rest")

    def compare_stored(self, when):
        for wrong in apps.stored(self.folder / "data"):
            self.faults.add("a wrong data folder", f"{wrong}, {when}")

    # --------------------------------------------------------------------- end

    def hosts(self):
        """The processes beneath the supervisor."""
        return tree(self.host.process.pid)[1:]

    async def die(self):
        """The host is killed: its supervisor has another one, which serves the same, also what was stopped."""
        for app in self.world.apps:
            if app.name in ("deployed-0", "path-0", "deployed-5"):
                await self.changes.stop(app)
        await self.check("where three are stopped")
        self.host.is_killed, begun = True, time.monotonic()
        for pid in self.hosts():
            os.kill(pid, signal.SIGKILL)
        await self.check("after the host was killed", ANSWER * 2)
        self.host.is_killed = False
        self.took["back_s"] = time.monotonic() - begun

    async def replace(self):
        """A fresh host takes over."""
        start, begun = len(self.host.lines), time.monotonic()
        self.host.process.send_signal(signal.SIGUSR2)
        if not await self.host.line(lambda line: line["message"].startswith("a fresh host has taken over"), start, 30):
            self.faults.add("no other host", "no fresh host takes over within 30 s")
        while len(self.hosts()) > 1 and time.monotonic() < begun + 30:
            await asyncio.sleep(0.05)
        await self.check("after the host was replaced", ANSWER * 2)
        await self.restore()
        await self.check("when all were started again")

    async def end(self):
        """SIGTERM: what is in flight finishes, and it ends with 0 in time, and leaves its folder as it must be."""
        app = next(app for app in self.world.apps if app.name == "deployed-1")
        idle = [await self.traffic.connect(app.door) for app in self.world.apps if app.at == 0]
        slow = asyncio.create_task(self.traffic.one(app.door, "slow"))
        await asyncio.sleep(0.002)
        begun = time.monotonic()
        code = await self.host.end(END)
        self.took["end_s"] = time.monotonic() - begun
        try:
            await asyncio.wait_for(slow, 1)
        except asyncio.TimeoutError:
            self.faults.add("stuck", "a request in flight at SIGTERM has no answer")
        for connection in idle:
            connection.close()
        if code != 0:
            self.faults.add("no end", f"SIGTERM ends it with {code}" if code is not None else f"SIGTERM does not end it within {END} s")
        for wrong in self.host.wrong:
            self.faults.add("a wrong line in the log", wrong)
        self.compare_stored("at the end")


def measure(program, options):
    """Runs, and gives all counts, figures and faults."""
    with tempfile.TemporaryDirectory(prefix="nexus-churn-") as folder:
        os.environ["NEXUS_CACHE"] = str(Path(folder) / "cache")
        try:
            return asyncio.run(guarded(program, options, Path(folder)))
        finally:
            # The versions' folders can only be read; whoever removes them must be able to.
            for path in list(Path(folder).rglob("*")):
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o700)


async def guarded(program, options, folder):
    """A run whose host ends with it, however that goes."""
    run, own, is_told = Run(program, options, folder), asyncio.current_task(), []
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: (is_told.append(True), own.cancel()))
    try:
        await run.go()
    except asyncio.CancelledError:
        if is_told:
            raise Problem("ended by SIGTERM") from None
        raise
    except (client.Failed, Problem) as problem:
        run.faults.add("broken off", f"nexus does not answer any more: {problem}; its last words: {run.host.last_words()}")
    finally:
        run.clients.close()
        await run.host.end(END)
    return told(run)


def told(run):
    times = sorted(run.traffic.times)
    at = lambda share: times[min(len(times) - 1, int(len(times) * share))] * 1000 if times else None
    return {
        "seed": run.options.seed, "seconds": run.options.seconds, "events": dict(run.events), "requests": dict(run.kinds),
        "answers": dict(run.answers), "looks": run.looks, "sleeps": 0, "cold_starts": 0, **run.took, "never": run.clients.never(),
        "latency_ms": {"p50": at(0.5), "p99": at(0.99), "max": at(1)}, "faults": run.faults.told(),
        "fault_counts": dict(run.faults.counts),
    }
