"""Celery's signals, with its in-memory broker and a worker in a thread: the scope of the caller, in the task only."""

import datetime as dt
import json
import math
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery.app.trace import build_tracer
from celery.contrib.testing.worker import start_worker
from celery.exceptions import Ignore, Reject
from celery.signals import before_task_publish, setup_logging, task_postrun, task_prerun, worker_process_shutdown

from analytics_client import Client, carry, implicit, scope
from analytics_client.contrib.celery import HEADER, MOST_BYTES, connect
from analytics_client.scopes import current
from tests.support.server import Server

SIGNALS = (before_task_publish, task_prerun, task_postrun, worker_process_shutdown)


#: The client that the tasks below use: one worker serves all tests, as starting and stopping one takes seconds.
serving: list[Client] = []


@pytest.fixture(autouse=True)
def _disconnected() -> Iterator[None]:
    """Signals are the process's: no test leaves its receivers behind."""
    yield
    serving.clear()
    for signal in SIGNALS:
        signal.disconnect(dispatch_uid=HEADER)


@pytest.fixture
def seen() -> list[dict[str, Any]]:
    """Every message that a task has made."""
    return []


@pytest.fixture
def client(seen: list[dict[str, Any]]) -> Client:
    made = Client("k", before_send=seen.append)  # returns None: nothing is sent
    serving.append(made)
    connect(made)
    return made


@pytest.fixture(scope="module")
def module_app() -> Celery:
    made = Celery("tasks", broker=f"memory://{uuid.uuid4().hex}/", backend="cache+memory://", set_as_current=False)
    made.conf.worker_hijack_root_logger = False
    made.conf.broker_connection_retry_on_startup = False
    made.conf.broker_transport_options = {"polling_interval": 0.01}

    def track(event: str) -> None:
        serving[0].track(None, event, anonymous_id=None if current() else "nobody")

    @made.task(shared=False, name="note")
    def note(what: str, *_: Any) -> str:
        track(what)
        return what

    @made.task(shared=False, name="fail")
    def fail(_: Any = None) -> None:
        track("fail")
        raise ValueError

    @made.task(shared=False, name="raise")
    def raising(kind: str) -> None:
        raise {"Ignore": Ignore(), "Reject": Reject("no", requeue=False), "SystemExit": SystemExit(1)}[kind]

    @made.task(shared=False, name="again", bind=True, max_retries=3)
    def again(self: Any, other: str | None = None) -> int:
        track(f"try {self.request.retries}")
        if self.request.retries < 2:
            with scope(user_id=other):
                raise self.retry(countdown=0)
        return int(self.request.retries)

    @made.task(shared=False, name="outer")
    def outer() -> None:
        note.delay("inherits")
        with scope(user_id="deeper", context={"inner": 1}):
            note.delay("deeper")
        track("outer")

    @made.task(shared=False, name="replaced", bind=True)
    def replaced(self: Any) -> None:
        raise self.replace(note.s("replacement"))

    return made


@pytest.fixture
def app(module_app: Celery, client: Client) -> Celery:
    return module_app


@pytest.fixture(scope="module")
def module_worker(module_app: Celery) -> Iterator[None]:
    def leave_logging_alone(**_: Any) -> None:
        """A receiver of this signal is all it takes."""

    setup_logging.connect(leave_logging_alone)
    with start_worker(module_app, perform_ping_check=False, loglevel="ERROR", shutdown_timeout=20):
        yield
    setup_logging.disconnect(leave_logging_alone)


@pytest.fixture
def worker(module_worker: None, client: Client) -> None:
    """A solo worker in a thread: it takes one task after the other."""


