"""The servers that are compared: where each comes from, and how it is started as it is shipped."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

from tools import cli, prepare
from tools.paths import ROOT, TARGET
from tools.term import Problem, say, step

BENCH = ROOT / "bench"
APP = BENCH / "app"
WORK = TARGET / "bench"
MODULES = WORK / "peers" / "node_modules"
HYPER = WORK / "hyper" / "release" / "bare-hyper"


class Server:
    """One contender. `command(port, apps)` starts it; with several apps, each is on the next port.

    It is asked for `path`, and answers 200. If there is a `host(i)`, all apps are on one port, each under that name.
    """

    def __init__(self, name, program, command, many=False, path="/bench", host=None):
        self.name, self.program, self.command, self.many, self.path, self.host = name, program, command, many, path, host
        # What its process prints.
        self.log = WORK / f"{name}.log"

    def place(self, port, i):
        """Where its app `i` is: the port, and the name to ask under, or None for any."""
        return (port, self.host(i)) if self.host else (port + i, None)


def all_servers(nexus):
    """Every server, ready or not, nexus first and the limit last."""
    x64 = platform.machine() == "x86_64"
    workerd = MODULES / "@cloudflare" / ("workerd-linux-64" if x64 else "workerd-linux-arm64") / "bin" / "workerd"
    deno = MODULES / "@deno" / "linux-x64-glibc" / "deno"
    bun = MODULES / "@oven" / ("bun-linux-x64" if x64 else "bun-linux-aarch64") / "bin" / "bun"
    return [
        Server("nexus", nexus, lambda port, apps: [nexus, "serve", nexus_apps(apps), "--port", port], many=True),
        Server("workerd", workerd, lambda port, apps: [workerd, "serve", workerd_config(port, apps)], many=True),
        Server("deno", deno, lambda port, _: [deno, "run", "--allow-net=127.0.0.1", APP / "deno.mjs", port]),
        Server("bun", bun, lambda port, _: [bun, APP / "bun.mjs", port]),
        Server("hyper", HYPER, lambda port, _: [HYPER, port]),
    ]


def ready(only, nexus, contenders):
    """The servers in `only` of those that `contenders(program)` lists, fetched and built. `nexus` names a build of nexus to be
    taken; else it is built."""
    program = Path(nexus).resolve() if nexus else TARGET / "dist" / "nexus"
    if "nexus" in only and not nexus:
        build_nexus()
    fetch(only)
    chosen = [server for server in contenders(program) if server.name in only]
    for server in chosen:
        if not server.program.exists():
            if server.name == "nexus":
                raise Problem(f"there is no {server.program}: build it, or leave nexus out with --only")
            say(f"bench: {server.name} is skipped, it is not there")
    chosen = [server for server in chosen if server.program.exists()]
    if not chosen:
        raise Problem("nothing is left to measure")
    return chosen


def build_nexus():
    prepare.ready()
    if cli.cargo("build", "--profile", "dist", "--bin", "nexus"):
        raise Problem("nexus does not build")


def nexus_program(named):
    """The build of nexus that was named, or else one that is made now."""
    if not named:
        build_nexus()
    program = Path(named).resolve() if named else TARGET / "dist" / "nexus"
    if not program.exists():
        raise Problem(f"there is no {program}")
    return program


def nexus_apps(count):
    """One app is the folder itself; several are a folder of copies."""
    if count == 1:
        return APP / "nexus"
    folder = WORK / f"apps-{count}"
    for i in range(count):
        shutil.copytree(APP / "nexus", folder / f"app{i:03}", dirs_exist_ok=True)
    return folder


def workerd_config(port, count):
    workers = [f'    (name = "app{i}", worker = .app),' for i in range(count)]
    sockets = [f'    (name = "http{i}", address = "127.0.0.1:{port + i}", http = (), service = "app{i}"),' for i in range(count)]
    text = (APP / "workerd.capnp.in").read_text()
    folder = os.path.relpath(APP / "nexus", WORK)
    for mark, value in (("@APP@", folder), ("@WORKERS@\n", "\n".join(workers) + "\n"), ("@SOCKETS@\n", "\n".join(sockets) + "\n")):
        text = text.replace(mark, value)
    path = WORK / f"workerd-{count}.capnp"
    path.write_text(text)
    return path


def fetch(only):
    """Fetches and builds what is missing of the servers in `only`. What cannot be had is skipped, and said so."""
    WORK.mkdir(parents=True, exist_ok=True)
    if only & {"workerd", "deno", "bun"}:
        fetch_peers()
    if "hyper" in only:
        build_hyper()
    fetch_wrk()


def fetch_peers():
    """Installs the pinned programs; package-lock.json has their hashes. None of their own scripts run."""
    folder = WORK / "peers"
    lock = (BENCH / "peers" / "package-lock.json").read_bytes()
    stamp = folder / "stamp"
    if stamp.exists() and stamp.read_bytes() == lock:
        return
    if not shutil.which("npm"):
        say("bench: npm is missing, so workerd, Deno and Bun are skipped (Debian: apt install npm)")
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(BENCH / "peers" / name, folder / name)
    with step("fetching workerd, Deno and Bun"):
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--cache", str(WORK / "npm-cache")],
            cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        shutil.rmtree(WORK / "npm-cache", ignore_errors=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("npm error") and line.strip() != "npm error"]
        reason = (errors[1:2] or errors or ["npm failed"])[0]
        say(f"bench: workerd, Deno and Bun are skipped, they cannot be fetched: {reason}")
        return
    stamp.write_bytes(lock)


def build_hyper():
    reason = build_bare("hyper", BENCH / "hyper")
    if reason:
        say(f"bench: bare hyper is skipped, it cannot be built: {reason}")


def build_bare(name, folder):
    """Builds the program in this folder into one of WORK; why that failed, if it did."""
    with step(f"building bare {name}"):
        # From outside the checkout, whose cargo configuration is for V8.
        done = subprocess.run(
            ["cargo", "build", "--release", "--locked", "--quiet", "--manifest-path", str(folder / "Cargo.toml"),
             "--target-dir", str(WORK / name)],
            cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        return ([line for line in done.stderr.splitlines() if line.startswith("error")] or ["cargo failed"])[0]
    return None


def fetch_wrk():
    if shutil.which("wrk"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        with step("installing wrk"):
            subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], stdin=subprocess.DEVNULL, capture_output=True)
    if not shutil.which("wrk"):
        raise Problem("wrk is missing: install it (Debian: apt install wrk)")
