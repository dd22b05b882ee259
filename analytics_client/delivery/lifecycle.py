"""When delivery lives: its threads, `flush` and `close` with their deadlines, its end, its new start after a fork.

Puts the parts of one client's delivery together and is what `pipeline` and `client` talk to. Owns no state that `hub`
guards. Threads are daemons, started at the first event and gone after a while without any; where none can be had, the
same loop runs in the calling thread.
"""

import logging
import os
import random
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress

from analytics_client.config import Config
from analytics_client.delivery import process
from analytics_client.delivery.backlog import Backlog
from analytics_client.delivery.bells import FOREVER, Bell, LoopBell
from analytics_client.delivery.chunks import Envelope, News, Part
from analytics_client.delivery.consumer import LINGER, Consumer
from analytics_client.delivery.hub import Hub, ReentrantCallError
from analytics_client.delivery.lanes import BatchLanes, Lanes, PersonLanes
from analytics_client.delivery.queue import MemoryQueue
from analytics_client.delivery.reports import Reports
from analytics_client.delivery.retry import Decision
from analytics_client.delivery.wire import Transport
from analytics_client.notices import Notices
from analytics_client.outcome import Outcome, Reason, Stats

# Whether threads were gevent's or eventlet's when this was loaded.
_GREEN = type(threading.Lock()).__module__ != "_thread"

# One per process id: the first thread that finds itself in a child starts the delivery anew, the others wait for it.
_fork_locks: dict[int, threading.Lock] = {}

_said = Notices()  # what is worth one line per process, not one per client


