"""Load: requests a second, latency, CPU time a request and memory, of the same component on each server."""

from bench import measure as measuring
from bench.measure import median
from bench.report import COLUMNS, lines, show, times
from bench.servers import fetch_wrk
from tools.term import Problem, say, step

from . import contenders

KEYS = [column for column in COLUMNS if column[1] not in ("start_ms", "app_mb")]
# Requests a second of nexus to those of `wasmtime serve` as it is.
GOALS = {"nexus": 2, "nexus-reuse": 5}


def measure(program, cores, options):
    """Round after round, each server once with each guest."""
    if options.only & {"wasmtime", "wasmtime-reuse"}:
        contenders.fetch_wasmtime(options.smoke)
    fetch_wrk()
    if cores.shared:
        say("bench-wasm: there is one core only, so servers and wrk share it and the figures mean little")
    chosen = {guest: [server for server in contenders.all_servers(program, guest)
                      if server.name in options.only and server.program.exists()]
              for guest in contenders.GUESTS if guest in options.guests}
    if not any(chosen.values()):
        raise Problem("nothing is left to measure")
    results = {guest: {server.name: [] for server in listed} for guest, listed in chosen.items()}
    for round_ in range(options.rounds):
        for guest, listed in chosen.items():
            for server in listed:
                with step(f"round {round_ + 1} of {options.rounds}: {server.name}, the {guest} guest"):
                    results[guest][server.name] += one(server, cores, options.seconds)
    sizes = {guest: contenders.GUESTS[guest][0].stat().st_size for guest in results}
    return {"guests": results, "sizes": sizes, "cores": [cores.server, cores.client]}


def one(server, cores, seconds):
    """A round. One in which wasmtime failed requests does not count; it does so now and then."""
    try:
        return [measuring.load(server, cores, seconds)]
    except Problem as problem:
        if server.program != contenders.WASMTIME_PROGRAM:
            raise
        say(f"bench-wasm: this round does not count: {problem}")
        return []


def medians(rounds):
    return {key: median([each[key] for each in rounds]) for _, key, _, _ in KEYS}


def table(result):
    """For each guest the medians, and what they are divided by those of `wasmtime serve` as it is."""
    parts = []
    for guest, servers in result["guests"].items():
        rows = {name: medians(rounds) for name, rounds in servers.items()}
        size = result["sizes"][guest] / 1000
        listed = [[f"{guest} guest, {size:.0f} KB", *(title for title, _, _, _ in KEYS)]]
        listed += [[name, *(show(row[key], decimals) for _, key, decimals, _ in KEYS)] for name, row in rows.items()]
        base = rows.get("wasmtime")
        if base and len(rows) > 1:
            listed.append(["to wasmtime", *("" for _ in KEYS)])
            listed += [[f"  {name}", *(times(row[key], base[key]) for _, key, _, _ in KEYS)]
                       for name, row in rows.items() if name != "wasmtime"]
        parts.append("\n".join([*lines(listed), *goals(rows)]))
    rounds = max(len(rounds) for servers in result["guests"].values() for rounds in servers.values())
    server, client = result["cores"]
    return "\n\n".join([*parts, f"Medians of {rounds} round{'s' if rounds > 1 else ''}; the server on core {server}, wrk -t1 "
                        f"-c64 on core {client}. -reuse: an instance serves {contenders.REUSE} requests. Lower is better, "
                        "except requests/s."])


def goals(rows):
    """How nexus stands to what it is to reach."""
    base = rows.get("wasmtime")
    if not base or not base["requests_s"]:
        return []
    out = []
    for name, goal in GOALS.items():
        if name in rows:
            out.append(f"{name}: {times(rows[name]['requests_s'], base['requests_s'])} requests/s, the goal is × {goal}; "
                       f"p99 {rows[name]['p99_ms']:.2f} ms, the goal is wasmtime's p50, {base['p50_ms']:.2f} ms")
    return out
