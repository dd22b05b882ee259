"""The Flask extension: settings, factories, Flask-Login, streams; as Flask's own test client sees them."""

import logging
from collections.abc import Iterator
from typing import Any

import flask_login
import pytest
from flask import Flask, Response, copy_current_request_context, current_app, request, session, stream_with_context
from flask.testing import FlaskClient

from analytics_client import Client, ConfigError
from analytics_client.contrib.flask import Analytics
from tests.support.capture import Capture, captured


def application(**settings: Any) -> Flask:
    app = Flask("shop")
    app.secret_key = "of a test"
    if settings:
        app.config["ANALYTICS_CLIENT"] = settings
    return app


def browser_of(app: Flask) -> FlaskClient:
    """A browser that Segment's SDK has given an id."""
    browser = app.test_client()
    browser.set_cookie("ajs_anonymous_id", "a-1")
    return browser


def who(capture: Capture) -> list[tuple[Any, Any, Any]]:
    return [
        (event["event"], event.get("userId"), event["context"].get("page", {}).get("path")) for event in capture.events
    ]


@pytest.mark.parametrize("late", [False, True])
def test_a_given_client(late: bool) -> None:
    client, capture = captured()
    app = application(cookie="own", trusted_proxies=1, omit=["locale"], user_id=lambda request: request.args["u"])
    if late:
        analytics = Analytics(client=client)
        analytics.init_app(app)
    else:
        analytics = Analytics(app, client)

    @app.get("/items/<int:number>")
    def item(number: int) -> str:
        analytics.client.track(event="E")
        return "fine"

    assert analytics.client is client
    response = app.test_client().get("/items/7?u=u-1", headers={"X-Forwarded-For": "6.6.6.6, 1.2.3.4"})
    assert response.text == "fine"
    client.close()
    [event] = capture.events
    assert event["userId"] == "u-1"
    assert event["context"]["page"]["path"] == "/items/7"
    assert event["context"]["ip"] == "1.2.3.4"
    assert response.headers["Set-Cookie"].startswith(f"own={event['anonymousId']};")


def test_a_factory_makes_two_applications_with_two_clients() -> None:
    analytics = Analytics()
    captures = [Capture(), Capture()]

    def create(number: int) -> Flask:
        app = application(write_key=f"key-{number}", transport=captures[number])
        analytics.init_app(app)

        @app.get("/")
        def index() -> str:
            analytics.client.track("u", f"of {number}")
            return "fine"

        return app

    apps = [create(0), create(1)]
    for app in apps:
        app.test_client().get("/")
    for app, capture in zip(apps, captures, strict=True):
        app.extensions["analytics_client"].close()
        assert who(capture) == [(f"of {captures.index(capture)}", "u", "/")]
    with apps[1].app_context():  # as in a command of `flask`
        assert analytics.client is apps[1].extensions["analytics_client"]


