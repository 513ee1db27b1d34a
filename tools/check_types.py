"""Checks what `nexus types` prints with TypeScript: `python3 tools/check_types.py PROGRAM`.

Installs TypeScript from npm into target/types, and has it check tests/types with the declarations that PROGRAM (a build
of nexus) prints, without the types of browsers: app.ts is right, and each line of wrong.ts but the first is not.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "types"
TESTS = ROOT / "tests" / "types"


def main(program):
    install()
    declarations = subprocess.run([program, "types"], check=True, stdout=subprocess.PIPE).stdout
    (WORK / "nexus.d.ts").write_bytes(declarations)
    found = check("app.ts")
    if found:
        sys.exit(f"check_types: app.ts is right, but TypeScript says:\n{found}")
    found = check("wrong.ts")
    lines = {int(line) for line in re.findall(r"^wrong\.ts\((\d+),", found, re.MULTILINE)}
    wanted = set(range(2, len((TESTS / "wrong.ts").read_text().splitlines()) + 1))
    if lines != wanted:
        sys.exit(f"check_types: TypeScript finds no mistake in lines {sorted(wanted - lines)} of wrong.ts:\n{found}")
    print("check_types: TypeScript checks apps with what nexus types prints")


def install():
    """The pinned version; package-lock.json has its hash."""
    lock = (TESTS / "package-lock.json").read_bytes()
    stamp = WORK / "stamp"
    if stamp.exists() and stamp.read_bytes() == lock:
        return
    if not shutil.which("npm"):
        sys.exit("check_types: npm is missing (Debian: apt install npm)")
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(TESTS / name, WORK / name)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--cache", str(WORK / "npm-cache")]
    done = subprocess.run(command, cwd=WORK, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    shutil.rmtree(WORK / "npm-cache", ignore_errors=True)
    if done.returncode:
        sys.exit(f"check_types: TypeScript cannot be installed:\n{done.stderr}")
    stamp.write_bytes(lock)


def check(name):
    """What TypeScript says of one of the tests."""
    shutil.copyfile(TESTS / name, WORK / name)
    command = ["node", str(WORK / "node_modules" / "typescript" / "bin" / "tsc"), "--noEmit", "--strict", "--target", "es2024",
               "--lib", "es2024", "--module", "esnext", "--types", "./nexus.d.ts", name]
    return subprocess.run(command, cwd=WORK, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]).resolve())
