"""The example shop's settings for tests under load: one event per visit, which tells the visit's number as `n`.

Owns the differences from `examples/django_shop/settings.py` and the hook that reads the number out of an event.
"""

import re
from typing import Any

from settings import *  # type: ignore[import-not-found]  # noqa: F403 - the example's, which is the directory of the server

ANALYTICS_CLIENT = {
    "page_events": {"include": ["^/$"]},
    "before_send": "tests.contrib.django_project.shop_settings.numbered",
    "trusted_proxies": 1,
}

_NUMBER = re.compile(r"/items/(\d+)/|\?n=(\d+)$")


def numbered(message: dict[str, Any]) -> dict[str, Any]:
    """Write the visit's number into the event: that of the article, or of the query."""
    found = _NUMBER.search(message["context"]["page"]["url"])
    assert found is not None
    message["properties"] = {**message["properties"], "n": int(found[1] or found[2])}
    return message
