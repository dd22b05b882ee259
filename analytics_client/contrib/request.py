"""What a request says about who and where: the values of a scope, found out when the first event asks for them.

    View (a framework's request) + Options -> RequestScope -> analytics_client.scope.of

Owns the names and forms of the context's fields (the Spec's Common Fields: ip, userAgent, locale, page, campaign), the
options that all frameworks share, and the own first-party cookie. Knows no framework: each brings a `View`.
"""

import functools
import inspect
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol
from urllib.parse import quote, unquote_plus
from uuid import UUID

from analytics_client import Client, ConfigError
from analytics_client.contrib.addresses import client_address
from analytics_client.contrib.cookies import ANONYMOUS_ID_COOKIES, USER_ID_COOKIES, first_id
from analytics_client.contrib.guard import guarded, trouble

#: What may be left out of a context. `search` is the query in the page's addresses: `page.search`, `page.url` and
#: `page.referrer` go out without it.
FIELDS = ("userAgent", "locale", "page", "search", "campaign")

# Anybody can send headers of any length, and an event has 32 KB in all. With these bounds, and with URLs in ASCII, a
# context stays below 20 KB, whatever comes.
_MOST_OF_HEADER = 500
_MOST_OF_HOST = 255
_MOST_OF_URL = 2_000
# RFC 3986: what may stand in a path as it is, and in a URL that is percent-encoded already.
_PATH_SAFE = "/:@!$&'()*+,;="
_URL_SAFE = _PATH_SAFE + "%?#[]{}|^`"
_PLAIN = re.compile(r"[A-Za-z0-9_.~/:@!$&'()*+,;=-]*")  # most parts of URLs: nothing to encode
_CUT_ESCAPE = re.compile(r"%[0-9A-Fa-f]?$")
_LOCALE = re.compile(r"\s*([A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,5})\s*(?:;\s*q\s*=\s*([0-9.]+)\s*)?$")
_CAMPAIGN = {"utm_campaign": "name"}
_COOKIE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")

#: The own cookie's attributes (RFC 6265, 4.1.2), beside Secure, which depends on the request.
COOKIE: Mapping[str, Any] = {"Max-Age": 365 * 24 * 3600, "Path": "/", "SameSite": "Lax", "HttpOnly": True}


class View(Protocol):
    """A framework's request. Nothing in it is read before an event needs it."""

    def header(self, name: str) -> str:
        """Return a header, several of one name joined by commas; empty if there is none. `name` in lower case."""

    def peer(self) -> str:
        """Return the address that is connected."""

    def scheme(self) -> str:
        """Return http or https (or ws, wss), as this server sees it."""

    def host(self) -> str:
        """Return the Host header."""

    def path(self) -> str:
        """Return the path, decoded."""

    def query(self) -> str:
        """Return what follows the question mark, as it came."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is taken from a request.

    Args:
        trusted_proxies: how many proxies of your own stand before this server. None: `context.ip` is not sent.
        proxy_header: where they write the address they were called from: `x-forwarded-for` or `forwarded`.
        omit: what is left out of the context: any of `userAgent`, `locale`, `page`, `campaign`, and `search`, the
            query strings of the page's addresses.
        vendor_cookies: read the browser SDKs' cookies.
        cookie: name of a first-party cookie of our own, set at the first event of a visitor without an anonymous id
            if the response has not begun by then. None: none is set.
        user_id: called with the framework's request; returns the id of who is logged in, or None.

    Raises:
        ConfigError: an option is wrong.
    """

    trusted_proxies: int | None = None
    proxy_header: str = "x-forwarded-for"
    omit: Collection[str] = ()
    vendor_cookies: bool = True
    cookie: str | None = None
    user_id: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        count = self.trusted_proxies
        if count is not None and (type(count) is not int or not 0 <= count <= 100):
            raise ConfigError("trusted_proxies must be None or a number of proxies, 0 to 100")
        if self.proxy_header not in ("x-forwarded-for", "forwarded"):
            raise ConfigError("proxy_header must be 'x-forwarded-for' or 'forwarded'")
        if not isinstance(self.omit, (list, tuple, set, frozenset)) or not all(each in FIELDS for each in self.omit):
            raise ConfigError(f"omit must be a list of some of {', '.join(FIELDS)}")
        if type(self.vendor_cookies) is not bool:
            raise ConfigError("vendor_cookies must be True or False")
        if self.cookie is not None and not _is_cookie_name(self.cookie):
            raise ConfigError("cookie must be None or a name of 1 to 64 letters, digits and _ . -")
        if self.user_id is not None and not callable(self.user_id):
            raise ConfigError("user_id must be a callable that takes the request")
        if inspect.iscoroutinefunction(self.user_id):
            raise ConfigError("user_id must not be async: events are made where nothing can be awaited")


