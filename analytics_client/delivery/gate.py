"""One gate per client: closed while the endpoint is at fault. Closed, nobody sends; then one probe opens it for all.

Owns how long to wait and whose turn the probe is. Not synchronised: the hub's lock guards it. Asks no clock and rolls
no dice: both are handed in.
"""

from collections.abc import Callable

from analytics_client.delivery.retry import Decision, wait


class Gate:
    """Open, closed until a time, or closed with one probe under way.

    Attributes:
        fault: why it is closed; None while it is open.
        opens_at: when the next probe may go, on the monotonic clock.
    """

    __slots__ = ("_failures", "_generation", "_probing", "fault", "opens_at")

    def __init__(self) -> None:
        self.fault: Decision | None = None
        self.opens_at = 0.0
        self._failures = 0
        self._probing = False
        self._generation = 0

    def admits(self, now: float) -> bool:
        """Whether a request may start now."""
        return self.fault is None or (not self._probing and self.opens_at <= now)

    def enter(self) -> int:
        """Start a request that was admitted; hand the ticket back with its end."""
        self._probing = self.fault is not None
        return self._generation

    def shut(self, ticket: int, fault: Decision, now: float, uniform: Callable[[float, float], float]) -> bool:
        """A request failed by the endpoint's fault. Return whether the gate was open until now.

        Requests that were under way together fail together: that is one failure, though each may bring a Retry-After.
        """
        first = self.fault is None
        self.fault = fault
        if ticket == self._generation:
            self._generation += 1
            self._failures += 1
            self._probing = False
            self.opens_at = now + wait(fault, self._failures, uniform)
        elif fault.retry_after:
            self.opens_at = max(self.opens_at, now + fault.retry_after)
        return first

    def open(self, ticket: int) -> bool:
        """A request was answered, whatever it said of the events. Return whether the gate was closed until now."""
        if ticket != self._generation:
            return False  # it set out before the fault that closed the gate: old news
        was_closed = self.fault is not None
        self.fault = None
        self._failures = 0
        self._probing = False
        return was_closed

    def leave(self, ticket: int) -> None:
        """A request ended without telling anything: the probe, if it was one, is anybody's turn again."""
        if ticket == self._generation:
            self._probing = False
