"""Celery: a task's events know who it was queued for, and a worker that ends sends what it has.

    connect(analytics)      # once, in the module that makes the Celery app: callers and workers both load it

The scope in force where a task is queued travels in a header of its message, `analytics_client`, as JSON: also through
the broker, so it holds what the context holds. In the worker it is in force while the task runs, retries included. Each
prefork child has its own queue and sends it before it leaves; Celery ends children without Python's `atexit`.
"""

import json
from typing import Any

from celery.signals import before_task_publish, task_postrun, task_prerun, worker_process_shutdown

from analytics_client import Client, scope
from analytics_client.contrib.guard import chosen, guarded
from analytics_client.scopes import current

HEADER = "analytics_client"
#: Bytes of the header: beyond that it travels without context and integrations. A message is not ours to fill.
MOST_BYTES = 16_384

_NAMES = ("user_id", "anonymous_id", "context", "integrations")


def connect(client: Client | None = None, *, close_timeout: float = 10.0) -> None:
    """Connect to Celery's signals, for every app of this process. Calling it again replaces the client.

    Args:
        client: whose events are sent when a worker's child ends, and who is told of trouble; None: the default one.
        close_timeout: seconds that the end of a child waits for events still queued.
    """
    _Receivers(client, close_timeout).connect()


class _Receivers:
    """The signals' receivers. State: the scopes of the tasks that run now, by task id; several only with threads."""

    def __init__(self, client: Client | None, close_timeout: float) -> None:
        self._client = client
        self._close_timeout = close_timeout
        self._entered: dict[str, scope] = {}

    def connect(self) -> None:
        for signal, receiver in (
            (before_task_publish, self._publishing),
            (task_prerun, self._starting),
            (task_postrun, self._ended),
            (worker_process_shutdown, self._leaving),
        ):
            # Strong: nobody else holds them. The uid makes a second call replace the first.
            signal.disconnect(dispatch_uid=HEADER)
            signal.connect(receiver, weak=False, dispatch_uid=HEADER)

    def _publishing(self, headers: Any = None, **_: Any) -> None:
        guarded(self._client, "before_task_publish", _put, headers)

    def _starting(self, task_id: str = "", task: Any = None, **_: Any) -> None:
        guarded(self._client, "task_prerun", self._enter, task_id, task)

    def _enter(self, task_id: str, task: Any) -> None:
        values = _got(task.request.get(HEADER))
        if values is not None:
            block = scope(**values)
            block.__enter__()
            self._entered[task_id] = block

    def _ended(self, task_id: str = "", **_: Any) -> None:
        block = self._entered.pop(task_id, None)
        if block is not None:
            guarded(self._client, "task_postrun", block.__exit__, None, None, None)

    def _leaving(self, **_: Any) -> None:
        client = guarded(None, "default client", chosen, self._client)
        if client is not None:
            guarded(client, "worker_process_shutdown", client.close, self._close_timeout)


def _put(headers: Any) -> None:
    """Write the scope in force into the headers of a message that is about to be queued."""
    here = current()
    if here is None or not isinstance(headers, dict) or HEADER in headers:
        return
    values = {name: value for name in _NAMES if (value := getattr(here, name)) is not None}
    text = json.dumps(values, default=str)
    if len(text) > MOST_BYTES:
        text = json.dumps({name: values[name] for name in _NAMES[:2] if name in values}, default=str)
    if values:
        headers[HEADER] = text


def _got(text: Any) -> dict[str, Any] | None:
    """Read what `_put` wrote; None for what it did not write: messages come from outside."""
    if not isinstance(text, str):
        return None
    found = json.loads(text)
    if not isinstance(found, dict):
        return None
    values = {name: found[name] for name in _NAMES if found.get(name) is not None}
    for name in ("context", "integrations"):
        if name in values and not isinstance(values[name], dict):
            del values[name]
    return values