def _is_cookie_name(name: Any) -> bool:
    return isinstance(name, str) and _COOKIE_NAME.fullmatch(name) is not None


OPTION_NAMES = frozenset(field.name for field in fields(Options))


def separated(settings: Mapping[Any, Any]) -> tuple[Options, dict[str, Any]]:
    """Part a framework's settings into the options here, and the client's.

    Raises:
        ConfigError: an option is wrong. Unknown names are the client's to refuse.
    """
    if not isinstance(settings, Mapping):
        raise ConfigError(f"must be a mapping of options, not {type(settings).__name__}")
    strange = [name for name in settings if not isinstance(name, str)]
    if strange:
        raise ConfigError(f"options have names, and {strange[0]!r} is none")
    own = {name: value for name, value in settings.items() if name in OPTION_NAMES}
    return Options(**own), {name: value for name, value in settings.items() if name not in OPTION_NAMES}


class RequestScope:
    """The values of one request's scope. Read late, the context once; the user each time: people log in and out.

    Args:
        view: the request.
        options: what to take.
        client: told of what goes wrong.
        user: the framework's way to the user; the option `user_id` has gone into it.
    """

    __slots__ = ("_anonymous_id", "_client", "_context", "_cookies", "_made", "_options", "_user", "_view")

    integrations = None

    def __init__(self, view: View, options: Options, client: Client, user: Callable[[], Any] | None) -> None:
        self._view = view
        self._options = options
        self._client = client
        self._user = user
        self._context: dict[str, Any] | None = None
        self._cookies: str | None = None
        self._anonymous_id: str | None = None
        self._made: list[str] = []

    @property
    def user_id(self) -> Any:
        """Who is logged in, says the framework; else who the browser's SDK was told it is."""
        found = None if self._user is None else guarded(self._client, "user_id", self._user)
        if found is None or found is False or found == "":
            if not self._options.vendor_cookies:
                return None
            return guarded(self._client, "cookies", first_id, self._cookie_header(), USER_ID_COOKIES)
        return found if isinstance(found, (str, int, UUID)) else guarded(self._client, "user_id", str, found)

    @property
    def anonymous_id(self) -> str | None:
        """The browser's: its SDK's, or the one in the own cookie, or a new one for that."""
        if self._anonymous_id is None:
            self._anonymous_id = self._find_anonymous_id()
        return self._anonymous_id

    @property
    def context(self) -> Mapping[str, Any]:
        """What the request says, in the Spec's fields; of what it does not say, nothing."""
        if self._context is None:
            view, options, found = self._view, self._options, {}
            for name, way in _WAYS.items():
                if name in options.omit:
                    continue
                try:
                    value = way(view, options)
                except Exception as error:
                    trouble(self._client, f"context.{name}", error)
                else:
                    if value:
                        found[name] = value
            self._context = found
        return self._context

    @property
    def new_anonymous_id(self) -> str | None:
        """The anonymous id that was made for this visitor and belongs into the own cookie; None if none was."""
        return self._made[0] if self._made else None

    def _cookie_header(self) -> str:
        if self._cookies is None:
            self._cookies = guarded(self._client, "cookies", self._view.header, "cookie") or ""
        return self._cookies

    def _find_anonymous_id(self) -> str | None:
        own = self._options.cookie
        names = (ANONYMOUS_ID_COOKIES if self._options.vendor_cookies else ()) + (() if own is None else (own,))
        found = guarded(self._client, "cookies", first_id, self._cookie_header(), names)
        if found is None and own is not None:
            # Two threads of one request may come here at once: the first one's is everybody's.
            self._made.append(os.urandom(16).hex())
            found = self._made[0]
        return found


