"""Changes of apps that are served from folders: files are written, and `--watch` is to notice."""

import asyncio
import re
import time

from . import apps

# How long a change may take until it serves, or is said not to.
DEADLINE = 10
SERVES = "the changed app serves, after "
REFUSED = "the changed app is not served, the one before goes on"


class Edits:
    """What is done with the folders. A method's name is what the table calls it."""

    def __init__(self, world, host, changes, folder, rng, faults):
        self.world, self.host, self.changes, self.folder, self.rng, self.faults = world, host, changes, folder, rng, faults

    PRESENT = {"edit by rename": 30, "edit one file": 12, "edit burst": 10, "edit in place": 12, "edit broken": 10, "edit file gone": 3}
    STEADY = {"stop": 3, "deploy over": 1, "remove over": 1}
    ALL = {**PRESENT, **STEADY}

    def possible(self, app):
        """Names of changes and how often they are to be."""
        if app.state == "stopped":
            return {"start": 8}
        if app.engine == "wasm":
            return {"edit by rename": 10, **self.STEADY}
        return {**self.PRESENT, **self.STEADY}

    async def make(self, app, name):
        await getattr(self, name.replace(" ", "_"))(app)

    # ---------------------------------------------------------------- in files

    async def edit_by_rename(self, app):
        await self.edited(app, self.world.mark(), self.renamed)

    async def edit_one_file(self, app):
        """A file changes, the others stay as they are."""
        part = self.rng.randrange(3)
        number = self.world.mark()[0]
        await self.edited(app, tuple(number if i == part else old for i, old in enumerate(app.mark)), self.renamed)

    async def edit_burst(self, app):
        """Several versions in a row, of which the last one counts."""
        app.torn(True)
        for _ in range(self.rng.randrange(2, 6)):
            mark = self.world.mark()
            app.door.widen({mark})
            self.renamed(app, apps.files(app, mark))
            await asyncio.sleep(self.rng.random() * 0.1)
        await self.edited(app, self.world.mark(), self.renamed)

    async def edit_in_place(self, app):
        """Each file is emptied and written."""
        await self.edited(app, self.world.mark(), self.overwritten)

    async def edit_broken(self, app):
        """A version that cannot be loaded, which nobody is to see, and after a while one that can."""
        how, start = self.rng.choice(sorted(apps.BROKEN)), len(self.host.lines)
        # Of the right files none changes, for between two that do there may be a version that is right.
        self.renamed(app, apps.broken(app, app.mark, how))
        await self.refusal(app, how, start)
        await self.edited(app, self.world.mark(), self.renamed)

    async def edit_file_gone(self, app):
        """The main file goes, and comes back."""
        start = len(self.host.lines)
        (self.folder / app.name / "index.js").unlink()
        await self.refusal(app, "its main file is gone", start)
        await self.edited(app, self.world.mark(), self.renamed)

    def renamed(self, app, made):
        self.write(app, made, apps.replace)

    def overwritten(self, app, made):
        self.write(app, made, apps.overwrite)

    def write(self, app, made, by):
        """Writes those files that are others now, in any order."""
        names = list(made)
        self.rng.shuffle(names)
        for name in names:
            file = self.folder / app.name / name
            if not file.exists() or file.read_text() != made[name]:
                by(file.parent, name, made[name])

    async def edited(self, app, mark, write):
        """Writes a version; from when it serves on, only that is right."""
        start = len(self.host.lines)
        app.torn(True)
        app.door.widen({mark})
        write(app, apps.files(app, mark))
        written = self.written(app)
        # A version that was loaded before the last file was written does not count. One that counts begins when nothing
        # has changed for 60 ms; what is taken from its line may be late by what the host had to wait for the processor.
        fits = lambda line: line["app"] == app.name and line["message"].startswith(SERVES) and begun(line) >= written + 0.03
        line = await self.host.line(fits, start, DEADLINE)
        app.torn(False)
        if line is None:
            self.faults.add("a change that is not noticed", f"{app.name}: its version {mark} does not serve after {DEADLINE} s; "
                                                            f"the log since it was written: {self.told(app, start, written)}")
            return
        app.serves(mark)

    async def refusal(self, app, why, start):
        """Waits until the host has said that it does not serve what is there; the one before goes on."""
        fits = lambda line: line["app"] == app.name and line["message"].startswith(REFUSED)
        if await self.host.line(fits, start, DEADLINE) is None:
            self.faults.add("a broken version that is not told", f"{app.name}: {why}; the log: {self.told(app, start, time.time())}")
        # The old one is asked meanwhile.
        await asyncio.sleep(0.1 + self.rng.random() * 0.4)

    def written(self, app):
        """When the last file of an app was written, by the system's account: this process may have had to wait since."""
        return max(file.stat().st_ctime for file in (self.folder / app.name).iterdir())

    def told(self, app, start, written):
        """What the host has said of an app since then."""
        lines = [line for line in self.host.lines[start:] if line["app"] == app.name]
        return "; ".join(f"{line['at'] - written:+.3f} s {line['message'].splitlines()[0][:120]}" for line in lines) or "nothing"

    # ------------------------------------------------------------- by the API

    async def stop(self, app):
        await self.changes.stop(app)

    async def start(self, app):
        await self.changes.start(app)

    async def deploy_over(self, app):
        """An app of a folder is nobody's to deploy."""
        await self.changes.upload(app, "deploy over", apps.files(app, self.world.mark()), 409)

    async def remove_over(self, app):
        await self.changes.short(app, "remove over", 409, "DELETE", "", ["rm", app.name])


def begun(line):
    """When the version began to be loaded of which this line tells."""
    return line["at"] - int(re.match(r"(\d+) ms", line["message"][len(SERVES):]).group(1)) / 1000
