"""A delivery without threads or sockets: the real hub, queue, gate and consumer on a fake clock and transport."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from analytics_client.config import Config
from analytics_client.delivery.backlog import Backlog
from analytics_client.delivery.chunks import Envelope
from analytics_client.delivery.consumer import Consumer
from analytics_client.delivery.hub import Hub
from analytics_client.delivery.lanes import BatchLanes, Lanes, PersonLanes
from analytics_client.delivery.queue import MemoryQueue
from analytics_client.delivery.reports import Reports
from analytics_client.delivery.wire import Request, Response
from analytics_client.notices import Notices
from analytics_client.outcome import Outcome, Reason
from tests.support.clock import FakeClock, longest

Reply = Response | Exception | Callable[[Request], Response]


def config(**options: Any) -> Config:
    """Return a Config for this machine."""
    return Config.load("key", {"host": "http://127.0.0.1:9", **options}, {})


@dataclass
class FakeTransport:
    """Answers by a script, and `then` for ever; remembers the requests."""

    script: list[Reply] = field(default_factory=list)
    then: Reply = field(default_factory=lambda: Response(200))
    requests: list[Request] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    closed: bool = False

    def send(self, request: Request, timeout: float) -> Response:
        self.requests.append(request)
        self.timeouts.append(timeout)
        reply = self.script.pop(0) if self.script else self.then
        if isinstance(reply, Exception):
            raise reply
        return reply(request) if callable(reply) else reply

    def close(self) -> None:
        self.closed = True

    def batches(self) -> list[list[int]]:
        """The numbers of the events of each request."""
        return [[event["n"] for event in json.loads(request.body)["batch"]] for request in self.requests]


class Harness:
    """Everything below `put`, to be driven step by step."""

    def __init__(self, *script: Reply, then: Reply | None = None, **options: Any) -> None:
        self.outcomes: list[Outcome] = []
        options.setdefault("on_delivered", self.outcomes.append)
        options.setdefault("on_failed", self.outcomes.append)
        self.config = config(**options)
        self.clock = FakeClock()
        self.transport = FakeTransport(list(script))
        if then is not None:
            self.transport.then = then
        self.notices = Notices()
        route = self.config.dialect.route("track", batch=self.config.batch)
        assert route is not None
        lanes: Lanes = (
            PersonLanes()
            if route.max_events == 1
            else BatchLanes(self.config.concurrency, self.config.flush_at, self.config.flush_interval)
        )
        self.queue = MemoryQueue(lanes, self.config.max_queue_bytes, self.clock)
        self.hub = Hub(
            self.queue,
            drop_oldest=self.config.on_full == "drop_oldest",
            backlog=Backlog(
                wanted=self.config.on_failed is not None,
                id_key=self.config.dialect.id_key,
                max_queue_bytes=self.config.max_queue_bytes,
            ),
            workers=self.config.concurrency,
            now=self.clock,
            uniform=longest,
        )
        self.reports = Reports(self.config.on_delivered, self.config.on_failed, self.notices, self.clock)
        self.consumer = Consumer(
            self.config,
            self.hub,
            self.transport,
            self.reports,
            self.notices,
            now=self.clock,
            wall=lambda: 1_700_000_000.0,
            uniform=longest,
            pause=lambda: None,
        )
        self.envelope = Envelope.measure(
            self.config.dialect, route, self.config.max_event_bytes, self.config.max_batch_bytes
        )
        self.put_count = 0

    def put(self, count: int = 1, person: str = "u") -> None:
        """Queue events numbered from where the last call ended."""
        for _ in range(count):
            event = b'{"messageId":"m-%d","n":%d' % (self.put_count, self.put_count)
            self.hub.put(event, self.envelope, person)
            self.put_count += 1

    def flush(self) -> int:
        """Make everything due, and return the mark."""
        return self.hub.mark()

    def step(self) -> float:
        """Deliver one chunk, if one may go; return seconds until there is more."""
        return self.consumer.work_once(float("inf"))

    def run(self, *, until: float = 100_000.0) -> None:
        """Deliver until nothing is left or only `until` (seconds from now) would help, moving the clock by waits."""
        end = self.clock.now + until
        self.flush()
        while (wait := self.step()) + self.clock.now <= end:
            self.clock.advance(wait)

    def ended(self, reason: Reason) -> list[int]:
        """The numbers of the events that ended for `reason`, sorted."""
        return sorted(each.event["n"] for each in self.outcomes if each.reason is reason and each.event)

    def check(self) -> None:
        """The ledger balances, and every end was told."""
        stats = self.hub.stats({})
        assert stats.calls == stats.accepted + sum(stats.refused.values())
        assert stats.accepted + stats.recovered == stats.delivered + sum(stats.failed.values()) + stats.pending
        assert stats.pending == self.queue.pending
        assert len(self.outcomes) == stats.delivered + sum(stats.failed.values()) + sum(stats.refused.values())
