"""How SegmentStream answers on /track (spec: segmentstream-http-api.md).

This file owns SegmentStream's decision. Pure; it must not know HTTP beyond method, path and status.

There is one path and one event per request. The document knows three answers: 204, 401 for a wrong API token, and 400
for a body that is too large or no JSON. What is wrong inside the event shows as a violation.
"""

from dataclasses import replace
from typing import Any

from analytics_client.collector.exchange import (
    STREAM_PATH,
    Answer,
    Arrival,
    Auth,
    Event,
    Flaw,
    NewId,
    NotJsonError,
    Violation,
    keep,
    read_document,
    text_answer,
    user_of,
)
from analytics_client.collector.rules import RuleBook
from analytics_client.collector.segment import notes_on

MAX_BODY_BYTES = 65_536
"""64 kB per call (spec: segmentstream-http-api.md, Max Request Size)."""


def decide(arrival: Arrival, book: RuleBook, new_id: NewId, *, service: str = "segmentstream") -> Answer:
    """Decide what SegmentStream answers and keeps. `service` names the rules to hold the event against."""
    if arrival.path != STREAM_PATH:
        return text_answer(404, "There is no such path.\n", (book.violation("request.path"),))
    if arrival.method != "POST":
        answer = text_answer(405, "Send POST.\n", (book.violation("request.path"),))
        return replace(answer, headers=(("Allow", "POST"),))
    if arrival.auth is not Auth.RIGHT:
        return text_answer(401, "The API token is missing or wrong.\n")
    if arrival.flaw is Flaw.TOO_LARGE or len(arrival.body) > MAX_BODY_BYTES:
        return text_answer(400, f"The body is larger than {MAX_BODY_BYTES} bytes.\n", (book.violation("request.size"),))
    try:
        document, mended = read_document(arrival)
        notes = notes_on(arrival, book, mended)
        if not isinstance(document, dict):
            return Answer(204, violations=(*notes, book.violation("event.object")))
        event = _event(document, new_id, book.check(service, "stream", document))
    except NotJsonError:
        return text_answer(400, "The body is not valid JSON.\n", (book.violation("request.json"),))
    return Answer(204, events=(event,), violations=notes)


def _event(document: dict[str, Any], new_id: NewId, violations: tuple[Violation, ...]) -> Event:
    hit_id = document.get("hitId")
    own_id = hit_id if isinstance(hit_id, str) and hit_id else new_id()
    event = document.get("event")
    user = event.get("user") if isinstance(event, dict) else None
    found_by = user_of(user) if isinstance(user, dict) else ""
    return keep(document, service="segmentstream", call="track", id=own_id, user=found_by, violations=violations)
