"""Checks that an installed nexus stands on its own: `python3 tools/check_install.py PROGRAM`.

Installs PROGRAM (a build of nexus) into a new folder, moves the folder, hides target/v8 from the
process, serves an app that needs V8's data, and reads from /proc which V8 the process has mapped.
"""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.dont_write_bytecode = True

from tools import installing, prepare  # noqa: E402
from tools.processes import end, free_port, tree  # noqa: E402
from tools.term import Problem  # noqa: E402


def main(program):
    if not prepare.assembled_folder():
        sys.exit("check_install: V8 is not the assembled one, there is nothing to check")
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        with contextlib.redirect_stdout(io.StringIO()):
            installing.install(Path(program), scratch / "first")
        moved = scratch / "moved"
        (scratch / "first").rename(moved)
        app = scratch / "app"
        app.mkdir()
        (app / "index.js").write_text(
            'export default { fetch: () => new Response(new Intl.NumberFormat("de").format(1234.5)) };\n')
        serves_with_its_own_v8(moved, app)
        does_not_start_without_it(moved, app)


def serves_with_its_own_v8(prefix, app):
    port = free_port()
    process = start(prefix, app, port)
    try:
        answer = first_answer(process, port, log_of(app))
        if answer != "1.234,5":
            sys.exit(f"check_install: the app answered {answer!r}: Intl has no data")
        mapped = {line.split(None, 5)[5].strip() for pid in tree(process.pid)
                  for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if "libmini_racer" in line}
    finally:
        end(process)
    library = str(prefix / "lib" / "nexus" / "libmini_racer.so")
    if mapped != {library}:
        sys.exit(f"check_install: V8 was mapped from {mapped}, not from {library}")
    print(f"check_install: an installed and moved nexus serves with V8 and its data from {library}")


def does_not_start_without_it(prefix, app):
    """The control: without its own V8 nothing else may be found."""
    (prefix / "lib" / "nexus" / "libmini_racer.so").unlink()
    process = start(prefix, app, free_port())
    try:
        code = process.wait(20)
    except subprocess.TimeoutExpired:
        sys.exit("check_install: nexus runs without its V8, so it took another one")
    finally:
        end(process)
    if code == 0:
        sys.exit("check_install: nexus ended well without its V8")


def hidden():
    """A command that runs the rest of its arguments where target/v8 is empty, as far as this system lets it."""
    script = f'mount -t tmpfs none "{prepare.V8}" && exec "$@"'
    for options in (["--mount"], ["--user", "--map-root-user", "--mount"]):
        command = ["unshare", *options, "sh", "-c", script, "hidden"]
        try:
            if subprocess.run([*command, "true"], capture_output=True).returncode == 0:
                return command
        except FileNotFoundError:
            break
    print("check_install: target/v8 cannot be hidden here (no unshare), so only what is mapped is checked")
    return []


def start(prefix, app, port):
    env = {name: value for name, value in os.environ.items() if name not in ("V8_ICU_DATA", "LD_LIBRARY_PATH")}
    with log_of(app).open("w") as log:
        return subprocess.Popen(
            [*hidden(), str(prefix / "bin" / "nexus"), "serve", str(app), "--port", str(port)],
            cwd="/", env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def log_of(app):
    return app.with_name("log")


def first_answer(process, port, log):
    until = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as reply:
                return reply.read().decode()
        except OSError as error:
            if process.poll() is not None:
                sys.exit(f"check_install: nexus ended with {process.returncode}: {log.read_text().strip()}")
            if time.monotonic() > until:
                sys.exit(f"check_install: no answer from port {port}: {error}")
            time.sleep(0.05)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: check_install.py PROGRAM")
    try:
        main(sys.argv[1])
    except Problem as problem:
        sys.exit(f"check_install: {problem}")
