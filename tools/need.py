"""The tools that a build needs, and what to do where one is missing."""

import os
import re
import shutil
import subprocess
import sys

from .paths import ROOT
from .term import Problem

LINUX_X64 = "x86_64-unknown-linux-gnu"


def run(command, failing, **options):
    """Runs a command quietly and returns what it printed.

    `failing` begins the one line that a failure gets; the last line that the command wrote ends it.
    """
    done = subprocess.run(
        [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, errors="replace", **options)
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        telling = [line for line in lines if line.lower().startswith(("error", "e:"))]
        reason = (telling or lines[-1:] or [f"exit code {done.returncode}"])[0]
        raise Problem(f"{failing}: {reason}")
    return done.stdout


def minimum_rust():
    """The `rust-version` of the workspace, as a tuple."""
    found = re.search(r'^rust-version = "(\d+)\.(\d+)', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    return int(found.group(1)), int(found.group(2))


def rust_host():
    """Checks that Rust is there and new enough; returns the platform that it builds for."""
    wanted = minimum_rust()
    newest = "%d.%d" % wanted
    for tool in ("cargo", "rustc"):
        if not shutil.which(tool):
            raise Problem(f"{tool} is missing: install Rust {newest} or newer from https://rustup.rs")
    told = run(["rustc", "-vV"], "rustc does not start", cwd=ROOT)
    release = re.search(r"^release: (\d+)\.(\d+)", told, re.MULTILINE)
    if (int(release.group(1)), int(release.group(2))) < wanted:
        raise Problem(f"Rust {newest} or newer is needed, this is {release.group(0)[9:]}: run `rustup update stable`")
    return re.search(r"^host: (\S+)", told, re.MULTILINE).group(1)


def linker():
    """Checks that the C compiler that rustc links with is there."""
    if not shutil.which("cc"):
        raise Problem("cc is missing, rustc links with it: install gcc or clang (Debian: apt install gcc libc6-dev)")


def pip(folder):
    """A command line that runs pip: this Python's own, else one in a virtual environment in `folder`."""
    own = [sys.executable, "-m", "pip"]
    if subprocess.run([*own, "--version"], capture_output=True).returncode == 0:
        return own
    made = subprocess.run([sys.executable, "-m", "venv", str(folder)], capture_output=True)
    if made.returncode == 0:
        return [str(folder / "bin" / "python3"), "-m", "pip"]
    raise Problem("pip is missing, and python3 -m venv cannot make one: install it (Debian: apt install python3-pip)")


def environment():
    """The environment for cargo: as it is, with V8's flags kept where the user has flags of their own.

    `RUSTFLAGS` and `RUSTDOCFLAGS` in the environment replace what `.cargo/config.toml` says, and
    without V8's part nothing links. The user's come first, then V8's.
    """
    from . import prepare

    env = dict(os.environ)
    for variable, encoded in (("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"), ("RUSTDOCFLAGS", "CARGO_ENCODED_RUSTDOCFLAGS")):
        if encoded in env:
            users = [flag for flag in env[encoded].split("\x1f") if flag]
        else:
            users = env.pop(variable, "").split()
        if users:
            env[encoded] = "\x1f".join(users + prepare.link_flags())
    return env
