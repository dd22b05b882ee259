"""Dates in the many forms real files have: the form is found once per column, and every row is then read by it. Pure.

Owns the forms, finding one in a sample, and the sentence for a column whose form cannot be known. Must not guess: where
a sample could mean two times (`03/04/2006`), the user says which. A value that does not fit its column's form is an
error of its row, never read some other way.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from math import isfinite
from typing import Any

from analytics_client.errors import ConfigError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: Names of the forms that no pattern describes.
ISO = "iso"
NATIVE = "native"
#: Microseconds per unit, by the form's name.
_UNITS = {
    "epoch": Decimal(1_000_000),
    "epoch_ms": Decimal(1_000),
    "epoch_us": Decimal(1),
    "epoch_ns": Decimal("0.001"),
}

_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
_MONTH = "[Jj]an|[Ff]eb|[Mm]ar|[Aa]pr|[Mm]ay|[Jj]un|[Jj]ul|[Aa]ug|[Ss]ep|[Oo]ct|[Nn]ov|[Dd]ec"
_ZONE = r"Z|UTC|GMT|[+-]\d\d(?::?\d\d)?"

_SHORT_DATE = re.compile(r"^(\d{4})-(\d{1,2})-(\d{1,2})(?=$|[T ])")

# What each directive of strptime matches. English names whatever the locale: files do not know this machine's.
_DIRECTIVES = {
    "%Y": r"(?P<Y>\d{4})",
    "%y": r"(?P<y>\d\d)",
    "%m": r"(?P<m>1[0-2]|0?[1-9])",
    "%d": r"(?P<d>3[01]|[12]\d|[0 ]?[1-9])",
    "%H": r"(?P<H>2[0-3]|[01]?\d)",
    "%I": r"(?P<I>1[0-2]|0?[1-9])",
    "%M": r"(?P<M>[0-5]\d)",
    "%S": r"(?P<S>[0-5]\d)",
    "%f": r"(?P<f>\d{1,9})",
    "%p": r"(?P<p>[AaPp])\.?[Mm]\.?",
    "%b": rf"(?P<b>{_MONTH})[a-z]*\.?",
    "%B": rf"(?P<b>{_MONTH})[a-z]*\.?",
    "%a": r"[A-Za-z]{3,9}\.?",
    "%A": r"[A-Za-z]{3,9}",
    "%z": rf"(?P<z>{_ZONE})",
    "%%": "%",
}
_DIRECTIVE = re.compile("%.")


@dataclass(frozen=True, slots=True)
class DateForm:
    """How the dates of a column are read.

    Attributes:
        name: `iso`, `native`, `epoch`, `epoch_ms`, `epoch_us`, `epoch_ns`, or a pattern of strptime's.
        zone: what naive times mean; None: UTC.
        read: a value to a datetime; naive means UTC, aware what it says. Raises ValueError for what does not fit.
    """

    name: str
    zone: tzinfo | None = None
    read: Callable[[Any], datetime] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "read", _zoned(_reader(self.name), self.zone))

    def __reduce__(self) -> tuple[type["DateForm"], tuple[str, tzinfo | None]]:
        return type(self), (self.name, self.zone)


def zone_of(name: str) -> tzinfo | None:
    """Return the zone of a name such as `Europe/Berlin`, `UTC` or `+02:00`; None for UTC.

    Raises:
        ConfigError: there is none of that name.
    """
    if name.upper() in ("UTC", "GMT", "Z"):
        return None
    if re.fullmatch(r"[+-]\d\d(:?\d\d)?", name):
        return _offset(name)
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - only where a zone is named

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ConfigError(f"no timezone is called {name!r}: give one such as Europe/Berlin, UTC or +02:00") from None


# -- reading ---------------------------------------------------------------------------------------------------------


def _reader(name: str) -> Callable[[Any], datetime]:
    if name == ISO:
        return _read_iso
    if name == NATIVE:
        return _read_native
    if name in _UNITS:
        return _epoch_reader(_UNITS[name])
    return _pattern_reader(name)


def _zoned(read: Callable[[Any], datetime], zone: tzinfo | None) -> Callable[[Any], datetime]:
    if zone is None:
        return read

    def zoned(value: Any) -> datetime:
        moment = read(value)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)

    return zoned


def _read_iso(value: Any) -> datetime:
    if type(value) is not str:
        return _read_native(value)
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        # One-digit months and days, as real exports write them: `2006-4-7 17:08`.
        padded = _SHORT_DATE.sub(lambda found: f"{found[1]}-{found[2]:0>2}-{found[3]:0>2}", value.strip(), count=1)
        return datetime.fromisoformat(padded)


def _read_native(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    raise ValueError("no date")


def _epoch_reader(unit: Decimal) -> Callable[[Any], datetime]:
    def read(value: Any) -> datetime:
        if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
            raise ValueError("no number")  # noqa: TRY004 - one kind of error for what does not fit
        try:
            # By Decimal: a float of microseconds since 1970 would lose some.
            return _EPOCH + timedelta(microseconds=int(Decimal(str(value).strip()) * unit))
        except (ArithmeticError, OverflowError):
            raise ValueError("no time") from None

    return read


def _pattern_reader(pattern: str) -> Callable[[Any], datetime]:
    match = _compiled(pattern).fullmatch

    def read(value: Any) -> datetime:
        if type(value) is not str:
            return _read_native(value)
        found = match(value.strip())
        if found is None:
            raise ValueError("another form")
        part = found.groupdict()
        month = int(part["m"]) if "m" in part else _MONTHS[part["b"].lower()]
        year = int(part["Y"]) if "Y" in part else _full_year(int(part["y"]))
        hour = int(part["H"]) if "H" in part else int(part.get("I", 0))
        if "p" in part:
            hour = hour % 12 + (12 if part["p"] in "pP" else 0)
        micros = int((part["f"] + "00000")[:6]) if part.get("f") else 0
        zone = _offset(part["z"]) if "z" in part else None
        return datetime(year, month, int(part["d"]), hour, int(part.get("M", 0)), int(part.get("S", 0)), micros, zone)

    return read


def _full_year(year: int) -> int:
    return year + (2000 if year < 69 else 1900)  # as POSIX and strptime do


def _offset(text: str) -> tzinfo:
    if text in ("Z", "UTC", "GMT"):
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[3:].lstrip(":") or 0)
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _compiled(pattern: str) -> re.Pattern[str]:
    """Turn a pattern of strptime's into a regular expression.

    Raises:
        ConfigError: it has a directive that is not known, one twice, or no whole date.
    """
    known = {each for each in _DIRECTIVES if each != "%%"}
    unknown = [each for each in _DIRECTIVE.findall(pattern) if each not in _DIRECTIVES]
    if unknown or pattern.replace("%%", "").endswith("%"):
        shown = unknown[0] if unknown else "a single % at the end"
        raise ConfigError(f"the date format {pattern!r} has {shown}; known are {' '.join(sorted(known))} and %%")
    used = {name[1].replace("B", "b") for name in _DIRECTIVE.findall(pattern)}
    if not (used & {"Y", "y"} and used & {"m", "b"} and "d" in used):
        raise ConfigError(
            f"the date format {pattern!r} names no whole date: it needs a year (%Y), a month (%m, %b) and a day (%d); "
            f"or give one of {ISO}, {', '.join(_UNITS)}"
        )
    pieces, position = [], 0
    for found in _DIRECTIVE.finditer(pattern):
        pieces += [re.escape(pattern[position : found.start()]), _DIRECTIVES[found[0]]]
        position = found.end()
    pieces.append(re.escape(pattern[position:]))
    try:
        return re.compile("".join(pieces), re.ASCII)
    except re.error:
        raise ConfigError(f"the date format {pattern!r} names a part of the date twice") from None


# -- finding the form ------------------------------------------------------------------------------------------------

_TIME = re.compile(
    r"(?P<sep>[ T]|, | at |:|)(?P<hour>\d{1,2}):\d\d(?P<second>:\d\d)?(?P<fraction>[.,]\d{1,9})?"
    rf"(?P<noon> ?)?(?P<half>[AaPp]\.?[Mm]\.?)?(?P<gap> ?)(?P<zone>{_ZONE})?"
)
# The date part of a value, and the patterns that it could be; a pattern's separators are those of the value.
_DATES = [
    (re.compile(r"\d{4}([-/.])\d{1,2}\1\d{1,2}"), ("%Y{0}%m{0}%d",)),
    (re.compile(r"\d{1,2}([-/])\d{1,2}\1\d{4}"), ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y")),
    (re.compile(r"\d{1,2}(\.)\d{1,2}\1\d{4}"), ("%d{0}%m{0}%Y",)),  # nobody writes the month first with dots
    (re.compile(rf"\d{{1,2}}([-/ ])(?:{_MONTH})[a-z]*\.?\1\d{{4}}"), ("%d{0}%b{0}%Y",)),
    (re.compile(rf"[A-Z][a-z]{{2,8}}(,? )\d{{1,2}} (?:{_MONTH})[a-z]* \d{{4}}"), ("%a{0}%d %b %Y",)),
    (re.compile(rf"(?:{_MONTH})[a-z]*\.? \d{{1,2}}(,? )\d{{4}}"), ("%b %d{0}%Y",)),
]
_ASCTIME = re.compile(rf"[A-Z][a-z]{{2}} (?:{_MONTH}) [ \d]\d \d\d:\d\d:\d\d \d{{4}}")
_SECONDS = re.compile(r"[+-]?\d{9,10}(\.\d+)?")
_DIGITS = {12: "epoch_ms", 13: "epoch_ms", 15: "epoch_us", 16: "epoch_us", 18: "epoch_ns", 19: "epoch_ns"}

# Values of the sample that are asked for their form, and values that each form is then tried on.
_LOOKED_AT = 200
_TRIED = 10_000


def find_form(column: str, sample: Iterable[Any], zone: tzinfo | None = None) -> DateForm:
    """Find the form of a column's dates in a sample of its values; absent ones (None, blank) do not count.

    Raises:
        ConfigError: the sample could mean two times, mixes day-first and month-first dates, or has no known form.
    """
    values = [each for each in sample if each is not None and each != ""][:_TRIED]
    if not values:
        raise ConfigError(f"the column {column!r} has no dates in the first rows: say how to read it, {_HOW}")
    names = dict.fromkeys(name for value in values[:_LOOKED_AT] for name in _possible(value))
    fits = {name: _fitting(DateForm(name), values) for name in names}
    best = max(fits.values(), default=0)
    if best * 2 < len(values):
        raise ConfigError(f"the dates of the column {column!r} have no form that is known here: give it, {_HOW}")
    winners = [name for name, count in fits.items() if count == best]
    for name in winners:
        twin = _twin(name)
        if twin is None:
            continue
        # Both may fit all, or each some: 25/12 tells, but a column that also has 12/25 is not to be trusted.
        only_twin = any(_fits(DateForm(twin), each) and not _fits(DateForm(name), each) for each in values)
        if twin in winners or only_twin:
            raise ConfigError(
                f"the dates of the column {column!r} could be {name} or {twin}: say which, {_HOW}"
                if twin in winners
                else f"the column {column!r} has dates both of the form {name} and {twin}: say which is meant, {_HOW}"
            )
    return DateForm(winners[0], zone)


_HOW = "with --timestamp-format (in a mapping: format = ...)"


def _possible(value: Any) -> list[str]:
    """Return the forms one value could have."""
    if isinstance(value, date):
        return [NATIVE]
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        size = abs(int(value)) if isfinite(value) else 0
        return [
            "epoch" if size < 10**11 else "epoch_ms" if size < 10**14 else "epoch_us" if size < 10**17 else "epoch_ns"
        ]
    if not isinstance(value, str):
        return []
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return ["epoch"]
    if text.isdecimal() and len(text) != 8:
        return [_DIGITS[len(text)]] if len(text) in _DIGITS else []
    if _fits(DateForm(ISO), value):
        return [ISO]
    if _ASCTIME.fullmatch(text):
        return ["%a %b %d %H:%M:%S %Y"]
    for expression, patterns in _DATES:
        found = expression.match(text)
        if found is None:
            continue
        rest = _time_pattern(text[found.end() :])
        if rest is not None:
            return [pattern.format(found[1]) + rest for pattern in patterns]
    return []


def _time_pattern(text: str) -> str | None:
    if not text:
        return ""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    hour = "%I" if found["half"] else "%H"
    pattern = f"{found['sep']}{hour}:%M" + (":%S" if found["second"] else "")
    if found["fraction"]:
        pattern += found["fraction"][0] + "%f"
    if found["half"]:
        pattern += f"{found['noon'] or ''}%p"
    if found["zone"]:
        pattern += (found["gap"] if found["half"] else found["noon"] or found["gap"] or "") + "%z"
    return pattern


def _twin(name: str) -> str | None:
    """Return the form that reads day for month, if this is one that could be confused."""
    found = re.match(r"%(d|m)([-/])%(m|d)\2%Y", name)
    return None if found is None else f"%{found[3]}{found[2]}%{found[1]}{name[5:]}"


def _fitting(form: DateForm, values: list[Any]) -> int:
    return sum(_fits(form, value) for value in values)


def _fits(form: DateForm, value: Any) -> bool:
    try:
        form.read(value)
    except (ValueError, OverflowError):
        return False
    return True
