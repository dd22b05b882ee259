"""The rules: every valid sample of the vendors passes, every rule fires, and Segment's OpenAPI document agrees."""

import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from analytics_client.collector.exchange import CALLS
from analytics_client.collector.rules import MAX_PATHS, RuleBook, rule_book

SAMPLES: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("vendor_samples.json").read_text("utf-8"))
ROOT = Path(__file__).resolve().parents[2]
SPEC = Path(os.environ.get("ANALYTICS_SPEC") or ROOT / "../shared/spec/segment-http-tracking-api-openapi.yml")

VALID: dict[str, dict[str, Any]] = {
    "identify": {"userId": "u"},
    "track": {"userId": "u", "event": "e"},
    "page": {"userId": "u", "name": "n"},
    "screen": {"userId": "u", "name": "n"},
    "group": {"userId": "u", "groupId": "g"},
    "alias": {"userId": "u", "previousId": "p"},
    "merge": {"userId": "u", "mergeProperties": [{"type": "email", "value": "a@example.com"}]},
    "item": {"type": "track", "userId": "u"},
    "batch": {"batch": []},
    "stream": {"event": {"user": {"userId": "u"}}},
}


def _found(book: RuleBook, service: str, call: str, document: Any) -> list[tuple[str, str]]:
    return [(violation.rule, violation.path) for violation in book.check(service, call, document)]


def _parts() -> Iterator[tuple[str, str, Any]]:
    """Every sample as (service, call, document); a batch as its envelope and its items."""
    for service, samples in SAMPLES.items():
        for name, sample in samples.items():
            if name == "batch":
                yield service, "batch", sample
                yield from ((service, item["type"], item) for item in sample["batch"])
            else:
                yield service, "stream" if service == "segmentstream" else name.partition(" ")[0], sample


@pytest.mark.parametrize(("service", "call", "document"), list(_parts()))
def test_every_valid_sample_of_the_vendors_passes(book: RuleBook, service: str, call: str, document: Any) -> None:
    assert _found(book, service, call, document) == []
    assert _found(book, "strict", call, document) == []


@pytest.mark.parametrize("service", ["segment", "rudderstack", "strict"])
@pytest.mark.parametrize("call", VALID)
def test_the_smallest_valid_documents_pass(book: RuleBook, service: str, call: str) -> None:
    if call in ("merge", "stream") and service != "strict":
        service = {"merge": "rudderstack", "stream": "segmentstream"}[call]
    assert _found(book, service, call, VALID[call]) == []


@pytest.mark.parametrize(
    ("service", "call", "change", "rule", "path"),
    [
        ("segment", "track", {"userId": None, "anonymousId": None}, "ids.required", "$"),
        ("segment", "track", {"userId": " "}, "ids.required", "$"),
        ("segment", "track", {"userId": 42}, "ids.text", "$.userId"),
        ("segment", "alias", {"previousId": 42}, "ids.text", "$.previousId"),
        ("segment", "track", {"messageId": 42}, "message-id.text", "$.messageId"),
        ("segment", "track", {"messageId": "x" * 100}, "message-id.length", "$.messageId"),
        ("segment", "track", {"event": ["e"]}, "field.text", "$.event"),
        ("segment", "track", {"properties": "p"}, "field.object", "$.properties"),
        ("rudderstack", "identify", {"traits": []}, "field.object", "$.traits"),
        ("segment", "track", {"properties": None}, "field.null", "$.properties"),
        ("segment", "page", {"name": None}, "field.null", "$.name"),
        ("segment", "track", {"timestamp": "yesterday"}, "time.form", "$.timestamp"),
        ("segment", "track", {"timestamp": 1_700_000_000}, "time.form", "$.timestamp"),
        ("rudderstack", "track", {"sentAt": "2022-02-01"}, "time.form", "$.sentAt"),
        ("segment", "track", {"integrations": {"All": "yes"}}, "integrations.value", "$.integrations.All"),
        (
            "segment",
            "track",
            {"integrations": {"Google Analytics": 1}},
            "integrations.value",
            '$.integrations["Google Analytics"]',
        ),
        ("segment", "track", {"context": {"ip": 1}}, "context.known", "$.context.ip"),
        ("segment", "track", {"context": {"page": {"title": 1}}}, "context.known", "$.context.page.title"),
        ("segment", "track", {"context": {"page": {"url": "/x"}}}, "context.page.address", "$.context.page.url"),
        ("rudderstack", "track", {"context": {"traits": []}}, "context.traits", "$.context.traits"),
        ("segment", "page", {"properties": {"title": 1}}, "page.known", "$.properties.title"),
        ("segment", "page", {"properties": {"referrer": "x"}}, "page.address", "$.properties.referrer"),
        ("rudderstack", "merge", {"mergeProperties": {}}, "merge.form", "$.mergeProperties"),
        ("rudderstack", "merge", {"mergeProperties": [{"type": "email"}]}, "merge.form", "$.mergeProperties[0]"),
        ("segment", "item", {"type": "merge"}, "type.known", "$.type"),
        ("segment", "alias", {"userId": ""}, "alias.user-id", "$.userId"),
        ("segment", "batch", {"batch": {}}, "batch.list", "$.batch"),
        ("segment", "batch", {"batch": [0] * 2501}, "batch.count", "$.batch"),
        ("segment", "batch", {"context": []}, "batch.object", "$.context"),
        ("segment", "batch", {"context": {"ip": 1}}, "context.known", "$.context.ip"),
        ("rudderstack", "batch", {"context": {}}, "batch.unread", "$.context"),
        ("segmentstream", "stream", {"event": "e"}, "stream.event", "$.event"),
        ("segmentstream", "stream", {"event": None}, "stream.null", "$.event"),
        ("segmentstream", "stream", {"event": {}}, "stream.user", "$.event"),
        ("segmentstream", "stream", {"event": {"user": {}}}, "stream.user", "$.event.user"),
        ("segmentstream", "stream", {"event": {"user": {"userId": 1}}}, "stream.ids.text", "$.event.user.userId"),
        ("segmentstream", "stream", {"hitId": 1}, "stream.hit-id", "$.hitId"),
        ("segmentstream", "stream", {"sentAt": "now"}, "stream.time", "$.sentAt"),
        ("segmentstream", "stream", {"context": "c"}, "stream.object", "$.context"),
    ],
)
def test_a_rule_fires_where_it_should(
    book: RuleBook, service: str, call: str, change: dict[str, Any], rule: str, path: str
) -> None:
    assert (rule, path) in _found(book, service, call, {**VALID[call], **change})


