"""A server that takes everything as cheaply as Python can: counts requests, bytes and events, may answer late.

    python sink.py [latency in seconds]

Prints its URL. `GET /` answers the counts as JSON. Events are counted by the word "timestamp", which each has once.
"""

import asyncio
import gzip
import json
import sys

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"success":true}'
counts = {"requests": 0, "bytes": 0, "events": 0}
latency = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0


class Sink(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.parts: list[bytes] = []
        self.have = self.want = 0

    def data_received(self, data: bytes) -> None:
        self.parts.append(data)
        self.have += len(data)
        while self.have >= self.want and self.parts:
            whole = b"".join(self.parts)
            end = whole.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self.want:
                self.want = end + 4 + length_of(whole[:end].lower())
            if len(whole) < self.want:
                self.parts = [whole]
                return
            request, rest = whole[: self.want], whole[self.want :]
            self.parts, self.have, self.want = ([rest] if rest else []), len(rest), 0
            self.handle(request, end)

    def handle(self, request: bytes, end: int) -> None:
        if request.startswith(b"GET"):
            body = json.dumps(counts).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            return
        counts["requests"] += 1
        counts["bytes"] += len(request)
        body = request[end + 4 :]
        if body.startswith(b"\x1f\x8b"):
            body = gzip.decompress(body)
        counts["events"] += body.count(b'"timestamp"')
        if latency:
            asyncio.get_running_loop().call_later(latency, self.transport.write, ANSWER)
        else:
            self.transport.write(ANSWER)


def length_of(head: bytes) -> int:
    """The Content-Length of a request's lower-case head."""
    at = head.find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await server.serve_forever()


asyncio.run(main())
