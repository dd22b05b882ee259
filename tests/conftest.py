"""What holds for every test: each client's ledger balances at the end, and none is left running."""

import functools
import gc
import signal
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

from analytics_client import Client
from tests.support.server import Server, serving

# The same examples in every run: a test that fails now and then helps nobody. The heavy tier looks for new ones.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)
hypothesis.settings.register_profile("searching", max_examples=500, derandomize=False, deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    """The heavy tier (`-m ""`) searches for new examples."""
    hypothesis.settings.load_profile("steady" if config.option.markexpr else "searching")
    # Started in the background of a script, all of us would ignore Ctrl-C, and so would the processes that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _balanced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every client made in the test: calls and events add up, also after it is closed; and nothing stays pending."""
    clients: list[weakref.ref[Client]] = []
    make = Client.__init__

    @functools.wraps(make)
    def remember(self: Client, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        clients.append(weakref.ref(self))

    monkeypatch.setattr(Client, "__init__", remember)
    yield
    for reference in clients:
        client = reference()
        if client is None:
            continue
        _check(client)
        client.close(timeout=0)
        _check(client)
        assert client.stats.pending == 0


def _check(client: Client) -> None:
    stats = client.stats
    assert stats.calls == stats.accepted + sum(stats.refused.values())
    assert stats.accepted + stats.recovered == stats.delivered + sum(stats.failed.values()) + stats.pending


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that takes everything."""
    with serving() as running:
        yield running


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    """The test leaves no thread of the client behind."""
    gc.collect()
    yield
    gc.collect()
    left = [thread for thread in threading.enumerate() if thread.name == "analytics_client"]
    for thread in left:
        thread.join(5)
    assert not [thread for thread in left if thread.is_alive()]
