"""A fourth API: an audit service of one's own that takes JSON lists at /ingest, a hundred entries at a time.

A dialect says where each call goes, what an event looks like there, and what stands around the events of a request.
Queue, limits, retries, order and outcomes are the client's, as for the three that come with it.
"""

from collections.abc import Callable
from typing import Any

from analytics_client import Client, Dialect, Frame, Route


class Audit(Dialect):
    """POST /ingest with `[{"at": ..., "who": ..., "what": ..., "id": ..., "sent": ...}, ...]`."""

    name = "audit"
    host = "https://audit.example.com"
    max_event_bytes = 10_000
    max_batch_bytes = max_batch_bytes_ceiling = 200_000
    id_key = "id"

    def route(self, kind: str, *, batch: bool) -> Route | None:
        return Route("/ingest", 100 if batch else 1) if kind in ("track", "identify") else None

    def shape(self, message: dict[str, Any], report: Callable[[str, str], None]) -> dict[str, Any]:
        if "anonymousId" in message:
            report("anonymousId", "the audit service knows users only")
        return {
            "id": message["messageId"],
            "at": message["timestamp"],
            "who": message.get("userId", "nobody"),
            "what": message.get("event", "signed up"),
            "details": message.get("properties") or message.get("traits") or {},
        }

    def frame(self, path: str, sent_at: str) -> Frame:  # noqa: ARG002 - one path, one frame
        return Frame(b"[", b',"sent":"%b"}' % sent_at.encode(), b"]")


if __name__ == "__main__":
    with Client(dialect=Audit()) as analytics:
        analytics.track("u-1", "Invoice Approved", {"amount": 1200})
        analytics.identify("u-2", {"role": "auditor"})
        print("delivered" if analytics.flush(5) else f"not delivered: {analytics.stats}")