@pytest.mark.parametrize(
    ("service", "call", "missing", "rule"),
    [
        ("segment", "track", "event", "track.event"),
        ("segment", "group", "groupId", "group.group-id"),
        ("segment", "alias", "previousId", "alias.previous-id"),
        ("rudderstack", "alias", "userId", "alias.user-id"),
        ("rudderstack", "page", "name", "page.name"),
        ("rudderstack", "screen", "name", "page.name"),
        ("rudderstack", "merge", "mergeProperties", "merge.properties"),
        ("segment", "item", "type", "type.required"),
        ("segment", "identify", "userId", "ids.required"),
        ("segment", "batch", "batch", "batch.required"),
        ("segmentstream", "stream", "event", "stream.event"),
    ],
)
def test_a_missing_field_is_one_violation(book: RuleBook, service: str, call: str, missing: str, rule: str) -> None:
    document = {name: value for name, value in VALID[call].items() if name != missing}
    assert _found(book, service, call, document) == [(rule, "$")]


@pytest.mark.parametrize("call", ["page", "screen"])
@pytest.mark.parametrize("service", ["segment", "strict"])
def test_only_rudderstack_asks_for_a_name(book: RuleBook, service: str, call: str) -> None:
    assert _found(book, service, call, {"anonymousId": "a"}) == []


@pytest.mark.parametrize(
    "moment",
    [
        "2022-02-01T19:14:18.381Z",
        "2015-2-02T00:30:08.276Z",
        "2022-02-01T19:14:18Z",
        "2022-02-01T19:14:18.123456+00:00",
        "2022-02-01t19:14:18.381z",
        "2022-12-31T23:59:60Z",
        "2022-02-01T19:14:18.381-05:30",
    ],
)
def test_a_moment_may_look_like_this(book: RuleBook, moment: str) -> None:
    assert _found(book, "segment", "identify", {"userId": "u", "timestamp": moment, "sentAt": moment}) == []


@pytest.mark.parametrize(
    "moment",
    ["", "2022-02-01", "2022-02-01 19:14:18Z", "2022-02-01T19:14:18", "2022-13-01T19:14:18Z", "2022-02-32T19:14:18Z",
     "2022-02-01T24:14:18Z", "x2022-02-01T19:14:18Z", "2022-02-01T19:14:18Zx", "2022-02-01T19:14:18Z\n"],
)  # fmt: skip
def test_and_not_like_that(book: RuleBook, moment: str) -> None:
    assert _found(book, "segment", "identify", {"userId": "u", "timestamp": moment}) == [("time.form", "$.timestamp")]


def test_one_rule_names_few_places(book: RuleBook) -> None:
    document = {"userId": "u", "integrations": {f"d{number}": 1 for number in range(1000)}}
    assert len(_found(book, "segment", "identify", document)) == MAX_PATHS


@pytest.mark.parametrize("number", [Decimal("1" * 10_000), Decimal("1e400"), Decimal("0.10000000000000000001")])
def test_long_numbers_are_no_rules_business(book: RuleBook, number: Decimal) -> None:
    properties = {"a": [{"b": number}]}
    assert _found(book, "segment", "track", {"userId": "u", "event": "e", "properties": properties}) == []
    assert _found(book, "segment", "track", {"userId": "u", "properties": properties}) == [("track.event", "$")]
    assert _found(book, "segment", "track", {"userId": number, "event": "e"}) == [("ids.text", "$.userId")]


