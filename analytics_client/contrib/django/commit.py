"""Events that wait for their transaction: nothing is sent for an order that was rolled back.

Owns what must not change while an event waits: its time, its properties, the person and the scope it was made in.
"""

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction

from analytics_client import Client, carry
from analytics_client.contrib.django import setup
from analytics_client.contrib.guard import guarded
from analytics_client.scopes import completed_ids, current


def track_on_commit(
    user_id: Any = None,
    event: str | None = None,
    properties: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
    timestamp: Any = None,
    anonymous_id: Any = None,
    integrations: Mapping[str, Any] | None = None,
    message_id: str | None = None,
    *,
    traits: Mapping[str, Any] | None = None,
    using: str | None = None,
) -> None:
    """Track once the transaction is committed; at once where there is none; never if it is rolled back.

    The event's time is that of this call, its person who it is here, its mappings what they hold now. Like every call
    it never raises: where Django refuses the callback (an unknown database, a transaction managed by hand) there is no
    event, counted in `stats.notices` and logged once.

    Args:
        using: the database's alias; None: the default one.

    The other arguments are those of `Client.track`. There is no result: the event does not exist before the commit.
    """
    client = setup.client()
    if not client.enabled:
        return
    here = current()
    if here is not None:
        # Now: until the commit somebody may have logged in or out.
        ids = guarded(client, "track_on_commit", completed_ids, user_id, anonymous_id, here)
        user_id, anonymous_id = ids or (user_id, anonymous_id)
    given = {
        "properties": properties,
        "context": context,
        "integrations": integrations,
        "traits": traits,
    }
    kept = {name: _snapshot(client, value) for name, value in given.items()}
    timestamp = datetime.now(UTC) if timestamp is None else timestamp

    def send() -> None:
        client.track(
            user_id,
            event,
            timestamp=timestamp,
            anonymous_id=anonymous_id,
            message_id=message_id,
            **kept,
        )

    guarded(client, "track_on_commit", _when_committed, carry(send), using)


def _when_committed(send: Callable[[], None], using: str | None) -> None:
    try:
        # Robust: with `strict=True` a call may raise, and the callbacks behind it must not suffer.
        transaction.on_commit(send, using=using, robust=True)
    except SynchronousOnlyOperation:
        send()  # in an event loop there is no transaction: Django's are a thread's


def _snapshot(client: Client, value: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if value is None:
        return None
    copied = guarded(client, "track_on_commit", copy.deepcopy, value)
    return value if copied is None else copied
