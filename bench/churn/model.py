"""What must answer what: for each app, all that is right at this moment, and for each request, all that was meanwhile.

A right answer is a version's mark (three numbers, one of each of its files) or one of the words below. Before a change
is asked for, the state before it is right; until it is acknowledged, both are; from then on only the one after it.
"""

import collections
import time

# What is right where no version is.
STOPPED, ABSENT, REFUSED, CLOSED = "stopped", "absent", "refused", "closed"
NOT_FOUND, MISDIRECTED = "404", "421"
# Beside the model: the guest came to a limit, or a response broke off, which only a crash of the same app excuses.
LIMIT, BROKEN = "limit", "broken"

# How many versions of an app the host keeps.
KEPT = 5


class Faults:
    """What was wrong: the first few of each kind as text, all of them as a number."""

    MOST = 5

    def __init__(self):
        self.counts, self.texts = collections.Counter(), []

    def add(self, kind, text):
        self.counts[kind] += 1
        if self.counts[kind] <= self.MOST:
            self.texts.append(f"{time.strftime('%H:%M:%S')} {kind}: {text}")

    def so_far(self):
        """All of them, to come back to."""
        return self.counts.copy(), self.texts[:]

    def back_to(self, so_far):
        """Forgets those since then."""
        self.counts, self.texts = so_far

    def told(self):
        """Lines for people."""
        more = [f"{kind}: {count} in all" for kind, count in self.counts.items() if count > self.MOST]
        return self.texts + more


class Port:
    """A port of one app, or of several. `cuts` counts the changes that may close its connections."""

    def __init__(self, number=None, shared=False):
        self.number, self.shared, self.cuts, self.doors = number, shared, 0, []


class Door:
    """Where an app is asked: a port, and for shared ones the host and the path."""

    def __init__(self, app, port, gone, named=False, host=None, path=""):
        self.app, self.port, self.named, self.host, self.path = app, port, named, host or "any.example", path
        # What is right where the app is not.
        self.gone = frozenset(gone)
        self.now = set(gone)
        app.doors.append(self)
        port.doors.append(self)

    @property
    def is_open(self):
        """Whether it is known where to ask, and nobody else may have the port by now."""
        return self.port.number is not None and (self.named or self.port.shared or self.app.state != "gone")

    @property
    def stopped(self):
        return ABSENT if self.port.shared else STOPPED

    def widen(self, more):
        """These are right, too."""
        self.now |= set(more)
        for asked in self.app.in_flight:
            if asked.door is self:
                asked.widen(self.now)

    def narrow(self, to):
        """Only these are right, to whoever asks from now on."""
        self.widen(to)
        self.now = set(to)


class App:
    """An app, wherever it comes from."""

    def __init__(self, name, engine="js", folder=False, rare=False, fresh=False):
        self.name, self.engine, self.folder, self.rare, self.fresh = name, engine, folder, rare, fresh
        self.doors, self.in_flight = [], set()
        # The door of the version that serves; the version; and whether its files may be seen in the middle of a change.
        self.at, self.mark, self.is_torn = 0, None, False
        self.state = "gone"
        self.record = None
        self.crashing, self.last_crash = 0, 0.0
        self.is_busy = False

    @property
    def door(self):
        return self.doors[self.at]

    def crash_begins(self):
        """A request is sent that ends the app's guest: what is in flight with it may end, too."""
        self.crashing += 1
        # A guest of WebAssembly, or one that has a single request, ends alone.
        if self.engine == "js" and not self.fresh:
            for asked in self.in_flight:
                asked.may_stop = True

    def crash_ends(self):
        self.crashing -= 1
        self.last_crash = time.monotonic()

    def torn(self, is_torn):
        """Whether a guest may be loaded from files of several versions."""
        self.is_torn = is_torn
        for asked in self.in_flight:
            asked.is_torn |= is_torn

    def serves(self, mark):
        """From now on this version is the only one, at its door."""
        self.mark, self.state = mark, "present"
        self.door.narrow({mark})


class Asked:
    """A request under way, and all that its answer may be."""

    __slots__ = ("app", "door", "what", "nonce", "begun", "cuts", "right", "may_stop", "is_torn", "is_answered", "until")

    def __init__(self, door, what, nonce, patience):
        self.app, self.door, self.what, self.nonce = door.app, door, what, nonce
        self.begun, self.cuts = time.monotonic(), door.port.cuts
        self.until = self.begun + patience
        self.right = set(door.now)
        self.is_torn, self.is_answered = door.app.is_torn, False
        shares_its_guest = door.app.engine == "js" and not door.app.fresh
        self.may_stop = shares_its_guest and door.app.crashing > 0
        door.app.in_flight.add(self)

    def widen(self, more):
        if not self.is_answered:
            self.right |= more

    def answered(self):
        """Its head is there: what changes from now on excuses nothing."""
        self.is_answered = True

    def over(self):
        self.app.in_flight.discard(self)

    def is_right(self, answer):
        """Whether this answer, a mark or a word, was right at some time since it was asked."""
        if answer in self.right or (answer == LIMIT and self.may_stop):
            return True
        if not self.is_torn or isinstance(answer, str):
            return False
        marks = [mark for mark in self.right if not isinstance(mark, str)]
        return all(part in {mark[i] for mark in marks} for i, part in enumerate(answer))


class Record:
    """The versions of a deployed app that the host keeps: a second telling of `store/record.rs`."""

    def __init__(self):
        # Number, mark, the number of the one before.
        self.versions, self.current, self.next = [], None, 1

    def find(self, number):
        return next((version for version in self.versions if version[0] == number), None)

    def deploy(self, mark):
        """The number that a deployed version gets."""
        if self.current and self.current[1] == mark:
            return self.current[0]
        before = self.current[0] if self.current else None
        self.versions = [version for version in self.versions if version[1] != mark]
        while len(self.versions) >= KEPT:
            self.versions.remove(next((v for v in self.versions if v[0] != before), self.versions[0]))
        self.current = (self.next, mark, before)
        self.versions.append(self.current)
        self.next += 1
        return self.current[0]

    def before(self):
        """The version that rolling back leads to, if there is one."""
        if not self.current:
            return None
        older = [version for version in self.versions if version[0] < self.current[0]]
        return self.find(self.current[2]) or (older[-1] if older else None)
