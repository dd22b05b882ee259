"""What Segment, SegmentStream and the strict service answer and keep. RudderStack has its own file."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from analytics_client.collector.exchange import Answer, Arrival, Auth, Flaw
from analytics_client.collector.rules import RuleBook, rule_book
from analytics_client.collector.segment import merge
from analytics_client.collector.services import decide, reads_gzip

SAMPLES: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("vendor_samples.json").read_text("utf-8"))
TRACK = {"type": "track", "userId": "u", "event": "e", "messageId": "m"}


def _ask(
    service: str,
    path: str,
    document: Any = None,
    *,
    body: bytes | None = None,
    method: str = "POST",
    auth: Auth = Auth.RIGHT,
    flaw: Flaw | None = None,
    content_type: str = "application/json",
    has_password: bool = False,
) -> Answer:
    sent = orjson.dumps(document) if body is None else body
    arrival = Arrival(method, path, auth, sent, flaw, content_type, has_password)
    return decide(service, arrival, rule_book(), lambda: "new id")


def _bodies(answer: Answer) -> list[Any]:
    return [json.loads(event.body) for event in answer.events]


def _rules(answer: Answer) -> list[str]:
    return [violation.rule for event in answer.events for violation in event.violations] + [
        violation.rule for violation in answer.violations
    ]


def _padded(document: dict[str, Any], size: int) -> bytes:
    """The document as JSON of exactly so many bytes."""
    empty = orjson.dumps({**document, "properties": {"x": ""}})
    return orjson.dumps({**document, "properties": {"x": "x" * (size - len(empty))}})


# --- every service ---


@pytest.mark.parametrize(
    ("service", "name"), [(service, name) for service, samples in SAMPLES.items() for name in samples]
)
@pytest.mark.parametrize("strict", [False, True])
def test_every_valid_sample_is_taken_without_a_violation(service: str, name: str, strict: bool) -> None:
    sample = SAMPLES[service][name]
    path = "/track" if service == "segmentstream" else f"/v1/{name.partition(' ')[0]}"
    answer = _ask("strict" if strict else service, path, sample)
    assert answer.status == (204 if path == "/track" else 200)
    assert _rules(answer) == []
    assert len(answer.events) == (len(sample["batch"]) if name == "batch" else 1)


@pytest.mark.parametrize("service", ["segment", "rudderstack", "segmentstream", "strict"])
def test_track_without_v1_is_always_segmentstreams(service: str) -> None:
    answer = _ask(service, "/track", SAMPLES["segmentstream"]["track"])
    assert (answer.status, answer.body, answer.content_type) == (204, b"", "")
    assert [event.service for event in answer.events] == ["segmentstream"]


def test_only_v1_reads_gzip() -> None:
    assert reads_gzip("/v1/batch")
    assert not reads_gzip("/track")


def test_no_write_key_is_kept() -> None:
    answer = _ask("segment", "/v1/batch", {"batch": [{**TRACK, "writeKey": "SECRET"}], "writeKey": "SECRET"})
    assert answer.status == 200
    assert b"SECRET" not in b"".join(event.body for event in answer.events)


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
def test_an_event_as_deep_as_can_be_written_is_kept(path: str) -> None:
    for levels, status in ((252, 200), (253, 400)):
        deep: Any = 1
        for _ in range(levels):
            deep = [deep]
        event = {**TRACK, "properties": {"x": deep}}
        body = json.dumps({"batch": [event]} if path == "/v1/batch" else event).encode()
        for service in ("segment", "rudderstack", "strict"):
            answer = _ask(service, path, body=body)
            assert (answer.status, len(answer.events)) == (status, 1 if status == 200 else 0)


# --- Segment ---


@pytest.mark.parametrize("call", ["identify", "track", "page", "screen", "group", "alias", "batch"])
def test_segment_takes_its_paths(call: str) -> None:
    answer = _ask("segment", f"/v1/{call}", SAMPLES["segment"][call])
    assert (answer.status, answer.body, answer.content_type) == (200, b'{"success":true}', "application/json")
    assert call == "batch" or [event.type for event in answer.events] == [call]


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/v1/merge", "POST", 404), ("/v1/", "POST", 404), ("/", "GET", 404), ("/v1/track", "GET", 405)],
)
def test_segment_knows_no_other_path_or_method(path: str, method: str, status: int) -> None:
    answer = _ask("segment", path, {}, method=method)
    assert answer.status == status
    assert json.loads(answer.body)["success"] is False
    assert ("Allow", "POST") in answer.headers or status == 404


@pytest.mark.parametrize("auth", [Auth.MISSING, Auth.WRONG])
def test_segment_refuses_a_missing_or_wrong_key(auth: Auth) -> None:
    answer = _ask("segment", "/v1/track", body=b"no json", auth=auth)
    assert (answer.status, json.loads(answer.body)["success"], answer.events) == (401, False, ())
    assert answer.violations == ()


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":NaN}', b"[" * 100_000])
def test_segment_refuses_what_is_no_json(body: bytes) -> None:
    answer = _ask("segment", "/v1/track", body=body)
    assert (answer.status, _rules(answer)) == (400, ["request.json" if len(body) < 50_000 else "request.size"])


def test_segment_refuses_what_is_too_large_or_no_gzip() -> None:
    for flaw, rule in ((Flaw.TOO_LARGE, "request.size"), (Flaw.BAD_GZIP, "request.gzip")):
        answer = _ask("segment", "/v1/batch", body=b"", flaw=flaw)
        assert (answer.status, _rules(answer)) == (400, [rule])


def test_segments_limit_for_one_call_is_exact() -> None:
    assert _ask("segment", "/v1/track", body=_padded(TRACK, 32_767)).status == 200
    refused = _ask("segment", "/v1/track", body=_padded(TRACK, 32_768))
    assert (refused.status, _rules(refused), refused.events) == (400, ["request.size"], ())


def test_segments_limit_for_an_event_of_a_batch_is_exact() -> None:
    taken, refused = (
        _ask("segment", "/v1/batch", body=b'{"batch":[%s,%s]}' % (orjson.dumps(TRACK), _padded(TRACK, size)))
        for size in (32_767, 32_768)
    )
    assert (taken.status, len(taken.events)) == (200, 2)
    assert (refused.status, len(refused.events)) == (400, 0)
    assert refused.violations[0].path == "$.batch[1]"


def test_segments_limit_for_a_batch_is_exact() -> None:
    body = b'{"batch":[' + b",".join([_padded(TRACK, 30_000)] * 16) + b"]}"
    assert _ask("segment", "/v1/batch", body=body.ljust(500_000)).status == 200
    assert _ask("segment", "/v1/batch", body=body.ljust(500_001)).status == 400


def test_segment_answers_200_to_too_many_events_and_keeps_none() -> None:
    most = _ask("segment", "/v1/batch", {"batch": [TRACK] * 2_500})
    assert (most.status, len(most.events), _rules(most)) == (200, 2_500, [])
    more = _ask("segment", "/v1/batch", {"batch": [TRACK] * 2_501})
    assert (more.status, more.body, len(more.events)) == (200, b'{"success":true}', 0)
    assert _rules(more) == ["batch.count"]


@pytest.mark.parametrize(
    ("item", "rule"),
    [
        ({"type": "track", "event": "e"}, "ids.required"),
        ({"type": "nonsense", "userId": "u"}, "type.known"),
        ({"userId": "u"}, "type.required"),
        ({"type": {"a": 1}, "userId": "u"}, "type.known"),
    ],
)
def test_segment_keeps_a_bad_item_with_a_violation(item: dict[str, Any], rule: str) -> None:
    answer = _ask("segment", "/v1/batch", {"batch": [TRACK, item]})
    assert (answer.status, len(answer.events)) == (200, 2)
    assert rule in _rules(answer)
    assert answer.events[0].violations == ()


@pytest.mark.parametrize("document", [[], "text", 5, None, {}, {"batch": "b"}, {"batch": {}}, {"batch": None}])
def test_segment_answers_200_to_a_batch_that_is_none(document: Any) -> None:
    answer = _ask("segment", "/v1/batch", document)
    assert (answer.status, answer.events) == (200, ())
    assert len(answer.violations) == 1


def test_segment_skips_items_that_are_no_objects() -> None:
    answer = _ask("segment", "/v1/batch", {"batch": [5, TRACK, None]})
    assert [event.place for event in answer.events] == ["$.batch[1]"]
    assert [violation.path for violation in answer.violations] == ["$.batch[0]", "$.batch[2]"]


def test_segment_merges_context_and_integrations_into_the_items() -> None:
    item = {**TRACK, "context": {"ip": "own", "page": {"url": "own"}}, "integrations": {"A": {"x": 1}}}
    shared = {
        "context": {"ip": "shared", "page": {"url": "shared", "title": "shared"}, "locale": "de"},
        "integrations": {"A": {"y": 2}, "All": False},
    }
    answer = _ask("segment", "/v1/batch", {"batch": [item, TRACK], **shared, "sentAt": "ignored"})
    first, second = _bodies(answer)
    assert first["context"] == {"ip": "own", "page": {"url": "own", "title": "shared"}, "locale": "de"}
    assert first["integrations"] == {"A": {"x": 1, "y": 2}, "All": False}
    assert second == {**TRACK, **shared}


def test_merging_leaves_both_sides_alone() -> None:
    shared, own = {"a": {"b": 1}, "c": 1}, {"a": {"d": 2}, "c": {"e": 3}}
    assert merge(shared, own) == {"a": {"b": 1, "d": 2}, "c": {"e": 3}}
    assert (shared, own) == ({"a": {"b": 1}, "c": 1}, {"a": {"d": 2}, "c": {"e": 3}})


def test_segment_notes_a_missing_content_type() -> None:
    answer = _ask("segment", "/v1/track", TRACK, content_type="text/plain")
    assert (answer.status, len(answer.events), _rules(answer)) == (200, 1, ["request.content-type"])
    assert _rules(_ask("segment", "/v1/track", TRACK, content_type="Application/JSON; charset=utf-8")) == []


@pytest.mark.parametrize("message_id", [None, "", 5])
def test_an_event_without_an_id_gets_one(message_id: Any) -> None:
    [event] = _ask("segment", "/v1/track", {**TRACK, "messageId": message_id}).events
    assert event.id == "new id"


@pytest.mark.parametrize(
    ("person", "user"),
    [
        ({"userId": "u", "anonymousId": "a"}, "u"),
        ({"userId": None, "anonymousId": "a"}, "a"),
        ({"userId": 0}, "0"),
        ({}, ""),
    ],
)
def test_an_event_is_found_by_its_user(person: dict[str, Any], user: str) -> None:
    [event] = _ask("segment", "/v1/track", {"event": "e", **person}).events
    assert event.user == user


def test_digests_ignore_sent_at_and_nothing_else() -> None:
    def digest(**more: Any) -> bytes:
        return _ask("segment", "/v1/track", {**TRACK, **more}).events[0].digest

    assert digest(sentAt="2022-02-01T19:14:18.381Z") == digest(sentAt="2022-02-01T19:14:19.381Z") == digest()
    assert digest(timestamp="2022-02-01T19:14:18.381Z") != digest()


# --- SegmentStream ---

HIT = {"hitId": "h", "event": {"name": "e", "user": {"userId": "u"}}}


@pytest.mark.parametrize("auth", [Auth.MISSING, Auth.WRONG])
def test_segmentstream_refuses_a_missing_or_wrong_token(auth: Auth) -> None:
    assert _ask("segmentstream", "/track", HIT, auth=auth).status == 401


@pytest.mark.parametrize(("path", "method", "status"), [("/v1/track", "POST", 404), ("/track", "GET", 405)])
def test_segmentstream_knows_one_path(path: str, method: str, status: int) -> None:
    assert _ask("segmentstream", path, HIT, method=method).status == status


def test_segmentstreams_limit_is_exact() -> None:
    body = orjson.dumps(HIT)
    assert _ask("segmentstream", "/track", body=body.ljust(65_536)).status == 204
    refused = _ask("segmentstream", "/track", body=body.ljust(65_537))
    assert (refused.status, _rules(refused)) == (400, ["request.size"])


def test_segmentstream_refuses_what_is_no_json() -> None:
    assert _ask("segmentstream", "/track", body=b"{").status == 400


@pytest.mark.parametrize(
    ("document", "rules"),
    [
        ({}, ["stream.event"]),
        ({"event": {}}, ["stream.user"]),
        ({"event": {"user": {"userId": ""}}}, ["stream.user"]),
        ([], ["event.object"]),
    ],
)
def test_segmentstream_answers_204_to_what_misses_something(document: Any, rules: list[str]) -> None:
    answer = _ask("segmentstream", "/track", document)
    assert (answer.status, _rules(answer)) == (204, rules)


def test_segmentstreams_sent_at_is_part_of_the_event() -> None:
    first, second = (
        _ask("segmentstream", "/track", {**HIT, "sentAt": f"2019-02-21T10:56:1{second}.723Z"}).events[0]
        for second in (0, 1)
    )
    assert (first.id, first.user) == ("h", "u")
    assert first.digest != second.digest


# --- strict ---


@pytest.mark.parametrize(
    ("path", "document", "rule", "where"),
    [
        ("/v1/track", {"event": "e"}, "ids.required", "$"),
        ("/v1/batch", {"batch": [TRACK, {**TRACK, "userId": 5}]}, "ids.text", "$.batch[1].userId"),
        ("/v1/batch", {"batch": [TRACK, 5]}, "event.object", "$.batch[1]"),
        ("/v1/batch", {"batch": [TRACK] * 2_501}, "batch.count", "$.batch"),
        ("/v1/batch", {"batch": [TRACK], "context": {"ip": 5}}, "context.known", "$.context.ip"),
        ("/v1/merge", {"userId": "u"}, "merge.properties", "$"),
        ("/track", {"event": {"user": {}}}, "stream.user", "$.event.user"),
    ],
)
def test_strict_refuses_with_the_list(path: str, document: Any, rule: str, where: str) -> None:
    answer = _ask("strict", path, document)
    said = json.loads(answer.body)
    assert (answer.status, answer.events, said["success"]) == (400, (), False)
    assert [(found["rule"], found["path"]) for found in said["violations"]] == [(rule, where)]
    assert said["violations"][0]["sentence"] in said["message"]
    assert _rules(answer) == [rule]


def test_strict_asks_for_the_headers_of_the_documents() -> None:
    assert _rules(_ask("strict", "/v1/track", TRACK, content_type="")) == ["request.content-type"]
    assert _rules(_ask("strict", "/track", HIT, has_password=True)) == ["request.password"]


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/track", "/track"])
def test_strict_lists_what_cannot_be_read(path: str) -> None:
    for answer, rule in (
        (_ask("strict", path, body=b"{"), "request.json"),
        (_ask("strict", path, body=b"", flaw=Flaw.TOO_LARGE), "request.size"),
    ):
        assert (answer.status, _rules(answer)) == (400, [rule])
        assert json.loads(answer.body)["violations"][0]["rule"] == rule


def test_strict_knows_the_paths_of_all_three_and_no_other() -> None:
    assert _ask("strict", "/v1/merge", SAMPLES["rudderstack"]["merge"]).status == 200
    assert _ask("strict", "/v1/nothing", TRACK).status == 404
    assert _ask("strict", "/v1/track", TRACK, auth=Auth.MISSING).status == 401


def test_a_strict_answer_is_bounded() -> None:
    answer = _ask("strict", "/v1/batch", {"batch": [{"type": "track", "event": "e"}] * 2_000})
    assert len(json.loads(answer.body)["violations"]) == 100
    assert len(_rules(answer)) == 2_000


def test_half_a_surrogate_pair_is_a_violation(book: RuleBook) -> None:
    body = rb'{"userId":"u","event":"\ud800"}'
    assert _rules(_ask("segment", "/v1/track", body=body)) == ["request.surrogates"]
    assert _rules(_ask("rudderstack", "/v1/track", body=body)) == ["request.surrogates"]
    assert _ask("strict", "/v1/track", body=body).status == 400
