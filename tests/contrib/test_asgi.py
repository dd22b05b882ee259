"""The ASGI middleware: around bare applications for the protocol, around Starlette and FastAPI for what those do."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from analytics_client import Client, ConfigError, scope
from analytics_client.contrib.asgi import AnalyticsMiddleware, ScopeView
from analytics_client.scopes import current
from tests.support.capture import Capture, captured
from tests.support.server import answer, serving

Dict = dict[str, Any]
COOKIE = {"cookie": "ajs_anonymous_id=a-1"}


def connection(path: str = "/", headers: Sequence[tuple[bytes, bytes]] = (), **more: Any) -> Dict:
    return {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "query_string": b"",
        "headers": list(headers),
        "client": ("10.0.0.9", 50_000),
        **more,
    }


async def exchange(app: Any, opened: Dict, *incoming: Dict) -> list[Dict]:
    """Run an application on one connection; the server's messages are given, and after them nothing comes."""
    messages = list(incoming)
    sent: list[Dict] = []

    async def receive() -> Dict:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(opened, receive, send)
    return sent


def request(app: Any, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    """Make a request to an application in this thread."""

    async def make() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.example.com") as browser:
            return await browser.request(method, path, headers=headers)

    return asyncio.run(make())


def who(capture: Capture) -> list[tuple[Any, Any, Any]]:
    return [
        (event["event"], event.get("userId") or event.get("anonymousId"), event["context"].get("page", {}).get("path"))
        for event in capture.events
    ]


async def respond(send: Any, *pieces: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


# -- the protocol ------------------------------------------------------------------------------------------------------


def test_messages_pass_as_they_are_one_by_one() -> None:
    client, capture = captured()
    opened = connection("/a", [(b"cookie", b"ajs_anonymous_id=a-1")])
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))
        client.track(event="E")
        await respond(send, b"1", b"2")

    async def receive() -> Dict:
        return {}

    async def send(message: Any) -> None:
        seen.append(message)

    asyncio.run(AnalyticsMiddleware(app, client)(opened, receive, send))
    assert seen[0] == (opened, receive, send)  # the very objects: nothing stands in between
    assert [message["type"] for message in seen[1:]] == ["http.response.start", *["http.response.body"] * 3]
    client.close()
    assert who(capture) == [("E", "a-1", "/a")]


def test_http_2_parts_cookies_and_proxies_repeat_headers() -> None:
    opened = connection(
        headers=[
            (b"cookie", b"a=1"),
            (b"cookie", b"ajs_anonymous_id=x"),
            (b"X-Forwarded-For", b"6.6.6.6"),
            (b"x-forwarded-for", b"1.2.3.4"),
            (b"user-agent", b"caf\xc3\xa9 \xff"),
        ]
    )
    view = ScopeView(opened)
    assert view.header("cookie") == "a=1; ajs_anonymous_id=x"
    assert view.header("x-forwarded-for") == "6.6.6.6, 1.2.3.4"
    assert view.header("user-agent") == "café \N{REPLACEMENT CHARACTER}"
    assert view.header("referer") == ""
    assert view.peer() == "10.0.0.9"
    assert ScopeView({"type": "http", "client": None}).peer() == ""
    assert ScopeView({"type": "http"}).query() == ""


def test_the_own_cookie() -> None:
    client, capture = captured()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/quiet":
            client.track(event="E")
        await respond(send)
        if scope["path"] == "/late":
            client.track(event="Late")

    async def ask(path: str, *headers: tuple[bytes, bytes], **more: Any) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = (await exchange(wrapped, connection(path, headers, **more)))[0]["headers"]
        return found

    wrapped = AnalyticsMiddleware(app, client, cookie="own")
    assert asyncio.run(ask("/quiet")) == [(b"x-own", b"1")]
    own, (name, value), vary = asyncio.run(ask("/a", scheme="https"))
    assert (own, name, vary) == ((b"x-own", b"1"), b"set-cookie", (b"vary", b"cookie"))
    assert value.endswith(b"; Secure")
    assert asyncio.run(ask("/a", (b"cookie", value.partition(b";")[0]))) == [(b"x-own", b"1")]
    asyncio.run(ask("/late", (b"cookie", value.partition(b";")[0])))
    client.close()
    assert len(capture.events) == 4
    [anonymous_id] = {event["anonymousId"] for event in capture.events}
    assert value.startswith(f"own={anonymous_id};".encode())


