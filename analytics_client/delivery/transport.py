"""Sending with requests: one attempt at a time, with a deadline that holds against any server.

Owns the connections: a pool of one per sending thread, kept alive between requests, and made by requests, which knows
about proxies and certificates. Never follows a redirect, retries, consults .netrc, keeps a cookie, decompresses, or
reads more than 64 KiB of an answer. Knows nothing of events, dialects or what an answer means.

Why not requests' own timeout: it is per read, so a server that drips a byte now and then holds a request for hours.
Here every connect, write and read gets what is left of the attempt. Only the name lookup cannot be bounded.
"""

import http.client
import io
import os
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import requests
import requests.utils
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from analytics_client.delivery.wire import Request, Response
from analytics_client.errors import TransportError

#: Bytes of an answer that are read at the most; what is longer costs the connection.
MOST_READ = 64 * 1024
#: Seconds for one address to accept a connection; the attempt's own deadline may be nearer.
CONNECT_TIMEOUT = 5.0
#: Bytes of a TLS record.
_RECORD = 16 * 1024


class RequestsTransport:
    """Sends to one base URL.

    State: a stack of idle ways to the server, each with its connection. A sending thread takes one, or makes one, and
    puts it back; no two share one.

    Args:
        base_url: decides which of the environment's proxies are for us.
        proxies: scheme to URL; None: from the environment (`HTTPS_PROXY`, `NO_PROXY`, ...), read once.
        ca_file: certificates to trust instead of certifi's; None: from `REQUESTS_CA_BUNDLE` or `CURL_CA_BUNDLE`.
    """

    def __init__(self, base_url: str, *, proxies: Mapping[str, str] | None, ca_file: str | None) -> None:
        self._proxies = dict(requests.utils.get_environ_proxies(base_url) if proxies is None else proxies)
        self._verify: str | bool = (
            ca_file or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        )
        self._idle: deque[_Way] = deque()
        self._closed = False

    def send(self, request: Request, timeout: float) -> Response:
        """Make one attempt, all of it within `timeout` seconds.

        Raises:
            TransportError: no answer. Its text holds no address, key or body.
        """
        try:
            way = self._idle.pop()
        except IndexError:
            way = None
        _attempt.deadline = time.monotonic() + timeout
        try:
            if way is None:
                way = _Way(request.url, self._proxies, self._verify)
            answer = way.pool.urlopen(
                "POST",
                way.target(request.url),
                request.body,
                request.headers,
                timeout=timeout,
                retries=False,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
            )
            return Response(answer.status, answer.headers, _read(answer))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _translated(error) from None
        finally:
            if way is not None:
                if self._closed:
                    way.close()
                else:
                    self._idle.append(way)

    def close(self) -> None:
        """Close idle connections; those in use are closed by their threads."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()


def _read(answer: urllib3.BaseHTTPResponse) -> bytes:
    """Read what may be read of a body. The status has arrived and stands, whatever becomes of the rest."""
    body = b""
    try:
        body = answer.read(MOST_READ + 1, decode_content=False)
    except (urllib3.exceptions.HTTPError, OSError):
        answer.close()
    if len(body) > MOST_READ:
        answer.close()
    return body[:MOST_READ]


def _translated(error: Exception) -> TransportError:
    """Say what happened without the texts of others, which hold addresses and proxies' passwords."""
    chain: list[BaseException] = []
    unseen: list[Any] = [error]
    while unseen:
        each = unseen.pop()
        if isinstance(each, BaseException) and each not in chain:
            chain.append(each)
            unseen += [*each.args, getattr(each, "reason", None), each.__cause__, each.__context__]
    for each in chain:
        if isinstance(each, ssl.SSLCertVerificationError):
            return TransportError(f"the server's certificate is refused: {each.verify_message}", configuration=True)
        if isinstance(each, OSError) and "Tunnel connection failed: 407" in str(each):
            return TransportError("the proxy wants a user name and password (407)", configuration=True)
    for each in chain:
        if isinstance(each, (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL)):
            return TransportError(
                f"the URL of the server or of the proxy cannot be used ({type(each).__name__})", configuration=True
            )
        if isinstance(each, TimeoutError | urllib3.exceptions.TimeoutError):
            return TransportError("timed out")
    for each in chain:
        if isinstance(each, socket.gaierror):
            return TransportError("the host's name cannot be resolved")
        if isinstance(each, ConnectionError) and each.strerror:
            return TransportError(each.strerror.lower())
    # The innermost says most: "RemoteDisconnected" rather than "ConnectionError".
    return TransportError(f"the connection failed ({type(chain[-1]).__name__})")


