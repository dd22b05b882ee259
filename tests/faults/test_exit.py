"""Every way a process can end, with events queued: they are sent within `exit_timeout`, or counted."""

import signal
import socket
import time
from typing import Any

import pytest

from tests.support.processes import run, start
from tests.support.server import Server, answer, serving

pytestmark = pytest.mark.timeout(90)


def slow(seconds: float) -> Any:
    def reply(_seen: object, _connection: socket.socket) -> bytes:
        time.sleep(seconds)
        return answer(200)

    return reply


ENDS = {
    "plain end": ("", 0),
    "sys.exit": ("import sys; sys.exit(3)", 3),
    "uncaught exception": ("raise ValueError('mine')", 1),
    "end in another module's atexit": ("import atexit; atexit.register(print, 'bye')", 0),
    "interrupted": ("raise KeyboardInterrupt", -signal.SIGINT),
}


@pytest.mark.parametrize(("ending", "status"), ENDS.values(), ids=ENDS)
def test_a_thousand_events_against_a_server_that_takes_300_ms(ending: str, status: int) -> None:
    with serving(then=slow(0.3)) as server:
        ended = run(f"""
            import analytics_client
            client = analytics_client.Client("k", host="{server.url}")
            for number in range(1000):
                client.track("u", "E", {{"n": number}})
            {ending}
        """)
        assert ended.status == status, ended.err
        assert len(set(server.ids())) == len(server.ids()) == 1_000
    assert "analytics_client:" not in ended.err
    if status == 0:
        assert ended.err == ""


def test_the_default_client_too() -> None:
    with serving(then=slow(0.3)) as server:
        ended = run(
            "import analytics_client\nfor n in range(100): analytics_client.track('u', 'E')",
            environment={"ANALYTICS_WRITE_KEY": "k", "ANALYTICS_HOST": server.url},
        )
        assert (ended.status, ended.err) == (0, "")
        assert len(set(server.ids())) == 100


def test_a_retry_under_way_is_finished_at_exit() -> None:
    with serving(answer(503)) as server:
        ended = run(f"""
            import analytics_client
            client = analytics_client.Client("k", host="{server.url}")
            client.track("u", "E")
        """)
        assert (ended.status, ended.err) == (0, "")
        assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("reply", "why"),
    [(answer(503, b"", "Retry-After: 60"), " (status 503)"), (answer(401), " (status 401)"), (None, "")],
)
def test_what_cannot_be_sent_is_counted(reply: Any, why: str) -> None:
    hanging = [slow(20)] if reply is None else []
    with serving(*hanging, then=reply) as server:
        ended = run(f"""
            import analytics_client, collections
            ends = collections.Counter()
            client = analytics_client.Client("k", host="{server.url}", exit_timeout=1,
                                             on_failed=lambda end: ends.update([str(end.reason)]))
            for number in range(7):
                client.track("u", "E")
            import atexit
            def show():
                stats = client.stats
                print(dict(ends), stats.pending, sum(stats.failed.values()))
            # Hooks run last in, first out: the client's own has to come before this one.
            from analytics_client.delivery import process
            atexit.unregister(process.close_all)
            atexit.register(show)
            atexit.register(process.close_all)
        """)
    reason = "rejected" if why.endswith("401)") else "closed"
    assert ended.err == f"analytics_client: events not delivered to segment before exit: 7{why}\n"
    assert ended.out == f"{{'{reason}': 7}} 0 7\n"
    assert ended.seconds < 6


def test_exit_timeout_bounds_the_end() -> None:
    with serving(then=slow(20)) as server:
        quick = run(f"""
            import analytics_client
            analytics_client.Client("k", host="{server.url}", exit_timeout=0).track("u", "E")
        """)
        assert quick.seconds < 3
    assert "events not delivered to segment before exit: 1" in quick.err


def test_several_clients_share_the_time() -> None:
    with serving(then=slow(20)) as server:
        ended = run(f"""
            import analytics_client
            clients = [analytics_client.Client(f"k{{n}}", host="{server.url}", exit_timeout=1.5) for n in range(4)]
            for client in clients:
                client.track("u", "E")
        """)
    assert ended.seconds < 5
    assert ended.err.count("events not delivered to segment before exit: 1") == 4


