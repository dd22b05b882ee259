#!/usr/bin/env python3
"""The import of history: ours against plain scripts on segment-analytics-python; one sink, no limit of the pace.

    python3 benchmarks/imports.py [FILE.csv[.gz]] [--rounds 3] [--growth 10000000] [--json FILE]

FILE has the columns reviewerId, vendorId, rating, date; without one it is ANALYTICS_REVIEWS, or else the sample among
the examples. `--growth` imports a file of so many rows, made for the purpose, and tells the memory that takes.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import urllib.request
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from environment import ROOT, prepare, sink, versions, work

CONTENDERS = {
    "segment": "a plain script on segment-analytics-python, dates by dateutil",
    "segment_iso": "the same, dates by fromisoformat",
    "ours": "ours",
}
SAMPLE = ROOT / "examples" / "data" / "vendor-reviews-sample.csv"


def main() -> None:
    parser = argparse.ArgumentParser()
    default = os.environ.get("ANALYTICS_REVIEWS")
    parser.add_argument("file", type=Path, nargs="?", default=Path(default) if default else SAMPLE)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--growth", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    prepare()
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(given.rounds):
        for name in CONTENDERS:
            print(f"round {number + 1} of {given.rounds}: {name}", file=sys.stderr, flush=True)
            for figure, value in measured(name, given.file).items():
                found[name][figure].append(value)
    names = {name: f"{name} {version}" for name, version in versions().items()}
    print(f"\nMedians of {given.rounds}, {given.file.name}; {names['Python']}, {names['segment-analytics-python']}\n")
    print("| | events/s | CPU µs an event | peak MB | requests |")
    print("|---|---:|---:|---:|---:|")
    medians = {
        name: {key: statistics.median(values) for key, values in figures.items()} for name, figures in found.items()
    }
    for name, title in CONTENDERS.items():
        row = medians[name]
        figures = f"{row['events_per_s']:,.0f} | {row['cpu_us']:.1f} | {row['peak_mb']:.0f} | {row['requests']:,.0f}"
        print(f"| {title} | {figures} |")
    print()
    for name, title in list(CONTENDERS.items())[:-1]:
        wall = medians["ours"]["events_per_s"] / medians[name]["events_per_s"]
        cpu = medians[name]["cpu_us"] / medians["ours"]["cpu_us"]
        print(f"ours against {title}: {wall:.1f} x events/s, {cpu:.1f} x less CPU")
    if given.growth:
        grown(given.growth)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


def measured(name: str, path: Path) -> dict[str, float]:
    """Run one import in a process of its own; see that every row arrived."""
    with sink() as url:
        result = work("import_worker.py", contender=name, url=url, path=str(path))
        with urllib.request.urlopen(url, timeout=30) as response:
            seen = json.load(response)
    if seen["events"] != result["rows"]:
        raise RuntimeError(f"{name}: {seen['events']:,} of {result['rows']:,} rows arrived")
    return {**{key: result[key] for key in ("events_per_s", "cpu_us", "peak_mb")}, "requests": seen["requests"]}


def grown(rows: int) -> None:
    """Import a large file, and tell the peak of memory."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "many.csv"
        with path.open("w") as file:
            file.write("reviewerId,vendorId,rating,date\n")
            for number in range(rows):
                file.write(f"{number % 100_003},{number},{number % 6},2006-04-{number % 28 + 1:02} 17:08\n")
        print(f"importing {rows:,} rows ...", file=sys.stderr, flush=True)
        row = measured("ours", path)
    print(f"\n{rows:,} rows: {row['events_per_s']:,.0f} events/s, peak {row['peak_mb']:.0f} MB")


if __name__ == "__main__":
    main()
