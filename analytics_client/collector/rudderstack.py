"""How RudderStack answers on /v1/* (spec: rudderstack-http-api.md, and the behaviour of RudderStack's gateway).

This file owns the gateway's decision: its checks in its order, and its texts. Pure; it must not know HTTP beyond
method, path and status.

One bad event refuses a whole batch. The gateway reads nothing of a batch but `batch`, takes a batch that is one object
as one event, counts numbers, booleans and objects as ids, and checks neither types nor the fields of a call: those show
as violations of the document only.
"""

import unicodedata
from dataclasses import replace
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
    keep,
    read_document,
    text_answer,
    text_of,
)
from analytics_client.collector.rules import RuleBook
from analytics_client.collector.segment import envelope

MAX_BODY_BYTES = 4_000 * 1_024
"""The gateway's limit; the document says 4 MB."""
MAX_EVENT_BYTES = 32_767
"""The document's 32 KB per call. The gateway does not look."""

# Printable by their category, and yet nothing to be seen: fillers, vowels of no sound, the blank Braille pattern.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_SEEN_CATEGORIES = frozenset("LMNPS")  # letters, marks, numbers, punctuation, symbols
_WITHOUT_IDS = frozenset({"extract", "record"})  # types that need no ids


def decide(arrival: Arrival, book: RuleBook, new_id: NewId) -> Answer:
    """Decide what RudderStack's gateway answers and keeps."""
    call = CALL_OF_PATH.get(arrival.path)
    if call is None:
        return _error(404, "404 page not found", book.violation("request.path"))
    if arrival.method != "POST":
        return Answer(405, headers=(("Allow", "POST"),), violations=(book.violation("request.path"),))
    if arrival.auth is Auth.MISSING:
        return _error(401, "failed to read writekey from header")
    if arrival.auth is Auth.WRONG:
        return _error(401, "invalid write key")
    if arrival.flaw is Flaw.BAD_GZIP:
        return _error(500, "failed to read body from request", book.violation("request.gzip"))
    if arrival.flaw is Flaw.TOO_LARGE:
        return _error(413, "request size exceeds max limit", book.violation("request.size"))
    try:
        document, mended = read_document(arrival)
        notes = (book.violation("request.surrogates"),) if mended else ()
        return _take(arrival, call, document, book=book, new_id=new_id, notes=notes)
    except NotJsonError:
        return _error(400, "invalid json", book.violation("request.json"))


def _take(
    arrival: Arrival, call: str, document: Any, *, book: RuleBook, new_id: NewId, notes: tuple[Violation, ...]
) -> Answer:
    in_batch = arrival.path == BATCH_PATH
    if in_batch:
        items, size = _items(document), len(arrival.body)
    elif isinstance(document, dict):
        items, size = [{**document, "type": call}], _wrapped_size(arrival.body, document, call)
    else:
        return _error(400, "event is not a valid rudder event", book.violation("event.object"))
    for index, item in enumerate(items):
        place = f"$.batch[{index}]" if in_batch else "$"
        if not isinstance(item, dict):
            return _error(400, "event is not a valid rudder event", book.violation("event.object", place))
        if not _has_ids(item):
            refused = book.violation("ids.required", place)
            return _error(400, "request neither has anonymousId nor userId", refused)
    if size > MAX_BODY_BYTES:
        return _error(413, "request size exceeds max limit", book.violation("request.size"))
    if not items:
        return _error(400, "empty batch payload", book.violation("batch.empty", "$.batch"))
    if in_batch:
        notes += book.check("rudderstack", "batch", envelope(document))
    events = tuple(
        _event(item, book, new_id, f"$.batch[{index}]" if in_batch else "$") for index, item in enumerate(items)
    )
    return replace(text_answer(200, "ok", notes), events=events)


def _items(document: Any) -> list[Any]:
    """Give the events of a batch: a list's items; any other value but null is one item."""
    batch = document.get("batch") if isinstance(document, dict) else None
    if isinstance(batch, list):
        return batch
    return [] if batch is None else [batch]


def _wrapped_size(body: bytes, document: dict[str, Any], call: str) -> int:
    """Give the size that a single call has after the gateway has set its type and put it into a batch."""
    own = f'"type":"{call}"'
    if "type" in document:
        added = len(own) - len(b'"type":' + dump(document["type"]))
    else:
        added = len(own) + (1 if document else 0)
    return len(body) + added + len('{"batch":[]}')


def _has_ids(item: dict[str, Any]) -> bool:
    kind = item.get("type")
    if isinstance(kind, str) and kind in _WITHOUT_IDS:
        return True
    return any(visible(text_of(item.get(name))) for name in ("anonymousId", "userId"))


def _event(item: dict[str, Any], book: RuleBook, new_id: NewId, place: str) -> Event:
    kind = item.get("type")
    call = kind if isinstance(kind, str) and kind in (*CALLS, "merge") else "unknown"
    known = call in CALLS or (call == "merge" and place == "$")
    violations = book.check("rudderstack", call if known else "item", item)
    if len(dump(item)) > MAX_EVENT_BYTES:
        violations += (book.violation("event.size"),)
    message_id = item.get("messageId")
    own_id = (visible(message_id) if isinstance(message_id, str) else "") or new_id()
    user = visible(text_of(item.get("userId"))) or visible(text_of(item.get("anonymousId")))
    taken = {**item, "messageId": own_id}
    return keep(taken, service="rudderstack", call=call, id=own_id, user=user, place=place, violations=violations)


def visible(text: str) -> str:
    """Take out the characters that nobody sees, and the spaces at both ends, as the gateway does with ids."""
    if text.isascii() and text.isprintable():
        return text.strip(" ")
    return "".join(character for character in text if _is_seen(character)).strip(" ")


def _is_seen(character: str) -> bool:
    if character == " ":
        return True
    return unicodedata.category(character)[0] in _SEEN_CATEGORIES and character not in _UNSEEN


def _error(status: int, text: str, *violations: Violation) -> Answer:
    return replace(text_answer(status, text + "\n", violations), headers=(("X-Content-Type-Options", "nosniff"),))