def test_outside_of_an_application_there_is_no_client() -> None:
    analytics = Analytics()
    with pytest.raises(RuntimeError):
        _ = analytics.client
    with application().app_context(), pytest.raises(RuntimeError, match="init_app"):
        _ = analytics.client


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"write_key": "k", "cookies": "own"}, "ANALYTICS_CLIENT: cookies is no option"),
        ({"write_key": "k", "cookie": ";"}, "ANALYTICS_CLIENT: cookie must be"),
        ({"write_key": "k", "flush_at": "many"}, "ANALYTICS_CLIENT: flush_at must be"),
        ({"cookie": "own"}, "ANALYTICS_CLIENT: write_key is missing"),
    ],
)
def test_wrong_settings_are_a_sentence_at_the_start(
    settings: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANALYTICS_WRITE_KEY", raising=False)
    with pytest.raises(ConfigError, match=sentence):
        Analytics(application(**settings))


def test_settings_that_are_no_mapping() -> None:
    app = application()
    app.config["ANALYTICS_CLIENT"] = "key"
    with pytest.raises(ConfigError, match="ANALYTICS_CLIENT: must be a mapping"):
        Analytics(app)


def test_options_of_a_client_that_was_given_are_refused() -> None:
    client, _ = captured()
    with pytest.raises(ConfigError, match="ANALYTICS_CLIENT: write_key, flush_at: the client was given"):
        Analytics(application(write_key="k", flush_at=5, cookie="own"), client)


def test_an_application_takes_it_once() -> None:
    client, _ = captured()
    app = application()
    analytics = Analytics(app, client)
    with pytest.raises(ConfigError, match="already"):
        analytics.init_app(app)


def test_disabled() -> None:
    app = application(write_key="k", enabled=False, cookie="own")
    analytics = Analytics(app)

    @app.get("/")
    def index() -> str:
        assert analytics.client.track(event="E") is None
        return "fine"

    response = app.test_client().get("/")
    assert (response.text, response.headers.get("Set-Cookie")) == ("fine", None)


# -- who is logged in --------------------------------------------------------------------------------------------------


class User(flask_login.UserMixin):  # type: ignore[misc]  # the package has no types
    def __init__(self, name: str) -> None:
        self.id = name


def with_login(loaded: list[str] | None = None, **options: Any) -> tuple[Flask, Client, Capture]:
    """An application with Flask-Login; `loaded` gets the name of each user it loads."""
    client, capture = captured()
    app = application(**options)
    manager = flask_login.LoginManager(app)

    @manager.user_loader  # type: ignore[untyped-decorator]
    def load(name: str) -> User:
        if loaded is not None:
            loaded.append(name)
        return User(name)

    Analytics(app, client)

    @app.get("/login/<name>")
    def login(name: str) -> str:
        client.track(event="before")
        flask_login.login_user(User(name))
        client.track(event="after")
        return "fine"

    @app.get("/logout")
    def logout() -> str:
        client.track(event="before")
        flask_login.logout_user()
        client.track(event="after")
        return "fine"

    @app.get("/event")
    def event() -> str:
        client.track(event="E")
        return "fine"

    @app.get("/quiet")
    def quiet() -> str:
        return "fine"

    return app, client, capture


def test_flask_login_counts_from_the_next_event_on() -> None:
    loaded: list[str] = []
    app, client, capture = with_login(loaded)
    browser = browser_of(app)
    for path in ("/login/anna", "/event", "/logout", "/event"):
        browser.get(path)
    client.close()
    assert [(name, user) for name, user, _ in who(capture)] == [
        ("before", None),
        ("after", "anna"),
        ("E", "anna"),
        ("before", "anna"),
        ("after", None),
        ("E", None),
    ]
    assert {event["anonymousId"] for event in capture.events} == {"a-1"}


def test_the_user_is_not_loaded_without_an_event() -> None:
    loaded: list[str] = []
    app, client, _ = with_login(loaded)
    browser = browser_of(app)
    browser.get("/login/anna")
    loaded.clear()
    browser.get("/quiet")
    assert loaded == []
    browser.get("/event")
    assert loaded == ["anna"]
    client.close()


def test_a_user_that_cannot_be_loaded(caplog: pytest.LogCaptureFixture) -> None:
    class Loaded(list[str]):
        def append(self, name: str) -> None:
            raise LookupError("a row with secrets")

    app, client, capture = with_login(Loaded())
    browser = browser_of(app)
    browser.get("/login/anna")
    with caplog.at_level(logging.WARNING, "analytics_client"):
        assert browser.get("/event").text == "fine"
        assert browser.get("/event").text == "fine"
    client.close()
    assert [user for name, user, _ in who(capture) if name == "E"] == [None, None]
    assert client.stats.notices["hook"] == 2
    assert [record.getMessage() for record in caplog.records] == [
        "user_id raised LookupError; the request is not affected"
    ]


def test_without_flask_login_nobody_is_logged_in() -> None:
    client, capture = captured()
    app = application()
    Analytics(app, client)

    @app.get("/")
    def index() -> str:
        client.track(event="E")
        return "fine"

    browser_of(app).get("/")
    client.close()
    assert [(event.get("userId"), event["anonymousId"]) for event in capture.events] == [(None, "a-1")]


def test_a_user_of_the_sessions() -> None:
    client, capture = captured()
    app = application(user_id=lambda request: session.get("user"))
    Analytics(app, client)

    @app.get("/")
    def index() -> str:
        client.track(event="before")
        session["user"] = 17
        client.track(event="after")
        return "fine"

    browser_of(app).get("/")
    client.close()
    assert [event.get("userId") for event in capture.events] == [None, "17"]


# -- streams, errors, threads ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_context", [True, False])
def test_streams(with_context: bool) -> None:
    """The page and the browser are known to the end; the person as long as Flask still knows the request."""
    app, client, capture = with_login()

    @app.get("/stream")
    def stream() -> Response:
        def pieces() -> Iterator[str]:
            for number in range(3):
                client.track(event=f"piece {number}")
                yield "x"

        client.track(event="view")
        return Response(stream_with_context(pieces()) if with_context else pieces())

    browser = browser_of(app)
    browser.get("/login/anna")
    assert browser.get("/stream").text == "xxx"
    client.close()
    person = "anna" if with_context else None
    assert who(capture)[2:] == [("view", "anna", "/stream"), *((f"piece {n}", person, "/stream") for n in range(3))]
    assert {event["anonymousId"] for event in capture.events} == {"a-1"}
    assert client.stats.notices == {}


def test_a_view_that_raises_and_an_error_handler() -> None:
    client, capture = captured()
    app = application()
    Analytics(app, client)

    @app.get("/raises")
    def raises() -> str:
        client.track(event="before the fall")
        raise LookupError

    @app.errorhandler(404)
    def missing(error: Exception) -> tuple[str, int]:
        client.track(event="missing")
        return "nothing here", 404

    browser = browser_of(app)
    assert browser.get("/raises").status_code == 500
    assert browser.get("/nowhere").status_code == 404
    app.testing = True
    with pytest.raises(LookupError):
        browser.get("/raises")
    client.close()
    assert [name for name, _, _ in who(capture)] == ["before the fall", "missing", "before the fall"]


def test_hooks_of_the_application_are_inside() -> None:
    client, capture = captured()
    app = application()
    Analytics(app, client)
    app.before_request(lambda: client.track(event="before") and None)

    @app.after_request
    def after(response: Response) -> Response:
        client.track(event="after")
        return response

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        client.track(event="teardown")

    app.add_url_rule("/", view_func=lambda: "fine", endpoint="index")
    browser_of(app).get("/")
    client.close()
    assert who(capture) == [("before", None, "/"), ("after", None, "/"), ("teardown", None, "/")]


def test_a_thread_with_the_request() -> None:
    from concurrent.futures import ThreadPoolExecutor

    from analytics_client import carry

    app, client, capture = with_login()

    @app.get("/thread")
    def thread() -> str:
        def work() -> None:
            client.track(event="E")

        with ThreadPoolExecutor() as pool:
            pool.submit(carry(copy_current_request_context(work))).result()
        return request.path

    browser = browser_of(app)
    browser.get("/login/anna")
    browser.get("/thread")
    client.close()
    assert who(capture)[-1] == ("E", "anna", "/thread")


def test_the_extension_is_where_extensions_are() -> None:
    client, _ = captured()
    app = application()
    Analytics(app, client)
    with app.app_context():
        assert current_app.extensions["analytics_client"] is client
