"""The words that the services, the rules and the store share: what arrives, what is answered, what is kept.

This file owns these values and the few steps that every service takes in the same way. Pure; it must not decide
anything that differs from service to service.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b
from typing import Any

import orjson

from analytics_client.collector.decode import MAX_BATCH_DEPTH, MAX_DEPTH, NotJsonError, dump, load

CALLS = ("identify", "track", "page", "screen", "group", "alias")
"""The calls of Segment's HTTP API (spec: segment-http-tracking-api-openapi.yml)."""

BATCH_PATH = "/v1/batch"
STREAM_PATH = "/track"
CALL_OF_PATH = {f"/v1/{call}": call for call in (*CALLS, "merge", "batch")}
"""RudderStack adds `merge` (spec: rudderstack-http-api.md)."""

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"

NewId = Callable[[], str]
"""Makes an id for an event that came without one; passed in, so that the services stay pure."""


class Auth(Enum):
    """What the Authorization header is worth."""

    MISSING = "missing"
    WRONG = "wrong"
    RIGHT = "right"


class Flaw(Enum):
    """Why a body could not be read at all."""

    TOO_LARGE = "too large"
    BAD_GZIP = "bad gzip"


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that the documents do not allow: the rule's id, the JSON path, and what to do about it."""

    rule: str
    path: str
    sentence: str

    def within(self, place: str) -> "Violation":
        """Give the same violation, its path seen from the request's document instead of the event."""
        return Violation(self.rule, place + self.path.removeprefix("$"), self.sentence)

    def as_dict(self) -> dict[str, str]:
        """Give the violation as JSON has it."""
        return {"rule": self.rule, "path": self.path, "sentence": self.sentence}


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request as a service sees it: the body is inflated, and empty when `flaw` says why it could not be read."""

    method: str
    path: str
    auth: Auth
    body: bytes = b""
    flaw: Flaw | None = None
    content_type: str = ""
    has_password: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """One event to keep. `body` is its JSON, `digest` tells copies apart, `place` is its JSON path in the request."""

    service: str
    id: str
    type: str
    user: str
    body: bytes
    digest: bytes
    place: str = "$"
    violations: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service answers, and what it keeps. `violations` are those of the request as a whole."""

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    events: tuple[Event, ...] = ()
    violations: tuple[Violation, ...] = field(default=())


def text_answer(status: int, text: str, violations: Sequence[Violation] = ()) -> Answer:
    """Answer with plain text."""
    return Answer(status, text.encode(), TEXT, violations=tuple(violations))


def json_answer(status: int, document: dict[str, Any], violations: Sequence[Violation] = ()) -> Answer:
    """Answer with JSON."""
    return Answer(status, orjson.dumps(document), JSON, violations=tuple(violations))


def read_document(arrival: Arrival) -> tuple[Any, bool]:
    """Read the body, as `decode.load` does, as deep as its path allows."""
    return load(arrival.body, MAX_BATCH_DEPTH if arrival.path == BATCH_PATH else MAX_DEPTH)


def keep(
    item: dict[str, Any],
    *,
    service: str,
    call: str,
    id: str,  # noqa: A002 - it is the event's id
    user: str,
    place: str = "$",
    violations: Sequence[Violation] = (),
) -> Event:
    """Make the event to keep from the item as the service took it.

    A `writeKey` that came along is left out: no key is ever stored. Copies of an event may differ in `sentAt`, which
    is stamped at each attempt; SegmentStream's `sentAt` is the time of the event itself and must not change.

    Raises:
        NotJsonError: The item is nested too deeply to be written.
    """
    shown = {name: value for name, value in item.items() if name != "writeKey"}
    body = dump(shown)
    compared = body
    if service != "segmentstream" and "sentAt" in shown:
        compared = dump({name: value for name, value in shown.items() if name != "sentAt"})
    digest = blake2b(compared, digest_size=16).digest()
    return Event(service, id, call, user, body, digest, place, tuple(violations))


def text_of(value: Any) -> str:
    """Give an id as text: text as it is, other JSON values as JSON, and null as nothing."""
    if value is None:
        return ""
    return value if isinstance(value, str) else dump(value).decode()


def user_of(person: dict[str, Any]) -> str:
    """Give the id that a person is found by: userId, else anonymousId, else nothing."""
    return text_of(person.get("userId")) or text_of(person.get("anonymousId"))


__all__ = [
    "BATCH_PATH",
    "CALLS",
    "CALL_OF_PATH",
    "JSON",
    "STREAM_PATH",
    "TEXT",
    "Answer",
    "Arrival",
    "Auth",
    "Event",
    "Flaw",
    "NewId",
    "NotJsonError",
    "Violation",
    "json_answer",
    "keep",
    "read_document",
    "text_answer",
    "text_of",
    "user_of",
]
