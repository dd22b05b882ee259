"""A message of the vendors' spec, as NDJSON files hold them, becomes a call. Pure.

    {"type": "track", "userId": "u-1", "event": "Item Purchased", "properties": {...}, "timestamp": "..."}

What a message may hold is read by its name on the wire; what the client or the server stamps anew (`sentAt`,
`receivedAt`, `channel`, ...) is left behind; any other key is counted: a misspelt one does not vanish in silence.
"""

from collections.abc import Mapping
from typing import Any

from analytics_client.errors import InvalidMessage
from analytics_client.importer.binding import Call
from analytics_client.importer.mapping import ARGUMENTS
from analytics_client.importer.tables import REASON

_NAMES = {
    "userId": "user_id",
    "anonymousId": "anonymous_id",
    "groupId": "group_id",
    "previousId": "previous_id",
    "messageId": "message_id",
    "mergeProperties": "merge_properties",
    "event": "event",
    "name": "name",
    "category": "category",
    "properties": "properties",
    "traits": "traits",
    "context": "context",
    "integrations": "integrations",
    "timestamp": "timestamp",
}
_LEFT = frozenset(
    (
        *("type", "sentAt", "receivedAt", "originalTimestamp", "request_ip", "rudderId", "channel", "version"),
        *("writeKey", "projectId", "_metadata", REASON),
    )
)
_WANTED = {
    kind: {wire: name for wire, name in _NAMES.items() if name in arguments} for kind, arguments in ARGUMENTS.items()
}
_TIMED = ("track", "page", "screen")


class Messages:
    """Turns spec messages into calls.

    Attributes:
        ignored: keys that no call has: how often each came; at most a hundred names.
    """

    def __init__(self) -> None:
        self.ignored: dict[str, int] = {}

    def __call__(self, message: Mapping[str, Any]) -> Call:
        """Make the call of one message.

        Raises:
            InvalidMessage: it is no message, or lacks its time.
        """
        kind = message.get("type")
        wanted = _WANTED.get(kind) if isinstance(kind, str) else None
        if wanted is None:
            raise InvalidMessage("type", f"must be one of {', '.join(ARGUMENTS)}; for other tables give a mapping")
        arguments = {}
        for key, value in message.items():
            name = wanted.get(key)
            if name is not None:
                if value is not None:
                    arguments[name] = value
            elif key not in _LEFT:
                self._ignore(key)
        if "timestamp" not in arguments:
            if message.get("originalTimestamp") is not None:
                arguments["timestamp"] = message["originalTimestamp"]
            elif kind in _TIMED:
                raise InvalidMessage("timestamp", "is missing: history without its time would be stamped with now")
        return str(kind), arguments

    def _ignore(self, key: str) -> None:
        if key in self.ignored or len(self.ignored) < 100:
            self.ignored[key] = self.ignored.get(key, 0) + 1
