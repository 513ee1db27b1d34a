"""`./x soak-storage`: kills nexus in the middle of writes, fills its disk, and looks for every write that was answered.

The app in tools/soak/app writes to a key-value store and to a database, by one value and by three that belong together.
What a write brings follows from the seed and the write's number, so all that is read back is compared with what it must be.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

from bench import command
from bench.report import lines
from bench.servers import nexus_program

from .paths import ROOT, TARGET
from .processes import end
from .term import Problem, say, step

APP = ROOT / "tools" / "soak" / "app"
WORK = TARGET / "soak"
DISK = WORK / "disk"
# The second ballast leaves as much room as the database's log has by then: it may be copied into the database's file.
DISK_SIZE, BALLASTS = 8 << 20, {"ballast-1": 1 << 20, "ballast-2": 4 << 20}
# Of each kind of write, the store that it is for and how many values it has.
KINDS = {"put": ("kv", 1), "insert": ("sql", 1), "atomic": ("kv", 3), "batch": ("sql", 3)}
NAMES = list(KINDS)
THREADS = 12
# The provider's timeout, with what HTTP and a busy machine take; and how long a start may take.
CALL, START = 8, 5
PATIENCE = 60
MOST_FAULTS = 30


def parser():
    top = argparse.ArgumentParser(
        prog="./x soak-storage", description="Kills nexus in the middle of writes, fills its disk, and looks for every write that "
        "was answered. Exit code 1: something was wrong.")
    top.add_argument("--nexus", metavar="PROGRAM", help="another build of nexus [default: target/dist/nexus, built now]")
    top.add_argument("--writes", type=command.positive, default=10_000, metavar="N", help="writes a round [default: 10000]")
    top.add_argument("--kills", type=command.positive, default=20, metavar="N", help="kills a round [default: 20]")
    top.add_argument("--rounds", type=command.positive, default=3, metavar="N", help="rounds, each from nothing on [default: 3]")
    top.add_argument("--seed", type=int, metavar="N", help="has the same values written and the same moments drawn [default: any]")
    top.add_argument("--smoke", action="store_true", help="only see that it runs: one round of 300 writes and 3 kills")
    top.add_argument("--json", action="store_true", help="print everything that was counted as JSON")
    command.add_parts(top, PARTS)
    return top


def main(arguments):
    """Runs the parts; returns 1 if something was wrong."""
    options = command.parse(parser(), arguments)
    if options.smoke:
        options.rounds, options.writes, options.kills = 1, 300, 3
    if options.seed is None:
        options.seed = random.randrange(1 << 32)
    # The disk is unmounted whatever ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    program = nexus_program(options.nexus)
    tables = {part: table for part, (_, table) in PARTS.items()}
    return command.conclude(
        options, lambda: {part: PARTS[part][0](program, options) for part in options.parts},
        lambda results: "\n\n".join(tables[part](result) for part, result in results.items()), command.faults_of_parts)


class Failed(Exception):
    """A call that the app answered with an error."""

    def __init__(self, status, told):
        super().__init__(f"{status}: {told.get('code')}: {told.get('error')}"[:200])
        self.code = told.get("code")


class Client:
    """A connection to the app, made when it is needed and kept."""

    def __init__(self, port, timeout=PATIENCE):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        self.longest = 0

    def ask(self, path, **told):
        """What the app answers; `Failed` is its own failure, `OSError` that there was no whole answer."""
        begun = time.monotonic()
        try:
            self.connection.request("POST", path, json.dumps(told).encode())
            response = self.connection.getresponse()
            status, body = response.status, response.read()
        except (http.client.HTTPException, OSError) as error:
            self.connection.close()
            raise OSError(f"no answer from {path}: {error!r}") from None
        finally:
            self.longest = max(self.longest, time.monotonic() - begun)
        try:
            told = json.loads(body)
        except ValueError:
            told = {"error": body.decode(errors="replace").strip()}
        if status != 200:
            raise Failed(status, told)
        return told.get("told")

    def close(self):
        self.connection.close()


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            # Only this tells of others that listen, whatever they have set.
            probe.listen()
        except OSError:
            return False
    return True


def quiet_port():
    """A free port that the system gives nobody: a client that asks in vain there might be connected to itself."""
    return next(port for port in iter(lambda: random.randrange(12000, 30000), None) if is_free(port))


class Nexus:
    """`nexus serve` under test: the supervisor, and the host that is its child."""

    def __init__(self, program, storage):
        self.program, self.storage, self.port = program, storage, quiet_port()
        self.log, self.process = WORK / "nexus.log", None
        self.log.write_text("")

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [str(self.program), "serve", str(APP), "--port", str(self.port), "--storage", str(self.storage), "--log-format", "json"],
                cwd=WORK, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "NEXUS_CACHE": ""})

    def hosts(self):
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def kill(self, both):
        """Kills the host, which the supervisor starts again; or both, and starts nexus anew. When that was."""
        until = time.monotonic() + PATIENCE
        while not (hosts := self.hosts()):
            if self.process.poll() is not None or time.monotonic() > until:
                raise Problem(f"nexus has no host any more: see {self.log}")
            time.sleep(0.005)
        at = time.monotonic()
        for host in hosts:
            if both:
                # First, or it sees the host's death.
                os.kill(self.process.pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.kill(host, signal.SIGKILL)
        if both:
            self.process.wait()
            # A host that is not quite dead has the port still; nexus would take the next one.
            while not is_free(self.port):
                if time.monotonic() > until:
                    raise Problem(f"a host that was killed still listens at port {self.port}")
                time.sleep(0.001)
            self.start()
        return at

    def answers(self, since, may_fail=False):
        """Waits until the app answers from both stores; how long that took. With `may_fail` an error of a store will do."""
        while True:
            client = Client(self.port)
            try:
                client.ask("/ready")
                return time.monotonic() - since
            except Failed as failed:
                if may_fail and failed.code:
                    return time.monotonic() - since
                last = failed
            except OSError as error:
                last = error
            finally:
                client.close()
            if self.process.poll() is not None:
                raise Problem(f"nexus has ended with {self.process.returncode}: see {self.log}")
            if time.monotonic() - since > PATIENCE:
                raise Problem(f"the app does not answer any more: {last}; see {self.log}")
            time.sleep(0.005)

    def stop(self, faults):
        """Has it end, and looks at what it said."""
        end(self.process)
        if self.process.returncode:
            faults.append(f"nexus ended with {self.process.returncode}")
        for line in self.log.read_text(errors="replace").splitlines():
            died = re.search(r"the host died of (\w+)", line)
            if "panicked" in line or died and died[1] != "SIGKILL":
                faults.append(f"the log says: {line[:300]}")


class Writes:
    """What was written, how each write ended, and what has to be there therefore."""

    def __init__(self, seed, most, long_one=None, fails_with=()):
        # The longest values, from which write on.
        self.seed, self.most, self.long_one = seed, [(0, most)], long_one
        # Beside what any write may fail with.
        self.fails_with = {"EBUSY", "EUNAVAILABLE", "ETIMEDOUT", *fails_with}
        # Whether nexus is killed meanwhile; else each write has an answer.
        self.is_killed = False
        self.changed = threading.Condition()
        self.states, self.begun, self.limit, self.is_paused, self.under_way = {}, 0, 0, False, 0
        self.faults, self.acknowledged, self.values, self.codes = [], 0, 0, {}
        self.last, self.longest_call = None, 0

    def fault(self, text):
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(text)

    def lengthen(self, most):
        """Has values be up to so long from the next write on."""
        self.most.append((self.begun, most))

    def kind(self, seq):
        return NAMES[seq % len(NAMES)]

    def longest(self, seq):
        return next(most for since, most in reversed(self.most) if seq >= since)

    def value(self, seq, part):
        """A value, with its number and a checksum before it."""
        drawn = random.Random(f"{self.seed} {seq} {part}")
        length = self.long_one if self.long_one and seq % 100 == 0 else drawn.randrange(self.longest(seq))
        text = drawn.getrandbits(8 * length + 8).to_bytes(length + 1, "big").hex()
        return f"{seq}.{part}.{zlib.crc32(text.encode()):08x}.{text}"

    def next(self):
        """The number of the next write, or None if there are enough. Waits while there is to be quiet."""
        with self.changed:
            self.changed.wait_for(lambda: not self.is_paused)
            if self.begun >= self.limit:
                return None
            seq, self.begun, self.under_way = self.begun, self.begun + 1, self.under_way + 1
            self.states[seq] = "under way"
            return seq

    def ended(self, seq, state):
        with self.changed:
            self.states[seq], self.under_way = state, self.under_way - 1
            self.acknowledged += state == "there"
            self.changed.notify_all()

    def write(self, client, seq):
        """Makes a write; the code with which it failed, or None."""
        kind = self.kind(seq)
        values = [self.value(seq, part) for part in range(KINDS[kind][1])]
        state, code = "unknown", None
        try:
            client.ask("/write", kind=kind, seq=seq, values=values)
            state = "there"
        except Failed as failed:
            code, self.last = failed.code or "?", str(failed)
            with self.changed:
                self.codes[code] = self.codes.get(code, 0) + 1
            # What these say is that nothing was done, the others that it may have been.
            if code in ("EBUSY", "EUNAVAILABLE", "EQUOTA"):
                state = "absent"
            if code not in self.fails_with:
                self.fault(f"write {seq}, {kind}: {failed}")
        except OSError as error:
            code = "no answer"
            if not self.is_killed:
                self.fault(f"write {seq}, {kind}: {error}")
        finally:
            self.ended(seq, state)
        return code

    def pause(self):
        with self.changed:
            self.is_paused = True

    def resume(self):
        with self.changed:
            self.is_paused = False
            self.changed.notify_all()

    def await_begun(self, count):
        while self.begun < min(count, self.limit):
            time.sleep(0.001)

    def await_quiet(self):
        with self.changed:
            if not self.changed.wait_for(lambda: self.under_way == 0, 2 * PATIENCE):
                raise Problem("a write gets no answer")

    def check(self, port, when):
        """Reads everything back and compares. Nothing may be under way. How many writes of unknown end were there, and were not."""
        client = Client(port)
        found = {}
        unread = set()
        try:
            for store in ("kv", "sql"):
                try:
                    self.read(client, store, found)
                except Failed as failed:
                    unread.add(store)
                    self.fault(f"{when}: {store} cannot be read: {failed}")
            if "sql" not in unread:
                told = client.ask("/integrity")
                if told != "ok":
                    self.fault(f"{when}: integrity_check says {told[:300]}")
        except (Failed, OSError) as error:
            self.fault(f"{when}: {error}")
            return 0, 0
        finally:
            client.close()
        if client.longest > CALL:
            self.fault(f"{when}: a call to read took {client.longest:.1f} s")
        self.values += len(found)
        there = absent = 0
        parts = {}
        for (store, seq, part), value in found.items():
            kind = self.kind(seq)
            if seq not in self.states or store != KINDS[kind][0] or not part < KINDS[kind][1]:
                self.fault(f"{when}: {store} has write {seq}, part {part}, which was never made")
            elif value != self.value(seq, part):
                self.fault(f"{when}: {kind} {seq}, part {part} is torn: {len(value)} characters, {value[:40]!r}…")
            else:
                parts[seq] = parts.get(seq, 0) + 1
        for seq, state in self.states.items():
            kind = self.kind(seq)
            store, whole = KINDS[kind]
            if store in unread:
                continue
            count = parts.get(seq, 0)
            if count not in (0, whole):
                self.fault(f"{when}: of {kind} {seq} ({state}) there are {count} of {whole} parts")
            elif state == "there" and not count:
                self.fault(f"{when}: {kind} {seq} was answered, or seen, and is lost")
            elif state == "absent" and count:
                self.fault(f"{when}: {kind} {seq} was not there, and now is")
            elif state == "unknown":
                # From now on it stays as it is.
                self.states[seq] = "there" if count else "absent"
                there, absent = there + bool(count), absent + (not count)
        return there, absent

    def read(self, client, store, found):
        cursor = None
        while True:
            page = client.ask(f"/{store}", cursor=cursor)
            for seq, part, value in page["entries"]:
                if (store, seq, part) in found:
                    self.fault(f"{store} lists write {seq}, part {part} twice")
                found[store, seq, part] = value
            cursor = page["cursor"]
            if cursor is None:
                return


@contextlib.contextmanager
def writers(writes, port, goes_on=lambda kind, code: True):
    """Threads that write until there are enough, or until one of them is told not to go on."""
    def work():
        client = Client(port)
        while (seq := writes.next()) is not None:
            code = writes.write(client, seq)
            writes.longest_call = max(writes.longest_call, client.longest)
            if client.longest > CALL:
                writes.fault(f"write {seq} took {client.longest:.1f} s: {code or 'done'}")
                client.longest = 0
            if not goes_on(writes.kind(seq), code):
                break
            if code == "no answer":
                time.sleep(0.01)
        client.close()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        # Whatever happened, nobody writes any more.
        if sys.exc_info()[0]:
            writes.limit = 0
        writes.resume()
        for thread in threads:
            thread.join(2 * PATIENCE)


def fresh_folder():
    """The working folder, with nothing left of another run."""
    WORK.mkdir(parents=True, exist_ok=True)
    if os.path.ismount(DISK):
        subprocess.run(["umount", "-l", str(DISK)], check=True)
    for folder in (WORK / "storage", DISK):
        shutil.rmtree(folder, ignore_errors=True)


def kills(program, options):
    """Kills nexus again and again while it writes."""
    result = {"rounds": options.rounds, "seed": options.seed, "writes": 0, "acknowledged": 0, "host_kills": 0, "both_kills": 0,
              "early_kills": 0, "unknown_there": 0, "unknown_absent": 0, "values": 0, "codes": {}, "starts": [], "longest_call_s": 0,
              "writing_s": 0, "faults": []}
    for round_ in range(options.rounds):
        with step(f"round {round_ + 1} of {options.rounds}: {options.writes:,} writes, {options.kills} kills"):
            kill_round(program, options, round_, result)
    return result


def kill_round(program, options, round_, result):
    fresh_folder()
    drawn = random.Random(f"{options.seed} {round_}")
    writes = Writes(f"{options.seed} {round_}", 1000, 60_000)
    writes.limit, writes.is_killed = options.writes, True
    moments = sorted(drawn.sample(range(options.writes), min(options.kills, options.writes)))
    nexus = Nexus(program, WORK / "storage")
    try:
        nexus.start()
        begin(nexus)
        with writers(writes, nexus.port):
            i = 0
            while i < len(moments):
                resumed = time.monotonic()
                writes.await_begun(moments[i])
                time.sleep(drawn.random() * 0.03)
                result["writing_s"] += time.monotonic() - resumed
                at = kill(nexus, i, result)
                writes.pause()
                i += 1
                # Now and then the next one dies as well, while it starts.
                if i < len(moments) and drawn.random() < 0.25:
                    time.sleep(drawn.random() * 0.3)
                    at = kill(nexus, i, result)
                    result["early_kills"] += 1
                    i += 1
                note_start(nexus.answers(at), result["starts"], writes, f"after kill {i}")
                writes.await_quiet()
                checked(writes, nexus, f"round {round_ + 1}, after kill {i}", result)
                writes.resume()
            resumed = time.monotonic()
        result["writing_s"] += time.monotonic() - resumed
        checked(writes, nexus, f"round {round_ + 1}, at the end", result)
        nexus.stop(writes.faults)
        nexus.start()
        nexus.answers(time.monotonic())
        checked(writes, nexus, f"round {round_ + 1}, after a regular end", result)
        nexus.stop(writes.faults)
    finally:
        end(nexus.process)
    # They are told once, and again with each look.
    result["faults"] += list(dict.fromkeys(writes.faults))
    result["writes"] += writes.begun
    result["acknowledged"] += writes.acknowledged
    result["values"] += writes.values
    result["longest_call_s"] = max(result["longest_call_s"], writes.longest_call)
    for code, count in writes.codes.items():
        result["codes"][code] = result["codes"].get(code, 0) + count


def begin(nexus):
    """Makes the table of a nexus that was just started."""
    client = Client(nexus.port)
    until = time.monotonic() + PATIENCE
    while True:
        try:
            client.ask("/begin")
            return client.close()
        except OSError:
            if nexus.process.poll() is not None or time.monotonic() > until:
                raise Problem(f"nexus does not serve: see {nexus.log}") from None
            time.sleep(0.01)
        except Failed as failed:
            raise Problem(f"the app cannot begin: {failed}; see {nexus.log}") from None


def kill(nexus, i, result):
    """Every third kill is one of both: a supervisor sets an app aside of which three of its hosts seem to have died."""
    both = i % 3 == 2
    result["both_kills" if both else "host_kills"] += 1
    return nexus.kill(both)


def note_start(took, starts, writes, when):
    starts.append(took)
    if took > START:
        writes.fault(f"{when}: the app answered only after {took:.1f} s")


def checked(writes, nexus, when, result):
    there, absent = writes.check(nexus.port, when)
    result["unknown_there"] += there
    result["unknown_absent"] += absent


@contextlib.contextmanager
def small_disk():
    """A disk of memory, which is unmounted at the end whatever happens."""
    DISK.mkdir(parents=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "soak-storage", str(DISK)], capture_output=True, text=True)
    if done.returncode:
        raise Problem(f"a small disk cannot be mounted: {done.stderr.strip()}")
    try:
        yield
    finally:
        # Whose process was killed just now may hold it for a moment.
        for _ in range(50):
            if not subprocess.run(["umount", str(DISK)], capture_output=True).returncode:
                break
            time.sleep(0.1)
        else:
            subprocess.run(["umount", "-l", str(DISK)], check=True)


def full_disk(program, options):
    """Fills nexus's disk, makes room again, and kills nexus on either."""
    if os.getuid() != 0:
        reason = "only root may mount a small disk"
        say(f"soak-storage: the full disk is left out: {reason}")
        return {"skipped": reason, "faults": []}
    fresh_folder()
    try:
        with small_disk(), step("a full disk"):
            return on_small_disk(program, options)
    except Problem as problem:
        if "cannot be mounted" not in str(problem):
            raise
        say(f"soak-storage: the full disk is left out: {problem}")
        return {"skipped": str(problem), "faults": []}


