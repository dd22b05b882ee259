"""The pace of an import: token buckets for requests and for events. The clock is passed in; waiting is others' job.

Tokens are paid before a request goes: a bucket begins empty and holds a quarter of a second's worth, so that over any
time no more goes out than the rate allows, but for that quarter or one request, whichever is more.
"""

import threading
from collections.abc import Callable

# Seconds' worth of tokens that a bucket holds: what the answers' way back costs is made up for, an idle hour is not.
_DEPTH = 0.25


class Bucket:
    """Gives out tokens at a rate. Thread-safe.

    Args:
        rate: tokens a second; 0: no limit.
        now: a monotonic clock.
    """

    def __init__(self, rate: float, now: Callable[[], float]) -> None:
        self._rate = rate
        self._now = now
        self._lock = threading.Lock()
        self._tokens = 0.0  # below zero: promised to those who wait
        self._filled_at = now()

    def take(self, tokens: int) -> float:
        """Take tokens; return the seconds to wait before using them."""
        if not self._rate:
            return 0.0
        with self._lock:
            now = self._now()
            earned = (now - self._filled_at) * self._rate
            self._tokens = min(_DEPTH * self._rate, self._tokens + earned) - tokens
            self._filled_at = now
            return max(0.0, -self._tokens / self._rate)


class Pace:
    """Both buckets. `max_requests`, `max_events`: a second, 0 for no limit."""

    def __init__(self, max_requests: float, max_events: float, now: Callable[[], float]) -> None:
        self.counts_events = bool(max_events)
        self._requests = Bucket(max_requests, now)
        self._events = Bucket(max_events, now)

    def take(self, events: int) -> float:
        """Account for a request with so many events; return the seconds to wait before sending it."""
        return max(self._requests.take(1), self._events.take(events))
