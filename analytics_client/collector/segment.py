"""How Segment answers on /v1/* (spec: segment-http-api.md and segment-http-tracking-api-openapi.yml).

This file owns Segment's decision, from what arrived to what is answered and kept. Pure; it must not know HTTP beyond
method, path and status.

The service takes nearly everything with 200; only a body that is too large or no JSON is a 400, and a missing or wrong
write key a 401. What is wrong inside an event shows as a violation and keeps nobody from keeping the event. A batch of
more than 2,500 events is the exception: 200, and none of it is kept.
"""

from dataclasses import dataclass, replace
from typing import Any

from analytics_client.collector.decode import dump
from analytics_client.collector.exchange import (
    BATCH_PATH,
    CALL_OF_PATH,
    CALLS,
    Answer,
    Arrival,
    Auth,
    Event,
    Flaw,
    NewId,
    NotJsonError,
    Violation,
    json_answer,
    keep,
    read_document,
    user_of,
)
from analytics_client.collector.rules import RuleBook

MAX_BATCH_BYTES = 500_000
"""500 KB in its small reading (spec: segment-http-api.md, Max Request Size)."""
MAX_EVENT_BYTES = 32_767
"""Less than 32 KB (spec: segment-http-tracking-api-openapi.yml, /batch), as Segment's own Python library reads it."""
MAX_EVENTS = 2_500
"""Spec: segment-http-tracking-api-openapi.yml, BatchCall."""


def decide(arrival: Arrival, book: RuleBook, new_id: NewId, *, service: str = "segment") -> Answer:
    """Decide what Segment answers and keeps. `service` names the rules to hold the events against."""
    call = CALL_OF_PATH.get(arrival.path)
    if call is None or (call == "merge" and service == "segment"):
        return _refuse(404, "There is no such path.", (book.violation("request.path"),))
    if arrival.method != "POST":
        answer = _refuse(405, "Send POST.", (book.violation("request.path"),))
        return replace(answer, headers=(("Allow", "POST"),))
    if arrival.auth is not Auth.RIGHT:
        return _refuse(401, "The write key is missing or wrong.")
    limit = MAX_BATCH_BYTES if arrival.path == BATCH_PATH else MAX_EVENT_BYTES
    if arrival.flaw is Flaw.TOO_LARGE or len(arrival.body) > limit:
        return _refuse(400, f"The body is larger than {limit} bytes.", (book.violation("request.size"),))
    if arrival.flaw is Flaw.BAD_GZIP:
        return _refuse(400, "The body is not gzip.", (book.violation("request.gzip"),))
    desk = _Desk(book, new_id, service)
    try:
        document, mended = read_document(arrival)
        notes = notes_on(arrival, book, mended)
        if not isinstance(document, dict):
            return _accept((*notes, book.violation("event.object")))
        if arrival.path == BATCH_PATH:
            return _batch(document, desk, notes)
        return _accept(notes, (desk.event(document, call, document, "$"),))
    except NotJsonError:
        return _refuse(400, "The body is not valid JSON.", (book.violation("request.json"),))


def notes_on(arrival: Arrival, book: RuleBook, mended: bool) -> tuple[Violation, ...]:
    """List what is wrong with a request beside its document."""
    notes = []
    if arrival.content_type.partition(";")[0].strip().lower() != "application/json":
        notes.append(book.violation("request.content-type"))
    if mended:
        notes.append(book.violation("request.surrogates"))
    return tuple(notes)


@dataclass(frozen=True, slots=True)
class _Desk:
    """What it takes to make an event of an item: the rules, new ids, and the service whose rules count."""

    book: RuleBook
    new_id: NewId
    service: str

    def event(self, item: dict[str, Any], call: str, merged: dict[str, Any], place: str) -> Event:
        """Make the event to keep. It is held against the rules as it came, and kept as it is after merging."""
        message_id = item.get("messageId")
        own_id = message_id if isinstance(message_id, str) and message_id else self.new_id()
        violations = self.book.check(self.service, "item" if call == "unknown" else call, item)
        return keep(
            merged,
            service=self.service,
            call=call,
            id=own_id,
            user=user_of(item),
            place=place,
            violations=violations,
        )


def _batch(document: dict[str, Any], desk: _Desk, notes: tuple[Violation, ...]) -> Answer:
    items = document.get("batch")
    notes += desk.book.check(desk.service, "batch", envelope(document))
    if not isinstance(items, list) or len(items) > MAX_EVENTS:
        return _accept(notes)
    shared = {name: document[name] for name in ("context", "integrations") if isinstance(document.get(name), dict)}
    events = []
    for index, item in enumerate(items):
        place = f"$.batch[{index}]"
        if not isinstance(item, dict):
            notes += (desk.book.violation("event.object", place),)
            continue
        if len(dump(item)) > MAX_EVENT_BYTES:
            return _refuse(400, "An event is larger than 32 KB.", (desk.book.violation("event.size", place),))
        call = item["type"] if item.get("type") in CALLS else "unknown"
        events.append(desk.event(item, call, merge(shared, item), place))
    return _accept(notes, tuple(events))


def envelope(document: dict[str, Any]) -> dict[str, Any]:
    """Give a batch's document without its events, so that checking it costs no second walk over them."""
    items = document.get("batch")
    return {**document, "batch": [0] * len(items)} if isinstance(items, list) else document


def merge(shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Lay an object over a shared one, deeply; the own value wins (spec: segment-http-api.md, Batch)."""
    if not shared:
        return own
    merged = {**shared, **own}
    for name in shared.keys() & own.keys():
        if isinstance(shared[name], dict) and isinstance(own[name], dict):
            merged[name] = merge(shared[name], own[name])
    return merged


def _accept(notes: tuple[Violation, ...], events: tuple[Event, ...] = ()) -> Answer:
    return replace(json_answer(200, {"success": True}, notes), events=events)


def _refuse(status: int, message: str, violations: tuple[Violation, ...] = ()) -> Answer:
    return json_answer(status, {"success": False, "message": message}, violations)
