"""Who asks, who crashes, who changes: the tasks that run until they are told to end."""

import asyncio
import itertools
import random
import time

from .traffic import FRESH, JS, JS_CRASHES, RESTED, WASM, WASM_CRASHES

HOT, CRASHERS = 32, 2
# Tasks that change deployed apps, and those that change folders.
DEPLOYERS, EDITORS = 3, 3
# How often somebody asks where the app is known to be gone; on a fresh connection; at the host that a version has left.
IN_VAIN, ANEW, ELSEWHERE = 0.1, 0.06, 0.1


class Pool:
    """One client's connections, one a port."""

    def __init__(self):
        self.connections = {}

    def take(self, port):
        connection = self.connections.pop(port, None)
        if connection and time.monotonic() > connection.used + RESTED:
            connection.close()
            return None
        return connection

    def put(self, port, connection):
        if port in self.connections:
            self.connections[port].close()
        self.connections[port] = connection

    def close(self):
        for connection in self.connections.values():
            connection.close()
        self.connections.clear()


class Clients:
    """All tasks."""

    def __init__(self, world, asks, changes, edits, seed, counts):
        self.world, self.asks, self.changes, self.edits, self.counts = world, asks, changes, edits, counts
        self.seed, self.number = seed, itertools.count()
        self.is_over = False
        self.pools = []

    def rng(self):
        """Each task has its own numbers, so that none depends on the others' times."""
        return random.Random(f"{self.seed}-{next(self.number)}")

    async def run(self, seconds):
        """Everything at once, for so long."""
        self.is_over = False
        rare = [app for app in self.world.apps if app.rare]
        deployed, folders = ([app for app in self.world.apps if app.folder is is_one] for is_one in (False, True))
        tasks = [self.hot() for _ in range(HOT)] + [self.seldom(app) for app in rare] + [self.crash() for _ in range(CRASHERS)]
        tasks += [self.change(deployed, self.changes) for _ in range(DEPLOYERS)]
        tasks += [self.change(folders, self.edits) for _ in range(EDITORS)]
        tasks = [asyncio.create_task(task) for task in tasks]
        ended = asyncio.create_task(asyncio.sleep(seconds))
        try:
            while not ended.done():
                done, _ = await asyncio.wait([*tasks, ended], timeout=1, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                self.asks.look()
            self.is_over = True
            while tasks and (await asyncio.wait(tasks, timeout=1))[1]:
                self.asks.look()
            for task in tasks:
                task.result()
        finally:
            for task in [*tasks, ended]:
                task.cancel()
            self.close()

    def never(self):
        """What could have happened and did not."""
        kinds = {**JS, **WASM, **JS_CRASHES, **WASM_CRASHES}
        return sorted(set(self.changes.ALL) - set(self.counts) | set(self.edits.ALL) - set(self.counts) | set(kinds) - set(self.asks.counts))

    def close(self):
        for pool in self.pools:
            pool.close()
        self.pools.clear()

    def pool(self):
        self.pools.append(Pool())
        return self.pools[-1]

    def door(self, app, rng):
        """Where to ask for an app, or None."""
        door = rng.choice(app.doors) if rng.random() < ELSEWHERE else app.door
        is_in_vain = not any(isinstance(right, tuple) for right in door.now)
        return door if door.is_open and (not is_in_vain or rng.random() < IN_VAIN) else None

    async def ask(self, door, pool, rng):
        """One exchange of any kind."""
        kinds = WASM if door.app.engine == "wasm" else FRESH if door.app.fresh else JS
        what = rng.choices(list(kinds), kinds.values())[0]
        connection = None if rng.random() < ANEW else pool.take(door.port)
        if what == "pipeline":
            connection = await self.asks.pipeline(door, connection)
        else:
            connection = await self.asks.one(door, what, connection)
        if connection:
            pool.put(door.port, connection)

    async def hot(self):
        """A client that asks one app after another."""
        rng, pool = self.rng(), self.pool()
        apps = [app for app in self.world.apps if not app.rare]
        while not self.is_over:
            door = self.door(rng.choice(apps), rng)
            if door:
                await self.ask(door, pool, rng)
            await asyncio.sleep(rng.random() * 0.01)

    async def seldom(self, app):
        """A client of an app that falls asleep in between."""
        rng, pool = self.rng(), self.pool()
        while not self.is_over:
            door = self.door(app, rng)
            for _ in range(rng.randrange(1, 6) if door else 0):
                await self.ask(door, pool, rng)
            # Around the time after which it falls asleep.
            await asyncio.sleep(rng.choice((0.02, 0.25, 0.3, 0.3 + rng.random(), 2 * rng.random())))

    async def crash(self):
        """A client that has guests stopped and fail, those first that it did least."""
        rng = self.rng()
        while not self.is_over:
            await asyncio.sleep(rng.random() * 0.6)
            engine, kinds = rng.choice((("js", JS_CRASHES), ("js", JS_CRASHES), ("wasm", WASM_CRASHES)))
            apps = [app for app in self.world.apps if app.state == "present" and app.engine == engine]
            if not apps:
                continue
            app = rng.choice(apps)
            what = least(kinds, self.asks.counts, rng)
            connection = await self.asks.one(app.door, what)
            if connection:
                connection.close()

    async def change(self, apps, by):
        """Somebody who changes one app after another."""
        rng = self.rng()
        while not self.is_over:
            await asyncio.sleep(rng.random() * 0.5)
            app = rng.choice([app for app in apps if not self.is_busy(app)])
            name = least(by.possible(app), self.counts, rng)
            app.is_busy = True
            try:
                await by.make(app, name)
                self.counts[name] += 1
            finally:
                app.is_busy = False

    def is_busy(self, app):
        """Whether somebody changes it; where its port comes and goes, also whether somebody changes its neighbour."""
        passing = self.world.passing
        return any(door.app.is_busy for door in passing.doors) if app.door.port is passing else app.is_busy


def least(kinds, counts, rng):
    """What was done least often, measured by how often it is to be done."""
    return min(kinds, key=lambda kind: (counts[kind] / kinds[kind], rng.random()))
