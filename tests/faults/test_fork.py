"""Forks at any moment, by Python, by C code, by multiprocessing: no hang, and every event once."""

import os
import sys

import pytest

from analytics_client.delivery import process
from tests.support.processes import run
from tests.support.server import Server, serving

pytestmark = pytest.mark.timeout(150)


def by_name(server: Server) -> dict[str, list[str]]:
    """The message ids of the events that arrived, by the event's name."""
    names: dict[str, list[str]] = {}
    for seen in server.seen:
        for event in seen.events:
            names.setdefault(event["event"], []).append(event["messageId"])
    return names


def test_parent_and_child_each_send_their_own(server: Server) -> None:
    ended = run(f"""
        import os, analytics_client
        client = analytics_client.Client("k", host="{server.url}", flush_interval=60)
        for _ in range(10):
            client.track("u", "parent")
        pid = os.fork()
        if not pid:
            assert client.stats.calls == 0, client.stats
            for _ in range(5):
                client.track("u", "child")
            assert client.flush(10)
            assert client.stats.delivered == 5
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert client.stats.accepted == 10
        client.close()
    """)
    assert (ended.status, ended.err) == (0, "")
    names = by_name(server)
    assert [len(names[each]) for each in ("parent", "child")] == [10, 5]
    assert len(set(server.ids())) == 15


def test_a_child_that_ends_normally_sends_at_its_exit(server: Server) -> None:
    ended = run(f"""
        import os, sys, analytics_client
        client = analytics_client.Client("k", host="{server.url}", flush_interval=60)
        client.track("u", "parent")
        pid = os.fork()
        client.track("u", "after in " + ("parent" if pid else "child"))
        if pid:
            os.waitpid(pid, 0)
    """)
    assert (ended.status, ended.err) == (0, "")
    assert {name: len(ids) for name, ids in by_name(server).items()} == {
        "parent": 1,
        "after in parent": 1,
        "after in child": 1,
    }


STORM = """
    import os, ctypes, threading, time, signal, analytics_client
    fork, parked = {fork}, {parked}
    client = analytics_client.Client("k", host="{url}", flush_interval=0.05)
    client.track("u", "warm up")
    stop, pause = threading.Event(), threading.Barrier(9)
    made = [0] * 8
    def work(number):
        while not stop.is_set():
            if parked:
                pause.wait(60)           # all eight and the forking thread are here ...
                pause.wait(60)           # ... and stay until it has forked
            if client.track(f"u{{number}}", "parent"):
                made[number] += 1
            time.sleep(0.0005)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads]
    take, held, release = threading.Semaphore(0), threading.Semaphore(0), threading.Semaphore(0)
    def hold():                          # one more holds the delivery's lock at every fork
        while True:
            take.acquire()
            if stop.is_set():
                return
            with client._delivery.hub._lock:
                held.release()
                release.acquire()
    holder = threading.Thread(target=hold)
    holder.start()
    def switches():
        tasks = [task for task in os.listdir("/proc/self/task") if int(task) != os.getpid()]
        lines = [line for task in tasks for line in open(f"/proc/self/task/{{task}}/status") if "ctxt" in line]
        return lines
    def settle():                        # until all others sleep: who waits for the interpreter wakes each 5 ms
        before, now = None, switches()
        while before != now:
            time.sleep(0.08)
            before, now = now, switches()
    failed = []
    for _ in range({forks}):
        if parked:
            pause.wait(60)
        take.release()
        held.acquire()
        if parked:
            settle()
        pid = fork()
        if not pid:
            signal.alarm(20)             # a child that hangs is killed, and counts as failed
            ok = client.track("c", "child") and client.flush(15) and client.stats.delivered == 1
            os._exit(0 if ok else 9)
        release.release()
        if parked:
            pause.wait(60)
        _, status = os.waitpid(pid, 0)
        if status:
            failed.append(status)
    if parked:
        pause.wait(60)
        stop.set()
        pause.wait(60)
    stop.set()
    take.release()
    [thread.join() for thread in (*threads, holder)]
    print(sum(made), len(failed), client.close(20))
"""


@pytest.mark.parametrize(
    ("fork", "parked"),
    [
        ("os.fork", False),
        # Where C code forks while other threads are inside the interpreter, CPython's own locks may be left held, and
        # no thread can be started in the child, with or without this package: here they stand still meanwhile.
        ("ctypes.PyDLL(None).fork", True),
    ],
    ids=["os.fork", "a fork in C code"],
)
def test_two_hundred_forks_under_eight_tracking_threads(fork: str, parked: bool) -> None:
    with serving() as server:
        ended = run(STORM.format(fork=fork, parked=parked, url=server.url, forks=200), timeout=140)
        assert ended.status == 0, ended.err
        made, failed, ok = ended.out.split()
        names = by_name(server)
    assert (failed, ok) == ("0", "True")
    assert len(names["child"]) == len(set(names["child"])) == 200
    assert len(names["parent"]) == len(set(names["parent"])) == int(made)
    assert ended.err == ""


def test_a_fork_in_c_code_is_noticed_by_every_call(server: Server) -> None:
    for first in ("client.flush(5)", "client.stats", "repr(client)", "client.track('u', '')", "client.close(5)"):
        ended = run(f"""
            import ctypes, os, analytics_client
            client = analytics_client.Client("k", host="{server.url}", flush_interval=60)
            client.track("u", "parent")
            pid = ctypes.PyDLL(None).fork()
            if not pid:
                {first}
                stats = client.stats
                os._exit(0 if stats.accepted == stats.pending == stats.delivered == 0 else 9)
            assert os.waitpid(pid, 0)[1] == 0
        """)
        assert (ended.status, ended.err) == (0, ""), first
    assert len(by_name(server)["parent"]) == 5


