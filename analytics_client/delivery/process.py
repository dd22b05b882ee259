"""What happens to the process: its end, its signals, its forks; told to every delivery that lives in it.

Owns the hooks (atexit, multiprocessing's finalizers, SIGTERM, fork) and the list of deliveries. Each hook is set once
per process, and only when the first delivery needs it. What a delivery does then is its own business, in `lifecycle`.
"""

import atexit
import mmap
import os
import signal
import sys
import threading
import time
import weakref
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from analytics_client.delivery.lifecycle import Delivery

#: Deliveries of this process. Weak: a client that nobody holds is not kept for its sake.
_living: "weakref.WeakSet[Delivery]" = weakref.WeakSet()

#: Seconds until a SIGTERM that came at an inconvenient moment comes again.
_AGAIN = 0.005

_hooked = False
_finalizing_in: int | None = None  # the process whose multiprocessing finalizer is registered
_previous_sigterm: Any = None  # what SIGTERM did before us; None while our handler is not installed


def register(delivery: "Delivery") -> None:
    """See to a delivery for as long as it lives."""
    global _hooked  # noqa: PLW0603 - hooks are the process's
    _living.add(delivery)
    if not _hooked:
        _hooked = True
        atexit.register(close_all)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork_in_child)


def others_with_the_key_of(delivery: "Delivery") -> bool:
    """Whether another open delivery of this process sends to the same source."""
    return any(each is not delivery and each.sends_to_the_same(delivery) for each in list(_living))


def finalize_in_child() -> None:
    """Have a child of multiprocessing close its clients at its end, where it runs no atexit (before 3.13).

    Called before the first thread of a delivery is started: the finalizer has to be registered in the child, after
    multiprocessing has cleared the parent's. Does nothing where that module is not loaded.
    """
    global _finalizing_in  # noqa: PLW0603 - one per process
    util, process = sys.modules.get("multiprocessing.util"), sys.modules.get("multiprocessing.process")
    if util is None or process is None or _finalizing_in == os.getpid() or process.parent_process() is None:
        return
    _finalizing_in = os.getpid()
    util.Finalize(None, close_all, exitpriority=100)


# Linux's madvise, since 4.14; the mmap module has no name for it.
_MADV_WIPEONFORK = 18


class Marker(Protocol):
    """See `marker`."""

    def __getitem__(self, index: int) -> int:
        """Return the first item."""


class _SameProcess:
    """A marker where the kernel has none: asks for the process's id."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    def __getitem__(self, _index: int) -> int:
        return os.getpid() == self._pid


def marker() -> Marker:
    """Return something whose first item is true here, and false in a child forked from here, also in C code.

    Every call asks this, and on Linux a system call would be a twentieth of what a call costs. So it is a page of
    memory that the kernel hands to children as zeros.
    """
    if sys.platform == "linux":
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        try:
            page.madvise(_MADV_WIPEONFORK)
        except OSError:  # an older kernel, or one that only plays Linux
            page.close()
        else:
            page[0] = 1
            return page
    return _SameProcess()


def close_all() -> None:
    """Give every client its `exit_timeout`, all at the same time; each says on stderr what it could not send."""
    started = time.monotonic()
    deliveries = list(_living)
    for delivery in deliveries:
        delivery.begin_close()
    for delivery in deliveries:
        delivery.close_at_exit(started)


def _after_fork_in_child() -> None:
    for delivery in list(_living):
        delivery.start_anew()


# -- SIGTERM ---------------------------------------------------------------------------------------------------------


def close_on_sigterm() -> bool:
    """Close every client before SIGTERM does what it did before. False if this is not the main thread."""
    global _previous_sigterm  # noqa: PLW0603 - signals are the process's
    if threading.current_thread() is not threading.main_thread():
        return False
    if signal.getsignal(signal.SIGTERM) is not _on_sigterm:
        try:
            _previous_sigterm = signal.signal(signal.SIGTERM, _on_sigterm)
        except ValueError:
            return False  # a sub-interpreter's main thread is not the process's
    return True


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    if any(delivery.is_interrupted() for delivery in list(_living)):
        # This thread was stopped inside a delivery's lock, and nobody can send while it is held. It goes on for a
        # moment, and is interrupted again.
        with suppress(RuntimeError):  # no thread to be had: then it cannot be helped
            timer = threading.Timer(_AGAIN, os.kill, (os.getpid(), number))
            timer.daemon = True
            timer.start()
            return
    close_all()
    previous = _previous_sigterm
    if callable(previous):
        previous(number, frame)
    elif previous is signal.SIG_DFL:
        # So that whoever waits for the process sees that the signal ended it.
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
