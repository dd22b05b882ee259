"""`dev.py example NAME` as a newcomer runs it: what is shown, the exit status, what it says when things are wrong."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import ROOT

pytestmark = pytest.mark.timeout(120)

RUNNER = ROOT / "examples" / "run.py"


def start(*arguments: str) -> "subprocess.Popen[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANALYTICS_")}
    return subprocess.Popen(
        [sys.executable, str(RUNNER), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean,
        start_new_session=True,
    )


def run(*arguments: str) -> tuple[int, str, str]:
    with start(*arguments) as process:
        try:
            out, err = process.communicate(timeout=100)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, out, err


@pytest.mark.parametrize(("name", "count"), [("fastapi_app", 6), ("flask_app", 5)])
def test_an_example_shows_what_arrived(name: str, count: int) -> None:
    status, out, err = run(name)
    assert status == 0, out + err
    assert f"{count} events arrived:" in out
    assert "userId=None anonymousId=anna-in-the-browser" in out
    assert "userId=bob" in out
    assert out.endswith("exactly the promised ones, once each\n")
    assert "Traceback" not in err


def test_served_until_ctrl_c() -> None:
    with start("fastapi_app", "--serve") as process:
        assert process.stdout is not None
        try:
            assert any("Ctrl-C ends both" in line for line in process.stdout)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
            _, err = process.communicate(timeout=60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, err


@pytest.mark.parametrize("arguments", [(), ("nothing",), ("fastapi_app", "flask_app")])
def test_a_wrong_name_is_told_the_right_ones(arguments: tuple[str, ...]) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert "fastapi_app" in err
    assert "flask_app" in err


SERVER = """
import json, os, sys, http.server, urllib.request
port, collector = int(sys.argv[1]), os.environ["ANALYTICS_HOST"]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        event = {"type": "track", "messageId": self.path, "userId": "u", "event": "E", "context": {}}
        if self.path != "/quiet":
            request = urllib.request.Request(collector + "/v1/track", json.dumps(event).encode(),
                {"Content-Type": "application/json", "Authorization": "Basic YW55Og=="})
            urllib.request.urlopen(request).close()
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""

DEMO = """
from run import Ask, Example
EXAMPLE = Example(servers=[{servers}], asks=[{asks}], arrives=[{arrives}])
"""


@pytest.mark.parametrize(
    ("asks", "arrives", "status", "said"),
    [
        ("Ask('GET', '/1')", "{'userId': 'u'}", 0, "exactly the promised ones"),
        ("Ask('GET', '/1'), Ask('GET', '/2')", "{'userId': 'u'}", 1, "NOT promised: "),
        ("Ask('GET', '/1')", "{'userId': 'somebody else'}", 1, "NOT arrived: {'userId': 'somebody else'}"),
        ("Ask('GET', '/1'), Ask('GET', '/1')", "{'userId': 'u'}", 1, "sent again: /1"),
    ],
)
def test_what_is_not_as_promised_is_said(tmp_path: Path, asks: str, arrives: str, status: int, said: str) -> None:
    servers = "['{python}', 'server.py', '{port}']"
    assert said in one_example(tmp_path, servers=servers, asks=asks, arrives=arrives, status=status)


def test_a_server_that_does_not_start(tmp_path: Path) -> None:
    servers = "['{python}', '-c', 'exit(3)']"
    assert "did not start" in one_example(tmp_path, servers=servers, asks="", arrives="", status=1)


def one_example(folder: Path, status: int, **parts: Any) -> str:
    """Run a copy of the runner beside an example of our own; return all that it said."""
    example = folder / "mine"
    example.mkdir()
    (folder / "run.py").write_text(RUNNER.read_text())
    (example / "server.py").write_text(SERVER)
    (example / "demo.py").write_text(
        DEMO.replace("{servers}", parts["servers"])
        .replace("{asks}", parts["asks"])
        .replace("{arrives}", parts["arrives"])
    )
    done = subprocess.run(
        [sys.executable, str(folder / "run.py"), "mine"], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr
