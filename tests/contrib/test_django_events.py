"""Django's events of their own: at commit, a page for each view, logging in and out."""

import unittest
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.test import TestCase

from analytics_client import scope
from analytics_client.contrib.django import client, track_on_commit
from tests.contrib.django_project.project import Site, new_user, page, queries, site, tracks

HOOKS = "tests.contrib.django_project.hooks"


def names(here: Site) -> list[str]:
    return [event["event"] for event in here.events()]


@contextmanager
def given_up(using: str = "default") -> Iterator[None]:
    """Do what stands in the block in a transaction, or a savepoint, that then fails."""
    with suppress(InterruptedError), transaction.atomic(using=using):
        yield
        raise InterruptedError


# -- at commit ---------------------------------------------------------------------------------------------------------


def test_what_is_committed_is_sent_and_not_before() -> None:
    with site() as here:
        with transaction.atomic():
            track_on_commit("u", "Order Completed", {"total": 5})
            assert here.events() == []
        [event] = here.events()
    assert (event["userId"], event["event"], event["properties"]) == ("u", "Order Completed", {"total": 5})


def test_what_is_rolled_back_is_not_sent() -> None:
    with site() as here:
        with given_up():
            new_user("peter")
            track_on_commit("u", "Order Completed")
        with transaction.atomic():
            track_on_commit("u", "Order Completed")
            transaction.set_rollback(True)
        assert here.events() == []
        assert client().stats.calls == 0


def test_savepoints_inside_one_another() -> None:
    with site() as here:
        with transaction.atomic():
            track_on_commit("u", "outer")
            with transaction.atomic():
                track_on_commit("u", "kept")
            with given_up():
                track_on_commit("u", "lost")
                with transaction.atomic():
                    track_on_commit("u", "lost with the one around it")
            with transaction.atomic(), given_up():
                track_on_commit("u", "lost alone")
            track_on_commit("u", "last")
        assert names(here) == ["outer", "kept", "last"]


def test_outside_of_a_transaction_it_is_sent_at_once() -> None:
    with site() as here:
        track_on_commit("u", "Seen")
        assert names(here) == ["Seen"]


def test_the_database_that_is_meant() -> None:
    with site() as here:
        with transaction.atomic(using="other"):
            track_on_commit("u", "default")  # which has no transaction
            track_on_commit("u", "other", using="other")
            assert names(here) == ["default"]
        assert names(here) == ["default", "other"]
        with given_up("other"), transaction.atomic():
            track_on_commit("u", "lost", using="other")
        assert names(here) == ["default", "other"]


def test_the_event_is_that_of_the_call() -> None:
    """Its time, its person, its properties and its scope; whatever happens until the commit."""
    with site() as here:
        properties: dict[str, Any] = {"items": [{"sku": "a"}]}
        context = {"app": {"name": "shop"}}
        with scope(anonymous_id="a-1", context={"ip": "192.0.2.1"}), transaction.atomic():
            before = datetime.now(UTC)
            with scope("u-1", context={"locale": "de"}):
                track_on_commit(event="Ordered", properties=properties, context=context)
            after = datetime.now(UTC)
            properties["items"][0]["sku"] = "changed"
            properties["more"] = 1
            context["app"]["name"] = "changed"
            while datetime.now(UTC).timestamp() < after.timestamp() + 0.002:
                pass  # times on the wire are milliseconds
        [event] = here.events()
    del event["context"]["library"]
    assert event["properties"] == {"items": [{"sku": "a"}]}
    assert event["context"] == {"ip": "192.0.2.1", "locale": "de", "app": {"name": "shop"}}
    assert (event["userId"], event["anonymousId"]) == ("u-1", "a-1")
    time = datetime.fromisoformat(event["timestamp"])
    assert int(before.timestamp() * 1000) <= round(time.timestamp() * 1000) <= int(after.timestamp() * 1000) + 1


def test_who_logs_out_before_the_commit_has_ordered_nevertheless() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        with transaction.atomic():
            track_on_commit(event="Ordered")
            logout(request)
        return HttpResponse("bye")

    with site() as here:
        user = here.log_in()
        here.get(view)
        [event] = here.events()
    assert event["userId"] == str(user.pk)
    assert event["context"]["page"]["path"] == "/sync/"


def test_all_arguments_arrive() -> None:
    with site(dialect="rudderstack", host="https://d.example.com") as here:
        track_on_commit(
            "u",
            "Ordered",
            {"a": 1},
            {"b": 2},
            "2020-01-02T03:04:05Z",
            "anon",
            {"All": False},
            "m-1",
            traits={"plan": "free"},
        )
        [event] = here.events()
    assert (event["messageId"], event["anonymousId"], event["integrations"]) == ("m-1", "anon", {"All": False})
    assert event["timestamp"].startswith("2020-01-02T03:04:05")
    assert event["context"]["b"] == 2
    assert event["traits"] == {"plan": "free"}


