"""Sends identify, track, page, screen, group and alias events to Segment, RudderStack and SegmentStream.

    from analytics_client import Client

    analytics = Client("WRITE_KEY")
    analytics.track("u-1", "Item Purchased", {"revenue": 14.99})

This file owns the public names. Importing it loads orjson and light modules of the standard library, nothing else.
"""

import sys
from typing import TYPE_CHECKING

from analytics_client.client import Client
from analytics_client.delivery.wire import Request, Response, Transport
from analytics_client.dialects import Dialect, Frame, Route
from analytics_client.errors import (
    AnalyticsError,
    ConfigError,
    InvalidMessage,
    MessageTooLarge,
    QueueFull,
    TransportError,
)
from analytics_client.implicit import SettableModule, default_client, forwarded
from analytics_client.outcome import Outcome, Reason, Stats
from analytics_client.scopes import carry, scope
from analytics_client.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    # Settings of the default client: assign them before the first call. `Client` documents each.
    write_key: str | None
    dialect: str | Dialect | None
    host: str | None
    flush_at: int | None
    flush_interval: float | None
    max_queue_bytes: int | None
    on_full: str | None
    gzip: bool | None
    timeout: float | None
    max_retries: int | None
    max_retry_time: float | None
    concurrency: int | None
    batch: bool | None
    sync: bool | None
    enabled: bool | None
    strict: bool | None
    debug: bool | None
    context: Mapping[str, Any] | None
    integrations: Mapping[str, Any] | None
    before_send: Callable[[dict[str, Any]], dict[str, Any] | None] | None
    on_delivered: Callable[[Outcome], object] | None
    on_failed: Callable[[Outcome], object] | None
    default: Callable[[Any], Any] | None
    transport: Transport | None
    proxies: Mapping[str, str] | None
    ca_file: str | None
    allow_insecure: bool | None
    max_event_bytes: int | None
    max_batch_bytes: int | None
    exit_timeout: float | None
    flush_on_sigterm: bool | None

identify = forwarded(Client.identify, None)
track = forwarded(Client.track, None)
page = forwarded(Client.page, None)
screen = forwarded(Client.screen, None)
group = forwarded(Client.group, None)
alias = forwarded(Client.alias, None)
merge = forwarded(Client.merge, None)
flush = forwarded(Client.flush, True)  # without a client nothing is left to do
close = forwarded(Client.close, True)

__all__ = [
    "AnalyticsError",
    "Client",
    "ConfigError",
    "Dialect",
    "Frame",
    "InvalidMessage",
    "MessageTooLarge",
    "Outcome",
    "QueueFull",
    "Reason",
    "Request",
    "Response",
    "Route",
    "Stats",
    "Transport",
    "TransportError",
    "__version__",
    "alias",
    "carry",
    "close",
    "default_client",
    "flush",
    "group",
    "identify",
    "merge",
    "page",
    "scope",
    "screen",
    "track",
]

sys.modules[__name__].__class__ = SettableModule
