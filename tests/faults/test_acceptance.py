"""What the other clients of the field lose or hang on, row by row: ours on the same ground."""

import signal
import time

import pytest

from analytics_client import Client, Outcome, Reason
from tests.support.processes import run, start
from tests.support.server import OK, Seen, Server, answer, reset, serving

pytestmark = pytest.mark.timeout(90)


def slow(_seen: Seen, _connection: object) -> bytes:
    time.sleep(0.3)
    return OK


def test_a_thousand_events_and_exit_at_once_with_a_server_that_takes_300_ms() -> None:
    with serving(then=slow) as server:
        ended = run(f"""
            import analytics_client
            client = analytics_client.Client("k", host="{server.url}")
            for number in range(1000):
                client.track("u", "E", {{"n": number}})
        """)
        assert (ended.status, ended.err) == (0, "")
        assert ended.seconds < 6
        assert len(set(server.ids())) == len(server.ids()) == 1_000


def test_sigterm_with_fifty_queued(server: Server) -> None:
    code = f"""
        import time, analytics_client
        client = analytics_client.Client("k", host="{server.url}", flush_on_sigterm=True, flush_interval=60)
        for number in range(50):
            client.track("u", "E", {{"n": number}})
        print("ready", flush=True)
        time.sleep(30)
    """
    with start(code) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == -signal.SIGTERM
    assert len(set(server.ids())) == len(server.ids()) == 50


def test_exit_with_the_server_at_503() -> None:
    with serving(then=answer(503)) as server:
        ended = run(f"""
            import analytics_client
            ends = []
            client = analytics_client.Client("k", host="{server.url}", on_failed=lambda end: print(end.reason))
            for number in range(5):
                client.track("u", "E")
        """)
    assert ended.seconds < 7
    assert ended.out == "closed\n" * 5
    assert ended.err == "analytics_client: events not delivered to segment before exit: 5 (status 503)\n"


def test_on_failed_raises_then_flush() -> None:
    def explode(_end: Outcome) -> None:
        raise RuntimeError("mine")

    with serving(answer(400), then=OK) as server, Client("k", host=server.url, on_failed=explode) as client:
        client.track("u", "E")
        assert client.flush(5)
        client.track("u", "E")
        assert client.flush(5)
        assert (client.stats.delivered, client.stats.failed) == (1, {Reason.REJECTED: 1})


def test_fork_then_the_child_tracks_and_flushes(server: Server) -> None:
    ended = run(f"""
        import os, analytics_client
        client = analytics_client.Client("k", host="{server.url}")
        client.track("u", "parent"); client.flush(5)
        pid = os.fork()
        if not pid:
            client.track("u", "child")
            os._exit(0 if client.flush(3) else 9)
        print(os.waitpid(pid, 0)[1])
    """)
    assert (ended.out, ended.err) == ("0\n", "")
    assert [event["event"] for seen in server.seen for event in seen.events] == ["parent", "child"]


@pytest.mark.parametrize(
    ("first", "copies"),
    [
        (answer(302, b"", "Location: /elsewhere"), 2),
        (answer(204), 1),
        (answer(400, b'[{"error": "no code in here"}]'), 1),
    ],
    ids=["302", "204", "a JSON list at 400"],
)
def test_answers_that_others_misread(first: bytes, copies: int) -> None:
    from analytics_client.delivery import retry

    with pytest.MonkeyPatch.context() as patch, serving(first, then=OK) as server:
        patch.setattr(retry, "CONFIGURATION_WAIT", 0.1)
        with Client("k", host=server.url) as client:
            client.track("u", "E")
            deadline = time.monotonic() + 10
            while client.stats.pending and time.monotonic() < deadline:
                time.sleep(0.01)
            refused = first.startswith(b"HTTP/1.1 400")
            assert client.stats.delivered == (not refused)
            assert client.stats.failed == ({Reason.REJECTED: 1} if refused else {})
        assert [seen.path for seen in server.seen] == ["/v1/batch"] * copies


@pytest.mark.parametrize("dialect", ["segment", "rudderstack"])
def test_the_worst_batch_body_there_is(dialect: str, server: Server) -> None:
    with Client("k", host=server.url, dialect=dialect, flush_at=10_000, flush_interval=60) as client:
        for size in (30_000, 32_000, 10, 31_999, 500) * 30:
            client.track("u", "E", {"v": "x" * size})
    assert max(len(seen.body) for seen in server.seen) <= 500_000
    assert len(set(server.ids())) == 150


def test_a_connection_dropped_in_the_middle_of_a_request() -> None:
    with serving(None, reset, then=OK) as server, Client("k", host=server.url) as client:
        sent = client.track("u", "E")
        assert client.flush(15)
        assert server.ids() == [sent] * 3
        assert client.stats.delivered == 1


def test_one_bad_event_among_a_hundred_and_a_server_that_does_not_say_which() -> None:
    ends: list[Outcome] = []

    def refuse(seen: Seen, _connection: object) -> bytes:
        return answer(400, b"invalid") if b'"n":61}' in seen.body else OK

    with serving(then=refuse) as server:
        with Client("k", host=server.url, on_failed=ends.append) as client:
            for number in range(100):
                client.track("u", "E", {"n": number})
            assert client.flush(20)
            assert client.stats.delivered == 99
        assert len(server.seen) <= 16
    [failed] = ends
    assert failed.event is not None
    assert failed.event["properties"]["n"] == 61
    assert (failed.reason, failed.status, failed.cause) == (Reason.REJECTED, 400, "invalid")