def test_a_path_is_cut(book: RuleBook) -> None:
    [violation] = book.check("segment", "identify", {"userId": "u", "integrations": {"x" * 10_000: 1}})
    assert len(violation.path) < 250


def test_sentences_say_what_to_do_and_quote_nothing(book: RuleBook) -> None:
    for rule in rule_book()._rules:
        assert rule["says"].count(".") >= 1, rule["id"]
        assert len(rule["says"]) < 200, rule["id"]
    [violation] = book.check("segment", "identify", {"userId": 987_654_321})
    assert "987654321" not in violation.sentence


# Segment's OpenAPI document, where it is at hand: what it says and what the rules do must be the same.

_RIGHT = {"string": "text", "object": {}, "boolean": True, "array": []}
_WRONG = {"string": [1], "object": "text", "boolean": "text", "array": "text"}


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    if not SPEC.is_file():
        pytest.skip("Segment's OpenAPI document is not at hand")
    document = yaml.safe_load(SPEC.read_text("utf-8"))
    found: dict[str, Any] = document["components"]["schemas"]
    return found


def _resolved(schemas: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    resolved: dict[str, Any] = schemas[reference.rpartition("/")[2]] if reference else schema
    return resolved


def _leaves(schemas: dict[str, Any], schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[Any, Any]]:
    """Every declared field below a schema, as (path, schema)."""
    for name, field in _resolved(schemas, schema).get("properties", {}).items():
        resolved = _resolved(schemas, field)
        yield (*path, name), resolved
        yield from _leaves(schemas, resolved, (*path, name))


def _with(document: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    name, *rest = path
    inner = _with(document.get(name, {}), tuple(rest), value) if rest else value
    return {**document, name: inner}


def _right(schema: dict[str, Any]) -> Any:
    if schema.get("format") == "date-time":
        return "2022-02-01T19:14:18.381Z"
    return "https://example.com/" if schema.get("format") == "uri" else _RIGHT[schema["type"]]


def _schema_of(schemas: dict[str, Any], call: str) -> dict[str, Any]:
    if call == "item":
        items: dict[str, Any] = schemas["BatchCall"]["properties"]["batch"]["items"]
        return items
    found: dict[str, Any] = schemas[f"{call.capitalize()}Call"]
    return found


@pytest.mark.parametrize("call", [*CALLS, "item"])
def test_openapi_types(book: RuleBook, schemas: dict[str, Any], call: str) -> None:
    for path, field in _leaves(schemas, _schema_of(schemas, call)):
        if path == ("type",):
            continue  # an enum, below
        where = "$." + ".".join(path)
        right = _found(book, "segment", call, _with(VALID[call], path, _right(field)))
        assert right == [], where
        for bad in (_WRONG[field["type"]], None):
            wrong = _found(book, "segment", call, _with(VALID[call], path, bad))
            assert where in [found for _, found in wrong], (where, bad)


@pytest.mark.parametrize("call", [*CALLS, "item"])
def test_openapi_required(book: RuleBook, schemas: dict[str, Any], call: str) -> None:
    required = set(_schema_of(schemas, call).get("required", []))
    for name in VALID[call]:
        document = {key: value for key, value in VALID[call].items() if key != name}
        document.setdefault("anonymousId", "a")  # the prose asks for one of the two ids, the schema for none
        violations = _found(book, "segment", call, document)
        assert bool(violations) is (name in required), (name, violations)


def test_openapi_types_of_call(book: RuleBook, schemas: dict[str, Any]) -> None:
    declared = _schema_of(schemas, "item")["properties"]["type"]["enum"]
    assert tuple(declared) == CALLS
    for name in declared:
        assert _found(book, "segment", "item", {"type": name, "userId": "u"}) == []
    assert _found(book, "segment", "item", {"type": "Track", "userId": "u"}) == [("type.known", "$.type")]


def test_openapi_batch(book: RuleBook, schemas: dict[str, Any]) -> None:
    batch = schemas["BatchCall"]
    most = batch["properties"]["batch"]["maxItems"]
    assert batch["required"] == ["batch"]
    assert _found(book, "segment", "batch", {"batch": [0] * most}) == []
    assert _found(book, "segment", "batch", {"batch": [0] * (most + 1)}) == [("batch.count", "$.batch")]
    for path, field in _leaves(schemas, batch):
        where = "$." + ".".join(path)
        wrong = _found(book, "segment", "batch", _with({"batch": []}, path, _WRONG[field["type"]]))
        assert where in [found for _, found in wrong], where


def test_openapi_integrations(book: RuleBook, schemas: dict[str, Any]) -> None:
    allowed = {choice["type"] for choice in schemas["Integrations"]["additionalProperties"]["oneOf"]}
    for kind, value in {"boolean": True, "object": {}, "string": "x", "number": 1, "null": None, "array": []}.items():
        violations = _found(book, "segment", "identify", {"userId": "u", "integrations": {"A": value}})
        assert bool(violations) is (kind not in allowed), kind
