"""Logging in and out as events: `Signed In` and `Signed Out`, and an identify with the traits the project gives.

Owns the two receivers. Names of events are the B2B SaaS spec's. Nothing is sent unless the settings ask for it.
"""

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out

from analytics_client.contrib.django import setup, users
from analytics_client.contrib.guard import guarded


def connect() -> None:
    """Connect the receivers, once."""
    user_logged_in.connect(_logged_in, dispatch_uid="analytics_client")
    user_logged_out.connect(_logged_out, dispatch_uid="analytics_client")


def _logged_in(request: Any = None, user: Any = None, **_: Any) -> None:
    found = setup.loaded()
    if found is not None and user is not None and (found.auth_events or found.traits is not None):
        guarded(found.client, "user_logged_in", _tell_login, found, request, user)


def _tell_login(found: setup.Setup, request: Any, user: Any) -> None:
    user_id = _id(found, request, user)
    if found.traits is not None:
        traits = guarded(found.client, "traits", found.traits, user)
        if traits is not None:
            found.client.identify(user_id, traits)
    if found.auth_events:
        found.client.track(user_id, "Signed In")


def _logged_out(request: Any = None, user: Any = None, **_: Any) -> None:
    found = setup.loaded()
    if found is not None and user is not None and found.auth_events:
        guarded(found.client, "user_logged_out", _tell_logout, found, request, user)


def _tell_logout(found: setup.Setup, request: Any, user: Any) -> None:
    found.client.track(_id(found, request, user), "Signed Out")


def _id(found: setup.Setup, request: Any, user: Any) -> Any:
    """The project's own way to the id, where it has one and there is a request; the signals come without, too."""
    decide = found.options.user_id
    return users.id_of(user) if decide is None or request is None else decide(request)
