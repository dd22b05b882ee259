"""Django's middleware, sync and async: who and where, the own cookie, streams, and input that nobody should send."""

import asyncio
import os
import timeit
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth import login, logout
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, RequestFactory, override_settings

from analytics_client import scope
from analytics_client.contrib.django import client
from analytics_client.contrib.django.asgi import get_asgi_application
from analytics_client.contrib.django.middleware import AnalyticsMiddleware
from tests.contrib.django_project import urls
from tests.contrib.django_project.project import MIDDLEWARE, Site, atracks, new_user, page, queries, site, tracks

AnyCommunicator: Any = ApplicationCommunicator  # asgiref has no types for it
HOOKS = "tests.contrib.django_project.hooks"

#: Every way Django runs a view: the project's kind, then the view's.
WAYS = ["sync sync", "sync async", "async sync", "async async"]


def ask(here: Site, way: str, query: str = "", cookies: dict[str, str] | None = None, **request: Any) -> Any:
    project, kind = way.split()
    for browser in (here.browser, here.async_browser):
        browser.cookies.load(cookies or {})
    view = tracks if kind == "sync" else atracks
    get = here.get if project == "sync" else here.aget
    return get(view, f"/{kind}/{query}", **request)


# -- who and where -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_an_event_knows_its_person_and_its_page(way: str) -> None:
    with site(trusted_proxies=1) as here:
        user = here.log_in()
        response = ask(
            here,
            way,
            "?utm_source=letter&utm_campaign=spring",
            headers={
                "user-agent": "Browser/1",
                "accept-language": "de-CH,de;q=0.9",
                "referer": "https://example.com/",
                "x-forwarded-for": "6.6.6.6, 192.0.2.7",
            },
        )
        assert (response.status_code, response.content) == (200, b"<h1>seen</h1>")
        [event] = here.events()
        assert here.notices() == {}
    path = f"/{way.split()[1]}/"
    del event["context"]["library"]
    assert event["userId"] == str(user.pk)
    assert event["context"] == {
        "ip": "192.0.2.7",
        "userAgent": "Browser/1",
        "locale": "de-CH",
        "page": {
            "path": path,
            "url": f"http://testserver{path}?utm_source=letter&utm_campaign=spring",
            "referrer": "https://example.com/",
            "search": "?utm_source=letter&utm_campaign=spring",
        },
        "campaign": {"source": "letter", "name": "spring"},
    }


@pytest.mark.parametrize("way", WAYS)
def test_a_visitor_is_known_by_the_browsers_cookie(way: str) -> None:
    with site() as here:
        ask(here, way, cookies={"ajs_anonymous_id": "%22a-1%22"})
        [event] = here.events()
        assert here.notices() == {}
    assert event["anonymousId"] == "a-1"
    assert "userId" not in event


@pytest.mark.parametrize("way", WAYS)
def test_the_address_is_not_sent_unless_asked_for(way: str) -> None:
    with site(user_id=lambda request: "u") as here:
        ask(here, way, headers={"x-forwarded-for": "192.0.2.7"})
        assert "ip" not in here.events()[0]["context"]


@pytest.mark.parametrize("way", WAYS)
def test_the_projects_own_way_to_the_id(way: str) -> None:
    """A dotted path; what it returns may be of any type; the session is not asked at all."""
    with site(user_id=f"{HOOKS}.by_header") as here:
        here.log_in()
        response = ask(here, way, headers={"x-tenant": "t-9"})
        assert here.events()[0]["userId"] == "t-9"
        assert "Cookie" not in response.get("Vary", "")


def test_who_logs_in_or_out_within_a_request() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        client().track(anonymous_id="a", event="before")
        login(request, user)
        client().track(anonymous_id="a", event="during")
        logout(request)
        client().track(anonymous_id="a", event="after")
        return HttpResponse("done")

    with site() as here:
        user = new_user("peter")
        here.get(view)
        events = here.events()
    assert [(event["event"], event.get("userId")) for event in events] == [
        ("before", None),
        ("during", str(user.pk)),
        ("after", None),
    ]


def test_who_logs_in_or_out_within_an_async_request() -> None:
    if django.VERSION < (5,):
        pytest.skip("Django 4.2 has no alogin")
    from django.contrib.auth import alogin, alogout

    async def view(request: HttpRequest) -> HttpResponse:
        await alogin(request, user)
        client().track(anonymous_id="a", event="during")
        await alogout(request)
        client().track(anonymous_id="a", event="after")
        return HttpResponse("done")

    with site() as here:
        user = new_user("peter")
        assert here.aget(view).content == b"done"
        assert [event.get("userId") for event in here.events()] == [str(user.pk), None]
        assert here.notices() == {}


