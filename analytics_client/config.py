"""The options of a client: every default in one table, checked, frozen; and the write key, which never shows itself.

Owns reading options from arguments and from the environment (`ANALYTICS_...`), and the sentence for each wrong one.
Knows dialects by name. Must not open, import or start anything.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NoReturn
from urllib.parse import urlsplit

from analytics_client.dialects import DIALECTS, Dialect
from analytics_client.errors import ConfigError

MIB = 1024 * 1024
ENVIRONMENT_PREFIX = "ANALYTICS_"
_ON_FULL = ("drop_newest", "drop_oldest", "block")


class WriteKey:
    """A source's write key (SegmentStream: API token). Only `reveal` shows it; it cannot be pickled."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not text:
            raise ConfigError("write_key is missing: pass it to Client, or set ANALYTICS_WRITE_KEY")
        if not text.isascii() or not text.isprintable() or " " in text:
            raise ConfigError("write_key must be printable ASCII without spaces: it goes into an HTTP header")
        if ":" in text:
            raise ConfigError("write_key must not contain ':', which would end the user name of Basic authentication")
        self._text = text

    def reveal(self) -> str:
        """Return the key itself."""
        return self._text

    def __repr__(self) -> str:
        return f"WriteKey(…{self._text[-4:]})" if len(self._text) >= 12 else "WriteKey(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WriteKey) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a write key is not pickled: read it again where it is needed")


# A check takes the option's name and a value that was given, and returns the value to use or raises ConfigError.
_Check = Callable[[str, Any], Any]


def _number(low: float, *, above: bool = False) -> _Check:
    def check(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value - value != 0:
            raise ConfigError(f"{name} must be a number of seconds, not {_shown(value)}")
        if value < low or (above and value == low):
            raise ConfigError(f"{name} must be {'above' if above else 'at least'} {low:g} seconds, not {value:g}")
        return float(value)

    return check


def _count(low: int, unit: str) -> _Check:
    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(f"{name} must be a whole number of {unit}, not {_shown(value)}")
        if value < low:
            raise ConfigError(f"{name} must be at least {low} {unit}, not {value}")
        return value

    return check


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be True or False, not {_shown(value)}")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        raise ConfigError(f"{name} must be text that is not empty, not {_shown(value)}")
    return str(os.fspath(value))


def _file(name: str, value: Any) -> str:
    path = _text(name, value)
    if not os.path.isfile(path):  # noqa: PTH113 - pathlib would be loaded for this alone
        raise ConfigError(f"{name} names no file: {path}")
    return path


def _one_of(*choices: str) -> _Check:
    def check(name: str, value: Any) -> str:
        if value not in choices:
            raise ConfigError(f"{name} must be one of {', '.join(choices)}, not {_shown(value)}")
        return str(value)

    return check


def _mapping(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"{name} must be a mapping with text keys, not {_shown(value)}")
    return dict(value)


def _callable(name: str, value: Any) -> Any:
    if not callable(value):
        raise ConfigError(f"{name} must be callable, not {_shown(value)}")
    return value


def _transport(name: str, value: Any) -> Any:
    if not callable(getattr(value, "send", None)) or not callable(getattr(value, "close", None)):
        raise ConfigError(f"{name} must have the methods send(request, timeout) and close(), not {_shown(value)}")
    return value


def _proxies(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for pair in value.items() for each in pair):
        raise ConfigError(f"{name} must map schemes to proxy URLs, as in {{'https': 'http://proxy.example.com:3128'}}")
    return dict(value)


def _dialect(name: str, value: Any) -> Dialect:
    if isinstance(value, Dialect):
        return value
    if not isinstance(value, str) or value not in DIALECTS:
        raise ConfigError(f"{name} must be one of {', '.join(DIALECTS)} or a Dialect object, not {_shown(value)}")
    return DIALECTS[value]


def _shown(value: Any) -> str:
    return repr(value)[:60] if isinstance(value, (str, int, float, bool)) else f"a {type(value).__name__}"


def _option(default: Any, check: _Check, parse: Callable[[str], Any] | None = None, *, shown: bool = True) -> Any:
    """One row of the table. `parse` reads the environment's text; without it the option has no environment twin."""
    return field(default=default, repr=shown, metadata={"check": check, "parse": parse})


def _parsed_switch(text: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    return known[text.lower()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The checked options; `Client` documents each. Durations in seconds, sizes in bytes.

    The table below is the one place of every default. None means that the dialect decides, or that there is none.
    """

    write_key: WriteKey
    base_url: str = field(init=False)
    dialect: Dialect = _option(DIALECTS["segment"], _dialect, str)
    host: str | None = _option(None, _text, str)
    flush_at: int = _option(500, _count(1, "events"), int)
    flush_interval: float = _option(0.5, _number(0), float)
    max_queue_bytes: int = _option(64 * MIB, _count(1, "bytes"), int)
    on_full: str = _option("drop_newest", _one_of(*_ON_FULL), str)
    gzip: bool = _option(False, _switch, _parsed_switch)
    timeout: float = _option(15.0, _number(0, above=True), float)
    max_retries: int | None = _option(None, _count(0, "retries"), int)
    max_retry_time: float = _option(43_200.0, _number(0), float)
    concurrency: int = _option(None, _count(1, "requests"), int)
    batch: bool = _option(True, _switch, _parsed_switch)
    sync: bool = _option(False, _switch, _parsed_switch)
    enabled: bool = _option(True, _switch, _parsed_switch)
    strict: bool = _option(False, _switch, _parsed_switch)
    debug: bool = _option(False, _switch, _parsed_switch)
    context: Mapping[str, Any] | None = _option(None, _mapping, shown=False)
    integrations: Mapping[str, Any] | None = _option(None, _mapping, shown=False)
    before_send: Callable[[dict[str, Any]], dict[str, Any] | None] | None = _option(None, _callable)
    on_delivered: Callable[[Any], object] | None = _option(None, _callable)
    on_failed: Callable[[Any], object] | None = _option(None, _callable)
    default: Callable[[Any], Any] | None = _option(None, _callable)
    transport: Any = _option(None, _transport)
    proxies: Mapping[str, str] | None = _option(None, _proxies, shown=False)  # a proxy's URL may hold a password
    ca_file: str | None = _option(None, _file, str)
    allow_insecure: bool = _option(False, _switch, _parsed_switch)
    max_event_bytes: int = _option(None, _count(1, "bytes"), int)
    max_batch_bytes: int = _option(None, _count(1, "bytes"), int)
    exit_timeout: float = _option(5.0, _number(0), float)
    flush_on_sigterm: bool = _option(False, _switch, _parsed_switch)

    def __post_init__(self) -> None:
        """Fill in what the dialect decides, and check what depends on several options."""
        settle = object.__setattr__
        dialect = self.dialect
        if self.concurrency is None:
            settle(self, "concurrency", dialect.concurrency)
        if self.max_event_bytes is None:
            settle(self, "max_event_bytes", dialect.max_event_bytes)
        if self.max_batch_bytes is None:
            settle(self, "max_batch_bytes", dialect.max_batch_bytes)
        if self.max_batch_bytes > dialect.max_batch_bytes_ceiling:
            raise ConfigError(
                f"max_batch_bytes is {self.max_batch_bytes:,}; {dialect.name} takes at most "
                f"{dialect.max_batch_bytes_ceiling:,} bytes a request"
            )
        if self.gzip and not dialect.gzip:
            raise ConfigError(f"gzip is on, but {dialect.name} documents no compressed bodies: leave it off")
        host = self.host or dialect.host
        if host is None:
            raise ConfigError(f"host is missing: {dialect.name} has no common address; give your own, https://...")
        settle(self, "base_url", _base_url(host, allow_insecure=self.allow_insecure))

    @classmethod
    def load(cls, write_key: Any, given: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> "Config":
        """Make a Config from arguments (None means not given), else the environment, else the defaults.

        Raises:
            ConfigError: one clear sentence for the first option that is wrong.
        """
        environment = os.environ if environment is None else environment
        if given.get("enabled") is False:
            environment = {}  # a client that does nothing has nothing to be told, and so nothing can be wrong
        if isinstance(write_key, WriteKey):
            write_key = write_key.reveal()
        elif write_key is None:
            write_key = environment.get(f"{ENVIRONMENT_PREFIX}WRITE_KEY", "")
        if not isinstance(write_key, str):
            raise ConfigError(f"write_key must be text, not a {type(write_key).__name__}")
        _refuse_unknown(given)
        values = {}
        for option in fields(cls):
            if "check" not in option.metadata:
                continue
            value = given.get(option.name)
            if value is None and option.metadata["parse"] is not None:
                value = _from_environment(option.name, option.metadata["parse"], environment)
            if value is not None:
                values[option.name] = option.metadata["check"](option.name, value)
        if not write_key and values.get("enabled") is False:
            write_key = "none"  # whoever switches it off need not have one
        return cls(write_key=WriteKey(write_key), **values)


#: The names of all options but the write key.
OPTION_NAMES = tuple(each.name for each in fields(Config) if "check" in each.metadata)


def _from_environment(name: str, parse: Callable[[str], Any], environment: Mapping[str, str]) -> Any:
    variable = ENVIRONMENT_PREFIX + name.upper()
    text = environment.get(variable)
    if text is None or not text.strip():
        return None
    try:
        return parse(text.strip())
    except (ValueError, KeyError):
        wanted = {int: "a whole number", float: "a number", _parsed_switch: "1 or 0, true or false"}[parse]
        raise ConfigError(f"the environment variable {variable} must be {wanted}, not {text!r}") from None


def _refuse_unknown(given: Mapping[str, Any]) -> None:
    for name in given:
        if name in OPTION_NAMES:
            continue
        if "oauth" in name.lower():
            raise ConfigError(f"{name}: OAuth is not supported; the write key authenticates by Basic authentication")
        import difflib  # noqa: PLC0415 - for the sentence of an error only

        near = difflib.get_close_matches(name, OPTION_NAMES, n=1)
        raise ConfigError(f"{name} is no option" + (f"; did you mean {near[0]}?" if near else ""))


def _base_url(host: str, *, allow_insecure: bool) -> str:
    """Check a host and return it as scheme://address[:port][/prefix]; never show it: it may hold a password."""
    if not all(each.isprintable() and each not in " \\" for each in host):
        raise ConfigError("host must not contain blanks, control characters or backslashes")
    try:
        parts = urlsplit(host)
        port = parts.port
    except ValueError:
        raise ConfigError("host is not a valid URL: write it as https://events.example.com") from None
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ConfigError("host must begin with https:// and name a server: https://events.example.com")
    if "@" in parts.netloc:
        raise ConfigError("host must not contain a user name or password: the write key authenticates")
    if parts.query or parts.fragment or "?" in host or "#" in host:
        raise ConfigError("host must not contain a query or a fragment")
    prefix = parts.path.rstrip("/")
    if prefix.endswith(("/v1", "/v1/batch", "/track")):
        raise ConfigError(f"host must end before {prefix}: the dialect adds the path of each call itself")
    if parts.scheme == "http" and not (allow_insecure or _is_loopback(parts.hostname)):
        raise ConfigError(
            "host must be https: over http everybody on the way reads the write key (allow_insecure=True)"
        )
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{name}{'' if port is None else f':{port}'}{prefix}"


def _is_loopback(hostname: str) -> bool:
    if hostname == "localhost" or hostname.endswith(".localhost"):
        return True
    import ipaddress  # noqa: PLC0415 - only http hosts ask

    try:
        return ipaddress.ip_address(hostname).is_loopback
    except ValueError:
        return False
