"""Dates: the form of a column, found once; each row by it; what could mean two times is refused."""

import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from analytics_client import ConfigError
from analytics_client.importer.dates import DateForm, find_form, zone_of

WHEN = datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("2015-05-17T10:05:03Z", "iso", WHEN),
        ("2015-05-17 10:05:03", "iso", WHEN.replace(tzinfo=None)),
        ("2015-05-17", "iso", datetime(2015, 5, 17)),
        ("20150517", "iso", datetime(2015, 5, 17)),
        ("2015-5-7 17:08", "iso", datetime(2015, 5, 7, 17, 8)),
        ("2015-2-02T00:30:08.276Z", "iso", datetime(2015, 2, 2, 0, 30, 8, 276_000, tzinfo=UTC)),
        ("2015-05-17 12:05:03+02", "iso", WHEN),
        ("2015-05-17 10:05:03 UTC", "%Y-%m-%d %H:%M:%S %z", WHEN),
        ("2015/05/17 10:05:03", "%Y/%m/%d %H:%M:%S", WHEN.replace(tzinfo=None)),
        ("17/May/2015:10:05:03 +0000", "%d/%b/%Y:%H:%M:%S %z", WHEN),
        ("17/May/2015:12:05:03 +0200", "%d/%b/%Y:%H:%M:%S %z", WHEN),
        ("Sun, 17 May 2015 10:05:03 GMT", "%a, %d %b %Y %H:%M:%S %z", WHEN),
        ("Sun May 17 10:05:03 2015", "%a %b %d %H:%M:%S %Y", WHEN.replace(tzinfo=None)),
        ("17/05/2015", "%d/%m/%Y", datetime(2015, 5, 17)),
        ("05/17/2015 10:05 PM", "%m/%d/%Y %I:%M %p", datetime(2015, 5, 17, 22, 5)),
        ("05/17/2015 12:05 am", "%m/%d/%Y %I:%M %p", datetime(2015, 5, 17, 0, 5)),
        ("17.05.2015 10:05", "%d.%m.%Y %H:%M", datetime(2015, 5, 17, 10, 5)),
        ("7.5.2015, 10:05:03,5", "%d.%m.%Y, %H:%M:%S,%f", datetime(2015, 5, 7, 10, 5, 3, 500_000)),
        ("17 May 2015", "%d %b %Y", datetime(2015, 5, 17)),
        ("May 17, 2015 10:05:03 UTC", "%b %d, %Y %H:%M:%S %z", WHEN),
        ("1431857103", "epoch", WHEN),
        ("1431857103.5", "epoch", WHEN + timedelta(seconds=0.5)),
        ("1431857103000", "epoch_ms", WHEN),
        ("1431857103000001", "epoch_us", WHEN + timedelta(microseconds=1)),
        ("1431857103000000000", "epoch_ns", WHEN),
        (1431857103, "epoch", WHEN),
        (1431857103000, "epoch_ms", WHEN),
        (1431857103.25, "epoch", WHEN + timedelta(seconds=0.25)),
        (WHEN, "native", WHEN),
        (date(2015, 5, 17), "native", datetime(2015, 5, 17)),
    ],
)
def test_the_form_is_found_and_reads(text: Any, name: str, expected: datetime) -> None:
    form = find_form("when", [None, "", text])
    assert form.name == name
    read = form.read(text)
    assert read == expected
    assert (read.tzinfo is None) == (expected.tzinfo is None)


def test_a_later_row_decides_between_day_and_month() -> None:
    assert find_form("d", ["03/04/2006", "05/06/2006", "25/06/2006"]).name == "%d/%m/%Y"
    assert find_form("d", ["03-04-2006 10:00", "05-25-2006 11:00"]).name == "%m-%d-%Y %H:%M"


def test_what_could_be_two_dates_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="could be %d/%m/%Y or %m/%d/%Y: say which, with --timestamp-format"
    ) as caught:
        find_form("d", ["03/04/2006", "05/06/2006"])
    assert "03/04" not in str(caught.value)
    with pytest.raises(ConfigError, match="has dates both of the form"):
        find_form("d", ["25/12/2006", "12/25/2006", "24/12/2006"])


@pytest.mark.parametrize("sample", [[], [None, ""], ["soon", "later"], ["03/04/06"], [True], [float("nan")]])
def test_a_column_without_a_known_form_is_refused(sample: list[Any]) -> None:
    if sample and isinstance(sample[0], float):
        assert find_form("d", [*sample, 1431857103]).name == "epoch"
        return
    with pytest.raises(ConfigError, match="--timestamp-format"):
        find_form("d", sample)


def test_one_odd_row_does_not_change_the_form() -> None:
    form = find_form("d", ["2006-04-07", "soon", "2006-04-08"])
    assert form.name == "iso"
    with pytest.raises(ValueError, match=r".*"):
        form.read("soon")


def test_digits_in_an_iso_column_are_no_iso_date() -> None:
    # fromisoformat takes any character between date and time: 2006040 7 01234 would be an hour.
    assert find_form("d", ["2006040701234"] * 3).name == "epoch_ms"


def test_a_form_given_by_hand() -> None:
    assert DateForm("%d/%m/%y %H.%M").read("03/04/06 10.05") == datetime(2006, 4, 3, 10, 5)
    assert DateForm("%d%m%Y").read("03042006") == datetime(2006, 4, 3)
    for wrong in ("31/02/2006 10.05", "03/04/06", "x"):
        with pytest.raises(ValueError, match=r".*"):
            DateForm("%d/%m/%Y %H.%M").read(wrong)


@pytest.mark.parametrize("value", ["x", "", "1e400", True, None, [1]])
def test_what_is_no_epoch(value: Any) -> None:
    with pytest.raises(ValueError, match=r".*"):
        DateForm("epoch").read(value)


def test_naive_times_are_in_the_zone() -> None:
    berlin = zone_of("Europe/Berlin")
    assert DateForm("iso", berlin).read("2006-07-01 12:00").astimezone(UTC).hour == 10
    assert DateForm("iso", berlin).read("2006-07-01 12:00+00:00").astimezone(UTC).hour == 12
    assert DateForm("%d/%m/%Y", zone_of("+02:00")).read("01/07/2006").utcoffset() == timedelta(hours=2)
    assert zone_of("utc") is None
    assert zone_of("-0330") == timezone(timedelta(hours=-3, minutes=-30))


def test_a_form_can_be_pickled() -> None:
    form = DateForm("%d/%m/%Y", zone_of("Europe/Berlin"))
    again = pickle.loads(pickle.dumps(form))
    assert again == form
    assert again.read("01/07/2006") == form.read("01/07/2006")
