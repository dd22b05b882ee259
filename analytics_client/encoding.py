"""A Message becomes bytes: once, in the caller's thread. Pure.

orjson goes first, with nothing before it. Only what it cannot take goes through `normalise`, which knows the path of
every value and leaves out, or in strict mode refuses, the one that has no form in JSON. Where orjson is missing
(sub-interpreters, other interpreters) the normaliser and the standard `json` do the whole work.

The bytes lack their closing brace: the dialect's frame supplies it, so that a stamp can be added at sending without
touching the event.
"""

import json
from collections.abc import Callable
from typing import Any

from analytics_client.dialects import Dialect
from analytics_client.errors import MessageTooLarge
from analytics_client.message import Message, Report
from analytics_client.normalise import Literal, normalise

try:
    import orjson
except ImportError:  # pragma: no cover - the test runs in an interpreter of its own
    orjson = None  # type: ignore[assignment]
    _OPTIONS = 0
else:
    # Left to `normalise`: times, because orjson asks their zone, which may be the user's code, and the process dies if
    # that raises; dataclasses, because orjson would send attributes that are no fields. For the same reason no
    # `default` goes with a caller's own dicts: while Python code runs, another thread may change them under orjson.
    _OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


def encode(message: Message, dialect: Dialect, report: Report, default: Callable[[Any], Any] | None) -> bytes:
    """Return the event's JSON without the closing brace.

    Args:
        message: as `message.build` made it, in strict mode or not.
        dialect: shapes it.
        report: called with (path, problem) for each value left out; raises `InvalidMessage` in strict mode.
        default: the user's hook for values without a rule: returns something that has one, or raises.
    """
    shaped = dialect.shape(message, report)
    if orjson is not None:
        try:
            # The slice is a copy of exact size: orjson's own buffer is over-allocated, to 4 KB for half of one.
            return orjson.dumps(shaped, None, _OPTIONS)[:-1]
        except TypeError:
            pass
    clean = normalise(message, report, default)
    shaped = dialect.shape(clean, _unreported)
    if orjson is not None:
        return orjson.dumps(shaped, default=_fragment, option=_OPTIONS)[:-1]
    return _dumps(shaped).encode()[:-1]


def too_large(event: bytes, tail_bytes: int, limit: int) -> MessageTooLarge:
    """Return the error for an event that is over `limit` with its `tail_bytes`: it names the largest keys."""
    sizes: list[tuple[str, int]] = []
    for key, value in json.loads(event + b"}", parse_int=Literal, parse_float=Literal).items():
        parts = {f"{key}.{inner}": each for inner, each in value.items()} if isinstance(value, dict) else {key: value}
        sizes += [(path, len(_dumps(each).encode())) for path, each in parts.items()]
    sizes.sort(key=lambda entry: entry[1], reverse=True)
    return MessageTooLarge(len(event) + tail_bytes, limit, sizes[:3])


def _unreported(path: str, problem: str) -> None:
    """The first shaping reported already."""


def _fragment(value: Any) -> Any:
    if isinstance(value, Literal):
        return orjson.Fragment(value.digits)
    raise TypeError


def _dumps(value: Any) -> str:
    """Write what `normalise` returned (or `json.loads`): plain dicts, lists and leaves, at most 254 deep."""
    if type(value) is dict:
        return "{" + ",".join(f"{_leaf(key)}:{_dumps(each)}" for key, each in value.items()) + "}"
    if type(value) is list:
        return "[" + ",".join(map(_dumps, value)) + "]"
    return value.digits if isinstance(value, Literal) else _leaf(value)


_leaf = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
