import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_client.delivery.retry import Decision, Verdict, backoff, decide, no_answer, wait
from analytics_client.delivery.wire import Response
from analytics_client.errors import TransportError
from analytics_client.outcome import Reason
from tests.support.clock import longest

NOW = 1_700_000_000.0

TABLE = {
    Verdict.DELIVERED: [200, 201, 202, 204, 226],
    Verdict.BISECT: [400, 422],
    Verdict.SPLIT: [413],
    Verdict.REJECT: [402, 405, 406, 409, 411, 414, 415, 418, 431, 451, 501, 505, 511],
    Verdict.HOLD: [
        *(100, 301, 302, 303, 304, 307, 308, 401, 403, 404, 407, 408, 410, 429, 460),
        *(500, 502, 503, 504, 506, 507, 508, 520, 529, 599),
    ],
}
CONFIGURATION = {301, 302, 303, 304, 307, 308, 401, 403, 404, 407}


@pytest.mark.parametrize(("verdict", "status"), [(verdict, each) for verdict in TABLE for each in TABLE[verdict]])
def test_the_status_table(verdict: Verdict, status: int) -> None:
    decision = decide(Response(status), NOW)
    assert decision.verdict is verdict
    assert decision.status == status
    assert decision.configuration is (status in CONFIGURATION)


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (b'{"success":true}', Verdict.DELIVERED),
        (b"", Verdict.DELIVERED),
        (b"ok", Verdict.DELIVERED),
        (b"<html>Sign in to the hotel's network</html>", Verdict.DELIVERED),
        (b'{"success": false, "message": "no_user_anon_id"}', Verdict.BISECT),
        (b'[{"success": false}]', Verdict.DELIVERED),
        (b'{"success": 0}', Verdict.DELIVERED),
        (b'{"success": false', Verdict.DELIVERED),
        (b'{"a":"success"}', Verdict.DELIVERED),
        (b'"success"' + b"[" * 60_000, Verdict.DELIVERED),
    ],
)
def test_a_2xx_may_say_that_it_is_none(body: bytes, verdict: Verdict) -> None:
    assert decide(Response(200, {}, body), NOW).verdict is verdict


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5.0),
        (" 5 ", 5.0),
        ("300", 300.0),
        ("301", 300.0),
        ("1" + "0" * 9, 300.0),
        ("9" * 5_000, 300.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:13:50 -0000", 30.0),
        ("Tuesday, 14-Nov-23 22:13:50 GMT", 30.0),
        ("Wed, 14 Nov 2035 22:13:50 GMT", 300.0),
        ("0", None),
        ("-5", None),
        ("+5", None),
        ("5.5", None),
        ("", None),
        ("soon", None),
        ("\u00b2", None),
        ("Tue, 14 Nov 2023 22:13:19 GMT", None),
        ("Tue, 99 Nov 2023 22:13:19 GMT", None),
        ("Fri, 31 Dec 99999999999 00:00:00 GMT", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 408, 401])
def test_retry_after_in_seconds_or_as_a_date(header: str, seconds: float | None, status: int) -> None:
    assert decide(Response(status, {"rEtRy-aFtEr": header}), NOW).retry_after == seconds


def test_a_date_is_taken_by_the_servers_own_clock() -> None:
    headers = {"Retry-After": "Fri, 14 Nov 2003 22:13:50 GMT", "Date": "Fri, 14 Nov 2003 22:13:20 GMT"}
    assert decide(Response(429, headers), NOW).retry_after == 30.0


@given(st.text(), st.text())
def test_no_header_raises(retry_after: str, date: str) -> None:
    seconds = decide(Response(429, {"Retry-After": retry_after, "Date": date}), NOW).retry_after
    assert seconds is None or 0 < seconds <= 300


def test_backoff_doubles_to_its_cap_under_full_jitter() -> None:
    assert [backoff(failures, longest) for failures in range(1, 12)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert backoff(100_000, longest) == 60
    assert backoff(5, lambda low, _high: low) == 0


def test_the_wait_is_the_longer_of_the_two() -> None:
    held = decide(Response(503, {"Retry-After": "5"}), NOW)
    assert wait(held, 1, longest) == 5
    assert wait(held, 6, longest) == 16
    wrong = decide(Response(401), NOW)
    assert wait(wrong, 1, longest) == 60


def test_causes_are_one_printable_line_of_200_characters() -> None:
    decision = decide(Response(400, {}, b"bad\r\n\x1b[31m\xff" + b"x" * 500), NOW)
    assert len(decision.cause) == 200
    assert decision.cause.isprintable()
    assert decision.cause.startswith("bad   [31m\ufffdxxx")


def test_no_answer_is_the_endpoints_fault() -> None:
    assert no_answer(TransportError("timed out")) == Decision(Verdict.HOLD, None, "timed out")
    assert no_answer(TransportError("bad certificate", configuration=True)).configuration
    assert no_answer(ValueError("may hold a secret")).cause == "ValueError"


def test_reasons_and_labels() -> None:
    assert decide(Response(200), NOW).reason is Reason.DELIVERED
    assert decide(Response(413), NOW).reason is Reason.TOO_LARGE
    assert decide(Response(400), NOW).reason is Reason.REJECTED
    assert decide(Response(503, {}, b"secret"), NOW).label == "status 503"
    assert no_answer(TransportError("x")).label == "no answer"
