"""Requests: what is asked, and whether what comes back is right."""

import asyncio
import time
import zlib

from . import client
from .model import ABSENT, BROKEN, CLOSED, LIMIT, MISDIRECTED, NOT_FOUND, REFUSED, STOPPED, Asked

# A request that is not answered after so long, its own waiting not counted, is stuck.
STUCK = 20
# A connection that was not used for so long is not used again: the host closes it after 75 s.
RESTED = 30
HOSTS_WORDS = {
    "this app is stopped": STOPPED,
    "the app is not available": ABSENT,
    "no app is served under this host": MISDIRECTED,
    "no app of this host is served at this path": NOT_FOUND,
}
STOPPED_GUEST = ("the app was stopped while it handled this request (limit: cpu ",
                 "the app was stopped while it handled this request (limit: memory ")
FAILED = "the app failed to handle this request"
STATUS = {STOPPED: 503, ABSENT: 503, MISDIRECTED: 421, NOT_FOUND: 404, LIMIT: 503}

# How often each is asked for. Those beneath crash the guest, or fail.
JS = {"plain": 60, "slow": 6, "tail": 3, "large": 5, "stream": 5, "echo": 10, "digest": 6, "leave": 1, "leave-upload": 1, "pipeline": 3}
WASM = {"plain": 60, "slow": 6, "stream": 5, "echo": 10, "leave": 1, "leave-upload": 1, "pipeline": 3}
JS_CRASHES = {"cpu": 3, "memory": 3, "throw": 2, "recursion": 1, "cut": 2}
WASM_CRASHES = {"spin": 3, "grow": 2, "trap": 2, "recurse": 1}
LEAVERS = {"leave", "leave-upload"}
# Those that end the guest, and with it what shares it.
STOPS = {"cpu", "memory", "spin", "grow"}
FRESH = {"plain": 60, "echo": 10, "digest": 6}


