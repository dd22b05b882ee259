import copy
import inspect
import json
import logging
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_client import (
    Client,
    InvalidMessage,
    MessageTooLarge,
    Outcome,
    QueueFull,
    Reason,
    TransportError,
    scope,
)
from analytics_client.config import OPTION_NAMES
from tests.support.capture import Capture, captured
from tests.support.server import Server, answer, serving


def lenient(**options: Any) -> tuple[Client, Capture, list[Outcome]]:
    """Return a client as in production, what it sends to, and what its callbacks were told."""
    outcomes: list[Outcome] = []
    client, capture = captured(strict=False, on_delivered=outcomes.append, on_failed=outcomes.append, **options)
    return client, capture, outcomes


# -- the face --------------------------------------------------------------------------------------------------------


def test_signatures_are_those_of_the_field() -> None:
    common = ["context", "timestamp", "anonymous_id", "integrations", "message_id"]
    expected = {
        "identify": ["user_id", "traits", *common],
        "track": ["user_id", "event", "properties", *common, "traits"],
        "page": ["user_id", "category", "name", "properties", *common],
        "screen": ["user_id", "category", "name", "properties", *common],
        "group": ["user_id", "group_id", "traits", *common],
        "alias": ["previous_id", "user_id", "context", "timestamp", "integrations", "message_id", "traits"],
        "merge": ["user_id", "merge_properties", "anonymous_id", "context", "timestamp", "integrations", "message_id"],
    }
    for name, parameters in expected.items():
        assert list(inspect.signature(getattr(Client, name)).parameters)[1:] == parameters


def test_every_option_is_an_argument_and_documented() -> None:
    parameters = inspect.signature(Client).parameters
    assert set(parameters) - {"write_key", "unknown"} == set(OPTION_NAMES)
    assert Client.__doc__ is not None
    for name in OPTION_NAMES:
        assert f"        {name}: " in Client.__doc__, name


def test_a_call_returns_the_id_of_its_event() -> None:
    client, capture = captured()
    with client:
        ids = [client.track("u", "E"), client.identify("u"), client.page("u"), client.alias("a", "b")]
        assert client.track("u", "E", message_id="mine") == "mine"
        assert client.flush()
    assert [event["messageId"] for event in capture.events] == [*ids, "mine"]
    assert len(set(ids)) == 4


def test_repr_shows_state_and_no_secret() -> None:
    client = Client("secret-write-key", transport=Capture(), flush_interval=60, context={"token": "secret"})
    client.track("u", "E")
    assert repr(client).startswith("<Client segment queue=1 2")
    assert repr(client).endswith("B/64MiB inflight=0 delivered=0 failed=0>")
    client.close()
    assert repr(client) == "<Client segment queue=0 0B/64MiB inflight=0 delivered=1 failed=0>"
    assert "secret" not in repr(client) + str(vars(client))
    assert repr(Client("k", enabled=False)) == "<Client segment disabled>"


def test_a_client_is_not_pickled() -> None:
    client, _ = captured()
    with client, pytest.raises(TypeError, match="create it in the child process"):
        pickle.dumps(client)


def test_an_unknown_option_is_a_clear_error() -> None:
    from analytics_client import ConfigError

    with pytest.raises(ConfigError, match="oauth_key: OAuth is not supported"):
        Client("k", oauth_key="x")
    with pytest.raises(ConfigError, match="did you mean gzip"):
        Client("k", gzipp=True)


# -- refusals --------------------------------------------------------------------------------------------------------


