"""One measurement of one middleware, in a process of its own: prints what it found as JSON.

    python web_worker.py '{"framework": "wsgi", "case": "event"}'

The same application with and without the middleware, in turns of a few hundred requests. Where the case has an event,
the bare application makes the same one, with the person and the context written out: what is left is the cost of
finding them. The client's transport throws events away, between the turns, so that no other thread runs meanwhile.
"""

import asyncio
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from analytics_client import Client, Response

TURNS = 40
REQUESTS = 250

AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
QUERY = "utm_source=newsletter&utm_campaign=autumn&page=2"
HEADERS = {
    "host": "shop.example",
    "user-agent": AGENT,
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "accept-language": "de-DE,de;q=0.9,en;q=0.8",
    "accept-encoding": "gzip, deflate, br, zstd",
    "cookie": "csrftoken=Jb6ySjc4vbFqKjFlx1pTtmNKg5Qf2QvL; sessionid=4ruyxgfr0gnbuzcr1ifdzg1b3pcfaa5z; "
    "ajs_anonymous_id=%22b8a5e7e0-5a5b-4f6e-9d0c-0d5f1f3f9a11%22; _ga=GA1.1.1204321.1699999999",
    "referer": "https://shop.example/",
    "x-forwarded-for": "198.51.100.7, 203.0.113.9",
}
CONTEXT = {
    "userAgent": AGENT,
    "locale": "de-DE",
    "page": {
        "path": "/items/7",
        "url": f"http://shop.example/items/7?{QUERY}",
        "referrer": "https://shop.example/",
        "search": f"?{QUERY}",
    },
    "campaign": {"source": "newsletter", "name": "autumn"},
    "ip": "203.0.113.9",
}
OPTIONS: dict[str, Any] = {"trusted_proxies": 1, "user_id": lambda _request: "u-1"}
BODY = b"x" * 500


class Nowhere:
    """A transport that takes everything, and keeps the last body."""

    body = b""

    def send(self, request: Any, timeout: float) -> Response:  # noqa: ARG002 - as the client calls it
        self.body = request.body
        return Response(200)

    def close(self) -> None:
        pass


