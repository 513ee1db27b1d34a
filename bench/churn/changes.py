"""Changes of deployed apps: each tells the model what may be right meanwhile, and what is afterwards."""

import asyncio
import tempfile
from pathlib import Path

from . import apps, client
from .host import port_of
from .model import ABSENT, CLOSED, Record

# Of deploys and other changes, those that go by the command and not by the API.
BY_COMMAND = 0.1
# The host takes four at a time; one whose client has left may still be there.
UPLOADS = 3
CODES = {422: 1, 400: 2, 409: 2, 404: 2}


class Changes:
    """What the API changes. A method's name is what the table calls it, and its first argument the app."""

    def __init__(self, world, host, rng, faults):
        self.world, self.host, self.rng, self.faults = world, host, rng, faults
        self.uploads = asyncio.Semaphore(UPLOADS)

    # What may be done with an app, by its state, each with how often.
    ALWAYS = {"deploy broken": 6, "upload cut": 2}
    PRESENT = {"deploy": 30, "deploy again": 3, "deploy old": 4, "deploy twice": 4, "rollback": 16, "rollback to": 6, "remove": 14,
               "stop": 8}
    STOPPED = {"start": 8, "deploy stopped": 2, "remove": 2}
    GONE = {"add": 14, "rollback nothing": 1}
    MOVING = {"move": 6, "conflict": 3}
    ALL = {**ALWAYS, **PRESENT, **STOPPED, **GONE, **MOVING}

    def possible(self, app):
        """Names of changes and how often they are to be."""
        if app.state == "gone":
            return {**self.GONE, **self.ALWAYS}
        if app.state == "stopped":
            return self.STOPPED
        return {**self.PRESENT, **self.ALWAYS, **(self.MOVING if len(app.doors) > 1 else {})}

    async def make(self, app, name):
        await getattr(self, name.replace(" ", "_"))(app)

    # ------------------------------------------------------------------ asking

    async def asked(self, app, what, expected, method, path, body=None, command=None):
        """Asks for a change, which is to be answered with this status; gives the answer, or None."""
        if command:
            code, text = await self.host.command(*command)
            right = CODES.get(expected, 0)
            if code != right:
                self.faults.add("a wrong exit code", f"`nexus {' '.join(command)}` ends with {code}: {text.strip()[:300]}")
                return None
            return {}
        try:
            status, answer = await self.host.control(method, f"/v1/apps/{app.name}{path}", body)
        except client.Failed as failed:
            self.faults.add("no answer of the API", f"{what} of {app.name}: {failed}")
            return None
        if status != expected:
            self.faults.add("a wrong answer of the API", f"{what} of {app.name}: {status} in place of {expected}: {str(answer)[:300]}")
            return None
        return answer

    async def upload(self, app, what, made, expected):
        """Deploys files, by the API or by the command."""
        async with self.uploads:
            if self.rng.random() >= BY_COMMAND:
                return await self.asked(app, what, expected, "PUT", "", apps.archive(app, made))
            with tempfile.TemporaryDirectory(prefix="upload-", dir=self.host.folder) as folder:
                place = Path(folder) / app.name
                apps.lay_out(app, made, place)
                return await self.asked(app, what, expected, "PUT", "", None, ["deploy", str(place)])

    async def short(self, app, what, expected, method, path, command):
        """What needs no upload."""
        by_command = command if self.rng.random() < BY_COMMAND else None
        return await self.asked(app, what, expected, method, path, None, by_command)

    def is_numbered(self, app, what, answer, number):
        """Whether the host numbers the version as the model does. The command's answer is not looked at."""
        if answer and answer.get("version") != number:
            self.faults.add("a wrong number", f"{what} of {app.name}: version {answer.get('version')}, by the model {number}")

    # --------------------------------------------------------------- deploying

    async def deploy(self, app, mark=None, what="deploy"):
        mark = mark or self.world.mark()
        app.door.widen({mark})
        answer = await self.upload(app, what, apps.files(app, mark), 200)
        if answer is not None:
            self.is_numbered(app, what, answer, app.record.deploy((mark, app.at)))
            app.serves(mark)

    async def deploy_again(self, app):
        """What serves already."""
        number = app.record.current[0]
        answer = await self.upload(app, "deploy again", apps.files(app, app.mark), 200)
        if answer:
            self.is_numbered(app, "deploy again", answer, number)
            if not answer["unchanged"]:
                self.faults.add("a wrong answer of the API", f"{app.name} is deployed again, and is said to be changed")

    async def deploy_old(self, app):
        """What served before becomes the newest version."""
        old = [content for _, content, _ in app.record.versions if content[1] == app.at]
        await self.deploy(app, self.rng.choice(old)[0], "deploy old")

    async def deploy_twice(self, app):
        """Two at once: the one with the higher number serves."""
        marks = [self.world.mark(), self.world.mark()]
        app.door.widen(marks)
        answers = await asyncio.gather(*(self.by_api(app, mark) for mark in marks))
        if None in answers:
            return
        for number, mark in sorted(zip((answer["version"] for answer in answers), marks)):
            self.is_numbered(app, "deploy twice", {"version": number}, app.record.deploy((mark, app.at)))
            app.mark = mark
        app.serves(app.mark)

    async def by_api(self, app, mark):
        async with self.uploads:
            return await self.asked(app, "deploy twice", 200, "PUT", "", apps.archive(app, apps.files(app, mark)))

    async def deploy_broken(self, app):
        """It is refused, and what was before goes on."""
        how = self.rng.choice(sorted(apps.BROKEN) if app.engine == "js" else ["manifest"])
        if app.state == "gone":
            # Its socket is there for a moment.
            self.closing(app)
        await self.upload(app, f"deploy broken ({how})", apps.broken(app, self.world.mark(), how), apps.BROKEN[how][0])
        if app.state == "gone":
            self.closed(app)

    async def deploy_stopped(self, app):
        await self.upload(app, "deploy stopped", apps.files(app, self.world.mark()), 409)

    async def upload_cut(self, app):
        """A client that leaves in the middle of its upload."""
        data = apps.archive(app, apps.files(app, self.world.mark()))
        connection = await client.Connection.to(self.host.socket)
        connection.send(client.request("PUT", f"/v1/apps/{app.name}", "nexus", "cut", data)[:-len(data) // 2])
        await asyncio.sleep(self.rng.random() * 0.05)
        connection.close()

    # -------------------------------------------------------------- going back

    async def rollback(self, app):
        await self.back(app, app.record.before(), "rollback", "/rollback")

    async def rollback_to(self, app):
        version = self.rng.choice(app.record.versions)
        await self.back(app, version, "rollback to", f"/rollback?to={version[0]}")

    async def back(self, app, version, what, path):
        command = ["rollback", app.name]
        if version is None:
            await self.short(app, what, 404, "POST", path, command)
            return
        command += ["--to", str(version[0])] if "?" in path else []
        number, (mark, at), _ = version
        self.moving(app, at, mark)
        answer = await self.short(app, what, 200, "POST", path, command)
        if answer is not None:
            self.is_numbered(app, what, answer, number)
            app.record.current = version
            self.moved(app, at, mark)

    async def rollback_nothing(self, app):
        await self.short(app, "rollback nothing", 404, "POST", "/rollback", ["rollback", app.name])

    # ------------------------------------------------------------------ moving

    async def move(self, app):
        """A version that is served under another host."""
        at, mark = 1 - app.at, self.world.mark()
        self.moving(app, at, mark)
        answer = await self.upload(app, "move", apps.files(app, mark, app.doors[at]), 200)
        if answer is not None:
            self.is_numbered(app, "move", answer, app.record.deploy((mark, at)))
            self.moved(app, at, mark)

    async def conflict(self, app):
        """A version that claims the host of another app."""
        other = next(door for door in app.door.port.doors if door.app.folder)
        await self.upload(app, "conflict", apps.files(app, self.world.mark(), other), 409)

    def moving(self, app, at, mark):
        """The version begins to serve, maybe under another host, where it is known a moment sooner or later."""
        app.door.widen({mark} if at == app.at else {mark, *app.door.gone})
        if at != app.at:
            app.doors[at].widen({mark, app.mark})

    def moved(self, app, at, mark):
        if at != app.at:
            app.door.narrow(app.door.gone)
        app.at = at
        app.serves(mark)

    # --------------------------------------------------------- coming and going

    async def add(self, app, mark=None):
        """A first version."""
        mark = mark or self.world.mark()
        app.record, app.at = Record(), self.rng.randrange(len(app.doors))
        app.door.widen({mark})
        answer = await self.upload(app, "add", apps.files(app, mark), 200)
        if answer is None:
            return
        self.is_numbered(app, "add", answer, app.record.deploy((mark, app.at)))
        if not answer:
            _, answer = await self.host.control("GET", f"/v1/apps/{app.name}")
            answer = {"app": answer}
        app.door.port.number = port_of(answer["app"]["url"])
        app.serves(mark)

    async def remove(self, app):
        app.state = "gone" if not app.door.named else app.state
        self.closing(app)
        if await self.short(app, "remove", 200, "DELETE", "", ["rm", app.name]) is not None:
            app.state = "gone"
            self.closed(app)

    def closing(self, app):
        """The app goes: what it has in flight finishes, and idle connections are closed."""
        port = app.door.port
        # Who waits for a guest when the app goes waits in vain.
        app.door.widen({*app.door.gone, ABSENT} if port.shared else {*app.door.gone, ABSENT, CLOSED})
        for door in port.doors:
            # A shared port is closed with the last of its apps.
            if port is self.world.passing and not any(isinstance(right, tuple) for right in door.now if door.app is not app):
                door.widen({CLOSED})
        self.cut(port)

    def closed(self, app):
        app.door.narrow(app.door.gone)
        for door in app.door.port.doors:
            door.narrow(door.now - {CLOSED})
        self.cut(app.door.port)

    def cut(self, port):
        if not port.shared or port is self.world.passing:
            port.cuts += 1

    async def stop(self, app):
        """What is in flight finishes; no connection is closed."""
        app.door.widen({app.door.stopped})
        if await self.short(app, "stop", 200, "POST", "/stop", ["stop", app.name]) is not None:
            app.state = "stopped"
            app.door.narrow({app.door.stopped})

    async def start(self, app):
        app.door.widen({app.mark})
        if await self.short(app, "start", 200, "POST", "/start", ["start", app.name]) is not None:
            app.serves(app.mark)
