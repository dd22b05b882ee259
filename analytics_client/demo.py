"""The demo: real reviews through a client of each dialect into a collector in a process of its own, and what arrived.

Owns what is sent and what is shown. Uses the public client, and sees the collector only as its command and its HTTP:
what it shows has crossed a real socket.
"""

import csv
import gzip
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from analytics_client.client import Client

_HERE = Path(__file__).parent
#: Where the sample is: beside the code in an installation, among the examples in a checkout.
_SAMPLES = (
    _HERE / "data" / "vendor-reviews-sample.csv",
    _HERE.parent / "examples" / "data" / "vendor-reviews-sample.csv",
)
#: Seconds that the last events of a dialect may take.
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Result:
    """What one dialect's run came to: the client's ledger, and what the collector counted."""

    dialect: str
    calls: int
    accepted: int
    delivered: int
    arrived: int
    unique: int
    violations: int
    requests: int
    bytes: int
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether every accepted event arrived, once, and nothing broke a rule."""
        return self.calls == self.accepted == self.delivered == self.arrived == self.unique and not self.violations


def run(rows: int | None, dialects: Sequence[str], data: Path | None) -> bool:
    """Run the demo on the terminal; return whether all was well."""
    console = Console()
    calls = list(_calls(_reviews(data or _sample(), rows)))
    console.print(f"{len(calls):,} events of real vendor reviews, to a local collector for each service")
    results = []
    with Progress(
        TextColumn("{task.description:>14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    ) as progress:
        for dialect in dialects:
            task = progress.add_task(dialect, total=len(calls))
            results.append(_run_one(dialect, calls, lambda task=task: progress.advance(task)))
    console.print(_table(results))
    good = all(result.is_good for result in results)
    verdict = (
        "every event arrived once, and none broke a rule"
        if good
        else "NOT every event arrived once, or some broke a rule"
    )
    console.print(verdict, style="green" if good else "bold red")
    return good


def _run_one(dialect: str, calls: list[tuple[str, dict[str, Any]]], advance: Any) -> Result:
    with _collector(dialect) as url:
        started = time.perf_counter()
        with Client(
            "demo-key", dialect=dialect, host=url, on_full="block", on_delivered=lambda _end: advance()
        ) as client:
            try:
                for name, arguments in calls:
                    getattr(client, name)(**arguments)
                client.flush(_PATIENCE)
            except KeyboardInterrupt:
                client.close(timeout=0)  # whoever interrupts does not want to wait for the rest
                raise
            stats = client.stats
        seconds = time.perf_counter() - started
        with urllib.request.urlopen(f"{url}/stats", timeout=30) as response:  # noqa: S310 - of our own collector
            seen = json.load(response)
    return Result(
        dialect=dialect,
        calls=stats.calls,
        accepted=stats.accepted,
        delivered=stats.delivered,
        arrived=seen["arrived"],
        unique=seen["unique"],
        violations=seen["violations"],
        requests=seen["requests"],
        bytes=seen["bytes"],
        seconds=seconds,
    )


def _calls(reviews: Iterator[dict[str, str]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """An identify for each reviewer first seen, a track for each review, at their original times."""
    known = set()
    for review in reviews:
        person, date = review["reviewerId"], review["date"]
        if person not in known:
            known.add(person)
            yield "identify", {"user_id": person, "traits": {"firstReviewAt": date}, "timestamp": date}
        properties = {"vendorId": review["vendorId"], "rating": int(review["rating"])}
        yield "track", {"user_id": person, "event": "Vendor Reviewed", "properties": properties, "timestamp": date}


def _reviews(path: Path, rows: int | None) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            if number == rows:
                return
            yield row


def _sample() -> Path:
    for path in _SAMPLES:
        if path.exists():
            return path
    raise FileNotFoundError("the sample of the reviews is missing from this installation; give a file with --data")


@contextmanager
def _collector(service: str) -> Iterator[str]:
    """Run a collector in a process of its own; give its URL."""
    command = [sys.executable, "-m", "analytics_client.cli", "collector", "--port", "0", "--as", service]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ourselves
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if " on " not in line:
                raise OSError("the collector did not start; its own words are above")
            yield line.split(" on ")[1].split()[0]
        finally:
            process.terminate()


def _table(results: list[Result]) -> Table:
    table = Table("")
    for result in results:
        table.add_column(result.dialect, justify="right")
    for name, title in _FIGURES.items():
        figures = [getattr(result, name) for result in results]
        shown = [f"{figure:.2f}" if isinstance(figure, float) else f"{figure:,}" for figure in figures]
        table.add_row(title, *shown)
    return table


_FIGURES = {
    "calls": "calls",
    "accepted": "accepted",
    "delivered": "delivered",
    "arrived": "arrived",
    "unique": "unique ids",
    "violations": "violations",
    "requests": "requests",
    "bytes": "bytes",
    "seconds": "seconds",
}
