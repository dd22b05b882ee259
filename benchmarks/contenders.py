"""What is compared: each client behind the same three words, `make`, `call`, `finish`; and the plain floor.

Owns the options each is given: the same batch limits as its documents and defaults have, queues large enough to refuse
nothing, and no waiting but what the measurement is about.
"""

import http.client
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

Call = Callable[[str, str, dict[str, Any]], Any]


class Contender:
    """One client: `call` is timed, `finish` returns when everything was delivered."""

    call: Call

    def finish(self) -> None:
        raise NotImplementedError


class Ours(Contender):
    def __init__(self, url: str, *, gzip: bool = False, **options: Any) -> None:
        from analytics_client import Client

        self.client = Client("key", host=url, gzip=gzip, max_queue_bytes=16 * 1024**3, **options)
        self.call = self.client.track

    def finish(self) -> None:
        assert self.client.flush(600)
        assert not self.client.stats.failed
        assert not self.client.stats.refused


class Segment(Contender):
    def __init__(self, url: str, *, gzip: bool = False) -> None:
        from segment.analytics.client import Client

        self.client = Client("key", host=url, gzip=gzip, max_queue_size=10_000_000)
        self.call = self.client.track

    def finish(self) -> None:
        self.client.flush()


class Rudder(Contender):
    def __init__(self, url: str, *, gzip: bool = False) -> None:
        from rudderstack.analytics.client import Client

        self.client = Client("key", host=url, gzip=gzip, max_queue_size=10_000_000)
        self.call = self.client.track

    def finish(self) -> None:
        self.client.flush()


class PostHog(Contender):
    def __init__(self, url: str, *, gzip: bool = False) -> None:
        from posthog import Posthog

        self.client = client = Posthog("key", host=url, gzip=gzip, max_queue_size=10_000_000)

        def call(user_id: str, event: str, properties: dict[str, Any]) -> Any:
            return client.capture(event, distinct_id=user_id, properties=properties)

        self.call = call

    def finish(self) -> None:
        self.client.flush(timeout_seconds=600)


class Floor(Contender):
    """What anybody would write in an hour, to know what Python itself costs.

    str(uuid4()), isoformat, orjson of the ready dict at the call, a deque, bodies of 475 KB joined, http.client kept
    alive: no validation, no limits, no retries, no ledger, no order of anything.
    """

    def __init__(self, url: str, *, gzip: bool = False) -> None:
        import orjson

        self.queue: deque[bytes] = deque()
        self.finishing = False
        self.gzip = gzip
        parts = urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        append, dumps = self.queue.append, orjson.dumps
        context = {"library": {"name": "floor", "version": "1.0.0"}}

        def call(user_id: str, event: str, properties: dict[str, Any]) -> None:
            message = {
                "type": "track",
                "messageId": str(uuid4()),
                "timestamp": datetime.now(UTC).isoformat(),
                "userId": user_id,
                "event": event,
                "properties": properties,
                "context": context,
            }
            append(dumps(message))

        self.call = call
        self.thread = threading.Thread(target=self._send, daemon=True)
        self.thread.start()

    def _send(self) -> None:
        import zlib

        queue = self.queue
        headers = {"Authorization": "Basic a2V5Og==", "Content-Type": "application/json"}
        if self.gzip:
            headers["Content-Encoding"] = "gzip"
        events: list[bytes] = []
        size = 0
        started = time.monotonic()
        while True:
            try:
                event = queue.popleft()
            except IndexError:
                if not self.finishing and (not events or time.monotonic() - started < 0.5):
                    time.sleep(0.002)
                    continue
            else:
                if not events:
                    started = time.monotonic()
                events.append(event)
                size += len(event) + 1
                if size < 475_000:
                    continue
            if events:
                body = b'{"batch":[' + b",".join(events) + b"]}"
                if self.gzip:
                    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
                    body = packer.compress(body) + packer.flush()
                self.connection.request("POST", "/v1/batch", body, headers)
                self.connection.getresponse().read()
                events, size = [], 0
            elif self.finishing:
                return

    def finish(self) -> None:
        self.finishing = True
        self.thread.join()


CONTENDERS: dict[str, Callable[..., Contender]] = {
    "segment": Segment,
    "rudder": Rudder,
    "posthog": PostHog,
    "floor": Floor,
    "ours": Ours,
}
