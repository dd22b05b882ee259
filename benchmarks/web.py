#!/usr/bin/env python3
"""What the integrations cost a request, beyond the events themselves: one table.

    python3 benchmarks/web.py [--rounds 5]

Requests are driven in-process, without a server: a browser's request with cookies, a query and a proxy's header. Only
ratios within one run mean anything, but a microsecond is one on most machines of the day.
"""

import argparse
import statistics
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from environment import prepare, work

FRAMEWORKS = ("wsgi", "asgi", "flask", "django")
TITLES = {"wsgi": "WSGI", "asgi": "ASGI", "flask": "Flask", "django": "Django, sync"}
#: What is compared with the same application without the middleware; with an event, it gives that the same by hand.
CASES = ("idle", "event", "disabled", "disabled event")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    prepare("frameworks", ("flask >= 2.3", "django >= 4.2"))
    found: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for number in range(given.rounds):
        for framework in FRAMEWORKS:
            for case in CASES:
                print(f"round {number + 1} of {given.rounds}: {framework}, {case}", file=sys.stderr, flush=True)
                found[framework, case].append(work("web_worker.py", framework=framework, case=case))
    print(f"\nCPU µs per request in the calling thread, medians of {given.rounds} processes\n")
    print(
        "| | the bare request | middleware, no event | bare, one event by hand | middleware, one event: beyond that "
        "| `enabled=False` | `enabled=False`, one call |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    for framework in FRAMEWORKS:
        medians = {
            (case, figure): statistics.median(each[figure] for each in found[framework, case])
            for case in CASES
            for figure in ("bare_us", "more_us")
        }
        cells = [
            medians["idle", "bare_us"],
            medians["idle", "more_us"],
            medians["event", "bare_us"],
            medians["event", "more_us"],
            medians["disabled", "more_us"],
            medians["disabled event", "more_us"],
        ]
        signs = ("", "+", "", "+", "+", "+")
        shown = [f"{cell:{sign}.1f}" for sign, cell in zip(signs, cells, strict=True)]
        print(f"| {TITLES[framework]} | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
