import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_client.delivery.consumer import ROUND
from analytics_client.delivery.wire import Request, Response
from analytics_client.errors import TransportError
from analytics_client.outcome import Reason
from tests.support.clock import FakeClock
from tests.support.harness import Harness

DOWN = Response(503)


def refusing(*bad: int, status: int = 400) -> Any:
    """A server that refuses any batch with one of these events in it."""

    def answer(request: Request) -> Response:
        numbers = {event["n"] for event in json.loads(request.body)["batch"]}
        return Response(status, {}, b"bad event") if numbers & set(bad) else Response(200)

    return answer


def test_all_is_well() -> None:
    it = Harness()
    it.put(3)
    it.run()
    assert it.transport.batches() == [[0, 1, 2]]
    assert it.ended(Reason.DELIVERED) == [0, 1, 2]
    assert {(each.status, each.attempts) for each in it.outcomes} == {(200, 1)}
    assert it.outcomes[0].message_id == "m-0"
    it.check()


def test_the_endpoints_fault_keeps_the_events_and_waits() -> None:
    it = Harness(DOWN, TransportError("timed out"), Response(429, {"Retry-After": "7"}), Response(200))
    it.put(2)
    start = it.clock.now
    it.run()
    assert it.transport.batches() == [[0, 1]] * 4
    assert it.clock.now - start == 0.5 + 1 + 7
    assert [request.headers.get("X-Retry-Count") for request in it.transport.requests] == [None, "1", "2", "3"]
    assert {each.attempts for each in it.outcomes} == {4}
    assert it.ended(Reason.DELIVERED) == [0, 1]
    assert it.notices.counts() == {"endpoint_fault": 1}
    it.check()


def test_an_events_bytes_never_change_between_attempts() -> None:
    it = Harness(DOWN, DOWN, dialect="rudderstack")
    it.put(3)
    it.run()
    events = [json.loads(request.body)["batch"] for request in it.transport.requests]
    for batch in events:
        for event in batch:
            assert event.pop("sentAt")
    assert events[0] == events[1] == events[2]


def test_while_the_gate_is_closed_nothing_goes() -> None:
    it = Harness(DOWN, then=DOWN)
    it.put(1)
    it.flush()
    it.step()
    it.put(1)
    it.flush()
    assert it.step() == 0.5
    assert len(it.transport.requests) == 1
    it.check()


def test_max_retries_bounds_the_attempts_that_no_retry_after_excused() -> None:
    excused = Response(429, {"Retry-After": "5"})
    it = Harness(DOWN, excused, excused, DOWN, DOWN, then=DOWN, max_retries=2)
    it.put(2)
    it.run()
    assert it.ended(Reason.EXPIRED) == [0, 1]
    assert len(it.transport.requests) == 5
    assert {(each.status, each.attempts) for each in it.outcomes} == {(503, 5)}
    it.check()


def test_max_retries_zero_means_one_attempt() -> None:
    it = Harness(then=DOWN, max_retries=0)
    it.put(1)
    it.run()
    assert len(it.transport.requests) == 1
    assert it.ended(Reason.EXPIRED) == [0]


def test_max_retry_time_ends_an_outage_for_an_event() -> None:
    it = Harness(then=DOWN, max_retry_time=600)
    it.put(1)
    start = it.clock.now
    it.run()
    assert it.ended(Reason.EXPIRED) == [0]
    assert 600 <= it.clock.now - start <= 660
    it.check()


@pytest.mark.parametrize("status", [401, 403, 404, 407, 301, 308])
def test_a_wrong_setting_is_probed_each_minute_and_loses_nothing(status: int) -> None:
    it = Harness(Response(status), Response(status))
    it.put(2)
    start = it.clock.now
    it.run()
    assert it.clock.now - start == 120
    assert it.ended(Reason.DELIVERED) == [0, 1]
    it.check()


@pytest.mark.parametrize("status", [402, 405, 415, 501, 505, 511])
def test_what_will_never_be_taken_fails_at_once(status: int) -> None:
    it = Harness(Response(status, {}, b"no"))
    it.put(3)
    it.run()
    assert it.ended(Reason.REJECTED) == [0, 1, 2]
    assert {(each.status, each.attempts, each.cause) for each in it.outcomes} == {(status, 1, "no")}
    assert len(it.transport.requests) == 1
    it.check()


