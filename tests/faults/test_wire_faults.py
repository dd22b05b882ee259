"""What servers do to a connection, on real sockets: each attempt ends within its timeout, and nothing is lost."""

import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import trustme

from analytics_client import Client, Reason, TransportError
from analytics_client.delivery.transport import RequestsTransport
from analytics_client.delivery.wire import Request, Response
from tests.support.server import OK, answer, reset, serving

pytestmark = pytest.mark.timeout(60)


def send(url: str, body: bytes = b"{}", timeout: float = 5.0, ca_file: str | None = None) -> Response:
    transport = RequestsTransport(url, proxies={}, ca_file=ca_file)
    try:
        return transport.send(Request(url + "/v1/batch", {"Authorization": "Basic eA=="}, body), timeout)
    finally:
        transport.close()


#: Serves one connection until it likes, or until the event says that the test is over.
Handler = Callable[[socket.socket, threading.Event], None]


@contextmanager
def raw(handle: Handler) -> Iterator[str]:
    """Serve each connection by a function that may do anything with it."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held = []

        def accept() -> None:
            while not done.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                held.append(connection)
                threading.Thread(target=guarded, args=(connection,), daemon=True).start()

        def guarded(connection: socket.socket) -> None:
            with suppress(OSError):
                handle(connection, done)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            done.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for connection in held:
                connection.close()


def drip(data: bytes, pause: float = 0.05) -> Handler:
    def handle(connection: socket.socket, done: threading.Event) -> None:
        connection.recv(65_536)
        for byte in data:
            connection.sendall(bytes([byte]))
            if done.wait(pause):
                return

    return handle


def silent(connection: socket.socket, done: threading.Event) -> None:
    connection.recv(65_536)
    done.wait(30)


def never_reads(connection: socket.socket, done: threading.Event) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    done.wait(30)


def reads_a_little_at_a_time(connection: socket.socket, done: threading.Event) -> None:
    while not done.wait(0.05):
        connection.recv(512)


HANGING = {
    "silent": silent,
    "drips header bytes": drip(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1_000),
    "drips header lines": drip(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200),
    "drips 1xx answers": drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "never reads the upload": never_reads,
    "reads the upload slowly": reads_a_little_at_a_time,
}


@pytest.mark.parametrize("handle", HANGING.values(), ids=HANGING)
def test_an_attempt_ends_at_its_timeout_in_all(handle: Handler) -> None:
    with raw(handle) as url:
        started = time.monotonic()
        with pytest.raises(TransportError, match="timed out"):
            send(url, b"x" * 8_000_000, timeout=0.5)
        assert 0.4 < time.monotonic() - started < 1.2


@pytest.mark.parametrize("name", ["silent", "drips header bytes", "never reads the upload", "reads the upload slowly"])
def test_within_tls_too(name: str, tmp_path: object) -> None:
    authority = trustme.CA()
    path = f"{tmp_path}/ca.pem"
    authority.cert_pem.write_to_path(path)
    context = context_for(authority)

    def handle(connection: socket.socket, done: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            HANGING[name](wrapped, done)

    with raw(handle) as url:
        started = time.monotonic()
        with pytest.raises(TransportError, match="timed out"):
            send(url.replace("http:", "https:"), b"x" * 8_000_000, timeout=0.7, ca_file=path)
        assert 0.5 < time.monotonic() - started < 1.4


def test_a_dripping_body_costs_no_more_than_the_timeout_and_the_status_stands() -> None:
    with raw(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 0)) as url:
        started = time.monotonic()
        assert send(url, timeout=0.5).status == 200
        assert time.monotonic() - started < 1.2


def test_a_tls_handshake_that_drips_is_bounded_too() -> None:
    with raw(drip(b"\x16\x03\x03\x40\x00" + b"\x02" * 1_000)) as url:
        started = time.monotonic()
        with pytest.raises(TransportError):
            send(url.replace("http:", "https:"), timeout=0.5)
        assert time.monotonic() - started < 1.2


@pytest.mark.parametrize("timeout", [0.3])
@pytest.mark.parametrize("handle", HANGING.values(), ids=HANGING)
def test_flush_and_close_keep_their_deadlines_against_any_server(handle: Handler, timeout: float) -> None:
    with raw(handle) as url:
        client = Client("k", host=url, timeout=15)
        for _ in range(20):
            client.track("u", "E", {"v": "x" * 30_000})
        started = time.monotonic()
        assert not client.flush(timeout)
        assert time.monotonic() - started < timeout + 0.25
        started = time.monotonic()
        assert not client.close(timeout)
        assert time.monotonic() - started < timeout + 0.25
        assert client.stats.failed == {Reason.CLOSED: 20}


ANSWERS = {
    # what the server sends, and whether its status arrived
    "no body at all": (b"HTTP/1.1 200 OK\r\n\r\n", 200),
    "half a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", 200),
    "bad chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc", 200),
    "cut chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", 200),
    "a length that is none": (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nx", 200),
    "a lie about gzip": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxyz", 200),
    "100 first": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200),
    "a 204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
    "HTTP/1.0": (b"HTTP/1.0 202 Accepted\r\n\r\nok", 202),
    "an unknown status": (b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n", 599),
    "nothing": (b"", None),
    "half a status line": (b"HTTP/1.1 20", None),
    "garbage": (b"\x00\xff\x00garbage\r\n\r\n", None),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", None),
    "a header without end": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", None),
    "headers without end": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5_000 + b"\r\n", None),
}


@pytest.mark.parametrize(("reply", "status"), ANSWERS.values(), ids=ANSWERS)
def test_if_the_status_arrived_it_counts(reply: bytes, status: int | None) -> None:
    def once(_seen: object, connection: socket.socket) -> None:
        connection.sendall(reply)

    with serving(then=once) as server:
        if status is None:
            with pytest.raises(TransportError):
                send(server.url)
        else:
            assert send(server.url).status == status


def test_a_huge_answer_is_read_in_part_and_costs_the_connection() -> None:
    body = b"x" * 10_000_000
    with serving(then=answer(200, body)) as server:
        transport = RequestsTransport(server.url, proxies={}, ca_file=None)
        for _ in range(2):
            response = transport.send(Request(server.url, {}, b"{}"), 5)
            assert (response.status, len(response.body)) == (200, 65_536)
        assert server.connections == 2
        transport.close()


def test_a_gzip_bomb_stays_packed() -> None:
    bomb = gzip.compress(b"\0" * 64_000_000)
    assert len(bomb) < 65_536
    with serving(then=answer(200, bomb, "Content-Encoding: gzip")) as server:
        assert send(server.url).body == bomb


def test_connections_are_kept_alive_and_cookies_are_not() -> None:
    with serving(then=answer(200, b"ok", "Set-Cookie: a=b; Path=/")) as server:
        transport = RequestsTransport(server.url, proxies={}, ca_file=None)
        for _ in range(3):
            transport.send(Request(server.url, {}, b"{}"), 5)
        transport.close()
    assert server.connections == 1
    assert all("cookie" not in seen.headers for seen in server.seen)
    assert all(seen.headers["accept-encoding"] == "identity" for seen in server.seen)


def test_a_connection_closed_in_the_meantime_is_replaced() -> None:
    with serving(answer(200, b"", "Connection: close"), then=OK) as server, Client("k", host=server.url) as client:
        client.track("u", "E")
        assert client.flush(5)
        client.track("u", "F")
        assert client.flush(5)
    assert server.ids()[0] != server.ids()[1]
    assert len(server.seen) == 2


@pytest.mark.parametrize("moment", ["before the request", "in the middle of the body", "after the request"])
def test_a_reset_at_any_moment_loses_nothing(moment: str) -> None:
    if moment == "after the request":
        with serving(reset, then=OK) as server:
            with Client("k", host=server.url) as client:
                sent = client.track("u", "E", {"v": "x" * 30_000})
                assert client.flush(8)
            assert server.ids() == [sent, sent]
        return
    resets: list[int] = []

    def handle(connection: socket.socket, _done: threading.Event) -> None:
        if not resets:
            resets.append(1)
            if moment == "in the middle of the body":
                connection.recv(2_000)
            reset(None, connection)  # type: ignore[arg-type]
            return
        data = b""
        while b'"sentAt"' not in data:
            data += connection.recv(65_536)
        connection.sendall(OK)

    with raw(handle) as url, Client("k", host=url) as client:
        client.track("u", "E", {"v": "x" * 30_000})
        assert client.flush(8)
        assert client.stats.delivered == 1


def test_a_port_nobody_listens_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TransportError, match="connection refused"):
        send(f"http://127.0.0.1:{port}")


def test_a_name_that_cannot_be_resolved() -> None:
    with pytest.raises(TransportError, match=r"name cannot be resolved|timed out"):
        send("http://no-such-host.invalid", timeout=8)


def test_a_name_lookup_that_hangs_holds_up_no_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(*_args: object, **_kwargs: object) -> list[object]:
        release.wait(30)
        raise socket.gaierror(-3, "later")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    client = Client("k", host="https://events.example.com")
    client.track("u", "E")
    started = time.monotonic()
    assert not client.flush(0.2)
    assert not client.close(0.2)
    assert time.monotonic() - started < 0.9
    release.set()


# -- TLS -------------------------------------------------------------------------------------------------------------


def context_for(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def test_tls_with_a_ca_file(tmp_path: object) -> None:
    authority = trustme.CA()
    path = f"{tmp_path}/ca.pem"
    authority.cert_pem.write_to_path(path)
    with serving(tls=context_for(authority)) as server:
        with Client("k", host=server.url, ca_file=path) as client:
            client.track("u", "E")
        assert client.stats.delivered == 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("REQUESTS_CA_BUNDLE", path)
            with Client("k", host=server.url) as client:
                client.track("u", "E")
        assert client.stats.delivered == 1


@pytest.mark.parametrize("fault", ["unknown authority", "wrong host", "expired"])
def test_a_certificate_that_is_refused_holds_the_events(
    fault: str, tmp_path: object, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datetime as dt

    authority, other = trustme.CA(), trustme.CA()
    path = f"{tmp_path}/ca.pem"
    (other if fault == "unknown authority" else authority).cert_pem.write_to_path(path)
    if fault == "expired":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
        authority.issue_cert("127.0.0.1", not_after=past).configure_cert(context)
    else:
        context = context_for(authority, "example.com" if fault == "wrong host" else "127.0.0.1")
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    with serving(tls=context) as server:
        client = Client("k", host=server.url, ca_file=path)
        client.track("u", "E")
        started = time.monotonic()
        assert not client.flush(20)
        assert time.monotonic() - started < 5
        assert client.stats.pending == 1
        client.close(0)
    assert client.stats.failed == {Reason.REJECTED: 1}
    assert [line for line in caplog.messages if "certificate is refused" in line]
    assert server.seen == []


def test_old_tls_is_not_spoken(tmp_path: object) -> None:
    authority = trustme.CA()
    path = f"{tmp_path}/ca.pem"
    authority.cert_pem.write_to_path(path)
    context = context_for(authority)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with serving(tls=context) as server, pytest.raises(TransportError):
        send(server.url, ca_file=path)


# -- proxies ---------------------------------------------------------------------------------------------------------


def test_a_proxy_that_wants_a_password(caplog: pytest.LogCaptureFixture) -> None:
    with serving(then=answer(407)) as proxy:
        for host in ("http://127.0.0.1:9", "https://127.0.0.1:9"):
            client = Client("k", host=host, proxies={host.split(":")[0]: proxy.url.replace("//", "//u:hunter2@")})
            client.track("u", "E")
            started = time.monotonic()
            assert not client.flush(20)
            assert time.monotonic() - started < 5
            client.close(0)
            assert client.stats.failed == {Reason.REJECTED: 1}
    assert "407" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_proxy_that_is_down(caplog: pytest.LogCaptureFixture) -> None:
    client = Client("k", host="https://127.0.0.1:9", proxies={"https": "http://u:hunter2@127.0.0.1:9"})
    client.track("u", "E")
    assert not client.flush(0.3)
    client.close(0)
    assert client.stats.failed == {Reason.CLOSED: 1}
    assert "hunter2" not in caplog.text


def test_a_tunnel_that_drips_is_bounded() -> None:
    with raw(drip(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200)) as proxy:
        transport = RequestsTransport("https://x", proxies={"https": proxy}, ca_file=None)
        started = time.monotonic()
        with pytest.raises(TransportError, match="timed out"):
            transport.send(Request("https://127.0.0.1:9/", {}, b""), 0.5)
        assert time.monotonic() - started < 1.2
        transport.close()


def test_a_proxy_url_that_is_none() -> None:
    transport = RequestsTransport("https://x", proxies={"https": "socks9://127.0.0.1:1"}, ca_file=None)
    with pytest.raises(TransportError) as caught:
        transport.send(Request("https://127.0.0.1:9/", {}, b""), 2)
    assert caught.value.configuration
    transport.close()
