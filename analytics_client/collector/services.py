"""Which service answers a request, and the strict one that refuses whatever the documents do not allow.

This file owns the choice by path and mode, and strictness. Pure; what each real service answers is in segment.py,
rudderstack.py and segmentstream.py.

Strict mode takes every path of the three documents, RudderStack's merge included. Where the vendors differ it is
Segment's document that counts: the smaller limits, and no name needed on a page.
"""

from analytics_client.collector import rudderstack, segment, segmentstream
from analytics_client.collector.exchange import STREAM_PATH, Answer, Arrival, Auth, NewId, Violation, json_answer
from analytics_client.collector.rules import RuleBook

MAX_LISTED = 100
"""Violations listed in a strict answer."""


def decide(service: str, arrival: Arrival, book: RuleBook, new_id: NewId) -> Answer:
    """Decide what is answered and kept.

    Args:
        service: The mode of the collector: "segment", "rudderstack", "segmentstream" or "strict".
        arrival: The request.
        book: The rules.
        new_id: Makes an id for an event that has none.
    """
    if service == "strict":
        return _strictly(arrival, book, new_id)
    if arrival.path == STREAM_PATH or service == "segmentstream":
        return segmentstream.decide(arrival, book, new_id)
    if service == "rudderstack":
        return rudderstack.decide(arrival, book, new_id)
    return segment.decide(arrival, book, new_id)


def reads_gzip(path: str) -> bool:
    """Say whether gzip is unpacked at this path: Segment and RudderStack do it, of SegmentStream nobody says so."""
    return path != STREAM_PATH


def _strictly(arrival: Arrival, book: RuleBook, new_id: NewId) -> Answer:
    if arrival.path == STREAM_PATH:
        answer = segmentstream.decide(arrival, book, new_id, service="strict")
    else:
        answer = segment.decide(arrival, book, new_id, service="strict")
    if answer.status in (401, 404, 405):
        return answer
    violations = [*answer.violations]
    if arrival.auth is Auth.RIGHT and arrival.has_password:
        violations.append(book.violation("request.password"))
    violations += [found.within(event.place) for event in answer.events for found in event.violations]
    return _refusal(violations) if violations else answer


def _refusal(violations: list[Violation]) -> Answer:
    document = {
        "success": False,
        "message": f"The documents do not allow this request: {violations[0].path}: {violations[0].sentence}",
        "violations": [violation.as_dict() for violation in violations[:MAX_LISTED]],
    }
    return json_answer(400, document, violations)