class Request:
    """A task's request, as far as it is looked at."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)

    def get(self, name: str) -> Any:
        return getattr(self, name, None)


class Task:
    """A task, as far as it is looked at."""

    def __init__(self, header: Any) -> None:
        self.request = Request({HEADER: header})


def until(seen: list[dict[str, Any]], count: int) -> None:
    """Wait until so many events were made."""
    deadline = time.monotonic() + 15
    while len(seen) < count:
        assert time.monotonic() < deadline, [each["event"] for each in seen]
        time.sleep(0.005)


def people(seen: list[dict[str, Any]]) -> dict[str, Any]:
    """Who each event was of."""
    assert len({each["event"] for each in seen}) == len(seen)
    return {each["event"]: each.get("userId", each.get("anonymousId")) for each in seen}


def task_of(app: Celery, name: str) -> Any:
    return app.tasks[name]


# -- the scope of the caller -----------------------------------------------------------------------------------------


def test_delay_and_apply_async(app: Celery, worker: None, seen: list[dict[str, Any]]) -> None:
    note = task_of(app, "note")
    with scope("u-1", "a-1", context={"ip": "1.2.3.4", "page": {"path": "/é"}}, integrations={"All": False}):
        note.delay("delayed").get(timeout=10, interval=0.01)
        note.apply_async(["applied"], headers={"mine": "x"}).get(timeout=10, interval=0.01)
    note.delay("without").get(timeout=10, interval=0.01)
    app.send_task("note", ["by name, without"]).get(timeout=10, interval=0.01)
    assert people(seen) == {"delayed": "u-1", "applied": "u-1", "without": "nobody", "by name, without": "nobody"}
    first = seen[0]
    assert first["anonymousId"] == "a-1"
    assert first["context"]["ip"] == "1.2.3.4"
    assert first["context"]["page"] == {"path": "/é"}
    assert first["integrations"] == {"All": False}
    assert "ip" not in seen[2]["context"]
    assert "integrations" not in seen[2]


def test_chains_groups_and_chords(app: Celery, worker: None, seen: list[dict[str, Any]]) -> None:
    note = task_of(app, "note")
    with scope("chained"):
        chain(note.si("c1"), note.si("c2"), note.si("c3")).delay().get(timeout=10, interval=0.01)
    with scope("grouped"):
        group(note.si("g1"), note.si("g2")).delay().get(timeout=10, interval=0.01)
    with scope("chorded"):
        chord([note.si("h1"), note.si("h2")], note.si("body")).delay().get(timeout=10, interval=0.01)
    assert people(seen) == {
        **dict.fromkeys(("c1", "c2", "c3"), "chained"),
        **dict.fromkeys(("g1", "g2"), "grouped"),
        **dict.fromkeys(("h1", "h2", "body"), "chorded"),
    }


def test_callbacks_of_success_and_failure(app: Celery, worker: None, seen: list[dict[str, Any]]) -> None:
    note, fail = task_of(app, "note"), task_of(app, "fail")
    done = note.si("linked")
    failed = note.si("after the failure")
    with scope("u-1"):
        note.apply_async(["first"], link=done).get(timeout=10, interval=0.01)
        fail.apply_async(link_error=failed).get(timeout=10, interval=0.01, propagate=False)
    until(seen, 4)
    note.delay("last").get(timeout=10, interval=0.01)
    assert people(seen) == {
        "first": "u-1",
        "linked": "u-1",
        "fail": "u-1",
        "after the failure": "u-1",
        "last": "nobody",
    }


def test_a_task_tried_again_is_as_it_was(app: Celery, worker: None, seen: list[dict[str, Any]]) -> None:
    with scope("u-1", context={"ip": "1.2.3.4"}):
        assert task_of(app, "again").delay("somebody else").get(timeout=10, interval=0.01) == 2
    assert people(seen) == {"try 0": "u-1", "try 1": "u-1", "try 2": "u-1"}
    assert {each["context"]["ip"] for each in seen} == {"1.2.3.4"}


def test_nested_tasks(app: Celery, worker: None, seen: list[dict[str, Any]]) -> None:
    with scope("u-1", context={"ip": "1.2.3.4"}):
        task_of(app, "outer").delay().get(timeout=10, interval=0.01)
        task_of(app, "replaced").delay().get(timeout=10, interval=0.01)
    until(seen, 4)
    task_of(app, "note").delay("last").get(timeout=10, interval=0.01)
    assert people(seen) == {
        "outer": "u-1",
        "inherits": "u-1",
        "deeper": "deeper",
        "replacement": "u-1",
        "last": "nobody",
    }
    [deeper] = [each for each in seen if each["event"] == "deeper"]
    assert (deeper["context"]["ip"], deeper["context"]["inner"]) == ("1.2.3.4", 1)


@pytest.mark.parametrize("how", ["fail", "Ignore", "Reject"])
def test_the_scope_ends_with_the_task_however_it_ends(
    how: str, app: Celery, worker: None, seen: list[dict[str, Any]]
) -> None:
    with scope("u-1"):
        if how == "fail":
            task_of(app, "fail").delay().get(timeout=10, interval=0.01, propagate=False)
        else:
            task_of(app, "raise").delay(how)
    task_of(app, "note").delay("last").get(timeout=10, interval=0.01)
    assert people(seen)["last"] == "nobody"


def test_the_scope_ends_with_a_task_that_leaves_by_base_exception(app: Celery, client: Client) -> None:
    raising = task_of(app, "raise")
    tracer = build_tracer("raise", raising, app=app)
    with pytest.raises(SystemExit):
        tracer("id", ["SystemExit"], {}, {HEADER: '{"user_id": "u-1"}'})
    assert current() is None
    assert client.stats.notices == {}


@pytest.mark.parametrize("always_eager", [True, False])
def test_eager_tasks_run_in_the_scope_they_are_in(always_eager: bool, app: Celery, seen: list[dict[str, Any]]) -> None:
    app.conf.task_always_eager = always_eager
    note, again = task_of(app, "note"), task_of(app, "again")
    with scope("u-1"):
        (note.delay if always_eager else lambda *given: note.apply(given))("eager")
        again.apply()
        assert current() is not None
    note.apply(["after"])
    assert people(seen) == {"eager": "u-1", "after": "nobody"} | {f"try {each}": "u-1" for each in range(3)}
    assert current() is None


def test_threads_of_one_worker_keep_their_scopes_apart(app: Celery, seen: list[dict[str, Any]]) -> None:
    """As the threads pool runs tasks, with Celery's own tracer."""
    tracer = build_tracer("note", task_of(app, "note"), app=app)

    def run(number: int) -> None:
        header = {HEADER: json.dumps({"user_id": f"u-{number}"})} if number % 2 else {}
        tracer(str(number), [str(number)], {}, header)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(200)))
    assert people(seen) == {str(number): f"u-{number}" if number % 2 else "nobody" for number in range(200)}


