"""The middleware, for sync and async projects: every event made in a view knows who and where.

Stands after AuthenticationMiddleware. Owns the scope's life, streamed responses and the own cookie included, and the
optional page event per view. The values are `contrib.request`'s.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.core.exceptions import MiddlewareNotUsed
from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase

from analytics_client import scope
from analytics_client.contrib.django import setup
from analytics_client.contrib.django.users import current_user, preload
from analytics_client.contrib.guard import guarded, trouble
from analytics_client.contrib.request import COOKIE, RequestScope
from analytics_client.contrib.wsgi import EnvironView

_END = object()


class AnalyticsMiddleware:
    """See the file's head. With `enabled=False`, or wrong settings, Django leaves it out."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        found = setup.loaded()
        if found is None or not found.client.enabled:
            raise MiddlewareNotUsed
        self.get_response = get_response
        self._setup = found
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Handle a request."""
        if self._is_async:
            return self._answer_async(request)
        values = self._values(request, None)
        with scope.of(values):
            response: HttpResponseBase = self.get_response(request)
            guarded(self._setup.client, "middleware", self._finish, request, response, values)
        return response

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        preloaded = None
        if self._setup.options.user_id is None:
            try:
                preloaded = await preload(request)
            except Exception as error:
                trouble(self._setup.client, "user_id", error)
        values = self._values(request, preloaded)
        with scope.of(values):
            response: HttpResponseBase = await self.get_response(request)
            guarded(self._setup.client, "middleware", self._finish, request, response, values)
        return response

    def _values(self, request: HttpRequest, preloaded: Any) -> RequestScope:
        options = self._setup.options
        user = partial(options.user_id, request) if options.user_id else partial(_user_id, request, preloaded)
        return RequestScope(EnvironView(request.META, request.scheme), options, self._setup.client, user)

    def _finish(self, request: HttpRequest, response: HttpResponseBase, values: RequestScope) -> None:
        """Do what follows the view: its page event, the rest of a stream, the cookie (last: events make its id)."""
        pages = self._setup.pages
        if pages is not None and _is_page(request, response) and pages.wants(request.path):
            self._page(request, values)
        if getattr(response, "streaming", False) and not isinstance(response, FileResponse):
            _stream_in_scope(response, values)
        cookie, value = self._setup.options.cookie, values.new_anonymous_id
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

    def _page(self, request: HttpRequest, values: RequestScope) -> None:
        if values.user_id is None and values.anonymous_id is None:
            return  # a visitor nobody knows: without a cookie there is nobody to say it of
        match = request.resolver_match
        name = match.view_name if match is not None else None
        self._setup.client.page(name=name or request.path, properties=values.context.get("page"))


def _user_id(request: HttpRequest, preloaded: Any) -> Any:
    user = current_user(request, preloaded)
    return None if user is None else user.pk


def _is_page(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Whether somebody was shown a page: no redirect, no error, no data, and no browser that only looks ahead."""
    if request.method != "GET" or response.status_code != 200:
        return False
    if "prefetch" in request.headers.get("Sec-Purpose", request.headers.get("Purpose", "")):
        return False
    return response.headers.get("Content-Type", "").startswith("text/html")


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
