"""The meeting place of callers and consumers: all shared state of one client, under one lock.

    callers:   put, refuse, mark, look, stats
    consumers: next_job -> split, settle, shut_gate | open_gate, put_back | finish

Guards the queue, the gate, the ledger, the backlog of outcomes to report, and who sleeps. Decisions are taken in here,
under the lock; acting on them (sending, calling back, logging, starting threads) is done outside, by others.

Re-entrancy: a signal handler or a `__del__` may call `track` in a thread that is inside this lock. The lock is
re-entrant, and a busy flag says that the state is half-way: such a call leaves its event at the side and returns; the
owner takes it in before it lets go. Nothing in here waits, so no such call does.
"""

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType

from analytics_client.delivery.backlog import Backlog
from analytics_client.delivery.bells import FOREVER, Bell, ring_all
from analytics_client.delivery.chunks import Envelope, Job, News, Part
from analytics_client.delivery.gate import Gate
from analytics_client.delivery.queue import Queue
from analytics_client.delivery.retry import Decision
from analytics_client.outcome import Ledger, Outcome, Reason, Stats

# Looked up once: an enumeration's members are slow to reach, and every event asks for them.
_FULL, _CLOSED = News.FULL, News.CLOSED


class ReentrantCallError(Exception):
    """A flush or close was called from inside the lock by its own owner: it can only be refused."""


