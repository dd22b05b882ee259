"""The FastAPI example under a real uvicorn, under load: each event once, of the right person, also after TERM."""

import base64
import json
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
import wsproto

from analytics_client.collector import Collector
from tests.support.processes import ROOT
from tests.support.servers import (
    Load,
    Visit,
    WebServer,
    arrived,
    compare,
    fetch,
    serving,
    until,
    uvicorn,
    wait_until_arrived,
)

pytestmark = pytest.mark.timeout(150)

APP = ROOT / "examples" / "fastapi_app"

#: uvicorn ends itself by the signal it got, once it has cleaned up; its supervisor of workers ends normally.
ENDED = (0, -signal.SIGTERM)


def rudderstack(value: str) -> str:
    return "RS_ENC_v3_" + base64.b64encode(json.dumps(value).encode()).decode()


def visit(number: int) -> Visit:
    """A page, a stream, or an order: in a thread, with an event in the background."""
    person = number % 40
    anonymous_id = f"a-{person}"
    browsers_own = [
        f"ajs_anonymous_id={anonymous_id}",
        f"ajs_anonymous_id=%22{anonymous_id}%22",
        f"rl_anonymous_id={rudderstack(anonymous_id)}",
    ][person % 3]
    logged_in = person % 2 == 0
    headers = {
        "Cookie": f"{browsers_own}; login=u-{person}" if logged_in else browsers_own,
        "User-Agent": f"Browser/{person}",
        "Referer": f"https://e.com/{number}",
    }
    method, kind, names = [
        ("GET", "items", ["Item Viewed"]),
        ("GET", "report", ["Report Downloaded"]),
        ("POST", "orders", ["Order Completed", "Order Shipped"]),
    ][number % 3]
    path = f"/{kind}/{number}"
    first, *also = [
        {
            "event": name,
            "userId": f"u-{person}" if logged_in else None,
            "anonymousId": anonymous_id,
            "context": {
                "userAgent": f"Browser/{person}",
                "page": {"path": path, "search": "?utm_source=test", "referrer": f"https://e.com/{number}"},
                "campaign": {"source": "test"},
                "ip": None,
            },
        }
        for name in names
    ]
    return Visit(f"{path}?utm_source=test", headers, first, method, also)


def is_quiet(server: WebServer) -> None:
    assert "Traceback" not in server.output(), server.output()


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["alone", "workers"])
def test_load_then_term_during_load(options: tuple[str, ...]) -> None:
    with Collector() as collector, serving(uvicorn("app:app", *options), collector, cwd=APP) as server:
        load = Load(server.url, visit)
        load.start()
        load.wait_for(150)
        wait_until_arrived(collector, load)  # by themselves, while the server runs
        load.wait_for(50)
        assert server.stop() in ENDED
        load.stop()
        compare(collector, load)
        is_quiet(server)


@pytest.mark.full
@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["alone", "workers"])
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
@pytest.mark.parametrize("attempt", range(3))
def test_long_load_then_a_signal_during_load(options: tuple[str, ...], end: int, attempt: int) -> None:
    with Collector() as collector, serving(uvicorn("app:app", *options), collector, cwd=APP) as server:
        load = Load(server.url, visit, threads=12)
        load.start()
        load.wait_for(1_000 + attempt)
        server.signal(end)
        assert server.wait() in (*ENDED, -signal.SIGINT)
        load.stop()
        compare(collector, load)


@pytest.mark.full
@pytest.mark.parametrize("recycling", [(), ("--limit-max-requests", "150")], ids=["HUP", "recycled"])
def test_workers_that_are_replaced_under_load(recycling: tuple[str, ...]) -> None:
    command = uvicorn("app:app", "--workers", "2", *recycling)
    with Collector() as collector, serving(command, collector, cwd=APP) as server:
        first = server.children()
        load = Load(server.url, visit)
        load.start()
        load.wait_for(50)
        if not recycling:
            server.signal(signal.SIGHUP)  # uvicorn's: each worker is ended by TERM and started anew
        until(lambda: len(first - server.children()) >= 2, 60, server.output)
        load.wait_for(300)
        assert server.stop() in ENDED
        load.stop()
        compare(collector, load)


