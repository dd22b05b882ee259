"""The transport of an import: what must be true before a request may go, and what its answer means for the whole.

    wait for the pace -> write the checkpoint of what has settled -> send -> look at the status

This order is what makes an import exact. A lane sends its next request only when the events of its last one are on disk
as settled, so whatever kills the process, at most one request of each lane was answered without the checkpoint knowing.
Sees bytes; which rows they are is not its business.
"""

import gzip
import threading
from collections.abc import Callable

from analytics_client import Request, Response, Transport, TransportError
from analytics_client.importer.faults import ImportStopped
from analytics_client.importer.pace import Pace

# Answers that say that a setting is wrong: an import is resumed when it is right, so it does not wait for that.
_SETTINGS = {
    401: "the write key is refused (401): check ANALYTICS_WRITE_KEY or --key-file",
    403: "the server forbids it (403): check the write key and the host",
    404: "there is no such source or path (404): check the host and the write key",
    407: "the proxy wants a user name and password (407)",
}


class Gateway:
    """Wraps a transport; itself one.

    Args:
        inner: sends.
        pace: when.
        save: writes the checkpoint; raises `ImportStopped`.
        on_fault: called once, in a sending thread, when nothing more will be sent.
    """

    def __init__(self, inner: Transport, pace: Pace, save: Callable[[], None], on_fault: Callable[[], object]) -> None:
        self._inner = inner
        self._pace = pace
        self._save = save
        self._on_fault = on_fault
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._under_way = 0
        #: Set when a request has ended: there may be room for more rows.
        self.ended = threading.Event()
        #: Why nothing more will be sent.
        self.fault: ImportStopped | None = None
        #: The status of the last answer, and of no answer the reason: for the progress.
        self.last = ""

    def send(self, request: Request, timeout: float) -> Response:
        """Send one request, when it may go."""
        self.ended.set()
        if self._pace.counts_events:
            self._wait(self._pace.take(_events(request)))
        else:
            self._wait(self._pace.take(0))
        try:
            self._save()
        except ImportStopped as fault:
            self.halt(fault)
            raise TransportError("the checkpoint cannot be written") from None
        with self._lock:
            self._under_way += 1
        try:
            response = self._inner.send(request, timeout)
        except TransportError as error:
            self.last = str(error)
            if error.configuration:
                self.halt(ImportStopped(f"nothing can be sent: {error}; what was settled is kept: --resume goes on"))
            raise
        finally:
            with self._lock:
                self._under_way -= 1
        self.last = "" if response.status < 300 else f"status {response.status}"
        self._look_at(response)
        return response

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds) if seconds else self._stop.is_set():
            raise TransportError("the import has stopped")

    def _look_at(self, response: Response) -> None:
        said = _SETTINGS.get(response.status)
        if said is None and 300 <= response.status < 400:
            said = f"the server sends requests elsewhere ({response.status}), which is not followed: check the host"
        if said is not None:
            self.halt(ImportStopped(f"{said}; what was settled is kept: --resume goes on"))

    def halt(self, fault: ImportStopped | None) -> None:
        """Let no further request go."""
        with self._lock:
            first = self.fault is None and fault is not None
            if first:
                self.fault = fault
        self._stop.set()
        self.ended.set()
        if first:
            self._on_fault()

    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return not self._under_way

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()


def _events(request: Request) -> int:
    """Count a request's events by their times, which each has; one inside a property counts, too."""
    body = request.body
    if request.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    return max(1, body.count(b'"messageId":"'))
