"""What a client with `enabled=False` talks to: nothing happens, and every call is counted as refused.

Stands in for both `pipeline` and `delivery`; loads and starts nothing.
"""

import threading

from analytics_client.outcome import Ledger, Reason, Stats


class Disabled:
    """Refuses every call as `disabled`. The lock guards the ledger."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # re-entrant: a signal handler may track while this thread is in here
        self._ledger = Ledger()

    def submit(self, *_call: object) -> None:
        """Count a call."""
        with self._lock:
            self._ledger.refuse(Reason.DISABLED)

    def stats(self) -> Stats:
        """Freeze the ledger."""
        with self._lock:
            return self._ledger.snapshot(0, {})

    def load(self) -> tuple[int, int, int]:
        """Return events pending, bytes held and chunks in flight: there are none."""
        return 0, 0, 0

    def flush(self, _timeout: float) -> bool:
        """Everything accepted, which is nothing, is settled."""
        return True

    close = flush

    async def aflush(self, timeout: float) -> bool:  # noqa: ASYNC109 - as everywhere
        """Everything accepted, which is nothing, is settled."""
        return self.flush(timeout)

    aclose = aflush