def test_strict_raises_what_production_counts(caplog: pytest.LogCaptureFixture) -> None:
    strict, _ = captured(host="https://other.example.com")
    client, capture, outcomes = lenient()
    big = {"html": "x" * 40_000}
    with strict, client:
        with pytest.raises(InvalidMessage, match="event: is required"):
            strict.track("u", "")
        with pytest.raises(MessageTooLarge, match=r"properties\.html \(40,002\)"):
            strict.track("u", "E", big)
        with pytest.raises(InvalidMessage, match=r"properties\.items\[1\]\.raw: bytes that are not UTF-8"):
            strict.track("u", "E", {"items": [{}, {"raw": b"\xff"}]})
        for _ in range(3):
            assert client.track("u", "") is None
        assert client.track("u", "E", big) is None
        assert client.track("u", "E", {"items": [{}, {"raw": b"\xff"}]}) is not None
        client.flush()
    assert client.stats.refused == {Reason.INVALID: 3, Reason.TOO_LARGE: 1}
    assert client.stats.notices == {"adjusted": 1}
    assert strict.stats.refused == {Reason.INVALID: 2, Reason.TOO_LARGE: 1}
    assert [event["properties"] for event in capture.events] == [{"items": [{}, {}]}]
    assert [each.reason for each in outcomes if each.reason is not Reason.DELIVERED] == [Reason.INVALID] * 3 + [
        Reason.TOO_LARGE
    ]
    [too_large] = [each for each in outcomes if each.reason is Reason.TOO_LARGE]
    assert too_large.event is not None
    assert "properties.html (40,002)" in too_large.cause
    production = [record for record in caplog.messages if "adjusted" in record or "refused" in record]
    assert len([line for line in production if "event: is required" in line]) <= 2  # one of each client
    assert "xxxx" not in caplog.text


@pytest.mark.parametrize("junk", [object(), [], 1.5, {"a": 1}, b"x", lambda: None, float("nan"), "\ud800"])
def test_in_production_no_call_raises_whatever_it_is_given(junk: Any) -> None:
    client, capture, _ = lenient(dialect="rudderstack")
    with client:
        for name in ("identify", "track", "page", "screen", "group", "alias", "merge"):
            call = getattr(client, name)
            parameters = list(inspect.signature(call).parameters)
            good = {"user_id": "u", "event": "E", "group_id": "g", "previous_id": "p"}
            good["merge_properties"] = [{"type": "t", "value": "v"}]  # type: ignore[assignment]
            valid = {key: value for key, value in good.items() if key in parameters}
            for parameter in parameters:
                call(**{**valid, parameter: junk})
            call(*[junk] * 6)
        client.flush()
    for event in capture.events:
        assert event["messageId"]
        assert None not in event.values()


class Explosive(dict[str, Any]):
    def __iter__(self) -> Any:
        raise MemoryError("secret")

    keys = items = values = __len__ = __bool__ = __getitem__ = get = __iter__  # type: ignore[assignment]


def test_an_argument_that_explodes_is_contained(caplog: pytest.LogCaptureFixture) -> None:
    client, _, outcomes = lenient()
    with client:
        assert client.page("u", category="c", properties=Explosive(a=1)) is None
        client.track("u", "E", context=Explosive(a=1))
        client.track("u", "E", integrations=Explosive(a=1))
        client.flush()
    assert client.stats.calls == 3
    assert "secret" not in caplog.text + "".join(each.cause for each in outcomes)


def test_a_full_queue() -> None:
    client, _, outcomes = lenient(max_queue_bytes=1_000, flush_interval=60)
    ids = [client.track("u", "E") for _ in range(20)]
    assert ids[0] is not None
    assert ids[-1] is None
    client.close()
    assert client.stats.refused[Reason.OVERFLOW] == ids.count(None)
    overflowed = [each for each in outcomes if each.reason is Reason.OVERFLOW]
    assert len(overflowed) == ids.count(None)
    assert overflowed[0].event is not None
    strict, _ = captured(max_queue_bytes=1_000, flush_interval=60)
    with strict:
        for _ in ids[: ids.index(None)]:
            strict.track("u", "E")
        with pytest.raises(QueueFull, match="on_full"):
            strict.track("u", "E")


def test_block_waits_for_room(server: Server) -> None:
    with Client("k", host=server.url, max_queue_bytes=2_000, on_full="block", flush_interval=60) as client:
        assert all(client.track("u", "E", {"n": number}) for number in range(200))
    assert [event["properties"]["n"] for each in server.seen for event in each.events] == list(range(200))


