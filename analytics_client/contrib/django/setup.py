"""The setting `ANALYTICS_CLIENT`: the client's options, those of `contrib.request.Options`, and Django's own below.

Owns the one client of the project, made when it is first asked for. A wrong setting is a message of Django's system
check, and one line in the log; the site runs on without events.
"""

import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from analytics_client import Client, ConfigError
from analytics_client.contrib.request import Options, separated

#: Options that are callables; in settings they may be dotted paths.
_CALLABLES = ("user_id", "before_send", "on_delivered", "on_failed", "default", "traits")

_logger = logging.getLogger("analytics_client")


@dataclass(frozen=True, slots=True)
class PageRules:
    """Which views make a page event: those whose path matches one of `include` and none of `exclude`."""

    include: tuple[re.Pattern[str], ...]
    exclude: tuple[re.Pattern[str], ...]

    def wants(self, path: str) -> bool:
        """Whether the page at `path` makes an event. Patterns match anywhere, as those of Django's settings do."""
        wanted = not self.include or any(each.search(path) for each in self.include)
        return wanted and not any(each.search(path) for each in self.exclude)


@dataclass(frozen=True, slots=True)
class Setup:
    """What the settings say.

    Attributes:
        client: the project's.
        options: what is taken from a request.
        pages: which views make a page event; None: none.
        auth_events: whether logging in and out makes the events `Signed In` and `Signed Out`.
        traits: called with a user who logs in; its result goes out as an identify.
        client_options: what the client was made of, the write key too; not shown by `repr`.
    """

    client: Client
    options: Options
    pages: PageRules | None
    auth_events: bool
    traits: Callable[[Any], Mapping[str, Any]] | None
    client_options: Mapping[str, Any] = field(repr=False)


# Guards the three below.
_lock = threading.RLock()
_setup: Setup | None = None
_disabled: Client | None = None
_said: str | None = None  # the last trouble in the log: every login asks again


def load() -> Setup:
    """Return what the settings say, read once.

    Raises:
        ConfigError: a setting is wrong; the sentence says which.
    """
    global _setup  # noqa: PLW0603 - one per process, as the settings are
    if _setup is not None:
        return _setup
    with _lock:
        if _setup is None:
            try:
                _setup = _read(getattr(settings, "ANALYTICS_CLIENT", None))
            except ConfigError as error:
                raise ConfigError(f"ANALYTICS_CLIENT: {error}") from None
            except Exception as error:
                # Settings may hold anything, and importing a path runs anything. Its text may hold a secret.
                raise ConfigError(f"ANALYTICS_CLIENT: reading it raised {type(error).__name__}") from error
        return _setup


def loaded() -> Setup | None:
    """Return what the settings say; None, and a line in the log, if they are wrong: the site must run on."""
    global _said  # noqa: PLW0603
    try:
        return load()
    except ConfigError as error:
        if _said != str(error):
            _said = str(error)
            _logger.warning("events are not sent: %s", error)
        return None


def client() -> Client:
    """Return the project's client; one that does nothing where the settings are wrong."""
    global _disabled  # noqa: PLW0603
    if _setup is not None:
        return _setup.client
    if _disabled is not None:
        return _disabled
    with _lock:
        found = loaded()
        if found is not None:
            return found.client
        _disabled = Client(enabled=False)
        return _disabled


def forget() -> None:
    """Read the settings anew at the next use: for tests that change them. The old client is closed, its events sent."""
    global _setup, _disabled, _said
    with _lock:
        old, _setup, _disabled, _said = _setup, None, None, None
    if old is not None:
        old.client.close()


def _read(given: Any) -> Setup:
    if given is None:
        raise ConfigError('is missing: set it to {"write_key": "..."}, or to {"enabled": False}')
    if not isinstance(given, Mapping):
        raise ConfigError(f"must be a dict of options, not {type(given).__name__}")
    rest = dict(given)
    for name in _CALLABLES:
        if isinstance(rest.get(name), str):
            rest[name] = _imported(name, rest[name])
    pages = _page_rules(rest.pop("page_events", False))
    auth_events = rest.pop("auth_events", False)
    if not isinstance(auth_events, bool):
        raise ConfigError("auth_events must be True or False")
    traits = rest.pop("traits", None)
    if traits is not None and not callable(traits):
        raise ConfigError("traits must be a callable that takes the user, or its dotted path")
    options, client_options = separated(rest)
    return Setup(Client(**client_options), options, pages, auth_events, traits, client_options)


def _imported(name: str, path: str) -> Any:
    try:
        return import_string(path)
    except ImportError as error:
        raise ConfigError(f"{name}: {error}") from None
    except Exception as error:
        raise ConfigError(f"{name}: importing {path!r} raised {type(error).__name__}") from error


def _page_rules(given: Any) -> PageRules | None:
    if given is False or given is True:
        return PageRules((), ()) if given else None
    if not isinstance(given, Mapping) or not set(given) <= {"include", "exclude"}:
        raise ConfigError('page_events must be True, False or {"include": [...], "exclude": [...]}')
    return PageRules(_patterns("include", given), _patterns("exclude", given))


def _patterns(name: str, given: Mapping[str, Any]) -> tuple[re.Pattern[str], ...]:
    expressions = given.get(name, ())
    if isinstance(expressions, str):
        raise ConfigError(f"page_events.{name} must be a list of regular expressions")
    try:
        return tuple(re.compile(each) for each in expressions)
    except (re.error, TypeError) as error:
        raise ConfigError(f"page_events.{name} must be a list of regular expressions: {error}") from None
