"""How every event ends, and the ledger that counts it.

A call either is refused (it returned None) or its event is accepted; an accepted event ends in exactly one `Outcome`:
delivered, or failed for one `Reason`. So, at every moment and for each process:

    calls == accepted + refused            accepted + recovered == delivered + failed + pending

Must not know queues, threads or the wire. `Ledger` is guarded by the lock of the delivery that owns it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple


class Reason(StrEnum):
    """Why a call was refused or how an accepted event ended. One word, the same in logs, stats and outcomes."""

    DELIVERED = "delivered"
    #: The call or a required field broke a rule; or the user's `before_send` raised.
    INVALID = "invalid"
    #: Larger than the API takes: refused at the call, or answered 413 when sent alone.
    TOO_LARGE = "too_large"
    #: `before_send` returned None.
    FILTERED = "filtered"
    #: The queue was full: refused (`drop_newest`), or failed to make room (`drop_oldest`).
    OVERFLOW = "overflow"
    #: The client was closed: refused, or still unsent when `close` ran out of time.
    CLOSED = "closed"
    #: The client was made with `enabled=False`.
    DISABLED = "disabled"
    #: The server refused the event itself, or still refused the endpoint's configuration at close.
    REJECTED = "rejected"
    #: `max_retries` or `max_retry_time` was used up.
    EXPIRED = "expired"


def _exact_int(digits: str) -> int:
    # Python reads no integer of more than 4,300 digits from text; an event may hold one.
    return int(digits) if len(digits) < 4_000 else int(Decimal(digits))


class Outcome(NamedTuple):
    """The end of one event, or the refusal of one call: what `on_delivered` and `on_failed` receive. Immutable.

    Attributes:
        reason: how it ended.
        status: the last HTTP status that said so, or None.
        attempts: requests that carried the event.
        cause: a short text: the server's message cut to 200 characters, or the error's sentence. It may quote what the
            server said of the event, so treat it like the event.
        body: the event's JSON as it was queued (without RudderStack's per-attempt `sentAt`); empty when the call was
            refused before there were bytes.
        id_key: the key of the event that holds its id.
    """

    # A tuple, not a frozen dataclass: one is made for every event that a callback is told of, in a third of the time.

    reason: Reason
    status: int | None = None
    attempts: int = 0
    cause: str = ""
    body: bytes = b""
    id_key: str = "messageId"

    def __repr__(self) -> str:
        # Neither the body nor the cause: they hold what the event holds, and this is what ends up in logs.
        return f"Outcome(reason={self.reason!r}, status={self.status!r}, attempts={self.attempts!r})"

    @property
    def event(self) -> dict[str, Any] | None:
        """The event as a dict, decoded at each access, fractions as exact `Decimal` values; None if it has no bytes."""
        if not self.body:
            return None
        decoded: dict[str, Any] = json.loads(self.body, parse_int=_exact_int, parse_float=Decimal)
        return decoded

    @property
    def message_id(self) -> str | None:
        """The event's `messageId` (`hitId` on SegmentStream), or None when it has no bytes."""
        event = self.event
        return None if event is None else event.get(self.id_key)


@dataclass(frozen=True, slots=True)
class Stats:
    """A frozen snapshot of the ledger of one client in this process. All figures count events, but `notices`.

    Attributes:
        calls: calls made, accepted or not.
        accepted: calls whose event was taken in (they returned a message id).
        refused: calls that returned None, by reason.
        recovered: events that came from a spool this process did not fill.
        delivered: events the server accepted.
        failed: accepted events that ended otherwise, by reason.
        pending: events queued or in flight now.
        notices: troubles that are no event's end, by name: how often each was met.
    """

    calls: int
    accepted: int
    refused: Mapping[Reason, int]
    recovered: int
    delivered: int
    failed: Mapping[Reason, int]
    pending: int
    notices: Mapping[str, int]

    def __repr__(self) -> str:
        shown = (
            f"{name}={value if isinstance(value, int) else {str(key): count for key, count in value.items()}}"
            for name in self.__slots__
            for value in (getattr(self, name),)
        )
        return f"Stats({', '.join(shown)})"


class Ledger:
    """The counts themselves. Mutable; the caller holds the delivery's lock. `pending` is the queue's to say."""

    __slots__ = ("accepted", "delivered", "failed", "recovered", "refused")

    def __init__(self) -> None:
        self.accepted = 0
        self.recovered = 0
        self.delivered = 0
        self.refused: dict[Reason, int] = {}
        self.failed: dict[Reason, int] = {}

    def refuse(self, reason: Reason) -> None:
        """Count one call that was not accepted."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def end(self, reason: Reason, events: int) -> None:
        """Count `events` accepted events that ended for `reason`."""
        if reason is Reason.DELIVERED:
            self.delivered += events
        else:
            self.failed[reason] = self.failed.get(reason, 0) + events

    def snapshot(self, pending: int, notices: Mapping[str, int]) -> Stats:
        """Freeze the counts; `pending` events are in the queue or in flight at this moment."""
        return Stats(
            calls=self.accepted + sum(self.refused.values()),
            accepted=self.accepted,
            refused=MappingProxyType(dict(self.refused)),
            recovered=self.recovered,
            delivered=self.delivered,
            failed=MappingProxyType(dict(self.failed)),
            pending=pending,
            notices=MappingProxyType(dict(notices)),
        )
