"""Any ASGI application (Starlette, FastAPI, Litestar, ...): every event made in a request knows who and where.

    app.add_middleware(AnalyticsMiddleware, client=analytics, trusted_proxies=1)

Pure ASGI: nothing is buffered, websockets and streams pass as they are. At the end of the application's lifespan the
events are sent, since uvicorn leaves by a signal and no `atexit` runs. Owns nothing else: the values are `request`'s.
"""

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from analytics_client import Client, scope
from analytics_client.contrib.guard import chosen, guarded, trouble
from analytics_client.contrib.request import Options, RequestScope, cookie_header

ASGIScope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[ASGIScope, Receive, Send], Awaitable[None]]

_SHUTDOWN = "lifespan.shutdown"
_OVER = ("lifespan.shutdown.complete", "lifespan.shutdown.failed")


class ScopeView:
    """An ASGI connection's scope as a view."""

    __slots__ = ("_headers", "_scope")

    def __init__(self, connection: ASGIScope) -> None:
        self._scope = connection
        self._headers: dict[bytes, list[bytes]] | None = None

    def header(self, name: str) -> str:
        """Return a header, several joined; cookies as HTTP/2 parts them."""
        if self._headers is None:
            headers: dict[bytes, list[bytes]] = {}
            for key, value in self._scope.get("headers", ()):
                headers.setdefault(key.lower(), []).append(value)
            self._headers = headers
        found = self._headers.get(name.encode("latin-1"), ())
        return (b"; " if name == "cookie" else b", ").join(found).decode("utf-8", "replace")

    def peer(self) -> str:
        """Return the address that is connected; behind a socket file there is none."""
        return str((self._scope.get("client") or ("",))[0])

    def scheme(self) -> str:
        """Return http, https, ws or wss."""
        return str(self._scope.get("scheme", "http"))

    def host(self) -> str:
        """Return the Host header."""
        return self.header("host")

    def path(self) -> str:
        """Return the whole path."""
        return str(self._scope.get("path", ""))

    def query(self) -> str:
        """Return the query."""
        return bytes(self._scope.get("query_string", b"")).decode("utf-8", "replace")


def _authenticated(connection: ASGIScope) -> Any:
    """Who Starlette's AuthenticationMiddleware says it is, if it stands inside; asked when an event is made."""
    user = connection.get("user")
    if user is None or not getattr(user, "is_authenticated", False):
        return None
    try:
        return user.identity
    except NotImplementedError:  # users that have a name only, which is no id
        return None


class AnalyticsMiddleware:
    """Wraps an ASGI application.

    Args:
        app: the application.
        client: whose events; None: the module's default client.
        user_id: called with the connection's scope; returns the id of who is logged in, or None. Default: the
            `identity` of `scope["user"]`, where Starlette's AuthenticationMiddleware puts it.
        flush_timeout: seconds that the end of the lifespan waits for events still queued.
        trusted_proxies, proxy_header, omit, vendor_cookies, cookie: those of `contrib.request.Options`.

    Raises:
        ConfigError: an option is wrong.
    """

    def __init__(
        self,
        app: Application,
        client: Client | None = None,
        *,
        user_id: Callable[[ASGIScope], Any] | None = _authenticated,
        flush_timeout: float = 5.0,
        trusted_proxies: int | None = None,
        proxy_header: str = "x-forwarded-for",
        omit: Collection[str] = (),
        vendor_cookies: bool = True,
        cookie: str | None = None,
    ) -> None:
        self.app = app
        self._client = client
        self._options = Options(trusted_proxies, proxy_header, omit, vendor_cookies, cookie, user_id)
        self._flush_timeout = flush_timeout

    async def __call__(self, connection: ASGIScope, receive: Receive, send: Send) -> None:
        """Handle a connection, or the lifespan."""
        client = guarded(None, "default client", chosen, self._client)
        if client is None or not client.enabled:
            await self.app(connection, receive, send)
        elif connection["type"] == "lifespan":
            await self._live(client, connection, receive, send)
        else:
            options = self._options
            decide = options.user_id
            user = None if decide is None else lambda: decide(connection)
            values = RequestScope(ScopeView(connection), options, client, user)
            if options.cookie is not None:
                send = _setting_cookie(send, values, options, connection, client)
            with scope.of(values):
                await self.app(connection, receive, send)

    async def _live(self, client: Client, connection: ASGIScope, receive: Receive, send: Send) -> None:
        """Pass the lifespan on, and send what is queued before the server is told that all is over.

        An application without a lifespan raises or returns before it has asked for a message. Then we take its part:
        a server tells nobody of the shutdown if nobody has answered to the startup.
        """
        asked = said = ""

        async def receiving() -> Message:
            nonlocal asked
            message = await receive()
            asked = message["type"]
            return message

        async def sending(message: Message) -> None:
            nonlocal said
            said = message["type"]
            if said in _OVER:
                await self._finish(client)
            await send(message)

        try:
            await self.app(connection, receiving, sending)
        except Exception:
            if asked == _SHUTDOWN and said not in _OVER:
                await self._finish(client)
            if asked:
                raise  # it has one, and that has failed: the server's to know
        if said in _OVER or said == "lifespan.startup.failed":
            return
        if not said:
            await send({"type": "lifespan.startup.complete"})
        while asked != _SHUTDOWN:
            await receiving()
        await sending({"type": "lifespan.shutdown.complete"})

    async def _finish(self, client: Client) -> None:
        """Send what is queued. The client stays open, for whoever starts the application anew, as tests do.

        What cannot be sent in time is ended as `closed`, so that it is reported: nobody else will do it.
        """
        try:
            if not await client.aflush(self._flush_timeout):
                await client.aclose(0)
        except Exception as error:
            trouble(client, "flush at shutdown", error)


def _setting_cookie(send: Send, values: RequestScope, options: Options, connection: ASGIScope, client: Client) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept"):
            secure = connection.get("scheme") in ("https", "wss")
            cookie = guarded(client, "own cookie", cookie_header, values, options, secure=secure)
            if cookie is not None:
                # A cache between us and the visitors must not give all of them one id.
                more = [(b"set-cookie", cookie.encode()), (b"vary", b"cookie")]
                message = {**message, "headers": [*(message.get("headers") or ()), *more]}
        await send(message)

    return sending