def main() -> None:
    given = json.loads(sys.argv[1])
    framework, case = given["framework"], given["case"]
    nowhere = Nowhere()
    settings = {
        "write_key": "k",
        "transport": nowhere,
        "flush_interval": 3600,
        "flush_at": 1_000_000,
        "enabled": "disabled" not in case,
    }
    client = Client(**settings)

    def by_hand() -> None:
        client.track("u-1", "Item Viewed", {"item": 7}, CONTEXT, anonymous_id="b8a5e7e0-5a5b-4f6e-9d0c-0d5f1f3f9a11")

    def in_scope() -> None:
        client.track(event="Item Viewed", properties={"item": 7})

    def nothing() -> None:
        pass

    with_event = "event" in case
    runs = FRAMEWORKS[framework](client, by_hand if with_event else nothing, in_scope if with_event else nothing)
    times: tuple[list[float], list[float]] = ([], [])
    bodies = []
    for turn in range(TURNS):
        for run, found in zip(runs, times, strict=True):
            gc.collect()
            started = time.thread_time()
            run(REQUESTS)
            found.append((time.thread_time() - started) / REQUESTS * 1e6)
            client.flush()
            if turn == 0:
                bodies.append(nowhere.body)
    if client.enabled and with_event:
        assert client.stats.accepted == client.stats.delivered == 2 * TURNS * REQUESTS, client.stats
        # Both have made the very same event, but for its id and its time.
        first, second = ([shape(event) for event in json.loads(body)["batch"]] for body in bodies)
        assert first == second, (first[0], second[0])
    pairs = list(zip(*times, strict=True))[TURNS // 10 :]
    more = statistics.median(wrapped - bare for bare, wrapped in pairs)  # neighbours share what the machine is at
    print(json.dumps({"bare_us": statistics.median(bare for bare, _ in pairs), "more_us": more}))


def shape(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in ("messageId", "timestamp")}


Run = Callable[[int], None]


def environ() -> dict[str, Any]:
    """A WSGI environment, as a server makes one for each request."""
    found: dict[str, Any] = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in HEADERS.items()}
    return found | {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/items/7",
        "QUERY_STRING": QUERY,
        "REMOTE_ADDR": "10.0.0.1",
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": sys.stdin.buffer,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def wsgi_run(app: Any) -> Run:
    template = environ()

    def start(status: str, _headers: Any, _error: Any = None) -> None:
        assert status.startswith("200"), status

    def run(count: int) -> None:
        for _ in range(count):
            body = app(template.copy(), start)
            for _piece in body:
                pass
            close = getattr(body, "close", None)
            if close is not None:
                close()

    return run


def wsgi(client: Client, by_hand: Any, in_scope: Any) -> tuple[Run, Run]:
    from analytics_client.contrib.wsgi import AnalyticsMiddleware

    def application(track: Any) -> Any:
        def app(_environ: Any, start: Any) -> list[bytes]:
            track()
            start("200 OK", [("Content-Type", "text/html")])
            return [BODY]

        return app

    wrapped = AnalyticsMiddleware(application(in_scope), client, **OPTIONS)
    return wsgi_run(application(by_hand)), wsgi_run(wrapped)


def asgi(client: Client, by_hand: Any, in_scope: Any) -> tuple[Run, Run]:
    from analytics_client.contrib.asgi import AnalyticsMiddleware

    def application(track: Any) -> Any:
        async def app(_scope: Any, _receive: Any, send: Any) -> None:
            track()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
            await send({"type": "http.response.body", "body": BODY})

        return app

    template = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/items/7",
        "query_string": QUERY.encode(),
        "client": ("10.0.0.1", 1234),
        "headers": [(name.encode(), value.encode()) for name, value in HEADERS.items()],
    }

    def runner(app: Any) -> Run:
        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        async def send(_message: Any) -> None:
            pass

        async def requests(count: int) -> None:
            for _ in range(count):
                await app(template.copy(), receive, send)

        return lambda count: asyncio.run(requests(count))

    wrapped = AnalyticsMiddleware(application(in_scope), client, **OPTIONS)
    return runner(application(by_hand)), runner(wrapped)


def flask(client: Client, by_hand: Any, in_scope: Any) -> tuple[Run, Run]:
    from flask import Flask

    from analytics_client.contrib.flask import Analytics

    def application(track: Any) -> Any:
        app = Flask("shop")

        @app.route("/items/<int:item>")
        def show(item: int) -> bytes:  # noqa: ARG001 - the route's
            track()
            return BODY

        return app

    wrapped = application(in_scope)
    wrapped.config["ANALYTICS_CLIENT"] = OPTIONS
    Analytics(wrapped, client)
    return wsgi_run(application(by_hand)), wsgi_run(wrapped)


def django(client: Client, by_hand: Any, in_scope: Any) -> tuple[Run, Run]:
    import django as package
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.urls import path

    from analytics_client.contrib.django import setup

    tracks = {"by hand": by_hand, "in scope": in_scope}
    now = "by hand"

    def show(_request: Any, item: int) -> HttpResponse:  # noqa: ARG001 - the route's
        tracks[now]()
        return HttpResponse(BODY)

    settings.configure(
        ALLOWED_HOSTS=["shop.example"],
        ROOT_URLCONF=type("urls", (), {"urlpatterns": [path("items/<int:item>", show)]}),
        MIDDLEWARE=[],
        ANALYTICS_CLIENT={"write_key": "k", "enabled": client.enabled} | OPTIONS,
    )
    package.setup()
    bare = wsgi_run(WSGIHandler())
    settings.MIDDLEWARE = ["analytics_client.contrib.django.middleware.AnalyticsMiddleware"]
    assert setup.load().client.enabled is client.enabled
    wrapped = wsgi_run(WSGIHandler())

    def turn(name: str, run: Run) -> Run:
        def running(count: int) -> None:
            nonlocal now
            now = name
            run(count)

        return running

    return turn("by hand", bare), turn("in scope", wrapped)


FRAMEWORKS = {"wsgi": wsgi, "asgi": asgi, "flask": flask, "django": django}


if __name__ == "__main__":
    main()
