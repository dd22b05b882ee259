"""How one thread or coroutine waits for another: a bell each, rung by whoever has news.

A bell keeps a ring until its owner waits, so that nothing is lost between looking and lying down, and ringing takes no
lock that could be held: a signal handler may do it. A condition variable offers neither.
"""

import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

FOREVER = float("inf")


class Bell:
    """Wakes one sleeping thread. A ring is kept until the next wait, so that none is lost in between."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake the sleeper, now or as soon as it lies down."""
        with suppress(RuntimeError):  # it was rung already
            self._lock.release()

    def wait(self, seconds: float) -> None:
        """Sleep until rung, at most `seconds`."""
        self._lock.acquire(timeout=max(0.0, min(seconds, threading.TIMEOUT_MAX)))


class LoopBell(Bell):
    """Wakes a coroutine: a future of its event loop, done when rung."""

    __slots__ = ("_loop", "rung")

    def __init__(self, loop: "asyncio.AbstractEventLoop") -> None:
        self._loop = loop
        self.rung: asyncio.Future[None] = loop.create_future()

    def ring(self) -> None:
        """Wake the coroutine, from any thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._done)

    def _done(self) -> None:
        if not self.rung.done():
            self.rung.set_result(None)


def ring_all(bells: deque[Bell] | dict[Bell, int] | set[Bell]) -> None:
    """Ring every bell, and keep none."""
    for bell in bells:
        bell.ring()
    bells.clear()
