"""A real HTTP server on a real socket that answers by a script, byte for byte, and remembers what it was sent."""

import gzip
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n" + b'{"success":true}'


def answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    """Return the bytes of a plain answer."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Seen:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def json(self) -> Any:
        return json.loads(gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events of a batch, or the one that is the body."""
        content = self.json
        events: list[dict[str, Any]] = content.get("batch", [content])
        return events


#: Answers one request on its socket: return bytes to send, None to close without an answer.
Answer = bytes | None | Callable[[Seen, socket.socket], bytes | None]


@dataclass
class Server:
    """The requests seen, and what to answer next; the last answer of the script, `then`, goes on for ever."""

    script: list[Answer] = field(default_factory=list)
    then: Answer = OK
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    arrived: threading.Condition = field(default_factory=threading.Condition)
    url: str = ""
    port: int = 0

    def ids(self) -> list[str]:
        """The message ids of all events in the order of their arrival, copies too."""
        with self.arrived:
            seen = list(self.seen)
        return [event.get("messageId") or event["hitId"] for each in seen for event in each.events]

    def wait_for(self, requests: int, timeout: float = 10.0) -> None:
        """Wait until so many requests were seen."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.seen) >= requests, timeout), f"{len(self.seen)} of {requests}"


@contextmanager
def serving(*script: Answer, then: Answer = OK, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Run a server on a free port of this machine."""
    server = Server(list(script), then)
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        server.port = listener.getsockname()[1]
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.port}"
        connections: list[socket.socket] = []
        accepting = threading.Thread(target=_accept, args=(server, listener, tls, connections), daemon=True)
        accepting.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(5)
            for connection in connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()


def _accept(
    server: Server,
    listener: socket.socket,
    tls: ssl.SSLContext | None,
    connections: list[socket.socket],
) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connections.append(connection)
        server.connections += 1
        threading.Thread(target=_serve, args=(server, connection, tls, server.connections), daemon=True).start()


def _serve(server: Server, connection: socket.socket, tls: ssl.SSLContext | None, number: int) -> None:
    with suppress(OSError, ValueError):
        if tls is not None:
            connection = tls.wrap_socket(connection, server_side=True)
        reader = connection.makefile("rb")
        while (seen := _read(reader, number)) is not None:
            with server.arrived:
                server.seen.append(seen)
                reply = server.script.pop(0) if server.script else server.then
                server.arrived.notify_all()
            if callable(reply):
                reply = reply(seen, connection)
            if reply is None:
                break
            connection.sendall(reply)
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


def _read(reader: Any, number: int) -> Seen | None:
    line = reader.readline()
    if not line:
        return None
    path = line.split()[1].decode()
    headers = {}
    while (line := reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return Seen(path, headers, reader.read(int(headers.get("content-length", "0"))), number)


def reset(_seen: Seen, connection: socket.socket) -> None:
    """Answer by resetting the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
