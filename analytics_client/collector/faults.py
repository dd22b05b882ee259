"""The fault script: what goes wrong with which request.

This file owns the script's language, as pure functions and one small player. It must not touch a socket or a clock:
`intake` and `protocol` act out what a step says.

    script  = step ("," step)* ["*"]                 the "*" repeats the last step for ever
    step    = action ["x" count] [":" header (";" header)*]
    action  = "ok" | "200" | status | "latency=" seconds
            | "drop-before"        read, and not kept; the connection is reset
            | "drop-unanswered"    kept; the connection is reset without an answer
            | "drop-while"         kept; the connection is reset in the middle of the answer
            | "drop-after"         kept and answered; then the connection is closed
    header  = name "=" value                         only with a status; a value with "," or ";" stands in double quotes

A status other than 200 keeps nothing. Each step is for one request, in the order in which they arrive; after the last
step answers are normal again.
For example: 503x3,429:Retry-After=2,drop-unanswered,latency=0.5
"""

import math
import re
from dataclasses import dataclass, replace
from enum import Enum

MAX_COUNT = 1_000_000
ALLOWED = (
    "allowed are ok, 200, a status from 201 to 599, latency=SECONDS, drop-before, drop-unanswered, drop-while and "
    "drop-after, each with xCOUNT, a status also with :Header=value;Header=value"
)

_STEPS = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*\Z)')
_HEADERS = re.compile(r';(?=(?:[^"]*"[^"]*")*[^"]*\Z)')
_HEAD = re.compile(r"(?P<action>[a-z-]+|[0-9]{3}|latency=(?P<seconds>[0-9.]+))(?:x(?P<count>[0-9]{1,7}))?")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


class Action(Enum):
    """What becomes of a request."""

    ANSWER = "ok"
    STATUS = "status"
    DROP_BEFORE = "drop-before"
    DROP_UNANSWERED = "drop-unanswered"
    DROP_WHILE = "drop-while"
    DROP_AFTER = "drop-after"


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one request. `text` is the step as written, `latency` is in seconds."""

    text: str = ""
    action: Action = Action.ANSWER
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    latency: float = 0.0
    count: int = 1


NORMAL = Step()


@dataclass(frozen=True, slots=True)
class Script:
    """Steps in order; `forever` repeats the last one."""

    steps: tuple[Step, ...] = ()
    forever: bool = False


class Player:
    """Hands out a script's steps, one per request. Its state belongs to the event loop's thread."""

    def __init__(self, script: Script) -> None:
        self._steps = list(script.steps)
        self._forever = script.forever

    def take(self) -> Step:
        """Give the step for the next request."""
        if not self._steps:
            return NORMAL
        step = self._steps[0]
        if self._forever and len(self._steps) == 1:
            return step
        if step.count > 1:
            self._steps[0] = replace(step, count=step.count - 1)
        else:
            del self._steps[0]
        return step


def parse(text: str) -> Script:
    """Read a fault script.

    Raises:
        ValueError: It says which step is wrong and what is allowed.
    """
    if not text.strip():
        return Script()
    forever = text.rstrip().endswith("*")
    parts = _STEPS.split(text.rstrip().removesuffix("*"))
    return Script(tuple(_step(number, part.strip()) for number, part in enumerate(parts, 1)), forever)


def _step(number: int, text: str) -> Step:
    head, colon, tail = text.partition(":")
    match = _HEAD.fullmatch(head.strip())
    if match is None:
        raise _wrong(number, text)
    count = int(match["count"] or 1)
    if not 1 <= count <= MAX_COUNT:
        raise _wrong(number, text)
    step = replace(_act(number, text, match), text=text, count=count)
    if colon and step.action is not Action.STATUS:
        raise _wrong(number, text)
    return replace(step, headers=_headers(number, text, tail)) if colon else step


def _act(number: int, text: str, match: re.Match[str]) -> Step:
    action = match["action"]
    if match["seconds"] is not None:
        return Step(latency=_seconds(number, text, match["seconds"]))
    if action in ("ok", "200"):
        return Step()
    if action.isdigit():
        if not 201 <= int(action) <= 599:
            raise _wrong(number, text)
        return Step(action=Action.STATUS, status=int(action))
    if not action.startswith("drop-") or action not in {known.value for known in Action}:
        raise _wrong(number, text)
    return Step(action=Action(action))


def _seconds(number: int, text: str, digits: str) -> float:
    try:
        seconds = float(digits)
    except ValueError:
        raise _wrong(number, text) from None
    if not math.isfinite(seconds):
        raise _wrong(number, text)
    return seconds


def _headers(number: int, text: str, tail: str) -> tuple[tuple[str, str], ...]:
    headers = []
    for part in _HEADERS.split(tail):
        name, equals, value = part.strip().partition("=")
        quoted = len(value) > 1 and value[0] == value[-1] == '"'
        value = value[1:-1] if quoted else value
        if not equals or not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise _wrong(number, text)
        headers.append((name, value))
    return tuple(headers)


def _wrong(number: int, text: str) -> ValueError:
    return ValueError(f"step {number} of the fault script, {text!r}, is not understood: {ALLOWED}.")
