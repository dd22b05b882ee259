"""The WSGI middleware around applications of every kind: they work as without it, and their events know the request."""

import io
import sys
import wsgiref.util
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_client import Client, ConfigError, scope
from analytics_client.contrib.wsgi import AnalyticsMiddleware, EnvironView
from analytics_client.scopes import current
from tests.support.capture import Capture, captured

Environ = dict[str, Any]
Start = Callable[..., Any]


def environment(path: str = "/", query: str = "", **more: Any) -> Environ:
    environ: Environ = {"PATH_INFO": path, "QUERY_STRING": query, "REMOTE_ADDR": "10.0.0.9", **more}
    wsgiref.util.setup_testing_defaults(environ)
    return environ


class Started:
    """Remembers what the application told the server."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        self.calls.append((status, headers) if exc_info is None else (status, headers, exc_info))
        return lambda data: None

    def header(self, name: str) -> str | None:
        return dict(self.calls[-1][1]).get(name)


def asked(app: Any, environ: Environ) -> tuple[Started, bytes]:
    """Run an application as a server does."""
    started = Started()
    body = app(environ, started)
    try:
        return started, b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()


def who(capture: Capture) -> list[tuple[Any, Any, Any]]:
    return [
        (event["event"], event.get("userId") or event.get("anonymousId"), event["context"].get("page", {}).get("path"))
        for event in capture.events
    ]


COOKIE = {"HTTP_COOKIE": "ajs_anonymous_id=a-1"}


def test_an_application_that_answers_with_a_list() -> None:
    client, capture = captured()

    def app(environ: Environ, start: Start) -> list[bytes]:
        client.track(event="E")
        start("200 OK", [("Content-Type", "text/plain")])
        return body

    body = [b"one", b"two"]
    started = Started()
    got = AnalyticsMiddleware(app, client)(environment("/a", **COOKIE), started)
    assert got is body
    assert started.calls == [("200 OK", [("Content-Type", "text/plain")])]
    assert current() is None
    client.close()
    assert who(capture) == [("E", "a-1", "/a")]


def test_it_obeys_the_protocol() -> None:
    client, capture = captured()

    def app(environ: Environ, start: Start) -> Iterable[bytes]:
        client.track(event="E")
        start("200 OK", [("Content-Type", "text/plain")])
        return iter([b"one"])

    both = validator(AnalyticsMiddleware(validator(app), client, cookie="own"))
    started, body = asked(both, environment("/a", SCRIPT_NAME=""))
    assert body == b"one"
    assert started.header("Set-Cookie")
    client.close()
    assert len(capture.events) == 1


def test_a_generator_runs_in_the_scope_to_its_last_piece_and_its_end() -> None:
    client, capture = captured()
    closed: list[str] = []

    def app(environ: Environ, start: Start) -> Iterator[bytes]:
        client.track(event="before")
        start("200 OK", [])  # only when the first piece is asked for
        try:
            for number in range(3):
                client.track(event=f"piece {number}")
                yield b"x"
        finally:
            client.track(event="end")
            closed.append("closed")

    started = Started()
    body = AnalyticsMiddleware(app, client, cookie="own")(environment("/a"), started)
    assert started.calls == []
    assert capture.events == []
    pieces = iter(body)
    assert next(pieces) == b"x"
    assert started.header("Set-Cookie")
    assert current() is None  # between the pieces the server does other things
    assert next(pieces) == b"x"
    body.close()  # type: ignore[attr-defined]  # the visitor is gone
    assert closed == ["closed"]
    client.close()
    events = capture.events
    assert [event["event"] for event in events] == ["before", "piece 0", "piece 1", "end"]
    [anonymous_id] = {event["anonymousId"] for event in events}
    assert started.header("Set-Cookie").startswith(f"own={anonymous_id};")  # type: ignore[union-attr]


def test_a_scope_of_the_generators_own_lasts_over_its_pieces() -> None:
    client, capture = captured()

    def app(environ: Environ, start: Start) -> Iterator[bytes]:
        start("200 OK", [])
        with scope(user_id="u-1"):
            yield b"1"
            client.track(event="inside")
            yield b"2"
            client.track(event="still")
        client.track(event="outside")
        yield b"3"
        client.track(event="later")

    inner = AnalyticsMiddleware(app, client)
    for outermost in (inner, AnalyticsMiddleware(inner, client)):
        assert asked(outermost, environment("/a", **COOKIE))[1] == b"123"
        assert current() is None
    client.close()
    once = [("inside", "u-1", "/a"), ("still", "u-1", "/a"), ("outside", "a-1", "/a"), ("later", "a-1", "/a")]
    assert who(capture) == once * 2


def test_a_body_with_neither_length_nor_close() -> None:
    class Body:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"1", b"2"])

    client, _ = captured()
    body = AnalyticsMiddleware(lambda environ, start: Body(), client)(environment(), Started())
    assert list(body) == [b"1", b"2"]
    body.close()  # type: ignore[attr-defined]
    client.close()


class FileWrapper:
    """As servers have one."""

    def __init__(self, file: Any, size: int = 8192) -> None:
        self.filelike = file


@pytest.mark.parametrize("wrapper", [FileWrapper, wsgiref.util.FileWrapper, lambda file, size=8192: file])
def test_what_the_server_is_to_send_itself_reaches_it_untouched(wrapper: Any) -> None:
    client, _ = captured()
    given: list[Any] = []

    def app(environ: Environ, start: Start) -> Any:
        start("200 OK", [])
        given.append(environ["wsgi.file_wrapper"](io.BytesIO(b"a file")))
        return given[0]

    body = AnalyticsMiddleware(app, client)(environment(**{"wsgi.file_wrapper": wrapper}), Started())
    assert body is given[0]
    client.close()


@pytest.mark.parametrize("late", [False, True])
def test_what_the_application_raises_passes(late: bool) -> None:
    client, capture = captured()

    def app(environ: Environ, start: Start) -> Iterable[bytes]:
        client.track(event="before the fall")
        if not late:
            raise LookupError("mine")

        def pieces() -> Iterator[bytes]:
            start("200 OK", [])
            yield b"1"
            raise LookupError("mine")

        return pieces()

    with pytest.raises(LookupError, match="mine"):
        asked(AnalyticsMiddleware(app, client), environment("/a", **COOKIE))
    assert current() is None
    client.close()
    assert who(capture) == [("before the fall", "a-1", "/a")]
    assert client.stats.notices == {}


@pytest.mark.parametrize("by_name", [False, True])
def test_an_error_page_that_replaces_what_was_started(by_name: bool) -> None:
    client, _ = captured()

    def app(environ: Environ, start: Start) -> list[bytes]:
        client.track(event="E")
        start("200 OK", [])
        try:
            int("none")
        except ValueError:
            if by_name:
                start("500 Sorry", [], exc_info=sys.exc_info())
            else:
                start("500 Sorry", [], sys.exc_info())
        return [b"sorry"]

    started, _ = asked(AnalyticsMiddleware(app, client, cookie="own"), environment())
    first, second = started.calls
    assert (first[0], len(first)) == ("200 OK", 2)
    assert (second[0], second[2][0]) == ("500 Sorry", ValueError)
    assert first[1] == second[1] != []
    client.close()


def test_write_is_handed_through() -> None:
    client, _ = captured()
    written: list[bytes] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        return written.append

    def app(environ: Environ, start: Start) -> list[bytes]:
        start("200 OK", [])(b"written")
        return []

    AnalyticsMiddleware(app, client, cookie="own")(environment(), start_response)
    assert written == [b"written"]
    client.close()


def test_the_own_cookie_is_set_once_and_read_back() -> None:
    client, capture = captured()

    def app(environ: Environ, start: Start) -> list[bytes]:
        if environ["PATH_INFO"] != "/quiet":
            client.track(event="E")
        start("200 OK", [("Vary", "Accept")])
        return []

    wrapped = AnalyticsMiddleware(app, client, cookie="own")
    quiet, _ = asked(wrapped, environment("/quiet"))
    assert quiet.calls == [("200 OK", [("Vary", "Accept")])]
    first, _ = asked(wrapped, environment("/a", HTTPS="on", **{"wsgi.url_scheme": "https"}))
    cookie = first.header("Set-Cookie")
    assert cookie is not None
    assert cookie.endswith("; Secure")
    assert ("Vary", "Cookie") in first.calls[0][1]
    second, _ = asked(wrapped, environment("/a", HTTP_COOKIE=cookie.partition(";")[0]))
    assert second.header("Set-Cookie") is None
    client.close()
    one, two = capture.events
    assert one["anonymousId"] == two["anonymousId"]


def test_the_user() -> None:
    client, capture = captured()

    def app(environ: Environ, start: Start) -> list[bytes]:
        client.track(event="E")
        environ["REMOTE_USER"] = "u-1"
        client.track(event="E")
        return []

    asked(AnalyticsMiddleware(app, client, user_id=lambda environ: environ.get("REMOTE_USER")), environment(**COOKIE))
    client.close()
    assert [event.get("userId") for event in capture.events] == [None, "u-1"]


@pytest.mark.parametrize("default_client", [None, Client("k", enabled=False)])
def test_without_an_enabled_client_the_application_is_as_if_alone(
    default_client: Client | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import analytics_client

    monkeypatch.setattr(analytics_client, "default_client", lambda: default_client)
    seen: list[Any] = []

    def app(environ: Environ, start: Start) -> Iterable[bytes]:
        seen.extend([start, current()])
        return body

    body = iter([b""])
    started = Started()
    assert AnalyticsMiddleware(app, cookie="own")(environment(), started) is body
    assert seen == [started, None]


def test_a_default_client_that_cannot_be_made_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    import analytics_client

    def raising() -> None:
        raise ConfigError("strict, and without a key")

    monkeypatch.setattr(analytics_client, "default_client", raising)
    assert asked(AnalyticsMiddleware(lambda environ, start: [b"fine"]), environment())[1] == b"fine"


def test_a_wrong_option_is_said_at_once() -> None:
    with pytest.raises(ConfigError, match="cookie"):
        AnalyticsMiddleware(lambda environ, start: [], cookie=";")


def test_the_view_reads_utf_8_where_servers_write_latin_1() -> None:
    view = EnvironView(
        environment(
            "/Füße".encode().decode("latin-1"),
            "q=ü".encode().decode("latin-1"),
            SCRIPT_NAME="/shop",
            HTTP_USER_AGENT=b"caf\xc3\xa9 \xff".decode("latin-1"),
            HTTP_REFERER="already decoded: \N{SNOWMAN}",
        )
    )
    assert view.path() == "/shop/Füße"
    assert view.query() == "q=ü"
    assert view.header("user-agent") == "café \N{REPLACEMENT CHARACTER}"
    assert view.header("referer") == "already decoded: \N{SNOWMAN}"
    assert view.header("x-forwarded-for") == ""
    assert (view.peer(), view.scheme(), view.host()) == ("10.0.0.9", "http", "127.0.0.1")


values = st.text(max_size=30) | st.binary(max_size=30) | st.none() | st.integers()


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "HTTP_COOKIE",
                "HTTP_USER_AGENT",
                "HTTP_ACCEPT_LANGUAGE",
                "HTTP_REFERER",
                "HTTP_HOST",
                "HTTP_X_FORWARDED_FOR",
                "PATH_INFO",
                "SCRIPT_NAME",
                "QUERY_STRING",
                "REMOTE_ADDR",
                "wsgi.url_scheme",
            ]
        ),
        values,
    )
)
def test_any_environment_at_all(environ: Environ) -> None:
    """Also one that no server should make: the response goes out, and the event with what could be read."""
    client, capture = captured()

    def app(environ: Environ, start: Start) -> list[bytes]:
        assert client.track(event="E")
        start("200 OK", [])
        return [b"fine"]

    wrapped = AnalyticsMiddleware(app, client, cookie="own", trusted_proxies=1)
    started, body = asked(wrapped, environ)
    assert (started.calls[0][0], body) == ("200 OK", b"fine")
    client.close()
    assert len(capture.events) == 1
