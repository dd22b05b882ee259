"""What the collector's tests share: raw sockets, for what no HTTP library would send or show."""

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from analytics_client.collector.rules import RuleBook, rule_book


def _connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 80), timeout=10)


def _read_all(connection: socket.socket) -> tuple[bytes, str]:
    received = b""
    while True:
        try:
            chunk = connection.recv(65_536)
        except ConnectionResetError:
            return received, "reset"
        if not chunk:
            return received, "closed"
        received += chunk


def _request(path: str = "/v1/track", body: bytes = b"{}", *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Authorization: Basic a2V5Og=="]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
def connect() -> Callable[[str], socket.socket]:
    return _connect


@pytest.fixture
def read_all() -> Callable[[socket.socket], tuple[bytes, str]]:
    """Reads to the end: the bytes, and whether the connection was closed or reset."""
    return _read_all


@pytest.fixture
def raw_request() -> Callable[..., bytes]:
    """Makes a POST as bytes: path, body, and more header lines."""
    return _request


@pytest.fixture
def talk() -> Callable[[str, bytes], tuple[bytes, str]]:
    """Sends bytes and reads to the end of the connection."""

    def send_and_read(url: str, data: bytes) -> tuple[bytes, str]:
        with _connect(url) as connection:
            connection.sendall(data)
            return _read_all(connection)

    return send_and_read


@pytest.fixture
def book() -> RuleBook:
    return rule_book()