def test_tracking_in_an_exit_hook_after_the_close_is_refused_quietly(server: Server) -> None:
    ended = run(f"""
        import atexit, analytics_client
        atexit.register(lambda: print(client.track("u", "late"), client.stats.refused))
        client = analytics_client.Client("k", host="{server.url}")
        client.track("u", "E")
    """)
    assert ended.err == ""
    assert ended.out == "None {<Reason.CLOSED: 'closed'>: 1}\n"


def test_the_process_may_end_inside_with(server: Server) -> None:
    ended = run(f"""
        import sys, analytics_client
        with analytics_client.Client("k", host="{server.url}") as client:
            client.track("u", "E")
            sys.exit(4)
    """)
    assert (ended.status, ended.err) == (4, "")
    assert len(server.ids()) == 1


TERM = """
    import os, signal, sys, time, threading, analytics_client
    {before}
    client = analytics_client.Client("k", host="{url}", flush_on_sigterm=True)
    for number in range(50):
        client.track("u", "E", {{"n": number}})
    print("ready", flush=True)
    {wait}
"""


@pytest.mark.parametrize(
    "wait",
    [
        "time.sleep(30)",
        "client.flush(30); time.sleep(30)",
        "while True: pass",
        "while True: client.track('u', 'More')",
        "while True: client.stats, repr(client)",
        (
            "[threading.Thread(target=lambda: [client.track('u', 'M') for _ in iter(int, 1)], daemon=True).start()"
            " for _ in range(3)]; time.sleep(30)"
        ),
    ],
)
def test_sigterm_sends_what_is_queued_and_the_status_tells_of_the_signal(wait: str) -> None:
    with serving(then=slow(0.05)) as server:
        with start(TERM.format(url=server.url, before="", wait=wait)) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGTERM)
            started = time.monotonic()
            _, err = process.communicate(timeout=20)
        assert time.monotonic() - started < 7
        assert process.returncode == -signal.SIGTERM, err
        names = [event["event"] for seen in server.seen for event in seen.events]
        assert names.count("E") == 50
        assert err == ""


def test_sigterm_chains_the_handler_that_was_there(server: Server) -> None:
    before = "signal.signal(signal.SIGTERM, lambda number, frame: (print('mine', number), sys.exit(7)))"
    with start(TERM.format(url=server.url, before=before, wait="time.sleep(30)")) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (7, "mine 15\n", "")
    assert len(set(server.ids())) == 50


def test_sigterm_ignored_before_is_ignored_after(server: Server) -> None:
    before = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    with start(TERM.format(url=server.url, before=before, wait="time.sleep(1.5); print('alive')")) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "alive\n", "")
    assert len(set(server.ids())) == 50


def test_sigterm_without_the_option_is_pythons_own(server: Server) -> None:
    code = TERM.format(url=server.url, before="", wait="time.sleep(30)").replace(
        "flush_on_sigterm=True", "flush_interval=60"
    )
    with start(code) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == -signal.SIGTERM
    assert server.seen == []


def test_flush_on_sigterm_outside_the_main_thread_is_noticed(server: Server) -> None:
    ended = run(f"""
        import threading, signal, analytics_client
        made = []
        def make():
            made.append(analytics_client.Client("k", host="{server.url}", flush_on_sigterm=True))
        thread = threading.Thread(target=make); thread.start(); thread.join()
        print(made[0].stats.notices, signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
    """)
    assert ended.out == "{'no_signal': 1} True\n"


def test_no_thread_can_be_started(server: Server) -> None:
    ended = run(f"""
        import threading, analytics_client
        client = analytics_client.Client("k", host="{server.url}")
        def refuse(self): raise RuntimeError("can't start new thread")
        threading.Thread.start = refuse
        for number in range(5):
            assert client.track("u", "E", {{"n": number}})
        print(client.stats.delivered, dict(client.stats.notices)["no_thread"] > 0, client.flush(5), client.close(5))
    """)
    assert (ended.out, ended.err) == ("5 True True True\n", "")
    assert len(server.ids()) == 5


def test_the_interpreter_may_be_finishing_already(server: Server) -> None:
    """The first event of all in an exit hook: 3.12 starts no thread then."""
    ended = run(f"""
        import atexit, analytics_client
        client = analytics_client.Client("k", host="{server.url}")
        @atexit.register
        def late():
            client.track("u", "E")
    """)
    assert (ended.status, ended.err) == (0, "")
    assert len(server.ids()) == 1
