"""SegmentStream's HTTP Tracking API. Pure.

Document: "HTTP API" (SegmentStream). One call, `POST /track`, one free-form event per request, 64 KB for the whole
body, answered 204. The names below are the event names of the vendor's own tag manager; group and alias have no
counterpart there and go as custom events. Here `sentAt` is the time of the *event* ("when the message itself took
place"): it is fixed at the call and does not change between attempts.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from analytics_client.dialects.base import Dialect, Frame, Route


class SegmentStream(Dialect):
    """The six calls mapped onto the one."""

    name: ClassVar[str] = "segmentstream"
    host: ClassVar[str | None] = "https://track.segmentstream.com"
    max_event_bytes: ClassVar[int] = 65_536
    max_batch_bytes: ClassVar[int] = 65_536
    max_batch_bytes_ceiling: ClassVar[int] = 65_536
    concurrency: ClassVar[int] = 8  # one event per request: anything less waits for round trips
    id_key: ClassVar[str] = "hitId"

    def route(self, kind: str, *, batch: bool) -> Route | None:  # noqa: ARG002 - there are no batches
        """HTTP API, Tracking Events."""
        return None if kind == "merge" else Route("/track", 1)

    def shape(self, message: dict[str, Any], report: Callable[[str, str], None]) -> dict[str, Any]:
        """Put the call's fields inside `event` and its ids inside `event.user`."""
        kind = message["type"]
        ids = {key: message[key] for key in ("userId", "anonymousId") if key in message}
        traits = message.get("traits", {})
        properties = message.get("properties", {})
        if "traits" in message and kind in ("track", "alias"):
            report("traits", f"SegmentStream has none on {kind}; identify the person, or use properties.user")

        if kind == "track":
            if "name" in properties:
                report("properties.name", "SegmentStream keeps the event's own name there; choose another key")
            user = properties.get("user", {})
            if not isinstance(user, Mapping):
                report("properties.user", "SegmentStream keeps the person there: it must be a mapping")
                user = {}
            event = {**properties, "name": message["event"], "user": {**user, **ids}}
        elif kind == "identify":
            event = {"name": "Updated Profile Info", "user": {**traits, **ids}}
        elif kind in ("page", "screen"):
            own = {key: message[key] for key in ("name", "category") if key in message}
            event = {"name": f"Viewed {kind.title()}", kind: {**properties, **own}, "user": ids}
        elif kind == "group":
            event = {"name": "Group", "group": {**traits, "groupId": message["groupId"]}, "user": ids}
        else:
            alias = {"previousId": message["previousId"], "userId": message["userId"]}
            event = {"name": "Alias", "alias": alias, "user": ids}

        shaped = {"hitId": message["messageId"], "sentAt": message["timestamp"], "event": event}
        for key in ("context", "integrations"):
            if key in message:
                shaped[key] = message[key]
        return shaped

    def frame(self, path: str, sent_at: str) -> Frame:  # noqa: ARG002 - nothing is stamped at sending
        """An event is the whole body."""
        return Frame(b"", b"}", b"")