def test_an_event_larger_than_the_whole_queue_blocks_nobody() -> None:
    client, _, _ = lenient(max_queue_bytes=100, on_full="block")
    with client:
        assert client.track("u", "E") is None
    assert client.stats.refused == {Reason.OVERFLOW: 1}


def test_after_close_calls_are_refused_and_never_raise() -> None:
    client, capture = captured()
    client.track("u", "E")
    assert client.close()
    assert client.close()
    assert client.track("u", "E") is None
    assert client.flush()
    assert client.stats.refused == {Reason.CLOSED: 1}
    assert len(capture.events) == 1
    assert capture.closed


def test_a_disabled_client_does_nothing() -> None:
    client = Client("k", enabled=False)
    assert client.track("u", "E") is None
    assert client.track(object(), []) is None  # type: ignore[arg-type]
    assert client.flush()
    assert client.close()
    assert client.stats.calls == 2
    assert client.stats.refused == {Reason.DISABLED: 2}


def test_merge_is_rudderstacks_alone() -> None:
    for dialect in ("segment", "segmentstream"):
        client, _ = captured(dialect=dialect)
        with client, pytest.raises(InvalidMessage, match=f"type: {dialect} has no merge call"):
            client.merge("u", [{"type": "email", "value": "e"}])


# -- before_send -----------------------------------------------------------------------------------------------------


def test_before_send_may_change_the_message_but_not_the_callers_values() -> None:
    def redact(message: dict[str, Any]) -> dict[str, Any]:
        message["properties"]["person"]["email"] = "***"
        message["context"]["seen"] = True
        return message

    client, capture = captured(before_send=redact)
    properties = {"person": {"email": "e@example.com"}}
    before = copy.deepcopy(properties)
    with client:
        client.track("u", "E", properties)
        client.track("u", "F", properties)
    assert properties == before
    assert [event["properties"] for event in capture.events] == [{"person": {"email": "***"}}] * 2
    assert capture.events[0]["context"]["seen"]


def test_before_send_may_drop() -> None:
    client, capture, outcomes = lenient(before_send=lambda message: None if message["event"] == "E" else message)
    with client:
        assert client.track("u", "E") is None
        assert client.track("u", "F") is not None
    assert client.stats.refused == {Reason.FILTERED: 1}
    assert [event["event"] for event in capture.events] == ["F"]
    assert {each.reason for each in outcomes} == {Reason.FILTERED, Reason.DELIVERED}


@pytest.mark.parametrize(
    ("hook", "sentence"),
    [
        (lambda message: 1 / 0, "raised ZeroDivisionError"),
        (lambda message: "text", "must return the message or None, not str"),
        (lambda message: {}, "must return a message with its type"),
        (lambda message: {**message, "messageId": 5}, "with its messageId"),
        (lambda message: {**message, "userId": ""}, "with its userId or its anonymousId"),
        (lambda message: {**message, "type": "explode"}, "has no explode call"),
    ],
)
def test_before_send_gone_wrong_sends_nothing(hook: Any, sentence: str) -> None:
    client, capture, outcomes = lenient(before_send=hook)
    with client:
        assert client.track("u", "E") is None
    assert client.stats.refused == {Reason.INVALID: 1}
    assert sentence in outcomes[0].cause
    assert capture.requests == []


# -- scope and defaults ----------------------------------------------------------------------------------------------


def test_scope_client_and_call_come_together() -> None:
    client, capture = captured(context={"app": {"name": "shop"}}, integrations={"All": False})
    with client, scope(user_id="u-1", anonymous_id="a-1", context={"ip": "1.2.3.4"}, integrations={"Mixpanel": True}):
        client.track(event="E", context={"locale": "de"})
        client.group(group_id="g")
        client.alias("old")
    track, group, alias = capture.events
    assert (track["userId"], track["anonymousId"]) == ("u-1", "a-1")
    assert track["context"].items() >= {"app": {"name": "shop"}, "ip": "1.2.3.4", "locale": "de"}.items()
    assert track["integrations"] == {"All": False, "Mixpanel": True}
    assert group["userId"] == alias["userId"] == "u-1"


