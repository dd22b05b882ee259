"""Casts: what the text of a cell becomes. Pure.

Each takes a value and returns another, or raises ValueError with the end of a sentence ("is no whole number") that
names no value. Values that have their type already (from JSON or Parquet) pass. Nothing is rounded, and nothing that
would not come back the same is taken: no `1_000`, no other alphabet's digits, no NaN.
"""

import json
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any

_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TRUE = frozenset(("true", "t", "yes", "y", "on", "1"))
_FALSE = frozenset(("false", "f", "no", "n", "off", "0"))

# A float of so many digits comes back the same; more go through Decimal.
_EXACT_DIGITS = 15


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise ValueError("has no plain text")  # noqa: TRY004 - one kind of error for what does not fit
    return str(value)


def _int(value: Any) -> int:
    if type(value) is str:
        if value.isascii() and value.isdecimal() and len(value) < 4_000:
            return int(value)  # the everyday case
        if _INTEGER.fullmatch(value) or _INTEGER.fullmatch(value := value.strip()):
            # Python reads no more than 4,300 digits from text in one go.
            return int(value) if len(value) < 4_000 else int(Decimal(value))
    elif (
        isinstance(value, (int, float, Decimal))
        and not isinstance(value, bool)
        and isfinite(value)
        and value == int(value)
    ):
        return int(value)
    raise ValueError("is no whole number")


def exact_number(text: str) -> float | Decimal:
    """Return a decimal fraction's digits as the float that is written the same, or as a Decimal."""
    if len(text) > _EXACT_DIGITS or "e" in text or "E" in text:
        return Decimal(text)  # 1e999 is no infinity, and 1e-999 not nothing
    return float(text)


def _float(value: Any) -> int | float | Decimal:
    if type(value) is str:
        value = value.strip()
        if _NUMBER.fullmatch(value):
            return exact_number(value)
    elif isinstance(value, (int, float, Decimal)) and not isinstance(value, bool) and isfinite(value):
        return value
    raise ValueError("is no finite number")


def _bool(value: Any) -> bool:
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError("is neither true nor false (true, yes, on, 1; false, no, off, 0)")


def _refused_constant(name: str) -> Any:
    raise ValueError(name)


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_float=exact_number, parse_constant=_refused_constant)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None


def _date(value: Any) -> datetime:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else datetime.fromisoformat(value.isoformat())
    except (ValueError, AttributeError):
        raise ValueError("is no ISO 8601 date") from None


#: The names that a mapping may use.
CASTS: dict[str, Callable[[Any], Any]] = {
    "text": _text,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "json": _json,
    "date": _date,
}
