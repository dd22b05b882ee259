"""Real web servers under real load: start one on a free port, drive requests at it, compare what the collector got.

    with Collector() as collector, serving(gunicorn("app:app", "-k", "gthread"), collector, cwd=APP) as server:
        load = Load(server.url, visit, threads=6)
        load.run(300)                       # or load.start(), load.wait_for(100), a signal, load.stop()
        server.stop()                       # by TERM; the status it ended with
        compare(collector, load)            # every answered request has its event, once, of the right person and page

A `Visit` says what is asked and what its event must hold. Events carry the visit's number as the property `n`. Owns
processes, load and comparison; knows no framework and no application.
"""

import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from analytics_client.collector import Collector
from tests.support.processes import ROOT

#: Seconds between two looks at a condition that is waited for.
_LOOK = 0.02


def until(condition: Callable[[], Any], timeout: float, what: Callable[[], str]) -> Any:
    """Wait until `condition` gives something true, and return it; fail with what `what` says after `timeout` s."""
    end = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {timeout} s: {what()}"
        time.sleep(_LOOK)
    return found


def free_port() -> int:
    """Return a port that is free now, below those that the system gives to outgoing connections."""
    while True:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def gunicorn(app: str, *options: str) -> list[str]:
    """Return the command for an application under gunicorn; `{port}` is filled in by `serving`."""
    return [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", *options, app]


def uvicorn(app: str, *options: str) -> list[str]:
    """Return the command for an application under uvicorn."""
    return [sys.executable, "-m", "uvicorn", "--port", "{port}", "--log-level", "warning", *options, app]


@dataclass
class WebServer:
    """A server's process, the leader of its group; its output goes to a file."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def output(self) -> str:
        """Everything it has written until now."""
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        """Send a signal to the server's main process alone."""
        self.process.send_signal(number)

    def wait(self, timeout: float = 40.0) -> int:
        """Wait for its end; return its status."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s\n{self.output()}") from None

    def stop(self, timeout: float = 40.0) -> int:
        """End it by TERM; return its status."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def children(self) -> set[int]:
        """The processes it has started and that still run."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(each) for each in found.split()}

    def is_listening(self) -> bool:
        """Whether a connection is let in."""
        assert self.process.poll() is None, f"the server has ended with {self.process.returncode}\n{self.output()}"
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True
        return False


def clean_environment(url: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which a client made without arguments sends to `url`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANALYTICS_")}
    ours = {"ANALYTICS_WRITE_KEY": "any", "ANALYTICS_HOST": url, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    return clean | ours | dict(more or {})


@contextmanager
def serving(
    command: Sequence[str],
    collector: Collector,
    *,
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
    start_timeout: float = 40.0,
) -> Iterator[WebServer]:
    """Run a server until the block ends; nothing of it is left then, whatever has happened.

    Args:
        command: its command line; `{port}` in it is the port.
        collector: where its clients send to, by their environment.
        cwd: where it runs.
        environment: more variables for it.
        start_timeout: seconds until it must listen.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [each.replace("{port}", str(port)) for each in command],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # gunicorn has a control socket there, which two of them would fight for.
                env=clean_environment(collector.url, environment) | {"XDG_RUNTIME_DIR": directory},
            )
        server = WebServer(process, port, log)
        try:
            until(server.is_listening, start_timeout, server.output)
            yield server
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@dataclass(frozen=True)
class Visit:
    """One request, and what its event must hold: a dict that is part of the event, at any depth.

    `also` are further events that come of the same request.
    """

    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    event: Mapping[str, Any] = field(default_factory=dict)
    method: str = "GET"
    also: Sequence[Mapping[str, Any]] = ()

    @property
    def events(self) -> list[Mapping[str, Any]]:
        """All that must arrive."""
        return [self.event, *self.also]


