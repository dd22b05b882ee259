"""The only loop: takes a chunk, sends it, decides, and settles what came of it.

    next_job -> attempt -> delivered: settle | endpoint's fault: shut the gate, put back | event's fault: take apart

Runs in the threads that `lifecycle` hires, or inline where there is none. Owns the requests and what each answer does
to a chunk; who runs it, and until when, is not its business. Sees bytes, never what is in them.
"""

import base64
import logging
import zlib
from collections.abc import Callable

from analytics_client.config import Config
from analytics_client.delivery.bells import FOREVER, Bell
from analytics_client.delivery.chunks import Job, Part
from analytics_client.delivery.hub import Hub
from analytics_client.delivery.reports import Reports
from analytics_client.delivery.retry import Decision, Verdict, backoff, decide, no_answer
from analytics_client.delivery.wire import Request, Transport
from analytics_client.notices import Notices, log
from analytics_client.outcome import Outcome, Reason
from analytics_client.timestamps import utc_text
from analytics_client.version import __version__

#: Requests spent on taking one chunk apart before everybody else gets a turn.
ROUND = 32
#: Events refused alone, none of their chunk accepted: then it is not the events.
SYSTEMATIC = 5
#: 5xx answers that one chunk draws before it is suspected, and another one is tried.
SUSPICIOUS = 10
#: Seconds that a consumer sleeps before it goes home.
LINGER = 10.0

# By measurement (`benchmarks/gzip_levels.py`): half the CPU of level 6, an eighth of 9's, for bodies a quarter larger.
GZIP_LEVEL = 1

USER_AGENT = f"analytics-client-python/{__version__}"


class Consumer:
    """Delivers chunks.

    Args:
        config: the client's.
        hub: where chunks come from and go back to.
        transport: sends requests.
        reports: tells the user's callbacks.
        notices: for what is no event's end.
        now: a monotonic clock; `wall`: seconds since 1970; `uniform`: a random number between two.
        pause: lets other threads run. The interpreter lets one thread run at a time, so the longest that a call of
            the application ever waits for us is the longest stretch in here between two pauses.
    """

    def __init__(
        self,
        config: Config,
        hub: Hub,
        transport: Transport,
        reports: Reports,
        notices: Notices,
        *,
        now: Callable[[], float],
        wall: Callable[[], float],
        uniform: Callable[[float, float], float],
        pause: Callable[[], None],
    ) -> None:
        self._config = config
        self._hub = hub
        self._transport = transport
        self._reports = reports
        self._notices = notices
        self._now = now
        self._wall = wall
        self._uniform = uniform
        self._pause = pause
        credentials = base64.b64encode(f"{config.write_key.reveal()}:".encode()).decode()
        self._headers = {
            "Authorization": f"Basic {credentials}",
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
        }
        if config.gzip:
            self._headers["Content-Encoding"] = "gzip"
        #: A chunk that drew many 5xx answers, while another one is tried. A job, for its identity only.
        self._suspect: Job | None = None

    # -- the loop ------------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Deliver until told to leave or idle for long: the life of a hired thread."""
        bell = Bell()
        waited = 0.0
        crashes = 0
        while True:
            try:
                self._report_backlog()
                job = self._hub.next_job(bell, may_leave=waited >= LINGER)
                if job is None:
                    return
                if isinstance(job, Job):
                    waited = 0.0
                    if job.more:
                        self._hub.rouse()
                    self._deliver(job, None)
                    crashes = 0
                    continue
                # Waiting for nothing in particular ends some day; waiting for a time does not.
                seconds, waited = (LINGER, waited + LINGER) if job > LINGER else (job, 0.0)
            except BaseException as error:
                # Ours, not the events': they are back in the queue. The thread must outlive it.
                crashes += 1
                kind = type(error).__name__
                self._notices.add(
                    "internal", kind, f"internal error in delivery ({kind}); it goes on", level=logging.ERROR
                )
                seconds = backoff(crashes, self._uniform)
            bell.wait(seconds)

    def work_once(self, deadline: float) -> float:
        """Deliver one chunk, if one may go, in this thread, which was not hired; return seconds until there is more."""
        self._report_backlog()
        job = self._hub.next_job(None)
        if isinstance(job, Job):
            self._deliver(job, deadline)
            return 0.0
        return FOREVER if job is None else job

    def _report_backlog(self) -> None:
        outcomes = self._hub.take_backlog()
        if outcomes:
            try:
                self._reports.tell(outcomes)
            finally:
                self._hub.reported()

    # -- one chunk -----------------------------------------------------------------------------------------------

    def _deliver(self, job: Job, deadline: float | None) -> None:
        try:
            self._take_apart(job, deadline)
        except BaseException:
            self._hub.put_back(job, not_before=self._now() + backoff(1, self._uniform))
            raise

    def _take_apart(self, job: Job, deadline: float | None) -> None:
        """Send a chunk whole, and halve what is refused until the refused events are alone.

        Order is kept: the earlier half goes first. Events refused alone are not given up before something of their
        chunk was accepted, or the chunk has none left to try: if everything is refused, it is not the events.
        """
        chunk = job.chunk
        requests = 0
        refused: list[tuple[Part, Decision]] = []
        while len(parts := chunk.parts) > len(refused):
            part = parts[len(refused)]
            if requests == ROUND:
                chunk.rounds += 1
                self._hub.put_back(job, not_before=self._now() + backoff(chunk.rounds, self._uniform))
                return
            decision = self._attempt(job, part, deadline)
            requests += 1
            verdict = decision.verdict
            server_error = decision.status is not None and decision.status >= 500
            if verdict is Verdict.HOLD and not (chunk.poisoned and server_error):
                self._hold(job, part, decision, server_error=server_error)
                return
            if verdict is not Verdict.HOLD:
                self._endpoint_answered(job)
            if verdict is Verdict.DELIVERED:
                chunk.accepted = True
                self._settle(job, part, decision)
                self._settle_all(job, refused)
            elif verdict is Verdict.REJECT:
                self._settle(job, part, decision)
            elif len(part.events) > 1:
                self._hub.split(job, part)
            elif verdict is Verdict.SPLIT or chunk.accepted:
                self._settle(job, part, decision)
            else:
                refused.append((part, decision))
                if len(refused) == SYSTEMATIC:
                    self._hold_systematic(job, decision)
                    return
        self._settle_all(job, refused)
        self._hub.finish(job)

    def _settle_all(self, job: Job, refused: list[tuple[Part, Decision]]) -> None:
        for part, decision in refused:
            self._settle(job, part, decision)
        refused.clear()

    def _settle(self, job: Job, part: Part, decision: Decision, reason: Reason | None = None) -> None:
        reason = reason or decision.reason
        if not self._hub.settle(job, part, reason):
            return
        name, id_key = self._config.dialect.name, self._config.dialect.id_key
        if reason is not Reason.DELIVERED:
            self._notices.say(
                f"failed_{reason}",
                decision.label,
                f"{name}: events failed as {reason} ({decision.label}): {len(part.events)}, attempts: {part.attempts}",
                level=logging.ERROR,
            )
        if self._reports.listener(reason) is not None:
            self._reports.tell(
                Outcome(reason, decision.status, part.attempts, decision.cause, event + b"}", id_key)
                for event in part.events
            )

    # -- the endpoint's fault ------------------------------------------------------------------------------------

    def _hold(self, job: Job, part: Part, decision: Decision, *, server_error: bool) -> None:
        """Shut the gate and put the chunk back, but for a part that has used up its attempts or its time."""
        chunk, name = job.chunk, self._config.dialect.name
        if self._hub.shut_gate(job, decision):
            fault = f"{decision.label}: {decision.cause}" if decision.status is None else decision.label
            self._notices.add(
                "endpoint_fault", fault, f"{name}: the endpoint is at fault ({fault}); events are kept and tried again"
            )
        if self._is_expired(job, part):
            self._settle(job, part, decision, Reason.EXPIRED)
            if not chunk.parts:
                self._hub.finish(job)
                return
        chunk.server_errors += server_error
        suspicious = server_error and chunk.server_errors == SUSPICIOUS
        if suspicious:
            self._suspect = job
        self._hub.put_back(job, behind_next=suspicious)

    def _is_expired(self, job: Job, part: Part) -> bool:
        first = job.chunk.first_attempt_at
        assert first is not None
        if self._now() - first >= self._config.max_retry_time:
            return True
        return self._config.max_retries is not None and part.counted > self._config.max_retries

    def _hold_systematic(self, job: Job, decision: Decision) -> None:
        """Every event alone is refused: something common to all is wrong, and they are worth keeping."""
        job.chunk.poisoned = False
        job.chunk.server_errors = 0
        fault = Decision(Verdict.HOLD, decision.status, decision.cause, configuration=True)
        self._hub.shut_gate(job, fault)
        self._notices.add(
            "systematic",
            decision.label,
            f"{self._config.dialect.name}: every event is refused alone ({decision.label}); events are kept, "
            "and tried again each minute",
            level=logging.ERROR,
        )
        self._hub.put_back(job)

    def _endpoint_answered(self, job: Job) -> None:
        if self._hub.open_gate(job):
            self._notices.forget("endpoint_fault")
            self._notices.forget("systematic")
            log(logging.INFO, "%s: the endpoint answers again", self._config.dialect.name)
        if self._suspect is not None and self._suspect.chunk is not job.chunk:
            # Others get through where it did not.
            self._suspect.chunk.poisoned = True
            self._suspect = None

    # -- one request ---------------------------------------------------------------------------------------------

    def _attempt(self, job: Job, part: Part, deadline: float | None) -> Decision:
        config, chunk = self._config, job.chunk
        now = self._now()
        if chunk.first_attempt_at is None:
            chunk.first_attempt_at = now
        sent_at = utc_text(int(self._wall() * 1000))
        frame = config.dialect.frame(chunk.envelope.path, sent_at)
        events = part.events.copy()  # one join, so that half a megabyte is copied once
        events[0] = frame.head + events[0]
        events[-1] += frame.tail + frame.foot
        body = (frame.tail + b",").join(events)
        self._pause()
        headers = self._headers | config.dialect.headers(sent_at, chunk.person)
        if part.attempts:
            headers["X-Retry-Count"] = str(part.attempts)
        if config.gzip:
            body = _gzipped(body)
        request = Request(config.base_url + chunk.envelope.path, headers, body)
        timeout = config.timeout if deadline is None else max(0.001, min(config.timeout, deadline - now))
        part.attempts += 1
        try:
            decision = decide(self._transport.send(request, timeout), self._wall())
        except Exception as error:
            decision = no_answer(error)
        self._pause()
        if decision.retry_after is None:
            part.counted += 1
        if config.debug:
            log(
                logging.DEBUG,
                "%s: %s events, %s bytes to %s: %s in %.3f s, attempt %s",
                config.dialect.name, len(part.events), len(body), chunk.envelope.path, decision.label,
                self._now() - now, part.attempts,
            )  # fmt: skip
        return decision


def _gzipped(body: bytes) -> bytes:
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()
