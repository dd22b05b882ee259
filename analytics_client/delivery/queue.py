"""The queue: what is held, how much of it, and the marks that `flush` waits for.

    append -> (lanes) -> take -> settle, part by part -> finish

Owns the bound in bytes (in flight included) and the counts; the order belongs to `lanes`. Not synchronised: every call
comes from `hub`, under its lock. Sees bytes, never what is in them. Decides nothing about retries.
"""

from collections.abc import Callable
from typing import Protocol

from analytics_client.delivery.chunks import EVENT_OVERHEAD, Chunk, Envelope, News, Part
from analytics_client.delivery.lanes import Lanes


class Queue(Protocol):
    """What the hub needs of a queue, wherever it keeps the bytes. The three figures are for reading.

    Attributes:
        pending: events held: waiting and in flight.
        held_bytes: bytes held, overhead included.
        in_flight: chunks taken, and neither put back nor finished.
    """

    held_bytes: int
    in_flight: int

    @property
    def pending(self) -> int: ...

    def append(self, event: bytes, envelope: Envelope, person: str) -> News:
        """Take an event in; `News.FULL` if there is no room."""

    def take(self, now: float) -> Chunk | None:
        """Hand out the next chunk that is due and may go."""

    def earliest(self) -> float | None:
        """When `take` will next have something; None while it never will by time alone."""

    def settle(self, chunk: Chunk, part: Part) -> None:
        """The events of one part have ended."""

    def put_back(self, chunk: Chunk, *, behind_next: bool = False) -> None:
        """A taken chunk waits again, with the parts it has left."""

    def finish(self, chunk: Chunk) -> None:
        """A taken chunk has no parts left and its callbacks have returned."""

    def mark(self) -> int:
        """Close what is open, and return a mark for everything accepted so far."""

    def is_settled(self, mark: int) -> bool:
        """Whether every chunk from before the mark is finished."""

    def drop_oldest(self) -> bytes | None:
        """Take out the oldest event that was never attempted."""

    def drain(self) -> list[Part]:
        """Take out everything, in flight too: the parts that nobody has settled. The queue is empty then."""


class MemoryQueue:
    """The queue in memory.

    Args:
        lanes: the order.
        max_bytes: the bound.
        now: a monotonic clock.
    """

    def __init__(self, lanes: Lanes, max_bytes: int, now: Callable[[], float]) -> None:
        self._lanes = lanes
        self._max_bytes = max_bytes
        self._now = now
        self._taken: set[Chunk] = set()
        self._epoch = 0
        #: Events not finished, by the epoch they came in, oldest first. What came since the last mark is counted by
        #: `_appended` alone until the next one: the current epoch's entry is what has been finished of it, negative.
        self._unfinished: dict[int, int] = {0: 0}
        self._appended = 0
        self._appended_at_mark = 0
        self._gone = 0
        self.held_bytes = 0
        self.in_flight = 0

    @property
    def pending(self) -> int:
        return self._appended - self._gone

    def append(self, event: bytes, envelope: Envelope, person: str) -> News:
        held_bytes = self.held_bytes + len(event) + EVENT_OVERHEAD
        if held_bytes > self._max_bytes:
            return News.FULL
        self.held_bytes = held_bytes
        self._appended += 1
        return self._lanes.add(event, envelope, person, self._epoch, self._now)

    def take(self, now: float) -> Chunk | None:
        chunk = self._lanes.take(now)
        if chunk is not None:
            if not chunk.parts:
                chunk.parts.append(Part(chunk.events))
                chunk.total = len(chunk.events)
            self._taken.add(chunk)
            self.in_flight += 1
        return chunk

    def earliest(self) -> float | None:
        return self._lanes.earliest()

    def settle(self, chunk: Chunk, part: Part) -> None:
        chunk.parts.remove(part)
        self._release(part)

    def _release(self, part: Part) -> None:
        self._gone += len(part.events)
        self.held_bytes -= sum(map(len, part.events)) + EVENT_OVERHEAD * len(part.events)

    def put_back(self, chunk: Chunk, *, behind_next: bool = False) -> None:
        self._forget(chunk)
        self._lanes.restore(chunk, behind_next=behind_next)

    def finish(self, chunk: Chunk) -> None:
        self._forget(chunk)
        self._lanes.free(chunk)
        self._count_down(chunk.epoch, chunk.total)

    def _forget(self, chunk: Chunk) -> None:
        self._taken.remove(chunk)
        self.in_flight -= 1

    def _count_down(self, epoch: int, events: int) -> None:
        self._unfinished[epoch] -= events
        if not self._unfinished[epoch] and epoch != self._epoch:
            del self._unfinished[epoch]

    def mark(self) -> int:
        self._lanes.make_due()
        marked = self._epoch
        if self._is_current_unfinished():
            self._unfinished[marked] += self._appended - self._appended_at_mark
            self._appended_at_mark = self._appended
            self._epoch += 1
            self._unfinished[self._epoch] = 0
        return marked

    def is_settled(self, mark: int) -> bool:
        oldest = next(iter(self._unfinished))
        return oldest > mark or (oldest == self._epoch and not self._is_current_unfinished())

    def _is_current_unfinished(self) -> bool:
        return self._appended - self._appended_at_mark + self._unfinished[self._epoch] > 0

    def drop_oldest(self) -> bytes | None:
        dropped = self._lanes.drop_oldest()
        if dropped is None:
            return None
        event, epoch = dropped
        self._release(Part([event]))
        self._count_down(epoch, 1)
        return event

    def drain(self) -> list[Part]:
        parts = []
        for chunk in self._taken:  # some may have no parts left, and be at their callbacks
            parts += chunk.parts
            chunk.drained = True
            chunk.parts = []
        for chunk in self._lanes.clear():
            parts += chunk.parts or [Part(chunk.events)]
        for part in parts:
            self._release(part)
        self._taken.clear()
        self.in_flight = 0
        self._unfinished = {self._epoch: 0}
        self._appended_at_mark = self._appended
        return parts
