"""Which V8 would be assembled, answered without loading what assembles it.

Every command asks this first, so it must cost next to nothing.
"""

import hashlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
PARTS = ("assemble.py", "elf.py", "sources.py", "shim.cc", "requirements.txt", "fetch/Cargo.toml", "fetch/Cargo.lock")
OUTPUTS = ("libmini_racer.so", "librusty_v8.a", "src_binding.rs", "icudtl.dat")


def name():
    """The name of what the recipe makes: it changes when any part of the recipe does."""
    digest = hashlib.sha256()
    for part in PARTS:
        digest.update((HERE / part).read_bytes() + b"\0")
    return digest.hexdigest()[:12]
