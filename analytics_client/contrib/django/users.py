"""Who is logged in, in sync and async views. Owns what Django's lazy `request.user` needs; asks at the first event.

What runs in an event loop cannot ask the database from where an event is made. So the middleware has the user loaded
before: for async views, streams and page events, of requests that carry a session, and only there. Never decides
whether an event is made.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import LazyObject, empty

#: The request's attribute that holds the user who was loaded for an event loop.
_LOADED = "_analytics_client_user"


def current_id(request: HttpRequest) -> Any:
    """Return the id of the user who is logged in now, or None."""
    user = request.__dict__.get("user")
    if _is_unloaded(user):
        user = request.__dict__.get(_LOADED, user)
    return id_of(user) if user is not None and user.is_authenticated else None


def id_of(user: Any) -> Any:
    """Return a user's primary key in a form that an event can hold."""
    key = user.pk
    return key if key is None or isinstance(key, (str, int, UUID)) else str(key)


def is_wanted(request: HttpRequest) -> bool:
    """Whether somebody may be logged in of whom it is not known yet who: without a session nobody is."""
    return _is_unloaded(request.__dict__.get("user")) and settings.SESSION_COOKIE_NAME in request.COOKIES


def load(request: HttpRequest) -> None:
    """Load the user, in a thread that may ask the database."""
    _evaluated(request)


async def load_async(request: HttpRequest) -> None:
    """Load the user, in an event loop. With `auser`, the view's own `await request.auser()` then costs nothing."""
    if hasattr(request, "auser"):
        request.__dict__[_LOADED] = await request.auser()
    else:
        await sync_to_async(_evaluated)(request)  # Django 4.2


@contextmanager
def session_untouched(request: HttpRequest) -> Iterator[None]:
    """What is asked in here, after the view, does not make the response depend on the session (no `Vary: Cookie`)."""
    session = getattr(request, "session", None)
    accessed = getattr(session, "accessed", None)
    try:
        yield
    finally:
        if session is not None and accessed is False:
            session.accessed = False


def _is_unloaded(user: Any) -> bool:
    return isinstance(user, LazyObject) and user.__dict__.get("_wrapped") is empty


def _evaluated(request: HttpRequest) -> None:
    request.user.is_authenticated  # noqa: B018 - loads it
