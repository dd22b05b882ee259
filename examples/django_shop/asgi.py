"""What an ASGI server runs: `uvicorn asgi:application`."""

import os

from analytics_client.contrib.django.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
application = get_asgi_application()
