"""Connections: faults on the wire, places and the line before them, and the clock."""

import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from analytics_client.collector import Collector

Connect = Callable[[str], socket.socket]
Talk = Callable[[str, bytes], tuple[bytes, str]]
ReadAll = Callable[[socket.socket], tuple[bytes, str]]
RawRequest = Callable[..., bytes]

EVENT = json.dumps({"userId": "u", "event": "e", "messageId": "m"}).encode()


def _read_answer(connection: socket.socket) -> bytes:
    """Reads one answer with a Content-Length from a connection that stays open."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65_536)
        assert chunk, received
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    [length] = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def _drip(connection: socket.socket, data: bytes) -> None:
    for byte in data:
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


# --- scripted faults ---


def test_drop_before(talk: Talk, raw_request: RawRequest) -> None:
    with Collector(fault="drop-before") as collector:
        assert talk(collector.url, raw_request("/v1/track", EVENT)) == (b"", "reset")
        stats = collector.stats()
        assert (stats["requests"], stats["arrived"], stats["statuses"]) == (1, 0, {})
        [request] = collector.requests()
        assert (request["status"], request["fault"], request["events"]) == (None, "drop-before", 0)


def test_drop_unanswered(talk: Talk, raw_request: RawRequest) -> None:
    with Collector(fault="drop-unanswered") as collector:
        assert talk(collector.url, raw_request("/v1/track", EVENT)) == (b"", "reset")
        stats = collector.stats()
        assert (stats["requests"], stats["arrived"], stats["statuses"]) == (1, 1, {})


@pytest.mark.parametrize(
    ("service", "path", "ending"),
    [
        ("segment", "/v1/track", b'\r\n\r\n{"succes'),
        ("rudderstack", "/v1/track", b"\r\n\r\no"),
        ("segment", "/track", b""),
    ],
)
def test_drop_while(talk: Talk, raw_request: RawRequest, service: str, path: str, ending: bytes) -> None:
    with Collector(service, fault="drop-while") as collector:
        received, end = talk(collector.url, raw_request(path, EVENT))
        assert received.startswith(b"HTTP/1.1 20")
        assert received.endswith(ending)
        assert (b"\r\n\r\n" in received) is bool(ending)
        assert end == "reset"
        assert (collector.stats()["arrived"], sum(collector.stats()["statuses"].values())) == (1, 1)


def test_drop_after(talk: Talk, raw_request: RawRequest) -> None:
    with Collector(fault="drop-after") as collector:
        received, end = talk(collector.url, raw_request("/v1/track", EVENT))
        assert received.endswith(b'\r\n\r\n{"success":true}')
        assert b"connection: close" not in received.lower()
        assert end == "closed"
        assert collector.stats()["arrived"] == 1


def test_a_scripted_status_keeps_nothing_and_the_connection_lives(connect: Connect, raw_request: RawRequest) -> None:
    with Collector("rudderstack", fault="429:Retry-After=2;X-Reset=3,204,500x2") as collector:
        with connect(collector.url) as connection:
            connection.sendall(raw_request("/v1/track", EVENT))
            answer = _read_answer(connection)
            assert answer.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
            assert b"\r\nretry-after: 2\r\nx-reset: 3\r\n" in answer.lower()
            connection.sendall(raw_request("/v1/track", EVENT))
            assert connection.recv(65_536).startswith(b"HTTP/1.1 204 No Content\r\n")
            statuses = []
            for _ in range(3):
                connection.sendall(raw_request("/v1/track", EVENT))
                statuses.append(_read_answer(connection)[9:12])
        assert statuses == [b"500", b"500", b"200"]
        assert collector.stats()["arrived"] == 1
        assert collector.stats()["statuses"] == {"200": 1, "204": 1, "429": 1, "500": 2}


def test_the_script_is_for_requests_with_events_only(raw_request: RawRequest) -> None:
    with Collector(fault="503") as collector:
        assert requests.get(collector.url + "/stats", timeout=10).status_code == 200
        assert requests.post(collector.url + "/v1/track", timeout=10, headers={"Host": "a.b"}).status_code == 403
        assert requests.post(collector.url + "/v1/track", timeout=10).status_code == 503
        collector.fault("418*")
        for _ in range(3):
            assert requests.post(collector.url + "/v1/track", timeout=10).status_code == 418
        with pytest.raises(ValueError, match="step 1"):
            collector.fault("nonsense")


def test_latency_delays_the_answer_and_nobody_else(talk: Talk, raw_request: RawRequest) -> None:
    with Collector(fault="latency=1.2", request_timeout=0.6) as collector:
        slow: list[tuple[float, bytes]] = []

        def ask() -> None:
            begun = time.monotonic()
            received, _ = talk(collector.url, raw_request("/v1/track", EVENT, "Connection: close"))
            slow.append((time.monotonic() - begun, received))

        thread = threading.Thread(target=ask)
        thread.start()
        while not collector.stats()["requests"]:
            time.sleep(0.01)
        received, _ = talk(collector.url, raw_request("/v1/track", EVENT, "Connection: close"))
        assert received.endswith(b'{"success":true}')
        assert slow == []
        thread.join()
        [(seconds, received)] = slow
        # Longer than the time that a request has: scripted latency does not count.
        assert seconds >= 1.2
        assert received.endswith(b'{"success":true}')


def test_every_answer_can_be_late() -> None:
    with Collector(latency=0.15) as collector:
        for _ in range(2):
            begun = time.monotonic()
            requests.post(collector.url + "/v1/track", timeout=10)
            assert time.monotonic() - begun >= 0.15


def test_every_fault_keeps_what_it_says_and_a_retry_brings_copies(raw_request: RawRequest, talk: Talk) -> None:
    script = "drop-before,503,drop-unanswered,drop-while,drop-after,ok"
    with Collector(fault=script) as collector:
        for _ in script.split(","):
            talk(collector.url, raw_request("/v1/track", EVENT, "Connection: close"))
        stats = collector.stats()
        assert (stats["arrived"], stats["unique"], stats["duplicates"], stats["differing"]) == (4, 1, 3, 0)


# --- places and the clock ---


def test_the_33rd_connection_waits_for_a_place(connect: Connect, raw_request: RawRequest) -> None:
    with Collector() as collector:
        inside = [connect(collector.url) for _ in range(32)]
        for connection in inside:  # every one of them is served
            connection.sendall(raw_request("/v1/track", EVENT))
            assert _read_answer(connection).startswith(b"HTTP/1.1 200")
        with connect(collector.url) as waiting:
            waiting.sendall(raw_request("/v1/track", EVENT))
            waiting.settimeout(0.2)
            with pytest.raises(TimeoutError):
                waiting.recv(1)
            inside[7].close()
            waiting.settimeout(10)
            assert _read_answer(waiting).startswith(b"HTTP/1.1 200")
        for connection in inside:
            connection.close()
        assert collector.stats()["requests"] == 33


def test_when_somebody_waits_answers_end_their_connection(
    connect: Connect, read_all: ReadAll, raw_request: RawRequest
) -> None:
    with Collector(max_connections=1, latency=0.5) as collector, connect(collector.url) as first:
        first.sendall(raw_request("/v1/track", EVENT))
        with connect(collector.url) as second:  # is there long before the first is answered
            second.sendall(raw_request("/v1/track", EVENT))
            received, end = read_all(first)
            assert b"\r\nconnection: close\r\n" in received.lower()
            assert (received[9:12], end) == (b"200", "closed")
            assert _read_answer(second)[9:12] == b"200"


def test_many_senders_at_once_are_all_served() -> None:
    with Collector(latency=0.01) as collector:
        failures: list[Any] = []

        def send(number: int) -> None:
            try:
                with requests.Session() as session:
                    session.auth = ("key", "")
                    for turn in range(3):
                        event = {"userId": "u", "event": "e", "messageId": f"{number}-{turn}"}
                        session.post(collector.url + "/v1/track", json=event, timeout=20).raise_for_status()
            except requests.RequestException as error:
                failures.append(error)

        threads = [threading.Thread(target=send, args=(number,)) for number in range(80)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert (collector.stats()["unique"], collector.stats()["duplicates"]) == (240, 0)


@pytest.mark.parametrize("sent", [0, 20, -3], ids=["nothing", "half a head", "half a body"])
def test_a_request_has_so_many_seconds(connect: Connect, read_all: ReadAll, raw_request: RawRequest, sent: int) -> None:
    with Collector(request_timeout=0.3) as collector, connect(collector.url) as connection:
        begun = time.monotonic()
        connection.sendall(raw_request("/v1/track", EVENT)[:sent])
        assert read_all(connection)[0] == b""
        assert 0.25 <= time.monotonic() - begun < 5


def test_the_second_request_of_a_connection_has_no_more(
    connect: Connect, read_all: ReadAll, raw_request: RawRequest
) -> None:
    with Collector(request_timeout=0.4) as collector, connect(collector.url) as connection:
        connection.sendall(raw_request("/v1/track", EVENT))
        assert _read_answer(connection)[9:12] == b"200"
        connection.sendall(raw_request("/v1/track", EVENT)[:-3])
        assert read_all(connection)[0] == b""
        assert collector.stats()["requests"] == 1


def test_dripping_does_not_buy_time(connect: Connect, raw_request: RawRequest) -> None:
    with Collector(request_timeout=0.4) as collector, connect(collector.url) as connection:
        begun = time.monotonic()
        with pytest.raises(OSError, match=r"reset|[Bb]roken"):
            _drip(connection, raw_request("/v1/track", EVENT))
        assert time.monotonic() - begun < 3
        assert collector.stats()["requests"] == 0


def test_an_idle_connection_between_requests_is_not_cut(connect: Connect, raw_request: RawRequest) -> None:
    with Collector(request_timeout=0.5) as collector, connect(collector.url) as connection:
        for _ in range(2):
            connection.sendall(raw_request("/v1/track", EVENT))
            assert _read_answer(connection)[9:12] == b"200"
            time.sleep(0.8)
        assert collector.stats()["requests"] == 2


def test_pipelined_requests_are_answered_in_order(connect: Connect, read_all: ReadAll, raw_request: RawRequest) -> None:
    with Collector() as collector, connect(collector.url) as connection:
        first, last = raw_request("/v1/track", EVENT), raw_request("/v1/nothing", EVENT, "Connection: close")
        connection.sendall(first * 3 + last)
        received, end = read_all(connection)
        assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"200", b"404"]
        assert end == "closed"