def test_a_websocket() -> None:
    client, capture = captured()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        client.track(event="connected")
        await send({"type": "websocket.accept", "headers": None})
        while (message := await receive())["type"] == "websocket.receive":
            client.track(event=message["text"])
            await send({"type": "websocket.send", "text": message["text"]})

    sent = asyncio.run(
        exchange(
            AnalyticsMiddleware(app, client, cookie="own"),
            connection("/chat", [(b"host", b"shop.example.com")], type="websocket", scheme="wss"),
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "text": "one"},
            {"type": "websocket.receive", "text": "two"},
            {"type": "websocket.disconnect", "code": 1000},
        )
    )
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.send"]
    client.close()
    assert [event["event"] for event in capture.events] == ["connected", "one", "two"]
    assert {event["context"]["page"]["url"] for event in capture.events} == {"wss://shop.example.com/chat"}
    [anonymous_id] = {event["anonymousId"] for event in capture.events}
    assert dict(sent[0]["headers"])[b"set-cookie"].startswith(f"own={anonymous_id};".encode())
    assert dict(sent[0]["headers"])[b"set-cookie"].endswith(b"; Secure")


def test_other_kinds_of_connections_pass() -> None:
    client, _ = captured()
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(exchange(AnalyticsMiddleware(app, client, cookie="own"), {"type": "something.new"}))
    assert seen == ["something.new"]
    client.close()


def test_what_the_application_raises_passes() -> None:
    client, capture = captured()

    async def app(opened: Any, receive: Any, send: Any) -> None:
        client.track(event="before the fall")
        raise LookupError("mine")

    async def ask() -> None:
        with pytest.raises(LookupError, match="mine"):
            await exchange(AnalyticsMiddleware(app, client), connection("/a", [(b"cookie", b"ajs_anonymous_id=a-1")]))
        assert current() is None

    asyncio.run(ask())
    client.close()
    assert who(capture) == [("before the fall", "a-1", "/a")]
    assert client.stats.notices == {}


def test_a_cancelled_request() -> None:
    client, capture = captured()

    async def app(opened: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
        finally:
            client.track(event="gone")

    async def ask() -> None:
        opened = connection("/a", [(b"cookie", b"ajs_anonymous_id=a-1")])
        task = asyncio.create_task(exchange(AnalyticsMiddleware(app, client), opened))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(ask())
    client.close()
    assert who(capture) == [("gone", "a-1", "/a")]


def test_requests_side_by_side_do_not_mix() -> None:
    client, capture = captured()
    started = 0
    all_here = asyncio.Event()

    async def app(opened: Any, receive: Any, send: Any) -> None:
        nonlocal started
        started += 1
        if started == 20:
            all_here.set()
        await all_here.wait()
        client.track(event="E", properties={"path": opened["path"]})
        await respond(send)

    async def ask() -> None:
        wrapped = AnalyticsMiddleware(app, client, user_id=lambda opened: opened["path"])
        await asyncio.gather(*(exchange(wrapped, connection(f"/{number}")) for number in range(20)))

    asyncio.run(ask())
    client.close()
    assert len(capture.events) == 20
    for event in capture.events:
        assert event["userId"] == event["context"]["page"]["path"] == event["properties"]["path"]


@pytest.mark.parametrize("client", [None, Client("k", enabled=False)])
@pytest.mark.parametrize("kind", ["http", "lifespan"])
def test_without_an_enabled_client_the_application_is_as_if_alone(
    client: Client | None, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import analytics_client

    monkeypatch.setattr(analytics_client, "default_client", lambda: client)
    seen: list[Any] = []

    async def app(opened: Any, receive: Any, send: Any) -> None:
        seen.extend([receive, send, current()])

    async def receive() -> Dict:
        return {}

    async def send(message: Any) -> None:
        pass

    asyncio.run(AnalyticsMiddleware(app, cookie="own")(connection(type=kind), receive, send))
    assert seen == [receive, send, None]


def test_a_wrong_option_is_said_at_once() -> None:
    with pytest.raises(ConfigError, match="omit"):
        AnalyticsMiddleware(Starlette(), omit="page")


header_values = st.binary(max_size=40) | st.text(max_size=20)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"cookie", b"user-agent", b"referer", b"host", b"x-forwarded-for", b"accept-language"]),
            header_values,
        ),
        max_size=6,
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "path": header_values | st.none(),
            "query_string": header_values | st.none(),
            "scheme": header_values | st.none(),
            "client": st.none() | st.tuples(header_values, st.none()) | st.just([]) | st.integers(),
            "user": st.integers() | st.just({}),
        },
    ),
)
def test_any_connection_at_all(headers: Any, more: Dict) -> None:
    client, capture = captured()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert client.track(event="E")
        await respond(send)

    wrapped = AnalyticsMiddleware(app, client, cookie="own", trusted_proxies=1)
    sent = asyncio.run(exchange(wrapped, {"type": "http", "headers": headers, **more}))
    assert sent[0]["headers"][0] == (b"x-own", b"1")
    client.close()
    assert len(capture.events) == 1


