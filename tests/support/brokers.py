"""Debian's redis-server as a broker for tests, on a free port, keeping nothing.

Where it is missing it is installed in CI (`CI` set, root, apt-get there), and the test skipped anywhere else. Owns that
process; knows nothing of Celery.
"""

import functools
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.support.servers import free_port, until


@functools.cache
def redis_server() -> str:
    """Return the path of redis-server; skip the test where there is none and none may be installed."""
    found = shutil.which("redis-server")
    if found is None and os.environ.get("CI") and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "redis-server"]):
            with suppress(subprocess.TimeoutExpired):  # no network: then there is none
                subprocess.run(
                    command, env=environment, timeout=45, check=False, capture_output=True, stdin=subprocess.DEVNULL
                )
        found = shutil.which("redis-server")
    if found is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    return found


@contextmanager
def redis() -> Iterator[str]:
    """Run a Redis until the block ends; give its URL, without the database's number."""
    port = free_port()
    command = [redis_server(), "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as process:

        def answers() -> bool:
            assert process.poll() is None, f"redis-server has ended with {process.returncode}"
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            return False

        try:
            until(answers, 20, lambda: "redis-server does not answer")
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait(10)
