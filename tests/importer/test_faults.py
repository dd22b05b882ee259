"""Imports as processes that are killed, interrupted, or run out of disk: what the checkpoint then knows is so."""

import csv
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.server import OK, Seen, Server, serving

pytestmark = pytest.mark.timeout(120)

ROWS = 60_000
HEADER = "reviewerId,vendorId,rating,date\n"
FLAGS = (
    *("--type", "track", "--event", "Vendor Reviewed", "--user-id", "reviewerId", "--timestamp", "date"),
    *("--property", "rating:int", "--property", "vendorId"),
)
FAST = ("--max-requests-per-second", "0", "--max-events-per-second", "0")


def reviews(path: Path, rows: int = ROWS) -> Path:
    body = "".join(f"{number % 97},{number},5,2006-04-07 17:08\n" for number in range(rows))
    path.write_text(HEADER + body)
    return path


def start(
    path: Path, server: Server, *flags: str, preexec: Callable[[], None] | None = None
) -> "subprocess.Popen[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANALYTICS_")}
    return subprocess.Popen(
        [sys.executable, "-m", "analytics_client.cli", "import", str(path), "--host", server.url, *FLAGS, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=clean | {"ANALYTICS_WRITE_KEY": "secret-key-1234"},
        preexec_fn=preexec,  # noqa: PLW1509 - sets a limit between fork and exec, and nothing else
    )


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    with process:
        out, err = process.communicate(timeout=100)
    assert "Traceback" not in err
    assert "secret-key" not in out + err
    return process.returncode, out, err


def slowly(_seen: Seen, _connection: object) -> bytes:
    threading.Event().wait(0.02)
    return OK


def largest_request(server: Server) -> int:
    return max(len(seen.events) for seen in server.seen)


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_after_kill_9_at_most_one_chunk_per_lane_is_sent_again(tmp_path: Path, lanes: int, seed: int) -> None:
    path = reviews(tmp_path / "r.csv")
    chance = random.Random(seed)
    with serving(then=slowly) as server:
        process = start(path, server, *FAST, "--concurrency", str(lanes))
        server.wait_for(chance.randrange(3, 25), timeout=30)
        time.sleep(chance.random() * 0.03)
        process.kill()
        with process:
            process.communicate(timeout=30)
        checkpoint = json.loads((tmp_path / "r.csv.checkpoint").read_text())
        before = server.ids()
        assert checkpoint["delivered"] <= len(before)
        status, out, err = finish(start(path, server, *FAST, "--concurrency", str(lanes), "--resume"))
        assert status == 0, out + err
        ids = Counter(server.ids())
        assert len(ids) == ROWS
        again = [each for each, count in ids.items() if count > 1]
        assert max(ids.values()) <= 2
        assert len(again) <= lanes * largest_request(server)
        assert f"{checkpoint['delivered']:,} settled by earlier runs" in out


def test_killed_again_and_again_it_comes_to_its_end(tmp_path: Path) -> None:
    path = reviews(tmp_path / "r.csv", 20_000)
    lines = path.read_text().splitlines(keepends=True)
    for number in range(100, 20_000, 1_000):
        lines[number] = "1,1,bad,2006-04-07 17:08\n"
    path.write_text("".join(lines))
    kills = 0
    with serving(then=slowly) as server:
        while True:
            process = start(path, server, *FAST, "--resume")
            wanted = len(server.seen) + 2
            while process.poll() is None and len(server.seen) < wanted:
                time.sleep(0.005)
            if process.poll() is not None:
                break
            process.kill()
            process.communicate(timeout=30)
            kills += 1
        status, out, err = finish(process)
        assert status in (0, 3), out + err
        assert kills >= 3
        ids = Counter(server.ids())
        assert len(ids) == 20_000 - 20
        assert sum(ids.values()) <= len(ids) + (kills + 1) * largest_request(server)
    rejected = list(csv.reader((tmp_path / "r.csv.rejected").read_text().splitlines()))
    assert len(rejected) == 1 + 20
    assert not (tmp_path / "r.csv.2.rejected").exists()


def test_ctrl_c_sends_nothing_twice(tmp_path: Path) -> None:
    path = reviews(tmp_path / "r.csv")
    with serving(then=slowly) as server:
        process = start(path, server, *FAST, "--concurrency", "2")
        server.wait_for(6, timeout=30)
        os.killpg(process.pid, signal.SIGINT)
        status, out, _ = finish(process)
        assert status == 1
        assert "NOT finished: stopped by the keyboard; what was settled is kept: --resume goes on" in out
        assert 0 < len(server.ids()) < ROWS
        status, out, err = finish(start(path, server, *FAST, "--concurrency", "2", "--resume"))
        assert status == 0, out + err
        ids = server.ids()
        assert len(ids) == len(set(ids)) == ROWS


def test_ctrl_c_while_waiting_for_the_pace_or_an_outage_is_quick(tmp_path: Path) -> None:
    path = reviews(tmp_path / "r.csv")
    for server_says in (OK, b"HTTP/1.1 503 X\r\nContent-Length: 0\r\nRetry-After: 100\r\n\r\n"):
        with serving(then=server_says) as server:
            process = start(path, server, "--max-events-per-second", "200", "--restart")
            if server_says is not OK:
                server.wait_for(1, timeout=30)
            time.sleep(2)
            started = time.monotonic()
            os.killpg(process.pid, signal.SIGINT)
            status, _, _ = finish(process)
            assert status == 1
            assert time.monotonic() - started < 20  # and not the minutes that were to be waited


def limited_files(size: int) -> Callable[[], None]:
    """Return what makes a process unable to write files beyond a size: what a full disk looks like from inside."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def test_no_room_for_the_checkpoint(tmp_path: Path) -> None:
    path = reviews(tmp_path / "r.csv", 5_000)
    with serving() as server:
        status, out, err = finish(start(path, server, *FAST, preexec=limited_files(100)))
        assert status == 1
        assert "checkpoint" in err + out
        assert "File too large" in err + out
        assert "--resume" in err + out
        assert server.seen == []


def test_no_room_for_the_rejects_loses_nothing(tmp_path: Path) -> None:
    path = reviews(tmp_path / "r.csv", 20_000)
    lines = path.read_text().splitlines(keepends=True)
    for number in range(1, 20_001, 4):
        lines[number] = "1,1,bad,2006-04-07 17:08\n"
    path.write_text("".join(lines))
    with serving(then=slowly) as server:
        status, out, err = finish(start(path, server, *FAST, preexec=limited_files(100_000)))
        assert status == 1
        assert "the reject file" in out
        assert "cannot be written (File too large): make room" in out, err
        assert "--resume" in out
        status, out, err = finish(start(path, server, *FAST, "--resume"))
        assert status == 3, out + err
        ids = Counter(server.ids())
        assert len(ids) == 15_000
        assert sum(ids.values()) <= 15_000 + largest_request(server)
    rows = list(csv.reader((tmp_path / "r.csv.rejected").read_text().splitlines()))
    assert len(rows) == 5_001
    assert len({row[0] for row in rows}) == 5_001


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """A small file system of its own, where the machine lets us mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        path = tmp_path / "r.csv"
        path.write_text(HEADER + "1,1,bad,2006-04-07 17:08\n" * 5_000 + "1,1,5,2006-04-07 17:08\n")
        with serving() as server:
            status, out, err = finish(start(path, server, *FAST, "--state", str(disk)))
            assert status == 1
            assert "No space left on device" in out, err
            assert server.seen == []
            (tmp_path / "state").mkdir()
            for kept in disk.iterdir():
                (tmp_path / "state" / kept.name).write_bytes(kept.read_bytes())
            status, out, err = finish(start(path, server, *FAST, "--state", str(tmp_path / "state"), "--resume"))
            assert status == 3, out + err
            assert len(server.ids()) == 1
        assert len((tmp_path / "state" / "r.csv.rejected").read_text().splitlines()) == 5_001
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_memory_does_not_grow_with_the_file_or_a_line(tmp_path: Path) -> None:
    path = tmp_path / "r.ndjson"
    message = b'{"type": "track", "userId": "%d", "event": "E", "timestamp": "2020-01-01", "messageId": "m-%d"}\n'
    with path.open("wb") as file:
        file.write(b'{"type": "track", "userId": "')
        for _ in range(100):
            file.write(b"x" * 1024 * 1024)
        file.write(b'"}\n')
        for number in range(40_000):
            file.write(message % (number % 100, number))
    code = (
        "import re, sys\nfrom analytics_client.importer import run\n"
        f"summary = run([{str(path)!r}], write_key='k', host=sys.argv[1], "
        "max_events_per_second=0, max_requests_per_second=0)\n"
        "print(summary.delivered, summary.rejected, summary.problems[0].examples[0])\n"
        # Not `ru_maxrss`: a new process inherits that of the one that started it.
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
    )
    with serving() as server:
        done = subprocess.run(
            [sys.executable, "-c", code, server.url], capture_output=True, text=True, timeout=100, check=True
        )
    first, peak = done.stdout.splitlines()
    assert first == f"40000 1 {path}:1"
    assert int(peak) < 160 * 1024, f"{int(peak) / 1024:.0f} MB"
