"""The Django application: its checks and its signals, connected when the project is ready. Owns nothing else."""

from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.signals import setting_changed

from analytics_client import ConfigError
from analytics_client.contrib.django import auth, setup

_MIDDLEWARE = "analytics_client.contrib.django.middleware.AnalyticsMiddleware"
_AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"


class AnalyticsConfig(AppConfig):
    """What `analytics_client.contrib.django` in INSTALLED_APPS stands for."""

    name = "analytics_client.contrib.django"
    label = "analytics_client"
    verbose_name = "analytics_client"

    def ready(self) -> None:
        """Connect."""
        checks.register(check_settings)
        auth.connect()
        setting_changed.connect(_changed, dispatch_uid="analytics_client")


def check_settings(app_configs: Any = None, **_: Any) -> list[checks.CheckMessage]:  # noqa: ARG001 - as Django calls it
    """Say what is wrong with the settings, as `manage.py check` and every other command show it."""
    from django.conf import settings  # noqa: PLC0415 - tests change it

    messages: list[checks.CheckMessage] = []
    try:
        setup.load()
    except ConfigError as error:
        hint = "Until this is mended a server runs on without events."
        messages.append(checks.Error(str(error), hint=hint, id="analytics_client.E001"))
    middleware = list(settings.MIDDLEWARE)
    if _MIDDLEWARE not in middleware:
        hint = f"Add {_MIDDLEWARE!r}, after the authentication's."
        text = "The middleware is not in MIDDLEWARE: events do not know the request they are made in."
        messages.append(checks.Warning(text, hint=hint, id="analytics_client.W001"))
    elif _AUTHENTICATION in middleware[middleware.index(_MIDDLEWARE) :]:
        hint = f"Move {_MIDDLEWARE!r} behind {_AUTHENTICATION!r}."
        text = "The middleware stands before the authentication's: events in async views do not know the user."
        messages.append(checks.Warning(text, hint=hint, id="analytics_client.W002"))
    return messages


def _changed(*, setting: str, **_: Any) -> None:
    if setting == "ANALYTICS_CLIENT":
        setup.forget()