class Load:
    """Client threads that make visits, each on a connection of its own, one after the other.

    `answered` are the numbers of visits that got a whole response with a status below 400; `failed` maps the others to
    what went wrong: a server that ends may refuse or cut a connection. Both are complete once the threads have ended.
    """

    def __init__(self, url: str, visit: Callable[[int], Visit], *, threads: int = 6) -> None:
        self.visit = visit
        self.answered: list[int] = []
        self.failed: dict[int, str] = {}
        self._port = urlsplit(url).port
        self._lock = threading.Lock()
        self._next = 0
        self._total: int | None = None
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]

    def start(self, total: int | None = None) -> None:
        """Begin: make `total` visits, or go on until `stop`."""
        self._total = total
        for thread in self._threads:
            thread.start()

    def run(self, total: int, timeout: float = 60.0) -> None:
        """Make `total` visits; none may fail."""
        self.start(total)
        self._join(timeout)
        assert not self.failed, self.failed

    def wait_for(self, count: int, timeout: float = 40.0) -> None:
        """Wait until so many more visits are answered than now."""
        wanted = len(self.answered) + count
        until(lambda: len(self.answered) >= wanted, timeout, lambda: f"{len(self.answered)} of {wanted}")

    def stop(self, timeout: float = 40.0) -> None:
        """Make no more visits, and wait for those under way."""
        self._stopping.set()
        self._join(timeout)

    def _join(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        assert not [thread for thread in self._threads if thread.is_alive()], f"{len(self.answered)} answered"

    def _work(self) -> None:
        refused = 0
        while not self._stopping.is_set():
            with self._lock:
                number = self._next
                if number == self._total:
                    return
                self._next += 1
            try:
                fetch(self._port or 80, self.visit(number))
                refused = 0
            except OSError as error:  # http.client's own errors are made into these
                self.failed[number] = f"{type(error).__name__}: {error}"
                refused += 1
                if refused > 3:
                    return  # the server is gone
            else:
                self.answered.append(number)


def fetch(port: int, visit: Visit, timeout: float = 30.0) -> tuple[http.client.HTTPMessage, bytes]:
    """Make one visit on a connection of its own; return the response's headers and body.

    Raises:
        OSError: no whole response came, or one with a status of 400 and more.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(visit.method, visit.path, headers={"Connection": "close", **visit.headers})
        with connection.getresponse() as response:
            body = response.read()
    except http.client.HTTPException as error:
        raise OSError(repr(error)) from None
    finally:
        connection.close()
    if response.status >= 400:
        raise OSError(f"status {response.status}: {body[:500]!r}")
    return response.headers, body


def arrived(collector: Collector) -> dict[int, list[dict[str, Any]]]:
    """Return the collector's events (as /events shows them) by their visit's number; those without one under -1."""
    found: dict[int, list[dict[str, Any]]] = {}
    for each in collector.events():
        number = (each["event"].get("properties") or {}).get("n", -1)
        found.setdefault(number, []).append(each)
    return found


def wait_until_arrived(collector: Collector, load: Load, timeout: float = 20.0) -> None:
    """Wait, while the server runs, until as many events as answered visits have come by themselves."""
    wanted = sum(len(load.visit(number).events) for number in list(load.answered))
    until(
        lambda: collector.stats()["unique"] >= wanted,
        timeout,
        lambda: f"{collector.stats()['unique']} of {wanted} events",
    )


def compare(collector: Collector, load: Load) -> None:
    """Check what arrived in the end, after the server has stopped.

    Every answered visit has its events exactly once; one that was not answered, at most once; nothing else came; and
    each event holds what its visit says.
    """
    assert load.answered
    found = arrived(collector)
    missing = sorted(set(load.answered) - set(found))
    assert not missing, f"{len(missing)} of {len(load.answered)} answered visits have no event: {missing[:20]}"
    unknown = sorted(set(found) - set(load.answered) - set(load.failed))
    assert not unknown, f"events of no visit: {unknown[:20]}, {found[unknown[0]][0]}"
    for number, events in found.items():
        wanted = load.visit(number).events
        assert all(each["copies"] == 1 for each in events), f"an event of visit {number} was sent again: {events}"
        for each in events:
            wrong = [differences(one, each["event"]) for one in wanted]
            assert [] in wrong, f"visit {number}: {wrong or 'one too many'}\n{each['event']}"
            wanted.pop(wrong.index([]))
        assert not wanted or number in load.failed, f"visit {number} lacks {wanted}: {events}"
    stats = collector.stats()
    assert stats["violations"] == 0, stats


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any], path: str = "") -> list[str]:
    """Say where `found` does not hold what `wanted` has; None there means that the key is missing."""
    wrong = []
    for name, value in wanted.items():
        here = f"{path}{name}"
        if isinstance(value, Mapping) and isinstance(found.get(name), Mapping):
            wrong += differences(value, found[name], f"{here}.")
        elif found.get(name) != value:
            wrong.append(f"{here} is {found.get(name)!r}, not {value!r}")
    return wrong
