"""Whole imports in this process: against a capture, a scripted server, or the collector."""

import csv
import gzip
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from analytics_client import ConfigError, Request, Response, TransportError
from analytics_client.collector import Collector
from analytics_client.importer import ImportStopped, Progress, RowMapping, Summary, dry_run, run
from tests.support.capture import Capture
from tests.support.server import Seen, Server, answer, serving

MAPPING = RowMapping.from_dict(
    {
        "type": "track",
        "event": "Vendor Reviewed",
        "user_id": "reviewerId",
        "timestamp": "date",
        "properties": {"rating": {"column": "rating", "cast": "int"}, "vendorId": "vendorId"},
    }
)
HEADER = "reviewerId,vendorId,rating,date\n"


def reviews(path: Path, count: int, *, first: int = 0) -> Path:
    body = "".join(
        f"{number % 97},{number},{number % 5},2006-04-07 17:{number % 60:02}\n" for number in range(first, count)
    )
    content = (HEADER + body).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def imported(files: Any, to: Any, **options: Any) -> Summary:
    """Import without a limit of the pace, into a capture or a server."""
    where: dict[str, Any] = {"transport": to, "host": "https://d.example.com"} if isinstance(to, Capture) else {}
    if isinstance(to, (Server, Collector)):
        where = {"host": to.url}
    options = {"mapping": MAPPING, "max_requests_per_second": 0, "max_events_per_second": 0, **where, **options}
    files = [files] if isinstance(files, Path) else files
    return run(files, write_key="key", **options)


# -- what arrives ----------------------------------------------------------------------------------------------------


def test_every_row_arrives_once_in_order_with_its_id(tmp_path: Path) -> None:
    path = reviews(tmp_path / "r.csv.gz", 6_000)
    first, second = Capture(), Capture()
    summary = imported(path, first)
    assert (summary.rows, summary.delivered, summary.rejected, summary.stopped) == (6_000, 6_000, 0, None)
    assert summary.exit_status == 0
    events = first.events
    assert [event["properties"]["vendorId"] for event in events] == [str(number) for number in range(6_000)]
    assert events[7] == {
        "type": "track",
        "messageId": events[7]["messageId"],
        "timestamp": "2006-04-07T17:07:00.000Z",
        "userId": "7",
        "event": "Vendor Reviewed",
        "properties": {"rating": 2, "vendorId": "7"},
        "context": events[7]["context"],
    }
    assert imported(path, second).delivered == 6_000
    assert [event["messageId"] for event in second.events] == [event["messageId"] for event in events]
    assert len({event["messageId"] for event in events}) == 6_000


