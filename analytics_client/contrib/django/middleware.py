"""The middleware, for sync and async projects: every event made in a view knows who and where.

Stands after AuthenticationMiddleware. Owns the scope's life, streamed responses and the own cookie included, and the
optional page event per view. The values are `contrib.request`'s, the user is `users`'s. What goes wrong in here is
counted and logged once, and never changes a response.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import DisallowedHost, MiddlewareNotUsed
from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from analytics_client import scope
from analytics_client.contrib.django import setup, users
from analytics_client.contrib.guard import guarded, trouble
from analytics_client.contrib.request import COOKIE, RequestScope
from analytics_client.contrib.wsgi import EnvironView

#: Headers by which browsers say that they only look ahead and show nobody anything.
_PREFETCH = ("Sec-Purpose", "Purpose", "X-Moz")

_END = object()


class AnalyticsMiddleware:
    """See the file's head. With `enabled=False`, or wrong settings, Django leaves it out."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        if _found() is None:
            raise MiddlewareNotUsed
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        # Django takes it as it is, or runs it in a thread: so each kind of project has its own.
        self.process_view: Callable[..., Any] = self._before_view
        if self._is_async:
            self.process_view = self._before_view_async
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Handle a request."""
        if self._is_async:
            return self._answer_async(request)
        found = _found()
        if found is None:
            return self._plain(request)
        values = _values(found, request)
        with scope.of(values):
            response: HttpResponseBase = self.get_response(request)
            guarded(found.client, "middleware", _finish, found, request, response, values)
        return response

    def _plain(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = self.get_response(request)
        return response

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        found = _found()
        if found is None:
            plain: HttpResponseBase = await self.get_response(request)
            return plain
        values = _values(found, request)
        with scope.of(values):
            response: HttpResponseBase = await self.get_response(request)
            try:
                if getattr(response, "is_async", False) or _is_wanted_page(found, request, response):
                    with users.session_untouched(request):
                        await _load_async(found, request)
            except Exception as error:
                trouble(found.client, "user_id", error)
            guarded(found.client, "middleware", _finish, found, request, response, values)
        return response

    def _before_view(self, request: HttpRequest, view: Any, _args: Any, _kwargs: Any) -> None:
        """Load the user for an async view of a sync project."""
        found = _found()
        if found is not None and found.options.user_id is None and iscoroutinefunction(view):
            guarded(found.client, "user_id", _load, request)

    async def _before_view_async(self, request: HttpRequest, view: Any, _args: Any, _kwargs: Any) -> None:
        """Load the user for an async view. A sync one runs in a thread and asks when it makes an event."""
        found = _found()
        if found is not None and iscoroutinefunction(view):
            try:
                await _load_async(found, request)
            except Exception as error:
                trouble(found.client, "user_id", error)


class _RequestView(EnvironView):
    """Django's request as a view: what Django has decoded, checked or been told of proxies is its own."""

    __slots__ = ("_request",)

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request.META)
        self._request = request

    def scheme(self) -> str:
        return self._request.scheme or "http"

    def host(self) -> str:
        try:
            return self._request.get_host()
        except DisallowedHost:
            return ""

    def path(self) -> str:
        return self._request.path


def _found() -> setup.Setup | None:
    """Return the settings; None if they are wrong or switch everything off. Each time: tests change them."""
    found = setup.loaded()
    return found if found is not None and found.client.enabled else None


def _values(found: setup.Setup, request: HttpRequest) -> RequestScope:
    decide = found.options.user_id
    user = partial(users.current_id if decide is None else decide, request)
    return RequestScope(_RequestView(request), found.options, found.client, user)


def _load(request: HttpRequest) -> None:
    if users.is_wanted(request):
        users.load(request)


async def _load_async(found: setup.Setup, request: HttpRequest) -> None:
    if found.options.user_id is None and users.is_wanted(request):
        await users.load_async(request)


def _finish(found: setup.Setup, request: HttpRequest, response: HttpResponseBase, values: RequestScope) -> None:
    """Do what follows the view: its page event, the rest of a stream, the cookie (last: events make its id)."""
    if _is_wanted_page(found, request, response):
        with users.session_untouched(request):
            _page(found, request, values)
    if getattr(response, "streaming", False) and not isinstance(response, FileResponse):
        _stream_in_scope(response, values)
    cookie, value = found.options.cookie, values.new_anonymous_id
    if cookie is not None and value is not None:
        response.set_cookie(
            cookie,
            value,
            max_age=COOKIE["Max-Age"],
            path=COOKIE["Path"],
            samesite=COOKIE["SameSite"],
            httponly=COOKIE["HttpOnly"],
            secure=request.is_secure(),
        )
        # A cache between us and the visitors must not give all of them one id.
        patch_vary_headers(response, ("Cookie",))


def _is_wanted_page(found: setup.Setup, request: HttpRequest, response: HttpResponseBase) -> bool:
    """Whether somebody was shown a page: no redirect, no error, no data, and no browser that only looks ahead."""
    if found.pages is None or request.method != "GET" or response.status_code != 200:
        return False
    if not response.headers.get("Content-Type", "").startswith("text/html"):
        return False
    if any("prefetch" in request.headers.get(name, "") for name in _PREFETCH):
        return False
    return found.pages.wants(request.path)


def _page(found: setup.Setup, request: HttpRequest, values: RequestScope) -> None:
    if values.user_id is None and values.anonymous_id is None:
        return  # a visitor nobody knows: without a cookie there is nobody to say it of
    match = request.resolver_match
    name = match.view_name if match is not None else None
    found.client.page(name=name or request.path, properties=values.context.get("page"))


def _stream_in_scope(response: Any, values: RequestScope) -> None:
    in_scope = _later if getattr(response, "is_async", False) else _pieces
    response.streaming_content = in_scope(response.streaming_content, values)


def _pieces(content: Iterable[bytes], values: RequestScope) -> Iterator[bytes]:
    iterator = iter(content)
    while True:
        with scope.of(values):
            piece: Any = next(iterator, _END)
        if piece is _END:
            return
        yield piece


async def _later(content: AsyncIterator[bytes], values: RequestScope) -> AsyncIterator[bytes]:
    iterator = aiter(content)
    while True:
        with scope.of(values):
            piece: Any = await anext(iterator, _END)
        if piece is _END:
            return
        yield piece
