"""Ends of events that no consumer has seen, waiting for one to report them: refused calls, and events dropped for room.

Owns the bounds: at most 1,000 refusals wait, the rest are only counted; dropped events are all reported, and held until
then beside the queue, in up to a fifth of its bytes. Not synchronised: the hub's lock guards it.
"""

from analytics_client.delivery.chunks import EVENT_OVERHEAD
from analytics_client.outcome import Outcome, Reason

#: Refusals that wait to be reported; beyond that they are only counted.
MOST_REFUSALS_WAITING = 1_000


class Backlog:
    """See the file's head.

    Args:
        wanted: whether anybody listens; if not, nothing is kept.
        id_key: where an event has its id.
        max_queue_bytes: of the queue beside it.
    """

    def __init__(self, *, wanted: bool, id_key: str, max_queue_bytes: int) -> None:
        self._wanted = wanted
        self._id_key = id_key
        self._most_dropped_bytes = max_queue_bytes // 5
        self._refusals = 0
        self._dropped_bytes = 0
        self._tellers = 0
        #: The ends, oldest first.
        self.waiting: list[Outcome] = []

    def add_refusal(self, outcome: Outcome) -> bool:
        """Keep a refusal; return whether somebody should come and report it."""
        if not self._wanted or self._refusals >= MOST_REFUSALS_WAITING:
            return False
        self._refusals += 1
        self.waiting.append(outcome)
        return True

    def add_failure(self, event: bytes, reason: Reason) -> None:
        """Keep the end of an accepted event that was never sent."""
        if self._wanted:
            self._dropped_bytes += len(event) + EVENT_OVERHEAD
            self.waiting.append(Outcome(reason, body=event + b"}", id_key=self._id_key))

    def is_far_behind(self) -> bool:
        """Whether dropped events take as much room as they may."""
        return self._dropped_bytes > self._most_dropped_bytes

    def take(self) -> list[Outcome]:
        """Hand out what waits; `told` must follow if that is anything."""
        taken, self.waiting = self.waiting, []
        self._refusals = 0
        self._tellers += bool(taken)
        return taken

    def told(self) -> None:
        """What the last `take` handed out was reported."""
        self._tellers -= 1
        if not self.waiting and not self._tellers:
            self._dropped_bytes = 0

    def is_told(self) -> bool:
        """Whether nothing waits and nobody is reporting."""
        return not self.waiting and not self._tellers
