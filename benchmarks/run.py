#!/usr/bin/env python3
"""The comparison: peers, the plain floor and ours, alternating, medians; one table, and one picture.

    python3 benchmarks/run.py [--rounds 5] [--only cpu,latency,gzip,memory,walls,import,process] [--picture FILE.svg]

Only ratios within one run mean anything: absolute figures differ from machine to machine.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from environment import HERE, PYTHON, prepare, sink, versions, work

ALL = ("segment", "rudder", "posthog", "floor", "ours")
Figures = dict[tuple[str, str], list[float]]

MODULES = {
    "bare": "pass",
    "segment": "import segment.analytics",
    "rudder": "import rudderstack.analytics",
    "posthog": "import posthog",
    "floor": "import orjson",
    "ours": "import analytics_client",
}
PROCESSES = {
    "segment": "from segment.analytics import Client; Client('key', host='{url}').track('u', 'E', {{}})",
    "rudder": "from rudderstack.analytics import Client; Client('key', host='{url}').track('u', 'E', {{}})",
    "posthog": "from posthog import Posthog; Posthog('key', host='{url}').capture('E', distinct_id='u')",
    "ours": "from analytics_client import Client; Client('key', host='{url}').track('u', 'E', {{}})",
}


def cpu(found: Figures) -> None:
    """CPU and rate against a sink that answers at once."""
    for name in ALL:
        with sink() as url:
            result = work("worker.py", contender=name, what="cpu", url=url, events=100_000)
        for figure in ("cpu_us", "caller_us", "events_per_s"):
            found[figure, name].append(result[figure])


def latency(found: Figures) -> None:
    """Rate against a sink that answers after 50 ms."""
    for name in (*ALL, "ours x4"):
        options = {"concurrency": 4, "events": 200_000} if name == "ours x4" else {"events": 50_000}
        if name in ("segment", "rudder", "posthog"):
            options["events"] = 10_000
        with sink(0.05) as url:
            result = work("worker.py", contender=name.split()[0], what="cpu", url=url, people=1_000, **options)
        found["latency_events_per_s", name].append(result["events_per_s"])


def gzip(found: Figures) -> None:
    """CPU with compressed bodies."""
    for name in ALL:
        with sink() as url:
            result = work("worker.py", contender=name, what="cpu", url=url, events=50_000, gzip=True)
        found["gzip_cpu_us", name].append(result["cpu_us"])


def memory(found: Figures) -> None:
    """Memory of an event that waits while the server is down."""
    for name in ("segment", "rudder", "posthog", "ours"):
        result = work("worker.py", contender=name, what="memory", url="http://127.0.0.1:9", events=100_000)
        found["bytes_queued", name].append(result["bytes"])


def walls(found: Figures) -> None:
    """The wall of single calls while the consumer sends."""
    for name in ALL:
        with sink() as url:
            result = work("worker.py", contender=name, what="walls", url=url, events=100_000)
        for figure in ("p50_us", "p999_us", "max_us"):
            found[figure, name].append(result[figure])


def imports(found: Figures) -> None:
    """Milliseconds of an import, over those of a bare interpreter."""
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(7):
        for name, statement in MODULES.items():
            started = time.perf_counter()
            subprocess.run([PYTHON, "-c", statement], check=True, stderr=subprocess.DEVNULL)
            times[name].append((time.perf_counter() - started) * 1e3)
    bare = statistics.median(times.pop("bare"))
    for name, values in times.items():
        found["import_ms", name].append(statistics.median(values) - bare)


def process(found: Figures) -> None:
    """A whole process: import, one track, plain exit; and whether its event arrived."""
    for name, code in PROCESSES.items():
        with sink() as url:
            started = time.perf_counter()
            subprocess.run([PYTHON, "-c", code.format(url=url)], check=True, stderr=subprocess.DEVNULL)
            found["process_s", name].append(time.perf_counter() - started)
            found["process_delivered", name].append(arrived(url))


def arrived(url: str) -> int:
    """Events that the sink has counted."""
    import urllib.request

    with urllib.request.urlopen(url, timeout=10) as response:
        return int(json.load(response)["events"])


MEASUREMENTS = {
    "cpu": cpu,
    "latency": latency,
    "gzip": gzip,
    "memory": memory,
    "walls": walls,
    "import": imports,
    "process": process,
}

# Figure, its title, and whether less is better.
FIGURES = [
    ("cpu_us", "CPU µs per event, call to server", True),
    ("caller_us", "caller's CPU µs per call", True),
    ("events_per_s", "events/s, loopback", False),
    ("latency_events_per_s", "events/s, server answers after 50 ms", False),
    ("gzip_cpu_us", "CPU µs per event, gzip", True),
    ("bytes_queued", "memory per queued event of 510 bytes, server down", True),
    ("p50_us", "caller's wall while sending, median µs", True),
    ("p999_us", "caller's wall while sending, p99.9 µs", True),
    ("max_us", "caller's wall while sending, max µs", True),
    ("import_ms", "import, ms over a bare interpreter", True),
    ("process_s", "import, one track, exit: seconds", True),
    ("process_delivered", "... and events delivered", False),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(MEASUREMENTS))
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", type=Path, help="write every single figure here")
    given = parser.parse_args()
    prepare()
    found: Figures = defaultdict(list)
    for number in range(given.rounds):
        for name in given.only.split(","):
            print(f"round {number + 1} of {given.rounds}: {name}", file=sys.stderr, flush=True)
            MEASUREMENTS[name](found)
    medians = {key: statistics.median(values) for key, values in found.items()}
    print_table(medians, given.rounds)
    if given.json:
        given.json.write_text(
            json.dumps({f"{figure} {name}": values for (figure, name), values in found.items()}, indent=1)
        )
    if given.picture:
        draw(medians, given.picture)


def print_table(medians: dict[tuple[str, str], float], rounds: int) -> None:
    """Print the medians as Markdown, with ours against segment and the floor."""
    print(f"\nMedians of {rounds}; {', '.join(f'{name} {version}' for name, version in versions().items())}\n")
    print("| figure | segment | rudder | posthog | plain floor | ours | ours / floor | against segment |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for figure, title, less in FIGURES:
        rows = [("ours", title)]
        if (figure, "ours x4") in medians:
            rows.append(("ours x4", f"{title}; ours with `concurrency=4`"))
        for ours, row_title in rows:
            if (figure, ours) not in medians:
                continue
            cells = [show(medians.get((figure, name))) for name in ("segment", "rudder", "posthog", "floor")]
            value, floor, segment = (medians.get((figure, name)) for name in (ours, "floor", "segment"))
            cells += [show(value), ratio(value, floor), better(segment, value, less)]
            print(f"| {row_title} | {' | '.join(cells)} |")


def show(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ratio(value: float | None, base: float | None) -> str:
    return f"{value / base:.2f}" if value and base else ""


def better(segment: float | None, ours: float | None, less: bool) -> str:
    if not segment or not ours:
        return ""
    return f"{segment / ours:.1f} x" if less else f"{ours / segment:.1f} x"


def draw(medians: dict[tuple[str, str], float], path: Path) -> None:
    """Draw how much of segment's cost each takes: done in the environment, which has the plotting library."""
    shown: dict[str, Any] = {}
    for figure, title, less in FIGURES:
        segment = medians.get((figure, "segment"))
        if not segment or figure in ("process_delivered", "p50_us"):
            continue
        costs = {}
        for name in ("floor", "posthog", "rudder", "segment", "ours"):
            value = medians.get((figure, name))
            if value:
                costs[name] = value / segment if less else segment / value
        shown[title] = costs
    subprocess.run([PYTHON, HERE / "picture.py", str(path)], input=json.dumps(shown), text=True, check=True)
    print(f"\nthe picture is in {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