def test_two_runs_of_one_task_may_overlap(client: Client) -> None:
    """A broker may deliver a task again while it still runs; it has the same id, and its own request."""
    inside, found = threading.Barrier(2), []

    def run(person: str) -> None:
        task = Task(json.dumps({"user_id": person}))
        task_prerun.send(sender=task, task_id="same", task=task, args=(), kwargs={})
        inside.wait(10)
        here = current()
        inside.wait(10)
        task_postrun.send(sender=task, task_id="same", task=task, args=(), kwargs={})
        found.append((person, here.user_id if here else None, current()))

    threads = [threading.Thread(target=carry(run), args=(person,)) for person in ("u-1", "u-2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(found, key=str) == [("u-1", "u-1", None), ("u-2", "u-2", None)]


# -- the header ------------------------------------------------------------------------------------------------------


def published(**headers: Any) -> dict[str, Any]:
    """The headers of a message queued here and now."""
    before_task_publish.send(sender="task", headers=headers, body=((), {}, {}))
    return headers


def run_with(header: Any) -> Any:
    """The scope that a task finds which came with this header."""
    task = Task(header)
    task_prerun.send(sender=task, task_id="1", task=task, args=(), kwargs={})
    here = current()
    task_postrun.send(sender=task, task_id="1", task=task, args=(), kwargs={})
    assert current() is None
    return here


def test_without_a_scope_there_is_no_header(client: Client) -> None:
    assert published(mine=1) == {"mine": 1}
    with scope():
        assert published() == {}


def test_a_users_own_headers_stay(client: Client) -> None:
    with scope("u-1"):
        assert published(mine=1, id="x") == {"mine": 1, "id": "x", HEADER: '{"user_id": "u-1"}'}
        assert published(**{HEADER: "theirs"}) == {HEADER: "theirs"}


@pytest.mark.parametrize(
    "header",
    [
        "",
        "garbage",
        "[1, 2]",
        "7",
        "null",
        '"text"',
        "{}",
        "[" * 10_000,
        '{"a":' * 3_000,
        f'{{"user_id": {"9" * 5_000}}}',
        f'{{"user_id": "{"x" * 2_000_000}"}}',
        '{"user_id": ["u-1"], "anonymous_id": {}, "context": [1], "integrations": "All"}',
        '{"user_id": true, "anonymous_id": 1.5, "context": null}',
        '{"user_id": "  ", "anonymous_id": ""}',
        '{"userId": "u-1", "other": 1}',
        b'{"user_id": "u-1"}',
        {"user_id": "u-1"},
        ["u-1"],
        7,
        True,
    ],
    ids=lambda header: str(header)[:20],
)
def test_a_header_that_is_not_ours_does_nothing(
    header: Any, app: Celery, worker: None, seen: list[dict[str, Any]], client: Client
) -> None:
    if isinstance(header, bytes):  # no broker carries them as they are
        assert run_with(header) is None
        return
    result = task_of(app, "note").apply_async(["ran"], headers={HEADER: header})
    assert result.get(timeout=10, interval=0.01) == "ran"
    assert people(seen) == {"ran": "nobody"}
    assert set(client.stats.notices) <= {"hook"}


def test_a_forged_header_can_say_no_more_than_who_and_where(app: Celery, worker: None, server: Server) -> None:
    """Who can write to the broker can run any task; here they cannot make one fail, nor lose its event."""
    deep = json.loads('{"a":' * 400 + "1" + "}" * 400)
    forged = {"user_id": "someone\ud800", "context": {"a": deep, "n": 10**400}, "write_key": "x", "__class__": "y"}
    real = Client("k2", host=server.url)
    serving[0] = real
    result = task_of(app, "note").apply_async(["ran"], headers={HEADER: json.dumps(forged)})
    assert result.get(timeout=10, interval=0.01) == "ran"
    assert real.flush()
    [event] = server.seen[0].events
    assert event["userId"] == "someone\ufffd"
    assert set(event) == {"type", "event", "userId", "messageId", "timestamp", "context"}


def test_what_has_no_form_in_json(client: Client) -> None:
    class Odd:
        def __str__(self) -> str:
            raise ValueError

    when = dt.datetime(2026, 1, 2, 3, 4, 5)
    context: dict[Any, Any] = {
        "naive": when,
        "aware": when.replace(tzinfo=dt.timezone(dt.timedelta(hours=2))),
        "date": when.date(),
        "uuid": uuid.UUID(int=1),
        "decimal": Decimal("1.5"),
        "mapping": MappingProxyType({"a": 1}),
        "set": {1},
        "odd": Odd(),
        "secret": b"\xff",
        b"key": 1,
        1: "one",
        "nan": float("nan"),
        "surrogate": "\ud800",
    }
    with scope(uuid.UUID(int=2), 7, context=context):
        header = published()[HEADER]
    found = run_with(header)
    assert (found.user_id, found.anonymous_id) == (str(uuid.UUID(int=2)), 7)
    assert math.isnan(found.context.pop("nan"))
    assert found.context == {
        "naive": "2026-01-02T03:04:05Z",
        "aware": "2026-01-02T03:04:05+02:00",
        "date": "2026-01-02",
        "uuid": str(uuid.UUID(int=1)),
        "decimal": 1.5,
        "mapping": {"a": 1},
        "set": [1],
        "odd": None,
        "secret": None,
        "1": "one",
        "surrogate": "\ud800",
    }
    assert client.stats.notices == {"celery_scope": 2}


def test_a_context_that_holds_itself_leaves_the_person(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    context: dict[str, Any] = {}
    context["self"] = context
    with scope("u-1", context=context):
        assert published() == {HEADER: '{"user_id": "u-1"}'}
        assert published() == {HEADER: '{"user_id": "u-1"}'}
    assert client.stats.notices == {"celery_scope": 2}
    assert len([each for each in caplog.records if each.name == "analytics_client"]) == 1


def test_a_scope_that_is_too_large_leaves_the_person(client: Client) -> None:
    room = MOST_BYTES - len(json.dumps({"user_id": "u-1", "context": {"x": ""}}))
    with scope("u-1", context={"x": "y" * room}):
        assert len(published()[HEADER]) == MOST_BYTES
        header = published()[HEADER]
    assert run_with(header).context == {"x": "y" * room}
    assert client.stats.notices == {}
    with scope("u-1", context={"x": "y" * (room + 1)}):
        assert published() == {HEADER: '{"user_id": "u-1"}'}
    with scope("é" * MOST_BYTES, context={"x": "y"}):
        assert published() == {}
    assert client.stats.notices == {"celery_scope": 2}


@pytest.mark.parametrize("value", [object(), True, 1.5, ["u-1"], b"u-1", "", " "])
def test_an_id_that_is_none_does_not_travel(value: Any, client: Client) -> None:
    with scope(value, "a-1"):
        assert published() == {HEADER: '{"anonymous_id": "a-1"}'}


class Raising:
    """A scope's values that cannot be found out."""

    anonymous_id = context = integrations = None

    @property
    def user_id(self) -> Any:
        raise RuntimeError("pk")


def test_values_that_raise_do_not_stop_the_queueing(
    app: Celery, worker: None, seen: list[dict[str, Any]], client: Client
) -> None:
    with scope.of(Raising()):
        assert task_of(app, "note").delay("ran").get(timeout=10, interval=0.01) == "ran"
    assert people(seen) == {"ran": "nobody"}
    assert client.stats.notices == {"hook": 1}


@pytest.mark.parametrize("given", [None, "text", []])
def test_signals_without_what_they_should_bring(given: Any, client: Client) -> None:
    with scope("u-1"):
        before_task_publish.send(sender="task", headers=given)
    task_prerun.send(sender="task", task_id="1", task=given)
    task_postrun.send(sender="task", task_id="1", task=given)
    assert client.stats.notices == {"hook": 2}
    assert current() is None


# -- connect ---------------------------------------------------------------------------------------------------------


def test_connecting_twice_replaces(client: Client, server: Server) -> None:
    counts = [len(signal.receivers) for signal in SIGNALS]
    second = Client("second", host=server.url, flush_interval=60)
    connect(second)
    assert [len(signal.receivers) for signal in SIGNALS] == counts
    with scope.of(Raising()):
        published()
    assert (client.stats.notices, second.stats.notices) == ({}, {"hook": 1})
    client.track("u", "first")
    second.track("u", "second")
    worker_process_shutdown.send(sender="host", pid=1, exitcode=0)
    assert [event["event"] for each in server.seen for event in each.events] == ["second"]


def test_connecting_again_while_a_task_runs_leaves_its_scope_in_the_end(client: Client) -> None:
    task = Task('{"user_id": "u-1"}')
    task_prerun.send(sender=task, task_id="1", task=task)
    assert current() is not None
    connect(client)
    task_postrun.send(sender=task, task_id="1", task=task)
    assert current() is None


def test_without_any_client_tasks_run(
    app: Celery,
    worker: None,
    seen: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(implicit, "_client", None)
    monkeypatch.setattr(implicit, "_settings", {})
    monkeypatch.delenv("ANALYTICS_WRITE_KEY", raising=False)
    connect()
    with scope("u-1"):
        assert task_of(app, "note").delay("ran").get(timeout=10, interval=0.01) == "ran"
    with scope.of(Raising()):
        assert task_of(app, "note").delay("ran, too").get(timeout=10, interval=0.01) == "ran, too"
    worker_process_shutdown.send(sender="host", pid=1, exitcode=0)
    assert people(seen) == {"ran": "u-1", "ran, too": "nobody"}
    assert [each.levelname for each in caplog.records if each.name == "analytics_client"].count("ERROR") <= 1


def test_the_default_client_is_closed_with_the_child(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setattr(implicit, "_client", None)
    monkeypatch.setattr(implicit, "_settings", {"write_key": "k", "host": server.url, "flush_interval": 60})
    connect()
    import analytics_client

    analytics_client.track("u-1", "default")
    worker_process_shutdown.send(sender="host", pid=1, exitcode=0)
    assert [event["event"] for each in server.seen for event in each.events] == ["default"]


def test_a_client_that_is_not_enabled_connects_nothing(client: Client) -> None:
    before = [len(signal.receivers) for signal in SIGNALS]
    connect(Client("k", enabled=False))
    assert [len(signal.receivers) for signal in SIGNALS] == [count - 1 for count in before]
    with scope("u-1"):
        assert published() == {}


def test_the_end_of_a_child_is_bounded_and_never_raises(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    connect(client, close_timeout=3.5)
    monkeypatch.setattr(client, "close", waited.append)
    worker_process_shutdown.send(sender="host", pid=1, exitcode=0)
    assert waited == [3.5]
    monkeypatch.setattr(client, "close", lambda _timeout: 1 / 0)
    assert worker_process_shutdown.send(sender="host", pid=1, exitcode=0)[-1][1] is None
    monkeypatch.undo()
    assert client.stats.notices == {"hook": 1}