# -- the lifespan ------------------------------------------------------------------------------------------------------

STARTUP, SHUTDOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}
COMPLETE = [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


def live(app: Any, client: Client, *incoming: Dict, **options: Any) -> list[Dict]:
    async def run() -> list[Dict]:
        wrapped = AnalyticsMiddleware(app, client, **options)
        return await asyncio.wait_for(exchange(wrapped, {"type": "lifespan"}, *(incoming or (STARTUP, SHUTDOWN))), 10)

    return asyncio.run(run())


def waiting(**options: Any) -> tuple[Client, Capture]:
    """A client that sends nothing by itself."""
    return captured(flush_interval=3_600, **options)


def test_what_is_queued_is_sent_before_the_shutdown_is_complete() -> None:
    client, capture = waiting()

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, int]]:
        client.track("u", "started")
        yield {"own": 1}
        client.track("u", "stopping")

    async def run() -> None:
        wrapped = AnalyticsMiddleware(Starlette(lifespan=lifespan), client)
        opened: Dict = {"type": "lifespan", "state": {}}
        assert [dict(message) for message in await exchange(wrapped, opened, STARTUP, SHUTDOWN)] == COMPLETE
        assert opened["state"] == {"own": 1}

    asyncio.run(run())
    assert [event["event"] for event in capture.events] == ["started", "stopping"]
    assert client.track("u", "the client stays open")
    client.close()


def refuses(scope: Any) -> None:
    raise AssertionError("http only")


def ignores(scope: Any) -> None:
    pass


@pytest.mark.parametrize("unsupported", [refuses, ignores])
def test_an_application_without_a_lifespan(unsupported: Callable[[Any], None]) -> None:
    client, capture = waiting()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        unsupported(scope)

    client.track("u", "E")
    assert live(app, client) == COMPLETE
    assert len(capture.events) == 1
    client.close()


def test_an_application_that_leaves_after_its_startup() -> None:
    client, capture = waiting()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})

    client.track("u", "E")
    assert live(app, client) == COMPLETE
    assert len(capture.events) == 1
    client.close()


def test_an_application_that_leaves_its_shutdown_unanswered() -> None:
    client, capture = waiting()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()

    client.track("u", "E")
    assert live(app, client) == COMPLETE
    assert len(capture.events) == 1
    client.close()


@pytest.mark.parametrize("said", [True, False])
def test_a_startup_that_fails_is_the_servers_to_know(said: bool) -> None:
    client, _ = waiting()
    sent: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if said:
            await send({"type": "lifespan.startup.failed"})
        sent.append("failed")
        raise LookupError("no database")

    with pytest.raises(LookupError, match="no database"):
        live(app, client)
    assert sent == ["failed"]
    client.close()


def test_starlettes_failing_startup() -> None:
    client, _ = waiting()

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        raise LookupError("no database")
        yield

    with pytest.raises(LookupError, match="no database"):
        live(Starlette(lifespan=lifespan), client)
    client.close()


@pytest.mark.parametrize("said", [True, False])
def test_a_shutdown_that_fails_sends_nevertheless(said: bool) -> None:
    client, capture = waiting()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if said:
            await send({"type": "lifespan.shutdown.failed"})
        raise LookupError("no database")

    client.track("u", "E")
    with pytest.raises(LookupError):
        live(app, client)
    assert len(capture.events) == 1
    client.close()


def test_what_cannot_be_sent_in_time_is_reported() -> None:
    ends: list[str] = []
    with serving(then=answer(503)) as server:
        client = Client("k", host=server.url, on_failed=lambda end: ends.append(str(end.reason)))
        client.track("u", "E")
        assert live(Starlette(), client, flush_timeout=0.05) == COMPLETE
    assert client.stats.pending == 0
    assert ends == ["closed"]


def test_a_flush_that_raises_does_not_keep_the_server_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = waiting()

    async def raising(_timeout: float) -> bool:
        raise OSError

    monkeypatch.setattr(client, "aflush", raising)
    assert live(Starlette(), client) == COMPLETE
    assert client.stats.notices == {"hook": 1}
    client.close()


# -- Starlette and FastAPI ---------------------------------------------------------------------------------------------


