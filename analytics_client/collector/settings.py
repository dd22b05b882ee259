"""What a collector can be told, with every default in one table.

This file owns the options, their limits and the errors for bad ones. It must not open, bind or start anything.
"""

import math
import os
from dataclasses import dataclass, field

from analytics_client.collector.faults import parse

SERVICES = ("segment", "rudderstack", "segmentstream", "strict")
"""The ways in which `/v1/*` can answer. With "segmentstream" only `/track` exists."""

LOOPBACK = ("127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of one collector. All are checked at construction; a bad one is a ValueError.

    Args:
        service: Whose answers `/v1/*` gives: "segment", "rudderstack", "segmentstream" (there `/v1/*` is 404) or
            "strict", which answers 400 with the list of everything that the documents do not allow. `/track` always
            answers as SegmentStream; in strict mode with the same strictness.
        host: "127.0.0.1" or "::1". Events hold personal data, and nobody else is meant to reach them.
        port: TCP port; 0 takes a free one.
        write_key: The only write key (API token) that is let in; None lets in any that is not empty.
        db: The SQLite file that keeps the events; None keeps them in memory.
        fault: What goes wrong, request by request; see `analytics_client.collector.faults`.
        latency: Seconds by which every answer is late.
        keep: How many event bodies are kept; the oldest make room. Counters and ids for dedupe stay.
        keep_bytes: How many bytes of event bodies are kept.
        max_body_bytes: The largest request body, compressed or not, that is read into memory.
        max_connections: How many connections are served at once; further ones wait.
        request_timeout: Seconds for one request, from its first byte to the end of its answer; scripted latency does
            not count.
    """

    service: str = "segment"
    host: str = "127.0.0.1"
    port: int = 0
    write_key: str | None = field(default=None, repr=False)
    db: str | os.PathLike[str] | None = None
    fault: str = ""
    latency: float = 0.0
    keep: int = 100_000
    keep_bytes: int = 64 * 1024 * 1024
    max_body_bytes: int = 5_000_000
    max_connections: int = 32
    request_timeout: float = 10.0

    def __post_init__(self) -> None:
        if self.service not in SERVICES:
            raise ValueError(f"service must be one of {', '.join(SERVICES)}, not {self.service!r}.")
        if self.host not in LOOPBACK:
            raise ValueError(
                f"host must be 127.0.0.1 or ::1, not {self.host!r}: the collector shows personal data to whoever asks."
            )
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port must be between 0 (any free port) and 65535, not {self.port}.")
        if self.write_key is not None and not self.write_key:
            raise ValueError("write_key must not be empty; leave it out to let in any key.")
        if not (math.isfinite(self.latency) and self.latency >= 0):
            raise ValueError(f"latency must be a number of seconds from 0 up, not {self.latency}.")
        if not (math.isfinite(self.request_timeout) and self.request_timeout > 0):
            raise ValueError(f"request_timeout must be a number of seconds above 0, not {self.request_timeout}.")
        for name in ("keep", "keep_bytes", "max_body_bytes", "max_connections"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}.")
        parse(self.fault)