def test_ids_do_not_depend_on_the_compression_or_the_directory(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    captures = []
    for path in (tmp_path / "r.csv", tmp_path / "other" / "r.csv.gz"):
        captures.append(Capture())
        imported(reviews(path, 5), captures[-1])
    assert captures[0].events == captures[1].events


def test_the_collector_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    path = reviews(tmp_path / "r.csv", 3_000)
    for dialect in ("segment", "rudderstack", "segmentstream"):
        with Collector(service=dialect) as collector:
            few = path if dialect != "segmentstream" else reviews(tmp_path / "few.csv", 100)
            summary = imported(few, collector, dialect=dialect)
            stats = collector.stats()
            assert summary.stopped is None
            assert stats["arrived"] == stats["unique"] == summary.delivered == summary.rows
            assert stats["violations"] == 0


def test_messages_of_the_spec(tmp_path: Path) -> None:
    messages: list[dict[str, Any]] = [
        {"type": "identify", "userId": "u", "traits": {"a": 1}, "timestamp": "2020-01-01", "messageId": "own-1"},
        {
            "type": "track",
            "userId": 7,
            "event": "E",
            "timestamp": "2020-01-01T00:00:00Z",
            "sentAt": "x",
            "channel": "y",
        },
        {"type": "page", "anonymousId": "a", "name": "n", "category": "c", "originalTimestamp": "2020-01-02"},
        {"type": "screen", "userId": "u", "name": None, "timestamp": "2020-01-01", "writeKey": "secret"},
        {"type": "group", "userId": "u", "groupId": "g", "traits": {}, "context": {"ip": "1.2.3.4"}, "userid": "typo"},
        {"type": "alias", "userId": "u", "previousId": "p", "integrations": {"All": False}},
        {"type": "track", "userId": "u", "event": "E", "timestamp": "2020-01-01", "messageId": 'quoted "é"'},
    ]
    text = "\n".join(json.dumps(message) for message in messages)
    for name, content in (("a.ndjson", text), ("b.json", json.dumps(messages))):
        (tmp_path / name).write_text(content)
        capture = Capture()
        summary = imported(tmp_path / name, capture, mapping=None)
        assert summary.delivered == 7, summary.problems
        assert summary.ignored == {"userid": 1}
        events = capture.events
        assert [event["type"] for event in events] == [message["type"] for message in messages]
        assert events[0]["messageId"] == "own-1"
        assert events[6]["messageId"] == 'quoted "é"'
        assert events[1]["userId"] == "7"
        assert events[2]["timestamp"] == "2020-01-02T00:00:00.000Z"
        assert not {"sentAt", "channel", "writeKey", "userid"} & {key for event in events for key in event}


def test_messages_without_their_time_are_rejected(tmp_path: Path) -> None:
    lines = ['{"type": "track", "userId": "u", "event": "E"}', '{"type": "x"}', '{"type": "identify", "userId": "u"}']
    (tmp_path / "a.ndjson").write_text("\n".join(lines))
    summary = imported(tmp_path / "a.ndjson", Capture(), mapping=None)
    assert (summary.delivered, summary.rejected, summary.exit_status) == (1, 2, 3)
    assert {problem.text for problem in summary.problems} == {
        "timestamp: is missing: history without its time would be stamped with now",
        "type: must be one of identify, track, page, screen, group, alias, merge; for other tables give a mapping",
    }


def test_duplicate_ids_are_kept_and_counted(tmp_path: Path) -> None:
    message = '{"type": "track", "userId": "%s", "event": "E", "timestamp": "2020-01-01", "messageId": "%s"}'
    lines = [message % (number % 3, number % 40) for number in range(100)]
    (tmp_path / "a.ndjson").write_text("\n".join(lines))
    capture = Capture()
    summary = imported(tmp_path / "a.ndjson", capture, mapping=None, concurrency=3)
    assert (summary.delivered, summary.duplicates) == (100, 60)
    assert len(capture.events) == 100


def test_a_mapping_of_json_objects_and_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    rows = [{"reviewerId": 1, "vendorId": "v", "rating": 3, "date": 1_144_429_680_000}]
    (tmp_path / "r.json").write_text(json.dumps(rows))
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "r.parquet")
    for name in ("r.json", "r.parquet"):
        capture = Capture()
        assert imported(tmp_path / name, capture).delivered == 1
        [event] = capture.events
        assert (event["userId"], event["timestamp"]) == ("1", "2006-04-07T17:08:00.000Z")
        assert event["properties"] == {"rating": 3, "vendorId": "v"}


def test_several_files_one_form_of_dates(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "1,1,1,03/04/2006\n")
    (tmp_path / "b.csv").write_text(HEADER + "1,1,1,25/04/2006\n")
    (tmp_path / "empty.csv").write_text(HEADER)
    capture = Capture()
    summary = imported([tmp_path / "*.csv"], capture)
    assert summary.delivered == 2
    assert [event["timestamp"][:10] for event in capture.events] == ["2006-04-03", "2006-04-25"]


# -- rejects ---------------------------------------------------------------------------------------------------------


