"""Celery: a task's events know who it was queued for, and a worker's child that ends sends what it has.

    connect(analytics)      # once, in the module that makes the Celery app: callers and workers both load it

The scope in force where a task is queued travels in one header of its message, as JSON, so what the context holds goes
through the broker. In the worker it is in force while the task runs, and no longer. Each prefork child has a queue of
its own and sends it before it leaves: Celery ends children without Python's `atexit`. Owns that header; must not touch
others, nor fail a task or its queueing, whatever the header holds.
"""

import datetime as dt
import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any
from uuid import UUID

from celery.signals import before_task_publish, task_postrun, task_prerun, worker_process_shutdown

from analytics_client import Client, scope
from analytics_client.contrib.guard import chosen, guarded, trouble
from analytics_client.scopes import ScopeValues, current

HEADER = "analytics_client"
#: Bytes of the header, written and read. A longer scope travels as its ids alone: a message is not ours to fill.
MOST_BYTES = 16_384

_IDS = ("user_id", "anonymous_id")
_MAPPINGS = ("context", "integrations")
#: Where a run keeps its block: on its own request, since two runs of one task may overlap in a process.
_BLOCK = "analytics_client_block"


def connect(client: Client | None = None, *, close_timeout: float = 10.0) -> None:
    """Connect to Celery's signals, for every app of this process. Calling it again replaces the client.

    Args:
        client: whose events are sent when a worker's child ends, and who is told of trouble; None: the default one.
            With `enabled=False` nothing is connected.
        close_timeout: seconds that the end of a child waits for events still queued.
    """
    receivers = _Receivers(client, close_timeout)
    for signal, receiver in (
        (before_task_publish, receivers.publishing),
        (task_prerun, receivers.starting),
        (task_postrun, receivers.ended),
        (worker_process_shutdown, receivers.leaving),
    ):
        # The uid makes a second call replace the first. Strong: nobody else holds them.
        signal.disconnect(dispatch_uid=HEADER)
        if client is None or client.enabled:
            signal.connect(receiver, weak=False, dispatch_uid=HEADER)


class _Receivers:
    """The signals' receivers. No state but whom to tell."""

    def __init__(self, client: Client | None, close_timeout: float) -> None:
        self._client = client
        self._close_timeout = close_timeout

    def publishing(self, headers: Any = None, **_: Any) -> None:
        """A task is about to be queued."""
        try:
            here = current()
            # A task that is tried again brings the header of its first time, which stays.
            if here is not None and isinstance(headers, dict) and HEADER not in headers:
                text = self._written(here)
                if text is not None:
                    headers[HEADER] = text
        except Exception as error:
            trouble(self._told(), "before_task_publish", error)

    def starting(self, task: Any = None, **_: Any) -> None:
        """A task is about to run."""
        try:
            values = _read(task.request.get(HEADER))
            if values:
                block = scope(**values)
                block.__enter__()
                setattr(task.request, _BLOCK, block)
        except Exception as error:
            trouble(self._told(), "task_prerun", error)

    def ended(self, task: Any = None, **_: Any) -> None:
        """A task has run, whatever came of it."""
        try:
            block = task.request.get(_BLOCK)
            if block is not None:
                block.__exit__(None, None, None)
        except Exception as error:
            trouble(self._told(), "task_postrun", error)

    def leaving(self, **_: Any) -> None:
        """A prefork child is about to end."""
        client = self._told()
        if client is not None:
            guarded(client, "worker_process_shutdown", client.close, self._close_timeout)

    def _told(self) -> Client | None:
        """Return the client. The default one is made by asking for it, so it is asked for only when it is needed."""
        return guarded(None, "default client", chosen, self._client)

    def _written(self, here: ScopeValues) -> str | None:
        """Return the scope as JSON, without its mappings where they do not go into a header; None if it is empty."""
        ids = {name: value for name in _IDS if (value := _id(getattr(here, name))) is not None}
        mappings = {name: value for name in _MAPPINGS if (value := getattr(here, name))}
        if mappings:
            try:
                text = json.dumps({**ids, **mappings}, default=self._plain, skipkeys=True)
            except Exception as error:  # a mapping that holds itself, or whose own code raises
                self._left_out(type(error).__name__, "its context and integrations are no JSON")
            else:
                if len(text) <= MOST_BYTES:
                    return text
                self._left_out("length", f"with its context and integrations it has more than {MOST_BYTES:,} bytes")
        text = json.dumps(ids)
        return text if ids and len(text) <= MOST_BYTES else None

    def _plain(self, value: Any) -> Any:
        """What JSON has no form for, as the client writes it; None for what only the client's `default` would know."""
        if isinstance(value, dt.datetime):
            text = value.isoformat()
            return f"{text}Z" if value.tzinfo is None else text
        if isinstance(value, (dt.date, dt.time)):
            return value.isoformat()
        if isinstance(value, UUID):
            return str(value)
        if isinstance(value, Decimal):
            return float(value)
        if isinstance(value, Mapping):
            return dict(value)
        if isinstance(value, AbstractSet):
            return list(value)
        kind = type(value).__name__
        self._left_out(kind, f"a value of type {kind} has no form in JSON")
        return None

    def _left_out(self, detail: str, why: str) -> None:
        client = self._told()
        if client is not None:
            client.notice("celery_scope", detail, f"a scope does not travel to its task as a whole: {why}")


def _read(text: Any) -> dict[str, Any]:
    """Read what `_written` wrote; of anything else nothing: messages come from outside."""
    if not isinstance(text, str) or len(text) > MOST_BYTES:
        return {}
    found = json.loads(text)
    if not isinstance(found, dict):
        return {}
    values = {name: _id(found.get(name)) for name in _IDS}
    for name in _MAPPINGS:
        values[name] = found[name] if isinstance(found.get(name), dict) else None
    return {name: value for name, value in values.items() if value is not None}


def _id(value: Any) -> str | int | None:
    """Return what the client takes as an id, in a form that JSON has; None for anything else."""
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return str(value) if isinstance(value, UUID) else None
