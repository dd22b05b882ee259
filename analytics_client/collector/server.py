"""Listening: the blocking `serve` for the command line and `Collector` for tests.

This file owns the socket, the thread, the signals and the stop. It must not know what a request means.

A stop has three steps: nobody new is let in, running requests have a moment to end, then their connections are cut.
"""

import asyncio
import contextlib
import functools
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from decimal import Decimal
from typing import Any, Self, TypeVar

import uvicorn

from analytics_client.collector.app import create_app
from analytics_client.collector.intake import Intake
from analytics_client.collector.protocol import Gate, GatedConfig
from analytics_client.collector.settings import Settings

GRACE = 1.0
"""Seconds that running requests have when the collector stops."""

_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 30.0
_ASK_TIMEOUT = 30.0
_BACKLOG = 128

T = TypeVar("T")


_print = functools.partial(print, flush=True)  # a line that waits in a buffer announces nothing


def serve(settings: Settings, *, announce: Callable[[str], object] = _print) -> None:
    """Run a collector until SIGINT or SIGTERM. Returns after a clean stop; a second SIGINT does not wait.

    Args:
        settings: The options.
        announce: Receives one line when the collector listens, with the real address.

    Raises:
        OSError: The address cannot be listened on; StoreError, an OSError, when the database cannot be opened.
    """
    listener = _listen(settings)
    try:
        line = f"collector listening on {_url(listener)} as {settings.service}"
        server = _Server(settings, lambda: announce(line))
        try:
            with _signals(server):
                asyncio.run(server.serve(sockets=[listener]))
        finally:
            server.intake.store.close()
    finally:
        listener.close()


class Collector:
    """A collector in a background thread, for tests.

    >>> with Collector(service="rudderstack") as collector:  # doctest: +SKIP
    ...     send_something_to(collector.url)
    ...     collector.stats()["unique"]

    Args are those of `Settings`, whose defaults hold here too: a free port, everything in memory.

    Raises:
        ValueError: An option is wrong.
        OSError: On start: the address cannot be listened on, or (StoreError) the database cannot be opened.
    """

    def __init__(
        self,
        service: str = "segment",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        write_key: str | None = None,
        db: str | os.PathLike[str] | None = None,
        fault: str = "",
        latency: float = 0.0,
        keep: int = 100_000,
        keep_bytes: int = 64 * 1024 * 1024,
        max_body_bytes: int = 5_000_000,
        max_connections: int = 32,
        request_timeout: float = 10.0,
    ) -> None:
        self.settings = Settings(
            service=service,
            host=host,
            port=port,
            write_key=write_key,
            db=db,
            fault=fault,
            latency=latency,
            keep=keep,
            keep_bytes=keep_bytes,
            max_body_bytes=max_body_bytes,
            max_connections=max_connections,
            request_timeout=request_timeout,
        )
        self._running: _Running | None = None

    def __repr__(self) -> str:
        where = self.url if self._running else "stopped"
        return f"<Collector {self.settings.service} {where}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address to send to, like http://127.0.0.1:40001. A stopped collector raises RuntimeError."""
        return self._run().url

    def start(self) -> None:
        """Start to listen; a running collector stays as it is."""
        if self._running is None:
            self._running = _Running(self.settings)

    def stop(self) -> None:
        """Stop, and wait for the end of the thread. A stopped collector stays as it is."""
        running, self._running = self._running, None
        if running is not None:
            running.stop()

    def stats(self) -> dict[str, Any]:
        """Give what GET /stats gives."""
        return self._run().ask(lambda intake: {"service": self.settings.service, **intake.store.stats()})

    def events(
        self,
        *,
        limit: int | None = None,
        offset: int = 0,
        type: str = "",  # noqa: A002 - as /events has it
        user_id: str = "",
    ) -> list[dict[str, Any]]:
        """Give the kept events as GET /events shows them, in the order in which they first arrived.

        Args:
            limit: How many at most; None gives all.
            offset: How many to leave out first.
            type: Only events of this type.
            user_id: Only events with this userId, or anonymousId where there is no userId.
        """
        most = -1 if limit is None else limit
        page = self._run().ask(lambda intake: intake.store.events(limit=most, offset=offset, kind=type, user=user_id))
        return [_exact(text) for text in page.events]

    def requests(self, *, limit: int = 1_000) -> list[dict[str, Any]]:
        """Give the last requests as GET /requests shows them, the newest last."""
        remembered = self._run().ask(lambda intake: list(intake.requests))
        return remembered[-limit:] if limit else []

    def fault(self, script: str) -> None:
        """Replace what is left of the fault script, for the requests from now on. A bad script is a ValueError."""
        self._run().ask(lambda intake: intake.set_fault(script))

    def _run(self) -> "_Running":
        if self._running is None:
            raise RuntimeError("The collector is not running: use it inside `with Collector(...) as collector:`.")
        return self._running


