"""Has nexus and Node.js exchange keys and what is made with them: `python3 tools/check_crypto.py PROGRAM`.

tests/crypto/exchange.js makes keys of every algorithm, writes them in every format, signs, encrypts, derives and wraps; and
checks what another one has made. It runs in both, and each checks what the other one gives.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.processes import end, free_port  # noqa: E402  (it must come after the path)

WORK = ROOT / "target" / "crypto"
TESTS = ROOT / "tests" / "crypto"
# So many things are looked at, at least.
ENOUGH = 40
NODE = """
import { check, produce } from "./exchange.mjs";
import { readFileSync } from "node:fs";
const given = process.argv[2];
console.log(JSON.stringify(given === undefined ? await produce() : await check(JSON.parse(readFileSync(given)))));
"""


def main(program):
    if not shutil.which("node"):
        sys.exit("check_crypto: node is missing (Debian: apt install nodejs)")
    WORK.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(TESTS / "exchange.js", WORK / "exchange.mjs")
    (WORK / "node.mjs").write_text(NODE)
    port = free_port()
    with open(WORK / "nexus.log", "wb") as log:
        nexus = subprocess.Popen([program, "serve", str(TESTS), "--port", str(port)], stdin=subprocess.DEVNULL,
                                 stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}/"
            (WORK / "nexus.json").write_bytes(asked(nexus, url))
            tell("Node.js takes what nexus makes", node(WORK / "nexus.json"))
            made = node()
            tell("nexus takes what Node.js makes", asked(nexus, url, made))
        finally:
            end(nexus)


def asked(nexus, url, body=None):
    for _ in range(100):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=300) as response:
                return response.read()
        except urllib.error.HTTPError as error:
            sys.exit(f"check_crypto: nexus answers {error.code}: {error.read().decode()}; see {WORK}/nexus.log")
        except OSError as error:
            if nexus.poll() is not None:
                sys.exit(f"check_crypto: nexus has ended; see {WORK}/nexus.log")
            last = error
            time.sleep(0.1)
    sys.exit(f"check_crypto: nothing answers at {url}: {last}")


def node(*arguments):
    command = ["node", "--no-warnings", "node.mjs", *map(str, arguments)]
    done = subprocess.run(command, cwd=WORK, stdin=subprocess.DEVNULL, capture_output=True, timeout=300,
                          env={**os.environ, "NODE_OPTIONS": ""})
    if done.returncode:
        sys.exit(f"check_crypto: node failed:\n{done.stderr.decode()}")
    return done.stdout


def tell(what, found):
    found = json.loads(found)
    if found["problems"] or found["looked"] < ENOUGH:
        problems = "\n".join(found["problems"])
        sys.exit(f"check_crypto: {what}: not so, of {found['looked']} things:\n{problems}")
    print(f"check_crypto: {what}: {found['looked']} algorithms, with keys in all formats")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: check_crypto.py PROGRAM")
    main(os.path.abspath(sys.argv[1]))