# -- the deadline, below requests ----------------------------------------------------------------------------------


class _Attempt(threading.local):
    """The deadline of the attempt that this thread makes: connections are deep inside pools, out of reach."""

    deadline = float("inf")


_attempt = _Attempt()


def _left() -> float:
    left = _attempt.deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the attempt's time is up")
    return left


class _TimedReader(io.RawIOBase):
    """Reads a socket, giving each read what is left."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(_left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSource:
    """What http.client takes for a socket when it reads a response."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._sock))


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(_TimedSource(sock), *args, **kwargs)  # type: ignore[arg-type]


class _TimedConnection(HTTPConnection):
    response_class = _TimedResponse

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that answers. What comes next, a TLS handshake perhaps, gets what is left."""
        failure: OSError = OSError("no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(
            self._dns_host, self.port, type=socket.SOCK_STREAM
        ):
            sock = socket.socket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(min(CONNECT_TIMEOUT, _left()))
                sock.connect(address)
                sock.settimeout(_left())
            except OSError as error:
                failure = error
                sock.close()
            else:
                return sock
        raise failure

    def send(self, data: Any) -> None:
        """Send all of it by the deadline: on a plain socket `sendall`'s timeout is for the whole of what it sends."""
        if self.sock is not None:
            self.sock.settimeout(_left())
        super().send(data)


class _TimedTLSConnection(_TimedConnection, HTTPSConnection):
    def send(self, data: Any) -> None:
        """TLS gives every record a timeout of its own: look at what is left before each."""
        view = memoryview(data)
        for start in range(0, len(view), _RECORD):
            super().send(view[start : start + _RECORD])


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _TimedConnection


class _TLSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TimedTLSConnection


class _Adapter(HTTPAdapter):
    """Makes every pool, a proxy's too, one of timed connections."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if isinstance(manager, urllib3.ProxyManager):  # SOCKS has connections of its own, and requests' timeout
            manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
        return manager


class _Way:
    """A requests adapter and its one pool, found once: the adapter would look it up anew for each request.

    What a Session adds to that (cookies, .netrc, hooks, redirects) costs more than all the rest and is not wanted here.

    Raises:
        requests.RequestException, ValueError: the URL, a proxy or the certificates' file cannot be used.
    """

    def __init__(self, url: str, proxies: dict[str, str], verify: str | bool) -> None:
        self._adapter = _Adapter(pool_connections=1, pool_maxsize=1)
        self._proxies = proxies
        self._targets: dict[str, str] = {}
        pool = self._adapter.get_connection_with_tls_context(_to(url), verify, proxies=proxies)
        assert isinstance(pool, urllib3.HTTPConnectionPool)
        self._adapter.cert_verify(pool, url, verify, None)  # type: ignore[no-untyped-call]
        self.pool = pool

    def target(self, url: str) -> str:
        """Return `url` as it stands in the request's first line: the path, or through a proxy perhaps the whole."""
        target = self._targets.get(url)
        if target is None:
            target = self._targets[url] = self._adapter.request_url(_to(url), self._proxies)
        return target

    def close(self) -> None:
        self._adapter.close()


def _to(url: str) -> requests.PreparedRequest:
    prepared = requests.PreparedRequest()
    prepared.method, prepared.url = "POST", url
    return prepared
