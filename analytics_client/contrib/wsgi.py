"""Any WSGI application (PEP 3333): every event made while it handles a request knows who and where.

    app = AnalyticsMiddleware(app, client=analytics, trusted_proxies=1)

The scope is in force while the application is called and while its body is produced. Owns nothing else: the values are
`request`'s. Requests that make no event cost a few microseconds.
"""

import functools
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

from analytics_client import Client, scope
from analytics_client.contrib.guard import chosen, guarded
from analytics_client.contrib.request import Options, RequestScope, cookie_header
from analytics_client.scopes import ScopeValues, current

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
        return _text(self._environ.get(_key(name), ""))

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


@functools.cache  # of the names that are asked for here
def _key(name: str) -> str:
    return f"HTTP_{name.upper().replace('-', '_')}"


def _text(value: str) -> str:
    if value.isascii():
        return value
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
        trusted_proxies, proxy_header, omit, vendor_cookies, cookie: those of `contrib.request.Options`.

    Raises:
        ConfigError: an option is wrong.
    """

    def __init__(
        self,
        app: Application,
        client: Client | None = None,
        *,
        user_id: Callable[[Environ], Any] | None = None,
        trusted_proxies: int | None = None,
        proxy_header: str = "x-forwarded-for",
        omit: Collection[str] = (),
        vendor_cookies: bool = True,
        cookie: str | None = None,
    ) -> None:
        self.app = app
        self._client = client
        self._options = Options(trusted_proxies, proxy_header, omit, vendor_cookies, cookie, user_id)

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
        if isinstance(body, (list, tuple)) or _is_for_the_server(body, environ):
            return body  # made already, or for the server alone to send
        return _Body(body, values)


def _is_for_the_server(body: object, environ: Environ) -> bool:
    """Whether it was made by `wsgi.file_wrapper`, which is a class in most servers; in uWSGI it returns the file."""
    return type(body) is environ.get("wsgi.file_wrapper") or hasattr(body, "read")


def _setting_cookie(
    start_response: Callable[..., Any], values: RequestScope, options: Options, environ: Environ, client: Client
) -> Callable[..., Any]:
    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        secure = environ.get("wsgi.url_scheme") == "https"
        cookie = guarded(client, "own cookie", cookie_header, values, options, secure=secure)
        if cookie is not None:
            # A cache between us and the visitors must not give all of them one id.
            headers = [*headers, ("Set-Cookie", cookie), ("Vary", "Cookie")]
        return start_response(status, headers) if exc_info is None else start_response(status, headers, exc_info)

    return start


class _Body:
    """A body that is produced while it is sent: each piece inside the scope."""

    __slots__ = ("_body", "_pieces", "_values")

    def __init__(self, body: Iterable[bytes], values: ScopeValues) -> None:
        self._body = body
        self._values = values
        self._pieces: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with scope.of(self._values) as entered:
            if self._pieces is None:
                self._pieces = iter(self._body)
            try:
                return next(self._pieces)
            finally:
                left = current()
                if left is not entered and left is not None:
                    self._values = left  # a scope that the body has opened and will close in a later piece

    def close(self) -> None:
        """Close the application's body (PEP 3333: the server calls it whatever has happened)."""
        close = getattr(self._body, "close", None)
        if close is not None:
            with scope.of(self._values):
                close()
