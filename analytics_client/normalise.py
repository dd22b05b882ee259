"""Turns any value a caller may put into an event into plain JSON values, knowing the path of each. Pure.

The slow way, taken only for what orjson refuses. Owns the type table of the documentation ("What values become").
Walks with its own stack: depth and cycles are found by counting, never by exhausting Python's. Code of the user's
inside values (iterators, `__str__`, properties) may raise anything: that value is left out, the event goes. Neither a
value nor what user code says of it ever enters a report.
"""

import datetime as dt
import os
from collections.abc import Callable, Iterator, Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from dataclasses import fields
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from analytics_client.message import Message, Report

#: Containers inside containers, the event itself counted. orjson writes 254; a dialect's shaping may add a few.
MAX_DEPTH = 250
# An event cannot hold more values than it has bytes; an endless generator must end somewhere.
_MAX_ITEMS = 65_536
_LONGEST_PATH = 200
_MAX_CONVERSIONS = 16  # an Enum of a dataclass of ...; a `default` hook that returns what it was given


class Literal:
    """A number too long for 64 bits or a float: exact digits that go into the JSON as they are."""

    __slots__ = ("digits",)

    def __init__(self, digits: str) -> None:
        self.digits = digits


class _Unencodable(Exception):
    """Holds the sentence for the report."""


class _Frame:
    """One container being walked: what is left of it, and what it becomes."""

    __slots__ = ("container", "items", "key", "result")

    def __init__(self, container: Any, items: Iterator[tuple[Any, Any]], result: dict[str, Any] | list[Any]) -> None:
        self.container = container  # kept alive while it is walked, so that its id stays its own
        self.items = items
        self.result = result
        self.key: Any = None

    def store(self, value: Any) -> None:
        if isinstance(self.result, dict):
            self.result[self.key] = value
        else:
            self.result.append(value)


def normalise(message: Message, report: Report, default: Callable[[Any], Any] | None) -> Message:
    """Return a copy of `message` made of plain dicts, lists, text, numbers, booleans, None and `Literal`s.

    Args:
        message: the event in the common form; unchanged.
        report: called as (path, problem) for each value that is left out; may raise to refuse the event.
        default: the user's hook, asked about values that no rule covers; may be None.
    """
    finished: dict[str, Any] = {}
    frames = [_Frame(message, iter(list(message.items())), finished)]
    walking = {id(message)}  # containers from the root to here: meeting one again is a cycle
    while frames:
        problem = None
        try:
            _step(frames, walking, default)
        except _Unencodable as error:
            problem = str(error)
        except Exception as error:
            # Only the type: the text of a user's exception may quote the value.
            problem = f"converting it raised {type(error).__name__}"
        if problem is not None:  # outside the handler, so that what `report` raises carries no foreign exception
            report(_path(frames), problem)
    return finished


def _step(frames: list[_Frame], walking: set[int], default: Callable[[Any], Any] | None) -> None:
    """Deal with the next item of the innermost container: store it, open it, or close the container at its end."""
    frame = frames[-1]
    try:
        frame.key, value = next(frame.items)
    except StopIteration:
        _close(frames, walking)
        if frames:
            frames[-1].store(frame.result)
        return
    except Exception as error:
        _close(frames, walking)  # half a container would be a wrong value, so none of it is kept
        if isinstance(error, _Unencodable):
            raise
        raise _Unencodable(f"reading it raised {type(error).__name__}") from None
    if isinstance(frame.result, dict):
        frame.key = _key(frame.key, frame.result)
    value = _converted(value, default)
    if type(value) in _LEAVES:
        frame.store(value)
        return
    if id(value) in walking:
        raise _Unencodable("holds itself")
    if len(frames) >= MAX_DEPTH:
        raise _Unencodable(f"is nested deeper than {MAX_DEPTH} levels")
    frames.append(_Frame(value, *_opened(value)))
    walking.add(id(value))


def _close(frames: list[_Frame], walking: set[int]) -> None:
    walking.discard(id(frames.pop().container))


def _path(frames: list[_Frame]) -> str:
    path = ""
    for frame in frames:
        path += f".{_name(frame.key)}" if isinstance(frame.result, dict) else f"[{frame.key}]"
    return path[1:] if len(path) <= _LONGEST_PATH else f"{path[1:_LONGEST_PATH]}..."


def _name(key: Any) -> str:
    """A key as text that is safe in a log: keys of odd types are named by type, since `repr` is the user's code."""
    return key[:100] if type(key) is str else f"<key of type {type(key).__name__}>"


_LEAVES = frozenset({str, int, float, bool, type(None), Literal})
_CONTAINERS = (Mapping, Sequence, AbstractSet, ValuesView, Iterator)
_BINARY = (bytes, bytearray, memoryview)


