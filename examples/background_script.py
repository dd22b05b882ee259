"""A worker that runs for long: each end is reported, the ledger is printed now and then, and Ctrl-C stops it cleanly.

python examples/background_script.py [jobs]
"""

import random
import sys
import time

from analytics_client import Client, Outcome


def report(outcome: Outcome) -> None:
    """Runs in the client's own thread, once for each event that could not be delivered and each call refused."""
    print(f"event {outcome.message_id} ended as {outcome.reason}: {outcome.cause}", file=sys.stderr)


def main(jobs: int) -> None:
    with Client(on_failed=report, context={"app": {"name": "night-shift"}}) as analytics:
        try:
            for number in range(jobs):
                started = time.monotonic()
                time.sleep(random.uniform(0, 0.02))  # the work itself
                analytics.track(
                    "worker-1",
                    "Job Finished",
                    {"job": number, "seconds": round(time.monotonic() - started, 3)},
                )
                if number % 100 == 99:
                    print(analytics)  # <Client segment queue=12 5.4KiB/64MiB inflight=1 delivered=88 failed=0>
        except KeyboardInterrupt:
            print("stopping: what is queued is still sent")
    print(analytics.stats)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
