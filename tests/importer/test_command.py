"""`analytics-client import` as a process: its words and its exit status."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import Server, answer, serving

pytestmark = pytest.mark.timeout(120)

CSV = "reviewerId,vendorId,rating,date\n1,2,5,2006-04-07 17:08\n2,3,4,2006-04-08 17:08\n"
FLAGS = (
    *("--type", "track", "--event", "Vendor Reviewed", "--user-id", "reviewerId", "--timestamp", "date"),
    *("--property", "rating:int", "--property", "vendorId", "--constant", "properties.source=history"),
)


def command(*arguments: str, stdin: bytes = b"", key: bool = True) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANALYTICS_")}
    done = subprocess.run(
        [sys.executable, "-m", "analytics_client.cli", "import", *arguments],
        capture_output=True,
        input=stdin,
        timeout=100,
        env=clean | ({"ANALYTICS_WRITE_KEY": "secret-key-1234"} if key else {}),
        check=False,
    )
    assert b"secret-key" not in done.stdout + done.stderr
    assert b"Traceback" not in done.stderr, done.stderr
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_all_delivered(tmp_path: Path, server: Server) -> None:
    (tmp_path / "r.csv").write_text(CSV)
    done = command(str(tmp_path / "r.csv"), *FLAGS, "--host", server.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2 rows read in ")
    assert ": 2 delivered (" in done.stdout
    [seen] = server.seen
    assert seen.headers["authorization"] == "Basic c2VjcmV0LWtleS0xMjM0Og=="
    assert seen.events[0]["properties"] == {"source": "history", "rating": 5, "vendorId": "2"}
    assert seen.events[0]["timestamp"] == "2006-04-07T17:08:00.000Z"


def test_some_rejected(tmp_path: Path, server: Server) -> None:
    path = tmp_path / "r.csv"
    path.write_text(CSV + "3,3,x,2006-04-09\n")
    done = command(str(path), *FLAGS, "--host", server.url)
    assert done.returncode == 3
    assert f"rejected: properties.rating: the column 'rating' is no whole number ({path}:4)" in done.stdout
    assert f"the rejected rows, each with the reason, are in {path}.rejected" in done.stdout


def test_a_wrong_key(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(CSV)
    with serving(then=answer(401)) as server:
        done = command(str(tmp_path / "r.csv"), *FLAGS, "--host", server.url)
    assert done.returncode == 1
    assert "NOT finished: the write key is refused (401)" in done.stdout


def test_a_dry_run_needs_no_key_and_sends_nothing(tmp_path: Path, server: Server) -> None:
    (tmp_path / "r.csv").write_text(CSV + "3,3,x,2006-04-09\n")
    for dialect in ("segment", "rudderstack"):
        done = command(str(tmp_path / "r.csv"), *FLAGS, "--dry-run", "--dialect", dialect, key=False)
        assert done.returncode == 3, done.stderr
        lines = done.stdout.splitlines()
        assert lines[0] == "dry run, nothing was sent: 3 rows, 2 of them valid"
        assert lines[1].split(maxsplit=1) == ["2", "track Vendor Reviewed"]
        assert lines[2] == "times: 2006-04-07T17:08:00.000Z to 2006-04-08T17:08:00.000Z"
        assert lines[3] == "dates of the column 'date': iso, naive times are UTC"
        assert "rejected: properties.rating: the column 'rating' is no whole number" in done.stdout
    assert server.seen == []
    assert [each.name for each in tmp_path.iterdir()] == ["r.csv"]


def test_standard_input(tmp_path: Path, server: Server) -> None:
    packed = gzip.compress(CSV.encode())
    done = command("-", *FLAGS, "--host", server.url, "--format", "csv", "--state", str(tmp_path), stdin=packed)
    assert done.returncode == 0, done.stderr
    assert len(server.ids()) == 2
    assert [each.name for each in tmp_path.iterdir()] == ["stdin.checkpoint"]
    done = command("-", *FLAGS, "--host", server.url, "--format", "csv", stdin=packed)
    assert done.returncode == 1
    assert "give a directory with --state" in done.stderr


def test_a_mapping_file_and_a_key_file(tmp_path: Path, server: Server) -> None:
    (tmp_path / "r.csv").write_text(CSV)
    (tmp_path / "m.toml").write_text(
        'type = "track"\nevent = "Old"\nuser_id = "reviewerId"\ntimestamp = "date"\nproperties = "*"\n'
    )
    (tmp_path / "key").write_text("abc123\n")
    files = (str(tmp_path / "*.csv"), "--mapping", str(tmp_path / "m.toml"), "--key-file", str(tmp_path / "key"))
    done = command(*files, "--event", "New", "--host", server.url, key=False)
    assert done.returncode == 0, done.stderr
    assert server.seen[0].headers["authorization"] == "Basic YWJjMTIzOg=="
    assert server.seen[0].events[0]["event"] == "New"
    assert server.seen[0].events[0]["properties"] == {"vendorId": "2", "rating": "5"}


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        ((), 1, "is a table, and needs a mapping of its columns: --type, --user-id and so on, or --mapping FILE"),
        ((*FLAGS, "--property", "none"), 1, "names the column 'none', which the data does not have"),
        ((*FLAGS, "--timestamp-format", "%H"), 1, "names no whole date"),
        ((*FLAGS, "--write-key", "hunter2"), 2, "the write key is not taken from the command line"),
        ((*FLAGS, "--mapping", "none.toml"), 1, "cannot be read"),
        ((*FLAGS, "--explode"), 2, "No such option"),
    ],
)
def test_wrong_arguments_are_one_clear_sentence(
    tmp_path: Path, server: Server, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    (tmp_path / "r.csv").write_text(CSV)
    done = command(str(tmp_path / "r.csv"), *arguments, "--host", server.url)
    assert done.returncode == status
    assert sentence in " ".join(done.stderr.split())
    assert "hunter2" not in done.stderr
    assert server.seen == []


def test_without_a_key(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(CSV)
    done = command(str(tmp_path / "r.csv"), *FLAGS, key=False)
    assert done.returncode == 1
    assert "set ANALYTICS_WRITE_KEY" in done.stderr


@pytest.mark.parametrize(("package", "name"), [("zstandard", "r.csv.zst"), ("pyarrow", "r.parquet")])
def test_without_an_extra_it_says_which(tmp_path: Path, package: str, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x28\xb5\x2f\xfd1234" if package == "zstandard" else b"PAR1")
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / f"{package}.py").write_text(f"raise ImportError(name={package!r})")
    extra = {"zstandard": "zstd", "pyarrow": "parquet"}[package]
    done = subprocess.run(
        [sys.executable, "-m", "analytics_client.cli", "import", str(tmp_path / name), *FLAGS],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "hidden"), "ANALYTICS_WRITE_KEY": "k"},
        check=False,
    )
    assert done.returncode == 1
    assert f"need the package {package}: install analytics_client[{extra}]" in done.stderr


def test_on_a_terminal_there_is_a_bar(tmp_path: Path, server: Server) -> None:
    import pty

    (tmp_path / "r.csv").write_text(CSV.splitlines()[0] + "\n" + "1,2,5,2006-04-07 17:08\n" * 2_000)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "analytics_client.cli", "import", str(tmp_path / "r.csv"), *FLAGS),
            *("--host", server.url, "--max-events-per-second", "1500"),
        ],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=os.environ | {"ANALYTICS_WRITE_KEY": "k", "TERM": "xterm-256color", "COLUMNS": "120"},
    ) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                block = os.read(ours, 65_536)
            except OSError:
                break
            if not block:
                break
            seen += block
        assert process.wait(timeout=60) == 0
    os.close(ours)
    assert b"r.csv: " in seen
    assert b"delivered" in seen
    assert "━".encode() in seen
