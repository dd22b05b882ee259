"""RudderStack's gateway, row by row: its checks, their order, its texts."""

import json
from typing import Any

import orjson
import pytest

from analytics_client.collector.exchange import Answer, Arrival, Auth, Flaw
from analytics_client.collector.rudderstack import visible
from analytics_client.collector.rules import rule_book
from analytics_client.collector.services import decide

EVENT = {"type": "track", "userId": "u", "event": "e", "messageId": "m"}
NO_IDS = {"type": "track", "event": "e"}
TEXT = "text/plain; charset=utf-8"
LIMIT = 4_096_000


def _ask(
    path: str,
    document: Any = None,
    *,
    body: bytes | None = None,
    method: str = "POST",
    auth: Auth = Auth.RIGHT,
    flaw: Flaw | None = None,
    content_type: str = "",
) -> Answer:
    sent = orjson.dumps(document) if body is None else body
    arrival = Arrival(method, path, auth, sent, flaw, content_type)
    return decide("rudderstack", arrival, rule_book(), lambda: "new id")


def _batch(*items: Any) -> Answer:
    return _ask("/v1/batch", {"batch": list(items)})


def _rules(answer: Answer) -> list[str]:
    return [violation.rule for event in answer.events for violation in event.violations] + [
        violation.rule for violation in answer.violations
    ]


def test_success_is_two_letters_of_text() -> None:
    answer = _batch(EVENT)
    assert (answer.status, answer.body, answer.content_type) == (200, b"ok", TEXT)
    assert len(answer.events) == 1


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        (_ask("/v1/nothing", EVENT), 404, "404 page not found"),
        (_ask("/v1/batch", EVENT, auth=Auth.MISSING), 401, "failed to read writekey from header"),
        (_ask("/v1/batch", EVENT, auth=Auth.WRONG), 401, "invalid write key"),
        (_ask("/v1/batch", body=b"", flaw=Flaw.BAD_GZIP), 500, "failed to read body from request"),
        (_ask("/v1/batch", body=b""), 400, "invalid json"),
        (_ask("/v1/batch", body=b"{"), 400, "invalid json"),
        (_ask("/v1/batch", body=b'{"batch":[NaN]}'), 400, "invalid json"),
        (_ask("/v1/batch", body=b"\xff\xfe"), 400, "invalid json"),
        (_batch(EVENT, 5), 400, "event is not a valid rudder event"),
        (_ask("/v1/batch", {"batch": "text"}), 400, "event is not a valid rudder event"),
        (_ask("/v1/track", [EVENT]), 400, "event is not a valid rudder event"),
        (_ask("/v1/track", 5), 400, "event is not a valid rudder event"),
        (_batch(EVENT, NO_IDS), 400, "request neither has anonymousId nor userId"),
        (_ask("/v1/track", {}), 400, "request neither has anonymousId nor userId"),
        (_ask("/v1/alias", {"previousId": "p"}), 400, "request neither has anonymousId nor userId"),
        (_ask("/v1/group", {"groupId": "g"}), 400, "request neither has anonymousId nor userId"),
        (_ask("/v1/batch", body=b"", flaw=Flaw.TOO_LARGE), 413, "request size exceeds max limit"),
        (_batch(), 400, "empty batch payload"),
        (_ask("/v1/batch", {}), 400, "empty batch payload"),
        (_ask("/v1/batch", {"batch": None}), 400, "empty batch payload"),
        (_ask("/v1/batch", []), 400, "empty batch payload"),
        (_ask("/v1/batch", 5), 400, "empty batch payload"),
    ],
)
def test_an_error_is_a_line_of_text_and_keeps_nothing(answer: Answer, status: int, text: str) -> None:
    assert (answer.status, answer.body, answer.content_type) == (status, text.encode() + b"\n", TEXT)
    assert answer.events == ()


def test_a_wrong_method_has_no_text() -> None:
    answer = _ask("/v1/batch", EVENT, method="GET")
    assert (answer.status, answer.body, answer.headers) == (405, b"", (("Allow", "POST"),))


def test_the_key_is_checked_before_the_body() -> None:
    for flaw in (Flaw.BAD_GZIP, Flaw.TOO_LARGE, None):
        assert _ask("/v1/batch", body=b"{", flaw=flaw, auth=Auth.WRONG).status == 401


def test_events_are_checked_before_the_size_and_the_size_before_emptiness() -> None:
    large = b" " * LIMIT
    assert _ask("/v1/batch", body=b'{"batch":[5]}' + large).body.startswith(b"event is not")
    assert _ask("/v1/batch", body=b'{"batch":[{}]}' + large).body.startswith(b"request neither")
    assert _ask("/v1/batch", body=b'{"batch":[]}' + large).status == 413


def test_the_first_bad_event_decides() -> None:
    assert _batch(NO_IDS, 5).body.startswith(b"request neither")
    assert _batch(5, NO_IDS).body.startswith(b"event is not")