def test_what_cannot_be_copied_goes_as_it_is() -> None:
    class Stubborn(dict[str, Any]):
        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("no")

    with site() as here:
        track_on_commit("u", "Ordered", Stubborn(a=1))
        assert here.events()[0]["properties"] == {"a": 1}
        assert here.notices() == {"hook": 1}


@pytest.mark.parametrize("strict", [True, False])
def test_a_call_that_is_refused_harms_neither_the_view_nor_other_callbacks(
    strict: bool, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[int] = []
    with site(strict=strict) as here:
        with transaction.atomic():
            track_on_commit("u", None)  # has no name
            transaction.on_commit(lambda: done.append(1))
        assert done == [1]
        assert here.events() == []
        assert sum(client().stats.refused.values()) == 1


def test_where_django_refuses_the_callback_nothing_is_raised() -> None:
    with site() as here:
        track_on_commit("u", "Ordered", using="no such")
        assert here.notices() == {"hook": 1}
        connection = connections["other"]
        connection.set_autocommit(False)
        try:
            track_on_commit("u", "Ordered", using="other")
        finally:
            connection.rollback()
            connection.set_autocommit(True)
        assert here.notices() == {"hook": 2}
        assert here.events() == []


def test_in_a_broken_transaction() -> None:
    """Where a query would raise: the event is lost with the transaction, and the view's own error stays its own."""

    def view(request: HttpRequest) -> HttpResponse:
        with transaction.atomic():
            transaction.set_rollback(True)
            track_on_commit("u", "Ordered")
        return HttpResponse("answered")

    with site() as here:
        here.log_in()
        assert here.get(view).content == b"answered"
        assert here.events() == []


def test_in_an_async_view() -> None:
    """An event loop has no transaction; what it runs in a thread has its own."""

    @transaction.atomic
    def order(keep: bool) -> None:
        track_on_commit(event="Ordered in a thread", properties={"kept": keep})
        transaction.set_rollback(not keep)

    async def view(request: HttpRequest) -> HttpResponse:
        track_on_commit(event="Ordered")
        await sync_to_async(order)(keep=True)
        await sync_to_async(order)(keep=False)
        return HttpResponse("done")

    with site() as here:
        user = here.log_in()
        assert here.aget(view).content == b"done"
        assert here.get(view, "/async/").content == b"done"
        assert here.notices() == {}
        assert names(here) == ["Ordered", "Ordered in a thread"] * 2
        assert {event["userId"] for event in here.events()} == {str(user.pk)}


def test_in_djangos_own_test_case() -> None:
    """As the pages say: a TestCase is one transaction, and `captureOnCommitCallbacks` runs what waits for its end."""
    counted: list[int] = []

    class Inner(TestCase):
        def test_it(self) -> None:
            with self.captureOnCommitCallbacks(execute=True) as callbacks, transaction.atomic():
                track_on_commit("u", "Ordered")
            counted.append(len(callbacks))

    with site() as here:
        result = unittest.TestResult()
        unittest.TestSuite([Inner("test_it")]).run(result)
        assert result.wasSuccessful(), result.errors
        assert counted == [1]
        assert names(here) == ["Ordered"]


# -- pages -------------------------------------------------------------------------------------------------------------


def pages(here: Site) -> list[dict[str, Any]]:
    return [event for event in here.events() if event["type"] == "page"]


@pytest.mark.parametrize("project", ["sync", "async"])
def test_each_page_is_an_event(project: str) -> None:
    with site(page_events=True) as here:
        user = here.log_in()
        get = here.get if project == "sync" else here.aget
        response = get(page, "/shop/items/5/?q=1")
        assert "Vary" not in response.headers  # asked after the view: it does not depend on the session
        [event] = here.events()
        assert here.notices() == {}
    assert (event["type"], event["name"], event["userId"]) == ("page", "item", str(user.pk))
    assert event["properties"] == {
        "path": "/shop/items/5/",
        "url": "http://testserver/shop/items/5/?q=1",
        "search": "?q=1",
    }
    assert event["context"]["page"] == event["properties"]


def test_a_view_that_asks_for_the_user_still_varies() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(f"hello {request.user}")

    with site(page_events=True) as here:
        here.log_in()
        assert here.get(view).headers["Vary"] == "Cookie"
        assert here.get(tracks).headers["Vary"] == "Cookie"


NO_PAGES = {
    "a redirect": lambda request: HttpResponseRedirect("/"),
    "data": lambda request: JsonResponse({}),
    "an error": lambda request: HttpResponse("gone", status=404),
    "created": lambda request: HttpResponse("made", status=201),
    "an image": lambda request: HttpResponse(b"", content_type="image/png"),
    "a stream of data": lambda request: StreamingHttpResponse(iter([b"x"]), content_type="text/csv"),
}


@pytest.mark.parametrize("view", NO_PAGES.values(), ids=NO_PAGES)
def test_what_is_no_page_makes_none(view: Any) -> None:
    with site(page_events=True, cookie="visitor") as here:
        here.get(view)
        assert here.events() == []


def test_only_those_who_look() -> None:
    with site(page_events=True, cookie="visitor") as here:
        here.get(page)
        assert len(pages(here)) == 1
        for headers in (
            {"sec-purpose": "prefetch;prerender"},
            {"purpose": "prefetch"},
            {"x-moz": "prefetch"},
            {"sec-purpose": "prefetch", "purpose": "x"},
        ):
            here.get(page, headers=headers)
        for method in ("post", "head", "put", "options"):
            assert getattr(here.browser, method)("/sync/").status_code == 200
        assert here.browser.get("/nowhere/").status_code == 404
        assert len(pages(here)) == 1


def test_include_and_exclude() -> None:
    with site(page_events={"include": [r"^/any/", "^/sync"], "exclude": [r"\.txt$"]}, cookie="visitor") as here:
        for path in ("/any/a", "/any/a.txt", "/sync/", "/shop/items/5/"):
            here.get(page, path)
        assert [event["properties"]["path"] for event in pages(here)] == ["/any/a", "/sync/"]
    with site(page_events={"exclude": [r"^/any/"]}, cookie="visitor") as here:
        for path in ("/any/a", "/sync/"):
            here.get(page, path)
        assert [event["properties"]["path"] for event in pages(here)] == ["/sync/"]


def test_nobody_sees_no_page() -> None:
    with site(page_events=True) as here:
        here.get(page)
        assert client().stats.calls == 0


def test_off_unless_asked_for() -> None:
    with site(auth_events=True) as here:
        here.log_in()
        with queries() as asked:
            here.get(page)
        assert asked == []
        assert pages(here) == []


def test_a_streamed_page_is_one() -> None:
    with site(page_events=True, cookie="visitor") as here:
        response = here.get(lambda request: StreamingHttpResponse(iter([b"<h1>"])))
        assert response.getvalue() == b"<h1>"
        assert len(pages(here)) == 1


# -- logging in and out ------------------------------------------------------------------------------------------------


def sign_in(request: HttpRequest) -> HttpResponse:
    login(request, authenticate(request, username="peter", password="secret"))
    return HttpResponse("in", content_type="text/plain")


def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse("out", content_type="text/plain")


def test_logging_in_and_out() -> None:
    with site(auth_events=True, traits=f"{HOOKS}.traits") as here:
        user = new_user("peter")
        user.set_password("secret")
        user.save()
        here.browser.cookies["ajs_anonymous_id"] = "a-1"
        here.get(sign_in)
        here.get(sign_out)
        here.get(sign_out)  # nobody is logged in
        events = here.events()
        assert here.notices() == {}
    assert [event.get("event", event["type"]) for event in events] == ["identify", "Signed In", "Signed Out"]
    assert events[0]["traits"] == {"username": "peter"}
    for event in events:
        assert (event["userId"], event["anonymousId"]) == (str(user.pk), "a-1")
        assert event["context"]["page"]["path"] == "/sync/"


@pytest.mark.parametrize(("options", "expected"), [({}, []), ({"traits": f"{HOOKS}.traits"}, ["identify"])])
def test_each_is_asked_for_by_itself(options: dict[str, Any], expected: list[str]) -> None:
    with site(**options) as here:
        user = new_user("peter")
        here.browser.force_login(user)
        here.browser.logout()
        assert [event["type"] for event in here.events()] == expected


def test_unless_asked_for_a_login_asks_nobody() -> None:
    def raises(request: HttpRequest) -> str:
        raise ZeroDivisionError

    with site(user_id=raises) as here:
        here.browser.force_login(new_user("peter"))
        here.browser.logout()
        assert here.notices() == {}


def test_keys_of_any_type() -> None:
    class Strange:
        pk = 2.5

        def save(self, **_: Any) -> None:  # Django's own receiver notes the login
            pass

    with site(auth_events=True) as here:
        user_logged_in.send(sender=Strange, request=None, user=Strange())
        user_logged_out.send(sender=Strange, request=None, user=Strange())
        user_logged_out.send(sender=Strange, request=None, user=None)
        assert [event["userId"] for event in here.events()] == ["2.5", "2.5"]


def test_traits_may_be_none_or_raise() -> None:
    def first_raises(user: Any) -> Any:
        if user.username == "paul":
            raise ZeroDivisionError
        return {"n": 1} if user.username == "mary" else None

    with site(auth_events=True, traits=first_raises) as here:
        for name in ("peter", "paul", "mary"):
            here.browser.force_login(new_user(name))
        assert [event["type"] for event in here.events()] == ["track", "track", "identify", "track"]
        assert here.notices() == {"hook": 1}


def test_the_projects_own_id_is_used_here_too() -> None:
    with site(auth_events=True, user_id=lambda request: f"own-{request.user.pk}") as here:
        user = new_user("peter")
        user.set_password("secret")
        user.save()
        here.get(sign_in)
        here.get(sign_out)
        assert [event["userId"] for event in here.events()] == [f"own-{user.pk}"] * 2


def test_a_login_that_fails_is_none() -> None:
    with site(auth_events=True, traits=f"{HOOKS}.traits") as here:
        assert here.browser.login(username="peter", password="wrong") is False
        assert here.events() == []
