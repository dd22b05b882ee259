"""AWS Lambda: what a call has made is sent before it returns, since the process is frozen then, perhaps for ever.

    @flushing(analytics)
    def handler(event, context): ...

Owns how long the end of a call may take: never longer than what is left of the function's own time.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from analytics_client import Client
from analytics_client.contrib.guard import chosen, trouble

T = TypeVar("T")


def flushing(
    client: Client | None = None, *, reserve: float = 0.5, most: float = 10.0
) -> Callable[[Callable[[Any, Any], T]], Callable[[Any, Any], T]]:
    """Decorate a handler so that its events are sent before it returns or raises.

    Args:
        client: whose events; None: the module's default client.
        reserve: seconds of the function's time that are left alone.
        most: seconds that sending may take at the most; also where nobody says how much time is left, as in tests.

    What is not sent in time stays queued for the next call in this process, and is counted as the notice
    `lambda_unsent`.
    """

    def decorate(handler: Callable[[Any, Any], T]) -> Callable[[Any, Any], T]:
        @functools.wraps(handler)
        def wrapped(event: Any, context: Any) -> T:
            try:
                return handler(event, context)
            finally:
                _flush(client, context, reserve, most)

        return wrapped

    return decorate


def _flush(given: Client | None, context: Any, reserve: float, most: float) -> None:
    client: Client | None = None
    try:
        client = chosen(given)
        if client is not None and not client.flush(_patience(context, reserve, most)):
            sentence = "events are still queued at the end of a call; the next one sends them"
            client.notice("lambda_unsent", "", sentence)
    except Exception as error:
        trouble(client, "flush at the end of the call", error)


def _patience(context: Any, reserve: float, most: float) -> float:
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    return most if remaining is None else max(0.0, min(remaining() / 1000 - reserve, most))
