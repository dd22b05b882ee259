import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from analytics_client import carry, scope
from analytics_client.scopes import Scope, completed_ids, current
from tests.support.capture import captured


def test_there_is_none_outside() -> None:
    assert current() is None
    with scope(user_id="u"):
        assert current() == Scope("u")
    assert current() is None


def test_the_inner_one_wins_and_the_outer_one_comes_back() -> None:
    with scope(user_id="u", context={"ip": "1.1.1.1", "page": {"path": "/"}}, integrations={"All": False}):
        with scope(context={"page": {"title": "T"}}, integrations={"Mixpanel": True}):
            inner = current()
            assert inner is not None
            assert inner.user_id == "u"
            assert inner.context == {"ip": "1.1.1.1", "page": {"path": "/", "title": "T"}}
            assert inner.integrations == {"All": False, "Mixpanel": True}
        outer = current()
        assert outer is not None
        assert outer.context == {"ip": "1.1.1.1", "page": {"path": "/"}}


@pytest.mark.parametrize(
    ("given_ids", "outer", "ids"),
    [
        ((None, None), ("u", "a"), ("u", "a")),
        (("u", None), ("u", "a"), ("u", "a")),
        (("u", None), (None, "a"), ("u", "a")),  # a visitor has just logged in
        ((None, "a"), ("u", "a"), ("u", "a")),
        ((None, "a"), ("u", None), ("u", "a")),
        (("other", None), ("u", "a"), ("other", None)),  # somebody else: the visitor's cookie is not theirs
        ((None, "other"), ("u", "a"), (None, "other")),
        (("other", "b"), ("u", "a"), ("other", "b")),
    ],
)
def test_ids_are_completed_but_never_mixed(
    given_ids: tuple[str | None, str | None],
    outer: tuple[str | None, str | None],
    ids: tuple[str | None, str | None],
) -> None:
    assert completed_ids(*given_ids, Scope(*outer)) == ids


def test_it_follows_tasks_and_threads_of_asyncio() -> None:
    async def seen() -> object:
        here = current()
        return here and here.user_id

    async def main() -> list[object]:
        async def person(name: str) -> list[object]:
            with scope(user_id=name):
                await asyncio.sleep(0)
                task = asyncio.create_task(seen())
                in_thread = await asyncio.to_thread(lambda: (here := current()) and here.user_id)
                return [await task, in_thread]

        return [*await person("a"), *(await asyncio.gather(person("b"), person("c")))]

    assert asyncio.run(main()) == ["a", "a", ["b", "b"], ["c", "c"]]


def test_carry_takes_it_into_a_pool_and_leaves_it_alone() -> None:
    def seen() -> object:
        here = current()
        return here and here.user_id

    with ThreadPoolExecutor(2) as pool:
        with scope(user_id="u"):
            carried = carry(seen)
            assert pool.submit(seen).result() is None
        both = threading.Barrier(2)

        def together() -> object:
            both.wait(5)
            return carried()

        assert [each.result() for each in [pool.submit(together), pool.submit(together)]] == ["u", "u"]
        assert pool.submit(seen).result() is None


def test_leaving_in_another_context_is_harmless() -> None:
    import contextvars

    entered = scope(user_id="u")
    contextvars.copy_context().run(entered.__enter__)
    entered.__exit__(None, None, None)
    assert current() is None


class Late:
    """Values that say when they are asked for."""

    integrations = None

    def __init__(self, asked: list[str]) -> None:
        self.asked = asked

    @property
    def user_id(self) -> str:
        self.asked.append("user_id")
        return "u"

    @property
    def anonymous_id(self) -> str:
        self.asked.append("anonymous_id")
        return "a"

    @property
    def context(self) -> dict[str, Any]:
        self.asked.append("context")
        return {"ip": "1.1.1.1"}


def test_values_found_out_late_are_asked_for_by_the_calls_that_need_them() -> None:
    asked: list[str] = []
    analytics, capture = captured()
    with analytics, scope.of(Late(asked)), scope(context={"locale": "en"}):
        assert asked == []
        analytics.track(event="E")
        assert set(asked) == {"user_id", "anonymous_id", "context"}
    (event,) = capture.events
    assert (event["userId"], event["anonymousId"]) == ("u", "a")
    assert (event["context"]["ip"], event["context"]["locale"]) == ("1.1.1.1", "en")


def test_scopes_of_both_kinds_nest_in_any_order() -> None:
    with scope(user_id="outer", integrations={"All": False}), scope.of(Late([])) as inside:
        assert (inside.user_id, inside.anonymous_id) == ("u", "a")
        assert inside.integrations == {"All": False}
    assert current() is None