@pytest.mark.parametrize("bad", range(0, 100, 7))
@pytest.mark.parametrize("status", [400, 422])
def test_one_bad_event_of_a_hundred_is_found(bad: int, status: int) -> None:
    it = Harness(then=refusing(bad, status=status))
    it.put(100)
    it.run()
    assert it.ended(Reason.REJECTED) == [bad]
    assert it.ended(Reason.DELIVERED) == [each for each in range(100) if each != bad]
    assert len(it.transport.requests) <= 16
    [failed] = [each for each in it.outcomes if each.reason is Reason.REJECTED]
    assert (failed.status, failed.cause) == (status, "bad event")
    it.check()


def test_a_2xx_that_says_no_success_is_taken_apart_too() -> None:
    refusal = Response(200, {}, b'{"success": false}')

    def answer(request: Request) -> Response:
        return refusal if b'"n":3' in request.body else Response(200, {}, b'{"success": true}')

    it = Harness(then=answer)
    it.put(6)
    it.run()
    assert it.ended(Reason.REJECTED) == [3]
    assert it.ended(Reason.DELIVERED) == [0, 1, 2, 4, 5]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 120), st.sets(st.integers(0, 119), max_size=12))
def test_whatever_is_bad_the_rest_is_delivered_once_and_in_order(count: int, bad: set[int]) -> None:
    bad = {each for each in bad if each < count}
    if len(bad) >= 5 and len(bad) == count:
        return  # all of them: that is systematic
    delivered: list[int] = []

    def answer(request: Request) -> Response:
        numbers = [event["n"] for event in json.loads(request.body)["batch"]]
        if set(numbers) & bad:
            return Response(400)
        delivered.extend(numbers)
        return Response(200)

    it = Harness(then=answer)
    it.put(count)
    it.run()
    if not it.queue.pending:
        assert delivered == [each for each in range(count) if each not in bad]
        assert it.ended(Reason.REJECTED) == sorted(bad)
    else:  # five bad ones came first, and nothing of the chunk was accepted: held, not lost
        assert "systematic" in it.notices.counts()
        assert delivered == []
    it.check()


def test_taking_apart_takes_turns_of_32_requests() -> None:
    bad = set(range(0, 400, 4))
    it = Harness(then=refusing(*bad))
    it.put(400)
    it.flush()
    assert it.step() == 0
    assert len(it.transport.requests) == ROUND
    assert it.step() == 0.5
    it.run()
    assert it.ended(Reason.REJECTED) == sorted(bad)
    assert len(it.ended(Reason.DELIVERED)) == 300
    it.check()


def test_if_every_event_is_refused_it_is_not_the_events() -> None:
    it = Harness(then=Response(400, {}, b"invalid json"))
    it.put(100)
    it.flush()
    it.step()
    assert it.outcomes == []
    assert it.queue.pending == 100
    assert len(it.transport.requests) <= 16
    assert it.notices.counts()["systematic"] == 1
    it.transport.then = Response(200)
    it.run(until=119)
    assert it.ended(Reason.DELIVERED) == list(range(100))
    it.check()


def test_a_few_bad_events_alone_are_refused_not_held() -> None:
    it = Harness(then=Response(400))
    it.put(4)
    it.run()
    assert it.ended(Reason.REJECTED) == [0, 1, 2, 3]
    it.check()


def test_too_much_at_once_is_split_until_it_fits() -> None:
    def answer(request: Request) -> Response:
        return Response(413 if len(request.body) > 120 else 200)

    it = Harness(then=answer)
    it.put(10)
    it.run()
    assert it.ended(Reason.DELIVERED) == list(range(10))
    assert [each for batch in it.transport.batches() if len(batch) < 3 for each in batch] == sorted(
        each for batch in it.transport.batches() if len(batch) < 3 for each in batch
    )
    it.check()


def test_one_event_alone_may_be_too_large_for_the_server() -> None:
    it = Harness(then=Response(413))
    it.put(7)
    it.run()
    assert it.ended(Reason.TOO_LARGE) == list(range(7))
    it.check()


