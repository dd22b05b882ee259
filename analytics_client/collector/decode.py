"""From a request's bytes to a document, and from a document to bytes.

This file owns the bounds on both: the inflated size, the depth, and the exactness of what is kept. Pure; it must not
know any service.

orjson reads nearly everything. It would round long numbers (18446744073709551616, 0.10000000000000000555) and refuse
halves of surrogate pairs, though real services take both; those bodies go the slow way, so that what is shown is what
was sent.
"""

import json
import re
import zlib
from decimal import Decimal
from typing import Any, NoReturn

import orjson

MAX_DEPTH = 254
"""Levels of one event. It is the depth at which orjson stops writing."""
MAX_BATCH_DEPTH = MAX_DEPTH + 2
"""Levels of a batch: the events lie in a list in an object."""

_GZIP = 31  # zlib's word for: a gzip header, and the largest window
_EXACT_DIGITS = 18  # every integer of so many digits fits 64 bits

# A text runs to its closing quote or, in a broken body, to the end: without the second way out the search would start
# again at every quote, and 5 MB would take minutes.
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_LONG_NUMBER = re.compile(rb"[0-9][0-9.]{16}")
_ESCAPE = re.compile(
    rb"\\(?:(?P<pair>u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


class NotJsonError(ValueError):
    """The body is not JSON, or is nested too deeply. The text never quotes the body."""


class BadGzipError(ValueError):
    """The body says that it is gzip, and is not (or not to its end)."""


class TooLargeError(ValueError):
    """The inflated body passes the limit."""


def inflate(data: bytes, limit: int) -> bytes:
    """Unpack gzip, holding never more than `limit` + 1 bytes of the result.

    Raises:
        TooLargeError: There is more than `limit` bytes.
        BadGzipError: The data is not one whole gzip member.
    """
    stream = zlib.decompressobj(_GZIP)
    try:
        result = stream.decompress(data, limit + 1)
    except zlib.error:
        raise BadGzipError("not gzip") from None
    if len(result) > limit:
        raise TooLargeError("too large once inflated")
    if not stream.eof or stream.unused_data:
        raise BadGzipError("not one whole gzip member")
    return result


def load(body: bytes, max_depth: int = MAX_DEPTH) -> tuple[Any, bool]:
    """Read JSON. Integers that do not fit 64 bits and floats that would be rounded come as Decimal.

    Returns:
        The document, and whether halves of surrogate pairs had to be replaced by U+FFFD.

    Raises:
        NotJsonError: It is not JSON (NaN and Infinity are not), not UTF-8, or deeper than `max_depth`.
    """
    if is_deeper(body, max_depth):
        raise NotJsonError("nested too deeply")
    whole = _replace_halves(body) if b"\\u" in body else body
    if not _LONG_NUMBER.search(whole):
        try:
            return orjson.loads(whole), whole is not body
        except orjson.JSONDecodeError:
            pass  # it may still be a number too large for a float: the slow way decides
    return _load_exactly(whole), whole is not body


def is_deeper(body: bytes, max_depth: int) -> bool:
    """Say whether JSON text opens more than `max_depth` levels, without parsing it."""
    if body.count(b"[") + body.count(b"{") <= max_depth:
        return False
    depth = 0
    for bracket in _TEXT.sub(b"", body).translate(None, delete=_NO_BRACKETS):
        if bracket in b"[{":
            depth += 1
            if depth > max_depth:
                return True
        else:
            depth -= 1
    return False


def dump(value: Any) -> bytes:
    """Write compact UTF-8 JSON with every digit that was read.

    Raises:
        NotJsonError: The value is nested too deeply.
    """
    try:
        return orjson.dumps(value, default=_literal)
    except orjson.JSONEncodeError as error:
        raise NotJsonError("cannot be written as JSON") from error


def _literal(value: Any) -> orjson.Fragment:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError


def _replace_halves(body: bytes) -> bytes:
    halves = 0

    def mend(match: re.Match[bytes]) -> bytes:
        nonlocal halves
        if match["half"] is None:
            return match[0]
        halves += 1
        return b"\\ufffd"

    mended = _ESCAPE.sub(mend, body)
    return mended if halves else body


def _load_exactly(body: bytes) -> Any:
    try:
        return json.loads(
            body.decode("utf-8"), parse_int=_integer, parse_float=_fraction, parse_constant=_refuse_constant
        )
    except (ValueError, ArithmeticError, RecursionError):
        raise NotJsonError("not JSON") from None


def _integer(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= _EXACT_DIGITS else Decimal(digits)


def _fraction(digits: str) -> float | Decimal:
    number = float(digits)
    return number if repr(number) == digits else Decimal(digits)


def _refuse_constant(_name: str) -> NoReturn:
    raise NotJsonError("NaN and Infinity are not JSON")
