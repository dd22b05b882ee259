"""The order of chunks: what may go out side by side, and what must wait for what.

The rule is one person's events in the order of their calls, retries included. Where a request holds many events
(`BatchLanes`) a person belongs to one lane for good, and a lane has one chunk out at a time. Where it holds one
(`PersonLanes`) any worker serves the next person who has nothing out, so that a slow answer holds up one person only.

Not synchronised, keeps no counts: `queue` does that, and `hub` holds the lock around both.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from analytics_client.delivery.chunks import Chunk, Envelope, News


class Lanes(Protocol):
    """What a queue needs of an order of chunks. `now` and all times are of one monotonic clock."""

    def add(self, event: bytes, envelope: Envelope, person: str, epoch: int, now: Callable[[], float]) -> News:
        """Append an event."""

    def take(self, now: float) -> Chunk | None:
        """Hand out the next chunk that is due and whose lane is free. The lane is then busy."""

    def earliest(self) -> float | None:
        """When `take` will next have something; None while it never will by time alone."""

    def restore(self, chunk: Chunk, *, behind_next: bool) -> None:
        """Put a taken chunk back, to the front of its lane or behind the next one."""

    def free(self, chunk: Chunk) -> None:
        """A taken chunk is done with: its lane may go on."""

    def make_due(self) -> None:
        """Close every open chunk."""

    def drop_oldest(self) -> tuple[bytes, int] | None:
        """Take out the oldest event that was never attempted: its bytes and its epoch."""

    def clear(self) -> list[Chunk]:
        """Take out every chunk that waits, busy lanes' too."""


#: Seconds that a chunk stays open after it has become due by count. Whoever makes events so fast that this matters
#: fills it meanwhile, and a full body costs hardly more to send than half a one.
GATHERING = 0.005

# Looked up once: an enumeration's members are slow to reach, and every event asks for this one.
_NOTHING = News.NOTHING


class _Lane:
    """The chunks of the people who share a lane: closed ones in order, and the one that still grows."""

    __slots__ = ("busy", "growing", "ready")

    def __init__(self) -> None:
        self.busy = False
        self.ready: deque[Chunk] = deque()
        self.growing: Chunk | None = None


def _close(lane: _Lane) -> None:
    """Make the chunk that grows the last of the ready ones."""
    if lane.growing is not None:
        lane.growing.not_before = 0.0
        lane.ready.append(lane.growing)
        lane.growing = None


class BatchLanes:
    """`count` lanes of chunks that grow to the envelope's limits.

    A chunk is due when it is full, holds `flush_at` events (and a moment later: `GATHERING`), is `flush_interval`
    seconds old, or is flushed.
    """

    def __init__(self, count: int, flush_at: int, flush_interval: float) -> None:
        self._lanes = [_Lane() for _ in range(count)]
        self._flush_at = flush_at
        self._flush_interval = flush_interval
        self._next = 0  # the lane to look at first, so that all get their turn

    def add(self, event: bytes, envelope: Envelope, person: str, epoch: int, now: Callable[[], float]) -> News:
        lanes = self._lanes
        lane = lanes[0] if len(lanes) == 1 else lanes[hash(person) % len(lanes)]
        size = len(event) + envelope.tail_bytes + 1
        chunk = lane.growing
        news = _NOTHING
        if chunk is None or chunk.envelope is not envelope or chunk.size + size > envelope.body_room:
            if chunk is not None:
                _close(lane)
            news = News.OPENED if chunk is None else News.DUE
            chunk = lane.growing = Chunk(envelope, person, epoch, now(), lane)
            chunk.not_before = chunk.opened_at + self._flush_interval
        chunk.events.append(event)
        chunk.size += size
        if chunk.person is not None and chunk.person != person:
            chunk.person = None
        count = len(chunk.events)
        if count == envelope.max_events:
            _close(lane)
            return News.DUE
        if count == self._flush_at:
            chunk.not_before = min(chunk.not_before, now() + GATHERING)
            return News.DUE
        return news

    def take(self, now: float) -> Chunk | None:
        count = len(self._lanes)
        for step in range(count):
            lane = self._lanes[(self._next + step) % count]
            due = None if lane.busy else self._due_at(lane)
            if due is None or due > now:
                continue
            if lane.ready:
                chunk = lane.ready.popleft()
            else:
                assert lane.growing is not None
                chunk, lane.growing = lane.growing, None
            lane.busy = True
            self._next = (self._next + step + 1) % count
            return chunk
        return None

    def earliest(self) -> float | None:
        times = [due for lane in self._lanes if not lane.busy and (due := self._due_at(lane)) is not None]
        return min(times, default=None)

    def _due_at(self, lane: _Lane) -> float | None:
        if lane.ready:
            return lane.ready[0].not_before
        return None if lane.growing is None else lane.growing.not_before

    def restore(self, chunk: Chunk, *, behind_next: bool) -> None:
        lane = chunk.lane
        assert isinstance(lane, _Lane)
        lane.busy = False
        if behind_next and not lane.ready:
            _close(lane)
        lane.ready.insert(1 if behind_next and lane.ready else 0, chunk)

    def free(self, chunk: Chunk) -> None:
        assert isinstance(chunk.lane, _Lane)
        chunk.lane.busy = False

    def make_due(self) -> None:
        for lane in self._lanes:
            _close(lane)

    def drop_oldest(self) -> tuple[bytes, int] | None:
        # Chunks that were attempted already are left alone: they are old, but somebody may be about to take them.
        candidates = [
            (chunk.opened_at, position)
            for position, lane in enumerate(self._lanes)
            if (chunk := self._oldest_untried(lane)) is not None
        ]
        if not candidates:
            return None
        lane = self._lanes[min(candidates)[1]]
        chunk = self._oldest_untried(lane)
        assert chunk is not None
        event = chunk.events.pop(0)
        chunk.size -= len(event) + chunk.envelope.tail_bytes + 1
        if not chunk.events:
            if chunk is lane.growing:
                lane.growing = None
            else:
                lane.ready.remove(chunk)
        return event, chunk.epoch

    def _oldest_untried(self, lane: _Lane) -> Chunk | None:
        return next((chunk for chunk in lane.ready if not chunk.parts), lane.growing)

    def clear(self) -> list[Chunk]:
        self.make_due()
        chunks = [chunk for lane in self._lanes for chunk in lane.ready]
        for lane in self._lanes:
            lane.ready.clear()
        return chunks


