"""The apps' files: versions that are right, versions that are not, archives of them."""

import io
import json
import os
import shutil
import tarfile
from pathlib import Path

from tools.paths import ROOT

JS = (Path(__file__).parent / "guest" / "index.js").read_text()
# Answers `/env`, `/echo`, `/sleep/MS`, `/stream`, and falls in several ways.
WASM = ROOT / "tests" / "wasm" / "http.wasm"
# Far more than any request needs that is not to be stopped.
CPU = "300 ms"
# After so long without a request the rare apps fall asleep.
IDLE = "300 ms"

# Manifests and modules that keep a version from being served, each with the status that deploying it gets.
BROKEN = {
    "syntax": (422, {"index.js": "export default { fetch( };"}),
    "throws": (422, {"index.js": "throw new Error('not today');"}),
    "import": (422, {"index.js": "import x from './nowhere.js'; export default { fetch() {} };"}),
    "no handler": (422, {"index.js": "export const nothing = 1;"}),
    "endless": (422, {"index.js": "for (;;);"}),
    "manifest": (400, {"nexus.toml": "[http]\nprot = 1\n"}),
}


def manifest(app, mark, door=None, startup="1 s"):
    """The text of an app's nexus.toml."""
    http = []
    door = door or app.door
    if door.named:
        http.append(f"port = {door.port.number}")
    if door.port.shared:
        http.append(f'paths = ["{door.path}"]' if door.path else f'hosts = ["{door.host}"]')
    main = 'main = "app.wasm"\n' if app.engine == "wasm" else ""
    isolation = 'isolation = "request"\n' if app.fresh else ""
    scale = f'idle = "{IDLE}"\n' if app.rare else 'idle = "never"\n'
    scale += "workers = 2\n"
    return (f'[project]\nname = "{app.name}"\n{main}{isolation}\n[http]\n' + "\n".join(http) +
            f'\n\n[scale]\n{scale}\n[limits]\ncpu = "{CPU}"\nmemory = "64 MB"\nstartup = "{startup}"\n\n'
            f'[env]\nMARK = "{mark}"\nAPP = "{app.name}"\n')


def files(app, mark, door=None):
    """A version's files: each has a number of its mark."""
    first, second, third = mark
    if app.engine == "wasm":
        return {"nexus.toml": manifest(app, third, door)}
    return {
        "index.js": JS.replace("@APP@", app.name).replace("@MARK@", str(first)),
        "second.js": f'export const MARK = "{second}";\n',
        "nexus.toml": manifest(app, third, door),
    }


def broken(app, mark, how):
    """The files of a version that cannot be served."""
    made = files(app, mark)
    made.update(BROKEN[how][1])
    if how == "endless":
        made["nexus.toml"] = manifest(app, mark[2], startup="100 ms")
    return made


def archive(app, made):
    """The upload of these files."""
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in contents(app, made).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return into.getvalue()


def contents(app, made):
    told = {name: text.encode() for name, text in made.items()}
    return {**told, "app.wasm": WASM.read_bytes()} if app.engine == "wasm" else told


def lay_out(app, made, folder):
    """Makes an app's folder."""
    folder.mkdir(parents=True)
    for name, text in made.items():
        (folder / name).write_text(text)
    if app.engine == "wasm":
        shutil.copyfile(WASM, folder / "app.wasm")


def replace(folder, name, text):
    """Exchanges a file at once, as editors do."""
    part = folder / f".{name}.part"
    part.write_text(text)
    os.replace(part, folder / name)


def overwrite(folder, name, text):
    """Writes a file where it stands. A part of a module cannot be served; a part of a manifest might be another one."""
    if name.endswith(".toml"):
        replace(folder, name, text)
    else:
        (folder / name).write_text(text)


def stored(data):
    """What is wrong with a data folder at rest: versions that no app has, too many of an app, what was on its way."""
    records = [json.loads(path.read_text()) for path in (data / "apps").glob("*.json")]
    named = {version["digest"] for record in records for version in record["versions"]}
    kept = {path.name for path in (data / "versions").iterdir()}
    wrong = [f"{record['app']} has {len(record['versions'])} versions" for record in records if len(record["versions"]) > 5]
    wrong += [f"no app has the version {digest}" for digest in sorted(kept - named)]
    wrong += [f"the version {digest} is missing" for digest in sorted(named - kept)]
    wrong += [f"{path.relative_to(data)} was left" for path in sorted((data / "incoming").iterdir())]
    wrong += [f"{path.relative_to(data)} was left" for path in sorted(data.rglob("*.new"))]
    return wrong
