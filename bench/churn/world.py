"""Which apps there are, and where: from folders and deployed, on ports of their own and on shared ones."""

from bench.measure import free_block

from . import apps
from .model import MISDIRECTED, NOT_FOUND, REFUSED, App, Door, Port

# Ports for apps that name none come first, those that are named after them.
UNNAMED, NAMED = 40, 40


class World:
    """All apps and ports, and the marks of their versions."""

    def __init__(self):
        self.apps, self.last_mark = [], 0
        self.first_port = free_block(UNNAMED + NAMED)
        self.named = iter(range(self.first_port + UNNAMED, self.first_port + UNNAMED + NAMED))
        # Of hosts, and of paths, with an app from a folder on each; the last one is open only while an app has it.
        self.hosts, self.paths, self.passing = Port(shared=True), Port(next(self.named), True), Port(next(self.named), True)
        self.from_folders()
        self.deployed()

    def from_folders(self):
        for i in range(8):
            self.alone(App(f"folder-{i}", folder=True, rare=i >= 5))
        self.alone(App("folder-fresh", folder=True, fresh=True))
        self.alone(App("folder-wasm", "wasm", folder=True, rare=True))
        for i in range(2):
            self.under_a_host(App(f"folder-host-{i}", folder=True, rare=i > 0))
        self.under_a_path(App("folder-path", folder=True), self.paths)

    def deployed(self):
        for i in range(8):
            self.alone(App(f"deployed-{i}", rare=i >= 5), Port(next(self.named)))
        for i in range(2):
            self.alone(App(f"unnamed-{i}"))
        self.alone(App("deployed-fresh", fresh=True), Port(next(self.named)))
        self.alone(App("deployed-wasm", "wasm", rare=True), Port(next(self.named)))
        for i in range(4):
            self.under_a_host(App(f"host-{i}", rare=i == 3), moves=True)
        for i in range(3):
            self.under_a_path(App(f"path-{i}", rare=i == 2), self.paths)
        for i in range(2):
            self.under_a_path(App(f"passing-{i}"), self.passing)

    def alone(self, app, port=None):
        Door(app, port or Port(), {REFUSED}, named=port is not None)
        self.apps.append(app)

    def under_a_host(self, app, moves=False):
        for i in range(2 if moves else 1):
            Door(app, self.hosts, {MISDIRECTED}, host=f"{app.name}-{i}.example")
        self.apps.append(app)

    def under_a_path(self, app, port):
        # A port that is about to close, or not open for all, has no host.
        gone = {NOT_FOUND, REFUSED, MISDIRECTED} if port is self.passing else {NOT_FOUND}
        Door(app, port, gone, named=True, path=f"/{app.name}")
        self.apps.append(app)

    def mark(self):
        """The mark of another version."""
        self.last_mark += 1
        return (self.last_mark,) * 3

    def lay_out(self, folder):
        """Makes the folders of the apps that have one."""
        for app in self.apps:
            if app.folder:
                app.mark = self.mark()
                apps.lay_out(app, apps.files(app, app.mark), folder / app.name)

    def found(self, urls):
        """The host has said where the apps from folders are."""
        for app in self.apps:
            if app.folder:
                app.door.port.number = urls[app.name]
                app.serves(app.mark)
