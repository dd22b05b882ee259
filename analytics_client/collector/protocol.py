"""The connections: how many are served at once, how long a request may take, and how one is broken on purpose.

This file owns everything below HTTP. It must not know what a request means.

uvicorn's h11 protocol does the work; `Connection` adds what it lacks. A gate lets so many connections in; the others
stay accepted and unread, and wait in line. A deadline runs from the connection's start, and from the first byte of each
later request, to the end of the answer, so that neither a dripping sender nor a reader that has gone to sleep holds a
place. And each request's scope carries its connection (scope["state"]["connection"]): a scripted fault can cut it.

All state here belongs to the event loop's thread.
"""

import asyncio
import logging
import socket
import struct
import sys
from collections import deque
from http import HTTPStatus
from typing import Any

import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

MAX_WAITING = 1_000
"""Connections that may wait for a place; beyond that they are closed."""

_log = logging.getLogger("analytics_client.collector")

# SO_LINGER on with 0 seconds: closing sends a reset. Windows packs the two numbers in 16 bits each.
_RESET = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


class Gate:
    """The places for connections, and the line before them."""

    def __init__(self, places: int, request_timeout: float) -> None:
        self.places = places
        self.request_timeout = request_timeout
        self._inside: set[Connection] = set()
        self._waiting: deque[Connection] = deque()

    @property
    def is_crowded(self) -> bool:
        """Whether somebody waits: then an answer should end its connection."""
        return bool(self._waiting)

    def enter(self, connection: "Connection") -> None:
        """Serve a new connection, now or when there is a place."""
        if len(self._inside) < self.places:
            self._inside.add(connection)
            connection.begin()
        elif len(self._waiting) < MAX_WAITING:
            connection.transport.pause_reading()
            self._waiting.append(connection)
        else:
            connection.transport.abort()

    def leave(self, connection: "Connection") -> None:
        """Give back a place and let in who waits."""
        self._inside.discard(connection)
        if connection in self._waiting:
            self._waiting.remove(connection)
        while self._waiting and len(self._inside) < self.places:
            following = self._waiting.popleft()
            self._inside.add(following)
            following.transport.resume_reading()
            following.begin()


class GatedConfig(uvicorn.Config):
    """uvicorn's configuration and the gate that all connections of the server share."""

    def __init__(self, app: Any, gate: Gate) -> None:
        self.gate = gate
        # log_config and access_log are left alone: uvicorn would change the logging of the whole process.
        super().__init__(
            app, http=Connection, ws="none", loop="asyncio", lifespan="on", interface="asgi3", log_config=None,
            proxy_headers=False, server_header=False, timeout_keep_alive=5,
        )  # fmt: skip


class Connection(H11Protocol):
    """One connection of the collector."""

    def __init__(
        self,
        config: GatedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, "connection": self}, _loop)
        self.gate = config.gate
        self.logger = _log
        self.access_log = False
        self._deadline: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Start to serve: from here on the sender has its seconds."""
        self._start_clock()

    def extend(self, seconds: float) -> None:
        """Give the running request more time, for latency that is meant."""
        if self._deadline is not None:
            when = self._deadline.when()
            self._deadline.cancel()
            self._deadline = self.loop.call_at(when + seconds, self.transport.abort)

    def cut(self, part: bytes = b"") -> None:
        """Send `part`, then reset the connection. One that is lost already stays so."""
        if self.transport.is_closing():
            return
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if part:
            self.transport.write(part)
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place or a place in line."""
        super().connection_made(transport)
        # asyncio does this only for listeners made with an explicit protocol. Head and body of an answer are two
        # writes, and without it the second waits 40 ms for the first to be acknowledged.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.gate.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place to the next."""
        self._stop_clock()
        super().connection_lost(exc)
        self.gate.leave(self)

    def data_received(self, data: bytes) -> None:
        """Start the clock with a request's first byte."""
        if self._deadline is None:
            self._start_clock()
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Stop the clock, unless the next request is already here."""
        self._stop_clock()
        super().on_response_complete()
        if not self.cycle.response_complete:
            self._start_clock()

    def _start_clock(self) -> None:
        self._stop_clock()
        self._deadline = self.loop.call_later(self.gate.request_timeout, self.transport.abort)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def connection_of(scope: Scope) -> Connection | None:
    """Give the connection of a request; None under another server than the collector's own."""
    connection: Connection | None = scope.get("state", {}).get("connection")
    return connection


class Dropped(Response):
    """No answer, or the beginning of one, and then a reset."""

    def __init__(self, part: bytes = b"") -> None:
        super().__init__()
        self.part = part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - Starlette's signature
        """Cut the connection and wait until it is lost."""
        connection = connection_of(scope)
        if connection is None:
            raise RuntimeError("Only the collector's own server can drop connections.")
        connection.cut(self.part)
        while (await receive())["type"] != "http.disconnect":
            pass  # uvicorn takes a handler that returns before the loss for a broken one


class ThenClosed(Response):
    """A whole answer, after which the connection is closed without having been told so."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self.answer = answer
        self.status_code = answer.status_code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer and close the connection."""
        await self.answer(scope, receive, send)
        connection = connection_of(scope)
        if connection is not None:
            connection.transport.close()


def first_part(answer: Response) -> bytes:
    """Give the beginning of an answer as bytes on the wire: the head and half of the body, or half of a lone head."""
    status = f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}\r\n".encode()
    head = status + b"".join(b"%s: %s\r\n" % header for header in answer.raw_headers) + b"\r\n"
    body = bytes(answer.body)
    return head + body[: (len(body) + 1) // 2] if len(body) > 1 else head[: len(head) // 2]
