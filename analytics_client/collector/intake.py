"""One request, from its first byte to its answer.

This file owns the order of things: read the body, take the script's step, let the service decide, write, answer. It
must not know what any service answers (`services`) or how events are kept (`store`).
"""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from analytics_client.collector import admission, services
from analytics_client.collector.decode import BadGzipError, TooLargeError, inflate
from analytics_client.collector.exchange import TEXT, Answer, Arrival, Flaw
from analytics_client.collector.faults import Action, Player, Step, parse
from analytics_client.collector.protocol import Dropped, ThenClosed, connection_of, first_part
from analytics_client.collector.rules import rule_book
from analytics_client.collector.settings import Settings
from analytics_client.collector.store import Store, StoreError

MAX_REQUESTS = 1_000
"""Requests that are remembered."""
MAX_NOTES = 20
"""Violations that are remembered per request."""
MAX_DRAIN_BYTES = 64 * 1024 * 1024
"""How much of a body that is too large is read and thrown away, so that its sender gets to read the answer."""

_MAX_PATH = 500

_log = logging.getLogger("analytics_client.collector")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Body:
    """What came as a body: the bytes (none if there were too many) and their number on the wire."""

    data: bytes
    size: int
    is_too_large: bool


class Intake:
    """Receives requests for one collector. Its state belongs to the event loop's thread.

    Args:
        settings: The collector's options.
        clock: Gives the time; it is what `received_at` says.
        new_id: Makes an id for an event that has none.

    Raises:
        StoreError: The database cannot be opened.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = _now,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self.settings = settings
        self.store = Store(settings.db, settings.keep, settings.keep_bytes)
        self.requests: deque[dict[str, Any]] = deque(maxlen=MAX_REQUESTS)
        self._book = rule_book()
        self._faults = Player(parse(settings.fault))
        self._clock = clock
        self._new_id = new_id
        self._store_failed = False

    def set_fault(self, script: str) -> None:
        """Replace what is left of the fault script. A bad script is a ValueError."""
        self._faults = Player(parse(script))

    async def receive(self, request: Request) -> Response:
        """Receive one request and make its answer."""
        headers = _joined_headers(request)
        try:
            body = await _read_body(request, self.settings.max_body_bytes)
        except ClientDisconnect:
            return Dropped()  # half a body counts for nothing
        fault = admission.framing_fault(request.method, headers)
        step = Step() if fault else self._faults.take()
        answer = self._answer(request, headers, body, fault, step)
        answer, step = self._write(request, headers, body, answer, step)
        latency = self.settings.latency + step.latency
        if latency:
            connection = connection_of(request.scope)
            if connection is not None:
                connection.extend(latency)
            await asyncio.sleep(latency)
        return _acted_out(_response(answer, request), step)

    def _answer(
        self, request: Request, headers: dict[str, str], body: _Body, fault: tuple[int, str] | None, step: Step
    ) -> Answer:
        if fault is not None:
            return Answer(fault[0], fault[1].encode(), TEXT, (("Connection", "close"),))
        if step.action is Action.DROP_BEFORE:
            return Answer(0)
        if step.action is Action.STATUS:
            text = b"" if step.status in (204, 205, 304) else f"The fault script says {step.status}.\n".encode()
            return Answer(step.status, text, TEXT if text else "", step.headers)
        arrival = self._arrival(request, headers, body)
        return services.decide(self.settings.service, arrival, self._book, self._new_id)

    def _arrival(self, request: Request, headers: dict[str, str], body: _Body) -> Arrival:
        path, data, flaw = request.scope["path"], body.data, Flaw.TOO_LARGE if body.is_too_large else None
        if flaw is None and headers.get("content-encoding") == "gzip" and services.reads_gzip(path):
            try:
                data = inflate(data, self.settings.max_body_bytes)
            except TooLargeError:
                data, flaw = b"", Flaw.TOO_LARGE
            except BadGzipError:
                data, flaw = b"", Flaw.BAD_GZIP
        credentials = admission.credentials_of(headers.get("authorization", ""))
        return Arrival(
            method=request.method,
            path=path,
            auth=admission.judge(credentials, self.settings.write_key),
            body=data,
            flaw=flaw,
            content_type=headers.get("content-type", ""),
            has_password=credentials is not None and bool(credentials.password),
        )

    def _write(
        self, request: Request, headers: dict[str, str], body: _Body, answer: Answer, step: Step
    ) -> tuple[Answer, Step]:
        """Write what the request leaves behind; only then is it answered, or refused if it cannot be written."""
        received_at = self._clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        status = None if step.action in (Action.DROP_BEFORE, Action.DROP_UNANSWERED) else answer.status
        try:
            self.store.add(
                answer.events, received_at=received_at, size=body.size, status=status, notes=answer.violations
            )
            self._store_failed = False
        except StoreError as error:
            answer, status, step = self._cannot_keep(error), 503, Step()
            self.store.note(size=body.size, status=status)
        self.requests.append(
            {
                "method": request.method,
                "path": request.scope["path"][:_MAX_PATH],
                "status": status,
                "bytes": body.size,
                "events": len(answer.events),
                "received_at": received_at,
                "fault": step.text,
                "headers": admission.shown(headers),
                "violations": [violation.as_dict() for violation in answer.violations[:MAX_NOTES]],
            }
        )
        return answer, step

    def _cannot_keep(self, error: StoreError) -> Answer:
        if not self._store_failed:
            _log.error("%s Events are refused with 503 until it can be written again.", error)
            self._store_failed = True
        return Answer(503, f"{error}\n".encode(), TEXT)


def _response(answer: Answer, request: Request) -> Response:
    response = Response(answer.body, answer.status or 200, dict(answer.headers), answer.content_type or None)
    connection = connection_of(request.scope)
    if connection is not None and connection.gate.is_crowded:
        response.headers["Connection"] = "close"
    return response


def _acted_out(response: Response, step: Step) -> Response:
    if step.action in (Action.DROP_BEFORE, Action.DROP_UNANSWERED):
        return Dropped()
    if step.action is Action.DROP_WHILE:
        return Dropped(first_part(response))
    if step.action is Action.DROP_AFTER:
        return ThenClosed(response)
    return response


async def _read_body(request: Request, limit: int) -> _Body:
    """Read the body, holding at most `limit` bytes of it."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        else:
            chunks.clear()
            if size > MAX_DRAIN_BYTES:
                break
    return _Body(b"".join(chunks), size, size > limit)


def _joined_headers(request: Request) -> dict[str, str]:
    """Give the headers by lower-case name; repeated ones are joined."""
    joined: dict[str, str] = {}
    for name, value in request.headers.items():
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined
