"""Django's ASGI application with an end: what is queued is sent before the server leaves.

    from analytics_client.contrib.django.asgi import get_asgi_application     # in asgi.py, in place of Django's own

uvicorn ends by the signal itself and no `atexit` runs; it tells applications before, by ASGI's lifespan, which Django
has not. Owns the answer to that. Requests go to Django as they are: the middleware of the settings sees to them.
"""

from typing import Any

from django.core import asgi

from analytics_client.contrib.asgi import AnalyticsMiddleware, Application, ASGIScope, Receive, Send
from analytics_client.contrib.django import setup


class _Lifespan(AnalyticsMiddleware):
    """The ASGI middleware for the lifespan alone."""

    async def __call__(self, connection: ASGIScope, receive: Receive, send: Send) -> None:
        if connection["type"] == "lifespan":
            await super().__call__(connection, receive, send)
        else:
            await self.app(connection, receive, send)


def get_asgi_application(*, flush_timeout: float = 5.0) -> Application:
    """Return the project's application, to be run by any ASGI server.

    Args:
        flush_timeout: seconds that the server's shutdown waits for events still queued.
    """
    application: Any = asgi.get_asgi_application()
    return _Lifespan(application, setup.client(), flush_timeout=flush_timeout)