class Delivery:
    """The delivery of one client, from `put` to the end.

    Args:
        config: the client's.
        notices: shared with the client.
        now: a monotonic clock; `wall`: seconds since 1970; `uniform`: a random number between two.
    """

    def __init__(
        self,
        config: Config,
        notices: Notices,
        *,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._config = config
        self._notices = notices
        self._now = now
        self._wall = wall
        self._uniform = uniform
        self._assemble()
        if config.flush_on_sigterm and not process.close_on_sigterm():
            notices.add("no_signal", "", "flush_on_sigterm works only for a client made in the main thread")
        if (type(threading.Lock()).__module__ != "_thread") is not _GREEN:
            notices.add("patched_late", "", "gevent or eventlet patched threads after analytics_client: patch first")
        if process.others_with_the_key_of(self):
            notices.count("second_client")
            sentence = "several clients with the same write key are alive: share one, or close them"
            _said.say("second_client", repr(config.write_key), sentence)
        process.register(self)

    def _assemble(self) -> None:
        """Make every part anew: at the start, and in a forked child, which must touch none of its parent's."""
        config = self._config
        self._threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        route = config.dialect.route("track", batch=config.batch)
        lanes: Lanes = (
            PersonLanes()
            if route is not None and route.max_events == 1
            else BatchLanes(config.concurrency, config.flush_at, config.flush_interval)
        )
        self.hub = Hub(
            MemoryQueue(lanes, config.max_queue_bytes, self._now),
            drop_oldest=config.on_full == "drop_oldest",
            backlog=Backlog(
                wanted=config.on_failed is not None,
                id_key=config.dialect.id_key,
                max_queue_bytes=config.max_queue_bytes,
            ),
            workers=config.concurrency,
            now=self._now,
            uniform=self._uniform,
        )
        self.hub.rouse = self._rouse
        self._reports = Reports(config.on_delivered, config.on_failed, self._notices, self._now)
        self._transport: Transport = config.transport or _requests_transport(config)
        self._consumer = Consumer(
            config,
            self.hub,
            self._transport,
            self._reports,
            self._notices,
            now=self._now,
            wall=self._wall,
            uniform=self._uniform,
            pause=_pause,
        )
        self.pid = os.getpid()
        #: Its first item is false in a forked child, which must call `check_process` before anything else.
        self.marker = process.marker()

    # -- events --------------------------------------------------------------------------------------------------

    def attend(self, news: News, event: bytes, envelope: Envelope, person: str) -> Reason | None:
        """Do what follows from `hub.put`; return None if the event is in the queue, or why it is not.

        Waits only with `on_full="block"`, with `sync`, and where no thread can be had.
        """
        if news is News.FULL and self._config.on_full == "block":
            news = self._put_when_there_is_room(event, envelope, person)
        if news is News.CLOSED:
            return Reason.CLOSED
        if news is News.FULL:
            return Reason.OVERFLOW
        try:
            if self._config.sync or (news is not News.NOTHING and not self._rouse()):
                self.flush(self._config.timeout)
        except Exception as error:
            # The event is in the queue, and the call must say so, whatever went wrong in sending it.
            kind = type(error).__name__
            self._notices.add("internal", kind, f"internal error in delivery ({kind}); it goes on", level=logging.ERROR)
        return None

    def _put_when_there_is_room(self, event: bytes, envelope: Envelope, person: str) -> News:
        if self._reports.is_inside():
            return News.FULL  # this is the consumer: nobody else would make room
        bell = Bell()
        try:
            while True:
                self.hub.wait_for_room(bell)  # before the attempt, so that no room goes unnoticed between the two
                news = self.hub.put(event, envelope, person)
                if news is not News.FULL or not self.hub.load()[0]:
                    return news  # an empty queue will not get emptier: the event is larger than all of it
                self.flush(self._config.timeout if self._config.sync else 0.0)  # makes everything due
                bell.wait(LINGER)
        except ReentrantCallError:
            return News.FULL
        finally:
            self._forget(bell)

    def refuse(self, reason: Reason, outcome: Outcome) -> None:
        """Count a call that was not accepted, and have it reported."""
        if self.hub.refuse(reason, outcome):
            self._rouse()

    def stats(self) -> Stats:
        """Freeze the ledger."""
        self.check_process()
        return self.hub.stats(self._notices.counts())

    def load(self) -> tuple[int, int, int]:
        """Return events pending, bytes held and chunks in flight."""
        self.check_process()
        return self.hub.load()

    # -- threads -------------------------------------------------------------------------------------------------

    def _rouse(self) -> bool:
        """See to it that a consumer comes: wake one, or start one. False if nobody will."""
        if self._config.sync:
            return False
        if not self.hub.hire():
            return True
        process.finalize_in_child()
        try:
            thread = threading.Thread(target=self._work, name="analytics_client", daemon=True)
            thread.start()
        except RuntimeError:
            # None here (a sub-interpreter, a limit), or none at this hour: 3.12 starts none at the interpreter's end.
            self.hub.resign()
            self._notices.add("no_thread", "", "no thread can be started: events are sent in the threads that call")
            return False
        self._threads.add(thread)
        return True

    def _work(self) -> None:
        """Live as a hired thread."""
        self._consumer.work()
        if self.hub.is_retired():
            self._end(self._now())

    # -- flush -----------------------------------------------------------------------------------------------------

    def flush(self, timeout: float) -> bool:
        """Wait until everything accepted before is settled; False if `timeout` seconds do not suffice, or cannot."""
        deadline = self._now() + timeout
        self.check_process()
        if self._reports.is_inside():
            return False  # the consumer would wait for itself
        bell = Bell()
        try:
            mark = self.hub.mark()
            self._rouse()
            while (verdict := self.hub.look(mark, deadline, bell)) is None:
                seconds = FOREVER if self.hub.workers() else self._consumer.work_once(deadline)
                bell.wait(min(seconds, deadline - self._now()))
        except ReentrantCallError:
            return False
        finally:
            self._forget(bell)
        return verdict

    async def aflush(self, timeout: float) -> bool:  # noqa: ASYNC109 - the same deadline as everywhere
        """Do what `flush` does while the event loop runs on: the hub rings a future of it."""
        import asyncio  # noqa: PLC0415 - loaded by whoever can await

        deadline = self._now() + timeout
        self.check_process()
        mark = self.hub.mark()
        self._rouse()
        if not self.hub.workers() and self.hub.load()[0]:
            return await asyncio.to_thread(self.flush, timeout)  # nobody else will do it
        loop = asyncio.get_running_loop()
        while True:
            bell = LoopBell(loop)
            try:
                verdict = self.hub.look(mark, deadline, bell)
                if verdict is not None:
                    return verdict
                await asyncio.wait((bell.rung,), timeout=max(0.0, deadline - self._now()))
            finally:
                self._forget(bell)

    def _forget(self, bell: Bell) -> None:
        with suppress(ReentrantCallError):
            self.hub.forget(bell)

    # -- the end ---------------------------------------------------------------------------------------------------

    def close(self, timeout: float) -> bool:
        """Take nothing in any more, flush, and end what is left. Return what flush did."""
        deadline = self._now() + timeout
        self.check_process()
        try:
            self.hub.close()
            if self._reports.is_inside():
                return False  # the consumer goes on with what is queued, and leaves when it is done
            settled = self.flush(timeout)
            self._end(deadline)
        except ReentrantCallError:
            return False
        return settled

    async def aclose(self, timeout: float) -> bool:  # noqa: ASYNC109
        """Do what `close` does while the event loop runs on."""
        import asyncio  # noqa: PLC0415

        deadline = self._now() + timeout
        self.check_process()
        self.hub.close()
        settled = await self.aflush(timeout)
        if settled:
            self._end(self._now())
        else:
            await asyncio.to_thread(self._end, deadline)  # which has callbacks to call
        return settled

    def begin_close(self) -> None:
        """Take nothing in any more and let the consumers hurry, without waiting for them."""
        with suppress(ReentrantCallError):
            self.hub.close()
            self.flush(0.0)

    def close_at_exit(self, started: float) -> None:
        """Close within `exit_timeout` of `started`; count on stderr what was lost, where nobody may read logs."""
        before = self.stats()
        self.close(max(0.0, started + self._config.exit_timeout - self._now()))
        lost = before.pending - (self.stats().delivered - before.delivered)
        if lost > 0:
            sentence = f"events not delivered to {self._config.dialect.name} before exit: {lost}{self._why()}"
            print(f"analytics_client: {sentence}", file=sys.stderr)  # noqa: T201

    def abandon(self) -> None:
        """The client was garbage-collected: deliver what is queued, for as long as an exit would wait."""
        if os.getpid() == self.pid and not self.hub.retire(self._now() + self._config.exit_timeout):
            self._transport.close()

    def _end(self, deadline: float) -> None:
        """End what is left unsent, tell of it, and let the threads and connections go."""
        fault = self.hub.fault()
        wrong_setting = fault is not None and fault.configuration
        reason = Reason.REJECTED if wrong_setting else Reason.CLOSED
        parts, backlog = self.hub.drain(reason)
        unsent = sum(len(part.events) for part in parts)
        if unsent:
            sentence = f"{self._config.dialect.name}: closed with events unsent: {unsent}{self._why()}"
            self._notices.say("unsent", "", sentence)
        if self._config.on_failed is not None and (parts or backlog):
            self._reports.tell(
                [*backlog, *_outcomes(parts, reason, fault, self._config.dialect.id_key)],
                timeout=max(0.0, deadline - self._now()),
            )
        for thread in list(self._threads):
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - self._now()))
        self._transport.close()

    def _why(self) -> str:
        fault = self.hub.fault()
        return f" ({fault.label})" if fault is not None else ""

    def sends_to_the_same(self, other: "Delivery") -> bool:
        """Whether both are open and send to the same source."""
        mine, theirs = self._config, other._config  # noqa: SLF001 - another of this class
        same = mine.write_key == theirs.write_key and mine.base_url == theirs.base_url
        return same and mine.dialect.name == theirs.dialect.name and not self.hub.is_closed()

    def is_interrupted(self) -> bool:
        """Whether this thread is inside the hub's lock, which a signal handler may have to ask."""
        return self.pid == os.getpid() and self.hub.is_held_here()

    # -- fork ----------------------------------------------------------------------------------------------------

    def check_process(self) -> None:
        """Start anew if this is another process than before: C code forks without Python's hooks (uWSGI does)."""
        if os.getpid() != self.pid:
            with _fork_locks.setdefault(os.getpid(), threading.Lock()):
                if os.getpid() != self.pid:
                    self.start_anew()

    def start_anew(self) -> None:
        """Begin as an empty delivery, in a child: the parent's events are the parent's to send."""
        # Kept, never used: letting go of it would close connections, and its locks may be held by threads that are
        # not in this process.
        self._inherited = (self.hub, self._transport, self._consumer, self._reports)
        self._notices.reset()
        _said.reset()
        self._assemble()


def _outcomes(parts: Iterable[Part], reason: Reason, fault: Decision | None, id_key: str) -> Iterable[Outcome]:
    status, cause = (fault.status, fault.cause) if fault is not None else (None, "")
    for part in parts:
        for event in part.events:
            yield Outcome(reason, status, part.attempts, cause, event + b"}", id_key)


def _requests_transport(config: Config) -> Transport:
    from analytics_client.delivery.transport import RequestsTransport  # noqa: PLC0415 - not for a user's own transport

    return RequestsTransport(config.base_url, proxies=config.proxies, ca_file=config.ca_file)


def _pause() -> None:
    """Give up the interpreter until the system has woken another thread: some 60 µs. With zero none would be woken."""
    time.sleep(1e-6)
