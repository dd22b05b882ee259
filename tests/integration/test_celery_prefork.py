"""A real Celery worker on a real Redis: every run's event arrives once, with the person its task was queued for.

The worker's clients hold their events for a minute (`flush_interval`), so that whatever arrives within these tests was
sent because a process ended, and not because time had passed.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.result import AsyncResult
from celery.signals import before_task_publish, task_postrun, task_prerun, worker_process_shutdown

from analytics_client import Client, scope
from analytics_client.collector import Collector
from analytics_client.contrib.celery import HEADER, connect
from tests.support.brokers import redis, redis_server
from tests.support.processes import ROOT
from tests.support.server import Seen, answer
from tests.support.server import serving as serving_events
from tests.support.servers import arrived, clean_environment, until

pytestmark = pytest.mark.timeout(150)

PREFORK = ("--pool", "prefork", "--concurrency", "2")


@pytest.fixture
def broker() -> Iterator[str]:
    with redis() as url:
        yield url


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture
def shop(broker: str) -> Iterator[Celery]:
    """Whoever queues the tasks: it knows them by name only."""
    app = Celery("shop", broker=f"{broker}/0", backend=f"{broker}/1", set_as_current=False)
    connect(Client("k", enabled=True))
    yield app
    for signal_ in (before_task_publish, task_prerun, task_postrun, worker_process_shutdown):
        signal_.disconnect(dispatch_uid=HEADER)
    app.close()


def queue(shop: Celery, name: str, number: int, *arguments: Any) -> "AsyncResult[int]":
    """Queue a task within the scope of a person of its own."""
    with scope(f"u-{number}", f"a-{number}", context={"ip": f"10.0.0.{number % 250}", "page": {"path": f"/{number}"}}):
        return shop.send_task(name, [number, *arguments])


def done(results: "list[AsyncResult[int]]") -> list[int]:
    """Wait for the tasks' ends; return the processes they ran in."""
    return [result.get(timeout=60, interval=0.02) for result in results]


@dataclass
class Worker:
    """A worker's main process, the leader of its group."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self, timeout: float = 60.0) -> None:
        """End it by TERM: Celery's warm shutdown."""
        self.process.send_signal(signal.SIGTERM)
        self.ended(timeout)

    def ended(self, timeout: float = 60.0) -> None:
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s\n{self.output()}") from None
        assert status == 0, self.output()
        assert "Traceback" not in self.output(), self.output()
        assert "events not delivered" not in self.output(), self.output()


@contextmanager
def working(url: str, broker: str, directory: Path, *options: str, **environment: str) -> Iterator[Worker]:
    """Run a worker whose events go to `url`, until the block ends; nothing of it is left then."""
    ours = {"TEST_REDIS": broker, "TEST_DIRECTORY": str(directory), "ANALYTICS_FLUSH_INTERVAL": "60"}
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "tests.support.celery_app", "worker", "-l", "info", *options],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=clean_environment(url, ours | environment),
        )
    worker = Worker(process, log)

    def ready() -> bool:
        assert process.poll() is None, f"the worker has ended with {process.returncode}\n{worker.output()}"
        return " ready." in worker.output()

    try:
        until(ready, 60, worker.output)
        yield worker
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def ran(directory: Path, *, but: int | None = None) -> "Counter[tuple[int, int]]":
    """Count the runs by task and attempt, as the tasks have noted them; without those of the process `but`."""
    lines = [tuple(map(int, line.split())) for line in (directory / "runs").read_text().splitlines()]
    return Counter((number, attempt) for number, attempt, process in lines if process != but)


def compare(collector: Collector, runs: "Counter[tuple[int, int]]") -> None:
    """What arrived is what ran: an event for each run, sent once, of the right person and page."""
    events = [each for several in arrived(collector).values() for each in several]
    properties = [each["event"]["properties"] for each in events]
    assert Counter((each["n"], each["attempt"]) for each in properties) == runs
    for each in events:
        event = each["event"]
        number = event["properties"]["n"]
        # A nested task is about the person of the one that queued it.
        person = number - number % 2 if number >= 1_000 else number
        assert each["copies"] == 1, each
        assert (event["userId"], event["anonymousId"]) == (f"u-{person}", f"a-{person}")
        assert event["context"]["ip"] == f"10.0.0.{person % 250}"
        assert event["context"]["page"] == {"path": f"/{person}"}
    assert collector.stats()["violations"] == 0


def test_every_run_has_its_event_with_its_person(
    broker: str, collector: Collector, shop: Celery, tmp_path: Path
) -> None:
    with working(collector.url, broker, tmp_path, *PREFORK) as worker:
        results = [queue(shop, "work", number, 0.01) for number in range(60)]
        results += [queue(shop, "again", number) for number in range(60, 70)]
        processes = set(done(results))
        assert len(processes) == 2
        assert worker.process.pid not in processes
        assert collector.stats()["arrived"] == 0
        worker.stop()
    runs = ran(tmp_path)
    assert set(runs) == {(number, 0) for number in range(70)} | {(n, again) for n in range(60, 70) for again in (1, 2)}
    compare(collector, runs)


@pytest.mark.full
def test_children_that_are_recycled(broker: str, collector: Collector, shop: Celery, tmp_path: Path) -> None:
    with working(collector.url, broker, tmp_path, *PREFORK, "--max-tasks-per-child", "7") as worker:
        processes = done([queue(shop, "work", number) for number in range(100)])
        assert len(set(processes)) >= 100 // 7
        worker.stop()
    assert set(ran(tmp_path)) == {(number, 0) for number in range(100)}
    compare(collector, ran(tmp_path))


