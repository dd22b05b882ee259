"""Django: settings, middleware, checks, events at commit.

    INSTALLED_APPS = [..., "analytics_client.contrib.django"]
    MIDDLEWARE = [..., "analytics_client.contrib.django.middleware.AnalyticsMiddleware"]    # after authentication
    ANALYTICS_CLIENT = {"write_key": "...", "trusted_proxies": 1}

    from analytics_client.contrib.django import client, track_on_commit

Owns the names that applications import. Settings are `setup`'s, the request's values those of `contrib.request`.
"""

from analytics_client.contrib.django.commit import track_on_commit
from analytics_client.contrib.django.setup import client

__all__ = ["client", "track_on_commit"]
