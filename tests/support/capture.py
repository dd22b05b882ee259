"""A transport of the user's own that remembers and takes everything: for tests of the client above the wire."""

import json
from typing import Any

from analytics_client import Client, Request, Response
from analytics_client.delivery.lifecycle import Delivery
from analytics_client.stamps import Stamps


class Capture:
    """Remembers requests; answers `status`."""

    def __init__(self, status: int = 200, body: bytes = b"") -> None:
        self.requests: list[Request] = []
        self.response = Response(status, {}, body)
        self.closed = 0

    def send(self, request: Request, timeout: float) -> Response:
        self.requests.append(request)
        return self.response

    def close(self) -> None:
        self.closed += 1

    @property
    def bodies(self) -> list[bytes]:
        return [request.body for request in self.requests]

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events in order of sending."""
        events: list[dict[str, Any]] = []
        for body in self.bodies:
            content = json.loads(body)
            events += content.get("batch", [content])
        return events


def captured(**options: Any) -> tuple[Client, Capture]:
    """Return a strict client, and what it sends to."""
    capture = Capture()
    options = {"host": "https://d.example.com", "strict": True, "transport": capture, **options}
    return Client("key", **options), capture


def fixed(client: Client) -> Client:
    """Make a client's ids and times the same each time."""
    numbers = iter(range(1, 1_000_000))
    delivery = client._delivery
    assert isinstance(delivery, Delivery)
    client._submit.__self__._stamps = Stamps(  # type: ignore[attr-defined]
        random=lambda size: next(numbers).to_bytes(size, "big"), wall_ns=lambda: 1_643_742_858_381_000_000
    )
    delivery._consumer._wall = lambda: 1_643_742_860.0
    return client
