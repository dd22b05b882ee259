"""The application: its routes, its guard, and what can be looked at.

This file owns the paths `/stats`, `/events` and `/requests` and who may ask for them. Everything else goes to `intake`.
It must not decide what a service answers.

A developer's browser is on the same machine, and any page in it can send requests here. So the Host header must be a
loopback name, nothing says Access-Control-Allow-Origin, and what can be read cannot be framed, sniffed or cached.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from analytics_client.collector import admission
from analytics_client.collector.exchange import JSON, TEXT
from analytics_client.collector.intake import MAX_REQUESTS, Intake
from analytics_client.collector.settings import Settings
from analytics_client.collector.store import StoreError

MAX_EVENTS = 1_000
"""Events in one answer of /events."""
PAGE = 100
"""Events that are read at once. Between two pages others have their turn, so that nobody waits for a long answer."""

_READ_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_log = logging.getLogger("analytics_client.collector")


def create_app(settings: Settings) -> Starlette:
    """Make the ASGI application.

    The collector's own server (`serve`, `Collector`) adds the limits on connections and time, and is needed for the
    faults that drop connections; under another server everything else works.

    Args:
        settings: The options. `host`, `port`, `max_connections` and `request_timeout` are the server's business.

    Raises:
        StoreError: The database cannot be opened.
    """
    intake = Intake(settings)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            intake.store.close()

    async def stats(_request: Request) -> Response:
        return _readable({"service": settings.service, **intake.store.stats()})

    async def events(request: Request) -> Response:
        return await _events(request, intake)

    async def requests(request: Request) -> Response:
        limit = _number(request, "limit", 100, MAX_REQUESTS)
        if limit is None:
            return _bad_query()
        return _readable({"requests": list(intake.requests)[-limit:] if limit else []})

    routes = [
        Route("/stats", stats),
        Route("/events", events),
        Route("/requests", requests),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Guard)], lifespan=lifespan)
    app.router.redirect_slashes = False
    app.router.default = _Everything(intake)
    app.state.intake = intake
    return app


class Guard:
    """Lets in requests to loopback names, and lets no failure show more than that there was one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = _refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            pass  # the server stops and has cut the connection; uvicorn would log the cancelled task as an error
        except Exception as error:
            # Only its name: the text of an exception may quote an event.
            _log.error("The collector failed on a request: %s.", type(error).__name__)
            if not has_begun:
                await Response("The collector failed.\n", 500, media_type=TEXT)(scope, receive, send)


def _refusal(scope: Scope) -> Response | None:
    close = {"Connection": "close"}
    if not admission.is_bounded(scope["headers"]):
        return Response("The headers are too large.\n", 431, close, TEXT)
    if not admission.is_loopback(Request(scope).headers.get("host", "")):
        return Response("The collector answers to loopback names only.\n", 403, close, TEXT)
    return None


class _Everything:
    """Receives what no route knows: the paths are the services' business, and so is a 404."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        response = await self._intake.receive(Request(scope, receive))
        await response(scope, receive, send)


async def _events(request: Request, intake: Intake) -> Response:
    limit, offset = _number(request, "limit", 100, MAX_EVENTS), _number(request, "offset", 0)
    query = request.query_params
    if limit is None or offset is None or query.get("order", "oldest") not in ("oldest", "newest"):
        return _bad_query()
    shown: list[bytes] = []
    total = after = 0
    try:
        while True:
            page = intake.store.events(
                limit=min(PAGE, limit - len(shown)),
                offset=offset if not shown else 0,
                after=after,
                kind=query.get("type", ""),
                user=query.get("user_id", ""),
                newest=query.get("order") == "newest",
            )
            shown += page.events
            total, after = page.total, page.last_seq
            if len(page.events) < PAGE or len(shown) >= limit:
                break
            await asyncio.sleep(0)
    except StoreError as error:
        return Response(f"{error}\n", 503, _READ_HEADERS, TEXT)
    body = b'{"total":%d,"events":[%s]}' % (total, b",".join(shown))
    return Response(body, 200, _READ_HEADERS, JSON)


def _number(request: Request, name: str, default: int, most: int = 2**31) -> int | None:
    """Give a number from the query; None if it is none. A large one is cut to `most`."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) <= 10 else None


def _readable(document: object) -> Response:
    return Response(orjson.dumps(document), 200, _READ_HEADERS, JSON)


def _bad_query() -> Response:
    text = "limit and offset must be numbers from 0 up, order oldest or newest.\n"
    return Response(text, 400, _READ_HEADERS, TEXT)