# -- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "batch", "limit"),
    [
        ("segment", True, 32_767),
        ("segment", False, 32_767),
        ("rudderstack", True, 32_767),
        ("rudderstack", False, 32_767),
        ("segmentstream", True, 65_536),
    ],
)
@pytest.mark.parametrize("filling", ["x", "é", "😀"])
def test_the_event_limit_is_exact_on_the_final_bytes(dialect: str, batch: bool, limit: int, filling: str) -> None:
    client, capture = captured(dialect=dialect, batch=batch)
    with client:
        client.track("u", "E", {"v": ""})
        client.flush()
        size = len(filling.encode())
        empty = len(capture.bodies[0])
        if batch and dialect == "segment":
            empty -= len(b'{"batch":[') + len(b'],"sentAt":"2022-02-01T19:14:18.381Z"}')
        elif batch and dialect == "rudderstack":
            empty -= len(b'{"batch":[]}')
        room = limit - empty
        fits = filling * (room // size) + "x" * (room % size)
        assert client.track("u", "E", {"v": fits}) is not None
        with pytest.raises(MessageTooLarge, match=f"{limit + 1:,} bytes, the limit is {limit:,}"):
            client.track("u", "E", {"v": fits + "x"})


SIZES = st.lists(st.integers(0, 32_000) | st.integers(0, 300), max_size=60)


@settings(max_examples=40, deadline=None)
@given(SIZES, st.sampled_from(["segment", "rudderstack"]), st.integers(1_000, 500_000), st.integers(1, 3))
def test_no_body_ever_exceeds_its_limits(sizes: list[int], dialect: str, limit: int, concurrency: int) -> None:
    client, capture = captured(
        dialect=dialect,
        max_batch_bytes=limit,
        flush_at=10_000,
        flush_interval=60,
        concurrency=concurrency,
        strict=False,
    )
    with client:
        accepted = [client.track(f"u{size % 7}", "E", {"v": "x" * size}) for size in sizes]
    assert all(len(body) <= limit for body in capture.bodies)
    assert sorted(event["messageId"] for event in capture.events) == sorted(filter(None, accepted))


def test_twenty_events_of_thirty_kilobytes_and_full_bodies() -> None:
    client, capture = captured(flush_at=10_000, flush_interval=60)
    with client:
        for _ in range(20):
            client.track("u", "E", {"v": "x" * 30_000})
    assert len(capture.bodies) == 2
    assert 470_000 < len(capture.bodies[0]) <= 500_000


def test_a_batch_has_2500_events_at_the_most() -> None:
    client, capture = captured(flush_at=10_000, flush_interval=60, max_queue_bytes=10**9)
    with client:
        for _ in range(3_000):
            client.track("u", "E", {}, context={"library": {}})
    assert [len(json.loads(body)["batch"]) for body in capture.bodies] == [2_500, 500]


# -- every option is seen to work ------------------------------------------------------------------------------------


def test_flush_at_sends_without_being_asked(server: Server) -> None:
    with Client("k", host=server.url, flush_at=3, flush_interval=60) as client:
        for _ in range(3):
            client.track("u", "E")
        server.wait_for(1)
        assert len(server.seen[0].events) == 3


def test_flush_interval_sends_without_being_asked(server: Server) -> None:
    with Client("k", host=server.url, flush_interval=0.05) as client:
        client.track("u", "E")
        server.wait_for(1)


def test_gzip_on_the_wire(server: Server) -> None:
    with Client("k", host=server.url, gzip=True) as client:
        client.track("u", "E")
    [seen] = server.seen
    assert seen.headers["content-encoding"] == "gzip"
    assert seen.headers["content-type"] == "application/json"
    assert seen.body.startswith(b"\x1f\x8b")
    assert seen.events[0]["event"] == "E"


def test_the_headers_of_a_request(server: Server) -> None:
    with Client("abc123", host=server.url) as client:
        client.track("u", "E")
    [seen] = server.seen
    assert seen.path == "/v1/batch"
    assert seen.headers["authorization"] == "Basic YWJjMTIzOg=="
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["user-agent"].startswith("analytics-client-python/")
    assert "x-retry-count" not in seen.headers
    assert "cookie" not in seen.headers


def test_a_prefix_of_the_host_stays(server: Server) -> None:
    with Client("k", host=f"{server.url}/rudder/") as client:
        client.track("u", "E")
    assert server.seen[0].path == "/rudder/v1/batch"


def test_batch_false_uses_the_endpoint_of_each_call(server: Server) -> None:
    with Client("k", host=server.url, dialect="rudderstack", batch=False) as client:
        client.identify("u")
        client.track("u", "E")
        client.page("u", name="n")
        client.screen("u", name="n")
        client.group("u", "g")
        client.alias("p", "u")
        client.merge("u", [{"type": "t", "value": "v"}])
    paths = ["identify", "track", "page", "screen", "group", "alias", "merge"]
    assert [seen.path for seen in server.seen] == [f"/v1/{each}" for each in paths]
    assert all(seen.json["sentAt"] for seen in server.seen)


def test_sync_sends_within_the_call(server: Server) -> None:
    with Client("k", host=server.url, sync=True) as client:
        for number in range(3):
            client.track("u", "E", {"n": number})
            assert len(server.seen) == number + 1
            assert client.stats.delivered == number + 1
    assert server.connections == 1


def test_sync_retries_within_its_total_deadline() -> None:
    with serving(answer(503)) as server, Client("k", host=server.url, sync=True, timeout=5) as client:
        assert client.track("u", "E")
        assert client.stats.delivered == 1
        assert [seen.headers.get("x-retry-count") for seen in server.seen] == [None, "1"]


def test_sync_gives_up_waiting_and_keeps_the_event() -> None:
    with serving(answer(503, b"", "Retry-After: 1"), then=answer(200)) as server:
        with Client("k", host=server.url, sync=True, timeout=0.2) as client:
            assert client.track("u", "E")
            assert client.stats.pending == 1
            assert client.flush(5)
        assert len(server.seen) == 2


def test_max_retries_and_on_failed() -> None:
    outcomes: list[Outcome] = []
    with serving(then=answer(503, b"overloaded")) as server:
        with Client("k", host=server.url, max_retries=0, on_failed=outcomes.append) as client:
            sent = client.track("u", "E")
            assert client.flush(5)
        assert len(server.seen) == 1
    [outcome] = outcomes
    assert (outcome.reason, outcome.status, outcome.attempts) == (Reason.EXPIRED, 503, 1)
    assert (outcome.cause, outcome.message_id) == ("overloaded", sent)


def test_max_retry_time() -> None:
    with serving(then=answer(503)) as server, Client("k", host=server.url, max_retry_time=0) as client:
        client.track("u", "E")
        assert client.flush(5)
        assert client.stats.failed == {Reason.EXPIRED: 1}


def test_timeout_ends_an_attempt(server: Server) -> None:
    import threading

    release = threading.Event()

    def hang(_seen: object, _connection: object) -> bytes:
        release.wait(10)
        return answer(200)

    server.script.append(hang)
    with Client("k", host=server.url, timeout=0.2) as client:
        client.track("u", "E")
        assert client.flush(8)
    release.set()
    assert len(server.seen) == 2


def test_concurrency_has_that_many_requests_under_way(server: Server) -> None:
    import threading

    together = threading.Barrier(4)

    def meet(_seen: object, _connection: object) -> bytes:
        together.wait(10)
        return answer(200)

    server.then = meet
    with Client("k", host=server.url, concurrency=4, batch=False) as client:
        for number in range(8):
            client.track(f"u{number}", "E")
    assert client.stats.delivered == 8


def test_on_delivered_gets_one_outcome_per_event(server: Server) -> None:
    outcomes: list[Outcome] = []
    with Client("k", host=server.url, on_delivered=outcomes.append) as client:
        ids = [client.track("u", "E", {"n": number}) for number in range(5)]
    assert [each.message_id for each in outcomes] == ids
    assert {(each.reason, each.status, each.attempts) for each in outcomes} == {(Reason.DELIVERED, 200, 1)}


def test_default_is_asked() -> None:
    client, capture = captured(default=lambda value: f"<{type(value).__name__}>")
    with client:
        client.track("u", "E", {"o": object()})
    assert capture.events[0]["properties"] == {"o": "<object>"}


def test_context_and_integrations_of_the_client_on_the_wire(server: Server) -> None:
    with Client("k", host=server.url, context={"app": {"name": "shop"}}, integrations={"All": False}) as client:
        client.track("u", "E")
    [event] = server.seen[0].events
    assert event["context"]["app"] == {"name": "shop"}
    assert event["context"]["library"]["name"] == "analytics-client-python"
    assert event["integrations"] == {"All": False}


def test_max_event_bytes_and_max_batch_bytes() -> None:
    client, capture = captured(max_event_bytes=300, max_batch_bytes=600, flush_interval=60)
    with client:
        with pytest.raises(MessageTooLarge, match="the limit is 300"):
            client.track("u", "E", {"v": "x" * 200})
        for _ in range(5):
            client.track("u", "E")
    assert len(capture.bodies) == 3
    assert max(map(len, capture.bodies)) <= 600


def test_proxies_are_used(server: Server) -> None:
    with Client("k", host="http://127.0.0.1:1", proxies={"http": server.url}) as client:
        client.track("u", "E")
    assert server.seen[0].path == "http://127.0.0.1:1/v1/batch"


def test_proxies_of_the_environment_are_read_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.url)
    client = Client("k", host="http://elsewhere.invalid", allow_insecure=True)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with client:
        client.track("u", "E")
    assert server.seen[0].path == "http://elsewhere.invalid/v1/batch"


