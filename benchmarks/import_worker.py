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
    """What one writes by hand: no validation, no checkpoint; ids that a second run repeats, as ours has."""
    from segment.analytics.client import Client

    def failed(error: Exception, _items: object) -> None:
        raise error

    client = Client("key", host=url, max_queue_size=100_000_000, on_error=failed)
    rows = 0
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        for rows, row in enumerate(csv.DictReader(file), 1):  # noqa: B007 - the last number is the count
            client.track(
                row["reviewerId"],
                "Vendor Reviewed",
                {"rating": int(row["rating"]), "vendorId": row["vendorId"]},
                timestamp=datetime.fromisoformat(row["date"] + "+00:00"),
                message_id=f"{path.name}-{rows}",
            )
    client.flush()
    return rows


def main() -> None:
    given = json.loads(sys.argv[1])
    started = time.perf_counter()
    rows = {"ours": ours, "segment": segment}[given["contender"]](Path(given["path"]), given["url"])
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
