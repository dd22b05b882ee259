"""Any WSGI application (PEP 3333): every event made while it handles a request knows who and where.

    app = AnalyticsMiddleware(app, client=analytics, trusted_proxies=1)

The scope is in force while the application is called and while its body is produced. Owns nothing else: the values are
`request`'s. Requests that make no event cost a few microseconds.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from analytics_client import Client, scope
from analytics_client.contrib.guard import chosen, guarded
from analytics_client.contrib.request import Options, RequestScope, cookie_header

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class EnvironView:
    """A WSGI environment as a view; Django's `request.META` is one, too."""

    __slots__ = ("_environ", "_scheme")

    def __init__(self, environ: Environ, scheme: str | None = None) -> None:
        self._environ = environ
        self._scheme = scheme

    def header(self, name: str) -> str:
        """Return a header. Servers decode its bytes as Latin-1, browsers send UTF-8."""
        return _text(self._environ.get(f"HTTP_{name.upper().replace('-', '_')}", ""))

    def peer(self) -> str:
        """Return the address that is connected; behind a socket file there is none."""
        return str(self._environ.get("REMOTE_ADDR", ""))

    def scheme(self) -> str:
        """Return http or https, as the server sees it."""
        return self._scheme or str(self._environ.get("wsgi.url_scheme", "http"))

    def host(self) -> str:
        """Return the Host header."""
        return self.header("host")

    def path(self) -> str:
        """Return the whole path."""
        return _text(self._environ.get("SCRIPT_NAME", "")) + _text(self._environ.get("PATH_INFO", ""))

    def query(self) -> str:
        """Return the query."""
        return _text(self._environ.get("QUERY_STRING", ""))


def _text(value: str) -> str:
    try:
        return value.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return value


class AnalyticsMiddleware:
    """Wraps a WSGI application.

    Args:
        app: the application.
        client: whose events; None: the module's default client.
        user_id: called with the environment; returns the id of who is logged in, or None.
        options: the other ones of `contrib.request.Options`.

    Raises:
        ConfigError: an option is wrong.
    """

    def __init__(
        self,
        app: Application,
        client: Client | None = None,
        *,
        user_id: Callable[[Environ], Any] | None = None,
        **options: Any,
    ) -> None:
        self.app = app
        self._client = client
        self._options = Options(user_id=user_id, **options)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Handle a request."""
        client = guarded(None, "default client", chosen, self._client)
        if client is None or not client.enabled:
            return self.app(environ, start_response)
        options = self._options
        decide = options.user_id
        user = None if decide is None else lambda: decide(environ)
        values = RequestScope(EnvironView(environ), options, client, user)
        if options.cookie is not None:
            start_response = _setting_cookie(start_response, values, options, environ, client)
        with scope.of(values):
            body = self.app(environ, start_response)
        for_the_server = environ.get("wsgi.file_wrapper")
        if type(body) in (list, tuple, for_the_server):
            return body  # made already, or for the server alone to send
        return _Body(body, values)


def _setting_cookie(
    start_response: Callable[..., Any], values: RequestScope, options: Options, environ: Environ, client: Client
) -> Callable[..., Any]:
    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        secure = environ.get("wsgi.url_scheme") == "https"
        cookie = guarded(client, "own cookie", cookie_header, values, options, secure=secure)
        return start_response(status, headers if cookie is None else [*headers, ("Set-Cookie", cookie)], *rest)

    return start


class _Body:
    """A body that is produced while it is sent: each piece inside the scope."""

    __slots__ = ("_body", "_pieces", "_values")

    def __init__(self, body: Iterable[bytes], values: RequestScope) -> None:
        self._body = body
        self._values = values
        self._pieces: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with scope.of(self._values):
            if self._pieces is None:
                self._pieces = iter(self._body)
            return next(self._pieces)

    def close(self) -> None:
        """Close the application's body (PEP 3333: the server calls it whatever has happened)."""
        close = getattr(self._body, "close", None)
        if close is not None:
            with scope.of(self._values):
                close()
