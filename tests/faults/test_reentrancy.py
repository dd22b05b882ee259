"""Calls from where nobody expects them: signal handlers, finalizers, log handlers, callbacks. No deadlock, no loss."""

import json

import pytest

from tests.support.processes import run
from tests.support.server import Server, serving

pytestmark = pytest.mark.timeout(150)

STORM = """
    import faulthandler, gc, itertools, json, logging, signal, sys, threading, time
    import analytics_client
    faulthandler.dump_traceback_later({seconds} + 40, exit=True)
    sys.setswitchinterval(0.0005)
    numbers = {{where: itertools.count() for where in ("main", "signal", "del", "log", "callback", "thread")}}
    accepted = {{where: [] for where in numbers}}
    def track(where):
        number = next(numbers[where])
        if client.track(where, "E", {{"n": number}}):
            accepted[where].append(number)
    delivered = []
    def on_delivered(end):
        delivered.append(1)
        if len(delivered) % 50 == 0 and not closing:
            track("callback")
    closing = []
    client = analytics_client.Client("k", host="{url}", on_delivered=on_delivered, max_queue_bytes=500_000_000)

    class Cyclic:
        def __init__(self):
            self.me = self
        def __del__(self):
            if not closing:
                track("del")

    class Handler(logging.Handler):
        def emit(self, record):
            track("log")
    log = logging.getLogger("app")
    log.propagate = False
    log.addHandler(Handler())

    def on_alarm(number, frame):
        track("signal")
    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)

    def work():
        while time.monotonic() < end:
            track("thread")
            time.sleep(0.0002)
    end = time.monotonic() + {seconds}
    thread = threading.Thread(target=work)
    thread.start()
    while time.monotonic() < end:
        track("main")
        for _ in range(3):
            Cyclic()
        gc.collect(0)
        log.warning("something")
        client.stats, repr(client)
        if len(accepted["main"]) % 500 == 0:
            client.flush(0.01)
        time.sleep(0.0002)
    thread.join()
    signal.setitimer(signal.ITIMER_REAL, 0)
    gc.collect()
    flushed = client.flush(30)
    closing.append(1)
    flushed = client.flush(30) and flushed
    client.close(30)
    stats = client.stats
    total = sum(map(len, accepted.values()))
    print(json.dumps([flushed, stats.accepted == stats.delivered == total, accepted]))
"""


@pytest.mark.parametrize("seconds", [3, pytest.param(25, marks=pytest.mark.full)])
def test_from_signals_finalizers_log_handlers_and_callbacks(seconds: int) -> None:
    with serving() as server:
        ended = run(STORM.format(url=server.url, seconds=seconds), timeout=seconds + 60)
        assert ended.status == 0, ended.err
        flushed, balanced, accepted = json.loads(ended.out)
        events = [event for seen in server.seen for event in seen.events]
    assert flushed
    assert balanced
    assert len({event["messageId"] for event in events}) == len(events)
    for where, numbers in accepted.items():
        arrived = [event["properties"]["n"] for event in events if event["userId"] == where]
        assert sorted(arrived) == sorted(numbers)
        assert numbers, where


def test_waiting_calls_inside_the_lock_are_refused_at_once(server: Server) -> None:
    ended = run(f"""
        import time, analytics_client
        client = analytics_client.Client("k", host="{server.url}")
        client.track("u", "E")
        started = time.monotonic()
        with client._delivery.hub:
            print(client.flush(10), client.close(10), client.stats.accepted, client.track("u", "E") is not None)
        print(time.monotonic() - started < 1, client.flush(10), client.stats.delivered)
    """)
    assert ended.out == "False False 1 True\nTrue True 2\n"


def test_our_own_log_lines_may_be_events(server: Server) -> None:
    ended = run(f"""
        import logging, analytics_client
        class Handler(logging.Handler):
            def emit(self, record):
                client.track("u", "Logged", {{"line": record.getMessage(), "bad": object()}})
        logging.getLogger().addHandler(Handler())
        client = analytics_client.Client("k", host="{server.url}")
        for number in range(20):
            client.track("u", "")
        client.flush(10)
        print(client.stats.accepted, client.stats.refused)
    """)
    assert ended.err == ""
    accepted = int(ended.out.split()[0])
    assert 1 <= accepted <= 3


def test_flush_and_close_in_a_callback_return_at_once(server: Server) -> None:
    ended = run(f"""
        import time, analytics_client
        seen = []
        def on_delivered(end):
            started = time.monotonic()
            seen.append((client.flush(10), time.monotonic() - started < 1))
            if len(seen) == 3:
                seen.append(client.close(10))
        client = analytics_client.Client("k", host="{server.url}", on_delivered=on_delivered)
        for _ in range(3):
            client.track("u", "E")
        client.flush(10)
        print(seen, client.track("u", "late"), client.stats.pending)
    """)
    assert ended.out == "[(False, True), (False, True), (False, True), False] None 0\n"
    assert ended.err == ""


def test_a_callback_that_blocks_holds_up_no_close() -> None:
    with serving() as server:
        ended = run(f"""
            import threading, time, analytics_client
            client = analytics_client.Client("k", host="{server.url}", on_delivered=lambda end: time.sleep(30))
            client.track("u", "E")
            client.track("u", "F")
            started = time.monotonic()
            print(client.flush(0.5), client.close(0.5), time.monotonic() - started < 1.5, client.stats.pending)
            print(client.stats.delivered, client.stats.failed)
        """)
    assert ended.out == "False False True 0\n2 {}\n"


def test_a_callback_that_raises_stops_nothing(server: Server) -> None:
    ended = run(f"""
        import sys, analytics_client
        def explode(end):
            sys.exit(3)
        client = analytics_client.Client("k", host="{server.url}", on_delivered=explode, on_failed=explode)
        for _ in range(5):
            client.track("u", "E")
        client.track("u", "")
        print(client.flush(5), client.track("u", "E") is not None, client.flush(5), client.stats.delivered)
        print(client.stats.notices)
    """)
    assert ended.out == "True True True 6\n{'callback_error': 7}\n"
    assert ended.err == ""


def test_the_loop_outlives_its_own_bugs(server: Server) -> None:
    ended = run(f"""
        import analytics_client
        from analytics_client.delivery.consumer import Consumer
        attempt, bugs = Consumer._attempt, []
        def buggy(self, *args):
            if len(bugs) < 3:
                bugs.append(1)
                raise [SystemExit, MemoryError, ZeroDivisionError][len(bugs) - 1]
            return attempt(self, *args)
        Consumer._attempt = buggy
        client = analytics_client.Client("k", host="{server.url}")
        for _ in range(5):
            client.track("u", "E")
        print(client.flush(15), client.stats.delivered, client.stats.notices)
    """)
    assert ended.out == "True 5 {'internal': 3}\n"
    assert ended.err == ""
    assert len(set(server.ids())) == len(server.ids()) == 5
