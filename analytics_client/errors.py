"""The exception tree: everything this package raises on purpose, and nothing else.

Owns the sentences' shape: what was wrong, where (the path of the key), what to do. Never carries an event's body or
a secret. In production only `ConfigError` reaches the application, and only from constructing a client or from a
setting changed too late; the others need `strict=True`.
"""

from collections.abc import Sequence


class AnalyticsError(Exception):
    """The root of every exception raised by analytics_client."""


class ConfigError(AnalyticsError, ValueError):
    """An option is wrong, missing, or was changed after the client was made."""


class InvalidMessage(AnalyticsError, ValueError):
    """A call broke a rule of the API, or holds a value that has no form in JSON.

    Attributes:
        path: where, as the caller wrote it: `properties.items[3].raw`.
        problem: what is wrong there and what to do; never the value itself.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class MessageTooLarge(InvalidMessage):
    """An event is larger than the API takes (facts: 32,767 bytes on Segment and RudderStack, 65,536 on SegmentStream).

    Attributes:
        size: bytes of the event as it would go on the wire.
        limit: bytes allowed.
        largest: up to three (path, bytes) pairs, the largest first.
    """

    def __init__(self, size: int, limit: int, largest: Sequence[tuple[str, int]]) -> None:
        named = ", ".join(f"{path} ({bytes_:,})" for path, bytes_ in largest)
        super().__init__("message", f"{size:,} bytes, the limit is {limit:,}; the largest keys: {named}")
        self.size = size
        self.limit = limit
        self.largest = tuple(largest)

    def __reduce__(self) -> tuple[type["MessageTooLarge"], tuple[int, int, tuple[tuple[str, int], ...]]]:
        return type(self), (self.size, self.limit, self.largest)


class QueueFull(AnalyticsError):
    """The queue holds `max_queue_bytes` already and `on_full` says to refuse."""


class TransportError(AnalyticsError):
    """A request got no answer. A user's own transport raises it (or anything else, which is taken the same way).

    Attributes:
        configuration: True where trying again soon cannot help (a bad certificate, a proxy that wants a password).
    """

    def __init__(self, cause: str, *, configuration: bool = False) -> None:
        super().__init__(cause)
        self.configuration = configuration
