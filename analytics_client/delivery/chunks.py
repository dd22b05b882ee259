"""What the delivery moves: chunks of encoded events, and the envelope that says what fits into one.

Owns the arithmetic of limits (exact: sizes are known, never guessed) and what has to be remembered of a chunk between
attempts. Decides nothing. Sees bytes, never what is in them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from analytics_client.config import Config
from analytics_client.dialects import Dialect, Route

#: Bytes that Python needs beside an event's own: the bytes object's header and its place in a list.
EVENT_OVERHEAD = 48


@dataclass(frozen=True, slots=True, eq=False)
class Envelope:
    """How events of one path go into requests, and the room there is. One object per path: compared by identity.

    Attributes:
        path: below the host.
        max_events: events that one request may hold.
        event_limit: bytes of one event, its tail included.
        event_room: bytes of one event as it is queued, without the tail.
        tail_bytes: bytes of the tail that the frame adds to each event.
        body_room: bytes for the events of one request, each with its tail and one comma.
    """

    path: str
    max_events: int
    event_limit: int
    event_room: int
    tail_bytes: int
    body_room: int

    @classmethod
    def measure(cls, dialect: Dialect, route: Route, max_event_bytes: int, max_batch_bytes: int) -> "Envelope":
        """Measure the frame of `route`, whose lengths do not vary. Limits in bytes."""
        frame = dialect.frame(route.path, "2022-02-01T19:14:18.381Z")
        # One byte more than there is: the last event of a request has no comma.
        body_room = max_batch_bytes - len(frame.head) - len(frame.foot) + 1
        limit = min(max_event_bytes, body_room - 1)
        return cls(route.path, route.max_events, limit, limit - len(frame.tail), len(frame.tail), body_room)

    @classmethod
    def measure_all(cls, dialect: Dialect, kinds: Iterable[str], config: Config) -> dict[str, "Envelope"]:
        """Return the envelope of each kind of call that the dialect has."""
        routes = {kind: dialect.route(kind, batch=config.batch) for kind in kinds}
        envelopes = {
            route: cls.measure(dialect, route, config.max_event_bytes, config.max_batch_bytes)
            for route in set(routes.values())
            if route is not None
        }
        return {kind: envelopes[route] for kind, route in routes.items() if route is not None}


@dataclass(slots=True, eq=False)
class Part:
    """Events that go into one request together, and the attempts they have behind them."""

    events: list[bytes]
    attempts: int = 0
    #: Attempts that count against `max_retries`: those that no Retry-After excused.
    counted: int = 0


class Chunk:
    """Events for one request, in order. Once it is taken, its parts say how far taking it apart has come.

    Mutable, guarded by the hub's lock. A consumer that has taken it may read its parts without the lock; only the hub
    changes them.

    Attributes:
        events: the events while the chunk waits; once it was taken, see `parts`.
        total: how many events it held when it was first taken.
        person: the id of the one person all events are of; None once there are two.
        epoch: the time between two marks it was opened in.
        not_before: when it is due, on the monotonic clock like all times here.
        rounds: how often taking it apart had to be broken off.
        server_errors: 5xx answers it drew as a whole.
        accepted: whether any of its events was.
        poisoned: it draws 5xx answers while others do not: they are its own fault.
        drained: its events were settled by somebody else, at close.
    """

    __slots__ = (
        "accepted",
        "drained",
        "envelope",
        "epoch",
        "events",
        "first_attempt_at",
        "lane",
        "not_before",
        "opened_at",
        "parts",
        "person",
        "poisoned",
        "rounds",
        "server_errors",
        "size",
        "total",
    )

    def __init__(self, envelope: Envelope, person: str | None, epoch: int, opened_at: float, lane: object) -> None:
        self.envelope = envelope
        self.person = person
        self.epoch = epoch
        self.opened_at = opened_at
        self.lane = lane
        self.events: list[bytes] = []
        self.size = 0
        self.total = 0
        self.parts: list[Part] = []
        self.not_before = 0.0
        self.first_attempt_at: float | None = None
        self.rounds = 0
        self.server_errors = 0
        self.accepted = False
        self.poisoned = False
        self.drained = False


@dataclass(frozen=True, slots=True)
class Job:
    """A chunk to deliver.

    Attributes:
        chunk: taken from the queue.
        ticket: the gate's.
        more: whether another consumer would find work too.
    """

    chunk: Chunk
    ticket: int
    more: bool


class News(IntEnum):
    """What an append changed for the consumer. Ordered: from `FULL` on the event was not taken in."""

    NOTHING = 0
    #: A chunk was opened: somebody must come when its time is up.
    OPENED = 1
    #: A chunk is due now.
    DUE = 2
    #: The event was not taken: there is no room.
    FULL = 3
    #: The event was not taken: the client was closed.
    CLOSED = 4
