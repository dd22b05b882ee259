"""The command line, as a process of its own against real servers."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from tests.support.server import Server, answer, serving

pytestmark = pytest.mark.timeout(120)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANALYTICS_")}
    return subprocess.run(
        [sys.executable, "-m", "analytics_client.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        env=clean | {"COLUMNS": "80"} | environment,
        check=False,
    )


def send(server: Server, *arguments: str, key: str = "secret-key-1234") -> subprocess.CompletedProcess[str]:
    return run("send", *arguments, "--host", server.url, ANALYTICS_WRITE_KEY=key)


def test_send_says_what_became_of_the_event(server: Server) -> None:
    done = send(server, "track", "--user-id", "u1", "--event", "Item Purchased", "--properties", '{"revenue": 14.99}')
    assert done.returncode == 0, done.stderr
    [event] = server.seen[0].events
    assert done.stdout == f"delivered: {event['messageId']} (status 200, attempt 1)\n"
    assert (event["userId"], event["event"], event["properties"]) == ("u1", "Item Purchased", {"revenue": 14.99})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["identify", "--traits", '{"a": 1}'], {"type": "identify", "traits": {"a": 1}}),
        (["page", "--name", "n", "--category", "c"], {"type": "page", "name": "n", "category": "c"}),
        (["screen", "--name", "n"], {"type": "screen", "name": "n"}),
        (["group", "--group-id", "g"], {"type": "group", "groupId": "g"}),
        (["alias", "--previous-id", "p"], {"type": "alias", "previousId": "p"}),
        (["track", "--event", "E", "--message-id", "m"], {"messageId": "m"}),
        (["track", "--event", "E", "--timestamp", "2006-04-07 17:08"], {"timestamp": "2006-04-07T17:08:00.000Z"}),
        (["track", "--event", "E", "--context", '{"ip": "1.2.3.4"}'], {"event": "E"}),
        (["merge", "--merge-properties", '[{"type": "t", "value": "v"}]'], {"type": "merge"}),
    ],
)
def test_every_call_can_be_sent(server: Server, arguments: list[str], expected: dict[str, object]) -> None:
    done = send(server, *arguments, "--user-id", "u", "--dialect", "rudderstack")
    assert done.returncode == 0, done.stderr
    assert server.seen[0].events[0].items() >= expected.items()


def test_the_key_may_stand_in_a_file(server: Server, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("abc123\n")
    done = run("send", "track", "--user-id", "u", "--event", "E", "--host", server.url, "--key-file", str(key))
    assert done.returncode == 0
    assert server.seen[0].headers["authorization"] == "Basic YWJjMTIzOg=="


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["track", "--user-id", "u", "--event", "E", "--write-key", "hunter2"], "not taken from the command line"),
        (["track", "--user-id", "u"], "event: is required"),
        (["track", "--event", "E"], "userId: track needs a user_id or an anonymous_id"),
        (["identify", "--user-id", "u", "--event", "E"], "identify takes no --event"),
        (["track", "--user-id", "u", "--event", "E", "--properties", "{"], "is not JSON"),
        (["track", "--user-id", "u", "--event", "E", "--properties", "[]"], "properties: must be a mapping, not list"),
        (["track", "--user-id", "u", "--event", "E", "--dialect", "mixpanel"], "dialect must be one of"),
        (["explode"], "is not one of"),
    ],
)
def test_wrong_arguments_are_one_clear_sentence(server: Server, arguments: list[str], sentence: str) -> None:
    done = send(server, *arguments)
    assert done.returncode == 2
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr.replace("hunter2 ", "")
    assert server.seen == []


def test_without_a_key() -> None:
    done = run("send", "track", "--user-id", "u", "--event", "E")
    assert done.returncode == 2
    assert "set ANALYTICS_WRITE_KEY" in done.stderr


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (answer(400, b"request neither has anonymousId nor userId"), "rejected: status 400, the server said: request"),
        (answer(401), "rejected: status 401"),
        (answer(503), "closed: status 503"),
    ],
)
def test_what_was_not_delivered_says_why(reply: bytes, sentence: str) -> None:
    with serving(then=reply) as server:
        done = send(server, "track", "--user-id", "u", "--event", "E", "--timeout", "1")
    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stderr.startswith("not delivered: ")
    assert "secret-key" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_nobody_listens() -> None:
    done = run(
        *("send", "track", "--user-id", "u", "--event", "E", "--timeout", "1", "--host", "http://127.0.0.1:9"),
        ANALYTICS_WRITE_KEY="k",
    )
    assert done.returncode == 1
    assert "closed: connection refused" in done.stderr


def test_the_collector_command_and_send_meet(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "analytics_client.cli", "collector", "--port", "0", "--as", "strict"]
    command += ["--db", str(tmp_path / "events.sqlite")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            url = re.fullmatch(r"collector listening on (\S+) as strict\n", line)
            assert url is not None
            done = run(
                *("send", "track", "--user-id", "u", "--event", "E", "--host", url[1]), ANALYTICS_WRITE_KEY="secret-key"
            )
            assert done.returncode == 0, done.stderr
            with urllib.request.urlopen(f"{url[1]}/events", timeout=10) as response:
                content = response.read()
            assert json.loads(content)["events"][0]["event"]["event"] == "E"
            assert b"secret-key" not in content
        finally:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 0
    assert (tmp_path / "events.sqlite").stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--as", "mixpanel"], "is not one of"),
        (["--fault", "explode"], "explode"),
        (["--port", "99999"], "99999"),
        (["--db", "/no/such/directory/x.sqlite", "--port", "0"], "/no/such/directory"),
    ],
)
def test_a_collector_that_cannot_run_says_why(arguments: list[str], sentence: str) -> None:
    done = run("collector", *arguments)
    assert done.returncode != 0
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_the_demo_counts_what_arrived() -> None:
    done = run("demo", "--rows", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every event arrived once, and none broke a rule" in done.stdout
    rows = {
        line.split()[1]: re.findall(r"[\d,.]+", line)
        for line in done.stdout.splitlines()
        if line.startswith(("│", "|"))
    }
    assert rows["calls"] == rows["accepted"] == rows["delivered"] == rows["arrived"] == rows["unique"]
    assert rows["violations"] == ["0", "0", "0"]
    assert int(rows["calls"][0]) > 60
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_the_demo_of_other_data(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "reviews.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("reviewerId,vendorId,rating,date\n1,2,5,2006-04-07 17:08\n")
    done = run("demo", "--data", str(path), "--dialect", "rudderstack")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 events of real vendor reviews" in done.stdout
    path.write_bytes(b"not gzip")
    done = run("demo", "--data", str(path))
    assert done.returncode == 1
    assert "the demo cannot run" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_in_the_middle_of_the_demo(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "analytics_client.cli", "demo", "--dialect", "segmentstream"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        threading.Event().wait(1.5)
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped" in stderr
    assert "Traceback" not in stderr


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise ImportError('no click', name='click')")
    done = run("demo", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "analytics-client needs the package 'click': install analytics_client[cli]\n"


def test_version_and_help() -> None:
    from analytics_client import __version__

    assert __version__ in run("--version").stdout
    text = run("--help").stdout
    assert all(command in text for command in ("send", "collector", "demo"))