def test_two_threads_of_a_child_start_anew_once(server: Server) -> None:
    ended = run(f"""
        import ctypes, os, threading, analytics_client
        client = analytics_client.Client("k", host="{server.url}")
        client.track("u", "parent")
        client.flush()
        pid = ctypes.PyDLL(None).fork()
        if not pid:
            barrier = threading.Barrier(8)
            def work():
                barrier.wait()
                client.track("u", "child")
            threads = [threading.Thread(target=work) for _ in range(8)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            os._exit(0 if client.flush(10) and client.stats.delivered == 8 else 9)
        print(os.waitpid(pid, 0)[1])
    """)
    assert (ended.out, ended.err) == ("0\n", "")
    assert len(by_name(server)["child"]) == 8


def test_ids_of_two_children_are_disjoint(server: Server) -> None:
    ended = run(f"""
        import ctypes, os, analytics_client
        client = analytics_client.Client("k", host="{server.url}")
        client.track("u", "parent")
        for _ in range(4):
            pid = ctypes.PyDLL(None).fork()
            if not pid:
                for _ in range(500):
                    client.track("u", "child")
                os._exit(0 if client.flush(10) else 9)
        print([os.wait()[1] for _ in range(4)])
    """)
    assert (ended.out, ended.err) == ("[0, 0, 0, 0]\n", "")
    assert len(set(server.ids())) == len(server.ids()) == 2_001


def test_a_fork_in_the_middle_of_a_response_leaves_the_parents_connection_alone() -> None:
    import socket
    import threading

    from tests.support.server import OK

    forked = threading.Event()

    def half_then_half(_seen: object, connection: socket.socket) -> bytes:
        connection.sendall(OK[:20])
        forked.wait(20)
        return OK[20:]

    def note(_seen: object, _connection: socket.socket) -> bytes:
        forked.set()
        return OK

    with serving(half_then_half, note) as server:
        ended = run(f"""
            import os, time, analytics_client
            client = analytics_client.Client("k", host="{server.url}")
            client.track("u", "parent")
            while client._delivery.load()[2] == 0: time.sleep(0.01)
            time.sleep(0.1)
            pid = os.fork()
            if not pid:
                client.track("u", "child")
                os._exit(0 if client.flush(10) else 9)
            assert os.waitpid(pid, 0)[1] == 0
            assert client.flush(10)
            print(client.stats.delivered, dict(client.stats.notices))
        """)
        assert (ended.out, ended.err) == ("1 {}\n", "")
        assert len(server.seen) == 2


MULTI = """
    import multiprocessing, os, sys
    import analytics_client

    def work(number):
        client = make()
        client.track("u", "child", {{"n": number}})
        return os.getpid()

    _client = None
    def make():
        global _client
        if _client is None or not {inherited}:
            _client = _client or analytics_client.Client("k", host="{url}", flush_interval=60)
        return _client

    if __name__ == "__main__":
        context = multiprocessing.get_context("{method}")
        if {inherited}:
            make().track("u", "parent")
        {run}
"""
RUNS = {
    "Process": (
        "children = [context.Process(target=work, args=(n,)) for n in range(6)]\n"
        "        [child.start() for child in children]\n"
        "        [child.join(30) for child in children]\n"
        "        print([child.exitcode for child in children])"
    ),
    "Pool": (
        "pool = context.Pool(3)\n"
        "        pool.map(work, range(6))\n"
        "        pool.close()\n"
        "        pool.join()\n"
        "        print([0] * 6)"
    ),
}


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("inherited", [True, False])
def test_children_of_multiprocessing_send_at_their_end(
    kind: str, method: str, inherited: bool, tmp_path: object
) -> None:
    import textwrap
    from pathlib import Path

    with serving() as server:
        script = Path(f"{tmp_path}/script.py")
        script.write_text(
            textwrap.dedent(MULTI.format(url=server.url, method=method, inherited=inherited, run=RUNS[kind]))
        )
        ended = run(f"import runpy, sys; sys.argv = ['{script}']", timeout=60)
        import subprocess

        done = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False, cwd=str(tmp_path)
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 0, 0, 0, 0, 0]\n", "")
        names = by_name(server)
    assert ended.status == 0
    assert len(set(names["child"])) == len(names["child"]) == 6
    assert len(names.get("parent", [])) == int(inherited)


def test_a_client_is_not_sent_to_a_child() -> None:
    ended = run("""
        import multiprocessing, analytics_client
        client = analytics_client.Client("k", enabled=False)
        try:
            multiprocessing.get_context("spawn").Process(target=print, args=(client,)).start()
        except TypeError as error:
            print(error)
    """)
    assert ended.out == "a Client is not pickled: create it in the child process, from the same options\n"


def test_a_callback_may_fork(server: Server) -> None:
    ended = run(f"""
        import os, analytics_client
        def fork(end):
            pid = os.fork()
            if not pid:
                os._exit(0)
            os.waitpid(pid, 0)
        client = analytics_client.Client("k", host="{server.url}", on_delivered=fork)
        for _ in range(5):
            client.track("u", "parent")
        print(client.close(10), client.stats.delivered)
    """)
    assert (ended.out, ended.err) == ("True 5\n", "")


@pytest.mark.parametrize("platform", ["linux", "elsewhere"])
def test_the_marker_tells_a_child_from_its_parent(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", platform)
    marker = process.marker()
    pid = os.fork()
    if not pid:
        os._exit(7 if marker[0] else 0)
    assert os.waitpid(pid, 0)[1] == 0
    assert marker[0]