def test_no_proxy_is_obeyed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Client("k", host=server.url) as client:
        client.track("u", "E")
    assert server.seen[0].path == "/v1/batch"


def test_debug_logs_each_attempt(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "analytics_client")
    for debug in (False, True):
        with Client("k", host=server.url, debug=debug) as client:
            client.track("u", "Secret Event", {"secret": "value"})
    attempts = [message for message in caplog.messages if "attempt" in message]
    assert len(attempts) == 1
    assert "1 events" in attempts[0]
    assert "ecret" not in caplog.text


def test_a_users_own_transport_may_fail() -> None:
    class Failing(Capture):
        def send(self, request: Any, timeout: float) -> Any:
            super().send(request, timeout)
            if len(self.requests) < 3:
                raise TransportError("carrier pigeon lost")
            return self.response

    capture = Failing()
    with Client("k", transport=capture) as client:
        client.track("u", "E")
        assert client.flush(8)
    assert len(capture.requests) == 3


def test_environment_options_reach_the_client(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS_WRITE_KEY", "abc123")
    monkeypatch.setenv("ANALYTICS_HOST", server.url)
    with Client() as client:
        client.track("u", "E")
    assert server.seen[0].headers["authorization"] == "Basic YWJjMTIzOg=="


# -- outcomes on a real server ---------------------------------------------------------------------------------------


def test_a_204_is_a_delivery_and_sent_once() -> None:
    with serving(then=b"HTTP/1.1 204 No Content\r\n\r\n") as server:
        with Client("k", host=server.url, dialect="segmentstream") as client:
            client.track("u", "E")
        assert len(server.seen) == 1
        assert client.stats.delivered == 1


def test_one_line_per_distinct_failure(caplog: pytest.LogCaptureFixture) -> None:
    with serving(*[answer(503)] * 3) as server, Client("k", host=server.url) as client:
        client.track("u", "E")
        assert client.flush(10)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == ["segment: the endpoint is at fault (status 503); events are kept and tried again"]


def test_a_wrong_key_is_noticed_once_and_flush_returns_at_once(caplog: pytest.LogCaptureFixture) -> None:
    import time

    with serving(then=answer(401, b'{"success":false}')) as server:
        outcomes: list[Outcome] = []
        client = Client("secret-key-123", host=server.url, on_failed=outcomes.append)
        client.track("u", "E")
        started = time.monotonic()
        assert not client.flush(30)
        assert not client.close(30)
        assert time.monotonic() - started < 5
    assert client.stats.failed == {Reason.REJECTED: 1}
    assert [(each.reason, each.status) for each in outcomes] == [(Reason.REJECTED, 401)]
    assert "secret-key-123" not in caplog.text
    assert len([line for line in caplog.messages if "401" in line]) == 2  # the fault, and what close left


def test_redirects_are_never_followed() -> None:
    with serving() as target, serving(then=answer(302, b"", f"Location: {target.url}/v1/batch")) as server:
        client = Client("k", host=server.url)
        client.track("u", "E")
        assert not client.flush(5)
        client.close(0)
        assert (len(server.seen), len(target.seen)) == (1, 0)


def test_netrc_is_not_consulted(server: Server, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Client("abc123", host=server.url) as client:
        client.track("u", "E")
    assert server.seen[0].headers["authorization"] == "Basic YWJjMTIzOg=="


def test_many_threads_lose_nothing(server: Server) -> None:
    import threading

    with Client("k", host=server.url, concurrency=3) as client:

        def work(name: int) -> None:
            for number in range(500):
                client.track(f"u{name}", "E", {"n": number})

        threads = [threading.Thread(target=work, args=(each,)) for each in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.flush(20)
        assert client.stats.delivered == 4_000
    seen: dict[str, list[int]] = {}
    for request in server.seen:
        for event in request.events:
            seen.setdefault(event["userId"], []).append(event["properties"]["n"])
    assert len(set(server.ids())) == 4_000
    assert all(sorted(numbers) == list(range(500)) for numbers in seen.values())


def test_each_persons_events_arrive_in_order(server: Server) -> None:
    with Client("k", host=server.url, concurrency=1) as client:
        for number in range(2_000):
            client.track("u", "E", {"n": number})
    numbers = [event["properties"]["n"] for seen in server.seen for event in seen.events]
    assert numbers == list(range(2_000))


async def _use_asynchronously(url: str) -> None:
    async with Client("k", host=url) as client:
        client.track("u", "E")
        assert await client.aflush(5)
        assert client.stats.delivered == 1
        client.track("u", "F")
    assert client.stats.delivered == 2


def test_asyncio(server: Server) -> None:
    import asyncio

    asyncio.run(_use_asynchronously(server.url))
    assert [event["event"] for seen in server.seen for event in seen.events] == ["E", "F"]


def test_asyncio_gives_up_in_time() -> None:
    import asyncio
    import time

    async def main(url: str) -> float:
        client = Client("k", host=url)
        client.track("u", "E")
        started = time.monotonic()
        assert not await client.aflush(0.3)
        assert not await client.aclose(0.1)
        return time.monotonic() - started

    with serving(then=answer(503, b"", "Retry-After: 100")) as server:
        assert asyncio.run(main(server.url)) < 2


@pytest.mark.usefixtures("no_thread_left")
def test_a_client_nobody_holds_delivers_and_goes(server: Server) -> None:
    import gc

    client = Client("k", host=server.url, flush_interval=60)
    client.track("u", "E")
    del client
    gc.collect()
    server.wait_for(1)


def test_what_integrations_ask_of_a_client(caplog: pytest.LogCaptureFixture) -> None:
    client, _ = captured()
    with client:
        assert client.enabled
        for _again in range(2):
            client.notice("hook", "user_id ValueError", "user_id raised ValueError; the request is not affected")
        assert client.stats.notices == {"hook": 2}
    assert caplog.messages == ["user_id raised ValueError; the request is not affected"]
    assert not Client(enabled=False).enabled
