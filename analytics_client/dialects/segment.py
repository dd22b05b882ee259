"""Segment's HTTP Tracking API. Pure.

Documents: "HTTP Tracking API Source" and the OpenAPI document of the same API. One event under 32 KB, a batch at most
500 KB and 2,500 events, `sentAt` beside the batch. Where the vendor's libraries disagree on what a KB is, an event
takes the larger reading (a refused event is lost) and a batch the smaller (splitting is free).
"""

from collections.abc import Callable
from typing import Any, ClassVar

from analytics_client.dialects.base import Dialect, Frame, Route

_BATCH = "/v1/batch"


class Segment(Dialect):
    """Six calls, in batches to `/v1/batch` or each to its own endpoint."""

    name: ClassVar[str] = "segment"
    host: ClassVar[str | None] = "https://api.segment.io"
    max_event_bytes: ClassVar[int] = 32_767
    max_batch_bytes: ClassVar[int] = 500_000
    max_batch_bytes_ceiling: ClassVar[int] = 500_000
    gzip: ClassVar[bool] = True

    def route(self, kind: str, *, batch: bool) -> Route | None:
        """OpenAPI, paths. More than 2,500 events would be answered 200 and thrown away."""
        if kind == "merge":
            return None
        return Route(_BATCH, 2_500) if batch else Route(f"/v1/{kind}", 1)

    def shape(self, message: dict[str, Any], report: Callable[[str, str], None]) -> dict[str, Any]:
        """The common form is Segment's own."""
        if "traits" in message and message["type"] in ("track", "alias"):
            report("traits", f"{self.name} has none on {message['type']}; identify the person, or use context.traits")
            return {key: value for key, value in message.items() if key != "traits"}
        return message

    def frame(self, path: str, sent_at: str) -> Frame:
        """Segment reads `sentAt` at the top of the body, where it also corrects clocks by it."""
        if path == _BATCH:
            return Frame(b'{"batch":[', b"}", b'],"sentAt":"%b"}' % sent_at.encode())
        return Frame(b"", b',"sentAt":"%b"}' % sent_at.encode(), b"")
