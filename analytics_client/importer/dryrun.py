"""The dry run: every row goes the way it would go, up to the wire, and what would be sent is described. Sends nothing.

The way is the client's own, with a transport that throws requests away, so that what is valid here is valid there.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from analytics_client import Client, Outcome, Request, Response
from analytics_client.importer.faults import InputBroken
from analytics_client.importer.feeding import Feed
from analytics_client.importer.ids import Seen
from analytics_client.importer.inputs import Input, Reading
from analytics_client.importer.mapping import RowMapping
from analytics_client.importer.options import Options
from analytics_client.importer.plan import Plan
from analytics_client.importer.rarely import rare_collections
from analytics_client.importer.summary import Problems, Progress, Report

# Kinds of events that are told apart.
_KINDS = 1_000
_OTHERS = ("", "(others)")
_LOOK = 512


class _Nowhere:
    """A transport that takes everything and sends nothing."""

    def send(self, request: Request, timeout: float) -> Response:
        del request, timeout
        return Response(200)

    def close(self) -> None:
        """Nothing is open."""


class DryRun:
    """One dry run."""

    def __init__(self, plan: Plan, options: Options, on_progress: Callable[[Progress], object] | None) -> None:
        self._plan = plan
        self._on_progress = on_progress
        config = options.config(dry=True)
        dialect = config.dialect
        self._time_prefix = b'"sentAt":"' if dialect.id_key == "hitId" else b'"timestamp":"'
        self._client = Client(
            "dry-run",
            **{
                **options.client,
                "host": config.base_url,
                "transport": _Nowhere(),
                "strict": True,
                "on_full": "block",
                "flush_at": 2_500,
                "max_queue_bytes": 16 * 1024 * 1024,
                "enabled": True,
                "sync": False,
                "on_delivered": self._ended,
            },
        )
        self._events: dict[tuple[str, str], int] = {}
        self._problems = Problems()
        self._seen = Seen()
        self._name = ""
        self._rows = self._valid = self._bytes = self._largest = 0
        self._smallest: int | None = None
        self._earliest: bytes | None = None
        self._latest: bytes | None = None

    def run(self) -> Report:
        """Read everything; return what was found."""
        started = time.monotonic()
        stopped = []
        try:
            for number, source in enumerate(self._plan.inputs):
                try:
                    self._read(number, source)
                except InputBroken as fault:
                    stopped.append(str(fault))
            self._client.flush(600)
        finally:
            self._client.close(timeout=0)
        return Report(
            rows=self._rows,
            valid=self._valid,
            events=self._events,
            earliest=self._earliest.decode() if self._earliest else None,
            latest=self._latest.decode() if self._latest else None,
            bytes=self._bytes,
            smallest=self._smallest or 0,
            largest=self._largest,
            dates=self._plan.dates(),
            duplicates=self._seen.again,
            problems=tuple(self._problems.listed()),
            ignored=dict(self._plan.messages.ignored),
            stopped="; ".join(stopped) or None,
            seconds=time.monotonic() - started,
        )

    def _read(self, place: int, source: Input) -> None:
        opened, calls = self._plan.open(source)
        self._name = source.name
        feed = Feed(self._client, opened.table, source.place, calls, self._seen, self, self._refuse)
        try:
            for number, row in enumerate(opened.rows(), 1):
                self._rows += 1
                made = feed.row(number, row)
                if made is not None:
                    self._valid += 1
                    self._count((made[0], str(made[1] or "")))
                if self._on_progress is not None and not number % _LOOK:
                    share = (place + (opened.share() or 0.0)) / len(self._plan.inputs)
                    refused = self._rows - self._valid
                    self._on_progress(Progress(source.name, self._rows, 0, self._valid, refused, share, ""))
        finally:
            opened.close()

    def _count(self, kind: tuple[str, str]) -> None:
        if kind not in self._events and len(self._events) >= _KINDS:
            kind = _OTHERS
        self._events[kind] = self._events.get(kind, 0) + 1

    def begin(self, message_id: str, entry: tuple[int, int, Any]) -> None:
        """Nothing is kept of a row that is not sent."""

    def begin_own(self, message_id: str, entry: tuple[int, int, Any]) -> None:
        """Likewise."""

    def cancel(self, message_id: str) -> None:
        """Likewise."""

    def _refuse(self, number: int, line: int, raw: Any, reason: str) -> None:  # noqa: ARG002 - as `Feed` calls it
        self._problems.add(reason, f"{self._name}:{line}")

    def _ended(self, outcome: Outcome) -> None:
        body = outcome.body
        size = len(body)
        self._bytes += size
        self._largest = max(self._largest, size)
        self._smallest = size if self._smallest is None else min(self._smallest, size)
        # The time stands before anything of the caller's, in one form that sorts as the times do.
        start = body.find(self._time_prefix) + len(self._time_prefix)
        when = body[start : start + 24]
        if self._earliest is None or when < self._earliest:
            self._earliest = when
        if self._latest is None or when > self._latest:
            self._latest = when


def dry_run(
    files: Sequence[str | Path],
    *,
    mapping: RowMapping | None = None,
    format: str | None = None,  # noqa: A002 - the flag's name
    encoding: str | None = None,
    delimiter: str | None = None,
    max_line_bytes: int | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    **client: Any,
) -> Report:
    """Read everything as `run` would, send nothing, and tell what would be sent.

    The arguments, and the errors, are those of `run`. Neither a write key nor a host is needed.
    """
    options = Options(client={name: value for name, value in client.items() if value is not None})
    options.config(dry=True)
    plan = Plan.make(files, Reading(format, encoding, delimiter, max_line_bytes), mapping)
    try:
        with rare_collections():
            return DryRun(plan, options, on_progress).run()
    finally:
        plan.close()
