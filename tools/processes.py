"""What the checks and the benchmark need of other processes: free ports, descendants, a clean end."""

import socket
import subprocess
from pathlib import Path


def free_port():
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stat(pid):
    """The fields of /proc/PID/stat after the command's name, from the state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def tree(pid):
    """A process and all its descendants, by their ids."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                children.setdefault(int(stat(entry.name)[1]), []).append(int(entry.name))
            except OSError:
                continue
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def end(process):
    """Ends a process that we started: asks it first, and then does not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
