"""What has arrived: events, their copies, and exact counts, in one SQLite database.

This file owns the database. It must not know HTTP, services or rules, and it never sees a write key.

Everything that one request leaves behind is written in one transaction, or none of it. Event bodies are bounded (the
oldest make room); the counts stay exact, and for dedupe 32 bytes stay of every id ever seen. A database that cannot be
written is a StoreError for that request, and the next request tries again.

The state (connection, counts) belongs to one thread, the event loop's. SQLite runs right there: a batch of 1,000 events
takes some 10 ms, and handing it to a thread would cost more code than it would save anybody time.
"""

import os
import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from analytics_client.collector.database import open_database
from analytics_client.collector.exchange import Event, Violation

Counts = Counter[tuple[str, str]]


class StoreError(OSError):
    """The database cannot be opened, read or written. The text names the file and SQLite's reason, never an event."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some events as JSON texts, how many there are in all, and where to go on."""

    total: int
    events: list[bytes]
    last_seq: int


class Store:
    """The events and counts of one collector.

    Args:
        path: The SQLite file; None keeps everything in memory. A new file is readable by its owner alone.
        keep: How many event bodies are kept.
        keep_bytes: How many bytes of them.

    Raises:
        StoreError: The file cannot be opened, is in use by another collector, or is no collector's file.
    """

    def __init__(self, path: str | os.PathLike[str] | None, keep: int, keep_bytes: int) -> None:
        self._keep = keep
        self._keep_bytes = keep_bytes
        self._name = "memory" if path is None else os.fspath(path)
        self._kept = self._kept_bytes = 0
        self._unsaved: Counts = Counter()  # counted while the database could not be written
        try:
            self._db = open_database(path)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"The collector cannot open its database {self._name}: {error}.") from error
        self._counts: Counts = Counter(
            {(name, label): n for name, label, n in self._db.execute("SELECT name, label, n FROM counts")}
        )
        self._kept, self._kept_bytes = self._db.execute(
            "SELECT count(*), coalesce(sum(size), 0) FROM events"
        ).fetchone()

    def close(self) -> None:
        """Close the database. Closing twice is fine."""
        self._db.close()

    def add(
        self,
        events: Iterable[Event],
        *,
        received_at: str,
        size: int,
        status: int | None,
        notes: Iterable[Violation] = (),
    ) -> None:
        """Write what one request leaves behind.

        Args:
            events: The events that are kept.
            received_at: When they arrived, as text.
            size: Bytes of the request's body, as on the wire.
            status: The status that is answered; None if the connection is dropped without one.
            notes: Violations of the request as a whole.

        Raises:
            StoreError: Nothing of it was written.
        """
        counts = self._unsaved + _request_counts(size, status, notes)
        kept, kept_bytes = self._kept, self._kept_bytes
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for event in events:
                grown = self._take(event, received_at, counts)
                kept, kept_bytes = kept + (grown > 0), kept_bytes + grown
            kept, kept_bytes = self._make_room(kept, kept_bytes)
            self._db.executemany(
                "INSERT INTO counts (name, label, n) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
                [(*key, n) for key, n in counts.items()],
            )
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo()
            raise StoreError(f"The collector cannot write its database {self._name}: {error}.") from error
        self._kept, self._kept_bytes = kept, kept_bytes
        self._counts.update(counts)
        self._counts.subtract(self._unsaved)  # counted when they were noted
        self._unsaved.clear()

    def note(self, *, size: int, status: int | None) -> None:
        """Count a request without writing; the next `add` writes it."""
        counts = _request_counts(size, status, ())
        self._counts.update(counts)
        self._unsaved.update(counts)

    def stats(self) -> dict[str, Any]:
        """Give all counts. They include what has made room, and in a file what came before a restart."""
        return {
            name: self._counts[name, ""]
            for name in ("requests", "bytes", "arrived", "unique", "duplicates", "differing", "violations")
        } | {plural: self._labelled(name) for plural, name in _LABELLED.items()}

    def events(
        self, *, limit: int, offset: int = 0, after: int = 0, kind: str = "", user: str = "", newest: bool = False
    ) -> Page:
        """Give kept events in the order in which they first arrived, or the newest first.

        Args:
            limit: How many at most.
            offset: How many to leave out first.
            after: Go on behind this `Page.last_seq`; 0 begins.
            kind: Only events of this type.
            user: Only events of the person with this userId, or anonymousId where there is no userId.
            newest: Turn the order round.

        Raises:
            StoreError: The database cannot be read.
        """
        wanted, values = ["seq " + ("< ?" if newest and after else "> ?")], [after]
        filters = {name: value for name, value in {"type": kind, "user": user}.items() if value}
        where = " AND ".join([*wanted, *(f"{name} = ?" for name in filters)])
        query = (
            "SELECT seq, id, service, type, user, received_at, copies, body, violations FROM events "  # noqa: S608
            f"WHERE {where} ORDER BY seq {'DESC' if newest else 'ASC'} LIMIT ? OFFSET ?"
        )
        try:
            rows = self._db.execute(query, [*values, *filters.values(), limit, offset]).fetchall()
            total = self._total(filters)
        except sqlite3.Error as error:
            raise StoreError(f"The collector cannot read its database {self._name}: {error}.") from error
        return Page(total, [_shown(row) for row in rows], rows[-1][0] if rows else after)

    def _total(self, filters: dict[str, str]) -> int:
        if not filters:
            return self._kept
        where = " AND ".join(f"{name} = ?" for name in filters)
        query = f"SELECT count(*) FROM events WHERE {where}"  # noqa: S608 - the names are two constants
        total: int = self._db.execute(query, list(filters.values())).fetchone()[0]
        return total

    def _labelled(self, name: str) -> dict[str, int]:
        return {label: n for (kind, label), n in sorted(self._counts.items()) if kind == name and n}

    def _take(self, event: Event, received_at: str, counts: Counts) -> int:
        """Write one event or count its copy; give the bytes that the kept bodies have grown by."""
        counts["arrived", ""] += 1
        _count_violations(counts, event.violations)
        key = _key(event)
        known = self._db.execute("SELECT digest FROM seen WHERE key = ?", (key,)).fetchone()
        if known is not None:
            counts["duplicates", ""] += 1
            counts["differing", ""] += known[0] != event.digest
            self._db.execute("UPDATE events SET copies = copies + 1 WHERE key = ?", (key,))
            return 0
        counts["unique", ""] += 1
        counts["type", event.type] += 1
        violations = orjson.dumps([violation.as_dict() for violation in event.violations])
        size = len(event.body) + len(violations) + len(event.id) + len(event.user)
        self._db.execute("INSERT INTO seen (key, digest) VALUES (?, ?)", (key, event.digest))
        self._db.execute(
            "INSERT INTO events (key, service, id, type, user, received_at, copies, size, violations, body) "
            "VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?)",
            (key, event.service, event.id, event.type, event.user, received_at, size, violations, event.body),
        )
        return size

    def _make_room(self, kept: int, kept_bytes: int) -> tuple[int, int]:
        """Delete the oldest bodies beyond the bounds; the newest one always stays."""
        last = None
        if kept > self._keep or kept_bytes > self._keep_bytes:
            for seq, size in self._db.execute("SELECT seq, size FROM events ORDER BY seq"):
                if kept <= 1 or (kept <= self._keep and kept_bytes <= self._keep_bytes):
                    break
                last, kept, kept_bytes = seq, kept - 1, kept_bytes - size
        if last is not None:
            self._db.execute("DELETE FROM events WHERE seq <= ?", (last,))
        return kept, kept_bytes

    def _undo(self) -> None:
        """Roll back, unless SQLite has done so itself (it does when the disk is full)."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")


_LABELLED = {"statuses": "status", "by_type": "type", "by_rule": "rule"}


def _request_counts(size: int, status: int | None, notes: Iterable[Violation]) -> Counts:
    counts: Counts = Counter({("requests", ""): 1, ("bytes", ""): size})
    if status is not None:
        counts["status", str(status)] = 1
    _count_violations(counts, notes)
    return counts


def _count_violations(counts: Counts, violations: Iterable[Violation]) -> None:
    for violation in violations:
        counts["violations", ""] += 1
        counts["rule", violation.rule] += 1


def _key(event: Event) -> bytes:
    """Give what copies are recognised by. Hashed, for an id may be as long as its event."""
    return blake2b(event.id.encode(), digest_size=16, person=event.service.encode()).digest()


def _shown(row: tuple[Any, ...]) -> bytes:
    _, event_id, service, kind, user, received_at, copies, body, violations = row
    return orjson.dumps(
        {
            "id": event_id,
            "service": service,
            "type": kind,
            "user_id": user,
            "received_at": received_at,
            "copies": copies,
            "event": orjson.Fragment(body),
            "violations": orjson.Fragment(violations),
        }
    )
