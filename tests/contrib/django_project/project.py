"""A Django project inside the test's process: real middleware, real sessions and users, two real SQLite files.

    with site(page_events=True) as here:
        here.get(lambda request: HttpResponse("..."), "/sync/")
        [event] = here.events()

Owns the settings, the tables and the way events are read back. A test brings its view as a function; `urls` calls it.
Importing this configures Django for the whole process, once.
"""

import asyncio
import atexit
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from tests.support.capture import Capture

_DATA = Path(tempfile.mkdtemp(prefix="django-site-"))
atexit.register(shutil.rmtree, _DATA, ignore_errors=True)

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "analytics_client.contrib.django.middleware.AnalyticsMiddleware",
]

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["testserver", "shop.example.com"],
        ANALYTICS_CLIENT={"enabled": False},
        # With a timeout: a thread of an async test may hold the file for a moment.
        DATABASES={
            name: {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": _DATA / f"{name}.sqlite3",
                "OPTIONS": {"timeout": 20},
            }
            for name in ("default", "other")
        },
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "django.contrib.sessions",
            "analytics_client.contrib.django",
        ],
        LOGGING_CONFIG=None,
        MIDDLEWARE=MIDDLEWARE,
        MIGRATION_MODULES={"contenttypes": None, "auth": None, "sessions": None},  # tables are made as they are now
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        ROOT_URLCONF="tests.contrib.django_project.urls",
        SECRET_KEY="not secret",
        USE_TZ=True,
    )
    django.setup()

from django.contrib.auth.models import User  # noqa: E402 - models want the settings
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.db.backends.utils import CursorWrapper  # noqa: E402
from django.test import AsyncClient, Client, override_settings  # noqa: E402

from analytics_client.contrib.django import client  # noqa: E402
from tests.contrib.django_project import urls  # noqa: E402

SyncView = Callable[[HttpRequest], HttpResponseBase]
AsyncView = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


def page(request: HttpRequest) -> HttpResponse:
    """A view that shows a page and makes no event of its own."""
    return HttpResponse("<h1>here</h1>")


def tracks(request: HttpRequest) -> HttpResponse:
    """A view that makes one event and names nobody."""
    client().track(event="Seen")
    return HttpResponse("<h1>seen</h1>")


async def atracks(request: HttpRequest) -> HttpResponse:
    """The same, in an event loop."""
    return tracks(request)


class Site:
    """The project while a test uses it."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self.browser = Client(raise_request_exception=False)
        self.async_browser = AsyncClient(raise_request_exception=False)

    def get(self, view: SyncView | AsyncView, path: str = "/sync/", **request: Any) -> Any:
        """Ask a sync project; `/sync/` calls the view, `/async/` awaits it."""
        urls.view = view
        return self.browser.get(path, **request)

    def aget(self, view: SyncView | AsyncView, path: str = "/async/", **request: Any) -> Any:
        """Ask an async project, in a loop of its own; a streamed body is read to its end into `streamed`."""
        urls.view = view

        async def ask() -> Any:
            response: Any = await self.async_browser.get(path, **request)
            if response.streaming:
                pieces = response.streaming_content
                read = [each async for each in pieces] if response.is_async else list(pieces)
                response.streamed = b"".join(read)
            return response

        return asyncio.run(ask())

    def log_in(self, name: str = "peter") -> User:
        """Log somebody in, in both browsers."""
        user = User.objects.filter(username=name).first() or new_user(name)
        self.browser.force_login(user)
        self.async_browser.force_login(user)
        self.capture.requests.clear()
        return user

    def events(self) -> list[dict[str, Any]]:
        """What has been sent until now."""
        assert client().flush(5)
        return self.capture.events

    def notices(self) -> dict[str, int]:
        """What went wrong."""
        return dict(client().stats.notices)


@contextmanager
def site(*, settings_too: dict[str, Any] | None = None, **options: Any) -> Iterator[Site]:
    """Run the project with these options of ANALYTICS_CLIENT; nothing of its users and sessions is left then."""
    capture = Capture()
    given = {"write_key": "k", "host": "https://d.example.com", "transport": capture, "strict": True, **options}
    with override_settings(ANALYTICS_CLIENT=given, **(settings_too or {})):
        try:
            yield Site(capture)
        finally:
            empty_tables()


def new_user(name: str) -> User:
    """Make somebody."""
    return User.objects.create_user(name, f"{name}@example.com")


@contextmanager
def queries() -> Iterator[list[str]]:
    """Note every query of every thread."""
    asked: list[str] = []
    real = CursorWrapper.execute

    def execute(self: Any, sql: str, *rest: Any) -> Any:
        asked.append(sql)
        return real(self, sql, *rest)

    with mock.patch.object(CursorWrapper, "execute", execute):
        yield asked


def make_tables() -> None:
    """Make the databases, once."""
    for alias in connections:
        if "auth_user" not in connections[alias].introspection.table_names():
            call_command("migrate", database=alias, run_syncdb=True, verbosity=0)


def empty_tables() -> None:
    """Forget everybody, and close the connections."""
    from django.contrib.sessions.models import Session

    for alias in connections:
        User.objects.using(alias).all().delete()
        Session.objects.using(alias).all().delete()
    connections.close_all()


make_tables()
connections.close_all()