def cookie_header(values: RequestScope, options: Options, *, secure: bool) -> str | None:
    """Return the Set-Cookie header that keeps a new anonymous id in the browser; None if there is none."""
    value = values.new_anonymous_id
    if value is None:
        return None
    attributes = "".join(f"; {name}" if given is True else f"; {name}={given}" for name, given in COOKIE.items())
    return f"{options.cookie}={value}{attributes}{'; Secure' if secure else ''}"


def _user_agent(view: View, _options: Options) -> str:
    return view.header("user-agent")[:_MOST_OF_HEADER]


def _page(view: View, options: Options) -> dict[str, str]:
    search = "search" not in options.omit
    path = _url_text(view.path(), safe=_PATH_SAFE)
    query = _url_text(view.query()) if search else ""
    asked = f"?{query}" if query else ""
    host = _url_text(view.host(), most=_MOST_OF_HOST)
    referrer = _url_text(view.header("referer"))
    page = {
        "path": path,
        "url": f"{view.scheme()}://{host}{path}{asked}" if host else "",
        "referrer": referrer if search else referrer.partition("?")[0],
        "search": asked,
    }
    return {name: value for name, value in page.items() if value}


def _url_text(text: str, *, safe: str = _URL_SAFE, most: int = _MOST_OF_URL) -> str:
    """A URL or a part of one in ASCII, at most `most` characters, with no escape cut in two."""
    if len(text) <= most and _PLAIN.fullmatch(text):
        return text
    quoted = quote(text[:most], safe=safe, errors="replace")
    return quoted if len(text) <= most and len(quoted) <= most else _CUT_ESCAPE.sub("", quoted[:most])


def _locale(view: View, _options: Options) -> str | None:
    return _most_wanted(view.header("accept-language")[:_MOST_OF_HEADER])


@functools.lru_cache(maxsize=200)  # a site's browsers send few different ones
def _most_wanted(accept: str) -> str | None:
    """The most wanted language of an Accept-Language header (RFC 9110, 12.5.4), the first of equals."""
    best, best_weight = None, 0.0
    for each in accept.split(","):
        found = _LOCALE.match(each)
        if found is None:
            continue
        try:
            weight = float(found[2]) if found[2] else 1.0
        except ValueError:
            continue
        if best_weight < weight <= 1:
            best, best_weight = found[1], weight
    return best


def _campaign(view: View, _options: Options) -> dict[str, str]:
    """The utm_ parameters under the Spec's names: utm_campaign is `name`, utm_x is `x`."""
    query = view.query()
    if "utm_" not in query:
        return {}
    found = {}
    for pair in _url_text(query).split("&"):
        key, _, value = pair.partition("=")
        if value and key.startswith("utm_") and key != "utm_":
            found[_CAMPAIGN.get(key) or _unquoted(key[4:])] = _unquoted(value)
    return found


def _unquoted(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


def _ip(view: View, options: Options) -> str | None:
    if options.trusted_proxies is None:
        return None
    return client_address(
        view.peer(),
        view.header(options.proxy_header),
        trusted_proxies=options.trusted_proxies,
        forwarded=options.proxy_header == "forwarded",
    )


#: How each field of the context is found.
_WAYS: Mapping[str, Callable[[View, Options], Any]] = {
    "userAgent": _user_agent,
    "locale": _locale,
    "page": _page,
    "campaign": _campaign,
    "ip": _ip,
}
