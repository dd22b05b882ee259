"""A good guest in any process: many clients, green threads, sub-interpreters, odd interpreters, event loops."""

import sys
from pathlib import Path

import pytest

from tests.support.processes import run
from tests.support.server import Server, serving

pytestmark = pytest.mark.timeout(200)


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.full)])
def test_short_lived_clients_leave_nothing_behind(count: int) -> None:
    with serving() as server:
        ended = run(
            f"""
            import gc, os, sys, threading, time, analytics_client
            def one(number):
                client = analytics_client.Client("k", host="{server.url}", flush_interval=0.001)
                client.track("u", "E", {{"n": number}})
            def resident():
                with open("/proc/self/statm") as file:
                    return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            def settle():
                end = time.monotonic() + 30
                while threading.active_count() > 1 and time.monotonic() < end:
                    gc.collect()
                    time.sleep(0.02)
            for number in range(50):
                one(number)
            settle()
            before = resident(), len(os.listdir("/proc/self/fd"))
            most = 0
            for number in range({count}):
                one(number)
                most = max(most, threading.active_count())
                while threading.active_count() > 20:
                    time.sleep(0.001)
            settle()
            gc.collect()
            after = resident(), len(os.listdir("/proc/self/fd"))
            from analytics_client.delivery import process
            print(threading.active_count(), len(process._living))
            print(after[1] - before[1], (after[0] - before[0]) // {count})
            """,
            timeout=190,
        )
        assert ended.status == 0, ended.err
        assert len(set(server.ids())) == count + 50
    threads, living, descriptors, bytes_each = map(int, ended.out.split())
    assert (threads, living) == (1, 0)
    assert descriptors <= 0
    assert bytes_each < (20_000 if count < 1_000 else 500)


def test_a_client_held_by_its_own_callback_goes_too(server: Server) -> None:
    ended = run(f"""
        import gc, time, threading, weakref, analytics_client
        from analytics_client.delivery import consumer
        consumer.LINGER = 0.2
        def make():
            client = analytics_client.Client("k", host="{server.url}", on_failed=lambda end: client.stats)
            client.track("u", "E")
            return weakref.ref(client)
        made = make()
        end = time.monotonic() + 20
        while (made() is not None or threading.active_count() > 1) and time.monotonic() < end:
            gc.collect()
            time.sleep(0.05)
        print(made(), threading.active_count())
    """)
    assert ended.out == "None 1\n"
    assert len(server.ids()) == 1


def test_threads_go_home_when_there_is_nothing_to_do(server: Server) -> None:
    ended = run(f"""
        import threading, time, analytics_client
        from analytics_client.delivery import consumer
        consumer.LINGER = 0.1
        client = analytics_client.Client("k", host="{server.url}", flush_interval=0.01)
        for _ in range(3):
            client.track("u", "E")
            end = time.monotonic() + 20
            while (threading.active_count() > 1 or client.stats.pending) and time.monotonic() < end:
                time.sleep(0.02)
            print(threading.active_count(), client.stats.delivered)
    """)
    assert ended.out == "1 1\n1 2\n1 3\n"


def test_a_second_client_with_the_same_key_is_noticed(server: Server) -> None:
    ended = run(f"""
        import logging, analytics_client
        logging.basicConfig(format="%(message)s")
        first = analytics_client.Client("a-long-write-key", host="{server.url}")
        other = analytics_client.Client("another-key", host="{server.url}")
        second = analytics_client.Client("a-long-write-key", host="{server.url}")
        third = analytics_client.Client("a-long-write-key", host="{server.url}")
        print([client.stats.notices.get("second_client", 0) for client in (first, other, second, third)])
        for client in (first, second, third):
            client.close()
        print(analytics_client.Client("a-long-write-key", host="{server.url}").stats.notices)
    """)
    assert ended.out == "[0, 0, 1, 1]\n{}\n"
    assert ended.err == "several clients with the same write key are alive: share one, or close them\n"


GREEN = """
    from gevent import monkey
    {early}
    import analytics_client
    client = analytics_client.Client("k", host="{url}", on_delivered=lambda end: None)
    {late}
    import gevent, threading, time
    def work(number):
        for each in range(20):
            client.track(f"u{{number}}", "E", {{"n": each}})
            gevent.sleep(0.001)
    started = time.monotonic()
    ticks = []
    def tick():
        while True:
            ticks.append(time.monotonic())
            gevent.sleep(0.005)
    ticking = gevent.spawn(tick)
    gevent.joinall([gevent.spawn(work, number) for number in range(10)])
    print(client.flush(10), client.stats.delivered, dict(client.stats.notices))
    print(len(ticks) > 5)
    client.track("u", "last")
"""


