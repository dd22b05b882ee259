"""What a dialect is: the small object that knows one API. Pure.

A dialect shapes a message (a dict in the common form, see `message`) as its API wants it, says where events of each
kind go and how many fit one request, and frames the encoded events into a request's body. It never sends, waits or
keeps state, and it sees time only as the `sent_at` it is handed.

To add an API, subclass `Dialect`, set the class attributes, write `route`, `shape` and `frame`, and pass an instance:
`Client(key, dialect=MyDialect())`. `examples/own_dialect.py` is one in about thirty lines.
"""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple


class Route(NamedTuple):
    """Where events of one kind go: the path below the host, and how many events one request may hold."""

    path: str
    max_events: int


class Frame(NamedTuple):
    """What stands around the events of one request.

    An event arrives without its closing brace; the body is `head`, then the events each ended by `tail` and parted by
    commas, then `foot`. For one path the three lengths never vary: they are measured once, so that limits are exact.
    """

    head: bytes
    tail: bytes
    foot: bytes


class Dialect:
    """One API. The attributes are its documents' figures; sizes in bytes.

    Attributes:
        name: short and lower-case: for logs, `repr` and the collector.
        host: default base URL, or None where every customer has an own one.
        max_event_bytes: the largest event, its closing `tail` included.
        max_batch_bytes: the largest body by default.
        max_batch_bytes_ceiling: the largest body a user may ask for.
        concurrency: requests at once where the user says nothing.
        gzip: whether the API takes compressed bodies.
        id_key: the key that holds the id the API dedupes by.
    """

    name: ClassVar[str]
    host: ClassVar[str | None] = None
    max_event_bytes: ClassVar[int]
    max_batch_bytes: ClassVar[int]
    max_batch_bytes_ceiling: ClassVar[int]
    concurrency: ClassVar[int] = 1
    gzip: ClassVar[bool] = False
    id_key: ClassVar[str] = "messageId"

    def route(self, kind: str, *, batch: bool) -> Route | None:
        """Return where `kind` ("track", ...) goes, alone or in batches; None if the API has no such call."""
        raise NotImplementedError

    def shape(self, message: dict[str, Any], report: Callable[[str, str], None]) -> dict[str, Any]:
        """Return the event as this API wants it; never change `message` or anything in it.

        `report(path, problem)` is for a value the API has no place for and for a default put in: it raises in strict
        mode, else it is logged once and counted.
        """
        raise NotImplementedError

    def frame(self, path: str, sent_at: str) -> Frame:
        """Return what stands around the events of a request to `path` that leaves at `sent_at`."""
        raise NotImplementedError

    def headers(self, sent_at: str, person: str | None) -> dict[str, str]:  # noqa: ARG002 - for those that need them
        """Return headers of this API's own. `person` is the id of the one person in the request, None if several."""
        return {}
