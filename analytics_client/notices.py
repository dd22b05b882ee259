"""Trouble that is no event's end: counted each time, logged the first time.

Owns the logger `analytics_client` and the rule of one line per distinct trouble. Never logs a secret or an event's
body; callers pass sentences made of paths, types, statuses and counts.
"""

import logging
import threading

logger = logging.getLogger("analytics_client")
logger.addHandler(logging.NullHandler())

# Distinct troubles may be as many as an application's property names; beyond this they are only counted.
_MOST_REMEMBERED = 1_000


class _Speaking(threading.local):
    """Whether this thread is inside one of our own log calls: its handler may call `track` again."""

    now = False


_speaking = _Speaking()


def log(level: int, sentence: str, *args: object) -> None:
    """Write one line, unless this thread is writing one of ours already: a handler that tracks must not loop."""
    if _speaking.now:
        return
    _speaking.now = True
    try:
        logger.log(level, sentence, *args)
    finally:
        _speaking.now = False


class Notices:
    """The notices of one client. Its lock guards the two tables and is held for nothing else."""

    __slots__ = ("_counts", "_lock", "_remembered")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start anew, with a lock of its own: for a forked child, whose copy may be held by a thread it has not."""
        self._lock = threading.RLock()  # re-entrant: a signal handler may track while this thread is in here
        self._counts: dict[str, int] = {}
        self._remembered: set[tuple[str, str]] = set()

    def add(self, name: str, detail: str, sentence: str, *, level: int = logging.WARNING) -> None:
        """Count a trouble under `name`, and say it."""
        self.count(name)
        self.say(name, detail, sentence, level=level)

    def count(self, name: str) -> None:
        """Count a trouble."""
        with self._lock:
            self._counts[name] = self._counts.get(name, 0) + 1

    def say(self, name: str, detail: str, sentence: str, *, level: int = logging.WARNING) -> None:
        """Log `sentence` if this `detail` of `name` is new. Alone, for what the ledger counts already."""
        with self._lock:
            new = (name, detail) not in self._remembered and len(self._remembered) < _MOST_REMEMBERED
            if new:
                self._remembered.add((name, detail))
        if new:
            log(level, "%s", sentence)

    def forget(self, name: str) -> None:
        """Let the trouble be logged again when it comes back: it was over in between."""
        with self._lock:
            self._remembered = {each for each in self._remembered if each[0] != name}

    def counts(self) -> dict[str, int]:
        """Return how often each trouble was met, by name."""
        with self._lock:
            return dict(self._counts)
