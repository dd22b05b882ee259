"""What passes between the consumer and a transport: one request, one response. Pure; loads nothing.

A user's own transport is any object with `send` and `close` as in `Transport`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One POST, ready to go.

    Attributes:
        url: scheme, host and path.
        headers: all of them, `Authorization` included: not shown by `repr`.
        body: as it goes on the wire, compressed or not: not shown by `repr`.
    """

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """What the server answered.

    Attributes:
        status: the HTTP status.
        headers: their names in any case; `Retry-After`, `Date` and `Location` are read.
        body: at most the first 64 KiB, not decompressed; may be empty.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)


class Transport(Protocol):
    """Sends requests; called from several threads at once."""

    def send(self, request: Request, timeout: float) -> Response:
        """Make one attempt within `timeout` seconds in all: no retries, no redirects.

        Raises:
            TransportError: there was no answer. Any other exception is taken the same way.
        """

    def close(self) -> None:
        """Give back what is held. A `send` under way in another thread may finish."""
