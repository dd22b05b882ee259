"""Import history: real reviews of 2003 to 2008, each at its own time, and each with an id that a second run repeats.

    python examples/import_reviews.py [reviews.csv]

Without a file it takes the sample beside it. The server drops a message id it has seen within its window (Segment: 24
hours), so an import that broke off may simply be started again.
"""

import csv
import sys
import uuid
from pathlib import Path

from analytics_client import Client, Outcome

SAMPLE = Path(__file__).parent / "data" / "vendor-reviews-sample.csv"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://github.com/elastic/examples#vendor-reviews")

failures: list[Outcome] = []


def main(path: Path) -> int:
    # `block` waits for room instead of refusing: an import is in no hurry, and must not lose a row.
    with Client(on_full="block", on_failed=failures.append, max_queue_bytes=8 * 1024 * 1024) as analytics:
        seen: set[str] = set()
        with path.open(newline="") as file:
            for line, review in enumerate(csv.DictReader(file), start=2):
                person, date = review["reviewerId"], review["date"]
                if person not in seen:
                    seen.add(person)
                    analytics.identify(
                        person,
                        {"firstReviewAt": date},
                        timestamp=date,
                        message_id=str(uuid.uuid5(NAMESPACE, f"identify {line}")),
                    )
                analytics.track(
                    person,
                    "Vendor Reviewed",
                    {"vendorId": review["vendorId"], "rating": int(review["rating"])},
                    timestamp=date,
                    message_id=str(uuid.uuid5(NAMESPACE, f"track {line}")),
                )
        analytics.flush(timeout=300)
    stats = analytics.stats
    print(f"{stats.calls:,} calls, {stats.delivered:,} delivered, {sum(stats.failed.values()):,} failed")
    for outcome in failures[:3]:
        print(f"  {outcome.message_id}: {outcome.reason} ({outcome.cause})", file=sys.stderr)
    return 0 if stats.delivered == stats.calls else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE))