class Hub:
    """See the file's head.

    Args:
        queue: holds the events.
        drop_oldest: what to do when it is full: drop the oldest, or refuse the newest.
        backlog: ends that wait to be reported.
        workers: consumers at the most.
        now: a monotonic clock.
        uniform: a random number between two.
    """

    def __init__(
        self,
        queue: Queue,
        *,
        drop_oldest: bool,
        backlog: Backlog,
        workers: int,
        now: Callable[[], float],
        uniform: Callable[[float, float], float],
    ) -> None:
        self._lock = threading.RLock()
        self._busy = False
        self._side: deque[tuple[bytes, Envelope, str] | tuple[Reason, Outcome]] = deque()
        self._queue = queue
        self._gate = Gate()
        self._ledger = Ledger()
        self._drop_oldest = drop_oldest
        self._backlog = backlog
        self._most_workers = workers
        self._now = now
        self._uniform = uniform
        self._idle: deque[Bell] = deque()  # consumers asleep
        self._flushers: dict[Bell, int] = {}  # waiting for a mark
        self._blocked: set[Bell] = set()  # waiting for room
        self._workers = 0
        self._closed = False
        self._stopping = False
        self._give_up_at = FOREVER  # of a client that nobody holds any more
        #: Called after a foreign thread took in an event that was left at the side. Set once, by the lifecycle.
        self.rouse: Callable[[], object] = lambda: None

    # -- the lock ------------------------------------------------------------------------------------------------

    def __enter__(self) -> None:
        self._lock.acquire()
        if self._busy:
            self._lock.release()
            raise ReentrantCallError
        self._busy = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._busy = False
        news = self._take_in_side() if self._side else News.NOTHING
        self._lock.release()
        if news is not News.NOTHING:
            self.rouse()

    def _take_in_side(self) -> News:
        """Take in what re-entrant calls left, until nothing is left while not busy."""
        news = News.NOTHING
        while self._side:
            self._busy = True
            try:
                entry = self._side.popleft()
                if isinstance(entry[0], Reason):
                    self._count_refusal(*entry)
                    continue
                event, envelope, person = entry
                # Its call has returned a message id: it was accepted, and if there is no place for it, it fails.
                self._ledger.accepted += 1
                latest = _CLOSED if self._closed else self._queue.append(event, envelope, person)
                if latest >= _FULL:
                    self._fail(event, Reason.CLOSED if latest == _CLOSED else Reason.OVERFLOW)
                    latest = News.DUE
                news = max(news, latest)
            finally:
                self._busy = False
        return news

    # -- callers -------------------------------------------------------------------------------------------------

    def put(self, event: bytes, envelope: Envelope, person: str) -> News:
        """Take an event in. FULL and CLOSED mean that it was not; the caller then counts the refusal."""
        with self._lock:
            if self._busy:
                self._side.append((event, envelope, person))
                return News.NOTHING
            self._busy = True
            try:
                news = _CLOSED if self._closed else self._queue.append(event, envelope, person)
                if news < _FULL:
                    self._ledger.accepted += 1
                elif news == _FULL and self._drop_oldest:
                    news = self._make_room_for(event, envelope, person)
            finally:
                self._busy = False
            if self._side:
                news = max(news, self._take_in_side())
        return news

    def _make_room_for(self, event: bytes, envelope: Envelope, person: str) -> News:
        """Append to a full queue, dropping the oldest events for it."""
        # What waits to be reported takes room, too: it is not added to without end.
        while not self._backlog.is_far_behind():
            dropped = self._queue.drop_oldest()
            if dropped is None:
                break
            self._fail(dropped, Reason.OVERFLOW)
            news = self._queue.append(event, envelope, person)
            if news < _FULL:
                self._ledger.accepted += 1
                return news
        return _FULL

    def _fail(self, event: bytes, reason: Reason) -> None:
        self._ledger.end(reason, 1)
        self._backlog.add_failure(event, reason)

    def refuse(self, reason: Reason, outcome: Outcome) -> bool:
        """Count a call that was not accepted. Return whether a consumer should come and report it."""
        with self._lock:
            if self._busy:
                self._side.append((reason, outcome))
                return False
            self._busy = True
            try:
                return self._count_refusal(reason, outcome)
            finally:
                self._busy = False
                if self._side:
                    self._take_in_side()

    def _count_refusal(self, reason: Reason, outcome: Outcome) -> bool:
        self._ledger.refuse(reason)
        return not self._stopping and self._backlog.add_refusal(outcome)

    def wait_for_room(self, bell: Bell) -> None:
        """Have `bell` rung when events have left the queue, or at close."""
        with self:
            self._blocked.add(bell)

    def mark(self) -> int:
        """Make everything due, and return a mark for everything accepted so far."""
        with self:
            return self._queue.mark()

    def look(self, mark: int, deadline: float, bell: Bell) -> bool | None:
        """Whether everything before `mark` is settled; False if it cannot be by `deadline`.

        None: it may yet; `bell` is rung when there is reason to look again.
        """
        with self:
            if self._queue.is_settled(mark) and self._backlog.is_told():
                return True
            now = self._now()
            if now >= deadline or self._stopping or self._is_hopeless(deadline):
                return False
            self._flushers[bell] = mark
            return None

    def _is_hopeless(self, deadline: float) -> bool:
        if self._queue.in_flight or not self._backlog.is_told():
            return False
        if self._gate.fault is not None and (self._gate.fault.configuration or self._gate.opens_at >= deadline):
            return True
        earliest = self._queue.earliest()
        return earliest is None or earliest >= deadline

    def forget(self, bell: Bell) -> None:
        """`bell`'s owner waits no longer."""
        with self:
            self._flushers.pop(bell, None)
            self._blocked.discard(bell)

    def stats(self, notices: dict[str, int]) -> Stats:
        """Freeze the ledger."""
        with self._lock:
            return self._ledger.snapshot(self._queue.pending, notices)

    def load(self) -> tuple[int, int, int]:
        """Return events pending, bytes held and chunks in flight."""
        with self._lock:
            return self._queue.pending, self._queue.held_bytes, self._queue.in_flight

    # -- consumers -----------------------------------------------------------------------------------------------

    def hire(self) -> bool:
        """Somebody is wanted: wake a sleeping consumer, or return True if the caller should start one."""
        with self:
            if self._idle:
                self._idle.popleft().ring()
                return False
            idle = not self._queue.pending and not self._backlog.waiting
            if idle or self._stopping or self._workers >= self._most_workers:
                return False
            self._workers += 1
            return True

    def resign(self) -> None:
        """A consumer that was hired is gone without having been told to leave."""
        with self:
            self._workers -= 1

    def workers(self) -> int:
        """Return how many consumers are hired."""
        return self._workers

    def next_job(self, bell: Bell | None, *, may_leave: bool = False) -> Job | float | None:
        """Return a job; or seconds to sleep, unless `bell` is rung earlier; or None: leave, you are not hired any more.

        Args:
            bell: the consumer's; without one it was not hired and is not woken.
            may_leave: it has slept long enough to go.
        """
        with self:
            if bell is not None and bell in self._idle:
                self._idle.remove(bell)
            now = self._now()
            if self._give_up_at < FOREVER:
                self._queue.mark()
            idle = not self._queue.pending and not self._backlog.waiting
            if self._stopping or now >= self._give_up_at or (idle and (may_leave or self._closed)):
                self._workers -= bell is not None
                return None
            if self._backlog.waiting:
                return 0.0  # report first
            if self._gate.admits(now):
                chunk = self._queue.take(now)
                if chunk is not None:
                    earliest = self._queue.earliest()
                    return Job(chunk, self._gate.enter(), earliest is not None and earliest <= now)
            if bell is not None:
                self._idle.append(bell)
            return self._seconds_to_work(now)

    def _seconds_to_work(self, now: float) -> float:
        earliest = self._queue.earliest()
        if earliest is None:
            return max(0.0, self._give_up_at - now)
        if self._gate.fault is not None:
            # With a probe under way its end decides, and rings.
            earliest = max(earliest, FOREVER if self._gate.opens_at <= now else self._gate.opens_at)
        return max(0.0, min(earliest, self._give_up_at) - now)

    def take_backlog(self) -> list[Outcome]:
        """Take the ends that wait to be reported; `reported` must follow if there are any."""
        with self:
            return self._backlog.take()

    def reported(self) -> None:
        """The ends of the last `take_backlog` have been reported."""
        with self:
            self._backlog.told()
            ring_all(self._flushers)

    def split(self, job: Job, part: Part) -> None:
        """Halve a part, in place: the earlier events stay the earlier ones."""
        with self:
            if job.chunk.drained:
                return
            position = job.chunk.parts.index(part)
            middle = len(part.events) // 2
            job.chunk.parts[position : position + 1] = [
                Part(half, part.attempts, part.counted) for half in (part.events[:middle], part.events[middle:])
            ]

    def settle(self, job: Job, part: Part, reason: Reason) -> bool:
        """The events of a part end for `reason`. False if they were settled by somebody else, at close."""
        with self:
            if job.chunk.drained:
                return False
            self._queue.settle(job.chunk, part)
            self._ledger.end(reason, len(part.events))
            ring_all(self._blocked)
            return True

    def shut_gate(self, job: Job, fault: Decision) -> bool:
        """The endpoint failed. Return whether all was well until now."""
        with self:
            first = self._gate.shut(job.ticket, fault, self._now(), self._uniform)
            ring_all(self._flushers)
            return first

    def open_gate(self, job: Job) -> bool:
        """The endpoint answered. Return whether it was thought to be at fault."""
        with self:
            opened = self._gate.open(job.ticket)
            if opened:
                ring_all(self._flushers)
                ring_all(self._idle)
            return opened

    def put_back(self, job: Job, *, not_before: float = 0.0, behind_next: bool = False) -> None:
        """A job's chunk waits again."""
        with self:
            self._gate.leave(job.ticket)
            if not job.chunk.drained:
                job.chunk.not_before = not_before
                self._queue.put_back(job.chunk, behind_next=behind_next)
            ring_all(self._flushers)
            ring_all(self._idle)

    def finish(self, job: Job) -> None:
        """All parts of a job's chunk are settled, and their callbacks have returned."""
        with self:
            self._gate.leave(job.ticket)
            if not job.chunk.drained:
                self._queue.finish(job.chunk)
            for bell, mark in self._flushers.items():
                if self._queue.is_settled(mark) or not self._queue.in_flight:
                    bell.ring()

    # -- the end -------------------------------------------------------------------------------------------------

    def close(self) -> bool:
        """Take nothing in any more. Return False if that was so already."""
        with self:
            was_open, self._closed = not self._closed, True
            ring_all(self._blocked)
            return was_open

    def is_closed(self) -> bool:
        """Whether nothing is taken in any more."""
        return self._closed

    def is_held_here(self) -> bool:
        """Whether this very thread holds the lock."""
        return self._lock._is_owned()  # type: ignore[attr-defined,no-any-return] # noqa: SLF001 - as Condition asks

    def retire(self, give_up_at: float) -> bool:
        """Nobody holds the client any more: send what there is until then. Return whether a consumer will do it.

        Called by the garbage collector, anywhere: if that is inside this very lock, the flags alone must do.
        """
        self._closed = True
        self._give_up_at = give_up_at
        try:
            with self:
                ring_all(self._idle)
        except ReentrantCallError:
            pass
        return self._workers > 0

    def is_retired(self) -> bool:
        """Whether the last consumer has to clear up after a client that nobody holds."""
        return self._give_up_at < FOREVER and self._workers == 0

    def fault(self) -> Decision | None:
        """Return why the gate is closed, if it is."""
        return self._gate.fault

    def drain(self, reason: Reason) -> tuple[list[Part], list[Outcome]]:
        """Send every consumer away; end what is left for `reason`, and hand it out with the unreported outcomes."""
        with self:
            self._stopping = True
            parts = self._queue.drain()
            for part in parts:
                self._ledger.end(reason, len(part.events))
            backlog = self._backlog.take()
            for bells in (self._idle, self._flushers, self._blocked):
                ring_all(bells)
            return parts, backlog