def test_no_lifespan_of_its_own_and_told_to_have_none(tmp_path: Path) -> None:
    """A bare application that refuses the lifespan: ours is there, and the events are sent at TERM."""
    (tmp_path / "bare.py").write_text("""
from analytics_client import Client
from analytics_client.contrib.asgi import AnalyticsMiddleware

analytics = Client(flush_interval=3600)

async def bare(scope, receive, send):
    assert scope["type"] == "http"
    analytics.track(event="E", properties={"n": int(scope["path"][1:])})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"fine"})

app = AnalyticsMiddleware(bare, analytics, cookie="own")
""")
    with Collector() as collector, serving(uvicorn("bare:app"), collector, cwd=tmp_path) as server:
        load = Load(server.url, lambda number: Visit(f"/{number}", event={"event": "E"}))
        load.run(100)
        assert collector.stats()["unique"] == 0
        assert server.stop() in ENDED
        compare(collector, load)
        is_quiet(server)


def test_a_websocket() -> None:
    with Collector() as collector, serving(uvicorn("app:app"), collector, cwd=APP) as server:
        for number in range(3):
            headers = [(b"cookie", b"ajs_anonymous_id=a-%d" % number)]
            opening = wsproto.events.Request(host="x", target=f"/chat/{number}", extra_headers=headers)
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
                browser = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
                connection.sendall(browser.send(opening))
                assert [type(each) for each in received(connection, browser)] == [wsproto.events.AcceptConnection]
                connection.sendall(browser.send(wsproto.events.TextMessage("hello")))
                assert [each.data for each in received(connection, browser)] == ["hello"]
        assert server.stop() in ENDED
        is_quiet(server)
        found = arrived(collector)
        assert sorted(found) == [0, 1, 2]
        for number, [shown] in found.items():
            event = shown["event"]
            assert (event["event"], event["anonymousId"]) == ("Message Sent", f"a-{number}")
            assert event["context"]["page"]["url"] == f"ws://x/chat/{number}"
            assert event["properties"]["length"] == 5


def received(connection: socket.socket, browser: wsproto.WSConnection) -> list[Any]:
    """Read until there is a whole event, other than the one that says goodbye."""
    while True:
        browser.receive_data(connection.recv(4_096))
        events = [each for each in browser.events() if not isinstance(each, wsproto.events.CloseConnection)]
        if events:
            return events


ABSURD = {
    "a cookie of 60 KB": b"Cookie: ajs_anonymous_id=" + b"x" * 60_000,
    "many cookies": b"Cookie: " + b"a=1; " * 12_000,
    "invalid UTF-8": b"User-Agent: \xff\xfe\r\nReferer: http://\xff/\r\nCookie: ajs_anonymous_id=\xff; login=\xc3",
    "quotes": b'User-Agent: """\\\\\\\r\nCookie: ajs_anonymous_id="; ajs_user_id="\\u0000',
    "no language": b"Accept-Language: ,,;q=,*;q=nan,en;q=1e9",
    "forged addresses": b'X-Forwarded-For: 6.6.6.6, ::::, %\r\nForwarded: for=",,;\r\nX-Forwarded-For: 1.2.3.4',
    "a login of 8 KB": b"Cookie: login=" + b"u" * 8_000,
}


def test_absurd_requests_are_answered_as_usual() -> None:
    with Collector() as collector, serving(uvicorn("app:app"), collector, cwd=APP) as server:
        for number, header in enumerate(ABSURD.values()):
            request = b"GET /items/%d?%%ff=%%&utm_source=%%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" % number
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
                connection.sendall(request + header + b"\r\n\r\n")
                with connection.makefile("rb") as reader:
                    answer = reader.read()
            assert answer.startswith(b"HTTP/1.1 200 OK"), answer
            assert answer.endswith(b'{"item":%d}' % number), answer
        until(lambda: len(arrived(collector)) == len(ABSURD), 10, lambda: f"{sorted(arrived(collector))}")
        fetch(server.port, visit(999))
        server.stop()
        is_quiet(server)
        assert collector.stats()["violations"] == 0
