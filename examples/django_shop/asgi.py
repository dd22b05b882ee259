"""What an ASGI server runs: `uvicorn asgi:application`."""

import os

from django.core.asgi import get_asgi_application

# uvicorn ends by the signal itself and runs no exit hooks. What the client still has it sends when the server is done.
os.environ.setdefault("ANALYTICS_FLUSH_ON_SIGTERM", "1")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
application = get_asgi_application()