def test_a_chunk_that_always_draws_5xx_is_recognised() -> None:
    it = Harness(then=refusing(2, status=500))
    it.put(5)
    it.flush()
    it.put(5)
    it.run()
    assert it.ended(Reason.REJECTED) == [2]
    assert it.ended(Reason.DELIVERED) == [0, 1, 3, 4, 5, 6, 7, 8, 9]
    assert it.transport.batches()[:11] == [[0, 1, 2, 3, 4]] * 10 + [[5, 6, 7, 8, 9]]
    it.check()


def test_a_long_outage_poisons_nothing() -> None:
    it = Harness(*[DOWN] * 40)
    it.put(5)
    it.flush()
    it.put(5)
    it.run()
    assert it.ended(Reason.DELIVERED) == list(range(10))
    assert not it.ended(Reason.REJECTED)
    it.check()


def test_an_outage_in_the_middle_of_taking_apart_keeps_the_parts() -> None:
    answers = [Response(400), Response(400), DOWN]
    refuse = refusing(1)
    it = Harness(*answers, then=refuse)
    it.put(8)
    it.run()
    assert it.ended(Reason.REJECTED) == [1]
    assert it.ended(Reason.DELIVERED) == [0, 2, 3, 4, 5, 6, 7]
    it.check()


def test_a_transport_may_raise_what_it_likes() -> None:
    it = Harness(ValueError("secret"), KeyError("secret"), ZeroDivisionError())
    it.put(1)
    it.run()
    assert it.ended(Reason.DELIVERED) == [0]
    assert "secret" not in str(it.notices.counts())


def test_gzip_and_headers() -> None:
    import gzip

    it = Harness(gzip=True)
    it.put(100)
    it.run()
    [request] = it.transport.requests
    assert request.headers["Content-Encoding"] == "gzip"
    assert request.headers["Content-Type"] == "application/json"
    assert len(json.loads(gzip.decompress(request.body))["batch"]) == 100
    assert len(request.body) < 1_000


def test_the_person_of_a_request_goes_into_rudderstacks_header() -> None:
    it = Harness(dialect="rudderstack")
    it.put(2, person="a")
    it.run()
    it.put(1, person="a")
    it.put(1, person="b")
    it.run()
    first, second = it.transport.requests
    assert first.headers["AnonymousId"] == "a"
    assert "AnonymousId" not in second.headers
    assert first.headers["sentAt"] == second.headers["sentAt"] == "2023-11-14T22:13:20.000Z"


def test_an_attempt_gets_no_more_than_the_deadline_leaves() -> None:
    it = Harness()
    it.put(1)
    it.flush()
    it.consumer.work_once(it.clock.now + 3)
    assert it.transport.timeouts == [3]


def test_lanes_go_on_while_one_is_busy_and_keep_their_order() -> None:
    it = Harness(concurrency=4, flush_at=5)
    for number in range(100):
        it.put(1, person=f"p{number % 10}")
    it.run()
    seen = [each for batch in it.transport.batches() for each in batch]
    for person in range(10):
        own = [each for each in seen if each % 10 == person]
        assert own == sorted(own)
    assert sorted(seen) == list(range(100))


def test_a_callback_that_raises_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def rude(_outcome: object) -> None:
        raise SystemExit("secret")

    it = Harness(on_delivered=rude)
    it.put(3)
    it.run()
    assert it.hub.stats({}).delivered == 3
    assert it.notices.counts() == {"callback_error": 3}
    assert caplog.messages == ["a callback raised SystemExit; the events are not affected"]


def test_a_slow_callback_is_noticed() -> None:
    clocks: list[FakeClock] = []
    it = Harness(on_delivered=lambda _outcome: clocks[0].advance(1.5))
    clocks.append(it.clock)
    it.put(1)
    it.run()
    assert it.notices.counts() == {"slow_callback": 1}


def test_logs_name_statuses_and_counts_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    it = Harness(Response(503, {}, b"secret"), Response(503), Response(200), Response(400, {}, b"secret"), debug=True)
    it.put(1)
    it.run()
    it.put(1)
    it.run()
    assert "secret" not in caplog.text
    warnings = [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"]
    assert warnings == [
        "segment: the endpoint is at fault (status 503); events are kept and tried again",
        "segment: the endpoint answers again",
        "segment: events failed as rejected (status 400): 1, attempts: 1",
    ]
    attempts = [record.getMessage() for record in caplog.records if record.levelname == "DEBUG"]
    assert len(attempts) == 4
    assert attempts[0].startswith("segment: 1 events, ")
