"""Flask: every event made in a request knows who and where.

    analytics = Analytics(app)          # or Analytics() and analytics.init_app(app), for app factories
    analytics.client.track(event="Item Purchased")

Settings stand in `app.config["ANALYTICS_CLIENT"]`: the client's options and those of `contrib.request.Options`, by
their names. The work is the WSGI middleware's; owns only where the settings and the user come from.
"""

import sys
from typing import Any

from flask import Flask, current_app, has_request_context, request

from analytics_client import Client, ConfigError
from analytics_client.contrib.request import separated
from analytics_client.contrib.wsgi import AnalyticsMiddleware

_NAME = "analytics_client"


def _logged_in() -> Any:
    """Who Flask-Login says it is, if the application uses it."""
    flask_login = sys.modules.get("flask_login")
    if flask_login is None or not hasattr(current_app, "login_manager"):
        return None
    user = flask_login.current_user
    return user.get_id() if user.is_authenticated else None


class Analytics:
    """The extension.

    Args:
        app: the application; None: `init_app` follows.
        client: whose events. None: a client made from the settings, one for each application.

    Raises:
        ConfigError: a setting is wrong; the sentence says which.
    """

    def __init__(self, app: Flask | None = None, client: Client | None = None) -> None:
        self._given = client
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Read the settings and wrap the application."""
        if _NAME in app.extensions:
            raise ConfigError("this application has the extension already")
        try:
            options, settings = separated(app.config.get("ANALYTICS_CLIENT", {}))
            if self._given is not None and settings:
                raise ConfigError(f"{', '.join(settings)}: the client was given and has options already")  # noqa: TRY301
            client = self._given if self._given is not None else Client(**settings)
        except ConfigError as error:
            raise ConfigError(f"ANALYTICS_CLIENT: {error}") from None
        decide = options.user_id

        def user(_environ: Any) -> Any:
            if not has_request_context():  # a streamed body, after Flask has let go of the request
                return None
            return _logged_in() if decide is None else decide(request)

        app.extensions[_NAME] = client
        app.wsgi_app = AnalyticsMiddleware(  # type: ignore[method-assign]
            app.wsgi_app,
            client,
            user_id=user,
            trusted_proxies=options.trusted_proxies,
            proxy_header=options.proxy_header,
            omit=options.omit,
            vendor_cookies=options.vendor_cookies,
            cookie=options.cookie,
        )

    @property
    def client(self) -> Client:
        """The current application's client; outside of any, the one that was given.

        Raises:
            RuntimeError: there is neither.
        """
        if self._given is not None:
            return self._given
        client = current_app.extensions.get(_NAME)
        if client is None:
            raise RuntimeError("this application has no client: call init_app first")
        found: Client = client
        return found