def test_the_user_of_an_async_view_is_loaded_once() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        client().track(event="Seen")
        return HttpResponse(str(await request.auser()) if hasattr(request, "auser") else "peter")

    with site() as here:
        here.log_in()
        with queries() as asked:
            assert here.aget(view).content == b"peter"
        assert here.events()[0]["userId"]
    assert len(asked) == 2, asked  # the session and the user


def test_requests_that_make_no_event_ask_nothing() -> None:
    with site() as here:
        here.log_in()
        with queries() as asked:
            assert "Vary" not in here.get(page).headers
            assert "Vary" not in here.aget(page, "/sync/").headers
        assert asked == []
        assert here.events() == []


def test_a_scope_inside_the_view_wins() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        with scope(user_id="u-7", context={"locale": "fr"}):
            client().track(event="inside")
        client().track(event="outside", user_id="u-8")
        return HttpResponse("done")

    with site() as here:
        here.get(view, headers={"accept-language": "de", "user-agent": "UA"})
        inside, outside = here.events()
        client().track("u-9", "later")
        later = here.events()[-1]
    assert (inside["userId"], inside["context"]["locale"], inside["context"]["userAgent"]) == ("u-7", "fr", "UA")
    assert (outside["userId"], outside["context"]["locale"]) == ("u-8", "de")
    assert set(later["context"]) == {"library"}


def test_requests_at_the_same_time_keep_apart() -> None:
    both = asyncio.Barrier(2)

    async def view(request: HttpRequest) -> HttpResponse:
        await both.wait()
        client().track(event="Seen")
        await both.wait()
        await sync_to_async(client().track)(event="Seen in a thread")
        return HttpResponse("done")

    async def ask_both() -> None:
        browsers = [AsyncClient(), AsyncClient()]
        for browser, name in zip(browsers, "ab", strict=True):
            browser.cookies["ajs_user_id"] = name
        urls.view = view
        await asyncio.gather(*(each.get(f"/any-async/{name}") for each, name in zip(browsers, "ab", strict=True)))

    with site() as here:
        asyncio.run(ask_both())
        events = here.events()
    assert sorted((event["userId"], event["context"]["page"]["path"]) for event in events) == [
        ("a", "/any-async/a"),
        ("a", "/any-async/a"),
        ("b", "/any-async/b"),
        ("b", "/any-async/b"),
    ]


