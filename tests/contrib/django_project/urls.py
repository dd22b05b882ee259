"""The test project's routes: each calls the view that the test has put into `view`. Owns nothing else."""

from typing import Any

from django.http import HttpRequest
from django.urls import path, re_path

view: Any = None


def _call(request: HttpRequest, **_: Any) -> Any:
    return view(request)


async def _await(request: HttpRequest, **_: Any) -> Any:
    return await view(request)


urlpatterns = [
    path("sync/", _call, name="sync"),
    path("async/", _await, name="async"),
    path("shop/items/<int:number>/", _call, name="item"),
    re_path(r"^any/.*$", _call, name="any"),
    re_path(r"^any-async/.*$", _await, name="any-async"),
]
