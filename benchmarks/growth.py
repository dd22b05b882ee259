#!/usr/bin/env python3
"""How the cost of an event grows: with events queued, calling threads, event size and people. Tables, no cliff.

python3 benchmarks/growth.py [--most-queued 5000000]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from environment import prepare, sink, work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most-queued", type=int, default=5_000_000)
    given = parser.parse_args()
    prepare()

    table("events queued, server down", ("CPU µs per call", "bytes per event"))
    for queued in (1_000, 10_000, 100_000, 1_000_000, 5_000_000):
        if queued <= given.most_queued:
            found = work("growth_worker.py", what="queued", url="http://127.0.0.1:9", events=queued)
            row(queued, found["caller_us"], found["bytes"])

    columns = ("CPU µs per event", "events/s", "the plain floor's CPU", "its events/s")
    table("calling threads, 200,000 events", columns)
    for threads in (1, 2, 4, 8, 16, 32, 64):
        figures = []
        for name in ("ours", "floor"):
            with sink() as url:
                found = work("growth_worker.py", what="threads", url=url, events=200_000, threads=threads, name=name)
            figures += [found["cpu_us"], found["events_per_s"]]
        row(threads, *figures)

    table("bytes of an event", ("CPU µs per event", "events/s", "MB/s"))
    for size, events in ((250, 200_000), (510, 200_000), (1_000, 100_000), (5_000, 50_000), (30_000, 20_000)):
        with sink() as url:
            found = work("worker.py", contender="ours", what="cpu", url=url, events=events, size=size)
        row(size, found["cpu_us"], found["events_per_s"], found["events_per_s"] * size / 1e6)

    table("people, 200,000 events, 4 lanes", ("CPU µs per event", "events/s"))
    for people in (10, 100, 1_000, 10_000, 100_000):
        with sink() as url:
            found = work(
                "worker.py", contender="ours", what="cpu", url=url, events=200_000, people=people, concurrency=4
            )
        row(people, found["cpu_us"], found["events_per_s"])

    table("people, one event per request (SegmentStream), 8 lanes, 10,000 events", ("CPU µs per event", "events/s"))
    for people in (1, 10, 100, 1_000, 10_000):
        with sink() as url:
            options = {"dialect": "segmentstream", "people": people}
            found = work("worker.py", contender="ours", what="cpu", url=url, events=10_000, **options)
        row(people, found["cpu_us"], found["events_per_s"])


def table(title: str, columns: tuple[str, ...]) -> None:
    print(f"\n| {title} | {' | '.join(columns)} |\n|---:|{'---:|' * len(columns)}", flush=True)


def row(size: int, *figures: float) -> None:
    print(
        f"| {size:,} | {' | '.join(f'{each:,.0f}' if each >= 100 else f'{each:.3g}' for each in figures)} |", flush=True
    )


if __name__ == "__main__":
    main()