def test_behind_a_proxy_the_url_is_the_one_that_django_sees() -> None:
    proxied = {"USE_X_FORWARDED_HOST": True, "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}
    with site(settings_too=proxied, user_id=lambda request: "u") as here:
        headers = {"x-forwarded-host": "shop.example.com", "x-forwarded-proto": "https"}
        here.get(tracks, headers=headers)
        here.aget(tracks, "/sync/", headers=headers)
        urls_seen = [event["context"]["page"]["url"] for event in here.events()]
    assert urls_seen == ["https://shop.example.com/sync/"] * 2


# -- the own cookie ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_the_own_cookie_is_set_with_the_first_event_and_kept(way: str) -> None:
    with site(cookie="visitor") as here:
        first = ask(here, way)
        cookie = first.cookies["visitor"]
        assert (cookie["path"], cookie["samesite"], cookie["httponly"], cookie["secure"]) == ("/", "Lax", True, "")
        assert cookie["max-age"] == 365 * 24 * 3600
        assert "visitor" not in ask(here, way).cookies
        events = here.events()
    assert [event["anonymousId"] for event in events] == [cookie.value] * 2


def test_no_cache_hands_one_visitors_id_to_others() -> None:
    with site(cookie="visitor", user_id=lambda request: None) as here:  # so that nothing else makes it vary
        assert here.get(tracks).headers["Vary"] == "Cookie"
        assert "Vary" not in here.get(tracks).headers


def test_no_event_no_cookie() -> None:
    with site(cookie="visitor") as here:
        assert "visitor" not in here.get(page).cookies


def test_over_https_the_cookie_is_secure() -> None:
    with site(cookie="visitor") as here:
        assert here.get(tracks, secure=True).cookies["visitor"]["secure"] is True


# -- streams -----------------------------------------------------------------------------------------------------------


def streamed(number: int) -> Iterator[bytes]:
    for each in range(number):
        client().track(event="Piece", properties={"n": each})
        yield b"%d," % each


async def astreamed(number: int) -> AsyncIterator[bytes]:
    for each in range(number):
        await asyncio.sleep(0)
        client().track(event="Piece", properties={"n": each})
        yield b"%d," % each


def test_events_made_while_a_body_is_streamed() -> None:
    def view(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(streamed(3))

    with site() as here:
        user = here.log_in()
        assert here.get(view).getvalue() == b"0,1,2,"
        client().track("nobody", "After")
        *events, after = here.events()
        assert here.notices() == {}
    assert [(event["userId"], event["context"]["page"]["path"]) for event in events] == [(str(user.pk), "/sync/")] * 3
    assert "page" not in after["context"]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_events_made_while_an_async_body_is_streamed(kind: str) -> None:
    def view(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(astreamed(3))

    async def aview(request: HttpRequest) -> StreamingHttpResponse:
        return view(request)

    with site() as here:
        user = here.log_in()
        assert here.aget(view if kind == "sync" else aview, f"/{kind}/").streamed == b"0,1,2,"
        events = here.events()
        assert here.notices() == {}
    assert [event["userId"] for event in events] == [str(user.pk)] * 3


def test_a_stream_that_is_given_up_leaves_no_scope_behind() -> None:
    closed = []

    def pieces() -> Iterator[bytes]:
        try:
            yield from streamed(1000)
        finally:
            closed.append(True)

    def view(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(pieces())

    with site(user_id=lambda request: "u") as here:
        response = here.get(view)
        assert next(iter(response.streaming_content)) == b"0,"
        response.close()
        assert closed == [True]
        client().track("v", "After")
        first, after = here.events()
    assert "page" in first["context"]
    assert "page" not in after["context"]


def test_a_stream_that_raises_raises() -> None:
    def broken() -> Iterator[bytes]:
        yield b"0"
        raise ValueError("mine")

    def view(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(broken())

    with site() as here:
        response = here.get(view)
        with pytest.raises(ValueError, match="mine"):
            b"".join(response.streaming_content)


def test_a_file_is_left_to_the_server() -> None:
    with site(), (Path(__file__).parent / "django_project" / "urls.py").open("rb") as file:
        response = AnalyticsMiddleware(lambda request: FileResponse(file))(RequestFactory().get("/sync/"))
        assert isinstance(response, FileResponse)
        to_send: Any = response.file_to_stream
        assert to_send is file
        response.close()


# -- what nobody should send -------------------------------------------------------------------------------------------

ABSURD = {
    "a cookie of 64 KB": {"HTTP_COOKIE": f"x={'y' * 65_536}; ajs_anonymous_id={'z' * 65_536}"},
    "64 KB of cookies": {"HTTP_COOKIE": "; ".join(f"c{number}=v" for number in range(8_000)) + "; ajs_anonymous_id=a"},
    "cookies that are no text": {"HTTP_COOKIE": "ajs_anonymous_id=\xff\xfe; rl_anonymous_id=RS_ENC_v3_\xff;;;===;"},
    "a long user agent": {"HTTP_USER_AGENT": "M" * 100_000},
    "controls in headers": {
        "HTTP_USER_AGENT": "a\x00\x1b[31m\x7f",
        "HTTP_REFERER": "\x00\xff",
        "HTTP_HOST": "testserver",
    },
    "languages without end": {"HTTP_ACCEPT_LANGUAGE": "x;q=,;;;," * 10_000},
    "a forged way": {"HTTP_X_FORWARDED_FOR": "1.1.1.1, " * 5_000 + "<script>", "REMOTE_ADDR": "192.0.2.1"},
    "no address at all": {"REMOTE_ADDR": ""},
    "a path that is not UTF-8": {"PATH_INFO": "/any/caf\xff\xfe/", "QUERY_STRING": "q=\xff&utm_source=\xff%FF"},
    "a query without end": {"QUERY_STRING": "&".join(f"utm_{number}={'v' * 100}" for number in range(500))},
    "a host that is not ours": {"HTTP_HOST": "evil.example.com"},
    "a host that is none": {"HTTP_HOST": "a b/..:99999999"},
}


@pytest.mark.parametrize("extra", ABSURD.values(), ids=ABSURD)
def test_absurd_requests_are_answered_and_their_event_goes_out(extra: dict[str, str]) -> None:
    with site(trusted_proxies=1, cookie="visitor", page_events=True) as here:
        response = here.get(tracks, "/any/", **extra)
        assert (response.status_code, response.content) == (200, b"<h1>seen</h1>")
        track, shown = here.events()
        assert here.notices() == {}
    assert (track["type"], shown["type"]) == ("track", "page")
    assert track["anonymousId"] == shown["anonymousId"]
    assert len(str(track)) < 20_000
    page_seen = track["context"]["page"]
    assert "evil" not in page_seen.get("url", "")
    assert page_seen["path"].isascii()


def test_a_forged_hop_is_not_believed() -> None:
    with site(trusted_proxies=1, user_id=lambda request: "u") as here:
        here.get(tracks, headers={"x-forwarded-for": "8.8.8.8, 10.0.0.1, 203.0.113.9"})
        assert here.events()[0]["context"]["ip"] == "203.0.113.9"


def test_paths_that_are_not_ascii() -> None:
    with site(user_id=lambda request: "u") as here:
        here.get(tracks, "/any/caf\u00e9/\u4e2d/")
        assert here.events()[0]["context"]["page"]["path"] == "/any/caf%C3%A9/%E4%B8%AD/"


def test_raw_bytes_over_asgi() -> None:
    async def ask_raw() -> list[dict[str, Any]]:
        communicator: Any = AnyCommunicator(
            ASGIHandler(),
            {
                "type": "http",
                "asgi": {"version": "3.0"},
                "http_version": "1.1",
                "method": "GET",
                "path": "/any-async/caf\u00e9",
                "query_string": b"utm_source=%FF",
                "headers": [
                    (b"host", b"testserver"),
                    (b"user-agent", b"\xff\xfe" * 3_000),
                    (b"cookie", b"ajs_anonymous_id=\x01\xff; rl_anonymous_id=a-1"),
                    (b"x-forwarded-for", b"\xff"),
                    (b"x-forwarded-for", b"192.0.2.9"),
                ],
                "client": None,
                "server": ("127.0.0.1", 80),
            },
        )
        await communicator.send_input({"type": "http.request", "body": b""})
        answer = [await communicator.receive_output(5), await communicator.receive_output(5)]
        await communicator.wait(5)
        return answer

    with site(trusted_proxies=1) as here:
        urls.view = atracks
        start, body = asyncio.run(ask_raw())
        assert (start["status"], body["body"]) == (200, b"<h1>seen</h1>")
        [event] = here.events()
        assert here.notices() == {}
    assert event["anonymousId"] == "a-1"
    assert event["context"]["ip"] == "192.0.2.9"
    assert event["context"]["page"]["path"] == "/any-async/caf%C3%A9"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", ["key_raises", "flag_raises", "user_id"])
def test_a_user_that_raises_harms_nobody(way: str, what: str, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Any) -> Any:
        raise ZeroDivisionError("a secret")

    options: dict[str, Any] = {}
    middleware = MIDDLEWARE
    if what == "user_id":
        options["user_id"] = broken
    else:
        middleware = [*MIDDLEWARE[:2], f"{HOOKS}.{what}", MIDDLEWARE[2]]
    with site(page_events=True, settings_too={"MIDDLEWARE": middleware}, **options) as here:
        for _ in range(3):
            response = ask(here, way, cookies={"ajs_anonymous_id": "a"})
            assert (response.status_code, response.content) == (200, b"<h1>seen</h1>")
        assert [event["anonymousId"] for event in here.events()] == ["a"] * 6
        assert here.notices()["hook"] >= 6
    said = [record.getMessage() for record in caplog.records if "ZeroDivisionError" in record.getMessage()]
    assert said == ["user_id raised ZeroDivisionError; the request is not affected"]
    assert "a secret" not in caplog.text


@pytest.mark.parametrize("way", WAYS)
def test_a_forged_session_cookie_is_nobody(way: str) -> None:
    with site() as here:
        cookies = {"sessionid": "x" * 60_000, "ajs_anonymous_id": "a"}
        assert ask(here, way, cookies=cookies).status_code == 200
        [event] = here.events()
        assert here.notices() == {}
    assert (event["anonymousId"], event.get("userId")) == ("a", None)


@pytest.mark.parametrize("way", WAYS)
def test_a_view_that_raises_is_answered_as_ever(way: str) -> None:
    def view(request: HttpRequest) -> HttpResponse:
        client().track("u", "Tried")
        raise ValueError("mine")

    async def aview(request: HttpRequest) -> HttpResponse:
        return view(request)

    project, kind = way.split()
    with site(page_events=True) as here:
        get = here.get if project == "sync" else here.aget
        assert get(view if kind == "sync" else aview, f"/{kind}/").status_code == 500
        assert [event["type"] for event in here.events()] == ["track"]
        client().track("u", "After")
        assert "page" not in here.events()[-1]["context"]


def test_keys_of_any_type() -> None:
    key = uuid.uuid4()

    class Strange:
        is_authenticated = True
        pk: Any = key

    request = RequestFactory().get("/sync/")
    with site() as here:
        urls.view = tracks
        middleware = AnalyticsMiddleware(tracks)
        for pk in (key, 0, "x", 2.5):
            Strange.pk = pk
            request.user = Strange()  # type: ignore[assignment]
            middleware(request)
        assert [event["userId"] for event in here.events()] == [str(key), "0", "x", "2.5"]


# -- the end of an ASGI server ---------------------------------------------------------------------------------------


async def live(application: Any, inside: Any) -> list[str]:
    """Run an application's lifespan, as a server does; return what it said."""
    communicator: Any = AnyCommunicator(application, {"type": "lifespan", "asgi": {"version": "3.0"}})
    await communicator.send_input({"type": "lifespan.startup"})
    said = [(await communicator.receive_output(5))["type"]]
    await inside()
    await communicator.send_input({"type": "lifespan.shutdown"})
    said.append((await communicator.receive_output(5))["type"])
    await communicator.wait(5)
    return said


def test_what_is_queued_is_sent_before_an_asgi_server_leaves() -> None:
    async def ask_once() -> None:
        communicator: Any = AnyCommunicator(
            application,
            {
                "type": "http",
                "asgi": {"version": "3.0"},
                "http_version": "1.1",
                "method": "GET",
                "path": "/any-async/x",
                "query_string": b"",
                "headers": [(b"host", b"testserver"), (b"cookie", b"ajs_anonymous_id=a-1")],
            },
        )
        await communicator.send_input({"type": "http.request", "body": b""})
        assert (await communicator.receive_output(5))["status"] == 200
        assert (await communicator.receive_output(5))["body"] == b"<h1>seen</h1>"
        await communicator.wait(5)
        assert here.capture.events == []  # still queued

    with site(flush_interval=60.0) as here:
        urls.view = atracks
        application = get_asgi_application()
        assert asyncio.run(live(application, ask_once)) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        [event] = here.capture.events
    assert event["anonymousId"] == "a-1"
    assert event["context"]["page"]["path"] == "/any-async/x"


def test_switched_off_djangos_own_answer_to_the_lifespan_stays() -> None:
    async def nothing() -> None:
        pass

    with override_settings(ANALYTICS_CLIENT={"enabled": False}):
        application = get_asgi_application()
        with pytest.raises(ValueError, match="Django can only handle ASGI/HTTP connections, not lifespan"):
            asyncio.run(live(application, nothing))


# -- what it costs -----------------------------------------------------------------------------------------------------


def test_a_request_without_events_costs_little() -> None:
    """Below 30 µs is the promise; the test is ten times as patient, since the machine has other work."""
    request = RequestFactory().get("/sync/", headers={"cookie": "ajs_anonymous_id=a"})
    response = HttpResponse("x")
    with site():
        middleware = AnalyticsMiddleware(lambda request: response)
        seconds = min(timeit.repeat(lambda: middleware(request), number=1_000, repeat=5)) / 1_000
    print(f"{seconds * 1e6:.1f} µs")
    assert seconds < (30e-6 if "MEASURE" in os.environ else 300e-6)


def test_the_handlers_of_a_deployed_project() -> None:
    """As a server calls them: no test client in between."""
    with site(user_id=lambda request: "u") as here:
        urls.view = tracks
        started: list[Any] = []
        environ = RequestFactory()._base_environ(PATH_INFO="/any/x", QUERY_STRING="a=b")  # type: ignore[attr-defined]
        handler: Any = WSGIHandler()
        body = handler(environ, lambda status, headers: started.append(status))
        assert b"".join(body) == b"<h1>seen</h1>"
        assert started == ["200 OK"]
        assert here.events()[0]["context"]["page"]["search"] == "?a=b"
