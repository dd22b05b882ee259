"""Each example as a reader runs it: as a process, with the environment pointing at a local collector."""

import os
import re
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest

from analytics_client import Client
from analytics_client.collector import Collector
from tests.support.server import Server, serving

EXAMPLES = Path(__file__).parent.parent / "examples"

pytestmark = pytest.mark.timeout(120)


def run(name: str, host: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ANALYTICS_")}
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=clean | {"ANALYTICS_WRITE_KEY": "any", "ANALYTICS_HOST": host},
    )


def test_first_event() -> None:
    with Collector() as collector:
        done = run("first_event.py", collector.url)
        assert done.returncode == 0, done.stderr
        assert "all three were delivered" in done.stdout
        assert [event["type"] for event in collector.events()] == ["identify", "track", "page"]
        assert collector.stats()["violations"] == 0


def test_background_script() -> None:
    with Collector() as collector:
        done = run("background_script.py", collector.url, "120")
        assert done.returncode == 0, done.stderr
        assert re.search(r"<Client segment queue=\d+ ", done.stdout)
        assert collector.stats()["unique"] == 120
        assert done.stderr == ""


def test_background_script_stopped_by_ctrl_c() -> None:
    import signal

    with serving() as server:
        with subprocess.Popen(
            [sys.executable, str(EXAMPLES / "background_script.py"), "100000"],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"ANALYTICS_WRITE_KEY": "any", "ANALYTICS_HOST": server.url},
        ) as process:
            server.wait_for(1)
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "what is queued is still sent" in output
        delivered = re.search(r"delivered=(\d+), failed={}, pending=0", output)
        assert delivered
        assert len(set(server.ids())) == int(delivered[1])


@pytest.mark.parametrize("service", ["segment", "rudderstack"])
def test_import_reviews_twice_is_once(service: str) -> None:
    with Collector(service=service) as collector:
        for copies in (1, 2):
            done = run("import_reviews.py", collector.url)
            assert done.returncode == 0, done.stderr
            stats = collector.stats()
            assert stats["arrived"] == copies * stats["unique"]
            assert stats["by_type"]["track"] == 3_000
        stats = collector.stats()
        assert stats["violations"] == stats["differing"] == 0
        times = [event["event"]["timestamp"] for event in collector.events(type="track")]
        assert min(times) >= "2003"
        assert max(times) < "2009"


def test_own_dialect(server: Server) -> None:
    done = run("own_dialect.py", server.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "delivered\n"
    [seen] = server.seen
    assert seen.path == "/ingest"
    first, second = seen.json
    assert (first["who"], first["what"], first["details"]) == ("u-1", "Invoice Approved", {"amount": 1200})
    assert (second["who"], second["details"]) == ("u-2", {"role": "auditor"})
    assert first["sent"] == second["sent"]


def test_a_dialect_of_ones_own_works_like_the_others(server: Server) -> None:
    audit = runpy.run_path(str(EXAMPLES / "own_dialect.py"))["Audit"]
    ends: list[object] = []
    with Client("k", dialect=audit(), host=server.url, on_delivered=lambda end: ends.append(end.message_id)) as client:
        ids = [client.track("u", "E", {"n": number}) for number in range(250)]
        assert client.page("u") is None
    assert [len(seen.json) for seen in server.seen] == [100, 100, 50]
    assert ends == ids


def test_the_data_stands_alone_and_names_its_source() -> None:
    rows = (EXAMPLES / "data" / "vendor-reviews-sample.csv").read_text().splitlines()
    assert rows[0] == "reviewerId,vendorId,rating,date"
    assert len(rows) == 3_001
    assert "elastic/examples" in (EXAMPLES / "data" / "README.md").read_text()
    assert time.strptime(rows[1].split(",")[3], "%Y-%m-%d %H:%M")
