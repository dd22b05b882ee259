"""Who is logged in, in sync and async views. Owns what Django's lazy `request.user` needs; asks at the first event.

In an async view the database cannot be asked from where an event is made, so the middleware loads the user before: only
for requests that carry a session, and only where the project decides nothing by its own `user_id`.
"""

from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import LazyObject, empty


def current_user(request: HttpRequest, preloaded: Any = None) -> Any:
    """Return the user who is logged in now, or None. `preloaded` stands in while the request's own is not loaded."""
    user = request.__dict__.get("user")
    if isinstance(user, LazyObject) and user._wrapped is empty and preloaded is not None:  # noqa: SLF001 # type: ignore[attr-defined]
        user = preloaded
    return user if user is not None and user.is_authenticated else None


async def preload(request: HttpRequest) -> Any:
    """Load the user of a request that carries a session."""
    if settings.SESSION_COOKIE_NAME not in request.COOKIES or "user" not in request.__dict__:
        return None
    if hasattr(request, "auser"):
        return await request.auser()
    return await sync_to_async(_evaluated)(request)  # Django 4.2


def _evaluated(request: HttpRequest) -> Any:
    user = request.user
    user.is_authenticated  # noqa: B018 - loads it
    return user
