"""Who serves which component: nexus and `wasmtime serve`, each with a fresh instance for every request and with reuse."""

import os
import shutil
import subprocess

from bench.servers import WORK, Server
from tools.paths import ROOT, TARGET
from tools.term import Problem, say

# By name: the component, and the path that it answers with 200.
GUESTS = {
    "c": (ROOT / "examples" / "wasm-c" / "app.wasm", "/greet?name=Ann"),
    "rust": (ROOT / "examples" / "wasm-rust" / "app.wasm", "/greet?name=Ann"),
}
NAMES = ("nexus", "nexus-reuse", "wasmtime", "wasmtime-reuse")
# Requests that an instance serves: as many as wasmtime's own default for components of WASI 0.3.
REUSE = 128

WASMTIME = "48.0.8"
WASMTIME_ROOT = WORK / "wasmtime"
WASMTIME_PROGRAM = WASMTIME_ROOT / "bin" / "wasmtime"


def built(profile):
    """Where cargo puts what it builds in a profile."""
    return TARGET / {"dev": "debug", "bench": "release", "test": "debug"}.get(profile, profile)


def all_servers(nexus, guest):
    """Every server of a guest, ready or not, in the order of NAMES."""
    file, path = GUESTS[guest]

    def served(reuse):
        return lambda port, apps: [nexus, "serve", folder(guest, reuse, apps), "--port", port]

    def wasmtime(*options):
        return lambda port, _: [WASMTIME_PROGRAM, "serve", *options, "--addr", f"127.0.0.1:{port}", file]

    return [
        Server("nexus", nexus, served(1), many=True, path=path),
        Server("nexus-reuse", nexus, served(REUSE), many=True, path=path),
        Server("wasmtime", WASMTIME_PROGRAM, wasmtime(), path=path),
        Server("wasmtime-reuse", WASMTIME_PROGRAM, wasmtime("--max-instance-reuse-count", REUSE), path=path),
    ]


def folder(guest, reuse, apps=1):
    """An app of a guest; several are a folder of apps with the same file."""
    top = WORK / "wasm" / f"{guest}-{reuse}-{apps}"
    shutil.rmtree(top, ignore_errors=True)
    for i in range(apps):
        app = top / f"app{i:04}"
        app.mkdir(parents=True)
        shutil.copyfile(GUESTS[guest][0], app / "app.wasm")
        (app / "nexus.toml").write_text(f'[project]\nname = "app{i:04}"\n\n[wasm]\nreuse = {reuse}\n')
    return top / "app0000" if apps == 1 else top


def fetch_wasmtime(smoke):
    """Builds `wasmtime` of the version that nexus has, unless it is there. Without it, it is skipped, and said so."""
    if WASMTIME_PROGRAM.exists() and version() == f"wasmtime {WASMTIME}":
        return
    if smoke:
        say("bench-wasm: wasmtime is skipped: it is not there, and takes too long to build for a smoke run")
        return
    target = WORK / "wasmtime-build"
    say(f"bench-wasm: building wasmtime {WASMTIME}, once; it takes some 20 minutes on two cores")
    # From outside the checkout, whose cargo configuration is for V8. Its progress is shown, as it takes so long.
    done = subprocess.run(
        ["cargo", "install", "wasmtime-cli", "--version", WASMTIME, "--locked", "--root", str(WASMTIME_ROOT),
         "--target-dir", str(target)],
        cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        env={**os.environ, "CARGO_TERM_COLOR": "never"})
    if done.returncode:
        say(f"bench-wasm: wasmtime is skipped, it cannot be built: cargo ended with {done.returncode}")
        return
    shutil.rmtree(target, ignore_errors=True)


def version():
    """The first two words of what wasmtime says of itself."""
    done = subprocess.run([str(WASMTIME_PROGRAM), "--version"], capture_output=True, text=True)
    if done.returncode:
        raise Problem(f"{WASMTIME_PROGRAM} does not start: remove it, and it is built again")
    return " ".join(done.stdout.split()[:2])
