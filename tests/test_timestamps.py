import datetime as dt
import zoneinfo
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_client.errors import InvalidMessage
from analytics_client.timestamps import timestamp_text, utc_text

HALF_PAST_FIVE = dt.timezone(dt.timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("given_time", "text"),
    [
        (dt.datetime(2022, 2, 1, 19, 14, 18, 381_999), "2022-02-01T19:14:18.381Z"),
        (dt.datetime(2022, 2, 1, 19, 14, 18, 381_000, dt.UTC), "2022-02-01T19:14:18.381Z"),
        (dt.datetime(2022, 2, 2, 0, 44, 18, 381_000, HALF_PAST_FIVE), "2022-02-01T19:14:18.381Z"),
        (dt.datetime(2022, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")), "2022-07-01T10:00:00.000Z"),
        (dt.date(2022, 2, 1), "2022-02-01T00:00:00.000Z"),
        ("2022-02-01T19:14:18.381Z", "2022-02-01T19:14:18.381Z"),
        ("2015-2-02T00:30:08.276Z", "2015-02-02T00:30:08.276Z"),  # a vendor's own sample
        ("2006-04-07 17:08", "2006-04-07T17:08:00.000Z"),
        ("2006-4-7 17:08", "2006-04-07T17:08:00.000Z"),
        ("2006-4-7", "2006-04-07T00:00:00.000Z"),
        ("20060407T170800Z", "2006-04-07T17:08:00.000Z"),
        ("2006-04-07T17:08:00+0530", "2006-04-07T11:38:00.000Z"),
        ("2006-04-07 17:08:00 UTC", "2006-04-07T17:08:00.000Z"),
        ("Fri, 07 Apr 2006 17:08:00 GMT", "2006-04-07T17:08:00.000Z"),
        ("April 7, 2006 5:08 PM", "2006-04-07T17:08:00.000Z"),
        ("13/04/2006", "2006-04-13T00:00:00.000Z"),
        ("2006-04-07T17:08:00.123456789Z", "2006-04-07T17:08:00.123Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        (1_144_429_680, "2006-04-07T17:08:00.000Z"),
        (1.001, "1970-01-01T00:00:01.001Z"),
        (Decimal("1144429680.5"), "2006-04-07T17:08:00.500Z"),
        (-1, "1969-12-31T23:59:59.000Z"),
        (dt.datetime(1, 1, 1), "0001-01-01T00:00:00.000Z"),
    ],
)
def test_every_form_becomes_the_one_of_the_wire(given_time: Any, text: str) -> None:
    assert timestamp_text(given_time) == text


@pytest.mark.parametrize(
    ("given_time", "sentence"),
    [
        ("03/04/2006", "could mean several days"),
        ("06-04-07", "could mean several days"),
        ("10:30", "incomplete"),
        ("2006", "incomplete"),
        ("2006-04", "incomplete"),
        ("2006-04-07 17:08 EST", "zone that only a place can explain"),
        ("yesterday", "cannot be read"),
        ("", "cannot be read"),
        ("2006-04-31", "cannot be read"),
        ("9" * 5_000, "5,000 characters"),
        (True, "not bool"),
        ([], "not list"),
        (float("nan"), "cannot be read"),
        (float("inf"), "beyond the year 9999"),
        (1_144_429_680_000, "milliseconds?"),
        (dt.datetime(1, 1, 1, tzinfo=HALF_PAST_FIVE), "OverflowError"),
    ],
)
def test_what_could_be_wrong_is_refused_with_its_path(given_time: Any, sentence: str) -> None:
    with pytest.raises(InvalidMessage, match=sentence) as caught:
        timestamp_text(given_time)
    assert caught.value.path == "timestamp"


def test_the_zone_of_the_machine_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    for zone in ("Asia/Kolkata", "EST"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert timestamp_text("2006-04-07 17:08") == "2006-04-07T17:08:00.000Z"
        assert timestamp_text("Apr 7 2006 17:08:00 -0300") == "2006-04-07T20:08:00.000Z"
    monkeypatch.undo()
    time.tzset()


def test_a_zone_that_raises_is_contained() -> None:
    class Broken(dt.tzinfo):
        def utcoffset(self, _moment: dt.datetime | None) -> dt.timedelta:
            raise RuntimeError("secret")

        dst = utcoffset

        def tzname(self, _moment: dt.datetime | None) -> str:
            return "broken"

    with pytest.raises(InvalidMessage) as caught:
        timestamp_text(dt.datetime(2022, 1, 1, tzinfo=Broken()))
    assert "secret" not in str(caught.value)


@given(st.datetimes(min_value=dt.datetime(2, 1, 1), timezones=st.sampled_from([None, dt.UTC, HALF_PAST_FIVE])))
def test_a_datetime_survives_to_the_millisecond(moment: dt.datetime) -> None:
    back = dt.datetime.fromisoformat(timestamp_text(moment))
    aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    assert dt.timedelta(0) <= aware - back < dt.timedelta(milliseconds=1)


@given(st.text(max_size=80))
def test_no_text_raises_anything_else(text: str) -> None:
    with suppress(InvalidMessage):
        assert len(timestamp_text(text)) == 24


def test_milliseconds_become_text() -> None:
    assert utc_text(1_643_742_858_381) == "2022-02-01T19:14:18.381Z"
