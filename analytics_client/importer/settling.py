"""The rows of one input between being read and being settled, and which rows are. Thread-safe.

Rows are handed over in the order of their numbers; their events settle in any. What is kept of a row until then is what
the reject file needs. Decides nothing, writes nothing.

One thread hands rows over, another tells of their ends, and both do it for every event: so the everyday way takes no
lock, only steps that are whole by themselves (an assignment into a dict, a pop, an addition to a set), and each counter
has one writer. Ids of the source's own may come twice; those are guarded by a lock.
"""

import threading
from collections import deque
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
        #: Every row up to this number is settled, as of the last `state`.
        self.low = low
        self._beyond = set(beyond)
        self._before = low, frozenset(self._beyond)  # `state` moves the others while rows are asked for
        self._open: dict[str, Entry] = {}
        self._lock = threading.Lock()  # guards `_own` and `state`
        self._own: dict[str, deque[Entry]] = {}
        self._begun = 0
        self._ended = 0
        self.delivered = 0
        self.rejected_here = 0
        self.rejected_there = 0

    def __len__(self) -> int:
        """Return the number of rows that are not settled."""
        return self._begun - self._ended

    @property
    def rejected(self) -> int:
        """Rows in the reject file."""
        return self.rejected_here + self.rejected_there

    def is_settled(self, number: int) -> bool:
        """Whether a row was settled before this run began."""
        low, beyond = self._before
        return number <= low or number in beyond

    # -- in the thread that reads --------------------------------------------------------------------------------

    def begin(self, message_id: str, entry: Entry) -> None:
        """A row's event, whose id no other has, is about to be handed over."""
        self._begun += 1
        self._open[message_id] = entry

    def begin_own(self, message_id: str, entry: Entry) -> None:
        """A row's event is about to be handed over, with an id of the source's own."""
        self._begun += 1
        with self._lock:
            self._own.setdefault(message_id, deque()).append(entry)

    def cancel(self, message_id: str) -> None:
        """The event of the row that was begun last was not handed over after all."""
        self._begun -= 1
        if self._open.pop(message_id, None) is None:
            self._take_own(message_id, last=True)

    def refuse(self, number: int) -> None:
        """A row that was not handed over is in the reject file."""
        self._beyond.add(number)
        self.rejected_here += 1

    # -- in the thread that tells of ends ------------------------------------------------------------------------

    def deliver(self, message_id: str) -> None:
        """A row's event was delivered."""
        entry = self._open.pop(message_id, None) or self._take_own(message_id, last=False)
        if entry is not None:
            self._beyond.add(entry[0])
            self.delivered += 1
            self._ended += 1

    def end(self, message_id: str) -> Entry | None:
        """A row's event has failed: return the row. It is settled after `reject`."""
        return self._open.pop(message_id, None) or self._take_own(message_id, last=False)

    def reject(self, number: int) -> None:
        """A row that `end` gave is in the reject file."""
        self._beyond.add(number)
        self.rejected_there += 1
        self._ended += 1

    def _take_own(self, message_id: str, *, last: bool) -> Entry | None:
        with self._lock:
            entries = self._own.get(message_id)
            if entries is None:
                return None
            entry = entries.pop() if last else entries.popleft()
            if not entries:
                del self._own[message_id]
            return entry

    # -- in any thread -------------------------------------------------------------------------------------------

    def state(self) -> tuple[int, int, frozenset[int], int, int]:
        """Return changes, the number up to which all rows are settled, those beyond, delivered, rejected.

        The counts may be behind the rows by what is being settled at this moment, never ahead of them.
        """
        with self._lock:
            delivered, rejected = self.delivered, self.rejected
            low, beyond = self.low, self._beyond
            while low + 1 in beyond:
                low += 1
                beyond.remove(low)
            self.low = low
            return delivered + rejected, low, frozenset(beyond), delivered, rejected
