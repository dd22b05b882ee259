"""The shop's settings: Django's usual ones, and `ANALYTICS_CLIENT`.

Key and host of the client come from ANALYTICS_WRITE_KEY and ANALYTICS_HOST.
"""

import os
from pathlib import Path

HERE = Path(__file__).parent

# -- analytics -----------------------------------------------------------------------------------------------------

ANALYTICS_CLIENT = {
    "cookie": "shop_visitor",  # for visitors without a browser SDK's own
    "page_events": {"exclude": [r"^/health/"]},
    "auth_events": True,  # Signed In, Signed Out
    "traits": "shop.analytics.traits",
}

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "analytics_client.contrib.django",
    "shop",
]

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "analytics_client.contrib.django.middleware.AnalyticsMiddleware",
]

# -- the rest ------------------------------------------------------------------------------------------------------

SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "for this machine only")
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", HERE / "shop.sqlite3"),
        "OPTIONS": {"timeout": 30},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"
ROOT_URLCONF = "urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
            ]
        },
    }
]
USE_TZ = True
