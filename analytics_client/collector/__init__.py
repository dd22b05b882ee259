"""The local collector: a real HTTP server that receives events as Segment, RudderStack and SegmentStream do.

This file owns the room's public names and the sentence for a missing extra. It holds no behaviour.
The room takes nothing from the rest of the package: the tests hold the client against it, so it must not share the
client's mistakes.

Theory of operation: `server` listens, `protocol` bounds the connections, `app` routes, `intake` reads one request,
`services` (pure) decides what the real service would answer, `rules` (data: rules.json) finds what the documents do not
allow, `store` keeps the events, and `faults` (pure) scripts what goes wrong.
"""

try:
    import jsonschema_rs as _jsonschema_rs
    import orjson as _orjson
    import starlette as _starlette
    import uvicorn as _uvicorn
except ImportError as error:
    raise ImportError(
        f"The collector needs the package {error.name!r}: install analytics_client[collector].", name=error.name
    ) from error

from analytics_client.collector.app import create_app
from analytics_client.collector.server import Collector, serve
from analytics_client.collector.settings import SERVICES, Settings
from analytics_client.collector.store import StoreError

del _jsonschema_rs, _orjson, _starlette, _uvicorn

__all__ = ["SERVICES", "Collector", "Settings", "StoreError", "create_app", "serve"]
