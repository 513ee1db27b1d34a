"""The table that `./x bench` prints."""

from .measure import median

# Name, key, decimals, and whether more is better.
COLUMNS = (
    ("requests/s", "requests_s", 0, True),
    ("CPU µs/request", "cpu_us", 2, False),
    ("p50 ms", "p50_ms", 2, False),
    ("p99 ms", "p99_ms", 2, False),
    ("memory idle MB", "idle_mb", 1, False),
    ("after load MB", "loaded_mb", 1, False),
    ("start ms", "start_ms", 1, False),
    ("app MB", "app_mb", 2, False),
)
PEERS = ("workerd", "deno", "bun")


def medians(results):
    """For each server the median of each measurement; None where there is none."""
    table = {}
    for name, result in results.items():
        row = {key: median([each[key] for each in result["rounds"]])
               for _, key, _, _ in COLUMNS if key not in ("start_ms", "app_mb")}
        table[name] = {**row, "start_ms": median(result["start_ms"]), "app_mb": result["app_mb"]}
    return table


def table(results, cores):
    rows = medians(results)
    out = lines([["", *(title for title, _, _, _ in COLUMNS)]] + [
        [name, *(show(row[key], decimals) for _, key, decimals, _ in COLUMNS)] for name, row in rows.items()])
    if "nexus" in rows:
        out += ["", *ratios(rows)]
    rounds = max(len(result["rounds"]) for result in results.values())
    out += ["", f"Medians of {rounds} round{'s' if rounds > 1 else ''}; the server on core {cores.server}, "
                f"wrk -t1 -c64 on core {cores.client}. Lower is better, except requests/s."]
    return "\n".join(out)


def ratios(rows):
    """nexus divided by the best peer and by hyper, in each column."""
    listed = [["nexus to", *(title for title, _, _, _ in COLUMNS)]]
    best, names, limit = ["best peer"], ["which is"], ["hyper"]
    for _, key, _, more in COLUMNS:
        own = rows["nexus"][key]
        peers = [(rows[name][key], name) for name in PEERS if name in rows and rows[name][key] is not None]
        value, name = (max if more else min)(peers) if peers else (None, "-")
        best.append(times(own, value))
        names.append(name)
        limit.append(times(own, rows["hyper"][key] if "hyper" in rows else None))
    return lines(listed + [best, names, limit])


def times(own, other):
    return f"× {own / other:.2f}" if own is not None and other else "-"


def show(value, decimals):
    return "-" if value is None else f"{value:,.{decimals}f}"


def lines(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]).rstrip()
            for row in rows]
