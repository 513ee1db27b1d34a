"""Builds the example whose component is too large to be checked in: the service in Python, in target/examples.

Its Python comes with componentize-py, a wheel with a native extension that is unpacked below target/ and not
installed; examples/wasm-python/requirements.txt has its version and its hashes. The WASI packages that the world
names lie in the crate that nexus serves them with.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import need
from .paths import ROOT, TARGET
from .term import Problem, say, step

SOURCE = ROOT / "examples" / "wasm-python"
FOLDER = TARGET / "examples"
PYTHON = FOLDER / "wasm-python"
PROVIDER = "wasmtime-wasi-http"
COMPONENTIZE = "import sys, componentize_py; sys.argv[0] = 'componentize-py'; componentize_py.script()"


def ready():
    """The folders of the apps that were built, as far as this platform can: what cannot be had is skipped, and said so."""
    stamp = PYTHON / ".stamp"
    recipe = digest()
    if stamp.exists() and stamp.read_text() == recipe:
        return [PYTHON]
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".work-", dir=FOLDER) as work:
        work = Path(work)
        try:
            with step("examples: fetching componentize-py"):
                fetch(work)
                packages(work / "wit")
        except Problem as problem:
            say(f"examples: wasm-python is skipped: {problem}")
            return []
        with step("examples: building wasm-python"):
            build(work)
        (work / "app" / ".stamp").write_text(recipe)
        shutil.rmtree(PYTHON, ignore_errors=True)
        (work / "app").rename(PYTHON)
    return [PYTHON]


def digest():
    """Changes when anything does that the component is made of."""
    parts = hashlib.sha256()
    for path in (Path(__file__), SOURCE / "app.py", SOURCE / "requirements.txt", SOURCE / "wit" / "world.wit"):
        parts.update(path.read_bytes() + b"\0")
    return parts.hexdigest()


def fetch(work):
    """Unpacks the wheel into `work`/python."""
    env = {**os.environ, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1",
           "PIP_ROOT_USER_ACTION": "ignore"}
    need.run(
        [*need.pip(work / "venv"), "install", "--quiet", "--no-deps", "--no-compile", "--no-cache-dir", "--no-input",
         "--retries", "1", "--only-binary", ":all:", "--require-hashes", "--requirement", SOURCE / "requirements.txt",
         "--target", work / "python"],
        "componentize-py cannot be fetched", env=env)


def packages(folder):
    """Puts the WASI packages beside the world, where tools look for them."""
    told = need.run(
        ["cargo", "metadata", "--locked", "--format-version", "1"], "cargo does not tell what nexus is made of",
        cwd=ROOT)
    [crate] = [package for package in json.loads(told)["packages"] if package["name"] == PROVIDER]
    shutil.copytree(Path(crate["manifest_path"]).parent / "wit" / "deps", folder / "deps")
    shutil.copy(SOURCE / "wit" / "world.wit", folder)


def build(work):
    """Makes `work`/app/app.wasm."""
    source = work / "source"
    source.mkdir()
    shutil.copy(SOURCE / "app.py", source)
    (work / "app").mkdir()
    need.run(
        [sys.executable, "-c", COMPONENTIZE, "--wit-path", work / "wit", "--world", "statistics", "componentize", "app",
         "--python-path", source, "--output", work / "app" / "app.wasm"],
        "wasm-python does not build", cwd=work, env={**os.environ, "PYTHONPATH": str(work / "python")})


def compile_ahead(nexus, folders):
    """Has nexus compile the apps in `folders` for its cache: that takes seconds, and would hold them up when they are served."""
    for folder in folders:
        subprocess.run([str(nexus), "compile", str((folder / "app.wasm").relative_to(ROOT))], cwd=ROOT)
