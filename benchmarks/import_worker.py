"""One import in a process of its own: prints what it took as JSON.

python import_worker.py '{"contender": "ours", "path": "reviews.csv.gz", "url": "http://..."}'
"""

import csv
import gzip
import json
import resource
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path


def ours(path: Path, url: str) -> int:
    from analytics_client.importer import RowMapping, run

    mapping = RowMapping.from_dict(
        {
            "type": "track",
            "event": "Vendor Reviewed",
            "user_id": "reviewerId",
            "timestamp": "date",
            "properties": {"rating": {"column": "rating", "cast": "int"}, "vendorId": "vendorId"},
        }
    )
    with tempfile.TemporaryDirectory() as state:
        summary = run(
            [path],
            mapping=mapping,
            write_key="key",
            host=url,
            state=state,
            max_requests_per_second=0,
            max_events_per_second=0,
        )
    assert summary.exit_status == 0, summary
    return summary.delivered


def segment(path: Path, url: str) -> int:
    """What one writes by hand: the dates by dateutil, which segment's own package brings, whatever their form."""
    from dateutil.parser import parse
    from dateutil.tz import UTC

    return by_hand(path, url, lambda text: parse(text).replace(tzinfo=UTC))


def segment_iso(path: Path, url: str) -> int:
    """The same by somebody who knows that these dates are ISO 8601, and the fastest way to read those."""
    return by_hand(path, url, lambda text: datetime.fromisoformat(text + "+00:00"))


def by_hand(path: Path, url: str, date: Callable[[str], datetime]) -> int:
    """No validation, no checkpoint, no bound of memory; but ids of content and place, as ours has."""
    from segment.analytics.client import Client

    def failed(error: Exception, _items: object) -> None:
        raise error

    client = Client("key", host=url, max_queue_size=100_000_000, on_error=failed)
    rows = 0
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        for row in csv.DictReader(file):
            rows += 1
            client.track(
                row["reviewerId"],
                "Vendor Reviewed",
                {"rating": int(row["rating"]), "vendorId": row["vendorId"]},
                timestamp=date(row["date"]),
                message_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{path.name} {rows} {row}")),
            )
    client.flush()
    return rows


def main() -> None:
    given = json.loads(sys.argv[1])
    started = time.perf_counter()
    rows = {"ours": ours, "segment": segment, "segment_iso": segment_iso}[given["contender"]](
        Path(given["path"]), given["url"]
    )
    seconds = time.perf_counter() - started
    print(
        json.dumps(
            {
                "rows": rows,
                "events_per_s": rows / seconds,
                "cpu_us": time.process_time() / rows * 1e6,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
