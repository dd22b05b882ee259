"""What may be set for an import, beside its inputs and its mapping; every default in one place."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analytics_client import Transport
from analytics_client.config import Config
from analytics_client.errors import ConfigError

#: Segment's documents ask to stay under 500 requests and 1,000 events a second. The others name no such figure.
_PACES = {"segment": (500.0, 1_000.0)}
#: Options of the client that an import takes; the others are its own business.
CLIENT_OPTIONS: tuple[str, ...] = (
    "dialect",
    "host",
    "concurrency",
    "gzip",
    "timeout",
    "context",
    "integrations",
    "batch",
    "proxies",
    "ca_file",
)
CLIENT_OPTIONS += ("allow_insecure", "max_event_bytes", "max_batch_bytes", "max_retry_time", "debug")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """See `run` for each.

    Attributes:
        config: the client's, checked.
        client: the client's options as given.
    """

    write_key: str | None = field(default=None, repr=False)
    state: Path | None = None
    resume: bool = False
    restart: bool = False
    max_requests_per_second: float | None = None
    max_events_per_second: float | None = None
    transport: Transport | None = None
    client: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for name in self.client:
            if name not in CLIENT_OPTIONS:
                known = ", ".join(CLIENT_OPTIONS)
                raise ConfigError(f"{name} is no option of an import; those of the client are {known}")
        for name in ("max_requests_per_second", "max_events_per_second"):
            value = getattr(self, name)
            wrong = isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf")
            if value is not None and wrong:
                raise ConfigError(f"{name} must be a number from 0 (no limit) upwards, not {value!r}")
        if self.resume and self.restart:
            raise ConfigError("resume goes on and restart begins anew: which is meant?")
        if self.state is not None and not self.state.is_dir():
            raise ConfigError(f"the directory {self.state} for checkpoints and reject files does not exist")

    def config(self, *, dry: bool = False) -> Config:
        """Check the client's options; a dry run needs neither key nor host."""
        key, given = self.write_key, dict(self.client)
        if dry:
            key = "dry-run"
            given["host"] = given.get("host") or os.environ.get("ANALYTICS_HOST") or "https://dry-run.invalid"
        return Config.load(key, given)

    def pace(self, dialect: str) -> tuple[float, float]:
        """Return requests and events a second; 0 for no limit."""
        requests, events = _PACES.get(dialect, (0.0, 0.0))
        given = self.max_requests_per_second, self.max_events_per_second
        return requests if given[0] is None else given[0], events if given[1] is None else given[1]
