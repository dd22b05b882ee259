"""The rows of one input between being read and being settled, and which rows are. Thread-safe.

Rows are handed over in the order of their numbers; their events settle in any. What is kept of a row until then is what
the reject file needs. Decides nothing, writes nothing.
"""

import threading
from collections.abc import Iterable
from typing import Any

#: number, line, raw
Entry = tuple[int, int, Any]


class Settling:
    """One input's rows.

    Args:
        low: every row up to this number is settled already.
        beyond: and these after it.
    """

    def __init__(self, low: int, beyond: Iterable[int]) -> None:
        self._lock = threading.Lock()
        #: Every row up to this number is settled, as of the last `state`.
        self.low = low
        self._beyond = set(beyond)
        self._open: dict[str, Entry | list[Entry]] = {}
        self._count = 0
        self.delivered = 0
        self.rejected = 0
        self.changes = 0  # grows with every row that settles

    def __len__(self) -> int:
        """Return the number of rows that are not settled."""
        return self._count

    def is_settled(self, number: int) -> bool:
        """Whether a row was settled before this run began."""
        return number <= self.low or number in self._beyond

    def begin(self, message_id: str, entry: Entry) -> None:
        """A row's event is about to be handed over."""
        with self._lock:
            self._count += 1
            earlier = self._open.setdefault(message_id, entry)
            if earlier is not entry:  # the source has the id twice, and the first is still under way
                self._open[message_id] = [*earlier, entry] if isinstance(earlier, list) else [earlier, entry]

    def cancel(self, message_id: str) -> None:
        """The row's event was not handed over after all."""
        with self._lock:
            self._take(message_id, last=True)

    def end(self, message_id: str) -> Entry | None:
        """A row's event has ended: return the row. It counts as settled after `settle` only."""
        with self._lock:
            return self._take(message_id, last=False)

    def deliver(self, message_id: str) -> None:
        """A row's event was delivered."""
        with self._lock:
            entry = self._take(message_id, last=False)
            if entry is not None:
                self._beyond.add(entry[0])
                self.delivered += 1
                self.changes += 1

    def reject(self, number: int) -> None:
        """A row is in the reject file."""
        with self._lock:
            self._beyond.add(number)
            self.rejected += 1
            self.changes += 1

    def state(self) -> tuple[int, int, frozenset[int], int, int]:
        """Return changes, the number up to which all rows are settled, those beyond, delivered, rejected."""
        with self._lock:
            low, beyond = self.low, self._beyond
            while low + 1 in beyond:
                low += 1
                beyond.remove(low)
            self.low = low
            return self.changes, low, frozenset(beyond), self.delivered, self.rejected

    def _take(self, message_id: str, *, last: bool) -> Entry | None:
        entry = self._open.pop(message_id, None)
        if entry is None:
            return None
        self._count -= 1
        if isinstance(entry, list):
            entry, rest = (entry[-1], entry[:-1]) if last else (entry[0], entry[1:])
            self._open[message_id] = rest if len(rest) > 1 else rest[0]
        return entry
