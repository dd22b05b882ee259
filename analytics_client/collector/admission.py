"""Who may come in: the Host header, the Authorization header, and how a body is framed.

This file owns the checks on a request's headers. Pure; it must not read bodies or decide what a service answers.
"""

import base64
import binascii
import hmac
import re
from dataclasses import dataclass

from analytics_client.collector.exchange import Auth

MAX_HEADER_BYTES = 16 * 1024
"""All names and values together. h11 has the same bound, for heads that come in pieces only."""

_LOOPBACK_HOST = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
_SECRET_HEADERS = {"authorization": "Basic …", "proxy-authorization": "…", "cookie": "…"}
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and password from Basic authentication. Their repr shows neither."""

    user: bytes
    password: bytes

    def __repr__(self) -> str:
        return "Credentials(…)"


def is_bounded(headers: list[tuple[bytes, bytes]]) -> bool:
    """Say whether a request's headers are small enough to be remembered."""
    return sum(len(name) + len(value) for name, value in headers) <= MAX_HEADER_BYTES


def is_loopback(host: str) -> bool:
    """Say whether a Host header names this machine alone.

    A page from the internet can point its own name at 127.0.0.1 and then read what it finds there; its requests still
    carry that name.
    """
    return _LOOPBACK_HOST.fullmatch(host) is not None


def credentials_of(header: str) -> Credentials | None:
    """Read a Basic Authorization header; None if there is none that can be read."""
    scheme, _, coded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        plain = base64.b64decode(coded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    user, colon, password = plain.partition(b":")
    return Credentials(user, password) if colon else None


def judge(credentials: Credentials | None, write_key: str | None) -> Auth:
    """Say what the credentials are worth: any user name will do unless there is a write key. Takes constant time."""
    if credentials is None or not credentials.user:
        return Auth.MISSING
    if write_key is not None and not hmac.compare_digest(credentials.user, write_key.encode()):
        return Auth.WRONG
    return Auth.RIGHT


def framing_fault(method: str, headers: dict[str, str]) -> tuple[int, str] | None:
    """Give status and text for a body whose length is not stated in one plain way; None if it is."""
    if "transfer-encoding" in headers:
        if "content-length" in headers:
            return 400, "Send either Content-Length or Transfer-Encoding, not both.\n"
        return 411, "Send Content-Length: the collector takes no body of unknown length.\n"
    if method in _BODY_METHODS and "content-length" not in headers:
        return 411, "Send Content-Length.\n"
    return None


def shown(headers: dict[str, str]) -> dict[str, str]:
    """Give the headers as they may be shown: without secrets."""
    return {name: _SECRET_HEADERS.get(name, value) for name, value in headers.items()}