class _Running:
    """A server in its thread. `url` and the server are set before the thread starts and never change."""

    def __init__(self, settings: Settings) -> None:
        listener = _listen(settings)
        try:
            self._server = _Server(settings, self._note_start)
        except BaseException:
            listener.close()
            raise
        self.url = _url(listener)
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None  # written by the thread before _started is set
        self._failure: BaseException | None = None  # likewise
        self._thread = threading.Thread(target=self._serve, args=(listener,), name="analytics-collector", daemon=True)
        self._thread.start()
        if not self._started.wait(_START_TIMEOUT) or self._failure is not None:
            self.stop()
            raise RuntimeError("The collector did not start.") from self._failure

    def ask(self, question: Callable[[Intake], T]) -> T:
        """Have a question answered in the server's thread, which alone may touch its state."""
        reply: Future[T] = Future()

        def answer() -> None:
            try:
                reply.set_result(question(self._server.intake))
            except Exception as error:
                reply.set_exception(error)

        assert self._loop is not None
        self._loop.call_soon_threadsafe(answer)
        return reply.result(_ASK_TIMEOUT)

    def stop(self) -> None:
        """Stop the server and wait for its thread."""
        self._server.should_exit = True
        self._thread.join(_STOP_TIMEOUT)
        if self._thread.is_alive():
            raise RuntimeError("The collector did not stop.")

    def _note_start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._started.set()

    def _serve(self, listener: socket.socket) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[listener]))
        except BaseException as error:  # the thread must not print it: who starts the collector is told
            self._failure = error
        finally:
            listener.close()
            self._server.intake.store.close()
            self._started.set()


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it has started, leaves signals alone and stops in bounded time."""

    def __init__(self, settings: Settings, on_started: Callable[[], object]) -> None:
        app = create_app(settings)
        self.intake: Intake = app.state.intake
        self._on_started = on_started
        super().__init__(GatedConfig(app, Gate(settings.max_connections, settings.request_timeout)))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: uvicorn would raise the signal again after the stop, and the process would die of it."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets=sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; what still runs after the grace is cut off."""
        end_of_grace = asyncio.get_running_loop().call_later(GRACE, self._cut_off)
        try:
            await super().shutdown(sockets=sockets)
        finally:
            end_of_grace.cancel()

    def _cut_off(self) -> None:
        # The connections first: a task that is cancelled on a living one would be answered with 500.
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for task in list(self.server_state.tasks):
            task.cancel()


@contextlib.contextmanager
def _signals(server: _Server) -> Iterator[None]:
    """Stop the server on SIGINT and SIGTERM, where signals can be received at all: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: object) -> None:
        server.force_exit = server.should_exit and number == signal.SIGINT
        server.should_exit = True

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            error.errno, f"The collector cannot listen on {settings.host} port {settings.port}: {reason}"
        ) from error


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _exact(text: bytes) -> dict[str, Any]:
    """Read an event with all of its digits; Python refuses to make an int of more than 4,300."""
    event: dict[str, Any] = json.loads(
        text, parse_int=lambda digits: int(digits) if len(digits) < 4_000 else Decimal(digits)
    )
    return event
