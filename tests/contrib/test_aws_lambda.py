"""The Lambda decorator: events leave before a call ends, within the function's time, whatever the handler does."""

import time
from typing import Any

import pytest

from analytics_client import Client
from analytics_client.contrib.aws_lambda import flushing
from tests.support.capture import captured
from tests.support.server import answer, serving


class Context:
    """Lambda's own has this method among others."""

    def __init__(self, milliseconds: float = 3_000) -> None:
        self.milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> float:
        return self.milliseconds


class Watched(Client):
    """Remembers how long it was given to flush."""

    def __init__(self, **options: Any) -> None:
        super().__init__("k", **options)
        self.given: list[float] = []

    def flush(self, timeout: float = 10.0) -> bool:
        self.given.append(timeout)
        return super().flush(timeout)


def test_events_are_sent_before_the_call_returns() -> None:
    client, capture = captured(flush_interval=3_600)

    @flushing(client)
    def handler(event: Any, context: Any) -> Any:
        """Mine."""
        client.track("u", event["name"])
        return {"statusCode": 200}

    assert handler({"name": "one"}, Context()) == {"statusCode": 200}
    assert [event["event"] for event in capture.events] == ["one"]
    handler({"name": "two"}, Context())
    assert [event["event"] for event in capture.events] == ["one", "two"]
    assert (handler.__name__, handler.__doc__) == ("handler", "Mine.")
    client.close()


@pytest.mark.parametrize("error", [LookupError, SystemExit, KeyboardInterrupt])
def test_what_the_handler_raises_passes_after_the_events_are_sent(error: type[BaseException]) -> None:
    client, capture = captured(flush_interval=3_600)

    @flushing(client)
    def handler(event: Any, context: Any) -> None:
        client.track("u", "E")
        raise error("mine")

    with pytest.raises(error, match="mine"):
        handler({}, Context())
    assert len(capture.events) == 1
    client.close()


@pytest.mark.parametrize(
    ("milliseconds", "options", "seconds"),
    [
        (3_000, {}, 2.5),
        (900_000, {}, 10.0),
        (400, {}, 0.0),
        (-5, {}, 0.0),
        (3_000, {"reserve": 1.0}, 2.0),
        (3_000, {"most": 0.2}, 0.2),
    ],
)
def test_it_takes_no_more_than_what_is_left(milliseconds: float, options: dict[str, float], seconds: float) -> None:
    client = Watched(host="https://d.example.com")
    flushing(client, **options)(lambda event, context: None)({}, Context(milliseconds))
    assert client.given == [seconds]


def test_a_real_server_that_hangs_does_not_use_up_the_functions_time() -> None:
    with serving(then=lambda seen, connection: time.sleep(3)) as server:
        client = Client("k", host=server.url)

        @flushing(client)
        def handler(event: Any, context: Any) -> str:
            client.track("u", "E")
            return "done"

        started = time.monotonic()
        assert handler({}, Context(800)) == "done"
        assert 0.25 < time.monotonic() - started < 2
        assert client.stats.notices["lambda_unsent"] == 1
        assert client.stats.pending == 1
        client.close(0)


def test_what_was_not_sent_goes_with_the_next_call() -> None:
    with serving(answer(503, b"", "Retry-After: 1")) as server:
        client = Client("k", host=server.url)
        handler = flushing(client)(lambda event, context: client.track("u", "E"))
        handler({}, Context(700))
        assert client.stats.pending == 1
        handler({}, Context(8_000))
        assert client.stats.pending == 0
        assert len(set(server.ids())) == 2
        client.close()


class Raising:
    def get_remaining_time_in_millis(self) -> float:
        raise ZeroDivisionError


class Odd:
    get_remaining_time_in_millis = "3000"


@pytest.mark.parametrize("context", [None, object()])
def test_a_context_that_does_not_say_how_much_is_left(context: Any) -> None:
    client = Watched(host="https://d.example.com")
    assert flushing(client, most=4.0)(lambda event, context: "done")({}, context) == "done"
    assert client.given == [4.0]
    assert client.stats.notices == {}


@pytest.mark.parametrize("context", [Raising(), Odd()])
def test_a_context_that_raises(context: Any) -> None:
    client = Watched(host="https://d.example.com")
    assert flushing(client)(lambda event, context: "done")({}, context) == "done"
    assert client.stats.notices == {"hook": 1}


@pytest.mark.parametrize("given", [None, Client("k", enabled=False)])
def test_without_an_enabled_client(given: Client | None, monkeypatch: pytest.MonkeyPatch) -> None:
    import analytics_client

    monkeypatch.setattr(analytics_client, "default_client", lambda: given)
    assert flushing()(lambda event, context: "done")({}, Context()) == "done"