def _opened(value: Any) -> tuple[Iterator[tuple[Any, Any]], dict[str, Any] | list[Any]]:
    if isinstance(value, Mapping):
        # Copied at one stroke where it is a dict: another thread may be changing it.
        items = value.items()
        return iter(list(items) if isinstance(value, dict) else _bounded(items)), {}
    return enumerate(list(value) if isinstance(value, list | tuple) else _bounded(value)), []


def _bounded(values: Any) -> Iterator[Any]:
    for count, each in enumerate(values):
        if count == _MAX_ITEMS:
            raise _Unencodable(f"has more than {_MAX_ITEMS:,} values; an event cannot hold them")
        yield each


def _key(key: Any, taken: dict[str, Any]) -> str:
    """JSON's keys are text; Python's `json` writes True, None and numbers as their JSON forms, and so do we."""
    value = _converted(key, None)
    if value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, (int, float)):
        text = repr(value)
    elif isinstance(value, Literal):
        text = value.digits
    elif isinstance(value, str):
        text = value
    else:
        raise _Unencodable(f"a key of type {type(key).__name__} has no form in JSON")
    if text in taken:
        raise _Unencodable("two keys are the same text in JSON; the first one is kept")
    return text


def _converted(value: Any, default: Callable[[Any], Any] | None) -> Any:
    """Return a leaf in its final form, or a container whose items are still as they were."""
    for _ in range(_MAX_CONVERSIONS):
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Enum):
            value = value.value
        elif isinstance(value, str):
            return _text(str(value))
        elif isinstance(value, int):
            return _integer(int(value))
        elif isinstance(value, float):
            value = float(value)
            return value if value - value == 0 else None  # NaN and the infinities have no JSON form
        elif isinstance(value, Decimal):
            return Literal(str(value)) if value.is_finite() else None
        elif isinstance(value, (dt.date, dt.time)):
            return _time(value)
        elif isinstance(value, dt.timedelta):
            return _duration(value)
        elif isinstance(value, UUID):
            return str(value)
        elif isinstance(value, _BINARY):
            return _decoded(bytes(value))
        elif isinstance(value, os.PathLike):
            value = os.fspath(value)
        elif (opened := _by_family(value)) is not value:
            value = opened
        elif isinstance(value, _CONTAINERS) and not hasattr(value, "read"):  # a file's lines are no list
            return value
        elif default is not None:
            value = default(value)
        else:
            kind = type(value).__name__
            raise _Unencodable(f"a value of type {kind} has no form in JSON; convert it, or give the client default=")
    raise _Unencodable(f"is still no JSON value after {_MAX_CONVERSIONS} conversions")


def _by_family(value: Any) -> Any:
    """Open objects of libraries that may or may not be installed, told by what their classes carry."""
    kind = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    if hasattr(kind, "__pydantic_validator__"):
        return value.model_dump()
    if hasattr(kind, "__attrs_attrs__"):
        return {each.name: getattr(value, each.name) for each in kind.__attrs_attrs__}
    if kind.__module__ == "numpy" and hasattr(kind, "tolist"):
        if value.dtype.kind in "mM":  # times may count nanoseconds, which datetime cannot
            value = value.astype(f"{value.dtype.kind}8[us]")
        return value.tolist()
    if any(base.__name__ in _LAZY_TEXTS for base in kind.__mro__):
        return str(value)
    return value


# Translations that are looked up when shown: Django's, Flask-Babel's and speaklater's; and the standard library's text
# in a wrapper, which would pass for a list of characters.
_LAZY_TEXTS = frozenset({"Promise", "LazyString", "_LazyString", "LazyProxy", "UserString"})


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        # A pair of surrogates is a character written in two halves; a lone one is U+FFFD.
        value = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


def _integer(value: int) -> int | Literal:
    # Through Decimal: Python refuses to write integers of more than 4,300 digits itself.
    return value if -(2**63) <= value < 2**64 else Literal(format(Decimal(value), "f"))


def _time(value: dt.date | dt.time) -> str | None:
    if value != value:  # noqa: PLR0124 - pandas' missing time is a datetime unequal to itself
        return None
    text = value.isoformat()
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            return text + "Z"
        return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text
    return text


def _duration(value: dt.timedelta) -> str:
    """ISO 8601: `P1DT2H3M4.5S`; a negative one as a whole (`-PT1S`)."""
    microseconds = value // dt.timedelta(microseconds=1)
    sign, microseconds = ("-", -microseconds) if microseconds < 0 else ("", microseconds)
    minutes, microseconds = divmod(microseconds, 60_000_000)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    seconds = f"{microseconds / 1_000_000:.6f}".rstrip("0").rstrip(".")
    text = f"{days}D" if days else ""
    clock = "".join(f"{amount}{unit}" for amount, unit in ((hours, "H"), (minutes, "M")) if amount)
    if seconds != "0" or not (text or clock):
        clock += f"{seconds}S"
    return f"{sign}P{text}T{clock}" if clock else f"{sign}P{text}"


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _Unencodable(
            "bytes that are not UTF-8 have no form in JSON; encode them, in base64 for example"
        ) from None