@pytest.mark.full
@pytest.mark.parametrize(
    "pool",
    [
        PREFORK,
        ("--pool", "threads", "--concurrency", "4"),
        ("--pool", "solo"),
        ("--pool", "gevent", "--concurrency", "20"),
    ],
    ids=lambda pool: pool[1],
)
def test_every_pool(pool: tuple[str, ...], broker: str, collector: Collector, shop: Celery, tmp_path: Path) -> None:
    with working(collector.url, broker, tmp_path, *pool) as worker:
        results = [queue(shop, "work", number, 0.005) for number in range(100)]
        results += [queue(shop, "again", number) for number in range(100, 110)]
        results += [queue(shop, "nested", number) for number in range(1_000, 1_020, 2)]
        done(results)
        until(lambda: worker.output().count(" succeeded in ") >= 130, 30, worker.output)
        assert collector.stats()["arrived"] == 0
        worker.stop()
    assert {number for number, _ in ran(tmp_path)} == {*range(110), *range(1_000, 1_020)}
    compare(collector, ran(tmp_path))


@pytest.mark.full
@pytest.mark.parametrize("pool", [PREFORK, ("--pool", "threads", "--concurrency", "4")], ids=lambda pool: pool[1])
def test_a_warm_shutdown_under_load_loses_nothing_and_the_next_worker_does_the_rest(
    pool: tuple[str, ...], broker: str, collector: Collector, shop: Celery, tmp_path: Path
) -> None:
    count = 400
    results = [queue(shop, "work", number, 0.01) for number in range(count)]
    with working(collector.url, broker, tmp_path, *pool) as worker:
        until(results[40].ready, 40, worker.output)
        worker.stop()
    finished = {number for number, result in enumerate(results) if result.successful()}
    assert 40 <= len(finished) < count
    assert finished <= {number for number, _ in ran(tmp_path)}
    compare(collector, ran(tmp_path))
    with working(collector.url, broker, tmp_path, *pool) as worker:
        done(results)
        worker.stop()
    assert set(ran(tmp_path)) == {(number, 0) for number in range(count)}
    compare(collector, ran(tmp_path))


@pytest.mark.full
def test_a_cold_shutdown_breaks_off_tasks_and_loses_no_event(
    broker: str, collector: Collector, shop: Celery, tmp_path: Path
) -> None:
    with working(collector.url, broker, tmp_path, *PREFORK) as worker:
        done([queue(shop, "work", number, 0.01) for number in range(20)])
        long = [queue(shop, "work", number, 60.0) for number in (20, 21)]
        until(lambda: worker.output().count(" received") >= 22, 20, worker.output)
        worker.process.send_signal(signal.SIGQUIT)
        worker.process.wait(30)
    assert not any(result.ready() for result in long)
    assert {number for number, _ in ran(tmp_path)} >= set(range(20))
    compare(collector, ran(tmp_path))


@pytest.mark.full
def test_a_child_that_is_killed_loses_what_it_had_not_sent_and_the_others_nothing(
    broker: str, collector: Collector, shop: Celery, tmp_path: Path
) -> None:
    with working(collector.url, broker, tmp_path, *PREFORK) as worker:
        processes = done([queue(shop, "work", number, 0.01) for number in range(60)])
        victim = processes[0]
        os.kill(victim, signal.SIGKILL)
        more = done([queue(shop, "work", number, 0.01) for number in range(60, 120)])
        assert victim not in more
        assert len({*processes, *more}) == 3
        worker.process.send_signal(signal.SIGTERM)
        worker.process.wait(60)
    survived = ran(tmp_path, but=victim)
    assert 60 < len(survived) < len(ran(tmp_path)) == 120
    compare(collector, survived)


@pytest.mark.full
def test_a_task_that_is_delivered_again_has_as_many_events_as_runs(
    broker: str, collector: Collector, shop: Celery, tmp_path: Path
) -> None:
    with working(collector.url, broker, tmp_path, *PREFORK) as worker:
        done([queue(shop, "killed", 1)])
        done([queue(shop, "work", number) for number in range(2, 6)])
        worker.process.send_signal(signal.SIGTERM)
        worker.process.wait(60)
    assert set(ran(tmp_path)) == {(1, 0), (1, 1), *((number, 0) for number in range(2, 6))}
    compare(collector, ran(tmp_path))


@pytest.mark.full
def test_children_have_the_time_to_send_to_a_slow_endpoint(broker: str, shop: Celery, tmp_path: Path) -> None:
    """Each answer takes two seconds, and the main process waits for its children."""

    def slow(_seen: Seen, _connection: object) -> bytes:
        time.sleep(2)
        return answer(200)

    with serving_events(then=slow) as server, working(server.url, broker, tmp_path, *PREFORK) as worker:
        done([queue(shop, "work", number, 0.01) for number in range(40)])
        assert server.seen == []
        worker.stop()
        numbers = Counter(event["properties"]["n"] for each in server.seen for event in each.events)
    assert numbers == dict.fromkeys(range(40), 1)


@pytest.mark.full
def test_the_end_of_a_child_is_bounded_while_the_endpoint_hangs(broker: str, shop: Celery, tmp_path: Path) -> None:
    def hang(_seen: Seen, _connection: object) -> bytes:
        time.sleep(60)
        return answer(200)

    with serving_events(then=hang) as server, working(server.url, broker, tmp_path, *PREFORK) as worker:
        done([queue(shop, "work", number, 0.01) for number in range(4)])
        started = time.monotonic()
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(60) == 0
        assert time.monotonic() - started < 30  # close_timeout is 10


def test_the_example(tmp_path: Path) -> None:
    redis_server()
    ended = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "run.py"), "celery_tasks"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "7 events arrived" in ended.stdout
    assert "exactly the promised ones, once each" in ended.stdout
