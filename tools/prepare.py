"""Finds V8 and tells cargo where it is, so that a plain `cargo build` works.

There are three ways, tried in this order:

1. named: `RUSTY_V8_ARCHIVE` in the environment, taken as it is.
2. assembled: on Linux x86-64, put together under target/v8 (see v8/assemble.py). The tests run on it.
3. downloaded: elsewhere, cargo builds the v8 crate as it comes, which downloads its archive.

What was found is written to .cargo/config.toml, which git ignores. All paths in it are absolute, as
cargo wants them; a checkout that was moved gets a new one.
"""

import contextlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

from . import need
from .paths import CARGO_CONFIG, ROOT, TARGET, V8
from .term import Problem, say
from .v8 import recipe

MARK = "# Written by `./x setup`; it is replaced when V8 is found elsewhere."

WORK = "v8.work-"


def ready():
    """Makes sure that V8 is there and that cargo knows it. Does nothing when all is as it should be."""
    archive = os.environ.get("RUSTY_V8_ARCHIVE")
    if archive and not archive.startswith(f"{V8}{os.sep}"):
        return use_named(archive)
    machine = os.uname()
    if (machine.sysname, machine.machine) == ("Linux", "x86_64"):
        folder = V8 / recipe.name()
        if is_whole(folder) and config_is(assembled_config(folder)):
            return None
        host = need.rust_host()
        if host == need.LINUX_X64:
            return use_assembled(folder)
    else:
        host = None if config_is("") else need.rust_host()
    return use_download(host)


def use_named(archive):
    """Way 1. A relative file is taken from the current folder, since cargo would take it from another."""
    remote = re.match(r"https?:", archive)
    path = archive if remote else os.path.abspath(archive)
    if not remote and not os.path.isfile(path):
        raise Problem(f"RUSTY_V8_ARCHIVE names {archive}, and there is no such file: correct it or unset it")
    os.environ["RUSTY_V8_ARCHIVE"] = path
    values = {"RUSTY_V8_ARCHIVE": path}
    binding = os.environ.get("RUSTY_V8_SRC_BINDING_PATH")
    if binding:
        values["RUSTY_V8_SRC_BINDING_PATH"] = os.path.abspath(binding)
    config = env_table(values)
    if config_is(config):
        return
    need.rust_host()
    need.linker()
    write_config(config)
    say(f"V8: the archive that RUSTY_V8_ARCHIVE names, {path}; the tests do not run on it (docs/setup.md)")


def use_assembled(folder):
    """Way 2."""
    need.linker()
    with lock():
        if not is_whole(folder):
            say("V8: assembling 14.4 for Linux x86-64 in target/v8 (docs/setup.md), once")
            build(folder)
        if not config_is(assembled_config(folder)):
            write_config(assembled_config(folder))
            say("V8: 14.4, assembled in target/v8; cargo finds it through .cargo/config.toml")


def use_download(host):
    """Way 3."""
    if config_is(""):
        return
    need.linker()
    write_config("")
    say(f"V8: what the v8 crate downloads for {host}; the tests do not run on it (docs/setup.md)")


def build(folder):
    """Assembles into a folder beside it, which becomes `folder` when it is whole: an interruption leaves nothing half."""
    from .v8 import assemble

    for left in TARGET.glob(f"{WORK}*"):
        shutil.rmtree(left, ignore_errors=True)
    # A new name each time: what a killed run started may still be writing into its own.
    work = Path(tempfile.mkdtemp(prefix=WORK, dir=TARGET))
    (work / "out").mkdir()
    try:
        assemble.assemble(work / "out", work)
        sizes = {name: (work / "out" / name).stat().st_size for name in recipe.OUTPUTS}
        (work / "out" / "sizes.json").write_text(json.dumps(sizes))
        for old in whole_folders():
            shutil.rmtree(old)
        shutil.rmtree(folder, ignore_errors=True)
        V8.mkdir(exist_ok=True)
        (work / "out").rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def whole_folders():
    """What earlier recipes made."""
    return [path.parent for path in V8.glob("*/sizes.json")]


def is_whole(folder):
    """Whether `folder` holds all that was put there, at its size."""
    try:
        sizes = json.loads((folder / "sizes.json").read_text())
        return all((folder / name).stat().st_size == sizes[name] for name in recipe.OUTPUTS)
    except (OSError, ValueError, KeyError):
        return False


@contextlib.contextmanager
def lock():
    """Holds the checkout's set-up for this process; a second one waits and then finds it done."""
    import fcntl

    TARGET.mkdir(exist_ok=True)
    with open(TARGET / ".setup.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("V8: another set-up is at work here, waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def assembled_folder():
    """The folder of the assembled V8, or None where V8 is named or downloaded."""
    folder = V8 / recipe.name()
    return folder if is_whole(folder) and config_is(assembled_config(folder)) else None


def link_flags():
    """What rustc and rustdoc need to link V8: nothing, unless it is the assembled one."""
    folder = assembled_folder()
    return flags_for(folder) if folder else []


RUN_PATHS = ("$ORIGIN", "$ORIGIN/../lib/nexus")


def flags_for(folder):
    # The library goes to the end of the linker's line, where build scripts and procedural macros,
    # which need nothing of it, do not get it either. An installed program finds it beside itself,
    # or under lib/; one that cargo built, in target/v8.
    paths = [f"-Clink-arg=-Wl,-rpath,{path}" for path in (*RUN_PATHS, folder)]
    return ["--cfg", 'feature="v8_enable_sandbox"', f"-Clink-arg={folder / 'libmini_racer.so'}", *paths]


def assembled_config(folder):
    flags = json.dumps(flags_for(folder), ensure_ascii=False)
    return env_table({
        "RUSTY_V8_ARCHIVE": str(folder / "librusty_v8.a"),
        "RUSTY_V8_SRC_BINDING_PATH": str(folder / "src_binding.rs"),
        "V8_ICU_DATA": str(folder / "icudtl.dat"),
    }) + f"\n[target.{need.LINUX_X64}]\nrustflags = {flags}\nrustdocflags = {flags}\n"


def env_table(values):
    # JSON strings are TOML's basic strings.
    return "\n[env]\n" + "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items())


def config_is(text):
    try:
        return CARGO_CONFIG.read_text() == MARK + "\n" + text
    except OSError:
        return False


def write_config(text):
    """Replaces .cargo/config.toml at once. One that somebody else wrote is left alone."""
    CARGO_CONFIG.parent.mkdir(exist_ok=True)
    if CARGO_CONFIG.exists() and not CARGO_CONFIG.read_text().startswith(MARK):
        raise Problem(".cargo/config.toml is not from ./x setup: move its settings to ~/.cargo/config.toml and remove it")
    new = CARGO_CONFIG.with_name(f"config.toml.{os.getpid()}")
    new.write_text(MARK + "\n" + text)
    os.replace(new, CARGO_CONFIG)
