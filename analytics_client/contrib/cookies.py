"""The browser SDKs' cookies: the ids they keep, in every form they are written in. Pure.

Segment's analytics.js writes `ajs_anonymous_id` and `ajs_user_id` plain, older versions as JSON; RudderStack's SDK
writes `rl_anonymous_id` and `rl_user_id` as JSON in base64 behind `RS_ENC_v3_`, older versions encrypted, which nobody
can read here. All of them may be percent-encoded. What cannot be read is no id. Never raises, whatever is sent.
"""

import base64
import functools
import json
import re
from urllib.parse import unquote_to_bytes

ANONYMOUS_ID_COOKIES = ("ajs_anonymous_id", "rl_anonymous_id")
USER_ID_COOKIES = ("ajs_user_id", "rl_user_id")

_RUDDERSTACK = "RS_ENC_v3_"
_RUDDERSTACK_ENCRYPTED = "RudderEncrypt:"
#: What JavaScript writes for nothing.
# JSON's way to write most ids: nothing in it to decode.
_PLAIN_JSON = re.compile(r'"([A-Za-z0-9_.:|@-]+)"')
_NO_ID = ("null", "undefined")
#: Stands for bytes that were no UTF-8.
_UNREADABLE = "\N{REPLACEMENT CHARACTER}"
#: Longer than any id these SDKs make, with room for a user's own.
_LONGEST_ID = 200


def cookie(header: str, name: str) -> str | None:
    """Return the raw value of the first cookie of that name in a Cookie header; None without one (RFC 6265, 5.4)."""
    if name not in header:
        return None
    found = _pair(name).search(header)
    return None if found is None else found[1].strip()


@functools.cache  # the SDKs' names, and those that options give
def _pair(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|;)\s*{re.escape(name)}\s*=([^;]*)")


def first_id(header: str, names: tuple[str, ...]) -> str | None:
    """Return the first id that one of these cookies holds."""
    for name in names:
        raw = cookie(header, name)
        found = None if raw is None else id_in(raw)
        if found is not None:
            return found
    return None


def id_in(raw: str) -> str | None:
    """Return the id in a cookie's value; None for what is no id or cannot be read."""
    if len(raw) > 10 * _LONGEST_ID:
        return None
    try:
        text = unquote_to_bytes(raw).decode()
        if text.startswith(_RUDDERSTACK_ENCRYPTED):
            return None
        if text.startswith(_RUDDERSTACK):
            text = _base64(text.removeprefix(_RUDDERSTACK))
        if text.startswith('"'):
            plain = _PLAIN_JSON.fullmatch(text)
            text = plain[1] if plain else json.loads(text)
    except ValueError:  # not UTF-8, not base64, not JSON
        return None
    text = text.strip()
    if not text or text in _NO_ID or text[0] in "[{" or len(text) > _LONGEST_ID or not text.isprintable():
        return None
    return None if _UNREADABLE in text else text


def _base64(text: str) -> str:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