def on_small_disk(program, options):
    for name, size in BALLASTS.items():
        (DISK / name).write_bytes(bytes(size))
    result = {"fills": [], "starts": [], "resumed_s": [], "unknown_there": 0, "unknown_absent": 0, "faults": []}
    writes = Writes(options.seed, 8000, fails_with={"EIO"})
    nexus = Nexus(program, DISK / "storage")

    def look(when):
        checked(writes, nexus, when, result)

    def killed(both, when, may_fail):
        at = nexus.kill(both)
        writes.pause()
        note_start(nexus.answers(at, may_fail), result["starts"], writes, when)

    try:
        nexus.start()
        begin(nexus)
        fill(writes, nexus, result, "the disk full")
        look("on the full disk")
        (DISK / "ballast-1").unlink()
        room(writes, nexus, result, "with room again")
        look("with room again")
        fill(writes, nexus, result, "the disk full again")
        look("on the disk that is full again")
        # In the middle of writes that fail.
        writes.limit, writes.is_killed = 1 << 60, True
        with writers(writes, nexus.port):
            time.sleep(0.2)
            killed(False, "after a kill on the full disk", True)
            writes.await_quiet()
            look("after a kill on the full disk")
            writes.resume()
            time.sleep(0.2)
            killed(True, "after a kill of both on the full disk", True)
            writes.await_quiet()
            look("after a kill of both on the full disk")
            writes.limit = 0
        writes.is_killed = False
        (DISK / "ballast-2").unlink()
        room(writes, nexus, result, "with room after a kill")
        look("with room after a kill")
        for both in (False, True):
            killed(both, "after a kill with room", False)
            writes.resume()
            room(writes, nexus, result, "after a kill with room")
            look("after a kill with room")
        nexus.stop(writes.faults)
        nexus.start()
        nexus.answers(time.monotonic())
        look("after a regular end")
        nexus.stop(writes.faults)
    finally:
        end(nexus.process)
    return {**result, "writes": writes.begun, "acknowledged": writes.acknowledged, "values": writes.values, "codes": writes.codes,
            "longest_call_s": writes.longest_call,
            "faults": list(dict.fromkeys(writes.faults))}