# An event in a queue of its own: bytes, envelope, person, epoch, when it came.
_Entry = tuple[bytes, Envelope, str, int, float]


class PersonLanes:
    """One event per request; each person a lane, but without keeping anything for people who have nothing queued.

    Entries wait in one line. A person is busy from the time their entry leaves the line until they have nothing more
    waiting; entries that reach the head of the line meanwhile are parked behind the person's first one.
    """

    def __init__(self) -> None:
        self._line: deque[_Entry] = deque()
        self._ready: deque[Chunk] = deque()  # of busy people, but not taken: these come first, being older
        self._parked: dict[str, deque[_Entry]] = {}
        self._busy: set[str] = set()

    def add(self, event: bytes, envelope: Envelope, person: str, epoch: int, now: Callable[[], float]) -> News:
        self._line.append((event, envelope, person, epoch, now()))
        return News.DUE

    def take(self, now: float) -> Chunk | None:
        for _ in range(len(self._ready)):
            chunk = self._ready.popleft()
            if chunk.not_before <= now:
                return chunk
            self._ready.append(chunk)
        self._park()
        if not self._line:
            return None
        entry = self._line.popleft()
        self._busy.add(entry[2])
        return _chunk_of(entry)

    def _park(self) -> None:
        """Clear the head of the line of busy people's entries: each entry is looked at once, however long the line."""
        while self._line and self._line[0][2] in self._busy:
            entry = self._line.popleft()
            self._parked.setdefault(entry[2], deque()).append(entry)

    def earliest(self) -> float | None:
        self._park()
        times = [chunk.not_before for chunk in self._ready]
        return 0.0 if self._line else min(times, default=None)

    def restore(self, chunk: Chunk, *, behind_next: bool) -> None:
        if not behind_next:
            self._ready.appendleft(chunk)
        else:
            other = self.take(chunk.not_before)
            if other is not None:
                self._ready.appendleft(other)
            self._ready.insert(1, chunk)

    def free(self, chunk: Chunk) -> None:
        person = chunk.person
        assert person is not None
        parked = self._parked.get(person)
        if parked:
            self._ready.append(_chunk_of(parked.popleft()))
        else:
            self._parked.pop(person, None)
            self._busy.discard(person)

    def make_due(self) -> None:
        """Everything is, always."""

    def drop_oldest(self) -> tuple[bytes, int] | None:
        parked = min(
            self._parked.values(), key=lambda entries: entries[0][4] if entries else float("inf"), default=None
        )
        entry = parked.popleft() if parked else self._line.popleft() if self._line else None
        return None if entry is None else (entry[0], entry[3])

    def clear(self) -> list[Chunk]:
        entries = [entry for parked in self._parked.values() for entry in parked]
        chunks = [*self._ready, *map(_chunk_of, entries), *map(_chunk_of, self._line)]
        self._line.clear()
        self._ready.clear()
        self._parked.clear()
        return chunks


def _chunk_of(entry: _Entry) -> Chunk:
    event, envelope, person, epoch, came_at = entry
    chunk = Chunk(envelope, person, epoch, came_at, None)
    chunk.events.append(event)
    chunk.size = len(event) + envelope.tail_bytes + 1
    return chunk
