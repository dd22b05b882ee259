"""The small parts, each alone: ids, the pace, checkpoints, reject files, settling, progress. Nothing here sleeps."""

import csv
import io
import json
from collections import Counter
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies

from analytics_client import ConfigError
from analytics_client.importer import ImportStopped, Progress
from analytics_client.importer.checkpoint import Checkpoint, load, save
from analytics_client.importer.ids import Seen, row_ids
from analytics_client.importer.pace import Bucket, Pace
from analytics_client.importer.progress import Lines, Meter, line
from analytics_client.importer.rejects import Rejects
from analytics_client.importer.settling import Settling
from analytics_client.importer.summary import Problems
from tests.support.clock import FakeClock

# -- ids -------------------------------------------------------------------------------------------------------------


def test_ids_tell_everything_apart_and_stay_the_same() -> None:
    base = row_ids("a.csv")(1, b"x", "track", "E")
    assert base == row_ids("a.csv")(1, b"x", "track", "E")
    assert len(base) < 60
    others = [
        row_ids("b.csv")(1, b"x", "track", "E"),
        row_ids("a.csv")(2, b"x", "track", "E"),
        row_ids("a.csv")(1, b"y", "track", "E"),
        row_ids("a.csv")(1, b"x", "identify", "E"),
        row_ids("a.csv")(1, b"x", "track", "F"),
    ]
    assert len({base, *others}) == 6
    assert len(row_ids("a")(10**12, b"x", "identify", "E" * 500)) < 100


def test_the_id_of_a_row_is_what_it_was_in_earlier_versions() -> None:
    assert row_ids("reviews.csv")(1, b"0\x1f0\x1f5", "track", "E") == "546ef0af9f7f45dc010a0464-1"


def test_ids_that_come_again_are_counted() -> None:
    seen = Seen()
    assert [seen.add(each) for each in ("a", "b", "a", "c", "a", "b")] == [False, False, True, False, True, True]
    assert seen.again == 3
    assert sum(seen.add(f"id-{number}") for number in range(100_000)) == 0


# -- pace ------------------------------------------------------------------------------------------------------------


def sent_over(bucket: Bucket, clock: FakeClock, sizes: list[int]) -> list[tuple[float, int]]:
    """Return when each request goes, one after the other."""
    sent = []
    for size in sizes:
        clock.advance(bucket.take(size))
        sent.append((clock.now, size))
    return sent


def test_a_bucket_keeps_its_rate() -> None:
    clock = FakeClock()
    sent = sent_over(Bucket(1_000, clock), clock, [1_500] * 20)
    assert sent[0][0] == pytest.approx(1_001.5)
    assert sent[-1][0] - sent[0][0] == pytest.approx(19 * 1.5)


@hypothesis.given(
    strategies.floats(0.1, 5_000),
    strategies.lists(strategies.tuples(strategies.integers(1, 3_000), strategies.floats(0, 20)), max_size=30),
)
def test_no_window_holds_more_than_the_rate_and_one_request(rate: float, plan: list[tuple[int, float]]) -> None:
    clock = FakeClock(0.0)
    bucket = Bucket(rate, clock)
    sent = []
    for size, idle in plan:
        clock.advance(idle)
        clock.advance(bucket.take(size))
        sent.append((clock.now, size))
    for start in range(len(sent)):
        for end in range(start, len(sent)):
            events = sum(size for _, size in sent[start : end + 1])
            seconds = sent[end][0] - sent[start][0]
            allowed = rate * seconds + max(size for _, size in sent[start : end + 1]) + rate * 0.25
            assert events <= allowed * (1 + 1e-9) + 1e-6


def test_several_lanes_share_a_bucket() -> None:
    clock = FakeClock()
    bucket = Bucket(10, clock)
    assert [bucket.take(1) for _ in range(4)] == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_no_limit_never_waits() -> None:
    clock = FakeClock()
    pace = Pace(0, 0, clock)
    assert [pace.take(10**6) for _ in range(3)] == [0, 0, 0]
    assert not pace.counts_events
    assert Pace(500, 1_000, clock).take(1) == pytest.approx(0.002)
    assert Pace(500, 1_000, clock).take(2_000) == pytest.approx(2)


# -- checkpoints -----------------------------------------------------------------------------------------------------

BEGUN = Checkpoint({"size": 1, "head": "x"}, "mapping", "segment at https://a.example.com")