class Member(BaseUser):
    """A user whose way to its id is counted."""

    asked = 0

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def identity(self) -> str:
        type(self).asked += 1
        return "u-1"


class NoIdentity(BaseUser):
    is_authenticated = True


class Raising(BaseUser):
    @property
    def is_authenticated(self) -> bool:
        raise ZeroDivisionError


def with_authentication(client: Client, user: Any) -> AnalyticsMiddleware:
    class Backend(AuthenticationBackend):
        async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
            return None if user is None else (AuthCredentials(), user)

    async def page(request: Request) -> PlainTextResponse:
        if request.url.path != "/deep/quiet":
            client.track(event="E")
        return PlainTextResponse("fine")

    routes = [Mount("/deep", routes=[Route("/a", page), Route("/quiet", page)])]
    app = Starlette(routes=routes, middleware=[Middleware(AuthenticationMiddleware, backend=Backend())])
    return AnalyticsMiddleware(app, client)


@pytest.mark.parametrize(
    ("user", "found"),
    [(Member(), "u-1"), (SimpleUser("anna"), "anna"), (None, None), (NoIdentity(), None), (Raising(), None)],
)
def test_starlettes_authentication(user: Any, found: str | None) -> None:
    client, capture = captured()
    assert request(with_authentication(client, user), "GET", "/deep/a", COOKIE).text == "fine"
    client.close()
    [event] = capture.events
    assert (event.get("userId"), event["anonymousId"], event["context"]["page"]["path"]) == (found, "a-1", "/deep/a")


def test_the_user_is_not_touched_without_an_event() -> None:
    client, _ = captured()
    Member.asked = 0
    assert request(with_authentication(client, Member()), "GET", "/deep/quiet").text == "fine"
    assert Member.asked == 0
    client.close()


def fastapi(client: Client, cookie: str | None = None) -> FastAPI:
    app = FastAPI()

    async def other(request: Request, call_next: Any) -> Any:
        request.state.user = request.headers.get("x-user")
        return await call_next(request)

    app.add_middleware(BaseHTTPMiddleware, dispatch=other)
    app.add_middleware(
        AnalyticsMiddleware, client=client, user_id=lambda opened: opened["state"].get("user"), cookie=cookie
    )

    @app.get("/async")
    async def in_the_loop() -> str:
        client.track(event="async")
        return "fine"

    @app.get("/thread")
    def in_a_thread() -> str:
        assert threading.current_thread() is not threading.main_thread()
        client.track(event="thread")
        return "fine"

    @app.get("/login")
    async def login(request: Request) -> str:
        client.track(event="before")
        request.state.user = "u-2"
        client.track(event="after")
        return "fine"

    @app.get("/tasks")
    async def tasks(later: BackgroundTasks) -> str:
        later.add_task(client.track, event="in a thread")
        later.add_task(in_the_background)
        return "fine"

    async def in_the_background() -> None:
        client.track(event="in the loop")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[str]:
            for number in range(3):
                client.track(event=f"piece {number}")
                yield "x"

        return StreamingResponse(pieces())

    @app.get("/task")
    async def own_task() -> str:
        await asyncio.create_task(in_the_background())
        with scope(user_id="u-3"):
            await asyncio.to_thread(client.track, event="to_thread")
        return "fine"

    @app.get("/raises")
    async def raises() -> str:
        client.track(event="before the fall")
        raise LookupError

    return app


@pytest.mark.parametrize(
    ("path", "events"),
    [
        ("/async", [("async", "u-1")]),
        ("/thread", [("thread", "u-1")]),
        ("/login", [("before", "u-1"), ("after", "u-2")]),
        ("/tasks", [("in a thread", "u-1"), ("in the loop", "u-1")]),
        ("/stream", [("piece 0", "u-1"), ("piece 1", "u-1"), ("piece 2", "u-1")]),
        ("/task", [("in the loop", "u-1"), ("to_thread", "u-3")]),
        ("/raises", [("before the fall", "u-1")]),
    ],
)
def test_fastapi_with_another_middleware_in_between(path: str, events: list[tuple[str, str]]) -> None:
    client, capture = captured()
    response = request(fastapi(client), "GET", path, {"x-user": "u-1"})
    assert response.status_code == (500 if path == "/raises" else 200)
    client.close()
    assert who(capture) == [(*event, path) for event in events]


@pytest.mark.parametrize("path", ["/async", "/thread"])
def test_fastapi_sets_the_own_cookie(path: str) -> None:
    client, capture = captured()
    response = request(fastapi(client, cookie="own"), "GET", path)
    client.close()
    assert response.cookies["own"] == capture.events[0]["anonymousId"]
