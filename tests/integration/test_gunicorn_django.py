"""The Django shop under gunicorn (and once under uvicorn), asked over HTTP by several browsers at the same time.

Every answered request has its event, exactly once, with the right person and page: also while workers are reloaded,
recycled and ended. An order that is rolled back has none. The whole matrix is the heavy tier's.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from analytics_client.collector import Collector
from tests.support.processes import ROOT
from tests.support.servers import (
    Load,
    Visit,
    WebServer,
    clean_environment,
    compare,
    gunicorn,
    serving,
    until,
    uvicorn,
    wait_until_arrived,
)

pytestmark = [pytest.mark.timeout(150)]

SHOP = ROOT / "examples" / "django_shop"

#: Each kind of worker, with what makes it serve several requests at once.
WORKERS = {
    "sync": ["-k", "sync"],
    "gthread": ["-k", "gthread", "--threads", "4"],
    "gevent": ["-k", "gevent"],
}
QUIET = ["--workers", "2", "--log-level", "warning", "--graceful-timeout", "20"]
# gunicorn patches in the worker, after a project that is preloaded; Django's own connections do not survive that.
PATCH_FIRST = ["-c", str(ROOT / "tests" / "contrib" / "django_project" / "gunicorn_gevent.py")]
CASES = [
    pytest.param(
        [*WORKERS[kind], *preload, *(PATCH_FIRST if preload and kind == "gevent" else [])],
        id=f"{kind}{' preload' if preload else ''}",
        # The everyday run has one of each kind, and one that loads the project before it forks.
        marks=[] if (kind, bool(preload)) in (("gthread", True), ("gevent", False)) else [pytest.mark.full],
    )
    for kind in WORKERS
    for preload in ([], ["--preload"])
]


@dataclass
class Shop:
    """A shop with its database and its customers: (user id, session key)."""

    environment: dict[str, str]
    customers: list[tuple[int, str]]

    def visit(self, number: int) -> Visit:
        """Five kinds of visitors, in turn; no two are alike."""
        return VISITS[number % len(VISITS)](self, number)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    directory = tmp_path_factory.mktemp("shop")
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.contrib.django_project.shop_settings",
        "SHOP_DATABASE": str(directory / "shop.sqlite3"),
        "PYTHONPATH": os.pathsep.join([str(SHOP), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    made = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "contrib" / "django_project" / "shop_visitors.py")],
        env=clean_environment("http://127.0.0.1:9") | environment,
        cwd=SHOP,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return Shop(environment, [(pk, key) for pk, key in json.loads(made.stdout)])


def _address(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def _visit(number: int, path: str, cookie: str, event: Mapping[str, object], method: str = "GET") -> Visit:
    headers = {"User-Agent": f"Browser/{number}", "X-Forwarded-For": f"6.6.6.6, {_address(number)}", "Cookie": cookie}
    if method == "POST":
        token = "t" * 32
        headers |= {"X-CSRFToken": token, "Cookie": f"csrftoken={token}; {cookie}", "Content-Length": "0"}
    page = {"path": path.partition("?")[0]}
    where = {"page": page, "userAgent": f"Browser/{number}", "ip": _address(number)}
    return Visit(path, headers, {"context": where, **event}, method)


def _looks(shop: Shop, number: int) -> Visit:
    """Somebody whom only the browser knows."""
    event = {"event": "Product Viewed", "anonymousId": f"a-{number}", "userId": None}
    return _visit(number, f"/items/{number}/", f"ajs_anonymous_id=%22a-{number}%22", event)


def _looks_logged_in(shop: Shop, number: int) -> Visit:
    pk, session = shop.customers[number // len(VISITS) % len(shop.customers)]
    event = {"event": "Product Viewed", "anonymousId": f"a-{number}", "userId": str(pk)}
    return _visit(number, f"/items/{number}/", f"ajs_anonymous_id=a-{number}; sessionid={session}", event)


def _comes_home(shop: Shop, number: int) -> Visit:
    pk, session = shop.customers[number // len(VISITS) % len(shop.customers)]
    event = {"type": "page", "name": "home", "userId": str(pk), "anonymousId": None}
    return _visit(number, f"/?n={number}", f"sessionid={session}", event)


def _buys(shop: Shop, number: int) -> Visit:
    """Every tenth article is a piano: its order is rolled back, and the one event tells of that."""
    pk, session = shop.customers[number // len(VISITS) % len(shop.customers)]
    name = "Order Completed" if number % 10 else "Payment Declined"
    event = {"event": name, "anonymousId": f"a-{number}", "userId": str(pk)}
    cookie = f"ajs_anonymous_id=a-{number}; sessionid={session}"
    return _visit(number, f"/items/{number}/buy/", cookie, event, "POST")


VISITS: list[Callable[[Shop, int], Visit]] = [_buys, _looks, _looks_logged_in, _comes_home, _looks]


@contextmanager
def running(shop: Shop, *options: str) -> Iterator[tuple[WebServer, Collector]]:
    """Run the shop under gunicorn with these options."""
    with (
        Collector() as collector,
        serving(
            gunicorn("wsgi:application", *QUIET, *options), collector, cwd=SHOP, environment=shop.environment
        ) as server,
    ):
        yield server, collector


def _are_gone(workers: set[int], server: WebServer) -> bool:
    return not workers & server.children()


@pytest.mark.parametrize("options", CASES)
def test_every_requests_event_arrives_once(options: list[str], shop: Shop) -> None:
    with running(shop, *options) as (server, collector):
        load = Load(server.url, shop.visit, threads=6)
        load.run(300)
        wait_until_arrived(collector, load)  # by itself, while the server runs
        assert server.stop() == 0, server.output()
        compare(collector, load)
        assert "Traceback" not in server.output(), server.output()


@pytest.mark.parametrize("options", CASES)
def test_ended_by_term_under_load(options: list[str], shop: Shop) -> None:
    with running(shop, *options) as (server, collector):
        load = Load(server.url, shop.visit, threads=6)
        load.start()
        load.wait_for(120)
        status = server.stop()
        load.stop()
        assert status == 0, server.output()
        assert len(load.answered) >= 120
        compare(collector, load)
        assert "events not delivered" not in server.output(), server.output()


@pytest.mark.parametrize("options", CASES)
def test_reloaded_by_hup_under_load(options: list[str], shop: Shop) -> None:
    with running(shop, *options) as (server, collector):
        load = Load(server.url, shop.visit, threads=4)
        load.start()
        load.wait_for(60)
        for _ in range(2):
            before = server.children()
            server.signal(signal.SIGHUP)
            until(partial(_are_gone, before, server), 60, server.output)
            load.wait_for(40)
        load.stop()
        assert server.stop() == 0, server.output()
        compare(collector, load)
        assert "events not delivered" not in server.output(), server.output()


@pytest.mark.parametrize("options", CASES)
def test_workers_that_are_replaced_after_some_requests(options: list[str], shop: Shop) -> None:
    with running(shop, *options, "--max-requests", "40", "--max-requests-jitter", "10") as (server, collector):
        first = server.children()
        load = Load(server.url, shop.visit, threads=4)
        load.start()
        until(partial(_are_gone, first, server), 60, server.output)
        load.wait_for(60)
        load.stop()
        assert server.stop() == 0, server.output()
        compare(collector, load)
        assert "events not delivered" not in server.output(), server.output()


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.full)])
def test_under_uvicorn_ended_by_term_under_load(workers: int, shop: Shop) -> None:
    command = uvicorn("asgi:application", "--workers", str(workers))
    with Collector() as collector, serving(command, collector, cwd=SHOP, environment=shop.environment) as server:
        load = Load(server.url, shop.visit, threads=4)
        load.start()
        load.wait_for(120)
        server.stop()
        load.stop()
        compare(collector, load)
        assert "Traceback" not in server.output(), server.output()


def test_the_example_runs_with_one_command() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "run.py"), "django_shop"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=clean_environment("http://127.0.0.1:9"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "exactly the promised ones, once each" in done.stdout
    assert not (Path(SHOP) / "shop.sqlite3").exists()  # it works in a directory of its own
