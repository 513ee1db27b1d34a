"""Installs nexus as a folder that can be moved: bin/nexus, and what it needs in lib/nexus.

The program looks for V8 and its data beside itself and in ../lib/nexus. Nothing in the folder refers
to the checkout that it came from.
"""

import os
from pathlib import Path

from . import prepare
from .term import Problem, say
from .v8 import elf


def install(program, prefix):
    """Copies `program` and V8's files below `prefix`; each file appears whole or not at all."""
    prefix = Path(prefix).absolute()
    v8 = prepare.assembled_folder()
    try:
        if v8:
            library = prefix / "lib" / "nexus"
            library.mkdir(parents=True, exist_ok=True)
            place(library / "libmini_racer.so", elf.stripped((v8 / "libmini_racer.so").read_bytes()))
            place(library / "icudtl.dat", (v8 / "icudtl.dat").read_bytes())
        (prefix / "bin").mkdir(parents=True, exist_ok=True)
        place(prefix / "bin" / "nexus", without_checkout(program.read_bytes(), v8), mode=0o755)
    except OSError as error:
        raise Problem(f"cannot install: {error.strerror}: {error.filename}: choose a folder that you may write to") from error
    say(f"Installed {prefix}/bin/nexus" + (f" and {prefix}/lib/nexus" if v8 else ""))
    if str(prefix / "bin") not in os.environ.get("PATH", "").split(os.pathsep):
        say(f'To find it: export PATH="{prefix}/bin:$PATH"')
    return 0


def without_checkout(program, v8):
    """Ends the program's list of places to look for libraries before the checkout's."""
    if not v8:
        return program
    kept = ":".join(prepare.RUN_PATHS).encode()
    whole = kept + b":" + os.fsencode(v8) + b"\0"
    if program.count(whole) != 1:
        raise Problem("the program is not linked as ./x links it: unset RUSTFLAGS and build again")
    return program.replace(whole, kept.ljust(len(whole), b"\0"))


def place(path, content, mode=0o644):
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.write_bytes(content)
        new.chmod(mode)
        os.replace(new, path)
    finally:
        if new.exists():
            new.unlink()
