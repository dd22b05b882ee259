"""The client behind the module-level functions: made at the first call, from settings on the module.

    import analytics_client
    analytics_client.write_key = "..."
    analytics_client.track("u-1", "Item Purchased")

Owns when it is made and what may be set until then. A setting after that would be silently without effect: it raises.
"""

import functools
import inspect
import logging
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, Concatenate, ParamSpec, TypeVar

from analytics_client.client import Client
from analytics_client.config import OPTION_NAMES
from analytics_client.errors import ConfigError
from analytics_client.notices import Notices

P = ParamSpec("P")
T = TypeVar("T")

SETTINGS = frozenset({"write_key", *OPTION_NAMES})

# Guards the three below. Re-entrant: a signal handler may track while its thread is making the client.
_lock = threading.RLock()
_settings: dict[str, Any] = {}
_client: Client | None = None
_making = False

_notices = Notices()


class SettableModule(ModuleType):
    """The package's own class, so that setting an option on it can be checked."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in SETTINGS:
            _set(name, value)
        else:
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name in SETTINGS:
            return _settings.get(name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def _set(name: str, value: object) -> None:
    with _lock:
        if _client is not None and value != _settings.get(name):
            raise ConfigError(f"{name} cannot change any more: the default client was made at the first call")
        _settings[name] = value


def _settled() -> bool:
    """Whether another thread has made the client while this one waited for the lock."""
    return _client is not None


def default_client() -> Client | None:
    """Return the client of the module-level functions, making it at the first call.

    None, with one line in the log, while the settings do not suffice to make one.

    Raises:
        ConfigError: the same, with `analytics_client.strict = True`.
    """
    global _client, _making  # noqa: PLW0603 - the default client is one per process by definition
    if _client is not None:
        return _client
    with _lock:
        if _making or _settled():
            return _client
        _making = True
        try:
            given = dict(_settings)
            _client = Client(given.pop("write_key", None), **given)
        except ConfigError as error:
            if _settings.get("strict"):
                raise
            sentence = f"no default client, events are not sent: {error}"
            _notices.say("no_client", str(error), sentence, level=logging.ERROR)
        finally:
            _making = False
        return _client


def forwarded(method: Callable[Concatenate[Client, P], T], otherwise: T) -> Callable[P, T]:
    """Make a function of a method: it calls the default client's, and returns `otherwise` where there is none."""

    @functools.wraps(method)
    def function(*args: P.args, **kwargs: P.kwargs) -> T:
        client = default_client()
        return otherwise if client is None else method(client, *args, **kwargs)

    signature = inspect.signature(method)
    function.__signature__ = signature.replace(  # type: ignore[attr-defined] # what `help` shows: no `self`
        parameters=list(signature.parameters.values())[1:]
    )
    return function