class Traffic:
    """Asks, judges, counts."""

    def __init__(self, rng, faults, counts, answers):
        self.rng, self.faults, self.counts, self.answers = rng, faults, counts, answers
        self.serial, self.times = 0, []
        self.under_way = {}

    def nonce(self):
        self.serial += 1
        return f"n-{self.serial}"

    async def connect(self, door):
        cuts = door.port.cuts
        connection = await client.Connection.to(door.port.number)
        connection.cuts = cuts
        return connection

    async def one(self, door, what, connection=None):
        """One exchange, on this connection or a fresh one. Gives the connection if it can be used again."""
        query, method, body, wait = self.task(door.app, what)
        asked = Asked(door, what, self.nonce(), STUCK + wait)
        ends_guest = what in STOPS
        if ends_guest:
            door.app.crash_begins()
        self.counts[what] += 1
        try:
            connection = connection or await self.connect(door)
            self.under_way[asked] = connection
            return await self.exchange(asked, connection, query, method, body)
        except client.Failed as failed:
            self.failed(asked, failed, connection)
        finally:
            self.under_way.pop(asked, None)
            asked.over()
            if ends_guest:
                door.app.crash_ends()
        if connection:
            connection.close()
        return None

    async def exchange(self, asked, connection, query, method, body):
        if connection.is_closed:
            raise client.Closed("a kept connection was closed")
        host, target = target_of(asked, query)
        declared = "content-length: 1000000\r\n" if asked.what == "leave-upload" else ""
        connection.send(client.request(method, target, host, asked.nonce, body, declared))
        if asked.what in LEAVERS:
            return await self.leave(connection)
        await connection.drain()
        answer = await connection.head()
        asked.answered()
        taken = time.monotonic() - asked.begun
        await connection.body(answer)
        if asked.what == "plain":
            self.times.append(taken)
        self.judge(asked, answer, body, query)
        return self.kept(connection, answer, asked)

    def kept(self, connection, answer, asked):
        """The connection, if it stays open."""
        if answer.headers.get("connection", "").lower() == "close":
            connection.close()
            return None
        # A change since the request was sent may have it closed from now on.
        connection.cuts, connection.used = asked.cuts, time.monotonic()
        return connection

    async def leave(self, connection):
        """Leaves in the middle of an upload or a download."""
        await asyncio.sleep(self.rng.random() * 0.1)
        connection.close()
        self.answers["left"] += 1

    async def pipeline(self, door, connection=None):
        """Three requests at once, whose answers come in their order."""
        all_asked = [Asked(door, "plain", self.nonce(), STUCK) for _ in range(3)]
        asked = all_asked[0]
        self.counts["pipeline"] += 3
        try:
            connection = connection or await self.connect(door)
            for asked in all_asked:
                self.under_way[asked] = connection
                query = "/env" if door.app.engine == "wasm" else "do=plain"
                connection.send(client.request("GET", target_of(asked, query)[1], door.host, asked.nonce))
            for asked in all_asked:
                answer = await connection.head()
                asked.answered()
                self.judge(asked, await connection.body(answer), None, "do=plain")
                if answer.headers.get("connection", "").lower() == "close":
                    # Nobody answers those after it.
                    break
            return self.kept(connection, answer, all_asked[0])
        except client.Failed as failed:
            self.failed(asked, failed, connection)
        finally:
            for asked in all_asked:
                self.under_way.pop(asked, None)
                asked.over()
        if connection:
            connection.close()
        return None

    def task(self, app, what):
        """The query or path, method, body, and how long the answer may take by itself."""
        pick = self.rng.choice
        ms = pick((5, 30, 100, 300, 800))
        if app.engine == "wasm":
            named = {"plain": "/env", "slow": f"/sleep/{ms}", "leave": "/drip", "leave-upload": "/count"}
            path = named.get(what, f"/{what}")
            if what == "leave-upload":
                return path, "POST", None, 0
            return (path, "POST", self.data(), 0) if what == "echo" else (path, "GET", None, 0)
        if what in ("echo", "digest"):
            return f"do={what}", "POST", self.data(), 0
        if what == "leave-upload":
            return "do=digest", "POST", None, 0
        if what in ("stream", "cut", "leave"):
            count, pace = pick((3, 10, 30)), pick((0, 5, 40))
            return f"do={'stream' if what == 'leave' else what}&count={count}&ms={pace}", "GET", None, count * pace / 1000
        if what == "large":
            return f"do=large&count={pick((10, 1000, 8000))}", "GET", None, 0
        return f"do={what}&ms={ms}", "GET", None, 0

    def data(self):
        size = self.rng.choice((1, 100, 5_000, 70_000, 200_000))
        return (self.rng.getrandbits(64).to_bytes(8, "big") * (size // 8 + 1))[:size]

    def failed(self, asked, failed, connection):
        """An exchange without a whole answer."""
        if isinstance(failed, client.Broken):
            is_right = asked.may_stop or asked.what == "cut" or asked.what in STOPS
            return self.verdict(asked, BROKEN, is_right, str(failed))
        answer = REFUSED if isinstance(failed, client.Refused) else CLOSED
        # The change that closed it may be over by now.
        is_excused = answer == CLOSED and connection and connection.cuts != asked.door.port.cuts
        return self.verdict(asked, answer, asked.is_right(answer) or is_excused, str(failed))

    def judge(self, asked, answer, body, query):
        """Whether a whole answer is right."""
        if answer.headers.get("x-request-id") != asked.nonce:
            return self.wrong(asked, "another request's answer", f"its id is {answer.headers.get('x-request-id')}")
        word = HOSTS_WORDS.get(answer.text)
        if word is None and answer.status == 503 and answer.text.startswith(STOPPED_GUEST):
            word = LIMIT
        if word:
            is_own = word == LIMIT and asked.what in STOPS
            is_right = STATUS[word] == answer.status and (asked.is_right(word) or is_own)
            return self.verdict(asked, word, is_right, f"{answer.status} {answer.text}")
        if answer.status == 500 and answer.text == FAILED:
            is_right = asked.what in ("throw", "recursion", "memory", "trap", "recurse", "grow")
            return self.verdict(asked, "500", is_right, answer.text)
        if answer.status != 200:
            return self.wrong(asked, "a wrong status", f"{answer.status} {answer.text[:200]}")
        why = wasm_fault(asked, answer, body) if asked.app.engine == "wasm" else js_fault(asked, answer, body, query)
        return self.wrong(asked, *why) if why else self.verdict(asked, "200", True, "")

    def verdict(self, asked, answer, is_right, detail):
        self.answers[answer] += 1
        if not is_right:
            self.wrong(asked, f"a wrong answer ({answer})", detail)

    def wrong(self, asked, kind, detail):
        age = time.monotonic() - asked.begun
        crash = time.monotonic() - asked.app.last_crash if asked.app.last_crash else float("nan")
        right = sorted(map(str, asked.right))
        self.faults.add(kind, f"{asked.app.name} ({asked.what}, {asked.nonce}, after {age:.3f} s, the last crash {crash:.1f} s ago): "
                              f"{detail}; right: {', '.join(right)}")

    def look(self):
        """Breaks off what is stuck."""
        now = time.monotonic()
        for asked, connection in list(self.under_way.items()):
            if now > asked.until:
                self.wrong(asked, "stuck", "no whole answer")
                asked.until = float("inf")
                connection.close()


def target_of(asked, query):
    door = asked.door
    if door.app.engine == "wasm":
        return door.host, query
    return door.host, f"{door.path}/x?nonce={asked.nonce}&{query}"


def js_fault(asked, answer, body, query):
    """What is wrong with an answer of a JavaScript app: its kind and detail."""
    headers, app = answer.headers, asked.app
    if headers.get("x-app") != app.name:
        return "another app's answer", f"of {headers.get('x-app')}"
    if (headers.get("x-nonce"), headers.get("x-request")) != (asked.nonce, asked.nonce):
        return "another request's answer", f"of {headers.get('x-nonce')}, {headers.get('x-request')}"
    if app.fresh and headers["x-served"] != "1":
        return "a guest that had served before", f"{headers['x-served']} requests"
    mark = tuple(int(part) if part.isdigit() else part for part in headers["x-mark"].split("."))
    if not asked.is_right(mark):
        return "a wrong version", f"{headers['x-mark']}"
    expected = js_body(asked, f"{app.name} {headers['x-mark']} {asked.nonce}".encode(), body, query)
    if answer.body != expected:
        return "a wrong body", f"{len(answer.body)} bytes, {answer.body[:80]!r}, in place of {len(expected)}, {expected[:80]!r}"
    return None


def js_body(asked, line, body, query):
    parameters = dict(part.split("=") for part in query.split("&"))
    if asked.what == "stream":
        return b"".join(b"%s %d\n" % (line, i) for i in range(int(parameters["count"])))
    if asked.what == "large":
        return (line + b"\n") * int(parameters["count"])
    if asked.what == "echo":
        return body
    if asked.what == "digest":
        return b"%d %d" % (len(body), zlib.adler32(body))
    return line + b"\n"


def wasm_fault(asked, answer, body):
    """The same of a WebAssembly app."""
    if asked.what == "plain":
        told = dict(line.split("=", 1) for line in answer.text.splitlines())
        if told.get("APP") != asked.app.name:
            return "another app's answer", f"of {told.get('APP')}"
        mark = (int(told["MARK"]),) * 3
        return None if asked.is_right(mark) else ("a wrong version", told["MARK"])
    expected = {"slow": b"slept", "echo": body, "stream": b"".join(b"chunk %d\n" % i for i in range(1, 6))}[asked.what]
    return None if answer.body == expected else ("a wrong body", f"{answer.body[:80]!r}, in place of {expected[:80]!r}")
