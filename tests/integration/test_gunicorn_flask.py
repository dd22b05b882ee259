"""The Flask example under a real gunicorn, each kind of worker, under load: each event once, of the right person.

The session cookies are made here, with the application's secret: so every visit is of a person of its own choice.
"""

import signal
import socket
from typing import Any

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from analytics_client.collector import Collector
from tests.support.processes import ROOT
from tests.support.servers import (
    Load,
    Visit,
    arrived,
    compare,
    gunicorn,
    serving,
    until,
    wait_until_arrived,
)

pytestmark = pytest.mark.timeout(150)

APP = ROOT / "examples" / "flask_app"
SECRET = "of these tests"
ENVIRONMENT = {"FLASK_SECRET_KEY": SECRET}

PEOPLE = 40


def sessions() -> list[str]:
    app = Flask("signer")
    app.secret_key = SECRET
    signer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert signer is not None
    return [signer.dumps({"_user_id": f"u-{person}", "_fresh": True}) for person in range(PEOPLE)]


SESSIONS = sessions()


def visit(number: int) -> Visit:
    """A page, a stream or an order."""
    person = number % PEOPLE
    method, kind, name = [
        ("GET", "items", "Item Viewed"),
        ("GET", "report", "Report Downloaded"),
        ("POST", "orders", "Order Completed"),
    ][number % 3]
    logged_in = person % 2 == 0 or kind == "orders"
    cookies = f"ajs_anonymous_id=%22a-{person}%22" + (f"; session={SESSIONS[person]}" if logged_in else "")
    path = f"/{kind}/{number}"
    event: dict[str, Any] = {
        "event": name,
        "userId": f"u-{person}" if logged_in else None,
        "anonymousId": f"a-{person}",
        "context": {
            "userAgent": f"Browser/{person}",
            "page": {"path": path, "search": "?utm_source=test"},
            "campaign": {"source": "test"},
            "ip": None,
        },
    }
    return Visit(f"{path}?utm_source=test", {"Cookie": cookies, "User-Agent": f"Browser/{person}"}, event, method)


def command(kind: str, *options: str) -> list[str]:
    threads = ("--threads", "4") if kind == "gthread" else ()
    return gunicorn("app:create_app()", "-k", kind, "-w", "2", *threads, *options)


def everything(kind: str, options: tuple[str, ...], *, visits: int, threads: int = 6) -> None:
    """Workers that are recycled, then a reload, then the end: all under load."""
    recycling = ("--max-requests", "60", "--max-requests-jitter", "20")
    with (
        Collector() as collector,
        serving(command(kind, *recycling, *options), collector, cwd=APP, environment=ENVIRONMENT) as server,
    ):
        load = Load(server.url, visit, threads=threads)
        load.start()
        first = server.children()
        load.wait_for(visits)
        until(lambda: not first & server.children(), 30, server.output)  # all recycled by now
        wait_until_arrived(collector, load)  # by themselves, while the server runs
        second = server.children()
        server.signal(signal.SIGHUP)
        until(lambda: not second & server.children(), 30, server.output)
        load.wait_for(visits)
        assert server.stop() == 0
        load.stop()
        compare(collector, load)
        assert "Traceback" not in server.output(), server.output()


@pytest.mark.parametrize(
    ("kind", "options"), [("sync", ("--preload",)), ("gthread", ()), ("gevent", ())], ids=["sync", "gthread", "gevent"]
)
def test_recycling_reload_and_term_under_load(kind: str, options: tuple[str, ...]) -> None:
    everything(kind, options, visits=150)


@pytest.mark.full
@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["each", "preload"])
@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
@pytest.mark.parametrize("attempt", range(3))
def test_the_whole_matrix(kind: str, preload: tuple[str, ...], attempt: int) -> None:
    everything(kind, preload, visits=600 + attempt, threads=12)


@pytest.mark.full
@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["each", "preload"])
@pytest.mark.parametrize("kind", ["sync", "gthread", "gevent"])
def test_without_any_end_but_the_last(kind: str, preload: tuple[str, ...]) -> None:
    """Nothing is sent before the end, so that all of it is the end's to send."""
    environment = ENVIRONMENT | {"ANALYTICS_FLUSH_INTERVAL": "3600"}
    with (
        Collector() as collector,
        serving(command(kind, *preload), collector, cwd=APP, environment=environment) as server,
    ):
        load = Load(server.url, visit)
        load.run(300)
        assert collector.stats()["unique"] == 0
        assert server.stop() == 0
        compare(collector, load)


ABSURD = {
    "a cookie of 64 KB": b"Cookie: ajs_anonymous_id=" + b"x" * 65_000,
    "many cookies": b"Cookie: " + b"a=1; " * 12_000,
    "invalid UTF-8": b"User-Agent: \xff\xfe\r\nReferer: http://\xff/\r\nCookie: ajs_anonymous_id=\xff; session=\xc3",
    "quotes": b'User-Agent: """\\\\\\\r\nCookie: ajs_anonymous_id="; ajs_user_id="\\u0000',
    "no language": b"Accept-Language: ,,;q=,*;q=nan,en;q=1e9",
    "forged addresses": b'X-Forwarded-For: 6.6.6.6, ::::, %\r\nForwarded: for=",,;\r\nX-Forwarded-For: 1.2.3.4',
    "a session of nobody": b"Cookie: session=.eJw; ajs_user_id=u",
}


def test_absurd_requests_are_answered_as_usual() -> None:
    roomy = ("--limit-request-field_size", "70000")
    with (
        Collector() as collector,
        serving(command("gthread", *roomy), collector, cwd=APP, environment=ENVIRONMENT) as server,
    ):
        for number, header in enumerate(ABSURD.values()):
            request = b"GET /items/%d?%%ff=%%&utm_source=%%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" % number
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
                connection.sendall(request + header + b"\r\n\r\n")
                with connection.makefile("rb") as reader:
                    answer = reader.read()
            assert answer.startswith(b"HTTP/1.1 200 OK"), answer
            assert b'{"item":%d}' % number in answer, answer
        until(lambda: len(arrived(collector)) == len(ABSURD), 10, lambda: f"{sorted(arrived(collector))}")
        assert server.stop() == 0
        assert collector.stats()["violations"] == 0
