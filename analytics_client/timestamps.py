"""Timestamps: every form a caller may give, and the one form that goes on the wire. Pure.

The wire form is `2022-02-01T19:14:18.381Z`: UTC, milliseconds, a `Z` (RudderStack HTTP API, "Accepted fields";
Segment's OpenAPI asks for a date-time, which this is). A naive time means UTC. What could mean two times is refused,
not guessed: an event at the wrong time is worse than an event that says it is wrong.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Any

from analytics_client.errors import InvalidMessage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HINT = "give a datetime, ISO 8601 text such as '2022-02-01T19:14:18.381Z', or seconds since 1970"

# No form of a time is this long, and the guessing below takes time that grows with the text.
_LONGEST = 64

# One-digit months and days stand in a vendor's own sample (Segment HTTP API, Batch: `2015-2-02T00:30:08.276Z`), and
# real exports write `2006-4-7 17:08`. `fromisoformat` wants two digits.
_SHORT_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?=$|[T ])")


def utc_text(milliseconds: int) -> str:
    """Return milliseconds since 1970 in the wire form.

    Raises:
        OverflowError: outside the years 1 to 9999.
    """
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def timestamp_text(value: Any) -> str:
    """Return a caller's `timestamp` in the wire form; digits below the millisecond are cut off.

    Args:
        value: a datetime or date (naive means UTC; a date means its midnight), text in ISO 8601 or a form close to it,
            or seconds since 1970 as an int, float or Decimal.

    Raises:
        InvalidMessage: nothing of the kind, ambiguous (`03/04/2006`), incomplete, or outside the years 1 to 9999.
    """
    try:
        moment = _moment(value)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        return moment.isoformat(timespec="milliseconds") + "Z"
    except InvalidMessage:
        raise
    except Exception as error:
        # Not only ValueError: a tzinfo or a number type of the user's may raise what it likes.
        raise InvalidMessage("timestamp", f"cannot be read as a time ({type(error).__name__}); {_HINT}") from None


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    if isinstance(value, str):
        return _parsed(value)
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise InvalidMessage("timestamp", f"must be a time, not {type(value).__name__}; {_HINT}")
    seconds = float(value)
    if abs(seconds) > 253_402_300_800:  # the year 10000
        raise InvalidMessage("timestamp", "is beyond the year 9999: were these milliseconds? Give seconds since 1970")
    # Rounded to the microsecond first: 1.001 is 1.000999... in binary, and cutting that would lose a millisecond.
    return _EPOCH + timedelta(seconds=seconds)


def _parsed(text: str) -> datetime:
    text = text.strip()
    if len(text) > _LONGEST:
        raise InvalidMessage("timestamp", f"is text of {len(text):,} characters; {_HINT}")
    text = _SHORT_DATE.sub(lambda found: f"{found[1]}-{found[2]:0>2}-{found[3]:0>2}", text, count=1)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return _guessed(text)


def _guessed(text: str) -> datetime:
    """Read looser forms with dateutil, which never says that it guessed: so ask it in ways that show a guess."""
    from dateutil import parser  # noqa: PLC0415 - most processes never need it, and it is slow to load

    readings = set()
    year_first = text[:4].isdecimal()  # then nobody means the day by what follows
    for filling in (datetime(2000, 1, 1), datetime(2001, 2, 2)):  # noqa: DTZ001 - shows which parts the text lacks
        for day_first in (False,) if year_first else (False, True):
            read = parser.parse(text, default=filling, dayfirst=day_first, tzinfos=_zone)
            readings.add(read)
    if len(readings) > 1:
        raise InvalidMessage("timestamp", f"is incomplete or could mean several days; {_HINT}")
    return readings.pop()


def _zone(name: str | None, offset: int | None) -> tzinfo | None:
    # Called for every text. A bare name such as EST means different zones in different places, and dateutil would take
    # it for this machine's own zone where the names agree.
    if offset is None and name is None:
        return None
    if offset is None:
        raise InvalidMessage("timestamp", f"has a zone that only a place can explain; write an offset, or {_HINT}")
    return timezone(timedelta(seconds=offset))
