"""Starting and stopping: in a thread, in a process, by signals, and without the extra."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from analytics_client.collector import Collector, StoreError

ROOT = Path(__file__).resolve().parents[2]
EVENT = {"userId": "u", "event": "e", "messageId": "m"}


def _descriptors() -> list[str]:
    directory = Path("/proc/self/fd")
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


def _post(url: str, path: str = "/v1/track") -> requests.Response:
    return requests.post(url + path, json=EVENT, auth=("key", ""), timeout=10)


def _start(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


SERVE = "from analytics_client.collector import Settings, serve; serve(Settings(service='rudderstack'))"


def test_start_and_stop_leave_nothing_behind() -> None:
    with Collector():
        pass  # what is loaded once is loaded now
    threads, descriptors = threading.enumerate(), _descriptors()
    with Collector() as collector:
        url = collector.url
        assert _post(url).status_code == 200
        assert len(threading.enumerate()) == len(threads) + 1
    assert threading.enumerate() == threads
    assert _descriptors() == descriptors
    with pytest.raises(requests.ConnectionError):
        _post(url)


def test_a_stopped_collector_says_so() -> None:
    collector = Collector("rudderstack")
    assert repr(collector) == "<Collector rudderstack stopped>"
    for ask in (collector.stats, collector.events, collector.requests, lambda: collector.url):
        with pytest.raises(RuntimeError, match="not running"):
            ask()
    collector.stop()
    collector.start()
    collector.start()
    assert repr(collector) == f"<Collector rudderstack {collector.url}>"
    collector.stop()
    collector.stop()


def test_a_collector_can_start_again_and_begins_anew() -> None:
    collector = Collector()
    for _ in range(2):
        with collector:
            _post(collector.url)
            assert collector.stats()["arrived"] == 1


def test_two_collectors_live_side_by_side() -> None:
    with Collector() as first, Collector("rudderstack") as second:
        assert (_post(first.url).text, _post(second.url).text) == ('{"success":true}', "ok")
        assert first.url != second.url


def test_a_file_survives_the_collector(tmp_path: Path) -> None:
    for expected in (1, 2, 3):
        with Collector(db=tmp_path / "events.db") as collector:
            _post(collector.url)
            assert (collector.stats()["arrived"], collector.stats()["unique"]) == (expected, 1)
            assert collector.events()[0]["copies"] == expected


def test_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("there is no IPv6 here")
    with Collector(host="::1") as collector:
        assert collector.url.startswith("http://[::1]:")
        assert _post(collector.url).status_code == 200


def test_a_port_in_use_is_named() -> None:
    with Collector() as collector:
        port = int(collector.url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1 port {port}"):
            Collector(port=port).start()


def test_a_database_that_cannot_be_opened_leaves_nothing_behind(tmp_path: Path) -> None:
    descriptors = _descriptors()
    with pytest.raises(StoreError, match="cannot open"):
        Collector(db=tmp_path / "missing" / "events.db").start()
    assert _descriptors() == descriptors


def test_a_failure_in_the_thread_is_told_where_it_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("uvicorn.Server.startup", fail)
    before = threading.enumerate()
    with pytest.raises(RuntimeError, match="did not start") as caught:
        Collector().start()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert threading.enumerate() == before


def test_a_stop_does_not_wait_for_a_slow_answer(
    connect: Callable[[str], socket.socket],
    raw_request: Callable[..., bytes],
    read_all: Callable[[socket.socket], tuple[bytes, str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Collector(latency=60) as collector, connect(collector.url) as connection, connect(collector.url):
        connection.sendall(raw_request())
        while not collector.requests():
            time.sleep(0.01)
        begun = time.monotonic()
        collector.stop()
        assert time.monotonic() - begun < 5
        assert read_all(connection)[0] == b""
    assert [record.message for record in caplog.records if record.name == "analytics_client.collector"] == []


def test_a_stop_lets_a_quick_answer_end(
    connect: Callable[[str], socket.socket],
    raw_request: Callable[..., bytes],
    read_all: Callable[[socket.socket], tuple[bytes, str]],
) -> None:
    with Collector(latency=0.3) as collector, connect(collector.url) as connection:
        connection.sendall(raw_request())
        while not collector.requests():
            time.sleep(0.01)
        collector.stop()
        assert read_all(connection)[0].endswith(b'{"success":true}')


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_announces_one_line_and_stops_cleanly(number: signal.Signals) -> None:
    process = _start(SERVE)
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.fullmatch(r"collector listening on (http://127\.0\.0\.1:[0-9]+) as rudderstack\n", line)
    assert match is not None, process.communicate()
    with requests.Session() as session:  # its connection stays open during the stop
        assert session.post(match[1] + "/v1/track", json=EVENT, auth=("key", ""), timeout=10).text == "ok"
        process.send_signal(number)
        assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0


def test_serve_says_why_it_cannot_listen() -> None:
    with Collector() as collector:
        port = collector.url.rsplit(":", 1)[1]
        process = _start(f"from analytics_client.collector import Settings, serve; serve(Settings(port={port}))")
        out, err = process.communicate(timeout=20)
    assert (out, process.returncode) == ("", 1)
    assert f"OSError: [Errno {98 if sys.platform == 'linux' else ''}" in err
    assert f"cannot listen on 127.0.0.1 port {port}" in err


@pytest.mark.parametrize("missing", ["starlette", "uvicorn", "jsonschema_rs"])
def test_without_the_extra_the_error_names_it(missing: str) -> None:
    process = _start(f"import sys; sys.modules[{missing!r}] = None; import analytics_client.collector")
    _, err = process.communicate(timeout=20)
    assert "ImportError: The collector needs" in err
    assert "install analytics_client[collector]." in err


def test_importing_the_collector_changes_no_logging() -> None:
    code = (
        "import logging; before = dict(logging.root.manager.loggerDict); root = list(logging.root.handlers)\n"
        "from analytics_client.collector import Collector\n"
        "with Collector(): pass\n"
        "assert logging.root.handlers == root\n"
        "access = logging.getLogger('uvicorn.access'); assert access.propagate and access.level == 0\n"
        "assert logging.getLogger('uvicorn.error').level == 0\n"
    )
    process = _start(code)
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0