def test_the_limit_is_exact() -> None:
    body = orjson.dumps({"batch": [EVENT]})
    assert _ask("/v1/batch", body=body.ljust(LIMIT)).status == 200
    assert _ask("/v1/batch", body=body.ljust(LIMIT + 1)).status == 413


@pytest.mark.parametrize(
    ("document", "added"),
    [
        ({"userId": "u"}, len('{"batch":[]},"type":"page"')),
        ({"userId": "u", "type": "page"}, len('{"batch":[]}')),
        ({"userId": "u", "type": "screen"}, len('{"batch":[]}') - 2),
    ],
)
def test_a_single_call_is_measured_in_its_wrapping(document: dict[str, str], added: int) -> None:
    body = orjson.dumps(document)
    assert _ask("/v1/page", body=body.ljust(LIMIT - added)).status == 200
    assert _ask("/v1/page", body=body.ljust(LIMIT - added + 1)).status == 413


@pytest.mark.parametrize("value", ["u", 0, 1.5, False, True, {}, {"a": 1}, [], [1]])
@pytest.mark.parametrize("name", ["userId", "anonymousId"])
def test_any_json_value_counts_as_an_id_and_is_kept_as_sent(name: str, value: Any) -> None:
    answer = _batch({"type": "track", "event": "e", name: value})
    assert answer.status == 200
    assert json.loads(answer.events[0].body)[name] == value
    assert _rules(answer) == ([] if isinstance(value, str) else ["ids.text"])


@pytest.mark.parametrize(
    "value", ["", "  ", None, "\u200b", "\u00a0\t\n", "\ufeff \u3164", "\u2800", "\u034f\u115f\u1160"]
)
def test_what_nobody_sees_is_no_id(value: Any) -> None:
    assert _batch({**NO_IDS, "userId": value, "anonymousId": value}).status == 400


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain", "plain"),
        (" a b ", "a b"),
        ("a\u200bb\u00adc", "abc"),
        ("é😀ß", "é😀ß"),
        ("\u202ea\u2066", "a"),
        ("a\x00", "a"),
    ],
)
def test_visible_characters_are_kept(text: str, seen: str) -> None:
    assert visible(text) == seen


@pytest.mark.parametrize("kind", ["extract", "record"])
def test_two_types_need_no_ids(kind: str) -> None:
    assert _batch({"type": kind}).status == 200
    assert _ask("/v1/track", {"type": kind}).status == 400  # the path overwrites the type first


def test_a_batch_that_is_one_object_is_one_event() -> None:
    answer = _ask("/v1/batch", {"batch": EVENT})
    assert (answer.status, len(answer.events), _rules(answer)) == (200, 1, ["batch.list"])


@pytest.mark.parametrize("call", ["identify", "track", "page", "screen", "group", "alias", "merge"])
def test_a_single_call_overwrites_the_type(call: str) -> None:
    [event] = _ask(f"/v1/{call}", {**EVENT, "type": "other"}).events
    assert (event.type, json.loads(event.body)["type"]) == (call, call)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("m-1", "m-1"), (" m\u200b-1 ", "m-1"), ("", "new id"), ("\u200b", "new id"), (5, "new id"), (None, "new id")],
)
def test_message_ids_are_cleaned_or_replaced(sent: Any, kept: str) -> None:
    [event] = _batch({**EVENT, "messageId": sent}).events
    assert (event.id, json.loads(event.body)["messageId"]) == (kept, kept)


def test_a_missing_message_id_is_made() -> None:
    [event] = _batch({"userId": "u", "type": "identify"}).events
    assert json.loads(event.body)["messageId"] == "new id"


def test_nothing_but_the_batch_is_read() -> None:
    shared = {"sentAt": "x", "context": {"a": 1}, "integrations": {"All": False}, "writeKey": "k"}
    answer = _ask("/v1/batch", {"batch": [EVENT], **shared})
    assert (answer.status, json.loads(answer.events[0].body)) == (200, EVENT)
    assert set(_rules(answer)) == {"batch.unread"}


def test_types_and_fields_are_not_checked_but_noted() -> None:
    answer = _batch({"userId": "u"}, {"userId": "u", "type": "nonsense"}, {"userId": "u", "type": "page"})
    assert answer.status == 200
    assert [event.type for event in answer.events] == ["unknown", "unknown", "page"]
    assert _rules(answer) == ["type.required", "type.known", "page.name"]


def test_merge_belongs_to_its_own_path() -> None:
    assert "type.known" in _rules(_batch({"userId": "u", "type": "merge", "mergeProperties": []}))


def test_a_large_event_is_taken_and_noted() -> None:
    answer = _batch({**EVENT, "properties": {"x": "x" * 40_000}})
    assert (answer.status, _rules(answer)) == (200, ["event.size"])


def test_the_content_type_is_never_looked_at() -> None:
    assert _rules(_ask("/v1/track", EVENT, content_type="application/x-www-form-urlencoded")) == []
