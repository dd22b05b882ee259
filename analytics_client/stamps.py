"""The two impure things a message needs: an id and the time. Their sources are passed in.

Owns where ids and timestamps come from; the form of a timestamp given by the caller belongs to `message`.
"""

import os
import time
from collections.abc import Callable

from analytics_client.timestamps import utc_text


class Stamps:
    """Makes message ids and reads the wall clock.

    State: the text of the latest millisecond, replaced as one tuple, so that threads may race for it unguarded.
    """

    __slots__ = ("_latest", "_random", "_wall_ns")

    def __init__(self, random: Callable[[int], bytes] = os.urandom, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._random = random
        self._wall_ns = wall_ns
        self._latest = (-1, "")

    def message_id(self) -> str:
        """Return a new UUID as its 32 hexadecimal digits: hyphens would cost nearly as much again.

        From the system's random source each time: a generator or a pool kept in memory would be copied by a fork in C
        code, both workers would give out the same ids, and the server would throw one of each pair away.
        """
        return self._random(16).hex()

    def now(self) -> str:
        """Return the present as `2022-02-01T19:14:18.381Z`."""
        milliseconds = self._wall_ns() // 1_000_000
        latest = self._latest
        if latest[0] != milliseconds:
            # Events come in bursts: many calls share a millisecond, and formatting costs more than all the rest here.
            self._latest = latest = (milliseconds, utc_text(milliseconds))
        return latest[1]