@hypothesis.given(strategies.integers(0, 10**9), strategies.frozensets(strategies.integers(1, 5_000)))
def test_a_checkpoint_comes_back_as_it_was(low: int, beyond: frozenset[int]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x.checkpoint"
        written = Checkpoint(
            BEGUN.identity, "m", "d", low, frozenset(low + each for each in beyond), 5, 6, ("r", 7), done=True
        )
        save(path, written)
        assert load(path) == written
        assert [each.name for each in Path(directory).iterdir()] == ["x.checkpoint"]


def test_a_checkpoint_that_is_none(tmp_path: Path) -> None:
    assert load(tmp_path / "none") is None
    for content in ("", "{}", "[]", '{"version": 2}', '{"version": 1}', '{"version": 1, "low": 0, "beyond": "?"}'):
        (tmp_path / "x").write_text(content)
        with pytest.raises(ConfigError, match="is no checkpoint that this version wrote: begin anew with --restart"):
            load(tmp_path / "x")


@pytest.mark.parametrize(
    ("now", "sentence"),
    [
        (Checkpoint({"size": 2, "head": "x"}, BEGUN.mapping, BEGUN.destination), "a.csv has changed since"),
        (Checkpoint(BEGUN.identity, "other", BEGUN.destination), "the mapping, or how a.csv is read, is another"),
        (Checkpoint(BEGUN.identity, BEGUN.mapping, "elsewhere"), "went to segment at https://a.example.com, and now"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(now: Checkpoint, sentence: str) -> None:
    BEGUN.check(BEGUN, "a.csv")
    with pytest.raises(ConfigError, match=sentence):
        BEGUN.check(now, "a.csv")


def test_a_checkpoint_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(ImportStopped, match=r"cannot be written \(No such file or directory\).*--resume"):
        save(tmp_path / "none" / "x.checkpoint", BEGUN)


# -- reject files ----------------------------------------------------------------------------------------------------


def test_rejects_of_csv_are_csv(tmp_path: Path) -> None:
    rejects = Rejects(tmp_path / "a.csv", "csv", ["id", "name"], delimiter=";")
    rejects.add(["1", 'x;"y"\nz'], "line 2: was wrong")
    rejects.add(["2", "J\udcfcrgen", "more"], "line 4: was longer")
    assert not list(tmp_path.iterdir())
    name, size = rejects.sync()
    rejects.close(done=True)
    content = (tmp_path / name).read_bytes()
    assert (name, size) == ("a.csv.rejected", len(content))
    assert b"J\xfcrgen" in content
    assert list(csv.reader(io.StringIO(content.decode("latin-1")), delimiter=";"))[:2] == [
        ["_rejected", "id", "name"],
        ["line 2: was wrong", "1", 'x;"y"\nz'],
    ]
    assert (tmp_path / name).stat().st_mode & 0o077 == 0


def test_rejects_of_json_are_json(tmp_path: Path) -> None:
    for kind, raws in (("ndjson", [b'{"a": 1.10}', b"{}", b"[1]", b"{x\xff"]), ("json", ['{"a": 1.10}', "{}", "[1]"])):
        rejects = Rejects(tmp_path / f"a.{kind}", kind, None)
        for raw in raws:
            rejects.add(raw, 'said "no"')
            rejects.sync()
        rejects.close(done=True)
        content = (tmp_path / f"a.{kind}.rejected").read_text()
        found = json.loads(content) if kind == "json" else [json.loads(each) for each in content.splitlines()]
        assert found[:3] == [
            {"_rejected": 'said "no"', "a": 1.1},
            {"_rejected": 'said "no"'},
            {"_rejected": 'said "no"', "_raw": "[1]"},
        ]
        assert "1.10" in content


def test_going_on_cuts_off_what_the_checkpoint_does_not_know(tmp_path: Path) -> None:
    rejects = Rejects(tmp_path / "a.json", "json", None)
    rejects.add("{}", "one")
    begun = rejects.sync()
    rejects.add("{}", "two")
    rejects.sync()
    rejects.close(done=False)
    again = Rejects(tmp_path / "a.json", "json", None, begun=begun)
    again.add("{}", "three")
    again.close(done=True)
    assert json.loads((tmp_path / begun[0]).read_text()) == [{"_rejected": "one"}, {"_rejected": "three"}]


def test_an_older_reject_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.csv.rejected").write_text("somebody is working on this")
    rejects = Rejects(tmp_path / "a.csv", "csv", ["id"])
    rejects.add(["1"], "why")
    assert rejects.sync()[0] == "a.csv.2.rejected"
    rejects.close(done=True)
    assert (tmp_path / "a.csv.rejected").read_text() == "somebody is working on this"


# -- settling --------------------------------------------------------------------------------------------------------


@hypothesis.given(strategies.permutations(range(1, 40)), strategies.sets(strategies.integers(1, 39)))
def test_settled_rows_are_those_that_ended(order: list[int], ended: set[int]) -> None:
    settling = Settling(0, ())
    for number in range(1, 40):
        settling.begin_own(f"id-{number % 7}", (number, number, None))  # many ids come again
    queues: dict[str, list[int]] = {}
    for number in range(1, 40):
        queues.setdefault(f"id-{number % 7}", []).append(number)
    settled = set()
    for number in [each for each in order if each in ended]:
        settling.deliver(f"id-{number % 7}")
        settled.add(queues[f"id-{number % 7}"].pop(0))
    _, low, beyond, delivered, _ = settling.state()
    assert set(range(1, low + 1)) | beyond == settled
    assert low + 1 not in beyond
    assert delivered == len(settled)
    assert len(settling) == 39 - len(settled)


def test_a_row_that_was_cancelled_is_the_last_of_its_id() -> None:
    settling = Settling(0, ())
    settling.begin_own("a", (1, 1, "first"))
    settling.begin_own("a", (2, 2, "second"))
    settling.cancel("a")
    assert settling.end("a") == (1, 1, "first")
    assert settling.end("a") is None
    assert len(settling) == 1
    settling.reject(1)
    assert len(settling) == 0
    settling.begin("b", (2, 2, None))
    settling.cancel("b")
    assert len(settling) == 0
    assert settling.state()[1:] == (1, frozenset(), 0, 1)


def test_going_on_knows_what_was_settled() -> None:
    settling = Settling(10, {12, 15})
    assert [number for number in range(9, 17) if settling.is_settled(number)] == [9, 10, 12, 15]
    settling.refuse(11)
    assert settling.state()[1:3] == (12, frozenset({15}))


# -- words -----------------------------------------------------------------------------------------------------------


def test_problems_are_told_apart_by_their_words() -> None:
    problems = Problems()
    for number in range(5):
        problems.add(f"has {number} cells, the header 4", f"a.csv:{number}")
    problems.add("userId: is missing", "a.csv:9")
    [many, one] = problems.listed()
    assert (many.count, many.text, many.examples) == (5, "has 0 cells, the header 4", ["a.csv:0", "a.csv:1", "a.csv:2"])
    assert one.count == 1
    for number in range(1_000):
        problems.add("x" * number, "a.csv:1")
    assert len(problems.listed()) <= 201
    assert Counter({each.text: each.count for each in problems.listed()}).total() == 1_006


def progress(delivered: int, share: float | None, trouble: str = "") -> Progress:
    return Progress("a.csv", delivered, 0, delivered, 0, share, trouble)


def test_the_rate_and_the_time_left() -> None:
    clock = FakeClock()
    meter = Meter(clock)
    assert meter.look(progress(0, 0.0)) == (0.0, None)
    clock.advance(2)
    rate, left = meter.look(progress(2_000, 0.1))
    assert rate == pytest.approx(1_000)
    assert left == pytest.approx(18)
    clock.advance(100)
    rate, left = meter.look(progress(2_000, 0.5))
    assert rate < 20
    assert left == pytest.approx(102)
    assert meter.look(progress(2_000, None))[1] is None


def test_plain_lines_come_now_and_then() -> None:
    clock, out = FakeClock(), io.StringIO()
    lines = Lines(out, clock)
    for _ in range(25):
        clock.advance(1)
        lines(progress(int(clock.now - 1_000) * 100, (clock.now - 1_000) / 50, "status 503"))
    assert out.getvalue().splitlines() == [
        "a.csv: 1,000 delivered, 0 rejected, 100/s, 20%, 0:40 left, waiting: status 503",
        "a.csv: 2,000 delivered, 0 rejected, 100/s, 40%, 0:30 left, waiting: status 503",
    ]
    assert line(progress(0, 0.001), 0, 40_000).endswith("11:06:40 left")
