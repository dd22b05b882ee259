"""Runs what must not harm the host: a user's callable, a header's parser, a flush.

Owns the rule for exceptions inside hooks: counted as the notice `hook`, logged once per place and type, never raised.
The text of an exception may hold anything and is not repeated.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import analytics_client
from analytics_client import Client

P = ParamSpec("P")
T = TypeVar("T")


def chosen(client: Client | None) -> Client | None:
    """Return the client to use: the one given, else the module's default one; None if there is none yet."""
    return client if client is not None else analytics_client.default_client()


def guarded(client: Client | None, where: str, hook: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """Call `hook`; None if it raises. `where` names it in the log."""
    try:
        return hook(*args, **kwargs)
    except Exception as error:
        trouble(client, where, error)
        return None


def trouble(client: Client | None, where: str, error: Exception) -> None:
    """Count what a hook raised, and log it once."""
    if client is not None:
        kind = type(error).__name__
        client.notice("hook", f"{where} {kind}", f"{where} raised {kind}; the request is not affected")