def test_gevent_patched_before(server: Server) -> None:
    ended = run(GREEN.format(early="monkey.patch_all()", late="", url=server.url))
    assert (ended.out, ended.err) == ("True 200 {}\nTrue\n", "")
    assert len(set(server.ids())) == 201


def test_gevent_patched_before_in_a_forked_worker(server: Server) -> None:
    ended = run(f"""
        from gevent import monkey; monkey.patch_all()
        import os, gevent, analytics_client
        client = analytics_client.Client("k", host="{server.url}", flush_interval=60)
        client.track("u", "parent")
        pid = os.fork()
        if not pid:
            gevent.reinit()
            client.track("u", "child")
            os._exit(0 if client.flush(10) and client.stats.delivered == 1 else 9)
        print(os.waitpid(pid, 0)[1], client.flush(10))
    """)
    assert (ended.out, ended.err) == ("0 True\n", "")
    assert sorted(event["event"] for seen in server.seen for event in seen.events) == ["child", "parent"]


def test_gevent_patched_too_late_is_said() -> None:
    with serving() as server:
        ended = run(f"""
            import logging, analytics_client
            logging.basicConfig(format="%(message)s")
            analytics_client.Client("k0", host="{server.url}").close()
            from gevent import monkey; monkey.patch_all(ssl=False)
            client = analytics_client.Client("k", host="{server.url}")
            client.track("u", "E")
            print(client.flush(10), client.stats.delivered, dict(client.stats.notices))
        """)
    assert ended.out == "True 1 {'patched_late': 1}\n"
    assert ended.err == "gevent or eventlet patched threads after analytics_client: patch first\n"


IN_SUB = """
import sys
sys.path[:] = {path}
import analytics_client
client = analytics_client.Client("k", host="{url}")
for number in range(3):
    assert client.track("u", "E", {{"n": number, "big": 2 ** 70, "set": {{1}}}})
    assert client.stats.delivered == number + 1, client.stats
assert client.close(10)
assert client.stats.notices["no_thread"], client.stats
"""
SUB = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
one = interpreters.create()
failed = interpreters.run_string(one, {code!r})
assert not failed, failed
interpreters.destroy(one)
print("fine", flush=True)
import os
os._exit(0)  # 3.12.1 crashes at its end once any sub-interpreter has imported ssl
"""
PYTHONS = [Path(sys.executable), *sorted(Path.home().glob(".pyenv/versions/3.1[23].*/bin/python3"))]


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: path.parts[-3])
def test_a_sub_interpreter_sends_in_the_calling_thread(python: Path, server: Server) -> None:
    # The compiled packages of this Python are of no use to another: there the standard library encodes.
    site = [str(Path.cwd()), *(path for path in sys.path if "site-packages" in path)]
    own_paths = run("import sys; print(sys.path)", python=str(python)).out.strip()
    code = IN_SUB.format(path=f"{own_paths} + {site}", url=server.url)
    ended = run(SUB.format(code=code), python=str(python), timeout=60)
    assert ended.status == 0, ended.err
    assert ended.out == "fine\n"
    assert [event["properties"]["big"] for seen in server.seen for event in seen.events] == [2**70] * 3


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        (("-O",), {}),
        (("-OO",), {}),
        (("-W", "error"), {}),
        (("-X", "dev"), {}),
        (("-b", "-b"), {}),
        ((), {"LC_ALL": "C", "PYTHONUTF8": "0"}),
        ((), {"TZ": "Asia/Kolkata"}),
        ((), {"PYTHONHASHSEED": "0"}),
        (("-s", "-E"), {}),
    ],
    ids=str,
)
def test_odd_interpreters_give_the_same(options: tuple[str, ...], environment: dict[str, str], server: Server) -> None:
    code = f"""
        import sys; sys.path.insert(0, {str(Path.cwd())!r})
        import datetime, analytics_client
        client = analytics_client.Client("k", host="{server.url}", concurrency=3)
        client.track("\\u00fc", "E", {{"when": datetime.datetime(2022, 2, 1), "text": "\\u65e5\\u672c"}},
                     timestamp="2006-04-07 17:08")
        client.track("u", "E", {{"x": {{1}}}})
        print(client.close(10), client.stats.delivered)
    """
    ended = run(code, options=options, environment=environment)
    assert (ended.out, ended.err) == ("True 2\n", "")
    [event] = [event for seen in server.seen for event in seen.events if event["userId"] == "ü"]
    assert event["timestamp"] == "2006-04-07T17:08:00.000Z"
    assert event["properties"] == {"when": "2022-02-01T00:00:00Z", "text": "日本"}