def fill(writes, nexus, result, when):
    """Writes until each kind has failed several times in a row: first much at a time, then little."""
    before = writes.acknowledged
    for most in (8000, 60):
        in_a_row = dict.fromkeys(NAMES, 0)

        def goes_on(kind, code):
            in_a_row[kind] = in_a_row[kind] + 1 if code else 0
            return min(in_a_row.values()) < 5

        writes.lengthen(most)
        writes.limit = writes.begun + 5000
        with writers(writes, nexus.port, goes_on):
            pass
        writes.limit = writes.begun
        if most == 8000 and min(in_a_row.values()) < 5:
            writes.fault(f"{when}: it does not get full: in a row failed {in_a_row}")
    result["fills"].append({"acknowledged": writes.acknowledged - before, "free": free()})


def free():
    disk = os.statvfs(DISK)
    return disk.f_bavail * disk.f_frsize


def kept():
    """What lies on the disk, for who looks for what was wrong."""
    return ", ".join(f"{path.name} {path.stat().st_size:,}" for path in sorted(DISK.rglob("*")) if path.is_file())


def room(writes, nexus, result, when):
    """There is room: each kind of write must go well, soon."""
    since, client = time.monotonic(), Client(nexus.port)
    missing = set(NAMES)
    writes.lengthen(1000)
    while missing and time.monotonic() - since < START:
        writes.limit = writes.begun + 1
        seq = writes.next()
        if writes.write(client, seq) is None:
            missing.discard(writes.kind(seq))
    client.close()
    if missing:
        writes.fault(f"{when}: {', '.join(sorted(missing))} fail still, with {free():,} bytes free: {writes.last}; {kept()}")
    result["resumed_s"].append(time.monotonic() - since)


