from typing import Any

import pytest

from analytics_client.dialects import DIALECTS, Dialect, Frame, Route, RudderStack, Segment, SegmentStream
from analytics_client.errors import InvalidMessage

SENT_AT = "2022-02-01T19:14:18.381Z"
BASE = {"messageId": "m", "timestamp": "t", "userId": "u", "anonymousId": "a", "context": {"library": {}}}


def quiet(path: str, problem: str) -> None:
    raise InvalidMessage(path, problem)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_frames_of_a_path_have_one_length(dialect: Dialect) -> None:
    for batch in (True, False):
        for kind in ("identify", "track", "page", "screen", "group", "alias", "merge"):
            route = dialect.route(kind, batch=batch)
            if route is not None:
                first = dialect.frame(route.path, SENT_AT)
                second = dialect.frame(route.path, "1999-12-31T23:59:59.999Z")
                assert [len(each) for each in first] == [len(each) for each in second]
                assert first.tail.endswith(b"}")


@pytest.mark.parametrize(
    ("dialect", "batch", "kind", "route"),
    [
        (Segment(), True, "track", Route("/v1/batch", 2_500)),
        (Segment(), False, "page", Route("/v1/page", 1)),
        (Segment(), True, "merge", None),
        (RudderStack(), True, "alias", Route("/v1/batch", 2_500)),
        (RudderStack(), True, "merge", Route("/v1/merge", 1)),
        (RudderStack(), False, "screen", Route("/v1/screen", 1)),
        (SegmentStream(), True, "track", Route("/track", 1)),
        (SegmentStream(), False, "identify", Route("/track", 1)),
        (SegmentStream(), True, "merge", None),
    ],
)
def test_where_events_go(dialect: Dialect, batch: bool, kind: str, route: Route | None) -> None:
    assert dialect.route(kind, batch=batch) == route


def test_sent_at_stands_where_each_api_reads_it() -> None:
    stamp = f',"sentAt":"{SENT_AT}"}}'.encode()
    assert Segment().frame("/v1/batch", SENT_AT) == Frame(b'{"batch":[', b"}", b"]" + stamp)
    assert Segment().frame("/v1/track", SENT_AT) == Frame(b"", stamp, b"")
    assert RudderStack().frame("/v1/batch", SENT_AT) == Frame(b'{"batch":[', stamp, b"]}")
    assert RudderStack().frame("/v1/merge", SENT_AT) == Frame(b"", stamp, b"")
    assert SegmentStream().frame("/track", SENT_AT) == Frame(b"", b"}", b"")


def test_rudderstacks_ordering_header_names_one_person_or_nobody() -> None:
    headers = RudderStack().headers
    assert headers(SENT_AT, "a-1") == {"sentAt": SENT_AT, "AnonymousId": "a-1"}
    for unfit in (None, "日本", "a\r\nX: y", " a", ""):
        assert "AnonymousId" not in headers(SENT_AT, unfit) or unfit == ""
    assert Segment().headers(SENT_AT, "a") == SegmentStream().headers(SENT_AT, "a") == {}


def test_rudderstack_gets_traits_in_both_places() -> None:
    message: dict[str, Any] = {
        **BASE,
        "type": "identify",
        "traits": {"email": "e", "plan": "p"},
        "context": {"traits": {"plan": "mine"}, "ip": "1.1.1.1"},
    }
    shaped = RudderStack().shape(message, quiet)
    assert shaped["traits"] == {"email": "e", "plan": "p"}
    assert shaped["context"] == {"traits": {"email": "e", "plan": "mine"}, "ip": "1.1.1.1"}
    assert message["context"] == {"traits": {"plan": "mine"}, "ip": "1.1.1.1"}
    message["context"] = {"traits": 5}
    with pytest.raises(InvalidMessage, match=r"context\.traits"):
        RudderStack().shape(message, quiet)


@pytest.mark.parametrize(("category", "name"), [(None, "page"), ("Docs", "Docs")])
def test_rudderstack_requires_a_page_name(category: str | None, name: str) -> None:
    message: dict[str, Any] = {**BASE, "type": "page"} | ({"category": category} if category else {})
    reports: list[tuple[str, str]] = []
    assert RudderStack().shape(message, lambda *each: reports.append(each))["name"] == name
    assert reports == [("name", "RudderStack requires a name for a page")]
    with pytest.raises(InvalidMessage, match="requires a name"):
        RudderStack().shape(message, quiet)
    assert "name" not in message


@pytest.mark.parametrize("dialect", [Segment(), SegmentStream()])
@pytest.mark.parametrize("kind", ["track", "alias"])
def test_traits_of_a_track_or_alias_are_rudderstacks_alone(dialect: Dialect, kind: str) -> None:
    message = {**BASE, "type": kind, "event": "E", "previousId": "p", "traits": {"a": 1}}
    reports: list[tuple[str, str]] = []
    shaped = dialect.shape(message, lambda *each: reports.append(each))
    assert [path for path, _ in reports] == ["traits"]
    assert "traits" not in shaped
    assert RudderStack().shape(message, quiet)["traits"] == {"a": 1}


IDS = {"userId": "u", "anonymousId": "a"}


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (
            {"type": "track", "event": "E", "properties": {"category": "Auth", "user": {"first": "J", "userId": "x"}}},
            {"category": "Auth", "user": {"first": "J", **IDS}, "name": "E"},
        ),
        ({"type": "track", "event": "E"}, {"name": "E", "user": IDS}),
        (
            {"type": "identify", "traits": {"email": "e"}},
            {"name": "Updated Profile Info", "user": {"email": "e", **IDS}},
        ),
        (
            {"type": "page", "name": "n", "category": "c", "properties": {"path": "/", "category": "c"}},
            {"name": "Viewed Page", "page": {"path": "/", "category": "c", "name": "n"}, "user": IDS},
        ),
        ({"type": "screen", "name": "n"}, {"name": "Viewed Screen", "screen": {"name": "n"}, "user": IDS}),
        (
            {"type": "group", "groupId": "g", "traits": {"plan": "p"}},
            {"name": "Group", "group": {"plan": "p", "groupId": "g"}, "user": IDS},
        ),
        (
            {"type": "alias", "previousId": "p"},
            {"name": "Alias", "alias": {"previousId": "p", "userId": "u"}, "user": IDS},
        ),
    ],
)
def test_segmentstream_has_one_call_for_all(message: dict[str, Any], event: dict[str, Any]) -> None:
    shaped = SegmentStream().shape({**BASE, **message, "integrations": {"All": False}}, quiet)
    assert shaped == {
        "hitId": "m",
        "sentAt": "t",
        "event": event,
        "context": {"library": {}},
        "integrations": {"All": False},
    }


def test_segmentstream_keeps_its_two_names_apart() -> None:
    message = {**BASE, "type": "track", "event": "E", "properties": {"name": "Shirt", "user": "text"}}
    reports: list[tuple[str, str]] = []
    shaped = SegmentStream().shape(message, lambda *each: reports.append(each))
    assert shaped["event"] == {"name": "E", "user": IDS}
    assert [path for path, _ in reports] == ["properties.name", "properties.user"]
