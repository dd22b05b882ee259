#!/usr/bin/env python3
"""What each level of gzip costs and saves on a full body of real events: why the client uses the level it does.

python3 benchmarks/gzip_levels.py
"""

import csv
import json
import statistics
import sys
import time
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "examples" / "data" / "vendor-reviews-sample.csv"


def body() -> tuple[bytes, int]:
    """A batch of as many real reviews as fit, and how many those are."""
    events = []
    with SAMPLE.open(newline="") as file:
        for number, review in enumerate(csv.DictReader(file)):
            event = {
                "type": "track",
                "messageId": f"{number * 2654435761 % 2**32:08x}-5e4f-483f-a8c1-{number * 40503 % 2**48:012x}",
                "timestamp": review["date"].replace(" ", "T") + ":00.000Z",
                "userId": review["reviewerId"],
                "event": "Vendor Reviewed",
                "properties": {"vendorId": review["vendorId"], "rating": int(review["rating"]), "source": "web form"},
                "context": {"library": {"name": "analytics-client-python", "version": "0.1.0"}},
            }
            events.append(json.dumps(event, separators=(",", ":")))
    whole = ",".join(events)[:475_000]
    return whole.encode(), whole.count('"type"')


def main() -> None:
    content, events = body()
    print(f"{len(content):,} bytes, {events:,} events\n")
    print("| level | CPU µs per event | bytes | of the whole |")
    print("|---:|---:|---:|---:|")
    for level in range(1, 10):
        times, size = [], 0
        for _ in range(7):
            started = time.process_time()
            packer = zlib.compressobj(level, zlib.DEFLATED, 31)
            size = len(packer.compress(content) + packer.flush())
            times.append(time.process_time() - started)
        print(f"| {level} | {statistics.median(times) / events * 1e6:.2f} | {size:,} | {size / len(content):.1%} |")


if __name__ == "__main__":
    sys.exit(main())