def table_of_kills(result):
    """The table for people."""
    count = "{:,}".format
    rows = [[f"kill -9, {result['rounds']} rounds, seed {result['seed']}", ""],
            ["writes, of them acknowledged", f"{count(result['writes'])}, {count(result['acknowledged'])}"],
            ["seconds of writing", f"{result['writing_s']:.1f}"],
            ["kills of the host; of supervisor and host", f"{result['host_kills']}; {result['both_kills']}"],
            ["  of them while the one before started", f"{result['early_kills']}"]]
    rows += rows_of_both(result)
    return "\n".join([*lines(rows), "", verdict(result, "what was acknowledged is there, and nothing is torn")])


def table_of_full_disk(result):
    if "skipped" in result:
        return f"a full disk: left out: {result['skipped']}"
    count = "{:,}".format
    rows = [[f"a disk of {DISK_SIZE >> 20} MB, full", ""],
            ["writes, of them acknowledged", f"{count(result['writes'])}, {count(result['acknowledged'])}"],
            ["  until it was full, each time", ", ".join(count(fill["acknowledged"]) for fill in result["fills"])],
            ["  bytes free then", ", ".join(count(fill["free"]) for fill in result["fills"])],
            ["writes go on after, s", ", ".join(f"{took:.2f}" for took in result["resumed_s"])]]
    rows += rows_of_both(result)
    return "\n".join([*lines(rows), "", verdict(result, "a full disk gives errors, and nothing is lost or torn")])


def rows_of_both(result):
    return [["errors", ", ".join(f"{code} {number:,}" for code, number in sorted(result["codes"].items())) or "none"],
            ["writes without a good answer: found, not found", f"{result['unknown_there']:,}, {result['unknown_absent']:,}"],
            ["the longest call to write, s", f"{result['longest_call_s']:.2f}"],
            ["values read back", f"{result['values']:,}"],
            ["the app answers after a kill, s: median, longest",
             f"{statistics.median(result['starts']):.2f}, {max(result['starts']):.2f}" if result["starts"] else "never"]]


def verdict(result, good):
    return f"{len(result['faults'])} faults, see below" if result["faults"] else good


PARTS = {"kills": (kills, table_of_kills), "full-disk": (full_disk, table_of_full_disk)}
