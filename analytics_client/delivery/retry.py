"""From a response, or from none, to one Decision: the status table, Retry-After and the backoff. Pure.

Whose fault was it? An *endpoint's* fault says nothing about the events: they are held, and everything waits. An
*event's* fault settles events: the chunk is taken apart until the bad one is alone. Statuses as in Segment's own Node
library (408, 410, 429, 460 and 5xx but 501, 505, 511 are worth a retry), plus what a wrong setting answers (3xx, 401,
403, 404, 407): nobody repairs a setting faster for losing the events of the meantime.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from itertools import islice

from backoff import expo

from analytics_client.delivery.wire import Response
from analytics_client.errors import TransportError
from analytics_client.outcome import Reason

#: Seconds. The vendors' libraries agree on the cap of what a server may ask for and on the first and last waits.
RETRY_AFTER_CAP = 300.0
BACKOFF_FIRST = 0.5
BACKOFF_CAP = 60.0
#: Seconds between probes while a setting is wrong.
CONFIGURATION_WAIT = 60.0

_CONFIGURATION = frozenset({401, 403, 404, 407})
_TRANSIENT = frozenset({408, 410, 429, 460})
_FINAL_5XX = frozenset({501, 505, 511})
_CAUSE_LENGTH = 200


class Verdict(Enum):
    """What becomes of the events of one request."""

    DELIVERED = auto()
    #: The endpoint's fault: keep them and wait.
    HOLD = auto()
    #: One of them is refused (400, or a 2xx that says `"success": false`): halve until it is alone.
    BISECT = auto()
    #: Too much at once (413): halve.
    SPLIT = auto()
    #: None of them will ever be taken.
    REJECT = auto()


@dataclass(frozen=True, slots=True)
class Decision:
    """What one attempt means.

    Attributes:
        verdict: what to do.
        status: the HTTP status, None without an answer.
        cause: one line: the server's words cut to 200 characters, or why there was no answer.
        retry_after: seconds the server asked to wait, None if it did not.
        configuration: a setting is wrong: waiting alone will not mend it.
    """

    verdict: Verdict
    status: int | None
    cause: str
    retry_after: float | None = None
    configuration: bool = False

    @property
    def reason(self) -> Reason:
        """The reason of an event that ends by this decision."""
        if self.verdict is Verdict.DELIVERED:
            return Reason.DELIVERED
        return Reason.TOO_LARGE if self.verdict is Verdict.SPLIT else Reason.REJECTED

    @property
    def label(self) -> str:
        """The fault in a word or two, without anything the server said: for logs."""
        return "no answer" if self.status is None else f"status {self.status}"


def decide(response: Response, now: float) -> Decision:
    """Judge a response. `now`: seconds since 1970, for a Retry-After that is a date where no Date header came."""
    status = response.status
    cause = _cause(response)
    if 200 <= status < 300:
        refused = _says_no_success(response.body)
        return Decision(Verdict.BISECT if refused else Verdict.DELIVERED, status, cause if refused else "")
    if 300 <= status < 400 or status in _CONFIGURATION:
        return Decision(Verdict.HOLD, status, cause, _retry_after(response, now), configuration=True)
    if status in (400, 422):
        return Decision(Verdict.BISECT, status, cause)
    if status == 413:
        return Decision(Verdict.SPLIT, status, cause)
    if status in _TRANSIENT or (status >= 500 and status not in _FINAL_5XX) or status < 200:
        return Decision(Verdict.HOLD, status, cause, _retry_after(response, now))
    return Decision(Verdict.REJECT, status, cause)


def no_answer(error: Exception) -> Decision:
    """Judge an attempt that ended without a response."""
    configuration = isinstance(error, TransportError) and error.configuration
    text = str(error) if isinstance(error, TransportError) else type(error).__name__
    return Decision(Verdict.HOLD, None, text[:_CAUSE_LENGTH], configuration=configuration)


def wait(decision: Decision, failures: int, uniform: Callable[[float, float], float]) -> float:
    """Return seconds to wait before the next attempt.

    Args:
        decision: the failure.
        failures: failures in a row, this one included.
        uniform: a random number between two; full jitter, so that a fleet does not come back as one.
    """
    if decision.configuration:
        return max(CONFIGURATION_WAIT, decision.retry_after or 0.0)
    return max(backoff(failures, uniform), decision.retry_after or 0.0)


def backoff(failures: int, uniform: Callable[[float, float], float]) -> float:
    """Return a wait from 0 to a ceiling of 0.5 s, doubled with each failure up to 60 s."""
    ceilings = expo(base=2, factor=BACKOFF_FIRST, max_value=BACKOFF_CAP)
    ceilings.send(None)
    # Past the eighth failure every ceiling is the cap.
    ceiling = next(islice(ceilings, min(failures, 10) - 1, None))
    return uniform(0.0, float(ceiling))


def _cause(response: Response) -> str:
    text = response.body[: 4 * _CAUSE_LENGTH].decode("utf-8", "replace")
    return "".join(each if each.isprintable() else " " for each in text).strip()[:_CAUSE_LENGTH]


def _says_no_success(body: bytes) -> bool:
    if b'"success"' not in body:
        return False
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(answer, dict) and answer.get("success") is False


def _retry_after(response: Response, now: float) -> float | None:
    """Seconds or an HTTP date; nothing, zero, the past and garbage are no header; at most 300 seconds."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        # Thousands of digits would raise; nine are decades already.
        seconds = float(text) if len(text) < 10 else RETRY_AFTER_CAP
    else:
        date = _http_date(text)
        seconds = 0.0 if date is None else date - (_http_date(headers.get("date", "")) or now)
    return min(seconds, RETRY_AFTER_CAP) if seconds > 0 else None


def _http_date(text: str) -> float | None:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    # "-0000" makes a date without a zone, which `timestamp` would read in this machine's own.
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
