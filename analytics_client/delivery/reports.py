"""The user's callbacks: who is told how an event ended, and what happens when the listener misbehaves.

Callbacks run in the consumer (or in the drain at the end), one at a time, outside every lock of the delivery. What they
raise is logged once and counted; what they take too long for is noticed; what they call of the client works, but for
waiting (`flush`, `close`), which returns at once.
"""

import threading
from collections.abc import Callable, Iterable

from analytics_client.notices import Notices
from analytics_client.outcome import Outcome, Reason

#: Seconds after which a callback is called slow.
SLOW = 1.0

_Callback = Callable[[Outcome], object]


class Reports:
    """Tells `on_delivered` and `on_failed`, either of which may be None. `now` is a monotonic clock."""

    def __init__(
        self, on_delivered: _Callback | None, on_failed: _Callback | None, notices: Notices, now: Callable[[], float]
    ) -> None:
        self._on_delivered = on_delivered
        self._on_failed = on_failed
        self._notices = notices
        self._now = now
        self._turn = threading.Lock()
        self._teller: int | None = None  # the thread that is in a callback

    def listener(self, reason: Reason) -> _Callback | None:
        """Return who wants to hear of events that ended for `reason`."""
        return self._on_delivered if reason is Reason.DELIVERED else self._on_failed

    def is_inside(self) -> bool:
        """Whether this thread is in a callback."""
        return self._teller == threading.get_ident()

    def tell(self, outcomes: Iterable[Outcome], timeout: float = -1) -> None:
        """Call back for each outcome that has a listener. `timeout`: seconds to wait for one's turn, -1 for no end."""
        if not self._turn.acquire(timeout=timeout):
            self._notices.add("unreported", "turn", "a callback did not return in time: outcomes went unreported")
            return
        try:
            self._teller = threading.get_ident()
            for outcome in outcomes:
                listener = self.listener(outcome.reason)
                if listener is not None:
                    self._call(listener, outcome)
        finally:
            self._teller = None
            self._turn.release()

    def _call(self, listener: _Callback, outcome: Outcome) -> None:
        started = self._now()
        try:
            listener(outcome)
        except BaseException as error:  # SystemExit too: nobody above could act on it
            kind = type(error).__name__
            self._notices.add("callback_error", kind, f"a callback raised {kind}; the events are not affected")
        if self._now() - started > SLOW:
            self._notices.add("slow_callback", "", f"a callback took over {SLOW:g} s: delivery waits while it runs")