def test_rejected_rows_can_be_corrected_and_imported(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(
        HEADER.encode()
        + b"1,1,5,2006-04-07\n2,2,five,2006-04-08\n3,3,3\n\n,4,4,2006-04-09\n"
        + b"5,J\xfcrgen,5,2006-04-10\n6,6,6,soon\n7,7,7,2006-04-11\n"
        + b"8,%b,5,2006-04-07\n" % (b"x" * 40_000)
    )
    capture = Capture()
    summary = imported(path, capture)
    assert (summary.delivered, summary.rejected, summary.exit_status) == (2, 6, 3)
    assert summary.rows == 8
    places = {problem.examples[0]: problem.text for problem in summary.problems}
    assert places == {
        f"{path}:3": "properties.rating: the column 'rating' is no whole number",
        f"{path}:4": "has 3 cells, the header 4",
        f"{path}:6": "userId: track needs a user_id or an anonymous_id (0 is an id, blank text is none)",
        f"{path}:7": "has bytes that are not UTF-8 (for the whole file, see --encoding)",
        f"{path}:8": "timestamp: the column 'date' is no date of the form iso",
        f"{path}:10": places[f"{path}:10"],
    }
    assert re.fullmatch(r"40,\d\d\d bytes as an event, the limit is 32,767", places[f"{path}:10"])
    [rejects] = map(Path, summary.reject_files)
    assert rejects == tmp_path / "r.csv.rejected"
    text = rejects.read_bytes().decode("latin-1")
    rows = list(csv.reader(text.splitlines()))
    assert rows[0] == ["_rejected", "reviewerId", "vendorId", "rating", "date"]
    assert rows[1] == [
        "line 3: properties.rating: the column 'rating' is no whole number", "2", "2", "five", "2006-04-08"
    ]  # fmt: skip
    fixed = text.replace("five", "5").replace(",3,3,3", ",3,3,3,2006-04-08").replace(",,4,4", ",4,4,4")
    fixed = fixed.replace("soon", "2006-04-08").replace("x" * 40_000, "short")
    rejects.write_text(fixed)  # in UTF-8, which corrects the name, too
    again = imported(rejects, capture, state=tmp_path)
    assert (again.delivered, again.rejected) == (6, 0), again.problems
    assert sorted(event["userId"] for event in capture.events) == list("12345678")
    assert len({event["messageId"] for event in capture.events}) == 8


def test_an_event_the_server_refuses_is_rejected_with_its_words(tmp_path: Path) -> None:
    def judge(seen: Seen, _connection: object) -> bytes:
        bad = any(event["properties"]["vendorId"] == "50" for event in seen.events)
        return answer(400, b"vendor 50 is closed") if bad else answer(200)

    path = reviews(tmp_path / "r.csv", 200)
    with serving(then=judge) as server:
        summary = imported(path, server)
    assert (summary.delivered, summary.rejected, summary.exit_status) == (199, 1, 3)
    [problem] = summary.problems
    assert (problem.text, problem.examples) == ("status 400", [f"{path}:52"])
    [_, row] = csv.reader((tmp_path / "r.csv.rejected").read_text().splitlines())
    assert row == [
        "line 52: rejected with status 400, the server said: vendor 50 is closed", "50", "50", "0", "2006-04-07 17:50"
    ]  # fmt: skip


def test_nothing_of_a_row_stands_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(HEADER + "1,1,hunter2,2006-04-07\n1,1,1,hunter2\n1,1,1,2006-04-07,hunter2\n")
    summary = imported(path, Capture())
    assert summary.rejected == 3
    assert "hunter2" not in repr(summary)
    assert "hunter2" not in (tmp_path / "r.csv.checkpoint").read_text()


def test_a_file_of_bad_rows_only_needs_no_server(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(HEADER + "1,1,x,2006-04-07\n" * 10_000)
    capture = Capture()
    summary = imported(path, capture)
    assert (summary.rejected, capture.requests) == (10_000, [])
    assert len((tmp_path / "r.csv.rejected").read_text().splitlines()) == 10_001


# -- refused before the first event ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("reviewerId,vendorId,rating\n1,1,1\n", "names the column 'date', which the data does not have"),
        (HEADER + "1,1,1,03/04/2006\n", "could be %d/%m/%Y or %m/%d/%Y: say which, with --timestamp-format"),
        (HEADER + "1,1,1,once upon a time\n", "have no form that is known here"),
        ("", "is empty"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_is_sent(tmp_path: Path, content: str, sentence: str) -> None:
    reviews(tmp_path / "a.csv", 10)
    (tmp_path / "b.csv").write_text(content)
    capture = Capture()
    if "could be" in sentence or "no form" in sentence:
        (tmp_path / "a.csv").unlink()  # which would show the form of the dates
    with pytest.raises(ConfigError, match=sentence):
        imported([tmp_path / "*.csv"], capture)
    assert capture.requests == []
    assert not list(tmp_path.glob("*.checkpoint"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"max_events_per_second": -1}, "max_events_per_second must be a number from 0"),
        ({"resume": True, "restart": True}, "which is meant"),
        ({"state": Path("/no/such")}, "does not exist"),
        ({"before_send": print}, "before_send is no option of an import"),
        ({"dialect": "mixpanel"}, "dialect must be one of"),
        ({"mapping": None}, "is a table, and needs a mapping of its columns"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        imported(reviews(tmp_path / "r.csv", 1), Capture(), **options)


# -- stopping and going on -------------------------------------------------------------------------------------------


class Stopping(Capture):
    """Takes some requests, then answers with a status."""

    def __init__(self, requests: int, status: int = 401) -> None:
        super().__init__()
        self.left = requests
        self.status = status

    def send(self, request: Request, timeout: float) -> Response:
        self.left -= 1
        if self.left < 0:
            return Response(self.status)
        return super().send(request, timeout)


def test_a_refused_key_stops_at_once_and_resume_sends_the_rest(tmp_path: Path) -> None:
    path = reviews(tmp_path / "r.csv", 30_000)
    first = Stopping(3)
    summary = imported(path, first)
    assert summary.stopped is not None
    assert "the write key is refused (401): check ANALYTICS_WRITE_KEY" in summary.stopped
    assert summary.exit_status == 1
    assert summary.delivered == len(first.events) > 3_000
    with pytest.raises(
        ConfigError, match=r"stopped after row [\d,]+ .*: go on with --resume, or begin anew with --res"
    ):
        imported(path, Capture())
    second = Capture()
    rest = imported(path, second, resume=True)
    assert (rest.stopped, rest.delivered, rest.settled_before) == (None, 30_000 - summary.delivered, summary.delivered)
    ids = [event["messageId"] for event in first.events + second.events]
    assert len(ids) == len(set(ids)) == 30_000
    third = imported(path, Capture(), resume=True)
    assert third.notes == (f"{path} was imported to its end before",)
    assert third.exit_status == 0


def test_with_several_lanes_at_most_one_request_of_each_is_sent_again(tmp_path: Path) -> None:
    path = reviews(tmp_path / "r.csv", 40_000)
    first = Stopping(9)
    assert imported(path, first, concurrency=4).stopped is not None
    second = Capture()
    assert imported(path, second, concurrency=4, resume=True).stopped is None
    ids = [event["messageId"] for event in first.events + second.events]
    assert len(set(ids)) == 40_000
    # An answer that another lane gets while the fault of this one ends the import is not always heard.
    assert len(ids) - 40_000 <= 3 * 2_500


def test_rejects_of_both_runs_are_in_one_file(tmp_path: Path) -> None:
    path = reviews(tmp_path / "r.csv", 30_000)
    lines = path.read_text().splitlines(keepends=True)
    lines[5] = "5,5,x,2006-04-07 17:05\n"
    lines[29_000] = "5,5,x,2006-04-07 17:05\n"
    path.write_text("".join(lines))
    first = imported(path, Stopping(3))
    assert first.rejected == 1
    second = imported(path, Capture(), resume=True)
    assert second.rejected == 1
    rejects = list(csv.reader((tmp_path / "r.csv.rejected").read_text().splitlines()))
    assert [row[0].split(":")[0] for row in rejects] == ["_rejected", "line 6", "line 29001"]


def test_restart_sends_everything_again(tmp_path: Path) -> None:
    path = reviews(tmp_path / "r.csv", 30_000)
    imported(path, Stopping(3))
    assert imported(path, Capture(), restart=True).delivered == 30_000


def test_going_on_with_something_else_is_refused(tmp_path: Path) -> None:
    path = reviews(tmp_path / "r.csv", 30_000)
    imported(path, Stopping(3))
    other = RowMapping.from_dict({"type": "identify", "user_id": "reviewerId"})
    changes: list[tuple[dict[str, Any], str]] = [
        ({"mapping": other}, "the mapping, or how .* is read, is another"),
        ({"host": "https://other.example.com"}, "went to segment at https://d.example.com, and now would go to segm"),
        ({"encoding": "latin-1"}, "how .* is read"),
    ]
    for options, sentence in changes:
        capture = Capture()
        with pytest.raises(ConfigError, match=sentence):
            imported(path, capture, resume=True, **options)
        assert capture.requests == []
    os.utime(path, (1, 1))
    with pytest.raises(ConfigError, match="has changed since its import stopped: undo that, or begin anew"):
        imported(path, Capture(), resume=True)


def test_a_row_that_is_under_way_is_not_settled_by_the_stop(tmp_path: Path) -> None:
    def never(_seen: Seen, _connection: object) -> None:
        return None  # the connection ends without an answer

    path = reviews(tmp_path / "r.csv", 5_000)
    interrupted: list[Progress] = []
    with serving(answer(200), then=never) as server:

        def interrupt(state: Progress) -> None:
            if state.trouble and not interrupted:
                interrupted.append(state)
                raise KeyboardInterrupt

        summary = imported(path, server, on_progress=interrupt)
    assert summary.stopped is not None
    assert summary.stopped.startswith("stopped by the keyboard")
    assert 0 < summary.delivered < 5_000
    capture = Capture()
    rest = imported(path, capture, resume=True, host=server.url)
    assert rest.delivered == 5_000 - summary.delivered


def test_an_outage_is_waited_for(tmp_path: Path) -> None:
    path = reviews(tmp_path / "r.csv", 4_000)
    seen: list[str] = []
    with serving(answer(503), answer(429, b"", "Retry-After: 1"), answer(200)) as server:
        started = time.monotonic()
        summary = imported(path, server, on_progress=lambda state: seen.append(state.trouble))
        assert time.monotonic() - started >= 1.0
    assert (summary.delivered, summary.stopped) == (4_000, None)
    assert {"status 503", "status 429"} <= set(seen)


def test_an_event_that_expires_is_not_lost(tmp_path: Path) -> None:
    path = reviews(tmp_path / "r.csv", 100)
    with serving(then=answer(503)) as server:
        summary = imported(path, server, max_retry_time=0.01)
    assert summary.stopped is not None
    assert "did not take events for too long" in summary.stopped
    assert summary.rejected == 0
    capture = Capture()
    assert imported(path, capture, resume=True, host=server.url).delivered == 100


def test_a_server_that_refuses_every_event_stops_the_import(tmp_path: Path) -> None:
    path = reviews(tmp_path / "r.csv", 100)
    with serving(then=answer(400, b"no such workspace")) as server:
        summary = imported(path, server)
    assert summary.stopped is not None
    assert "refuses every event, also alone" in summary.stopped
    assert (summary.delivered, summary.rejected) == (0, 0)


def test_a_certificate_that_is_refused_stops_the_import(tmp_path: Path) -> None:
    class Refusing(Capture):
        def send(self, request: Request, timeout: float) -> Response:
            raise TransportError("the server's certificate is refused: self-signed", configuration=True)

    summary = imported(reviews(tmp_path / "r.csv", 100), Refusing())
    assert summary.stopped is not None
    assert "certificate is refused" in summary.stopped


def test_large_events_do_not_block_a_stop(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text(HEADER + f"1,{'x' * 30_000},1,2006-04-07\n" * 4_000)
    summary = imported(path, Stopping(2))
    assert summary.stopped is not None
    assert "401" in summary.stopped


# -- inputs that change or break -------------------------------------------------------------------------------------


def test_a_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = reviews(tmp_path / "r.csv", 30_000)
    other = reviews(tmp_path / "s.csv", 10)

    def change(state: Progress) -> None:
        if state.rows and state.rows < 20_000 and path.stat().st_size < 2_000_000:
            with path.open("a") as file:
                file.write("1,1,1,2006-04-07 17:08\n" * 50_000)

    capture = Capture()
    summary = imported([path, other], capture, on_progress=change)
    assert summary.stopped is not None
    assert "changed while it was read: the rows that were read are sent" in summary.stopped
    assert summary.exit_status == 1
    assert summary.delivered == len(capture.events) >= 30_010


def test_a_truncated_file_gives_its_rows_and_the_next_file_follows(tmp_path: Path) -> None:
    whole = reviews(tmp_path / "a.csv.gz", 60_000)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    capture = Capture()
    summary = imported([whole, reviews(tmp_path / "b.csv", 10)], capture)
    assert summary.stopped is not None
    assert "a.csv.gz breaks off in the middle of its gzip data" in summary.stopped
    assert summary.exit_status == 1
    assert summary.delivered == summary.rows == len(capture.events) > 20_000
    assert len([event for event in capture.events if event["properties"]["vendorId"] == "9"]) == 2


# -- the dry run -----------------------------------------------------------------------------------------------------


def test_a_dry_run_tells_everything_and_sends_nothing(tmp_path: Path) -> None:
    path = reviews(tmp_path / "r.csv", 100)
    with path.open("a") as file:
        file.write("1,1,x,2006-04-07\n2,2,2\n3,3,3,2007-01-01 00:00\n4,4,x,2006-01-01\n")
    report = dry_run([path], mapping=MAPPING)
    assert (report.rows, report.valid, report.exit_status) == (104, 101, 3)
    assert report.events == {("track", "Vendor Reviewed"): 101}
    assert (report.earliest, report.latest) == ("2006-04-07T17:00:00.000Z", "2007-01-01T00:00:00.000Z")
    assert report.dates == {"date": "iso, naive times are UTC"}
    assert [(each.count, each.examples) for each in report.problems] == [
        (2, [f"{path}:102", f"{path}:105"]),
        (1, [f"{path}:103"]),
    ]
    capture = Capture()
    imported(path, capture)
    sizes = [len(json.dumps(event, separators=(",", ":"))) for event in capture.events]
    assert (report.bytes, report.smallest, report.largest) == (sum(sizes), min(sizes), max(sizes))
    assert [each.name for each in tmp_path.iterdir() if "checkpoint" not in each.name] == ["r.csv", "r.csv.rejected"]


@pytest.mark.parametrize("dialect", ["segment", "rudderstack", "segmentstream"])
def test_a_dry_run_knows_the_limits_of_each_api(tmp_path: Path, dialect: str) -> None:
    path = tmp_path / "r.csv"
    path.write_text(HEADER + f"1,{'x' * 40_000},1,2006-04-07\n1,1,1,2006-04-08\n")
    report = dry_run([path], mapping=MAPPING, dialect=dialect)
    assert report.valid == (2 if dialect == "segmentstream" else 1)
    assert report.latest == "2006-04-08T00:00:00.000Z"


# -- the pace --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gzipped", [False, True])
def test_the_pace_is_kept(tmp_path: Path, gzipped: bool) -> None:
    arrived: list[tuple[float, int]] = []

    class Timed(Capture):
        def send(self, request: Request, timeout: float) -> Response:
            body = gzip.decompress(request.body) if gzipped else request.body
            arrived.append((time.monotonic(), len(json.loads(body)["batch"])))
            return Response(200)

    path = reviews(tmp_path / "r.csv", 9_000)
    started = time.monotonic()
    summary = imported(path, Timed(), max_events_per_second=6_000, gzip=gzipped)
    assert summary.delivered == sum(count for _, count in arrived) == 9_000
    assert time.monotonic() - started >= 1.4
    for moment, _ in arrived:
        assert sum(count for when, count in arrived if when <= moment) <= 6_000 * (moment - started) + 1_500 + 500


def test_no_limit_but_segments() -> None:
    from analytics_client.importer.options import Options

    assert Options().pace("segment") == (500, 1_000)
    assert Options().pace("rudderstack") == (0, 0)
    assert Options(max_events_per_second=0).pace("segment") == (500, 0)


def test_stopped_is_an_error_when_nothing_can_be_opened(tmp_path: Path) -> None:
    broken = tmp_path / "r.parquet"
    broken.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(ImportStopped, match="is no whole Parquet file"):
        imported(broken, Capture())
