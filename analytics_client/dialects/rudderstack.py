"""RudderStack's HTTP API. Pure.

Document: "HTTP API" (RudderStack). Like Segment's, but for what its gateway really reads: `sentAt` in each event and
nowhere else, nothing beside the batch, an `AnonymousId` header for ordering; and it refuses a whole batch for one event
without ids. The event limit is the document's; the gateway checks only the body, so `max_event_bytes` may raise it.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from analytics_client.dialects.base import Dialect, Frame, Route

_BATCH = "/v1/batch"


class RudderStack(Dialect):
    """Seven calls: the common six, and `merge`, which exists only alone and only here."""

    name: ClassVar[str] = "rudderstack"
    host: ClassVar[str | None] = None  # every customer has a data plane URL of its own
    max_event_bytes: ClassVar[int] = 32_767
    max_batch_bytes: ClassVar[int] = 500_000
    max_batch_bytes_ceiling: ClassVar[int] = 4_000_000
    gzip: ClassVar[bool] = True

    def route(self, kind: str, *, batch: bool) -> Route | None:
        """HTTP API, Identify to Batch."""
        return Route(_BATCH, 2_500) if batch and kind != "merge" else Route(f"/v1/{kind}", 1)

    def shape(self, message: dict[str, Any], report: Callable[[str, str], None]) -> dict[str, Any]:
        """Traits of a person in both places that documents and destinations look at; a name for every page."""
        kind = message["type"]
        if kind in ("page", "screen") and "name" not in message:
            report("name", f"RudderStack requires a name for a {kind}")
            return {**message, "name": message.get("category", kind)}
        if kind == "identify" and "traits" in message:
            # HTTP API, Identify: the sample has them in context.traits, the list of fields beside it.
            context = message["context"]
            own = context.get("traits", {})
            if not isinstance(own, Mapping):
                report("context.traits", "must be a mapping")
                own = {}
            return {**message, "context": {**context, "traits": {**message["traits"], **own}}}
        return message

    def frame(self, path: str, sent_at: str) -> Frame:
        """The gateway's processor reads `sentAt` per event; one beside the batch is dropped."""
        tail = b',"sentAt":"%b"}' % sent_at.encode()
        return Frame(b'{"batch":[', tail, b"]}") if path == _BATCH else Frame(b"", tail, b"")

    def headers(self, sent_at: str, person: str | None) -> dict[str, str]:
        """HTTP API, Event ordering. A header cannot hold every id: then the event's own ids must do."""
        headers = {"sentAt": sent_at}
        if person is not None and person.isascii() and person.isprintable() and person == person.strip():
            headers["AnonymousId"] = person
        return headers
